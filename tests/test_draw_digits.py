"""What is on the axes where digits are drawn: every image below its class, accuracies in per cent, weights as the images they look at."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import digits


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def test_every_image_stands_in_its_batchs_row_below_its_class():
    images = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    labels = np.eye(10)[[[0, 1, 2], [7, 8, 9]]]
    axes = np.reshape(digits.examples(images, labels).axes, (2, 3))
    assert [[cell.get_title() for cell in row] for row in axes] == [["0", "1", "2"], ["7", "8", "9"]]
    np.testing.assert_array_equal(axes[1, 2].images[0].get_array(), [[20, 21], [22, 23]])


def test_accuracies_are_means_in_per_cent_with_a_band_of_one_deviation():
    values = np.array([[0.1, 0.3, 0.7], [0.1, 0.5, 0.9]])
    axes = digits.by_step({"rule": values, "rival": values / 2}, {"nearest class mean": 0.75}, trained=2).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(drawn["rule"].get_xydata(), [[0, 10], [1, 40], [2, 80]])
    np.testing.assert_allclose(drawn["rival"].get_ydata(), [5, 20, 40])
    assert drawn["nearest class mean"].get_ydata()[0] == 75
    assert drawn["rule"].get_marker() != drawn["rival"].get_marker()
    edges = axes.collections[0].get_paths()[0].vertices
    assert {tuple(edge) for edge in np.round(edges, 6)} >= {(0, 10), (1, 30), (1, 50), (2, 70), (2, 90)}
    assert not axes.patches


def test_steps_that_were_trained_are_marked_where_there_are_more():
    axes = digits.by_step({"rule": np.zeros((2, 6))}, {}, trained=3).axes[0]
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == (0, 3)


def test_a_units_weights_are_the_image_that_it_looks_at():
    before, after = np.arange(12.0).reshape(4, 3), np.full((4, 3), -2.0)
    axes = np.reshape(digits.weights({"before": before, "after": after}, units=2).axes, (2, 2))
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), [[1, 4], [7, 10]])
    assert axes[0, 0].images[0].get_clim() == (-10, 10) and axes[1, 0].images[0].get_clim() == (-2, 2)
    assert [row[0].texts[0].get_text() for row in axes] == ["before", "after"]


def test_fewer_units_than_asked_for_leave_no_empty_picture():
    figure = digits.weights({"all": np.ones((4, 2))}, units=10)
    assert len(figure.axes) == 2
