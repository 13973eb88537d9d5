"""Arrows and what they carry, as pictures: a whole multigraph, one message on its way, and a dense layer in blocks."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..arrows import Arrow, Backward, Forward, Seed
from ..graph import Graph
from .graphs import columns, places, take_apart
from .plots import EVAL, INK, TRAIN, style

STYLES = {"forward": (TRAIN, "-"), "seed": ("#007A55", ":"), "backward": (EVAL, "--"), "other": ("#8A4B82", "-.")}
"""Colour and line of each kind of arrow."""
CHANNELS = {"cmap": "PuOr", "vmin": -1, "vmax": 1, "edgecolors": INK, "linewidth": 0.6}
"""How channels look: purple above zero, orange below."""
Sent = tuple[tuple, tuple, np.ndarray]
"""A message between single nodes, named as by `take_apart`: source, target, channels."""


def kind(arrow: Arrow) -> str:
    """Which of the `STYLES` an arrow has.

    >>> kind(Seed("loss", "loss")), kind(Backward("loss", "W1"))
    ('seed', 'backward')
    """
    return next((name for name, of in (("seed", Seed), ("forward", Forward), ("backward", Backward)) if isinstance(arrow, of)), "other")


def draw_multigraph(axes: Axes, graph: Graph) -> None:
    """The bundles of a graph and all its arrows, each numbered by when it fires; its legend, if you make one, names their kinds."""
    at = {name: (1.25 * x, -1.2 if name in graph.targets else 0.0) for name, x in columns(graph).items()}
    for arrow, times in _when(graph).items():
        look = dict(zip(("color", "linestyle"), STYLES[kind(arrow)], strict=True))
        _draw_arrow(axes, at[arrow.source], at[arrow.target], ", ".join(map(str, times)), look)
    for name in dict.fromkeys(map(kind, graph.order)):
        axes.plot([], [], color=STYLES[name][0], linestyle=STYLES[name][1], label=f"{name} arrow" if name != "seed" else "the seed")
    for name, place in at.items():
        box = {"boxstyle": "round,pad=0.3", "facecolor": "#E8F1F8" if graph.node(name).op.learns else "white", "edgecolor": INK}
        axes.text(*place, name, ha="center", va="center", fontsize=10, bbox=box)
    tall = any(abs(at[arrow.source][0] - at[arrow.target][0]) > 2 for arrow in graph.order)
    axes.set(xlim=(-0.4, max(x for x, _ in at.values()) + 0.8), ylim=(-1.45, 1.1 if tall else 0.5), aspect="equal")
    axes.set_axis_off()


def _when(graph):
    """The numbers of each arrow in the order; an arrow may fire more than once."""
    times = {}
    for number, arrow in enumerate(graph.order, 1):
        times.setdefault(arrow, []).append(number)
    return times


def _draw_arrow(axes, start, end, label, look):
    """A bent arrow with a label beside its middle; there and back bend to different sides, from a node to itself it is a loop."""
    (x0, y0), (x1, y1) = start, end
    line = {"arrowstyle": "-|>", "linewidth": 1.4} | look
    if start == end:
        shape = {"connectionstyle": "arc3,rad=-1.6", "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x0 + 0.2, y0 - 0.13), (x0 + 0.2, y0 + 0.13), arrowprops=line | shape)
        middle = x0 + 0.6, y0
    else:
        bend = -0.6 if abs(x0 - x1) > 2 else -0.38
        shape = {"connectionstyle": f"arc3,rad={bend}", "shrinkA": 14, "shrinkB": 16}
        axes.annotate("", end, start, arrowprops=line | shape)
        off = 0.5 * bend - 0.15 / np.hypot(x1 - x0, y1 - y0)
        middle = (x0 + x1) / 2 + off * (y1 - y0), (y0 + y1) / 2 - off * (x1 - x0)
    axes.text(*middle, label, ha="center", va="center", fontsize=9, color=look["color"])


def by_bundle(sent: Iterable[Sent]) -> dict[str, list[Sent]]:
    """Messages between single nodes in groups, one per pair of bundles, by a title that says which.

    >>> message = np.zeros(4)
    >>> groups = by_bundle([(("loss", 0), ("loss", 0), message[:1]), (("loss", 0), ("b2", 0), message)])
    >>> list(groups)
    ['1  loss to itself', '2  loss to b2']
    """
    groups = {}
    for source, target, message in sent:
        groups.setdefault((source[0], target[0]), []).append((source, target, message))
    return {f"{n}  {a} to {b if a != b else 'itself'}": group for n, ((a, b), group) in enumerate(groups.items(), 1)}


def travel(graph: Graph, stages: Mapping[str, list[Sent]]) -> Figure:
    """One panel per stage: the single nodes of a layered graph, and on them what was just sent, channel by channel.

    Args:
        graph: the bundles; targets are left out.
        stages: by title, as from `by_bundle`.
    """
    rows = -(-len(stages) // 2)
    at = {name: place for name, place in places(graph).items() if name[0] not in graph.targets}
    with style():
        figure, axes = plt.subplots(rows, 2, figsize=(8, 1.95 * rows), squeeze=False)
        for ax in axes.ravel()[len(stages) :]:
            ax.set_axis_off()
        for ax, (title, sent) in zip(axes.ravel(), stages.items()):
            squares = _draw_stage(ax, graph, at, title, sent)
        bar = {"location": "bottom", "shrink": 0.35, "aspect": 30, "ticks": [-1, 0, 1], "label": "value of a channel"}
        figure.colorbar(squares, ax=axes, **bar)
    return figure


def _draw_stage(axes, graph, at, title, sent):
    """A stage's messages stand above their receivers, or above their senders where one node receives several."""
    _draw_network(axes, graph, at, {target for _, target, _ in sent})
    hit = [target for _, target, _ in sent]
    for source, target, message in sent:
        if source != target:
            arrow = {"arrowstyle": "-|>", "color": EVAL, "linewidth": 1.4, "shrinkA": 7, "shrinkB": 7}
            axes.annotate("", at[target], at[source], arrowprops=arrow)
        x, y = at[target if hit.count(target) == 1 else source]
        squares = draw_channels(axes, x, y + 0.46, message, 0.23, 0.3)
    xs, ys = zip(*at.values(), strict=True)
    axes.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.85, max(ys) + 1.2))
    axes.text(min(xs) - 0.5, max(ys) + 0.8, title, fontsize=10)
    axes.set_axis_off()
    return squares


def _draw_network(axes, graph, at, hit):
    """All single nodes in grey, those that were `hit` in colour, and the bundles' names below."""
    for a, b in take_apart(graph)[1]:
        if a in at:
            axes.plot(*zip(at[a], at[b], strict=True), color="#DDDDDD", linewidth=1, zorder=1)
    for name, (x, y) in at.items():
        face, edge = ("#F6D5C2", INK) if name in hit else ("white", "#AAAAAA")
        axes.plot(x, y, "o", markersize=9, markerfacecolor=face, markeredgecolor=edge)
    for bundle in dict.fromkeys(name[0] for name in at):
        x, y = min((place for name, place in at.items() if name[0] == bundle), key=lambda place: place[1])
        axes.text(x, y - 0.36, bundle, ha="center", va="top", fontsize=9, color="#444444")


def draw_channels(
    axes: Axes, x: float, y: float, values: np.ndarray, width: float, height: float | None = None, alpha: float = 1.0
) -> QuadMesh:
    """Numbers as a row of coloured squares around a point; `width` of each."""
    values, height = np.asarray(values, float), width if height is None else height
    edges = x + width * (np.arange(len(values) + 1) - len(values) / 2)
    return axes.pcolormesh(edges, [y - height / 2, y + height / 2], values[None], alpha=alpha, zorder=5, **CHANNELS)


SIDE, PAD, ROW, SHEET, LOWER = 0.2, 0.15, 0.42, (0.07, 0.07), -2.9
"""Of the blocks below: a square, what lies between squares, a row, how far a sheet looks out from behind the last, the lower blocks."""


def dense_layer(pieces: Sequence[np.ndarray], thought: tuple[np.ndarray, np.ndarray], results: tuple[np.ndarray, np.ndarray]) -> Figure:
    """The way back through a dense layer: what is read, one thought per synapse, and the two means of it.

    A block has a sheet per example, a row per input unit, a column per output unit, and a square per channel of the first example.
    What is only a copy, along an axis of length one, is faint.

    Args:
        pieces: message, weight and input, which broadcast to `(b, i, j, channels)`.
        thought: what each synapse proposes, `(b, i, j)`, and what it says, `(b, i, j, m)`.
        results: the update, `(i, j)`, and the message passed on, `(b, i, m)`.
    """
    (proposed, said), (update, passed_on) = thought, results
    full = said.shape[:3]
    titles = ("message heard\n(b, 1, j, m)", "weight\n(1, i, j, 1)", "input\n(b, i, 1, 1)")
    with style():
        figure, axes = plt.subplots(figsize=(8, 4.9))
        left = 0.6
        for title, piece in zip(titles, pieces, strict=True):
            left = 0.95 + _draw_block(axes, (left, 0), title, [piece], full)
        first = _draw_block(axes, (0, LOWER), "message passed on\n(b, i, m)", [passed_on[:, :, None]], (*full[:2], 1))
        title = "one thought per synapse\n(b, i, j) and (b, i, j, m)"
        last = _draw_block(axes, (first + 1.55, LOWER), title, [proposed[..., None], said], full)
        _draw_block(axes, (last + 1.65, LOWER), "update\n(i, j)", [update[None, ..., None]], (1, *full[1:]))
        _draw_steps(axes, first, last, full)
        axes.set_aspect("equal")
        axes.set_axis_off()
    return figure


def _draw_block(axes, corner, title, groups, full):
    """Groups of channels `(b, i, j, c)` as sheets with rows and columns of squares, from the upper left corner on; gives its right end."""
    (left, top), (sheets, rows, cols) = corner, full
    widths = [SIDE * group.shape[-1] for group in groups]
    cell = sum(widths) + PAD * (len(widths) + 1)
    _draw_sheets(axes, corner, (cell * cols, ROW * rows), sheets, groups[0].shape[0] < sheets)
    for i, j in np.ndindex(rows, cols):
        x = left + cell * j + PAD
        for group, width in zip(groups, widths, strict=True):
            own = i < group.shape[1] and j < group.shape[2]
            values = group[0, i % group.shape[1], j % group.shape[2]]
            draw_channels(axes, x + width / 2, top - ROW * (i + 0.5), values, SIDE, alpha=1 if own else 0.3)
            x += width + PAD
    _name_axes(axes, corner, rows, cols, cell)
    axes.text(left, top + SHEET[1] * (sheets - 1) + 0.08, title, fontsize=10, va="bottom", linespacing=1.25)
    return left + cell * cols


def _name_axes(axes, corner, rows, cols, cell):
    """Numbers beside the rows and, where there are several, below the columns."""
    (left, top), look = corner, {"fontsize": 9, "color": "#555555"}
    for i in range(rows):
        axes.text(left - 0.06, top - ROW * (i + 0.5), f"i={i}", ha="right", va="center", **look)
    for j in range(cols if cols > 1 else 0):
        axes.text(left + cell * (j + 0.5), top - ROW * rows - 0.06, f"j={j}", ha="center", va="top", **look)


def _draw_sheets(axes, corner, size, sheets, copied):
    """One sheet per example, the first in front; those behind are dashed where they are copies of it."""
    for n in reversed(range(sheets)):
        at = corner[0] + SHEET[0] * n, corner[1] - size[1] + SHEET[1] * n
        line = "--" if copied and n else "-"
        axes.add_patch(Rectangle(at, *size, facecolor="white", edgecolor=INK if line == "-" else "#999999", linestyle=line, linewidth=0.8))


def _draw_steps(axes, first, last, full):
    """The arrows between the blocks, and what happens on them."""
    sheets, rows, _ = full
    middle, arrow, wide = LOWER - ROW * rows / 2, {"arrowstyle": "-|>", "color": INK, "linewidth": 1.2}, SHEET[0] * sheets
    for start, end, text in ((first + 1.15, first + wide + 0.1, "mean\nover j"), (last + wide + 0.1, last + 1.25, "mean\nover b")):
        axes.annotate("", (end, middle), (start, middle), arrowprops=arrow)
        axes.text((start + end) / 2, middle + 0.1, text, ha="center", va="bottom", fontsize=10)
    down, start, end = (first + 1.55 + last) / 2, -ROW * rows - 0.35, LOWER + SHEET[1] * sheets + 0.55
    axes.annotate("", (down, end), (down, start), arrowprops=arrow)
    axes.text(down + 0.12, (start + end) / 2, "side by side, then g and f", va="center", fontsize=10)
