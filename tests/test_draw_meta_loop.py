"""What the pictures of the meta-loop show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import meta_loop, plots


@pytest.fixture(autouse=True)
def closed():
    """No figure outlives its test."""
    yield
    plt.close("all")


def arrows(axes, color):
    """How many arrows of a colour there are."""
    drawn = [text.arrow_patch for text in axes.texts if getattr(text, "arrow_patch", None) is not None]
    return sum(plt.matplotlib.colors.to_hex(arrow.get_edgecolor()).upper() == color for arrow in drawn)


@pytest.mark.parametrize("steps", [2, 4])
def test_the_meta_gradient_comes_from_every_loss_and_goes_to_the_rule_at_every_step(steps):
    (axes,) = meta_loop.loops(steps).axes
    words = {text.get_text() for text in axes.texts}
    assert {f"hint {steps}", f"batch {steps}", rf"$\theta_{steps}$", "held-out loss", "Adam"} <= words
    assert arrows(axes, plots.TRAIN) == arrows(axes, meta_loop.GREEN) == steps
    assert arrows(axes, plots.EVAL) == steps + 1 + steps + (steps - 1) + 1  # losses, rule, networks but the first, Adam


def test_one_number_shows_both_losses_and_whose_the_mean_is():
    rules, slopes = np.arange(3), np.array([[1.0, -2.0, 6.0]] * 3)
    left, right = meta_loop.one_number(rules, {"end": rules + 1.0, "way": rules + 2.0}, slopes).axes
    assert [list(line.get_ydata()) for line in left.lines] == [[1, 2, 3], [2, 3, 4]]
    assert {line.get_label(): line.get_ydata()[0] for line in right.lines} == {"steepest": 6, "mean": 3, "median": 2}


def test_trainings_have_a_curve_per_rule_and_those_to_compare_with():
    left, right = meta_loop.trainings(np.ones((2, 3, 60)), np.ones((2, 3, 5)), 0.5, {"Adam": np.ones(5)}).axes
    assert [len(line.get_xdata()) for line in left.lines[:6]] == [11] * 6  # means of the last 50
    assert len(right.lines) == 6 + 1 + 1
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["with hints", "without hints"]


def test_tails_end_at_the_largest_norm():
    (axes,) = meta_loop.tails({"before": [3.0, 1.0, 2.0], "after": [4.0, 5.0, 9.0]}, clip=0.3).axes
    before, after, clip = axes.lines
    assert list(before.get_xdata()) == [1, 2, 3] and after.get_xdata()[-1] == 9
    np.testing.assert_allclose(before.get_ydata(), [1, 2 / 3, 1 / 3])
    assert list(clip.get_xdata()) == [0.3, 0.3]


def test_beyond_marks_the_steps_that_were_trained():
    losses, levels = np.ones((2, 3, 13)), {"idle": 2.0, "average": 1.0}
    for axes, (name, color, _) in zip(meta_loop.beyond(losses, levels, 4, {"Adam": np.ones(13)}).axes, meta_loop.ARMS, strict=True):
        assert axes.get_title() == name
        assert [line.get_color() for line in axes.lines] == [color] * 3 + [plots.INK] * 3
        assert axes.patches[0].get_x() == 0 and axes.patches[0].get_width() == 4
