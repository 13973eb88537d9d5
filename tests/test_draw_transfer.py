"""What is on the axes where a rule is taken elsewhere: every case in its row, every quantity in its panel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import transfer


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def test_a_case_has_a_row_and_a_method_its_mark_and_deviation():
    cases = {
        ("steps", "20"): {"old": (0.6, 0.1), "new": (0.7, 0.02)},
        ("steps", "50"): {"old": (0.3, 0.05), "new": (0.75, 0.01)},
        ("networks", "relu"): {"new": (0.5, 0.04)},
    }
    axes = transfer.grid(cases).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["20", "50", "relu"] and axes.yaxis_inverted()
    old, new = axes.containers
    np.testing.assert_allclose(old.lines[0].get_xdata(), [60, 30])
    np.testing.assert_allclose(new.lines[0].get_xdata(), [70, 75, 50])
    np.testing.assert_allclose([bar[:, 0] for bar in new.lines[2][0].get_segments()], [[68, 72], [74, 76], [46, 54]])
    np.testing.assert_allclose(np.round(new.lines[0].get_ydata() - axes.get_yticks(), 6), 0.08)
    assert old.lines[0].get_marker() != new.lines[0].get_marker()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["old", "new"]
    groups = {text.get_text(): text.xy[1] for text in axes.texts}
    assert groups["steps"] < 0 and axes.get_yticks()[1] < groups["networks"] < axes.get_yticks()[2]


def test_a_quantity_has_a_panel_and_steps_count_from_one():
    figure = transfer.along({"accuracy": {"old": [0.1, 0.5, 0.2], "new": [0.1, 0.4, 0.6]}, "size": {"old": [1.0, 2.0]}}, trained=2)
    first, second = figure.axes
    assert [axes.get_ylabel() for axes in (first, second)] == ["accuracy", "size"]
    np.testing.assert_allclose(first.lines[1].get_xydata(), [[1, 0.1], [2, 0.4], [3, 0.6]])
    assert first.patches[0].get_width() == second.patches[0].get_width() == 2
    assert [[text.get_text() for text in axes.get_legend().get_texts()] for axes in (first, second)] == [["old", "new"], ["old"]]
    assert first.get_xlabel() == second.get_xlabel() == "inner steps"
