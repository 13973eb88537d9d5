"""Learners: what speaks for a node on the way back. `f` proposes an update of its parameter, `g` makes its message (eq. 3, 1, 6-8).

A learner sees one synapse, one bias, one unit at a time; all of a node share its parameters. What it reads comes in pieces
that broadcast against each other to `(b, *shape, channels)`, so nothing is replicated before it has to be.
"""

from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from . import blocks
from .checks import ACTIVATIONS, check_choice, check_learner, check_number, check_sizes, check_widths
from .nodes import Operation

GLOROT = nn.initializers.glorot_uniform()


class Dense(nn.Module):
    """`y = x W + b`, for an `x` given in pieces that broadcast against each other instead of being concatenated.

    Attributes:
        features: channels of `y`.
        bias: whether there is a `b`.
        first_bias: the value it starts at.

    Raises:
        ValueError: if `features` is no positive whole number, or `first_bias` no finite one.
    """

    features: int
    bias: bool = True
    first_bias: float = 0.0

    def __post_init__(self):
        check_sizes(features=self.features)
        check_number("first_bias", self.first_bias)
        super().__post_init__()

    @nn.compact
    def __call__(self, *pieces: Array) -> Array:
        """`(..., n_1), (..., n_2), ... -> (..., features)`."""
        ends = [sum(piece.shape[-1] for piece in pieces[: k + 1]) for k in range(len(pieces))]
        kernel = self.param("W", GLOROT, (ends[-1], self.features))
        y = sum(piece @ rows for piece, rows in zip(pieces, jnp.split(kernel, ends[:-1]), strict=True))
        if not self.bias:
            return y
        b = self.param("b", nn.initializers.constant(self.first_bias), (self.features,))
        return y + b.reshape((1,) * (y.ndim - 1) + b.shape)


class Perceptron(nn.Module):
    """Dense layers of `widths`, with `activation` between them.

    Attributes:
        widths: channels per layer.
        activation: a name from `nodes.ACTIVATIONS`.
        last_bias: whether the last layer has a bias.

    Raises:
        ValueError: if there are no widths, one is no positive whole number, or the activation is unknown.
    """

    widths: tuple[int, ...]
    activation: str
    last_bias: bool = True

    def __post_init__(self):
        check_widths(self.widths, fewest=1)
        check_choice("activation", self.activation, ACTIVATIONS)
        super().__post_init__()

    @nn.compact
    def __call__(self, *pieces: Array) -> Array:
        """`(..., n_1), (..., n_2), ... -> (..., widths[-1])`."""
        *hidden, last = self.widths
        for width in hidden:
            pieces = (ACTIVATIONS[self.activation](Dense(width)(*pieces)),)
        return Dense(last, bias=self.last_bias)(*pieces)


class Thought(NamedTuple):
    """What a learner answers.

    Attributes:
        carry: the new carry, of the old one's shape, or `None`.
        update: the proposed change, one per entry, `(*shape)`, averaged over the batch (eq. 4); `None` without parameter.
        message: what goes back, one message per input unit, `(b, units, m)`.
    """

    carry: Any
    update: Array | None
    message: Array


class Learner(nn.Module):
    """Base of all learners; subclass it to write your own.

    Attributes:
        message: channels of a message, `>= 1`.
        first_scale: what updates are multiplied with before meta-training. In the paper at most 0.2 x the deviation of the layer's weight
            matrix, for its biases too: 0.01 for fresh weights.

    Raises:
        ValueError: if a size of it is no positive whole number, a number is not finite, or its activation is unknown.
    """

    message: int = 8
    first_scale: float = 0.2 * 0.05
    embedded: ClassVar[bool] = True
    """Whether it reads the embeddings of nodes."""
    adds_up: ClassVar[bool] = True
    """Whether the updates of a parameter that several nodes use add up, as derivatives do; else it moves by their mean."""
    own_gradient: ClassVar[bool] = True
    """Whether, where gradients go back, it reads the derivative by its own parameter; who multiplies inputs with what it hears has it."""
    incidental: ClassVar[frozenset[str]] = frozenset({"first_scale"})
    """Fields that a rule, once it is made, does not depend on; learners that differ in others cannot adopt each other's rules."""

    def __post_init__(self):
        check_learner(self)
        super().__post_init__()

    def first_carry(self, op: Operation, batch: int) -> Any:
        """The carry before the first inner step: an array or any pytree of arrays.

        `(batch * op.places, *op.shape, c)` say, or without batch slots.

        `None` for a learner without memory.
        """
        return None

    def __call__(self, op: Operation, reads: tuple[Array, ...], carry: Any) -> Thought:
        """Thinks for all entries of `op` at once, given what they read and their carry."""
        raise NotImplementedError(f"{type(self).__name__} must say how it thinks: define __call__().")

    def collect(self, op: Operation, messages: Array) -> Array:
        """Turns one message per entry, `(b, *shape, m)`, into one per input unit, `(b, units, m)`: the operation's mean or sum (eq. 5).

        Override it to let a learner collect messages of its own accord, by a recurrent network say (section 3.1).
        """
        return op.collect(messages)


class Stateless(Learner):
    """`f` and `g` as two perceptrons without memory (eq. 3 and eq. 1), both reading the same and both seeing the old parameter.

    Attributes:
        message: channels of a message.
        widths: hidden channels of `f` and of `g`.
        activation: between their layers; their output goes through tanh.
    """

    widths: tuple[int, ...] = (80, 40)
    activation: str = "relu"

    @nn.compact
    def __call__(self, op, reads, carry):
        """See `Learner`; `carry` is `None` and stays so."""
        update = None
        if op.parameter_shape is not None:
            update = jnp.tanh(Perceptron((*self.widths, 1), self.activation, name="f")(*reads))[..., 0].mean(axis=0)
        message = jnp.tanh(Perceptron((*self.widths, self.message), self.activation, name="g")(*reads))
        return Thought(None, update, self.collect(op, message))


class GRU(Learner):
    """`f` and `g` in one gated recurrent unit with a deep candidate (eq. 6-8).

    The carry is `[update, if the node has a parameter] + hidden + message`: its first channel leaves as the update,
    its last `message` channels as the message.

    Attributes:
        message: channels of a message.
        hidden: carry channels that never leave the node: 15 (sinusoid) or 7 (MNIST).
        widths: hidden channels of the candidate's two perceptrons; `()` for a plain gated unit, which `blocks` has nothing to speed up in.
        activation: between their layers: tanh as in the published code, or relu as in the paper.
        gate_bias: first bias of the update gate `u` and the reset gate `r`; below zero favours the candidate.
        blocks: compute by `blocks.advance`, the same arranged for speed and little memory; `False`: by `advance`.
    """

    hidden: int = 15
    widths: tuple[int, ...] = (80, 40)
    activation: str = "tanh"
    gate_bias: float = -1.0
    blocks: bool = True
    incidental = Learner.incidental | {"gate_bias", "blocks"}

    def first_carry(self, op, batch):
        """Zeros, `(batch * op.places, *op.shape, c)`."""
        return jnp.zeros((batch * op.places, *op.shape, (op.parameter_shape is not None) + self.hidden + self.message))

    @nn.compact
    def __call__(self, op, reads, carry):
        """See `Learner`."""
        if self.blocks and self.widths and not self.is_initializing():
            carry = blocks.advance(self.variables["params"], self.activation, reads, carry)
        else:
            carry = self.advance(reads, carry)
        update = None if op.parameter_shape is None else carry[..., 0].mean(axis=0)
        return Thought(carry, update, self.collect(op, carry[..., -self.message :]))

    def advance(self, reads: tuple[Array, ...], carry: Array) -> Array:
        """`c' = u c + (1 - u) tanh(MLP_x(x) + MLP_c(r c) + b_n)` (eq. 8), `(b, *shape, c) -> (b, *shape, c)`."""
        size = carry.shape[-1]
        u = nn.sigmoid(Dense(size, bias=False, name="u_x")(*reads) + Dense(size, first_bias=self.gate_bias, name="u_c")(carry))
        r = nn.sigmoid(Dense(size, bias=False, name="r_x")(*reads) + Dense(size, first_bias=self.gate_bias, name="r_c")(carry))
        candidate = Perceptron((*self.widths, size), self.activation, last_bias=False, name="MLP_x")(*reads)
        candidate += Perceptron((*self.widths, size), self.activation, name="MLP_c")(r * carry)
        return u * carry + (1 - u) * jnp.tanh(candidate)
