"""What stands on the pictures of the chapter on backpropagation."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import backprop


@pytest.fixture(autouse=True)
def closing():
    """No figure stays open."""
    yield
    plt.close("all")


def test_a_synapse_shows_its_own_numbers():
    (axes,) = backprop.synapse(w=-0.5, x=3.0, m=0.25).axes
    written = {text.get_text().replace("\n", " ") for text in axes.texts}
    assert {"input $x$ = 3.00", "output $w\\,x$ = -1.50", "message in $m$ = 0.25", "message out $m\\,w$ = -0.12"} <= written
    assert {"parameter $w$ = -0.50", "stored $x$ = 3.00", "proposes $-0.75$"} <= written


def test_a_synapse_has_all_its_arrows_between_places_that_are_drawn():
    (axes,) = backprop.synapse(0.8, 1.5, 0.2).axes
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None)]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert len(arrows) == len(backprop.ARROWS)
    assert all(left < x < right and low < y < high for start, end, _ in backprop.ARROWS for x, y in (start, end))


def test_alignment_draws_the_mean_and_the_span_of_all_runs():
    steps, scores = [0, 10, 20], np.array([[0.0, 40, 80], [0, 60, 90]])
    left, right = backprop.alignment(steps, {"one": scores, "other": scores / 2}, {"layer": 90 - scores / 2}).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["one", "other"]
    np.testing.assert_array_equal(left.lines[0].get_xydata(), [[0, 0], [10, 50], [20, 85]])
    span = left.collections[0].get_paths()[0].vertices
    assert {(10, 40), (10, 60), (20, 80), (20, 90)} <= {tuple(corner) for corner in span.tolist()}
    assert [line.get_label() for line in right.lines][1:] == ["layer"]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [90, 90])
    np.testing.assert_array_equal(right.lines[1].get_ydata(), [90, 65, 47.5])


def test_lines_differ_by_more_than_colour():
    runs = np.zeros((2, 3))
    left, right = backprop.alignment(range(3), dict.fromkeys("abc", runs), dict.fromkeys("de", runs)).axes
    for lines in (left.lines, right.lines[1:]):
        assert len({line.get_linestyle() for line in lines}) == len(lines)
