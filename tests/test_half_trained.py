"""Networks kept between meta-steps: who goes on, where from, who is let go; and that a rule in turn meets longer and longer runs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mplp_lite as mplp
from helpers import identical, jit, max_difference, random_prior, random_rule, refused
from mplp_lite import half_trained, meta, nodes
from mplp_lite.half_trained import HalfTrained, Keep, Starts
from mplp_lite.network import State
from mplp_lite.run.recipes import Recipe, RecipeError
from mplp_lite.run.trainer import Trainer

KEY = jax.random.key(0)
PROTOCOL = mplp.Protocol(mplp.mlp(1, 2, 1), mplp.GRU(message=1, hidden=1, widths=(2,)))


def numbered(values):
    """States that are told apart by one number each."""
    return State({"w": jnp.asarray(values, float)[:, None]}, {"c": jnp.asarray(values, float)[:, None, None]})


def numbers(states):
    assert states.parameters["w"][:, 0].tolist() == states.carries["c"][:, 0, 0].tolist()
    return states.parameters["w"][:, 0].tolist()


def kept(ages):
    return HalfTrained(numbered(range(1, len(ages) + 1)), jnp.array(ages))


def test_at_first_all_places_are_empty_and_all_start_fresh():
    empty = half_trained.none_yet(PROTOCOL, 3, 5)
    one = PROTOCOL.init(KEY, 3)
    assert empty.ages.tolist() == [0] * 5
    assert all(jax.tree.leaves(jax.tree.map(lambda many, single: many.shape == (5, *single.shape), empty.states, one)))
    fresh = jax.vmap(lambda key: PROTOCOL.init(key, 3))(jax.random.split(KEY, 2))
    begun = half_trained.starts(empty, fresh, KEY, share=1.0)
    assert identical(begun.states, fresh) and begun.ages.tolist() == [0, 0] and len(set(begun.places.tolist())) == 2


@pytest.mark.parametrize("seed", range(5))
def test_episodes_go_on_from_different_occupied_places(seed):
    begun = half_trained.starts(kept([0, 40, 0, 20, 60]), numbered([-1, -2, -3, -4]), jax.random.key(seed), share=1.0)
    *gone_on, fresh = numbers(begun.states)
    assert sorted(gone_on) == [2, 4, 5] and fresh == -4  # three are there, the fourth starts anew
    assert begun.ages.tolist() == [{2: 40, 4: 20, 5: 60}[number] for number in gone_on] + [0]
    assert begun.places[:3].tolist() == [number - 1 for number in gone_on]
    assert begun.places[3] in (5, 2)  # an empty place, or none: what it would have got may be of the three first


def test_without_a_free_place_a_fresh_network_is_not_kept():
    full = kept([20, 40])
    begun = half_trained.starts(full, numbered([-1, -2]), KEY, share=0.0)
    assert numbers(begun.states) == [-1, -2] and begun.places.tolist() == [2, 2]
    after = half_trained.put_back(full, begun, numbered([-5, -6]), 20, jnp.zeros(2), Keep())
    assert identical(after, full)


def test_the_share_is_that_of_episodes_that_go_on():
    full = kept([20] * 50)
    ages = [half_trained.starts(full, numbered([-1] * 50), jax.random.key(seed), share=0.3).ages for seed in range(20)]
    assert np.mean(np.concatenate(ages) > 0) == pytest.approx(0.3, abs=0.05)


def test_who_is_let_go():
    """The too old, the bad, those with a nan in state or loss; their places become empty, all others hold what came back."""
    there = kept([20, 20, 180, 20, 20, 20])
    begun = Starts(numbered(range(6)), jnp.array([20, 0, 180, 20, 20, 20]), jnp.array([0, 1, 2, 3, 4, 6]))
    ends = numbered([11, 12, 13, 14, jnp.nan, 16])
    losses = jnp.array([0.1, 0.1, 0.1, 0.3, 0.1, 0.1])
    after = half_trained.put_back(there, begun, ends, 20, losses, Keep(oldest=200, worst=0.2))
    assert after.ages.tolist() == [40, 20, 0, 0, 0, 20]
    assert numbers(after.states) == [11, 12, 0, 0, 0, 6]
    lost = half_trained.put_back(there, begun, numbered(range(6)), 20, jnp.full(6, jnp.nan), Keep())
    assert lost.ages.tolist() == [0, 0, 0, 0, 0, 20]


# ---------------------------------------------------------------- in meta-training

RECIPE = Recipe("kept", "4", widths=(1, 2, 1), message=1, hidden=1, learner_widths=(2,), inner_steps=3, inner_batch=4, held_out=4)
RECIPE = replace(RECIPE, outer_batch=2, pool=0, keep=3, keep_worst=10.0, keep_oldest=9, steps=30)


def test_a_run_from_a_state_is_the_second_half_of_a_longer_one():
    task = mplp.tasks.Sinusoids(6, 4, 4)
    rule, episode = random_rule(PROTOCOL), task.episode(KEY)
    state = PROTOCOL.begin(random_prior(PROTOCOL), 4)
    halves = [episode._replace(xs=episode.xs[part], ys=episode.ys[part]) for part in (slice(3), slice(3, 6))]
    run = jit(lambda state, half: meta.MetaLoss(0.0).run(PROTOCOL, rule, state, half, KEY))
    whole, _, end = run(state, episode)
    *_, middle = run(state, halves[0])
    second, _, last = run(middle, halves[1])
    assert second == pytest.approx(float(whole), rel=1e-4) and max_difference(last, end) < 1e-5


def test_ages_grow_up_to_the_oldest_and_a_resumed_run_is_the_same(tmp_path):
    whole = mplp.train(RECIPE, out=tmp_path / "whole", quiet=True)
    half = Trainer(RECIPE)
    state = half.begin()
    run = half.compiled()
    seen = []
    for begin in (0, 10, 20):
        state, metrics = run(state, np.arange(begin, begin + 10))
        seen.append(metrics["age"])
    assert max_difference(state.rule, whole.rule) == 0
    ages = np.concatenate(seen)
    assert ages[0] == 0 and 0 < ages.max() <= 6  # 9 is too old
    assert set(state.kept[0].ages.tolist()) <= {0, 3, 6}
    assert {"age", "kept"} <= whole.curve[-1].keys() and whole.curve[-1]["kept"] > 0
    template = half.template()
    assert jax.tree.map(jnp.shape, template.kept) == jax.tree.map(jnp.shape, state.kept)


def test_what_cannot_be_kept_is_refused():
    with refused(RecipeError, "keep=1 was given; it must be 0, or at least outer_batch"):
        replace(RECIPE, keep=1)
    with refused(RecipeError, "keep=3 was given; it must be 0 where the prior is learned"):
        replace(RECIPE, learn_prior=True)
    with refused(ValueError, "3 episodes were given for 2 places"):
        half_trained.starts(kept([0, 0]), numbered([1, 2, 3]), KEY, 0.5)
    with refused(ValueError, "stay on one device"):
        trainer = Trainer(RECIPE)
        states = jax.vmap(lambda key: RECIPE.protocol.init(key, 4))(jax.random.split(KEY, 2))
        episodes = jax.vmap(RECIPE.task.episode)(jax.random.split(KEY, 2))
        experiment = trainer.experiment
        meta.meta_step(
            *(RECIPE.protocol, experiment.meta_loss, experiment.optimizer, trainer.begin(), states, episodes, KEY), devices=jax.devices()
        )


# ---------------------------------------------------------------- steeper activations, rules to go on from


def test_steep_is_the_function_of_a_larger_input():
    x = jnp.linspace(-1.0, 1.0, 7)
    np.testing.assert_allclose(nodes.Steep("sigmoid", 8.0)(x), jax.nn.sigmoid(8 * x), rtol=1e-6)
    with refused(ValueError, "factor=0 was given; it must be above 0"):
        nodes.Steep("sigmoid", 0)


def test_networks_of_different_steepness_take_turns_under_one_rule():
    recipe = replace(RECIPE, activation="sigmoid", turns=("activation=sigmoid*2", "activation=sigmoid*4"), keep=0, outer_batch=1)
    functions = [protocol.graph.node("sigmoid1").op.fn for protocol, _ in recipe.experiment.members]
    assert functions == ["sigmoid", nodes.Steep("sigmoid", 2.0), nodes.Steep("sigmoid", 4.0)]
    assert recipe.experiment.members[0][0] == recipe.protocol
    with refused(RecipeError, r"activation='sigmoid\*x' was given; it must be a name or a steeper one"):
        replace(recipe, activation="sigmoid*x")


def test_networks_in_turn_have_tasks_of_their_own():
    turns = ("inner_batch=5 activation=tanh", "widths=1,7,7,1 inner_steps=3")
    recipe = replace(RECIPE, learner="factored", sharing="kinds", first_scale=0.1, turns=turns, keep=0)
    (_, home), (tanh, larger), (wide, shorter) = recipe.experiment.members
    assert (home.batch, larger.batch, shorter.steps) == (RECIPE.inner_batch, 5, 3)
    assert tanh.graph.node("tanh1").op.fn == "tanh"
    assert wide.graph.node("W2").op.shape == (7, 7)
    trainer = Trainer(replace(recipe, steps=3))
    _, metrics = trainer.compiled()(trainer.begin(), np.arange(3))
    assert np.isfinite(metrics["loss"]).all() and len(set(metrics["loss"].tolist())) == 3
    with refused(RecipeError, "turns has 'steps=7', which changes steps; networks in turn may differ only in source"):
        replace(recipe, turns=("steps=7",))


def test_a_recipe_may_begin_with_a_shipped_rule():
    shipped = mplp.recipes.find("sinusoid")
    going_on = replace(shipped, first="sinusoid", steps=10)
    first = Trainer(going_on).begin().rule
    assert max_difference(first, mplp.load_pretrained("sinusoid", shipped.protocol)) == 0
    with refused(RecipeError, "first='nope' was given; it must be one of"):
        replace(shipped, first="nope")
