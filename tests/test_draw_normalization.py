"""What the pictures of normalization show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw.normalization import by_unit, drift, hearing, pipe, shares, side_by_side

READS = np.full((4, 1, 2, 3), 0.1), np.full((1, 1, 2, 1), 0.2), np.full((4, 1, 1, 1), 1.0)


@pytest.fixture(autouse=True)
def closed():
    """No figure outlives its test."""
    yield
    plt.close("all")


def texts(figure):
    """All that is written in a figure's panels."""
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_the_pipe_names_every_station():
    assert {"standardize", "learner\n$f$ and $g$", "centre", "scale", "carry", "message", "weight", "input"} <= texts(pipe())


def test_shares_count_every_channel_and_add_up_to_one():
    found = shares(READS)
    np.testing.assert_allclose(found * (0.03 + 0.04 + 1), (0.03, 0.04, 1))
    assert found.sum() == pytest.approx(1)


def test_each_number_is_a_dot_and_each_share_a_part_of_a_bar():
    *dots, bars = hearing({"raw": READS, "again": READS}, ("message", "weight", "input")).axes
    for axes in dots:
        assert [len(line.get_xdata()) for line in axes.lines] == [piece.size for piece in READS]
    heights = np.array([bar.get_height() for bar in bars.patches]).reshape(3, 2)
    np.testing.assert_allclose(heights[:, 0], 100 * shares(READS))


def test_panels_side_by_side_have_a_curve_per_seed_and_the_levels_of_their_row():
    rows = {row: {arm: np.ones((2, 6)) for arm in "abc"} for row in ("low", "high")}
    levels = {"low": {"idle": 1.0}, "high": {"idle": 2.0}}
    panels = np.reshape(side_by_side(rows, levels, "steps", "loss", window=3).axes, (2, 3))
    assert [axes.get_title() for axes in panels[0]] == list("abc")
    for line, level in zip(panels, (1.0, 2.0), strict=True):
        for axes in line:
            *curves, idle = axes.lines
            assert [list(curve.get_xdata()) for curve in curves] == [[3, 4, 5, 6]] * 2
            assert list(idle.get_ydata()) == [level, level]


def test_by_unit_has_a_line_per_seed_and_their_median():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]])
    (axes,) = by_unit((1, 10), {"frozen": values}, {"idle": 5.0}).axes
    assert len(axes.lines) == 3 + 1 + 1
    assert list(axes.lines[3].get_ydata()) == [3.0, 4.0]


def test_drift_draws_the_nodes_in_order():
    nodes = {"W": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    (axes,) = drift({"fresh": nodes}, ("b", "W")).axes
    assert [line.get_label() for line in axes.lines[:2]] == ["b", "W"]
    assert list(axes.lines[0].get_ydata()) == [3.0, 4.0]
    assert axes.get_title() == "fresh rule"
