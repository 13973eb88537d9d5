"""Recipes: plain, frozen data; every field can be set from the command line, and what cannot be is refused in one sentence."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mplp_lite import GRU, Factored, Stateless
from mplp_lite.run.recipes import RECIPES, Recipe, RecipeError, find

PLAIN = Recipe("plain", "4")


def assert_one_sentence(error):
    assert "\n" not in str(error) and 20 < len(str(error)) < 400 and str(error).endswith("."), str(error)


# ---------------------------------------------------------------- fields and their values

GOOD = {
    "family=sinusoids": "sinusoids",
    "microbatch=2": 2,
    "widths=1,4,1": (1, 4, 1),
    "widths=(1, 1)": (1, 1),
    "activation=sigmoid": "sigmoid",
    "loss=l1": "l1",
    "learner=stateless": "stateless",
    "message=3": 3,
    "hidden=2": 2,
    "sharing=all": "all",
    "gradients=True": True,
    "first_scale=0.1": 0.1,
    "inner_steps=7": 7,
    "inner_batch=4": 4,
    "held_out=6": 6,
    "parts=1": 1,
    "outer_batch=2": 2,
    "pool=0": 0,
    "hint=0.25": 0.25,
    "remember=0.5": 0.5,
    "hint=1": 1.0,
    "steps=9": 9,
    "learning_rate=1e-2": 0.01,
    "warmup=10": 10,
    "final_learning_rate=0": 0.0,
    "b2=.9": 0.9,
    "episode_clip=0.3": 0.3,
    "calibration_runs=3": 3,
    "calibration_momentum=0.5": 0.5,
    "learn_prior=True": True,
    "source=sklearn": "sklearn",
    "train_messages=True": True,
    "learner_widths=8,4": (8, 4),
    "interior=relu": "relu",
    "keep=8": 8,
    "keep_oldest=50": 50,
    "keep_worst=0.1": 0.1,
    "reach=3": 3.0,
    "turns='activation=tanh',": ("activation=tanh",),
    "view=inverted": "inverted",
    "first=": "",
}


@pytest.mark.parametrize(("assignment", "value"), GOOD.items())
def test_every_field_can_be_set(assignment, value):
    name = assignment.partition("=")[0]
    changed = PLAIN.changed([assignment])
    assert getattr(changed, name) == value and type(getattr(changed, name)) is type(value)
    assert replace(changed, **{name: getattr(PLAIN, name)}) == PLAIN


def test_the_list_above_misses_no_field():
    assert {assignment.partition("=")[0] for assignment in GOOD} == {field.name for field in fields(Recipe)} - {"name", "section"}


def test_assignments_are_checked_together_and_the_last_wins():
    changed = PLAIN.changed(["warmup=50", "steps=60", "steps=70"])
    assert (changed.warmup, changed.steps) == (50, 70)
    assert PLAIN.changed([]) == PLAIN


BAD = [
    *("", "=", "=3", "steps", "nope=3", "Steps=3", " steps=3", "name=x", "section=4"),  # no field
    *("steps=", "steps=x", "steps=1.0", "steps=1e3", "steps='3'", "steps=True", "steps=None", "steps=3;4", "steps=(3)(4)", "steps=2**3"),
    *("hint=", "hint=high", "hint='0.5'", "hint=True", "hint=0.5,", "hint=[0.5]"),
    *("widths=", "widths=3", "widths=1,x", "widths=1,2.0", "widths=(1,(2,),1)", "widths=[1, 4, 1]", "widths='1,1'", "widths=1,True,1"),
    *("message=0", "hidden=0", "inner_steps=0", "inner_batch=0", "held_out=-1", "outer_batch=0", "steps=0", "calibration_runs=0"),
    *("pool=-1", "warmup=-1", "microbatch=-1", "microbatch=5"),
    *("hint=-0.1", "hint=1.1", "b2=0", "b2=1", "b2=1.5", "episode_clip=-1", "calibration_momentum=-0.1", "calibration_momentum=1.1"),
    *("parts=0", "parts=5", "parts=1.0", "remember=-0.1", "remember=1.1", "gradients=1"),  # sinusoids have no classes
    *("reach=0", "reach=-1", "reach=1e999", "first_scale=0", "first_scale=-1", "first_scale=1e999"),
    *("learning_rate=0", "learning_rate=-1", "final_learning_rate=-1", "final_learning_rate=0.1", "learning_rate=1e999"),
    *("widths=()", "widths=1,", "widths=1,0,1", "widths=1,-3,1", "widths=2,3,1", "widths=1,3,2"),  # sinusoids have 1 input, 1 output
    *("activation=nope", "activation=", "loss=nope", "loss=", "sharing=nope", "sharing=", "learner=nope", "learner=GRU"),
    *("source=nope", "source=", "interior=nope", "interior=", "learner_widths=8", "learner_widths=8,0"),
    *("train_messages=False", "train_messages=0", "keep=3", "keep=-1", "keep_oldest=0", "keep_worst=-1", "view=nope", "view="),
    *("turns='steps=3',", "turns='nope=3',", "turns='activation=tanh'", "turns=3,", "activation=relu*x", "activation=relu*0"),
    *("first=nope", "first=mnist"),  # there is no such rule; one of another protocol
    *("family=nope", "family=", "family=mnist", "loss=cross_entropy"),  # digits need another network, sinusoids have no classes
]


@pytest.mark.parametrize("assignment", BAD)
def test_what_cannot_be_is_refused_in_one_sentence(assignment):
    with pytest.raises(RecipeError) as error:
        PLAIN.changed([assignment])
    assert_one_sentence(error.value)
    name, _, value = assignment.partition("=")
    shown = {name, value, "sizes", "widths"} - {""} if name in {field.name for field in fields(Recipe)} else {repr(assignment)}
    assert any(text.lower() in str(error.value).lower() for text in shown)


@pytest.mark.parametrize("field", ["activation", "loss", "sharing", "learner", "family"])
def test_an_unknown_name_lists_the_known_ones(field):
    known = {"activation": "sigmoid", "loss": "cross_entropy", "sharing": "learners", "learner": "stateless", "family": "mnist"}
    with pytest.raises(RecipeError, match=known[field]) as error:
        PLAIN.changed([f"{field}=nope"])
    assert "nope" in str(error.value)


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(RecipeError, match="sinusoid, sinusoid-as-published") as error:
        find("nope")
    assert "'nope'" in str(error.value)
    assert_one_sentence(error.value)


# ---------------------------------------------------------------- plain data


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_round_trip_through_json(recipe):
    text = json.dumps(recipe.as_dict(), allow_nan=False)
    back = Recipe.from_dict(json.loads(text))
    assert back == recipe and hash(back) == hash(recipe) and type(back.widths) is tuple
    assert json.loads(text).keys() == {field.name for field in fields(Recipe)}
    assert find(recipe.name) == recipe


NO_RECIPES = {
    "empty": {},
    "no section": {"name": "x"},
    "strange field": {"name": "x", "section": "4", "colour": "red"},
    "text": "recipe",
    "list": [1, 2],
    "nothing": None,
    "text for a number": {**PLAIN.as_dict(), "steps": "9"},
    "fraction for a count": {**PLAIN.as_dict(), "steps": 2.5},
    "number for widths": {**PLAIN.as_dict(), "widths": 3},
    "nothing for a rate": {**PLAIN.as_dict(), "learning_rate": None},
    "list for a name": {**PLAIN.as_dict(), "activation": ["relu"]},
    "dictionary for a name": {**PLAIN.as_dict(), "sharing": {}},
    "deep widths": {**PLAIN.as_dict(), "widths": [1, [2], 1]},
    "out of range": {**PLAIN.as_dict(), "steps": 0},
}


@pytest.mark.parametrize("values", NO_RECIPES.values(), ids=NO_RECIPES)
def test_what_describes_no_recipe_is_refused(values):
    with pytest.raises(RecipeError) as error:
        Recipe.from_dict(values)
    assert_one_sentence(error.value)


def test_recipes_are_frozen_and_compare_by_value():
    with pytest.raises(FrozenInstanceError):
        PLAIN.steps = 3
    same, different = Recipe("plain", "4"), PLAIN.changed(["steps=3"])
    assert same == PLAIN and hash(same) == hash(PLAIN) and different != PLAIN
    assert len({PLAIN, same, different}) == 2
    assert PLAIN.protocol is PLAIN.protocol  # one object, so that jax compiles for it once


def test_a_recipe_used_before_it_is_changed_leaves_nothing_behind():
    used = Recipe("used", "4")
    assert used.protocol.graph.node("W1").op.shape == (1, 20) and used.task.steps == 5
    changed = used.changed(["widths=1,3,1", "inner_steps=2", "hint=0.1", "learner=stateless"])
    assert changed.protocol.graph.node("W1").op.shape == (1, 3)
    assert changed.task.steps == 2 and changed.meta_loss.hint == 0.1
    assert isinstance(changed.protocol.learner, Stateless)


def test_fields_reach_what_they_describe():
    recipe = PLAIN.changed(["message=3", "hidden=2", "inner_steps=2", "inner_batch=3", "held_out=4", "sharing=all", "loss=l1"])
    assert recipe.protocol.learner == GRU(message=3, hidden=2) and recipe.protocol.sharing == "all"
    assert (recipe.task.steps, recipe.task.batch, recipe.task.held_out) == (2, 3, 4)
    assert type(recipe.protocol.graph.node("loss").op).__name__ == "L1"
    assert PLAIN.changed(["learner=stateless", "message=3"]).protocol.learner == Stateless(message=3)
    factored = PLAIN.changed(["learner=factored", "learner_widths=8,", "sharing=kinds", "first_scale=0.1"])
    assert factored.protocol.learner == Factored(hidden=15, widths=(8,), step=0.1) and factored.protocol.normalizer == "none"
    assert factored.program != factored.changed(["first_scale=0.2"]).program


def test_inner_steps_of_stateless_learners_are_recomputed():
    assert PLAIN.changed(["learner=stateless"]).meta_loss.remat and not PLAIN.meta_loss.remat


def test_the_recipe_as_published_is_the_papers():
    """Reference notes 1 to 11, experiment 4.1.1."""
    recipe = find("sinusoid-as-published")
    assert recipe.widths == (1, 20, 20, 1) and recipe.protocol.learner == GRU(message=8, hidden=15)
    assert (recipe.inner_steps, recipe.inner_batch, recipe.held_out, recipe.outer_batch, recipe.pool) == (5, 10, 10, 4, 128)
    assert (recipe.hint, recipe.meta_loss.remember, recipe.meta_loss.delta_penalty) == (0.7, 0, 0)
    assert (recipe.calibration_runs, recipe.calibration_momentum, recipe.b2) == (1, 1.0, 0.999)
    assert recipe.protocol.learner.first_scale == pytest.approx(0.01)
    assert [float(recipe.schedule(step)) for step in (0, 1, 1000, 35868)] == pytest.approx([1e-4] * 4)


def test_the_digits_as_published_are_the_papers():
    """Reference notes 1 to 11, experiment 4.2."""
    recipe = find("mnist-as-published")
    assert recipe.widths == (144, 50, 10) and recipe.protocol.learner == GRU(message=4, hidden=7)
    assert (recipe.activation, recipe.loss, recipe.sharing) == ("sigmoid", "cross_entropy", "learners")
    assert (recipe.inner_steps, recipe.inner_batch, recipe.held_out, recipe.outer_batch, recipe.pool) == (20, 8, 8, 1, 16)
    assert (recipe.calibration_runs, recipe.calibration_momentum, recipe.b2, recipe.hint) == (5, 0.5, 0.999, 0.7)
    assert recipe.protocol.learner.first_scale == pytest.approx(0.01)
    assert [float(recipe.schedule(step)) for step in (0, 1, 1000, 4999)] == pytest.approx([5e-4] * 4)
    rule = jax.eval_shape(recipe.protocol.new_rule, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(rule.trained)) == 46_779


@pytest.mark.parametrize("widths", ["1,1", "144,50,9", "143,50,10", "0,10", "10,"])
def test_digits_need_square_images_and_ten_classes(widths):
    with pytest.raises(RecipeError, match="widths=.*side x side"):
        find("mnist").changed([f"widths={widths}"])


def test_classes_may_come_in_parts_and_be_remembered():
    recipe = find("mnist").changed(["widths=16,4,10", "inner_steps=10", "inner_batch=4", "parts=5", "remember=0.5"])
    classes = recipe.task.episode(jax.random.key(0)).ys.argmax(-1)
    assert [len(set(part.tolist())) for part in np.asarray(classes).reshape(5, 8)] == [2] * 5
    assert recipe.meta_loss.remember == 0.5
    for parts in (4, 11):
        with pytest.raises(RecipeError, match=f"parts={parts} was given; it must be"):
            recipe.changed([f"parts={parts}", f"inner_steps={22 if parts == 11 else 10}"])


def test_digits_come_in_the_size_of_the_input():
    recipe = find("mnist").changed(["widths=16,4,10", "inner_steps=3", "inner_batch=2", "held_out=5"])
    episode = recipe.task.episode(jax.random.key(0))
    assert episode.xs.shape == (3, 2, 16) and episode.ys.shape == (3, 2, 10) and episode.x_held_out.shape == (5, 16)
    assert len(recipe.task.images) == 4000  # the training part only


def test_digits_first_asked_for_while_jax_traces_are_there_afterwards():
    """A resumed run does so: its first compiled step is the first to draw an episode."""
    recipe = find("mnist").changed(["widths=16,4,10", "inner_steps=3", "inner_batch=2", "held_out=5"])
    traced = jax.jit(lambda key: recipe.task.episode(key))(jax.random.key(0))
    again = find("mnist").changed(["widths=16,4,10", "inner_steps=3", "inner_batch=2", "held_out=5"])
    np.testing.assert_array_equal(traced.xs, again.task.episode(jax.random.key(0)).xs)
    assert isinstance(recipe.digits.train[0][0, 0].item(), float)


# ---------------------------------------------------------------- the learning rate and the optimizer


def rates(*assignments):
    recipe = PLAIN.changed(["steps=100", "learning_rate=0.01", *assignments])
    return np.asarray([recipe.schedule(step) for step in range(101)])


def test_schedule_without_warmup_and_annealing_is_constant():
    np.testing.assert_allclose(rates("final_learning_rate=0.01"), 0.01, rtol=1e-6)


def test_schedule_warms_up_linearly_then_follows_a_cosine():
    found = rates("warmup=20", "final_learning_rate=0.002")
    rise = 0.01 * np.arange(21) / 20
    fall = 0.002 + 0.008 * (1 + np.cos(np.pi * np.arange(1, 81) / 80)) / 2
    np.testing.assert_allclose(found, np.concatenate([rise, fall]), rtol=1e-5, atol=1e-9)


def test_warmup_takes_at_most_half_of_the_steps():
    np.testing.assert_array_equal(rates("warmup=80", "final_learning_rate=0"), rates("warmup=50", "final_learning_rate=0"))
    assert rates("warmup=80")[50] == pytest.approx(0.01)


@pytest.mark.parametrize("assignments", [("steps=1",), ("steps=1", "warmup=1"), ("steps=30", "warmup=30")])
def test_schedule_is_finite_for_the_shortest_runs(assignments):
    found = rates("final_learning_rate=0", *assignments)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 0.01 * (1 + 1e-6)).all() and found.max() > 0


def test_the_optimizer_normalises_each_tensor_and_then_follows_adam():
    recipe = PLAIN.changed(["steps=100", "learning_rate=0.01", "final_learning_rate=0.01", "b2=0.9"])
    parameters = {"a": jnp.zeros(2), "b": jnp.zeros((1, 2))}
    gradients = [{"a": jnp.array([3.0, 4.0]), "b": jnp.array([[0.0, 1e-4]])}, {"a": jnp.array([0.0, -7.0]), "b": jnp.array([[1.0, 1.0]])}]
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        state = recipe.optimizer.init(parameters)
        for gradient in gradients:
            updates, state = recipe.optimizer.update(gradient, state, parameters)
    for name in parameters:
        first, second = (np.asarray(g[name], np.float64) / (np.linalg.norm(g[name]) + 1e-8) for g in gradients)
        m, v = 0.9 * 0.1 * first + 0.1 * second, 0.9 * 0.1 * first**2 + 0.1 * second**2
        expected = -0.01 * (m / (1 - 0.9**2)) / (np.sqrt(v / (1 - 0.9**2)) + 1e-8)
        np.testing.assert_allclose(updates[name], expected, rtol=1e-4, atol=1e-9)


# ---------------------------------------------------------------- the first rule


def test_the_first_rule_is_calibrated_run_by_run():
    assignments = ["widths=1,1", "learner=stateless", "message=1", "inner_steps=2", "inner_batch=4", "calibration_runs=2"]
    recipe = PLAIN.changed([*assignments, "calibration_momentum=0.5"])
    found = recipe.experiment.first_rule(jax.random.key(0))
    keys = jax.random.split(jax.random.key(0), 3)
    expected = recipe.protocol.new_rule(keys[0])
    for key in keys[1:]:
        prior_key, task_key = jax.random.split(key)
        episode = recipe.task.episode(task_key)
        state = recipe.protocol.init(prior_key, 4)
        expected = recipe.protocol.calibrate(expected, state, episode.xs, episode.ys, 0.5)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert not np.allclose(found.statistics["W1"].norm, 1)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(found))  # else the second chunk of a run compiles all anew
