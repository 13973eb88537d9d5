"""Pictures of learners: one in its node, what a carry holds, who shares with whom, and what untrained rules do."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..graph import Graph
from ..learners import Learner
from ..protocol import SHARING, Protocol
from . import plots
from .shapes import GREY, arrow, box

HIDDEN, PALE = "#D9D9D9", "#F3F3F3"
SHARED = {"weight": "#9CC9E3", "bias": "#F2B98F", "activation": "#CFE6C0"}
FORWARD, BACKWARD, READ = (plots.TRAIN, "-"), (plots.EVAL, "--"), (GREY, ":")
HELD = {"parameter $w_{ij}$": 3.75, "stored $x_i$": 2.85, "carry $c$": 1.95}
NETWORKS = {"$f$\nweight\nupdate": 3.4, "$g$\nmessage\npassing": 1.1}
ARROWS = (
    ((0.2, 2.85), (3.4, 2.85), FORWARD),  # x, to be stored
    ((4.95, 2.75), (6.05, 2.75), READ),  # all of it, by both
    ((9.8, 2.2), (7.85, 2.2), BACKWARD),  # message in
    ((6.5, 3.75), (4.65, 3.75), BACKWARD),  # update
    ((6.05, 1.95), (4.35, 1.95), BACKWARD),  # new carry
    ((6.4, 0.75), (0.2, 0.75), BACKWARD),  # message out
)
WORDS = {
    (1.25, 2.95): "input $x_i$",
    (5.45, 3.85): "update",
    (5.45, 2.85): "reads",
    (5.45, 2.05): "$c'$",
    (9.15, 2.55): "message in $m_j$",
    (1.3, 1.1): "message out $m_{ij}$",
    (6.95, 4.3): "learner",
    (3.9, 4.3): "state",
}


def node(channels: int = 4) -> Figure:
    """One synapse as a node: a learner made of `f` and `g`, what it reads, and where its answers go.

    Args:
        channels: numbers in a message.
    """
    with plots.style():
        figure, axes = plt.subplots(figsize=(7.5, 3.5))
        _frame(axes, (2.5, 0.1), (5.75, 4.7), PALE, "none")
        _frame(axes, (3.0, 1.5), (1.8, 2.7), PALE, GREY)
        _frame(axes, (6.2, 0.5), (1.5, 3.7), "#DCEBF5", plots.INK)
        for start, end, look in ARROWS:
            arrow(axes, start, end, *look)
        for text, up in (HELD | NETWORKS).items():
            box(axes, (3.9 if text in HELD else 6.95, up), text)
        for (across, up), text in WORDS.items():
            axes.text(across, up, text, ha="center", va="bottom")
        for left, low in ((9.2, 2.27), (1.0, 0.82)):
            _draw_channels(axes, left - 0.11 * (channels - 1), low, channels)
        axes.set(xlim=(0, 10), ylim=(0, 4.9))
        axes.set_axis_off()
    return figure


def _frame(axes, corner, size, face, edge):
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle="round,pad=0.1", facecolor=face, edgecolor=edge))


def _draw_channels(axes, left, low, channels):
    """A message as a row of small boxes."""
    for k in range(channels):
        axes.add_patch(plt.Rectangle((left + 0.24 * k, low), 0.2, 0.24, facecolor=plots.EVAL, edgecolor="none", alpha=1 - 0.15 * (k % 5)))


def draw_carry(axes: Axes, rows: Sequence[tuple[str, int, int, int]]) -> None:
    """The channels of carries as boxes: update, hidden, message.

    Args:
        axes: where to draw.
        rows: of each carry its name, and how many channels of the three it has.
    """
    widest = max(sum(widths) for _, *widths in rows)
    for height, (name, update, hidden, message) in enumerate(reversed(rows)):
        colors = [plots.INK] * update + [HIDDEN] * hidden + [plots.EVAL] * message
        for k, color in enumerate(colors):
            axes.add_patch(plt.Rectangle((k + 1 - update, height), 0.86, 0.62, color=color, linewidth=0))
        axes.text(-0.6, height + 0.31, name, ha="right", va="center")
        axes.text(widest + 1, height + 0.31, f"{len(colors)} channels", va="center")
    for place, text, color in ((0.4, "update", plots.INK), (8, "hidden", GREY), (widest - 4, "message", plots.EVAL)):
        axes.text(place, len(rows) + 0.1, text, ha="center", color=color)
    axes.set(xlim=(-widest / 2, widest + 6), ylim=(-0.2, len(rows) + 0.5))
    axes.set_axis_off()


def draw_sharing(axes: Axes, graph: Graph, learner: Learner) -> None:
    """Whose learner and whose scale each node uses, under each sharing scheme; coloured where it is that of a kind."""
    speaking = [node for node in graph.nodes if node.op.learns]
    for place, sharing in enumerate(SHARING):
        protocol, low = Protocol(graph, learner, sharing), 2.25 * (len(SHARING) - 1 - place)
        for k, node in enumerate(speaking):
            _draw_cell(axes, k, low + 1, protocol.learner_group(node))
            if node.op.parameter_shape is not None:
                _draw_cell(axes, k, low, protocol.statistics_group(node))
        for height, what in ((1, "learner"), (0, "scale")):
            axes.text(-0.15, low + height + 0.45, what, ha="right", va="center")
        axes.text(-1.15, low + 0.95, f'"{sharing}"', ha="right", va="center", family="monospace")
    for k, node in enumerate(speaking):
        axes.text(k + 0.49, 2.25 * len(SHARING), node.name, ha="center", weight="bold")
    axes.set(xlim=(-2.6, len(speaking)), ylim=(-0.1, 2.25 * len(SHARING) + 0.5))
    axes.set_axis_off()


def _draw_cell(axes, left, low, group):
    look = {"facecolor": SHARED.get(group, "white"), "edgecolor": plots.INK, "linewidth": 0.7}
    axes.add_patch(plt.Rectangle((left, low), 0.98, 0.9, **look))
    axes.text(left + 0.49, low + 0.45, group, ha="center", va="center", fontsize=9)


def untrained(runs: Mapping[float, np.ndarray], before: tuple[float, float]) -> Figure:
    """What several untrained rules do to a network, by the scale of their updates.

    Args:
        runs: by scale: loss and root mean square of a weight matrix after each step, `(seeds, steps, 2)`.
        before: the two before the first step.
    """
    with plots.style():
        figure, panels = plt.subplots(1, 2, figsize=(8, 3.1))
        looks = {"color": plots.TRAIN}, {"color": plots.EVAL, "linestyle": "--"}
        for (scale, values), look in zip(sorted(runs.items()), looks, strict=True):
            first = np.broadcast_to(np.asarray(before), (len(values), 1, 2))
            lines = np.concatenate([first, values], axis=1)  # (seeds, 1 + steps, 2)
            for k, axes in enumerate(panels):
                axes.plot(lines[..., k].T, alpha=0.8, linewidth=1.2, **look)
            panels[0].plot([], [], label=f"scale {scale:g}", **look)
        for axes, label in zip(panels, ("eval loss, L2/2", "root mean square of W2"), strict=True):
            axes.set(xlabel="inner steps", ylabel=label, yscale="log", xticks=range(0, lines.shape[1], 5))
        panels[0].axhline(before[0], color=plots.INK, linestyle=":", linewidth=0.8)
        panels[0].legend(loc="upper left")
    return figure
