"""What is on the axes where it is drawn what messages carry: every score at its place, the control in grey in the first panel only."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw.carried import FLOOR, by_place

PLACES = ("loss", "b3", "W3")
SCORES = {"messages": np.array([[0.9, 0.8, 0.3], [0.7, 0.6, 0.1]]), "the error alone": np.array([[1.0, 1.0, -3.0], [1.0, 1.0, 0.9]])}
CONTROL = np.full((2, 3), 0.01)


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def lines(axes):
    """Heights of the lines on axes, by label."""
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert all(list(line.get_xdata()) == [0, 1, 2] for line in named)
    return [(line.get_label(), list(line.get_ydata())) for line in named]


def test_each_step_has_a_line_in_each_panel_and_what_is_too_low_lies_on_the_floor():
    first, second = by_place(SCORES, PLACES, CONTROL).axes
    assert lines(first)[2:] == [("step 1", [0.9, 0.8, 0.3]), ("step 2", [0.7, 0.6, 0.1])]
    assert lines(second) == [("step 1", [1.0, 1.0, FLOOR]), ("step 2", [1.0, 1.0, 0.9])]
    assert [axes.get_title() for axes in (first, second)] == list(SCORES)
    assert [tick.get_text() for tick in first.get_xticklabels()] == list(PLACES)
    assert first.get_ylim()[0] < FLOOR and first.get_ylim()[1] > 1


def test_the_control_is_in_the_first_panel_and_once_in_the_legend():
    figure = by_place(SCORES, PLACES, CONTROL)
    assert lines(figure.axes[0])[:2] == [("wrong examples", [0.01] * 3)] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["wrong examples", "step 1", "step 2"]


def test_steps_that_are_not_the_first_ones_have_their_own_names():
    figure = by_place(SCORES, PLACES, CONTROL, steps=[5, 60])
    assert [label for label, _ in lines(figure.axes[1])] == ["step 5", "step 60"]
