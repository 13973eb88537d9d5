"""What is on the axes where a rule's limits are drawn: every loss at its place, in the colour that says whether it is a worse one."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from mplp_lite.draw.limits import BETTER, RIVAL, WORSE, Case, by_case, by_step
from mplp_lite.draw.plots import draw_curve
from mplp_lite.draw.shapes import draw_levels

CASES = {
    ("as trained", "sinusoid"): Case(0.02, 0.0005, 0.018, 0.0),
    ("frequency", "half"): Case(0.015, 0.017, 0.006, 0.45),
    ("frequency", "double"): Case(0.014, 0.025, 0.015, 1.0),
}


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def lines(axes):
    """Lines on axes by label, in order."""
    return [(line.get_label(), line) for line in axes.lines if not line.get_label().startswith("_")]


@pytest.mark.parametrize(("after", "worse"), [(0.01, False), (0.02, True), (0.03, True), (np.inf, True), (np.nan, True)])
def test_worse_is_what_is_not_better(after, worse):
    assert Case(0.02, after, 0.02, 0.5).is_worse is worse


def test_levels_are_labelled_and_differ_in_their_lines():
    axes = plt.figure().subplots()
    draw_levels(axes, {"not learning": 0.025, "the average curve": 0.017})
    assert [(name, line.get_ydata()[0]) for name, line in lines(axes)] == [("not learning", 0.025), ("the average curve", 0.017)]
    assert len({line.get_linestyle() for _, line in lines(axes)}) == 2


def test_losses_stand_at_their_steps_over_the_band_that_was_trained():
    mean, rival = [0.02, 0.001, 0.1, 9.0], [0.02, 0.019, 0.018, 0.017]
    axes = by_step({"mean": mean, "Adam": rival}, {"not learning": 0.025}, trained=1).axes[0]
    drawn = dict(lines(axes))
    assert np.allclose(drawn["mean"].get_xydata().T, [range(4), mean]) and np.allclose(drawn["Adam"].get_ydata(), rival)
    assert list(drawn) == ["mean", "Adam", "not learning"] and axes.get_yscale() == "log"
    band = axes.patches[0]
    assert (band.get_x(), band.get_width()) == (0, 1)


def test_a_case_goes_from_where_it_was_to_where_the_rule_brought_it():
    axes = by_case(CASES, "Adam 0.03").axes[0]
    rows = dict(zip([tick.get_text() for tick in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert list(rows) == ["sinusoid", "half", "double"] and sorted(rows.values()) == list(rows.values())
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    for (_, name), case, arrow in zip(CASES, CASES.values(), arrows, strict=True):
        assert (arrow.xyann, arrow.xy) == ((case.before, rows[name]), (case.rule, rows[name]))
        assert to_hex(arrow.arrow_patch.get_edgecolor()) == (WORSE if case.is_worse else BETTER).lower()


def test_marks_say_what_they_are():
    figure = by_case(CASES, "Adam 0.03")
    marks = [(name, line.get_xdata()[0], line.get_marker()) for name, line in lines(figure.axes[0])]
    kinds = ("before learning", "rule: better", "Adam 0.03"), ("before learning", "rule: worse", "Adam 0.03")
    expected = []
    for case in CASES.values():
        expected += zip(kinds[case.is_worse], case[:3], ("o", "os"[case.is_worse], "x"), strict=True)
    assert marks == expected
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["before learning", "rule: better", "Adam 0.03", "rule: worse"]
    crosses = {line.get_color() for name, line in lines(figure.axes[0]) if name == "Adam 0.03"}
    assert crosses == {RIVAL}


def test_groups_stand_above_their_cases_and_shares_beside_them():
    axes = by_case(CASES, "Adam").axes[0]
    written = [text.get_text() for text in axes.texts if text.get_text()]
    assert written == ["as trained", "frequency", "0%", "45%", "100%", "worse in"]
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    assert heights["as trained"] < heights["0%"] < heights["frequency"] < heights["45%"] < heights["100%"]


@pytest.mark.parametrize(("every", "label"), [(1, "mean of 20 meta-steps"), (10, "mean of 200 meta-steps")])
def test_a_learning_curve_counts_meta_steps(every, label):
    steps, losses = every * np.arange(1, 51), np.linspace(1, 0.02, 50)
    axes = plt.figure().subplots()
    draw_curve(axes, steps, losses)
    (name, line) = lines(axes)[-1]
    assert name == label and np.allclose(line.get_xydata()[0], (20 * every, losses[:20].mean()))
