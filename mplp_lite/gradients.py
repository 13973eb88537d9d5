"""Gradients beside messages: what the paper kept out, and suggests in sections 1 and 5 (`Protocol.gradients`).

The last channel of all that goes back is then the derivative of the loss, summed over output units, by what a node put out. Nobody
changes it but the chain rule: `descent.derivative` takes it from a node's output to its inputs, and to what the node itself may change.
"""

from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from .descent import derivative
from .nodes import Loss, Operation


def beside(pieces: tuple[Array, ...]) -> tuple[Array, ...]:
    """What was heard, `(..., m + 1)`, as two pieces that are standardized apart: message `(..., m)` and derivative `(..., 1)`."""
    heard, *others = pieces
    return heard[..., :-1], heard[..., -1:], *others


def together(pieces: tuple[Array, ...]) -> tuple[Array, ...]:
    """Message and derivative as one piece again, `(..., m + 1)`."""
    message, derivative, *others = pieces
    return jnp.concatenate([message, derivative], axis=-1), *others


def chain_rule(op: Operation, pieces: tuple[Array, ...]) -> tuple[Array | None, Array]:
    """The derivative of the loss by a node's own parameter, entry by entry, and by each input, `(b places, *shape, 1)` and `(b, units, 1)`.

    The first is `None` where there is no parameter.

    Args:
        op: the node's operation.
        pieces: message, derivative (where `op` is no loss), parameter, if there is one, and all that was stored, as `Operation.read`
            has them.

    Raises:
        ValueError: if the operation has several inputs, and no derivative of its own.
    """
    arriving, *others = pieces if isinstance(op, Loss) else pieces[1:]
    parameter = None if op.parameter_shape is None else others.pop(0)
    by_parameter, by_input = derivative(op, arriving, parameter, *others)
    if by_input.shape[-1] != 1:
        raise ValueError(f"{type(op).__name__} has {by_input.shape[-1]} inputs; register its descent.derivative, the same for all of them.")
    return by_parameter, (replace(op, aggregate="sum") if hasattr(op, "aggregate") else op).collect(by_input)
