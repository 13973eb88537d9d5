"""Pictures of normalization: the pipe around a learner, what it hears, and many runs side by side."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from jax import Array
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from .plots import EVAL, INK, TRAIN, style
from .shapes import GREEN, PURPLE, arrow, draw_levels

FROZEN, TRAINED, PLAIN = "#CFE5F3", "#F7D3BC", "#EEEEEE"
COLORS = (TRAIN, GREEN, EVAL, PURPLE, "#E69F00", "#56B4E9")
MARKERS, HATCHES = "os^Dv*", ("", "//", "..")


def pipe() -> Figure:
    """Standardize, learner, centre, scale: what is done to the numbers on their way through one synapse."""
    with style():
        figure, axes = plt.subplots(figsize=(7.8, 3.3))
        for y, name in ((26, "message"), (16, "weight"), (6, "input")):
            _box(axes, 1, y, 13, 6, name, PLAIN)
            _box(axes, 20, y, 17, 6, "$(x - $mean$)\\,/\\,$dev.", FROZEN)
            arrow(axes, (14, y + 3), (20, y + 3))
            arrow(axes, (37, y + 3), (43, y + 3))
        _box(axes, 43, 6, 12, 26, "learner\n$f$ and $g$", TRAINED)
        _way_out(axes)
        _legend(axes)
        axes.set(xlim=(0, 100), ylim=(-4, 43))
        axes.set_axis_off()
    return figure


def _way_out(axes):
    arrow(axes, (52, 32), (46, 32), bend=1.1)
    axes.text(49, 39, "carry", ha="center", fontsize=9)
    arrow(axes, (55, 27), (85, 27))
    _box(axes, 85, 24, 14, 6, "message", PLAIN)
    _box(axes, 61, 8, 9, 6, "$-\\ \\mu$", FROZEN)
    _box(axes, 73, 8, 9, 6, "$\\times\\ s$", TRAINED)
    _box(axes, 85, 8, 14, 6, "step $\\Delta w$", PLAIN)
    for left, right in ((55, 61), (70, 73), (82, 85)):
        arrow(axes, (left, 11), (right, 11))
    for x, y, text in ((28.5, 33.5, "standardize"), (65.5, 15.5, "centre"), (77.5, 15.5, "scale"), (70, 28, "as it is")):
        axes.text(x, y, text, ha="center", style="italic", fontsize=9)
    axes.text(7.5, 33.5, "reads", ha="center", style="italic", fontsize=9)
    axes.text(58, 17, "proposal", ha="center", fontsize=9, rotation=90, va="center")


def _legend(axes):
    for x, color, text in ((1, FROZEN, "measured once, then frozen"), (40, TRAINED, "meta-trained")):
        _box(axes, x, -3, 4, 3, "", color)
        axes.text(x + 5.5, -1.5, text, va="center", fontsize=9)


def _box(axes, x, y, width, height, text, color):
    style = "round,pad=0,rounding_size=0.8"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=color, edgecolor=INK, linewidth=0.9))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center")


def shares(values: Sequence[Array]) -> np.ndarray:
    """The part of each piece in the sum of squares of all that one entry reads, `(pieces,)`.

    It is the piece's part in what reaches the first layer of a learner, whose weights are all of the same size at first.
    """
    squares = np.array([piece.shape[-1] * float((piece**2).mean()) for piece in values])
    return squares / squares.sum()


def hearing(kinds: Mapping[str, Sequence[Array]], pieces: Sequence[str]) -> Figure:
    """What a node reads: a panel of dots per kind, one dot per number, and a last one with the shares of the pieces.

    Args:
        kinds: by name, such as "as it comes" and "standardized": what is read, piece by piece.
        pieces: their names.
    """
    with style():
        figure, panels = plt.subplots(1, len(kinds) + 1, figsize=(7.8, 2.7))
        for axes, (kind, values) in zip(panels, kinds.items(), strict=False):
            _dots(axes, values)
            axes.set(xlabel=f"value, {kind}", xlim=(-5.4, 5.4), yticks=range(len(pieces)), yticklabels=pieces)
        for axes in panels[1:-1]:
            axes.set_yticklabels([])
        _bars(panels[-1], kinds, pieces)
    return figure


def _dots(axes, values):
    jitter = np.random.default_rng(0)
    for level, piece in enumerate(values):
        flat = np.ravel(piece)
        axes.plot(flat, level + jitter.uniform(-0.25, 0.25, flat.size), ".", color=COLORS[level], markersize=4, alpha=0.6)
    axes.set_ylim(-0.6, len(values) - 0.4)


def _bars(axes, kinds, pieces):
    parts, places = 100 * np.stack([shares(values) for values in kinds.values()]), np.arange(len(kinds))
    for level, name in enumerate(pieces):
        look = {"color": COLORS[level], "hatch": HATCHES[level % 3], "edgecolor": "white"}
        axes.bar(places, parts[:, level], 0.7, parts[:, :level].sum(1), label=name, **look)
    axes.set_xticks(places, [fill(kind, 6, break_long_words=False) for kind in kinds])
    axes.set(ylabel="share, %", ylim=(0, 150), yticks=(0, 50, 100))
    axes.legend(loc="upper center", fontsize=9, handlelength=1.2, labelspacing=0.2, borderpad=0)


def side_by_side(
    rows: Mapping[str, Mapping[str, np.ndarray]], levels: Mapping[str, Mapping[str, float]], xlabel: str, ylabel: str, window: int = 1
) -> Figure:
    """A panel per row and arm with one curve per seed, all on the same logarithmic axis, and levels to compare them with.

    Args:
        rows: by row, by arm: values after steps 1, 2, ..., `(seeds, steps)`.
        levels: by row: horizontal lines, by what they stand for; up to three.
        xlabel: what the steps count.
        ylabel: what the values are, after the name of the row.
        window: how many steps a running mean is taken over.
    """
    with style():
        shape = len(rows), len(next(iter(rows.values())))
        figure, panels = plt.subplots(*shape, figsize=(7.8, 0.7 + 2.1 * len(rows)), sharex=True, sharey=True, squeeze=False)
        for line, (row, arms) in zip(panels, rows.items(), strict=True):
            for axes, curves in zip(line, arms.values(), strict=True):
                _curves(axes, np.asarray(curves), window)
                draw_levels(axes, levels[row], (EVAL, INK, GREEN))
            line[0].set_ylabel(f"{row}\n{ylabel}")
        for upper, lower, arm in zip(panels[0], panels[-1], next(iter(rows.values())), strict=True):
            upper.set_title(arm, fontsize=10)
            lower.set_xlabel(xlabel)
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _curves(axes, curves, window):
    steps = np.arange(window, curves.shape[1] + 1)
    for curve in curves:
        axes.plot(steps, np.convolve(curve, np.ones(window) / window, "valid"), color=TRAIN, linewidth=1, alpha=0.8)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def by_unit(units: Sequence[float], kinds: Mapping[str, np.ndarray], levels: Mapping[str, float]) -> Figure:
    """Losses by the unit of the data: a panel per kind of rule, one thin line per seed and a thick one for their median.

    Args:
        units: by what factor the numbers are larger than in training.
        kinds: by name: multiples of the best constant's loss, `(seeds, units)`.
        levels: horizontal lines, by what they stand for; up to three.
    """
    with style():
        figure, panels = plt.subplots(1, len(kinds), figsize=(7.8, 2.9), sharey=True, squeeze=False)
        for axes, (kind, values) in zip(panels[0], kinds.items(), strict=True):
            axes.plot(units, np.asarray(values).T, color=TRAIN, linewidth=0.8, alpha=0.5)
            axes.plot(units, np.median(values, axis=0), "o-", color=TRAIN, linewidth=2.2, markersize=5)
            draw_levels(axes, levels, (EVAL, INK, GREEN))
            axes.set_title(fill(kind, 20), fontsize=10)
            axes.set(xlabel="numbers, times", xscale="log", yscale="log")
        panels[0, 0].set_ylabel("loss / best constant")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def drift(kinds: Mapping[str, Mapping[str, np.ndarray]], order: Sequence[str]) -> Figure:
    """How far the deviation of each node's message is from the one it is standardized by: a panel per rule, a line per node.

    Args:
        kinds: by rule, by node: measured over frozen deviation, `(steps,)`.
        order: the nodes, in the order in which they speak.
    """
    with style():
        figure, panels = plt.subplots(1, len(kinds), figsize=(7.8, 3.0), sharey=True, squeeze=False)
        for axes, (kind, nodes) in zip(panels[0], kinds.items(), strict=True):
            for node, color, marker in zip(order, COLORS, MARKERS, strict=False):
                places = np.arange(1, len(nodes[node]) + 1)
                axes.plot(places, nodes[node], color=color, marker=marker, markersize=5, linewidth=1.1, label=node)
            axes.axhline(1, color=INK, linestyle="--", linewidth=0.9)
            axes.set_title(f"{kind} rule", fontsize=10)
            axes.set(xlabel="inner step", yscale="log", xticks=places)
        ticks = (0.1, 0.2, 0.5, 1, 2, 5)
        panels[0, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[0, 0].set_ylabel("measured / frozen deviation")
        panels[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
