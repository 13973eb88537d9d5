"""Gradient descent as a protocol: one number per message, `g` a local derivative times it, `f = -m x` (chapter 3).

A message is the derivative of the loss by a unit's output when it arrives, and by its input when it leaves. Derivatives add
up, so build graphs with `aggregate="sum"`. Rules are used as `new_rule` makes them, not calibrated; a scale is a learning rate.
"""

from functools import singledispatch

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from .learners import Learner, Thought
from .losses import L1, L2, CrossEntropy
from .nodes import Activation, Add, Bias, Loss, Operation, Softmax, Synapses

SLOPES = {
    "relu": lambda x: (x > 0).astype(x.dtype),
    "sigmoid": lambda x: jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)),
    "tanh": lambda x: 1 - jnp.tanh(x) ** 2,
    "step": jnp.zeros_like,
}


class Backprop(Learner):
    """Gradient descent: `optax.sgd(first_scale)` on the loss summed over output units and averaged over the batch.

    Attributes:
        message: channels of a message: 1.
        first_scale: the learning rate.

    Raises:
        ValueError: for messages of another size; when it is to speak for a weight node that averages its messages.
    """

    message: int = 1
    first_scale: float = 0.1
    embedded = False

    def __post_init__(self):
        if self.message != 1:
            raise ValueError(f"message={self.message} was given; a derivative is one number, so message is 1 here.")
        super().__post_init__()

    @nn.compact
    def __call__(self, op, reads, carry):
        """See `Learner`."""
        if isinstance(op, Synapses) and op.aggregate != "sum":
            raise ValueError(f"A weight node has aggregate={op.aggregate!r}, but derivatives add up; build it with aggregate='sum'.")
        message, *stored = reads
        parameter = None if op.parameter_shape is None else self.way_back(op, stored.pop(0))
        by_parameter, by_input = derivative(op, message, parameter, *stored)
        if parameter is None:
            return Thought(None, None, op.collect(by_input))
        carry, update = self.remember(carry, -by_parameter)
        return Thought(carry, update[..., 0].mean(axis=0) * op.places, op.collect(by_input))

    def way_back(self, op: Operation, parameter: Array) -> Array:
        """What messages are multiplied with on their way back: the parameter itself, `(1, *shape, 1)`."""
        return parameter

    def remember(self, carry: Array | None, update: Array) -> tuple[Array | None, Array]:
        """The new carry and what is proposed, when this step alone asks for `update (b, *shape, 1)`."""
        return carry, update


class Momentum(Backprop):
    """The same with a velocity in the carry, one per batch slot and synapse: `optax.sgd(first_scale, momentum)`.

    Attributes:
        momentum: how much of the velocity a step keeps.
    """

    momentum: float = 0.9

    def first_carry(self, op, batch):
        """Zero velocities, `(batch * op.places, *op.shape, 1)`, where there is a parameter."""
        return None if op.parameter_shape is None else jnp.zeros((batch * op.places, *op.shape, 1))

    def remember(self, carry, update):
        """`v' = momentum v - m x`, both kept and proposed."""
        carry = self.momentum * carry + update
        return carry, carry


class FeedbackAlignment(Backprop):
    """The same with a way back of its own: messages pass a weight node through fixed random numbers `B` instead of its weights.

    `B` belongs to the learner: `new_rule` draws it, no inner step changes it.

    Attributes:
        deviation: standard deviation of `B`; at 0 only the last layer learns.
    """

    deviation: float = 0.5

    def way_back(self, op, parameter):
        """`B (1, i, j, 1)` at a weight node, the parameter itself elsewhere; a ValueError if nodes of other shapes share it."""
        if not isinstance(op, Synapses):
            return parameter
        if self.has_variable("params", "B") and self.get_variable("params", "B").shape != op.shape:
            raise ValueError("Weight nodes of different shapes cannot share one way back; use sharing='none'.")
        return self.param("B", nn.initializers.normal(self.deviation), op.shape)[None, ..., None]


@singledispatch
def derivative(op: Operation, message: Array, parameter: Array | None, *stored: Array) -> tuple[Array | None, Array]:
    """The one thing to know about an operation: the loss's derivatives by its parameter (or `None`) and by its input.

    It is given what the node's learner reads, and answers entry by entry, `(b, *shape, 1)`; entries that share a number of the
    parameter need a `pool` that adds up. An operation of your own that works unit by unit and stores its inputs is differentiated by
    JAX, with one message channel per input, from which `answer` picks; any other must be registered.
    """
    if len(stored) != op.arity:
        raise ValueError(f"{type(op).__name__} does not store its {op.arity} inputs; let it, or register its descent.derivative.")
    own = None if parameter is None else jnp.broadcast_to(parameter[0, ..., 0], op.shape)

    def one(message, *inputs):
        _, back = jax.vjp(lambda p, *inputs: op.forward(p, *(x[None] for x in inputs)).output[0], own, *inputs)
        return back(jnp.ones_like(message) if isinstance(op, Loss) else message)

    by_parameter, *by_inputs = jax.vmap(one)(message[..., 0], *(value[..., 0] for value in stored))
    by_input = jnp.stack(by_inputs[:1] if isinstance(op, Loss) else by_inputs, axis=-1)
    return None if by_parameter is None else by_parameter[..., None], by_input


derivative.register(Synapses, lambda op, m, w, x: (m * x, m * w))
derivative.register(Bias, lambda op, m, b, x: (m, m))
derivative.register(Add, lambda op, m, _, x, other: (None, m))
derivative.register(L2, lambda op, loss, _, p, t, difference: (None, -difference))
derivative.register(L1, lambda op, loss, _, p, t: (None, jnp.sign(p - t)))


@derivative.register
def _(op: Activation, message, _, x):
    if op.fn in SLOPES:
        return None, message * SLOPES[op.fn](x)
    return derivative.dispatch(object)(op, message, None, x)


@derivative.register
def _(op: Softmax, message, _, x, shifted, exponential, total):
    p = exponential / total
    return None, p * (message - (p * message).sum(axis=1, keepdims=True))


@derivative.register
def _(op: CrossEntropy, loss, _, p, t, log):
    inside = (p > 1e-7) & (p < 1 - 1e-7)  # where the clip holds p, nothing depends on it
    return None, jnp.where(inside, -t / p, 0.0)
