"""The message passing graph of Appendix A: nodes that keep a state, arrows that carry messages, an order to fire them in."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from . import nodes
from .checks import check_graph
from .choices import check_choice
from .nodes import AGGREGATORS, Operation


class NodeState(NamedTuple):
    """All that one node knows while the graph is walked.

    Attributes:
        parameter: what it learns, or `None`.
        carry: the memory of its learner, `(b, *shape, c)`, or `None`.
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
        aggregate: how messages from several consumers become one, `"mean"` (the paper) or `"sum"`.
    """

    name: str
    op: Operation
    aggregate: str = "mean"

    def __post_init__(self):
        check_choice("aggregate", self.aggregate, AGGREGATORS)

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
    """

    source: str
    target: str
    slot: int = 0

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
        if state.inputs:
            fired = node.op.forward(state.parameter, *(state.inputs[slot] for slot in range(node.op.arity)))
            state = state._replace(output=fired.output, stored=fired.stored, inputs={})
        return state, state.output

    def deliver(self, state, message):
        """Puts the output into the target's input slot."""
        return state._replace(inputs={**state.inputs, self.slot: message})


@dataclass(frozen=True)
class Seed(Forward):
    """The reflexive arrow of a loss: its value becomes its own first message, `(b, units, 1)`."""

    def send(self, node, state, learn):
        """Fires the loss."""
        state, loss = super().send(node, state, learn)
        return state, loss[..., None]

    deliver = Arrow.deliver


@dataclass(frozen=True)
class Backward(Arrow):
    """Carries the learner's message back along input `slot` of its node; the learner speaks once for all arrows that leave it."""

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
    """
    states = dict(states)
    for arrow in order:
        states[arrow.source], message = arrow.send(graph.node(arrow.source), states[arrow.source], learn)
        states[arrow.target] = arrow.deliver(states[arrow.target], message)
    return states


@dataclass(frozen=True)
class Graph:
    """A directed multigraph and the order in which one inner step fires its arrows, both plain data.

    Attributes:
        nodes: the nodes, names unique.
        order: the arrows as one inner step fires them.

    Raises:
        ValueError: if nodes and arrows do not fit together.
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
