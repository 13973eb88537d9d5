"""What is on the axes where many meta-trainings are shown: a line, or a mark, for each seed."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import studies


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def test_a_kind_has_a_panel_and_a_seed_its_line():
    arms = {"with": [([100, 200], [0.02, 0.001]), ([100, 200], [0.02, 0.01])], "without": [([100, 200], [0.02, 0.015])]}
    left, right = studies.curves(arms, {"mean curve": 0.0172}).axes
    assert [axes.get_title() for axes in (left, right)] == ["with", "without"] and left.get_yscale() == "log"
    np.testing.assert_allclose([line.get_xydata() for line in left.lines[:2]], [[[100, 0.02], [200, 0.001]], [[100, 0.02], [200, 0.01]]])
    assert len(left.lines) == 3 and len(right.lines) == 2
    assert [text.get_text() for text in left.figure.legends[0].get_texts()] == ["mean curve"]


def test_a_place_has_a_row_a_seed_its_mark_and_a_kind_its_median():
    places = {"home": {"with": [1e-3, 3e-3, 2e-3], "without": [2e-3, 4e-3, 9e-3]}, "abroad": {"with": [0.1] * 3, "without": [0.05] * 3}}
    axes = studies.ends(places, {"success": 0.005}, "loss").axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["home", "abroad"] and axes.yaxis_inverted()
    seeds, median, others, other_median = axes.lines[:4]
    np.testing.assert_allclose(seeds.get_xdata(), [1e-3, 3e-3, 2e-3])
    np.testing.assert_allclose((median.get_xdata()[0], other_median.get_xdata()[0]), (2e-3, 4e-3))
    assert seeds.get_marker() == median.get_marker() != others.get_marker()
    assert seeds.get_ydata()[0] == median.get_ydata()[0] < others.get_ydata()[0] < 0.5
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["with", "without", "success"]


def test_a_kind_shows_curves_of_its_first_rule_and_what_each_explains():
    drawn = {"x": [-1, 0, 1], "explained": [0.1, 0.9, 0.2], "targets": np.eye(3).tolist(), "answers": (2 * np.eye(3)).tolist()}
    figure = studies.solutions({"arc": [drawn, drawn | {"explained": [0.0, 0.8, 0.0]}], "all": [drawn]})
    upper, other, lower, _ = figure.axes
    assert [axes.get_title() for axes in (upper, other)] == ["arc", "all"]
    np.testing.assert_allclose([line.get_ydata() for line in upper.lines[::2]], drawn["targets"])
    np.testing.assert_allclose([line.get_ydata() for line in upper.lines[1::2]], drawn["answers"])
    assert all(a.get_color() == b.get_color() for a, b in zip(upper.lines[::2], upper.lines[1::2], strict=True))
    np.testing.assert_allclose([line.get_ydata() for line in lower.lines[:2]], [[0.1, 0.9, 0.2], [0.0, 0.8, 0.0]])
    assert [text.get_text() for text in lower.get_legend().get_texts()] == ["the mean curve", "all"]
