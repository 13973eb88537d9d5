"""Graphs as one call each: from edges in the ordinary order, or layered networks."""

from collections.abc import Callable, Iterable
from numbers import Integral

from . import losses, nodes
from .choices import check_choice
from .graph import Backward, Forward, Graph, Node, Seed


def connect(parts: Iterable[Node], edges: Iterable[tuple[str, str]]) -> Graph:
    """A graph with the ordinary order: forward arrows along `edges`, a seed per loss, then backward arrows in reverse.

    Args:
        parts: the nodes.
        edges: `(source, consumer)` names, in an order in which they can fire; the k-th edge into a consumer fills its input slot k.

    Raises:
        ValueError: see `Graph`.
    """
    parts, forward, filled = tuple(parts), [], {}
    for source, target in edges:
        slot = filled[target] = filled.get(target, -1) + 1
        forward.append(Forward(source, target, slot))
    seeds = [Seed(node.name, node.name) for node in parts if isinstance(node.op, nodes.Loss)]
    backward = [Backward(arrow.target, arrow.source, arrow.slot) for arrow in reversed(forward)]
    return Graph(parts, (*forward, *seeds, *backward))


def sequential(inputs: int, *layers: int | str | Callable, loss: str = "l2", aggregate: str = "mean") -> Graph:
    """A layered network: a whole number is a dense layer of that width, a name or a function an activation.

    `sequential(144, 50, "sigmoid", 10, "softmax", loss="cross_entropy")` has the nodes `x W1 b1 sigmoid1 W2 b2 softmax2 loss y`.

    Raises:
        ValueError: for an unknown activation, loss or aggregator, or a width below 1.
    """
    check_choice("loss", loss, losses.LOSSES)
    chain, width, depth = [("x", nodes.Input(inputs))], inputs, 0
    for layer in layers:
        if isinstance(layer, Integral):
            layer, depth = int(layer), depth + 1
            chain += [(f"W{depth}", nodes.Weight(units=layer, inputs=width, aggregate=aggregate)), (f"b{depth}", nodes.Bias(layer))]
            width = layer
        else:
            chain.append(_activation(layer, width, depth))
    chain.append(("loss", losses.LOSSES[loss](width)))
    names = [name for name, _ in chain]
    all_nodes = [Node(name, op, aggregate) for name, op in (*chain, ("y", nodes.Target(width)))]
    return connect(all_nodes, [*zip(names, names[1:], strict=False), ("y", "loss")])


def _activation(layer, width, depth):
    if layer == "softmax":
        return f"softmax{depth}", nodes.Softmax(width)
    return f"{layer if isinstance(layer, str) else 'activation'}{depth}", nodes.Activation(width, layer)


def mlp(*widths: int, activation: str | Callable = "relu", loss: str = "l2", aggregate: str = "mean") -> Graph:
    """A dense network with `activation` between its layers and, for `loss="cross_entropy"`, a softmax at its end.

    Args:
        widths: units per layer, input first; at least two.
        activation: a name from `nodes.ACTIVATIONS` or any function on arrays.
        loss: `"l2"`, `"l1"` or `"cross_entropy"`.
        aggregate: how messages of several consumers become one, `"mean"` (the paper) or `"sum"`.

    Raises:
        ValueError: see `sequential`; or if fewer than two widths are given.
    """
    if len(widths) < 2:
        raise ValueError(f"mlp was given widths {widths}; it needs at least an input and an output width, as in mlp(1, 20, 1).")
    inputs, *hidden, outputs = widths
    layers = [layer for width in hidden for layer in (width, activation)]
    head = [outputs, "softmax"] if loss == "cross_entropy" else [outputs]
    return sequential(inputs, *layers, *head, loss=loss, aggregate=aggregate)
