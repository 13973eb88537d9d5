"""What is on the axes where variety and horizons are drawn: every view in its row, every method by its own steps."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import variety


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def test_a_view_has_a_row_with_its_name_and_images_have_their_classes_above():
    images = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    labels = np.eye(5)[[[0, 1, 2], [4, 3, 2]]]
    figure = variety.looks({"plain": (images[0], labels[0]), "inverted": (-images[0], labels[1])})
    axes = np.reshape(figure.axes, (2, 3))
    assert [row[0].get_ylabel() for row in axes] == ["plain", "inverted"]
    assert [[cell.get_title() for cell in row] for row in axes] == [["0", "1", "2"], ["4", "3", "2"]]
    np.testing.assert_array_equal(axes[1, 2].images[0].get_array(), [[-8, -9], [-10, -11]])


def test_accuracies_stand_at_their_steps_in_per_cent():
    curves = {"rule": ([0, 10, 200], [0.1, 0.5, 0.9], [0.0, 0.1, 0.05]), "rival": ([20, 1000], [0.2, 0.3], [0.01, 0.02])}
    axes = variety.horizons(curves, {"all at once": ([20, 200], [0.8, 0.95])}, trained=20).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(drawn["rule"].get_xydata(), [[10, 50], [200, 90]])  # step 0 has no place on a logarithmic axis
    np.testing.assert_allclose(drawn["rival"].get_xydata(), [[20, 20], [1000, 30]])
    np.testing.assert_allclose(drawn["all at once"].get_xydata(), [[20, 80], [200, 95]])
    assert {tuple(edge) for edge in np.round(axes.collections[0].get_paths()[0].vertices, 6)} >= {(10, 40), (10, 60), (200, 85), (200, 95)}
    assert len({line.get_linestyle() + line.get_marker() for line in axes.lines}) == 3
    (band,) = axes.patches
    assert band.get_x() < 10 and band.get_x() + band.get_width() == 20
    assert axes.get_xscale() == "log" and [tick.get_text() for tick in axes.get_xticklabels()] == "10 20 50 100 200 500 1000".split()
