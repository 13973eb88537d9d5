"""Standardizers: what a learner reads has mean 0 and deviation 1, what it proposes is centred and small (section "Normalization").

Statistics are scalars, one pair per piece that a learner reads: measured once by calibration and frozen from then on (the paper),
or at every call (ours).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_sizes, check_type

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
    """Statistics that change nothing, before any calibration.

    Raises:
        ValueError: if `pieces` is no positive whole number.
    """
    check_sizes(pieces=pieces)
    return Statistics(jnp.ones(pieces), jnp.zeros(pieces), jnp.zeros(()) if has_parameter else None)


def _check_reads(reads):
    check_type("reads", reads, tuple | list, "a tuple of arrays, one per piece")
    if not reads:
        raise ValueError("A learner reads 0 pieces; give at least its message.")


def measure(reads: tuple[Array, ...]) -> tuple[Array, Array]:
    """`norm` and `mean_zeroer` of the pieces, `(pieces,)` each; a piece that hardly varies, such as a single number, keeps norm 1.

    Raises:
        ValueError, TypeError: if `reads` is no tuple of at least one piece.
    """
    _check_reads(reads)
    variance = jnp.stack([piece.var() for piece in reads])
    flat = variance < SMALLEST_DEVIATION**2
    norm = jnp.where(flat, 1.0, jax.lax.rsqrt(jnp.where(flat, 1.0, variance)))
    return norm, -jnp.stack([piece.mean() for piece in reads])


def measure_size(reads: tuple[Array, ...]) -> tuple[Array, Array]:
    """The same with `norm` 1 / root mean square and nothing to take off."""
    _check_reads(reads)
    square = jnp.stack([jnp.square(piece).mean() for piece in reads])
    tiny = square < SMALLEST_DEVIATION**2
    return jnp.where(tiny, 1.0, jax.lax.rsqrt(jnp.where(tiny, 1.0, square))), jnp.zeros(len(reads))


def measure_nothing(reads: tuple[Array, ...]) -> tuple[Array, Array]:
    """The same with `norm` 1 and nothing to take off."""
    _check_reads(reads)
    return jnp.ones(len(reads)), jnp.zeros(len(reads))


def standardize(statistics: Statistics, reads: tuple[Array, ...]) -> tuple[Array, ...]:
    """`(piece + mean_zeroer) norm`, piece by piece, shapes unchanged.

    Raises:
        ValueError: if the statistics are of another number of pieces.
    """
    check_type("statistics", statistics, Statistics, "the Statistics of one node")
    if jnp.shape(statistics.norm) != (len(reads),):
        raise ValueError(f"The statistics have shape {jnp.shape(statistics.norm)}, but {len(reads)} pieces are read; measure them again.")
    return tuple((piece + statistics.mean_zeroer[k]) * statistics.norm[k] for k, piece in enumerate(reads))


class Normalizer(NamedTuple):
    """A way to standardize.

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
    """`(update - out_mean) scale`: the step that is really taken; `scale` is meta-trained.

    Raises:
        ValueError: if mean or scale is more than one number.
    """
    for what, value in (("out_mean", out_mean), ("scale", scale)):
        if jnp.shape(value) != ():
            raise ValueError(f"{what} has shape {jnp.shape(value)}; it must be one number.")
    return (update - out_mean) * scale
