"""What is on the axes where rules with a prior are drawn: every run, median, pair and silent node at its place."""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import prior
from mplp_lite.evaluate import Run
from mplp_lite.tasks import Episode

LOSSES = np.array([[0.02, 0.05, 0.001], [0.03, 0.07, 0.003]])


@pytest.fixture(autouse=True)
def no_figures_left():
    """All figures are gone after a test."""
    yield
    plt.close("all")


def lines(axes):
    """Lines on axes by label, in order."""
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_figure_3_has_a_column_for_each_method():
    grid = jnp.linspace(-5, 5, 4)[:, None]
    episode = Episode(jnp.ones((2, 3, 1)), jnp.ones((2, 3, 1)), grid, grid)
    run = Run(jnp.arange(12.0).reshape(3, 4, 1), jnp.ones(2), jnp.ones(3))
    runs = Run(None, None, LOSSES)
    figure = prior.figure_3({"MPLP": (run, episode, runs), "MAML": (run, episode, runs)}, {"the average curve": 0.017})
    first, second, *lower = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["MPLP", "MAML"]
    assert list(lines(first)) == ["target", "before learning", "after 1 step", "after 2 steps"]
    np.testing.assert_array_equal(lines(first)["after 2 steps"].get_ydata(), [8, 9, 10, 11])
    for axes in lower:
        drawn = lines(axes)
        np.testing.assert_allclose(drawn["mean of all runs"].get_ydata(), LOSSES.mean(axis=0))
        assert drawn["the average curve"].get_ydata()[0] == 0.017 and axes.get_yscale() == "log"
        faint = [line for line in axes.lines if line not in drawn.values()]
        np.testing.assert_array_equal([line.get_ydata() for line in faint], LOSSES)


def test_learning_curves_are_running_means_over_each_other():
    steps = [10, 20, 30]
    axes = prior.curves({"MPLP": (steps, [4.0, 2.0, 1.0]), "short": (steps[:1], [3.0])}, {"the average curve": 0.017}, window=2).axes[0]
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["MPLP"].get_xydata(), [[20, 3.0], [30, 1.5]])
    np.testing.assert_allclose(drawn["short"].get_xydata(), [[10, 3.0]])
    assert list(drawn) == ["MPLP", "short", "the average curve"] and axes.get_xscale() == axes.get_yscale() == "log"
    assert drawn["MPLP"].get_linestyle() != drawn["short"].get_linestyle()


def test_a_share_has_its_median_between_its_quarters():
    values = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8], [0.5, 0.9]])
    axes = prior.by_step({"one": values, "other": values / 2}, "share").axes[0]
    one, other = axes.containers
    np.testing.assert_allclose(one.lines[0].get_ydata(), [0.3, 0.7])
    np.testing.assert_allclose(other.lines[0].get_ydata(), [0.15, 0.35])
    np.testing.assert_allclose([bar[:, 1] for bar in one.lines[2][0].get_segments()], [[0.2, 0.4], [0.6, 0.8]])
    assert one.lines[0].get_marker() != other.lines[0].get_marker()
    assert axes.get_ylabel() == "share" and [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "other"]


def test_a_pair_stands_in_the_row_of_its_rule_and_the_column_of_its_prior():
    losses = np.array([[0.001, 0.5], [0.2, 0.0004], [30.0, 0.7]])
    axes = prior.pairs(losses, ["A", "B", "C"], ["its own", "random"]).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["A", "B", "C"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["its own", "random"]
    written = {tuple(map(round, text.get_position())): float(text.get_text()) for text in axes.texts}
    assert written == {(column, row): losses[row, column] for row in range(3) for column in range(2)}
    np.testing.assert_array_equal(axes.images[0].get_array(), losses)


def test_words_can_be_read_on_what_is_dark_and_on_what_is_light():
    axes = prior.pairs(np.array([[0.001, 10.0]]), ["A"], ["small", "large"]).axes[0]
    assert [text.get_color() for text in axes.texts] == ["white", "#222222"]


def test_a_silent_node_has_its_loss_in_its_row():
    losses = {"trained": {"loss": 0.02, "W1": 0.001}, "frozen": {"loss": 0.03, "W1": 0.004}}
    axes = prior.silenced(losses, {"trained": 0.001, "frozen": 0.002}, {"the average curve": 0.017}).axes[0]
    drawn = lines(axes)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["loss", "W1"] and axes.yaxis_inverted()
    np.testing.assert_array_equal(drawn["frozen"].get_xydata(), [[0.03, 0], [0.004, 1]])
    upright = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert upright == [0.001, 0.002, 0.017] and axes.get_xscale() == "log"
