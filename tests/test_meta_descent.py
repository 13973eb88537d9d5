"""Gradient descent with learned rates: MAML and its kin against plain numpy, optax, and finite differences of the whole inner run."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mplp_lite as mplp
from helpers import jit, max_difference, random_episode, random_prior, refused, wide
from mplp_lite import baselines, meta
from mplp_lite.meta_descent import MetaDescent
from mplp_lite.network import Network, State
from mplp_lite.run.recipes import Recipe, RecipeError

NET = mplp.mlp(2, 3, 1, activation="tanh")
MAML, META_SGD = MetaDescent(NET, 0.1), MetaDescent(NET, 0.1, "entries")
META_ADAM = MetaDescent(NET, 0.1, "steps", "adam", steps=3)
KINDS = {"maml": MAML, "meta-sgd": META_SGD, "meta-adam": META_ADAM}
KEY, NETWORK = jax.random.key(0), Network(NET)
EPISODE = random_episode(2, 1)
mixing_dtypes = jax.numpy_dtype_promotion("standard")  # optax takes powers of learned decays
TINY = Recipe("tiny", "4", widths=(1, 4, 1), inner_steps=2, inner_batch=3, held_out=5, outer_batch=2, pool=0, learn_prior=True, hint=0.0)


def taught(network, rule, prior, episode=EPISODE):
    """The parameters after each inner step."""
    state = network.begin(prior, episode.batch)
    for x, y in zip(episode.xs, episode.ys, strict=True):
        state, _ = network.update(rule, state, x, y)
        yield state.parameters


def numpy_step(parameters, x, y, rates):
    """Down the gradient of the loss of a network with one layer of tanh, by hand."""
    p = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    hidden = np.tanh(x @ p["W1"] + p["b1"])
    error = (hidden @ p["W2"] + p["b2"] - y) / len(x)
    back = error @ p["W2"].T * (1 - hidden**2)
    gradient = {"W1": x.T @ back, "b1": back.sum(0), "W2": hidden.T @ error, "b2": error.sum(0)}
    return {name: value - np.asarray(rates[name]) * gradient[name] for name, value in p.items()}


@pytest.mark.parametrize("kind", ["maml", "meta-sgd"])
def test_a_step_is_the_gradient_times_the_rates(kind):
    network, expected = KINDS[kind], random_prior(MAML)
    rule = network.new_rule(KEY)
    each = {name: jnp.linspace(0.1, 0.3, value.size).reshape(value.shape) for name, value in rule.scales.items()}
    rule = rule._replace(scales=each)
    rates = rule.scales or dict.fromkeys(expected, 0.1)
    for t, parameters in enumerate(taught(network, rule, expected)):
        expected = numpy_step(expected, EPISODE.xs[t], EPISODE.ys[t], rates)
        assert max_difference(parameters, expected) < 1e-5


def test_before_meta_training_all_are_what_optax_has():
    prior = random_prior(MAML)
    for network, optimizer in ((MAML, optax.sgd(0.1)), (META_SGD, optax.sgd(0.1)), (META_ADAM, optax.adam(0.1))):
        baseline = baselines.GradientDescent(NET, optimizer)
        pairs = zip(taught(network, network.new_rule(KEY), prior), taught(baseline, None, prior), strict=True)
        assert max(max_difference(*pair) for pair in pairs) < 1e-4


def test_each_layer_and_step_has_its_rate_and_later_steps_the_last():
    prior, episode = random_prior(MAML), random_episode(2, 1, steps=5)
    rule = META_ADAM.new_rule(KEY)
    rates = {name: (k + 1) * jnp.array([0.1, 0.02, 0.005]) for k, name in enumerate(rule.scales)}
    steps = list(taught(META_ADAM, rule._replace(scales=rates), prior, episode))
    moments, states = optax.scale_by_adam(eps=0.0), [prior, *steps]
    memory = moments.init(prior)
    for t, (before, after) in enumerate(zip(states, states[1:])):
        down, memory = moments.update(baselines.gradient(NETWORK, State(before, {}), *episode.at(t)), memory)
        for name, of_layer in rates.items():
            np.testing.assert_allclose(after[name] - before[name], -of_layer[min(t, 2)] * down[name], rtol=1e-3, atol=1e-5)


def test_learned_decays_are_adams():
    rule, prior = META_ADAM.new_rule(KEY), random_prior(MAML)
    moved = rule._replace(learners={name: {"b1": jnp.zeros(()), "b2": jnp.zeros(())} for name in rule.learners})  # both decays 1/2
    network = baselines.GradientDescent(NET, optax.adam(0.1, b1=0.5, b2=0.5))
    pairs = zip(taught(META_ADAM, moved, prior), taught(network, None, prior), strict=True)
    assert max(max_difference(*pair) for pair in pairs) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@mixing_dtypes
def test_the_meta_gradient_is_that_of_the_whole_inner_run(kind):
    """Second derivatives and all: along a random direction it is what finite differences say, in float64."""
    network, steps = KINDS[kind], 1e-5
    with wide(True):
        episode, prior = random_episode(2, 1), random_prior(network)
        trained = network.new_rule(KEY).trained | {"prior": prior}

        def loss(trained):
            rule = network.new_rule(KEY).with_trained({name: trained[name] for name in ("learners", "scales")})
            return meta.MetaLoss(hint=0.3)(network, rule, trained["prior"], episode, KEY)[0]

        along = jax.tree.map(lambda leaf: jnp.asarray(np.random.default_rng(leaf.size).normal(size=leaf.shape)), trained)
        slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), jit(jax.grad(loss))(trained), along)))
        ahead, behind = (jit(loss)(jax.tree.map(lambda t, d, by=by: t + by * d, trained, along)) for by in (steps, -steps))
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * steps), rtol=1e-5)


@mixing_dtypes
def test_a_weight_without_a_gradient_breaks_no_meta_gradient():
    """Where a unit is silent Adam divides nothing by nothing."""
    dead = MetaDescent(mplp.mlp(1, 2, 1, activation="relu"), 0.1, "steps", "adam", steps=2)
    prior = {name: jnp.full(shape, -1.0) for name, shape in dead.parameter_shapes.items()}
    episode = random_episode(1, 1, steps=2)
    episode = episode._replace(xs=jnp.abs(episode.xs))
    gradient = jit(jax.grad(lambda prior: meta.MetaLoss()(dead, dead.new_rule(KEY), prior, episode, KEY)[0]))(prior)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)) and np.any(gradient["b2"])


# ---------------------------------------------------------------- as recipes


@pytest.mark.parametrize(("learner", "numbers"), [("maml", 13), ("meta-sgd", 26), ("meta-adam", 29)])
@mixing_dtypes
def test_a_recipe_trains_it_and_a_folder_keeps_it(tmp_path, learner, numbers):
    recipe = replace(TINY, learner=learner, steps=100, first_scale=0.05, learning_rate=0.01, final_learning_rate=0.01)
    trained = mplp.train(recipe, out=tmp_path, quiet=True)
    kept = mplp.load(tmp_path / "rule", recipe.protocol), mplp.load_prior(tmp_path / "rule", recipe.protocol)
    assert max_difference(kept, (trained.rule, trained.prior)) == 0
    assert sum(leaf.size for leaf in jax.tree.leaves((trained.rule, trained.prior))) == numbers
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"] and trained.card["metric"]["mean"] < 0.1


def test_rules_of_another_kind_are_refused(tmp_path):
    mplp.save(tmp_path / "rule", MAML.new_rule(KEY), {}, MAML)
    with refused(mplp.WeightsError, "descent.rate 0.1, not 0.2"):
        mplp.load(tmp_path / "rule", MetaDescent(NET, 0.2))
    with refused(mplp.WeightsError, "was made for"):
        mplp.load(tmp_path / "rule", replace(MAML, direction="adam"))
    with refused(ValueError, "made for another way of learning"):
        META_SGD.update(MAML.new_rule(KEY), META_SGD.init(KEY, 4), *EPISODE.at(0))


def test_rates_that_are_fixed_are_another_program():
    """Arms side by side share one, in which MAML's rate is a constant."""
    slow, fast = (replace(TINY, learner="maml", first_scale=rate) for rate in (0.05, 0.5))
    assert slow.program != fast.program
    assert replace(slow, learner="meta-sgd").program == replace(fast, learner="meta-sgd").program


# ---------------------------------------------------------------- message networks that stay as they were drawn


def test_frozen_messages_stay_and_all_else_moves(tmp_path):
    recipe = replace(TINY, learner="stateless", message=2, steps=10, train_messages=False)
    first = mplp.run.trainer.Trainer(recipe).begin()
    trained = mplp.train(recipe, out=tmp_path, quiet=True)
    for name, learner in trained.rule.learners.items():
        assert max_difference(learner["g"], first.rule.learners[name]["g"]) == 0
        assert "f" not in learner or max_difference(learner["f"], first.rule.learners[name]["f"]) > 0
    free = mplp.train(replace(recipe, train_messages=True), out=tmp_path / "free", quiet=True)
    assert max_difference(free.rule.learners["W2"]["g"], first.rule.learners["W2"]["g"]) > 0


def test_only_stateless_learners_have_messages_to_freeze():
    with pytest.raises(RecipeError, match="train_messages=False was given; it must be true unless learner='stateless'"):
        replace(TINY, train_messages=False)
