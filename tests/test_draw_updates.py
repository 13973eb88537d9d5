"""What is on the axes where updates are drawn: cosines by step, surfaces, slopes, shares in per cent, layers from the top on down."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import updates


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def drawn(axes):
    """The points of the lines on axes, by label, those without a name left out."""
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines if not line.get_label().startswith("_")}


def test_every_bundle_has_a_panel_with_its_cosines_and_a_band_over_the_steps_of_meta_training():
    panels = {"W1": {"rule": ([1, 5, 60], [0.2, 0.5, -0.9]), "older": ([1, 5, 60], [0, 0, 0])}, "b1": {"rule": ([1, 5], [-1, -0.5])}}
    figure = updates.along_the_gradient(panels, trained=20)
    first, second = figure.axes
    assert drawn(first) == {"rule": [[1, 0.2], [5, 0.5], [60, -0.9]], "older": [[1, 0], [5, 0], [60, 0]]}
    assert drawn(second) == {"rule": [[1, -1], [5, -0.5]]}
    assert [axes.get_title() for axes in (first, second)] == ["W1", "b1"]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["1", "5", "60"]
    assert first.get_ylim()[0] < -1 and first.get_ylim()[1] > 1
    (band,) = first.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (1, 20)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["rule", "older"]


def test_many_steps_leave_room_for_their_labels():
    steps = list(range(1, 31))
    (axes,) = updates.along_the_gradient({"W1": {"rule": (steps, steps)}}, trained=20).axes
    assert len(axes.get_xticks()) == 6


def test_a_surface_has_its_first_input_below_and_is_told_in_parts_of_its_largest_update():
    update = np.outer([-1.0, 0.0, 2.0], [-2.0, 0.0, 1.0])  # inputs, messages
    figure = updates.surfaces({"W2": {"rule": update, "older": 3 * update}, "W1": {"rule": -update}}, span=2.0)
    first, second, third, unused, bar = figure.axes
    shown = first.images[0]
    np.testing.assert_allclose(shown.get_array(), update / 4)
    np.testing.assert_allclose(second.images[0].get_array(), update / 4)
    assert shown.origin == "lower" and list(shown.get_extent()) == [-2, 2, -2, 2] and shown.get_clim() == (-1, 1)
    assert [axes.get_title() for axes in (first, second, third)] == ["rule, W2", "older, W2", "rule, W1"]
    assert not unused.images and bar.get_ylabel() == "update, of the largest"


def test_the_line_through_the_units_has_the_slope_that_fits_best():
    weights = np.array([[1.0, -2.0], [3.0, 0.5]])
    (axes,) = updates.taken_back({"layer 1": (weights, -0.25 * weights)}).axes
    units, line = (np.array(found.get_xydata()) for found in axes.lines)
    np.testing.assert_allclose(units, [[1, -0.25], [-2, 0.5], [3, -0.75], [0.5, -0.125]])
    np.testing.assert_allclose(line[:, 1], -0.25 * line[:, 0])
    assert axes.lines[1].get_label() == "slope -0.25" and line[-1, 0] > 3


def test_accuracies_are_told_in_per_cent_and_every_level_has_a_line_of_its_own():
    panels = {"after 20": {"Adam": ([0, 0.5], [0.5, 0.6])}, "after 100": {"Adam": ([0, 0.5], [0.7, 0.8])}}
    levels = {"after 20": {"as always": 0.4, "the rule": 0.9}, "after 100": {"as always": 0.6, "the rule": 0.95}}
    first, second = updates.shares(panels, levels).axes
    assert drawn(first)["Adam"] == [[0, 50], [0.5, 60]] and drawn(second)["Adam"] == [[0, 70], [0.5, 80]]
    assert [y for _, y in drawn(first)["the rule"]] == [90, 90] and [y for _, y in drawn(second)["as always"]] == [60, 60]
    assert len({line.get_linestyle() for line in first.lines[1:]}) == 2


def test_layers_are_counted_from_the_first_that_a_message_comes_down():
    panels = {"read": {"2 layers": [0.9], "4 layers": [0.9, 0.5, 0.1]}, "size, log": {"4 layers": [1e-1, 1e-3, 1e-5]}}
    figure = updates.by_layer(panels)
    read, size = figure.axes
    assert drawn(read) == {"2 layers": [[1, 0.9]], "4 layers": [[1, 0.9], [2, 0.5], [3, 0.1]]}
    assert (read.get_title(), read.get_yscale(), size.get_title(), size.get_yscale()) == ("read", "linear", "size", "log")
    assert list(read.get_xticks()) == [1, 2, 3]
