"""Rivals of a rule: rates are chosen on other runs and on training images only; where a rule is taken to find its limits."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mplp_lite import baselines, evaluate, mlp, recipes, tasks
from mplp_lite.run import limits, rivals
from mplp_lite.run.rivals import Ring, steps_until

KEY = jax.random.key(0)
SINUSOIDS = Ring(mlp(1, 3, 1), tasks.Sinusoids(2, 3), KEY, 6, rates=(0.003, 0.1))


def images(number, test=None):
    """Two blobs; each image's third pixel is its number, far from what a network sees as one of the others."""
    labels = jnp.arange(number) % 2
    x = jnp.stack([2 * labels - 1, 1 - 2 * labels, jnp.arange(number)], axis=1).astype(float) * jnp.array([[1, 1, 0.01]])
    return tasks.Images(x, jnp.eye(2)[labels], 4, 3, 5, test)


@pytest.fixture
def ring():
    task = images(40, (images(40).x[:9] + 100.0, images(40).y[:9]))
    return Ring(mlp(3, 4, 2, activation="sigmoid", loss="cross_entropy"), task, KEY, 50, rates=(0.01, 0.3))


def test_rates_are_chosen_with_another_key_on_training_images_that_no_run_learns_from(ring):
    choosing = ring.choosing
    assert jax.random.key_data(choosing.key).tolist() != jax.random.key_data(ring.key).tolist() and choosing.runs == rivals.RUNS < ring.runs
    learned, tested = choosing.task.x[:, 2], choosing.task.test[0][:, 2]
    np.testing.assert_array_equal(jnp.concatenate([learned, tested]), ring.task.x[:, 2])  # all training images, none of the test part
    assert len(learned) == 30 and len(tested) == 10
    assert choosing.task.episode(KEY).steps == ring.task.steps and SINUSOIDS.choosing.task is SINUSOIDS.task


def test_the_test_part_has_no_say(ring):
    other = replace(ring, task=replace(ring.task, test=(ring.task.test[0] * 0, ring.task.test[1][::-1])))
    assert [(rival.name, rival.score) for rival in ring.rivals(["SGD"])] == [(rival.name, rival.score) for rival in other.rivals(["SGD"])]


def test_accuracies_are_better_if_they_are_larger(ring):
    slow, fast = (rival.network for rate in (1e-3, 1.0) for rival in replace(ring, rates=(rate,)).rivals(["SGD"])[:1])
    assert ring.sign == -1 and (ring.losses(fast) == -ring.judge(fast)["accuracy"]).all()
    task = replace(ring, task=replace(ring.task, test=(ring.task.x[:9], ring.task.y[:9])))
    assert task.losses(fast)[:, -1].mean() < task.losses(slow)[:, -1].mean()
    best, *_ = replace(ring, rates=(1e-3, 1.0)).rivals(["SGD"])
    assert best.name == "SGD 1, best rate"


def test_everybody_is_there_by_name_and_starts_where_the_name_says(ring):
    found = ring.everybody()
    kinds = [name.partition(" 0.")[0] + name[name.index(",") :] for name in found]
    methods = ("Adam", "SGD", "SGD with momentum", "Adagrad", "RMSprop")
    chosen = [f"{name}, {label}" for name in methods for label in ("best rate", "LeCun, best rate")]
    assert kinds == ["Adam, the paper's rate", "SGD, the paper's rate", *chosen]
    assert [network.start for network in found.values()] == ["paper", "paper", *(["paper", "lecun"] * 5)]
    assert list(found)[:2] == ["Adam 0.01, the paper's rate", "SGD 0.1, the paper's rate"]


def test_with_a_prior_of_its_own_nobody_starts_elsewhere():
    prior = {"W1": jnp.ones((1, 3)), "b1": jnp.zeros(3), "W2": jnp.ones((3, 1)), "b2": jnp.zeros(1)}
    ring = Ring(SINUSOIDS.graph, SINUSOIDS.task, KEY, 6, prior, SINUSOIDS.rates)
    assert ring.starts == ("paper",) and [rival.network.start for rival in ring.rivals(["Adam"])] == ["paper"]
    np.testing.assert_allclose(ring.full_batch(ring.best().network, 1)[:, 0], ring.losses(ring.best().network)[:, 0], rtol=1e-4)


def test_adagrad_and_rmsprop_are_those_of_optax():
    """Adagrad from sums of nothing, so that its first step is the whole rate."""
    data = jnp.ones((2, 1)), jnp.zeros((2, 1))
    for make, optimizer in ((rivals.adagrad, optax.adagrad(0.3, initial_accumulator_value=0.0)), (rivals.rmsprop, optax.rmsprop(0.3))):
        networks = make(mlp(1, 1), 0.3), baselines.GradientDescent(mlp(1, 1), optimizer)
        ours, plain = (network.update(None, network.init(KEY, 2), *data)[1]["b1"]["delta"] for network in networks)
        assert ours == plain != 0
    adagrad = rivals.adagrad(mlp(1, 1), 0.3)
    assert abs(adagrad.update(None, adagrad.init(KEY, 2), *data)[1]["b1"]["delta"][0]) == pytest.approx(0.3, rel=1e-4)


def test_momentum_adds_up():
    network = rivals.momentum(mlp(1, 1), 1.0)
    state = network.begin({"W1": jnp.zeros((1, 1)), "b1": jnp.zeros(1)}, 1)
    state, _ = network.update(None, state, jnp.zeros((1, 1)), jnp.ones((1, 1)))
    _, trail = network.update(None, state, jnp.zeros((1, 1)), jnp.ones((1, 1)))  # the gradient is now 0
    assert trail["b1"]["delta"][0] == pytest.approx(0.9, rel=1e-6)


def test_steps_until():
    losses = jnp.array([[4.0, 2.0, 1.0], [4.0, 3.0, 3.0], [1.0, 2.0, 3.0]])
    assert steps_until(losses, jnp.array([2.0, 2.0, 1.0])).tolist() == [1, 3, 0]


def test_full_batches_see_the_test_part(ring):
    network = ring.everybody()["Adam 0.01, the paper's rate"]
    large = replace(ring.task, steps=1, batch=12, held_out=5)
    one = evaluate.classification_runs(network, None, (large.x, large.y), large.test, KEY, 1, 12, 50).mean(-1)
    np.testing.assert_allclose(-ring.full_batch(network, 1), one, atol=1e-6)


# ---------------------------------------------------------------- limits


def test_cases_of_the_shipped_rules():
    sinusoids, digits = (dict(limits.cases(recipes.find(name))) for name in ("sinusoid", "transfer"))
    assert list(sinusoids) == ["longer", "LeCun"] and sinusoids["longer"].inner_steps == 50
    networks = ["step", "relu", "tanh", "784-100-10", "144-200-10", "144-50-50-10", "batch 4", "batch 16"]
    assert list(digits) == ["longer", "LeCun", *networks, "8x8 digits", "inverted", "permuted"]
    assert digits["longer"].inner_steps == 200 and digits["step"].inner_steps == 20
    assert [digits[name].activation for name in networks[:3]] == networks[:3]
    assert ["-".join(map(str, digits[name].widths)) for name in networks[3:6]] == networks[3:6]
    assert [digits[name].inner_batch for name in networks[6:]] == [4, 16]
    factored = dict(limits.cases(recipes.find("factored")))
    more = ["144-50-50-50-10", "step, longer", "batch 1", "batch 2", "batch 32"]
    assert set(factored) - set(digits) == set(more) and factored["longer"].inner_steps == 1000
    assert [factored[name].inner_batch for name in more[2:]] == [1, 2, 32] and len(factored[more[0]].widths) == 5
    assert (factored[more[1]].activation, factored[more[1]].inner_steps) == ("step", 200)
    learned = replace(recipes.find("mnist"), learn_prior=True)
    assert [(name, case.learn_prior) for name, case in limits.cases(learned)] == [("longer", True), ("random priors", False)]


def test_images_of_a_case_are_inverted_or_have_their_pixels_exchanged():
    plain, cases = recipes.find("mnist").task, dict(limits.cases(recipes.find("mnist")))
    inverted, permuted, small = (cases[name].task for name in ("inverted", "permuted", "8x8 digits"))
    np.testing.assert_array_equal(inverted.x, -plain.x)
    np.testing.assert_array_equal(inverted.test[0], -plain.test[0])
    for images, before in ((permuted.x, plain.x), (permuted.test[0], plain.test[0])):
        order = [np.flatnonzero((before == column).all(axis=0))[0] for column in np.asarray(images[:, 60:70]).T[..., None]]
        assert len(set(order)) == 10 and not np.array_equal(images, before)
    np.testing.assert_array_equal(np.sort(permuted.x[:3]), np.sort(plain.x[:3]))
    assert len(small.x) + len(small.test[0]) == 1797 and small.x.shape[1] == 64


def test_digits_of_another_source_are_another_source_only_once():
    names = [name for name, _ in limits.cases(recipes.find("mnist").changed(["source=sklearn", "widths=64,50,10"]))]
    assert "8x8 digits" not in names and "784-50-10" not in names


def test_a_rule_is_taken_to_a_longer_run_and_to_other_weights(monkeypatch):
    monkeypatch.setitem(rivals.STARTS, "sinusoids", ("paper",))
    tiny = "widths=1,3,1 learner=stateless message=1 inner_steps=2 inner_batch=3 held_out=3 outer_batch=1 warmup=0 steps=20"
    recipe = recipes.find("sinusoid").changed(tiny.split())
    rule = recipe.protocol.new_rule(KEY)
    measured = limits.measured(recipe, {"MPLP": rivals.Learned(recipe.protocol, rule)}, KEY, 30)
    found, large = measured["longer"], measured["LeCun"]
    (_, rival), expected = found["methods"], tasks.Sinusoids(20, 3, 3).judge(recipe.protocol, rule, KEY, limits.RUNS)["eval_loss"]
    assert found["runs"] == limits.RUNS and found["steps"] == list(range(21)) and rival.startswith("Adam")
    np.testing.assert_allclose(found["methods"]["MPLP"]["eval_loss"]["mean"], expected.mean(axis=0), rtol=1e-4)
    assert all(("LeCun" in name) == (name != "MPLP") for name in large["methods"])
    graph = baselines.started(recipe.protocol.graph, "lecun")
    expected = recipe.task.judge(replace(recipe.protocol, graph=graph), rule, KEY, limits.RUNS)["eval_loss"]
    np.testing.assert_allclose(large["methods"]["MPLP"]["eval_loss"]["mean"], expected.mean(axis=0), rtol=1e-4)
