"""Standardisers: what a learner reads has mean 0 and deviation 1, what it proposes is centred and small (section "Normalization").

Statistics are scalars, one pair per piece that a learner reads: measured once by calibration and frozen from then on (the paper),
or at every call (ours).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

SMALLEST_DEVIATION = 1e-5


class Statistics(NamedTuple):
    """What calibration measured at one node; never meta-trained.

    Attributes:
        norm: 1 / deviation per piece read, `(pieces,)`.
        mean_zeroer: minus the mean per piece read, `(pieces,)`.
        out_mean: mean of the proposed updates, `()`; `None` where there is no parameter.
    """

    norm: Array
    mean_zeroer: Array
    out_mean: Array | None


def neutral(pieces: int, has_parameter: bool) -> Statistics:
    """Statistics that change nothing, before any calibration."""
    return Statistics(jnp.ones(pieces), jnp.zeros(pieces), jnp.zeros(()) if has_parameter else None)


def measure(reads: tuple[Array, ...]) -> tuple[Array, Array]:
    """`norm` and `mean_zeroer` of the pieces, `(pieces,)` each; a piece that hardly varies keeps norm 1."""
    variance = jnp.stack([piece.var() for piece in reads])
    flat = variance < SMALLEST_DEVIATION**2
    norm = jnp.where(flat, 1.0, jax.lax.rsqrt(jnp.where(flat, 1.0, variance)))
    return norm, -jnp.stack([piece.mean() for piece in reads])


def measure_size(reads: tuple[Array, ...]) -> tuple[Array, Array]:
    """The same with `norm` 1 / root mean square and nothing to take off."""
    square = jnp.stack([jnp.square(piece).mean() for piece in reads])
    tiny = square < SMALLEST_DEVIATION**2
    return jnp.where(tiny, 1.0, jax.lax.rsqrt(jnp.where(tiny, 1.0, square))), jnp.zeros(len(reads))


def measure_nothing(reads: tuple[Array, ...]) -> tuple[Array, Array]:
    """The same with `norm` 1 and nothing to take off."""
    return jnp.ones(len(reads)), jnp.zeros(len(reads))


def standardize(statistics: Statistics, reads: tuple[Array, ...]) -> tuple[Array, ...]:
    """`(piece + mean_zeroer) norm`, piece by piece, shapes unchanged."""
    return tuple((piece + statistics.mean_zeroer[k]) * statistics.norm[k] for k, piece in enumerate(reads))


class Normalizer(NamedTuple):
    """A way to standardise.

    Attributes:
        measure: gives `norm` and `mean_zeroer` of what is read.
        frozen: whether calibration measures, once; else every call does.
        centred: whether updates are centred.
    """

    measure: Callable[[tuple[Array, ...]], tuple[Array, Array]]
    frozen: bool
    centred: bool


NORMALIZERS = {
    "frozen": Normalizer(measure, frozen=True, centred=True),
    "batch": Normalizer(measure, frozen=False, centred=True),
    "rms": Normalizer(measure_size, frozen=False, centred=False),
    "none": Normalizer(measure_nothing, frozen=False, centred=False),
}


def rescale(update: Array, out_mean: Array, scale: Array) -> Array:
    """`(update - out_mean) scale`: the step that is really taken; `scale` is meta-trained."""
    return (update - out_mean) * scale
