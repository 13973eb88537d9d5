"""Standardizers against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import identical, noise
from mplp_lite.standardize import SMALLEST_DEVIATION, Statistics, measure, neutral, rescale, standardize

READS = noise(0, 4, 1, 3, 5) * 3 + 2, noise(1, 1, 2, 3, 1) * 0.1 - 7, noise(2, 4, 2, 1, 1)


def test_measure_is_one_over_deviation_and_minus_mean():
    norm, mean_zeroer = measure(READS)
    np.testing.assert_allclose(norm, [1 / np.std(piece) for piece in READS], rtol=1e-5)
    np.testing.assert_allclose(mean_zeroer, [-np.mean(piece) for piece in READS], rtol=1e-5)


def test_measuring_a_piece_before_it_is_replicated_changes_nothing():
    full = tuple(jnp.broadcast_to(piece, (4, 2, 3, piece.shape[-1])) for piece in READS)
    for ours, theirs in zip(measure(READS), measure(full), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_standardised_pieces_have_mean_0_and_deviation_1_and_keep_their_shape():
    for before, after in zip(READS, standardize(Statistics(*measure(READS), None), READS), strict=True):
        assert after.shape == before.shape
        assert np.mean(after) == pytest.approx(0, abs=1e-4)
        assert np.std(after) == pytest.approx(1, abs=1e-5)


def test_standardize_adds_then_multiplies_piece_by_piece():
    statistics = Statistics(jnp.array([2.0, 3.0]), jnp.array([10.0, -1.0]), None)
    first, second = standardize(statistics, (jnp.array([[1.0]]), jnp.array([[5.0, 0.0]])))
    np.testing.assert_array_equal(first, [[22.0]])
    np.testing.assert_array_equal(second, [[12.0, -3.0]])


@pytest.mark.parametrize("deviation, kept", [(0.0, True), (0.9e-5, True), (1.1e-5, False)])
def test_a_piece_that_hardly_varies_keeps_norm_1(deviation, kept):
    assert SMALLEST_DEVIATION == 1e-5
    norm, _ = measure((deviation * jnp.array([-1.0, 1.0]),))
    assert float(norm[0]) == pytest.approx(1.0 if kept else 1 / deviation, rel=1e-4)


def test_gradients_through_a_constant_piece_are_finite():
    gradient = jax.grad(lambda x: sum(value.sum() for value in measure((jnp.full((3, 2), 4.0) * x, noise(1, 3, 2) * x))))(1.0)
    assert np.isfinite(gradient)


@pytest.mark.parametrize("has_parameter", [True, False])
def test_neutral_statistics_change_nothing(has_parameter):
    statistics = neutral(3, has_parameter)
    assert identical(standardize(statistics, READS), READS)
    assert statistics.norm.shape == statistics.mean_zeroer.shape == (3,)
    assert (statistics.out_mean is not None) == has_parameter
    if has_parameter:
        update = noise(3, 2, 2)
        assert identical(rescale(update, statistics.out_mean, jnp.ones(())), update)


def test_rescale_centres_then_scales():
    np.testing.assert_allclose(rescale(jnp.array([1.0, 3.0]), jnp.array(2.0), jnp.array(0.01)), [-0.01, 0.01], rtol=1e-6)
