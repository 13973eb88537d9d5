"""Graphs as pictures: taken apart into single nodes, put into columns, and drawn."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from ..graph import Graph, Node
from ..nodes import Loss
from .plots import EVAL, INK, TRAIN

LOOKS = {
    "weight": ("s", "#56B4E9", "weight (one synapse)"),
    "bias": ("D", "#F0C75E", "bias"),
    "activation": ("o", "#7FC8A9", "activation"),
    "loss": ("h", "#E8A07A", "loss"),
    "data": ("o", "white", "input or target"),
    "other": ("p", "#D9A9C6", "another operation"),
}
"""Marker, colour and name in the legend, by what `look` says of a node."""


def take_apart(graph: Graph) -> tuple[dict[str, list[tuple]], list[tuple[tuple, tuple]]]:
    """All single nodes of a graph, by bundle, and the pairs of them that forward arrows join: last index to equal first index.

    >>> import mplp_lite as mplp
    >>> singles, pairs = take_apart(mplp.mlp(1, 2, 1))
    >>> singles["W2"]
    [('W2', 0, 0), ('W2', 1, 0)]
    >>> [pair for pair in pairs if ("W2", 1, 0) in pair]
    [(('relu1', 1), ('W2', 1, 0)), (('W2', 1, 0), ('b2', 0))]
    """
    singles = {node.name: [(node.name, *index) for index in np.ndindex(node.op.shape)] for node in graph.nodes}
    pairs = []
    for arrow in graph.forward:
        pairs += [(a, b) for a in singles[arrow.source] for b in singles[arrow.target] if a[-1] == b[1]]
    return singles, pairs


def columns(graph: Graph) -> dict[str, int]:
    """How many arrows each bundle is from the input, by the longest way; targets stand with the loss that takes them."""
    column, targets = dict.fromkeys(graph.inputs, 0), {}
    for arrow in graph.forward:
        if arrow.source in graph.targets:
            targets[arrow.source] = arrow.target
        else:
            column[arrow.target] = max(column.get(arrow.target, 0), column[arrow.source] + 1)
    return column | {target: column[loss] for target, loss in targets.items()}


def look(node: Node) -> str:
    """Which of the `LOOKS` a node has.

    >>> import mplp_lite as mplp
    >>> [look(node) for node in mplp.mlp(1, 2, 1).nodes]
    ['data', 'weight', 'bias', 'activation', 'weight', 'bias', 'loss', 'data']
    """
    if not node.op.learns:
        return "data"
    kind = {"softmax": "activation"}.get(node.op.kind, node.op.kind)
    return "loss" if isinstance(node.op, Loss) else kind if kind in LOOKS else "other"


def places(graph: Graph) -> dict[tuple, tuple[float, float]]:
    """Where each single node stands: bundles from left to right, their members one below the other, targets under their loss."""
    column, at = columns(graph), {}
    for bundle, members in take_apart(graph)[0].items():
        top = (len(members) - 1) / 2 - (len(members) + 0.4 if bundle in graph.targets else 0)
        at |= {name: (column[bundle], top - k) for k, name in enumerate(members)}
    return at


def draw_apart(axes: Axes, graph: Graph, labels: Mapping[tuple, str] | None = None) -> None:
    """Every single node of a layered graph in the box of its bundle, and the arrows that run forward between them.

    Args:
        axes: where to draw; its legend, if you make one, names the kinds of nodes.
        graph: the bundles.
        labels: what is written on each node, by its name as `take_apart` gives it; its index by default.
    """
    (singles, pairs), at = take_apart(graph), places(graph)
    for a, b in pairs:
        _draw_pair(axes, at[a], at[b])
    for node in graph.nodes:
        members = singles[node.name]
        _draw_bundle(axes, node.name, [at[name] for name in members], node.name in graph.targets)
        for name in members:
            _draw_single(axes, look(node), at[name], labels[name] if labels else ",".join(map(str, name[1:])))
    heard = [b for _, b in pairs if b[0] not in graph.losses]
    for name in {b for b in heard if heard.count(b) > 1}:
        axes.annotate("Σ", at[name], (16, 9), textcoords="offset points", ha="center", fontsize=10)
    xs, ys = zip(*at.values(), strict=True)
    axes.set(xlim=(min(xs) - 0.45, max(xs) + 0.45), ylim=(min(ys) - 0.8, max(ys) + 0.8))
    axes.set_axis_off()


def _draw_pair(axes, start, end):
    around = start[0] == end[0] and abs(start[1] - end[1]) > 2  # from a target past others to its loss
    bend = {"connectionstyle": f"arc3,rad={0.4 if around else 0}"}
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#767676", "shrinkA": 20, "shrinkB": 21} | bend)


def _draw_bundle(axes, name, at, named_below):
    (x, top), (_, bottom) = at[0], at[-1]
    shape = {"boxstyle": "round,pad=0,rounding_size=0.12", "facecolor": "#F3F3F3", "edgecolor": "none", "zorder": 0}
    axes.add_patch(FancyBboxPatch((x - 0.38, bottom - 0.42), 0.76, top - bottom + 0.84, **shape))
    y, va = (bottom - 0.46, "top") if named_below else (top + 0.46, "bottom")
    axes.text(x, y, name, ha="center", va=va, fontsize=10)


def _draw_single(axes, kind, at, text):
    marker, color, label = LOOKS[kind]
    named = axes.get_legend_handles_labels()[1]
    size = 700 if marker == "D" else 1000
    axes.scatter(*at, s=size, marker=marker, color=color, edgecolors=INK, zorder=3, label=None if label in named else label)
    axes.text(*at, text, ha="center", va="center", fontsize=9, zorder=4)


def draw_chain(axes: Axes, graph: Graph) -> None:
    """The nodes of a layered graph from left to right, forward arrows above and backward arrows below."""
    names = [node.name for node in graph.nodes if node.name != "y"]
    for k, name in enumerate(names):
        learns = graph.node(name).op.learns
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#E8F1F8" if learns else "white", "edgecolor": INK}
        axes.text(k, 0, name, ha="center", va="center", fontsize=9, bbox=box)
    for k in range(len(names) - 1):
        _draw_arrow(axes, k, k + 1, 0.28, TRAIN)
        _draw_arrow(axes, k + 1, k, -0.28, EVAL)
    axes.text(0, 0.62, "forward: outputs", color=TRAIN, fontsize=9)
    axes.text(0, -0.72, "backward: messages", color=EVAL, fontsize=9)
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(-0.9, 0.9))
    axes.set_axis_off()


def _draw_arrow(axes, start, end, height, color):
    axes.annotate("", (end, height), (start, height), arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.3})


def draw_bundles(axes: Axes, graph: Graph) -> None:
    """One mark for each bundle, named by the node whose parameter it uses, and the forward arrows between them; targets are left out.

    Args:
        axes: where to draw; its legend, if you make one, names the kinds of nodes.
        graph: any graph.
    """
    column = {name: at for name, at in columns(graph).items() if name not in graph.targets}
    stacks = {place: [name for name in column if column[name] == place] for place in column.values()}
    at = {name: (place, (len(stack) - 1) / 2 - k) for place, stack in stacks.items() for k, name in enumerate(stack)}
    for arrow in graph.forward:
        if arrow.source in at:
            long = column[arrow.target] - column[arrow.source] > 1 and at[arrow.source][1] == at[arrow.target][1]
            style = {"arrowstyle": "-|>", "color": "#767676", "shrinkA": 10, "shrinkB": 10}
            axes.annotate("", at[arrow.target], at[arrow.source], arrowprops=style | {"connectionstyle": f"arc3,rad={-0.35 * long}"})
    for name, (x, y) in at.items():
        marker, color, label = LOOKS[look(graph.node(name))]
        label = label.removesuffix(" (one synapse)").replace("input or target", "learns nothing")
        new = label not in axes.get_legend_handles_labels()[1]
        axes.scatter(x, y, s=200, marker=marker, color=color, edgecolors=INK, zorder=3, label=label if new else None)
        axes.annotate(graph.node(name).owner, (x, y), (0, -18), textcoords="offset points", ha="center", fontsize=8)
    axes.set(xlim=(-0.5, max(column.values()) + 0.5), ylim=(min(y for _, y in at.values()) - 0.9, max(y for _, y in at.values()) + 0.9))
    axes.set_axis_off()
