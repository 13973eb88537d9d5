"""The GRU cell of `learners`, arranged for speed: fused projections, nothing stored but the carry, large bundles block by block.

A bundle of synapses has far more entries than a cache holds hidden channels for. On CPUs its batch is cut into groups of
slots; each group is computed to the end before the next one starts. On the way back all is computed again instead of being
stored. `GRU.advance` is the definition; tests hold the two equal, with their gradients.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import ACTIVATIONS

ENTRIES = 8192
"""Entries per block on CPUs."""


class Cell(NamedTuple):
    """The parameters of a `GRU`, products that share a factor side by side.

    Attributes:
        from_reads: `(n, 2c + h)`: what is read, to `u`, `r` and the first layer of `MLP_x`.
        from_carry: `(c, 2c)`: the carry, to `u` and `r`.
        bias: `(2c + h,)`: of those.
        first: kernel and bias of `MLP_c`'s first layer.
        middle: kernels and biases of the further hidden layers: of `MLP_x` and of `MLP_c`, layer by layer.
        last: kernel `(2h', c)` of both last layers, and their one bias.
    """

    from_reads: Array
    from_carry: Array
    bias: Array
    first: tuple[Array, Array]
    middle: tuple[tuple[tuple[Array, Array], tuple[Array, Array]], ...]
    last: tuple[Array, Array]


def fuse(parameters: Mapping[str, Any]) -> Cell:
    """A cell from the parameters of a `GRU`."""
    hidden = len(parameters["MLP_x"]) - 1
    last = f"Dense_{hidden}"
    p, x, c = parameters, parameters["MLP_x"], parameters["MLP_c"]
    return Cell(
        from_reads=jnp.concatenate([p["u_x"]["W"], p["r_x"]["W"], x["Dense_0"]["W"]], axis=1),
        from_carry=jnp.concatenate([p["u_c"]["W"], p["r_c"]["W"]], axis=1),
        bias=jnp.concatenate([p["u_c"]["b"], p["r_c"]["b"], x["Dense_0"]["b"]]),
        first=_layer(c["Dense_0"]),
        middle=tuple((_layer(x[f"Dense_{k}"]), _layer(c[f"Dense_{k}"])) for k in range(1, hidden)),
        last=(jnp.concatenate([x[last]["W"], c[last]["W"]]), c[last]["b"]),
    )


def _layer(parameters):
    return parameters["W"], parameters["b"]


def _dense(x, layer):
    kernel, bias = layer
    return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + bias.shape)


def step(cell: Cell, activation: str, reads: tuple[Array, ...], carry: Array) -> Array:
    """`GRU.advance` (eq. 8) with fused products, `(b, *shape, c) -> (b, *shape, c)`."""
    act, size = ACTIVATIONS[activation], carry.shape[-1]
    ends = [sum(piece.shape[-1] for piece in reads[: k + 1]) for k in range(len(reads))]
    projected = sum(piece @ rows for piece, rows in zip(reads, jnp.split(cell.from_reads, ends[:-1]), strict=True))
    projected += cell.bias.reshape((1,) * (carry.ndim - 1) + cell.bias.shape)
    gates = jax.nn.sigmoid(projected[..., : 2 * size] + carry @ cell.from_carry)
    u, r = gates[..., :size], gates[..., size:]
    hidden = act(projected[..., 2 * size :]), act(_dense(r * carry, cell.first))
    for layers in cell.middle:
        hidden = tuple(act(_dense(h, layer)) for h, layer in zip(hidden, layers, strict=True))
    return u * carry + (1 - u) * jnp.tanh(_dense(jnp.concatenate(hidden, axis=-1), cell.last))


def advance(parameters: Mapping[str, Any], activation: str, reads: tuple[Array, ...], carry: Array) -> Array:
    """`GRU.advance`, recomputed on the way back and in blocks where those pay, `(b, *shape, c) -> (b, *shape, c)`.

    Args:
        parameters: of the `GRU`, which has at least one hidden layer.
        activation: between its layers.
        reads: pieces that broadcast to `(b, *shape, channels)`; one with a single slot serves the whole batch.
        carry: the carry before.
    """
    groups, recomputed = _groups(carry), jax.checkpoint(partial(step, fuse(parameters), activation))
    if groups == 1:
        return recomputed(reads, carry)
    own = [piece.shape[0] == carry.shape[0] for piece in reads]
    slots = [_cut(piece, groups) for piece, is_own in zip(reads, own, strict=True) if is_own]

    def block(group):
        slots, carry = iter(group[0]), group[1]
        return recomputed(tuple(next(slots) if is_own else piece for piece, is_own in zip(reads, own, strict=True)), carry)

    return jax.lax.map(block, (slots, _cut(carry, groups))).reshape(carry.shape)


def _groups(carry):
    """The fewest equal groups of batch slots with at most `ENTRIES` entries, or single slots; all in one on accelerators."""
    batch, entries = carry.shape[0], carry[0, ..., 0].size
    if jax.default_backend() != "cpu":
        return 1
    fitting = [groups for groups in range(1, batch) if batch % groups == 0 and batch // groups * entries <= ENTRIES]
    return min(fitting, default=batch)


def _cut(values, groups):
    return values.reshape(groups, values.shape[0] // groups, *values.shape[1:])
