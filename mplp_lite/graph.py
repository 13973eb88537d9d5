"""The message passing graph of Appendix A: nodes that keep a state, arrows that carry messages, an order to fire them in."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from . import losses, nodes
from .checks import AGGREGATORS, check_choice, check_sizes, check_type, shown
from .nodes import Input, Loss, Operation


class NodeState(NamedTuple):
    """All that one node knows while the graph is walked.

    Attributes:
        parameter: what it learns, or `None`.
        carry: the memory of its learner, as its `first_carry` makes it, or `None`.
        inputs: what forward arrows brought since it last fired, by input slot; each `(b, units)`.
        messages: what came back since its learner last spoke; each `(b, units, m)`.
        output: what it sends forward, `(b, units)`.
        stored: what its operation stored for the way back.
        reply: the message it sends back, `(b, input units, m)`.
        seen: whatever its learner reports to the outside, for plots and calibration.
    """

    parameter: Array | None = None
    carry: Array | None = None
    inputs: Mapping[int, Array] = {}
    messages: tuple[Array, ...] = ()
    output: Array | None = None
    stored: tuple[Array, ...] = ()
    reply: Array | None = None
    seen: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Node:
    """A named operation of the graph.

    Attributes:
        name: unique in its graph.
        op: what it computes and stores.
        aggregate: how messages from several consumers become one, `"mean"` (the paper takes it inside a layer, eq. 5) or `"sum"`.
        tied_to: name of the node whose parameter, learner, standardiser and scale this one uses, as the steps of an unrolled network
            do; what they add to the parameter in one inner step adds up. Carries stay apart. `""`: it has its own.
        embedding: numbers that it holds and that its learner reads as they are, after all else (appendix A): how nodes that share a
            learner are told apart.

    Raises:
        ValueError: if the aggregator is unknown, or the embedding is no tuple of finite numbers.
        TypeError: if a name is no string, or `op` no operation.
    """

    name: str
    op: Operation
    aggregate: str = "mean"
    tied_to: str = ""
    embedding: tuple[float, ...] = ()

    def __post_init__(self):
        check_type("name", self.name, str, "a string that names the node, such as 'W1'")
        check_type("op", self.op, Operation, "an operation, such as nodes.Bias(3)")
        check_choice("aggregate", self.aggregate, AGGREGATORS)
        check_type("tied_to", self.tied_to, str, "the name of another node, or ''")
        numbers = self.embedding if isinstance(self.embedding, tuple) else (None,)
        if not all(isinstance(number, Real) and math.isfinite(number) for number in numbers):
            raise ValueError(f"embedding={shown(self.embedding)} was given; it must be a tuple of plain numbers, such as (0.0, 1.0).")

    @property
    def owner(self) -> str:
        """Name of the node whose parameter it uses, its own as a rule."""
        return self.tied_to or self.name

    def gather(self, messages: tuple[Array, ...]) -> Array:
        """One message from those of all consumers, `(b, units, m)` each."""
        return AGGREGATORS[self.aggregate](jnp.stack(messages), axis=0)


Learn = Callable[[Node, NodeState, Array], NodeState]


@dataclass(frozen=True)
class Arrow:
    """Reads the state of `source`, may change it, and puts a message into the state of `target`; subclass it to write your own.

    Several arrows may join the same two nodes, and an arrow may be reflexive (`source == target`).

    Attributes:
        source: name of the node that is read.
        target: name of the node that is written to.
        slot: which input of the forward consumer this arrow belongs to.

    Raises:
        TypeError: if an end is no name.
        ValueError: if the slot is no whole number.
    """

    source: str
    target: str
    slot: int = 0

    def __post_init__(self):
        check_type("source", self.source, str, "the name of a node")
        check_type("target", self.target, str, "the name of a node")
        check_sizes(0, slot=self.slot)

    def send(self, node: Node, state: NodeState, learn: Learn) -> tuple[NodeState, Array]:
        """The new state of the source, and the message."""
        raise NotImplementedError(f"{type(self).__name__} must say what it sends: define send().")

    def deliver(self, state: NodeState, message: Array) -> NodeState:
        """The new state of the target."""
        return state._replace(messages=(*state.messages, message))


@dataclass(frozen=True)
class Forward(Arrow):
    """Carries an operation's output to input `slot` of the next; the operation fires once for all arrows that leave it."""

    def send(self, node, state, learn):
        """Fires the operation if inputs have come since it last did."""
        _check_inputs(node, state)
        if state.inputs:
            fired = node.op.forward(state.parameter, *(state.inputs[slot] for slot in range(node.op.arity)))
            state = state._replace(output=fired.output, stored=fired.stored, inputs={})
        return state, state.output

    def deliver(self, state, message):
        """Puts the output into the target's input slot."""
        return state._replace(inputs={**state.inputs, self.slot: message})


@dataclass(frozen=True)
class Seed(Forward):
    """The reflexive arrow of a loss: its value becomes its own first message, `(b, units, 1)` (eq. 2)."""

    def send(self, node, state, learn):
        """Fires the loss."""
        state, loss = super().send(node, state, learn)
        return state, loss[..., None]

    deliver = Arrow.deliver


@dataclass(frozen=True)
class Backward(Arrow):
    """Carries the learner's message back along input `slot` of its node.

    The learner speaks if a message has come since it last did, once for all that have come; else its last reply is sent again. So
    after each message it speaks at once, or waits for all, as the order has it.
    """

    def send(self, node, state, learn):
        """Lets the learner speak if messages have come since it last did."""
        if state.messages:
            message = node.gather(state.messages)
            state = learn(node, state._replace(messages=()), message)
        return state, node.op.answer(state.reply, self.slot)


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
    _check_all("order", order, Arrow)
    missing = {end for arrow in order for end in (arrow.source, arrow.target) } - set(states)
    if missing:
        raise ValueError(f"The states of nodes {sorted(missing)} were not given; pass one NodeState for each node of the graph.")
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


def check_graph(graph):
    """Raises a ValueError or TypeError if the graph's nodes and arrows do not fit together."""
    _check_types(graph)
    _check_names(graph)
    for node in graph.nodes:
        _check_tie(graph, node)
        _check_slots(graph, node)
        _check_consumer(graph, node)
    for arrow in graph.forward:
        _check_widths(graph.node(arrow.source), graph.node(arrow.target))
    _check_seeds(graph)
    _check_order(graph)
    _check_predictions(graph)
    _check_backward(graph)


def _check_types(graph):
    for what, given, kind in (("nodes", graph.nodes, Node), ("order", graph.order, Arrow)):
        check_type(what, given, tuple, f"a tuple of objects of the class {kind.__name__}, or of its subclasses")
        _check_all(what, given, kind)


def _check_all(what, given, kind):
    for one in given:
        if not isinstance(one, kind):
            raise TypeError(f"{what} hold {shown(one)}; give only objects of the class {kind.__name__}, or of its subclasses.")


def _check_inputs(node, state):
    if state.output is None and not state.inputs:
        raise ValueError(f"Node {node.name!r} is to send before anything has come to it; put its data into its state's inputs.")
    if state.inputs and (missing := set(range(node.op.arity)) - set(state.inputs)):
        raise ValueError(f"Node {node.name!r} is to fire, but nothing has come to its slots {sorted(missing)}; fire more arrows first.")


def _check_names(graph):
    names = [node.name for node in graph.nodes]
    if len(set(names)) < len(names):
        raise ValueError(f"Node names {names} repeat; give every node a name of its own.")
    strangers = {end for arrow in graph.order for end in (arrow.source, arrow.target)} - set(names)
    if strangers:
        raise ValueError(f"Arrows name {sorted(strangers)}, which are no nodes of this graph; its nodes are {names}.")


def _check_tie(graph, node):
    owners = {other.name: other.op for other in graph.nodes if not other.tied_to}
    if node.owner != node.name and node.owner not in owners:
        raise ValueError(f"Node {node.name!r} is tied to {node.owner!r}, which is no node that has its own; use one of {sorted(owners)}.")
    mine, theirs = ((op.kind, op.shape, op.parameter_shape) for op in (node.op, owners[node.owner]))
    if mine != theirs:
        raise ValueError(f"Node {node.name!r} is {mine}, but {node.owner!r}, which it is tied to, is {theirs}; make kind and shapes equal.")


def _check_slots(graph, node):
    filled = sorted(arrow.slot for arrow in set(graph.forward) if arrow.target == node.name)
    needed = [] if isinstance(node.op, Input) else list(range(node.op.arity))
    if filled != needed:
        raise ValueError(f"Node {node.name!r} has input slots {needed}, but forward arrows fill {filled}; fill each slot once.")


def _check_seeds(graph):
    for arrow in graph.seeds:
        if arrow.source != arrow.target or not isinstance(graph.node(arrow.source).op, Loss):
            found = f"A seed leads from {arrow.source!r} to {arrow.target!r}"
            raise ValueError(f"{found}; it must lead from a loss to itself, as in Seed('loss', 'loss').")


def _check_consumer(graph, node):
    consumed = isinstance(node.op, Loss) or any(arrow.source == node.name for arrow in graph.forward)
    if node.op.learns and not consumed:
        raise ValueError(f"Node {node.name!r} has no consumer, so no message can reach it; connect it or leave it out.")


def _check_widths(source, target):
    given, wanted = source.op.units, target.op.incoming
    if given != wanted:
        raise ValueError(f"Node {target.name!r} takes {wanted} units, but {source.name!r} sends {given}; make the widths equal.")


def _check_order(graph):
    """Whenever a node fires, all its inputs must have come since it last did; if none has, it only sends its output again."""
    needed = {node.name: set() if isinstance(node.op, Input) else set(range(node.op.arity)) for node in graph.nodes}
    there, fired = {name: set() for name in needed}, set()
    for arrow in (arrow for arrow in graph.order if isinstance(arrow, Forward)):
        if there[arrow.source] != needed[arrow.source] and (there[arrow.source] or arrow.source not in fired):
            raise ValueError(f"Node {arrow.source!r} fires before its inputs are there; change the order of arrows.")
        there[arrow.source] = set()
        fired.add(arrow.source)
        if not isinstance(arrow, Seed):
            there[arrow.target].add(arrow.slot)


def _check_predictions(graph):
    """What a loss judges may not depend on targets, which `predict` does not have."""
    knowing = set(graph.targets)
    for arrow in graph.forward:
        source, target = graph.node(arrow.source), graph.node(arrow.target)
        if isinstance(target.op, Loss) and arrow.slot == 0:
            _check_prediction(source, target, source.name in knowing)
        elif source.name in knowing:
            knowing.add(target.name)


def _check_prediction(source, loss, is_target):
    if is_target:
        found = f"{source.name!r}, which is or depends on a target, goes into the prediction slot of {loss.name!r}"
        raise ValueError(f"{found}; predictions come in slot 0, targets in slot 1.")
    if loss.op.of_distribution and not source.op.distribution:
        found = f"{loss.name!r} needs a distribution, but {source.name!r}, a {type(source.op).__name__}, gives none"
        raise ValueError(f"{found}; put a Softmax between them, or set distribution = True in the class of an operation of your own.")


def _check_backward(graph):
    """Whoever speaks must have been spoken to: the first message is a loss's seed."""
    heard = set()
    for arrow in graph.order:
        if isinstance(arrow, Backward) and arrow.source not in heard:
            raise ValueError(f"Node {arrow.source!r} speaks before any message has come to it; seed its loss first, or change the order.")
        if isinstance(arrow, Backward):
            _check_way_back(graph.node(arrow.source), graph.node(arrow.target), arrow.slot)
        if isinstance(arrow, Seed) or not isinstance(arrow, Forward):
            heard.add(arrow.target)


def _check_way_back(source, target, slot):
    if slot >= source.op.arity:
        slots = list(range(source.op.arity))
        raise ValueError(f"A backward arrow leaves {source.name!r} by slot {slot}, but its input slots are {slots}; use one of them.")
    if source.op.incoming != target.op.units:
        found = f"Node {source.name!r} speaks to {source.op.incoming} units, but {target.name!r} has {target.op.units}"
        raise ValueError(f"{found}; let backward arrows lead back along forward ones.")


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
    _check_all("parts", parts, Node)
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
    chain, width, depth = [("x", Input(inputs))], inputs, 0
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
