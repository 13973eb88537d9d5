"""Dense layers that take their input in pieces; what learners are made of."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from .nodes import ACTIVATIONS

GLOROT = nn.initializers.glorot_uniform()


class Dense(nn.Module):
    """`y = x W + b`, for an `x` given in pieces that broadcast against each other instead of being concatenated.

    Attributes:
        features: channels of `y`.
        bias: whether there is a `b`.
        first_bias: the value it starts at.
    """

    features: int
    bias: bool = True
    first_bias: float = 0.0

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
    """

    widths: tuple[int, ...]
    activation: str
    last_bias: bool = True

    @nn.compact
    def __call__(self, *pieces: Array) -> Array:
        """`(..., n_1), (..., n_2), ... -> (..., widths[-1])`."""
        *hidden, last = self.widths
        for width in hidden:
            pieces = (ACTIVATIONS[self.activation](Dense(width)(*pieces)),)
        return Dense(last, bias=self.last_bias)(*pieces)
