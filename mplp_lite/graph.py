"""The message passing graph of Appendix A: nodes, arrows, and the order in which they fire."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

from . import losses, nodes
from .arrows import Arrow, Backward, Forward, Learn, Node, NodeState, Seed
from .checks import check_choice, check_type, shown
from .nodes import Loss
from .wiring import check_all, check_graph, check_walk


def walk(graph: "Graph", order: Iterable[Arrow], states: Mapping[str, NodeState], learn: Learn) -> dict[str, NodeState]:
    """Fires the arrows of `order` one after the other (Appendix A); this is the whole engine.

    Args:
        graph: where the arrows' nodes are looked up.
        order: the arrows to fire.
        states: the state of every node, by name; not changed.
        learn: called with `(node, state, message)` when a node's learner speaks; returns the node's new state with `reply` set.

    Raises:
        ValueError: if an arrow ends at no node, a node has no state, or one is to fire before its inputs have come.
        TypeError: if something in the order is no arrow.
    """
    order, states = tuple(order), dict(states)
    check_walk(order, states)
    for arrow in order:
        states[arrow.source], message = arrow.send(graph.node(arrow.source), states[arrow.source], learn)
        states[arrow.target] = arrow.deliver(states[arrow.target], message)
    return states


@dataclass(frozen=True)
class Graph:
    """A directed multigraph and the order in which one inner step fires its arrows, both plain data.

    The order is arbitrary (appendix A). A message is processed at once if the next arrow leaves the node that received it, and stored
    if that arrow comes later: what has been stored by then is gathered into one. An arrow may fire several times in one step, so a
    layer may learn, fire anew with what it learned and be heard again before others learn at all.

    Attributes:
        nodes: the nodes, names unique.
        order: the arrows as one inner step fires them.

    Raises:
        ValueError: if nodes and arrows do not fit together, a target is what a loss judges, or cross-entropy judges no distribution.
        TypeError: if nodes and order are no tuples of nodes and arrows.
    """

    nodes: tuple[Node, ...]
    order: tuple[Arrow, ...]

    def __post_init__(self):
        check_graph(self)

    def node(self, name: str) -> Node:
        """The node called `name`; a ValueError if there is none."""
        check_choice("node", name, self._by_name)
        return self._by_name[name]

    @cached_property
    def _by_name(self):
        return {node.name: node for node in self.nodes}

    @cached_property
    def forward(self) -> tuple[Arrow, ...]:
        """The arrows that carry outputs to inputs, seeds not among them."""
        return tuple(arrow for arrow in self.order if isinstance(arrow, Forward) and not isinstance(arrow, Seed))

    @cached_property
    def seeds(self) -> tuple[Arrow, ...]:
        """The reflexive arrows of the losses."""
        return tuple(arrow for arrow in self.order if isinstance(arrow, Seed))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes where data enter."""
        return tuple(n.name for n in self.nodes if isinstance(n.op, nodes.Input) and not isinstance(n.op, nodes.Target))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Names of the nodes where targets enter."""
        return tuple(n.name for n in self.nodes if isinstance(n.op, nodes.Target))

    @cached_property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses."""
        return tuple(n.name for n in self.nodes if isinstance(n.op, nodes.Loss))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the nodes whose outputs the losses judge."""
        return tuple(a.source for a in self.forward if a.target in self.losses and a.slot == 0)

    @cached_property
    def prediction(self) -> tuple[Arrow, ...]:
        """The forward arrows that can fire without targets."""
        return tuple(a for a in self.forward if a.source not in self.targets and a.source not in self.losses)


def connect(parts: Iterable[Node], edges: Iterable[tuple[str, str]]) -> Graph:
    """A graph with the ordinary order: forward arrows along `edges`, a seed per loss, then backward arrows in reverse.

    Args:
        parts: the nodes.
        edges: `(source, consumer)` names, in an order in which they can fire; the k-th edge into a consumer fills its input slot k.

    Raises:
        ValueError: see `Graph`.
        TypeError: if parts are no nodes, or edges no pairs of names.
    """
    parts, forward, filled = _several("parts", parts), [], {}
    check_all("parts", parts, Node)
    for source, target in map(_pair, _several("edges", edges)):
        slot = filled[target] = filled.get(target, -1) + 1
        forward.append(Forward(source, target, slot))
    seeds = [Seed(node.name, node.name) for node in parts if isinstance(node.op, Loss)]
    backward = [Backward(arrow.target, arrow.source, arrow.slot) for arrow in reversed(forward)]
    return Graph(parts, (*forward, *seeds, *backward))


def _several(what, given):
    check_type(what, given, Iterable, f"a list of all {what}")
    return tuple(given)


def _pair(edge):
    if not isinstance(edge, tuple | list) or len(edge) != 2 or not all(isinstance(end, str) for end in edge):
        raise TypeError(f"edge={shown(edge)} was given; an edge is a pair of names, such as ('x', 'W1').")
    return edge


def sequential(inputs: int, *layers: int | str | Callable, loss: str = "l2", aggregate: str = "mean") -> Graph:
    """A layered network: a whole number is a dense layer of that width, a name or a function an activation.

    `sequential(144, 50, "sigmoid", 10, "softmax", loss="cross_entropy")` has the nodes `x W1 b1 sigmoid1 W2 b2 softmax2 loss y`.

    Raises:
        ValueError: for an unknown activation, loss or aggregator, or a width below 1.
    """
    check_choice("loss", loss, losses.LOSSES)
    chain, width, depth = [("x", nodes.Input(inputs))], inputs, 0
    for layer in layers:
        if isinstance(layer, Integral) and not isinstance(layer, bool):
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
        aggregate: how messages of several synapses become one, `"mean"` (eq. 5) or `"sum"`; and those of several consumers, which is ours.

    Raises:
        ValueError: see `sequential`; or if fewer than two widths are given.
    """
    if len(widths) < 2:
        raise ValueError(f"mlp was given widths {widths}; it needs at least an input and an output width, as in mlp(1, 20, 1).")
    inputs, *hidden, outputs = widths
    layers = [layer for width in hidden for layer in (width, activation)]
    head = [outputs, "softmax"] if loss == "cross_entropy" else [outputs]
    return sequential(inputs, *layers, *head, loss=loss, aggregate=aggregate)
