"""The GRU cell of `learners`, arranged for speed: channels first, nothing stored but reads and carry, large bundles block by block.

A bundle is laid out as `(channels, n)`, one column per entry of every batch slot, so that no product needs a transposed copy of
something large, on neither way. A bundle of synapses has far more entries than a cache holds hidden channels for: on CPUs it is
cut into blocks, each computed to the end before the next one starts. On the way back all is computed again instead of being
stored. `GRU.advance` is the definition; tests hold the two equal, with their gradients.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .checks import ACTIVATIONS

ENTRIES = 8192
"""Most entries per block on CPUs."""


class Cell(NamedTuple):
    """The parameters of a `GRU` as layers, each a kernel `(out, in)` and a bias `(out,)`.

    Attributes:
        gates: of `u` and of `r`, which take reads and carry side by side.
        hidden: the hidden layers of `MLP_x` and of `MLP_c`, layer by layer.
        last: both last layers.
    """

    gates: tuple[tuple[Array, Array], ...]
    hidden: tuple[tuple[tuple[Array, Array], ...], ...]
    last: tuple[tuple[Array, Array], ...]


def cell(parameters: Mapping[str, Any]) -> Cell:
    """A cell from the parameters of a `GRU`."""
    gates = [(jnp.concatenate([parameters[f"{gate}_x"]["W"], parameters[f"{gate}_c"]["W"]]), parameters[f"{gate}_c"]["b"]) for gate in "ur"]
    perceptrons = parameters["MLP_x"], parameters["MLP_c"]
    names = [f"Dense_{k}" for k in range(len(perceptrons[0]))]
    layers = [tuple(_layer(perceptron[name]) for perceptron in perceptrons) for name in names]
    return Cell(tuple((kernel.T, bias) for kernel, bias in gates), tuple(layers[:-1]), layers[-1])


def _layer(parameters):
    kernel = jnp.asarray(parameters["W"]).T
    return kernel, parameters.get("b", jnp.zeros(kernel.shape[:1], kernel.dtype))


@jax.custom_vjp
def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """`kernel x + bias`, `(in, n) -> (out, n)`; its derivatives, too, come channels first, where JAX's own would be transposed."""
    return kernel @ x + bias[:, None]


def _dense_forward(x, kernel, bias):
    return dense(x, kernel, bias), (x, kernel)


def _dense_backward(kept, cotangent):
    x, kernel = kept
    to_x = lax.dot_general(kernel, cotangent, (((0,), (0,)), ((), ())))
    to_kernel = lax.dot_general(cotangent, x, (((1,), (1,)), ((), ())))
    return to_x, to_kernel, cotangent.sum(axis=1)


dense.defvjp(_dense_forward, _dense_backward)


def step(parameters: Cell, activation: str, reads: Array, carry: Array) -> Array:
    """`GRU.advance` (eq. 8), channels first: `(reads, n), (c, n) -> (c, n)`."""
    act, both = ACTIVATIONS[activation], jnp.concatenate([reads, carry])
    u, r = (jax.nn.sigmoid(dense(both, *layer)) for layer in parameters.gates)
    hidden = reads, r * carry
    for layers in parameters.hidden:
        hidden = tuple(act(dense(h, *layer)) for h, layer in zip(hidden, layers, strict=True))
    from_reads, from_carry = (dense(h, *layer) for h, layer in zip(hidden, parameters.last, strict=True))
    return u * carry + (1 - u) * jnp.tanh(from_reads + from_carry)


def advance(parameters: Mapping[str, Any], activation: str, reads: tuple[Array, ...], carry: Array) -> Array:
    """`GRU.advance`, recomputed on the way back and in blocks where those pay, `(b, *shape, c) -> (b, *shape, c)`.

    Args:
        parameters: of the `GRU`, whose candidate has at least one hidden layer.
        activation: between its layers.
        reads: pieces that broadcast to `(b, *shape, channels)`.
        carry: the carry before.
    """
    shape = carry.shape[:-1]
    bundle = jnp.concatenate([_channels_first(piece, shape) for piece in reads]), _channels_first(carry, shape)
    recomputed = jax.checkpoint(partial(step, cell(parameters), activation))
    blocks = _blocks(carry[..., 0].size)
    if blocks == 1:
        new = recomputed(*bundle)
    else:
        cut = [values.reshape(len(values), blocks, -1).swapaxes(0, 1) for values in bundle]
        new = lax.map(lambda block: recomputed(*block), cut).swapaxes(0, 1)
    return jnp.moveaxis(new.reshape(-1, *shape), 0, -1)


def _channels_first(piece, shape):
    """`(1 or b, ..., channels) -> (channels, n)`, one column per entry."""
    channels = piece.shape[-1]
    return jnp.moveaxis(jnp.broadcast_to(piece, (*shape, channels)), -1, 0).reshape(channels, -1)


def _blocks(entries):
    """The fewest equal blocks of at most `ENTRIES` entries; all in one on accelerators, and where blocks would be far smaller."""
    if jax.default_backend() != "cpu":
        return 1
    fewest = -(-entries // ENTRIES)
    return next((blocks for blocks in range(fewest, 4 * fewest) if entries % blocks == 0), 1)
