"""Pictures of learners show what is there."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite import GRU, mlp
from mplp_lite.draw import learners, plots


@pytest.fixture
def axes():
    """Axes to draw into; no figure stays open."""
    yield plt.subplots()[1]
    plt.close("all")


def words(axes):
    """All that is written there."""
    return [text.get_text() for text in axes.texts]


def test_a_node_has_a_box_for_each_channel_of_both_messages(axes):
    narrow, wide = (learners.node(channels).axes[0] for channels in (1, 5))
    assert len(wide.patches) - len(narrow.patches) == 2 * 4
    assert {"message in $m_j$", "message out $m_{ij}$", *learners.HELD, *learners.NETWORKS} <= set(words(wide))


def test_the_arrows_of_a_node_run_between_places_that_are_drawn(axes):
    (drawn,) = learners.node().axes
    (left, right), (low, high) = drawn.get_xlim(), drawn.get_ylim()
    assert sum(getattr(text, "arrow_patch", None) is not None for text in drawn.texts) == len(learners.ARROWS)
    assert all(left < x < right and low < y < high for start, end, _ in learners.ARROWS for x, y in (start, end))


def test_a_carry_has_a_box_for_each_channel(axes):
    learners.draw_carry(axes, [("a synapse", 1, 3, 2), ("a ReLU", 0, 3, 2)])
    assert len(axes.patches) == 6 + 5
    assert {"6 channels", "5 channels", "a synapse", "a ReLU"} <= set(words(axes))


def test_every_node_names_whose_learner_it_uses(axes):
    learners.draw_sharing(axes, mlp(1, 2, 1), GRU())
    found = words(axes)
    assert len(axes.patches) == 4 * (6 + 4)  # six nodes speak, four have a scale
    assert (found.count("weight"), found.count("bias")) == (2 * 5, 2 * 5)  # two of each: learners shared by three schemes, scales by two
    assert (found.count("relu1"), found.count("activation")) == (3 + 1, 1)  # its own but under the last; and its name above


def test_every_untrained_run_is_a_line_from_before(axes):
    rng = np.random.default_rng(0)
    runs = {scale: 1 + rng.random((4, 5, 2)) for scale in (1.0, 0.01)}
    left, right = learners.untrained(runs, (0.5, 0.7)).axes
    lines = [line for line in left.lines if len(line.get_xdata()) == 6]
    assert len(lines) == 8 and all(line.get_ydata()[0] == 0.5 for line in lines)
    assert sum(line.get_color() == plots.TRAIN for line in right.lines) == 4
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.7, *runs[0.01][0, :, 1]])
