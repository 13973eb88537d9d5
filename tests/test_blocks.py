"""The GRU in blocks against its definition: values, gradients, second calls; and when it is used."""

import jax
import numpy as np
import pytest

from helpers import jit, max_difference, noise, random_prior, random_rule
from mplp_lite import GRU, Protocol, blocks, mlp
from mplp_lite.nodes import Activation, Bias, Weight

BATCH = 6


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of these small bundles, too."""
    monkeypatch.setattr(blocks, "ENTRIES", 24)


def weight_case(batch=BATCH, **fields):
    """A learner, its parameters, and what it reads at a bundle of 12 synapses."""
    learner, op = GRU(message=3, hidden=2, **fields), Weight(inputs=3, units=4)
    reads = noise(1, batch, 1, 4, 3), noise(2, 1, 3, 4, 1), noise(3, batch, 3, 1, 1)
    carry = 0.3 * noise(4, batch, 3, 4, 6)
    shapes = jax.eval_shape(lambda: learner.init(jax.random.key(0), op, reads, carry))["params"]
    seeds = iter(range(100, 200))
    return learner, op, jax.tree.map(lambda leaf: 0.4 * noise(next(seeds), *leaf.shape), shapes), reads, carry


def both(learner, op, reads):
    """`advance` as defined, and in blocks: functions of parameters and carry."""
    plain = learner.clone(blocks=False)
    return (
        jit(lambda parameters, carry: plain.apply({"params": parameters}, op, reads, carry).carry),
        jit(lambda parameters, carry: blocks.advance(parameters, learner.activation, reads, carry)),
    )


@pytest.mark.parametrize("fields", [{}, {"activation": "relu"}, {"widths": (5,)}, {"widths": (7, 5, 4)}], ids=["code", "paper", "1", "3"])
def test_equal_in_value_and_at_a_second_call(fields):
    learner, op, parameters, reads, carry = weight_case(**fields)
    defined, blocked = both(learner, op, reads)
    for _ in range(2):
        expected, carry = defined(parameters, carry), blocked(parameters, carry)
        np.testing.assert_allclose(carry, expected, atol=3e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_equal_in_gradient(activation):
    learner, op, parameters, reads, carry = weight_case(activation=activation)
    direction = noise(9, *carry.shape)

    def gradient(advance):
        return jit(jax.grad(lambda p, r, c: (advance(p, r, c) * direction).sum(), argnums=(0, 1, 2)))(parameters, reads, carry)

    plain = learner.clone(blocks=False)
    expected = gradient(lambda p, r, c: plain.apply({"params": p}, op, r, c).carry)
    found = gradient(lambda p, r, c: blocks.advance(p, activation, r, c))
    largest = max(float(abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    assert max_difference(found, expected) < 5e-6 * largest


@pytest.mark.parametrize("op", [Bias(4), Activation(4, "tanh")], ids=["bias", "activation"])
def test_equal_for_unit_wise_operations(op):
    learner = GRU(message=2, hidden=1)
    own = () if op.parameter_shape is None else (noise(2, 1, 4, 1),)
    reads = noise(1, BATCH, 4, 2), *own, noise(3, BATCH, 4, 1)
    carry = 0.3 * noise(4, BATCH, 4, 3 + len(own))
    parameters = learner.init(jax.random.key(0), op, reads, carry)["params"]
    defined, blocked = both(learner, op, reads)
    np.testing.assert_allclose(blocked(parameters, carry), defined(parameters, carry), atol=3e-6)


def test_an_inner_step_is_the_same_with_and_without(monkeypatch):
    net = mlp(3, 4, 2, activation="sigmoid", loss="cross_entropy")
    used = []
    monkeypatch.setattr(blocks, "step", lambda *args, step=blocks.step: used.append(True) or step(*args))
    updated = []
    for in_blocks in (False, True):
        protocol = Protocol(net, GRU(message=3, hidden=2, blocks=in_blocks))
        assert not used
        start = protocol.begin(random_prior(protocol), BATCH)
        state, _ = jit(protocol.update)(random_rule(protocol), start, noise(1, BATCH, 3), noise(2, BATCH, 2))
        updated.append(state)
    assert used
    assert max_difference(*updated) < 1e-6


@pytest.mark.parametrize(
    ("entries", "count"),
    [(24, 1), (25, 5), (48, 2), (49, 7), (72, 3), (96, 4), (98, 7), (57600, 2400), (23, 1), (1, 1), (29, 1), (2 * 29, 1)],
)
def test_blocks_are_the_fewest_equal_ones_that_fit_or_there_is_one(entries, count):
    """Of at most 24 entries; a prime number of entries stays whole."""
    assert blocks._blocks(entries) == count


def test_accelerators_get_all_at_once(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert blocks._blocks(57600) == 1


@pytest.mark.parametrize("entries", [24, 1000], ids=["in blocks", "whole"])
def test_nothing_but_reads_and_carry_is_stored_for_the_way_back(monkeypatch, entries):
    """What a reverse pass keeps of one call: parameters, reads, carry and what only reshapes or cuts them; no hidden channel."""
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    learner, op, parameters, reads, carry = weight_case()

    def kept(of):
        _, pullback = jax.vjp(lambda p, c: of(p, c).sum(), parameters, carry)
        leaves = jax.tree.leaves(pullback)
        return sum(leaf.size for leaf in leaves if leaf.ndim > 2 or leaf.shape[-1:] == (carry[..., 0].size,))

    plain = learner.clone(blocks=False)
    given = carry.size + carry[..., 0].size * sum(piece.shape[-1] for piece in reads)
    assert kept(lambda p, c: blocks.advance(p, learner.activation, reads, c)) <= 2 * given
    assert kept(lambda p, c: plain.apply({"params": p}, op, reads, c).carry) > 20 * given
