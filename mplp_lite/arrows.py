"""Nodes that keep a state, and arrows that carry messages between them (appendix A)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .checks import AGGREGATORS, check_choice, check_sizes, check_type, shown
from .nodes import Operation


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
        aggregate: how messages from several consumers become one, `"mean"` or `"sum"`: ours, the paper averages inside a layer (eq. 5).
        tied_to: name of the node whose parameter, learner, standardizer and scale this one uses, as the steps of an unrolled network
            do; what they add to the parameter in one inner step adds up, or its mean counts, see `Learner.adds_up`. Carries stay apart.
            `""`: it has its own.
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
    """The reflexive arrow of a loss: its value becomes its own first message, `(b, units, 1)` (our reading of eq. 2)."""

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


def _check_inputs(node, state):
    if state.output is None and not state.inputs:
        raise ValueError(f"Node {node.name!r} is to send before anything has come to it; put its data into its state's inputs.")
    if state.inputs and (missing := set(range(node.op.arity)) - set(state.inputs)):
        raise ValueError(f"Node {node.name!r} is to fire, but nothing has come to its slots {sorted(missing)}; fire more arrows first.")
