"""Inner runs and their statistics against plain loops and plain numpy."""

import json
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mplp_lite import GRU, Protocol, Stateless, baselines, evaluate, mlp
from mplp_lite.tasks import Episode, Sinusoids

GRAPH = mlp(1, 3, 1)
LEARNING = {
    "gru": Protocol(mlp(1, 1), GRU(message=2, hidden=1, widths=(4,))),
    "stateless": Protocol(GRAPH, Stateless(message=2, widths=(4,)), "all"),
    "sgd": baselines.sgd(GRAPH, 0.5),
    "classes": Protocol(mlp(1, 3, loss="cross_entropy"), Stateless(message=2, widths=(4,))),
}


def rule_of(network, scale=1.0):
    """A rule whose updates are large enough to be seen, or `None` for a baseline."""
    if not isinstance(network, Protocol):
        return None
    rule = network.new_rule(jax.random.key(1))
    return rule._replace(scales=jax.tree.map(lambda leaf: leaf + scale, rule.scales))


def episode_of(network, steps=3, batch=4):
    episode = Sinusoids(steps, batch).evaluation_episode(jax.random.key(2))
    if network.graph.node("y").op.units == 1:
        return episode
    classes = [jnp.eye(3)[jnp.digitize(ys[..., 0], jnp.array([-0.1, 0.1]))] for ys in (episode.ys, episode.y_held_out)]
    return Episode(episode.xs, classes[0], episode.x_held_out, classes[1])


def mean_loss(network, prediction, target):
    """Over examples and units, by numpy."""
    prediction, target = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    if type(network.graph.node("loss").op).__name__ == "CrossEntropy":
        return -(target * np.log(prediction)).mean()
    return np.square(prediction - target).mean() / 2


# ---------------------------------------------------------------- one inner run


@pytest.mark.parametrize("network", LEARNING.values(), ids=LEARNING)
def test_an_inner_run_is_a_plain_loop(network):
    rule, episode = rule_of(network), episode_of(network)
    start = network.init(jax.random.key(3), 4)
    run = jax.jit(lambda state: evaluate.inner_run(network, rule, state, episode))(start)
    update, predict = jax.jit(network.update), jax.jit(network.predict)
    state, predictions, train_losses, eval_losses = start, [], [], []
    seen_x, seen_y = (values.reshape(12, -1) for values in (episode.xs, episode.ys))
    for t in range(4):
        predictions.append(predict(state, episode.x_held_out))
        eval_losses.append(mean_loss(network, predictions[-1], episode.y_held_out))
        if t > 0:
            train_losses.append(mean_loss(network, predict(state, seen_x)[: 4 * t], seen_y[: 4 * t]))
        if t < 3:
            state, _ = update(rule, state, episode.xs[t], episode.ys[t])
    assert run.predictions.shape == (4, 100, episode.ys.shape[-1]) and run.train_loss.shape == (3,) and run.eval_loss.shape == (4,)
    np.testing.assert_allclose(run.predictions, predictions, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run.train_loss, train_losses, rtol=1e-4)
    np.testing.assert_allclose(run.eval_loss, eval_losses, rtol=1e-4)
    assert not np.allclose(run.predictions[0], run.predictions[-1], atol=1e-3)  # it did learn something


def test_losses_are_those_of_the_predictions():
    network = LEARNING["sgd"]
    episode = episode_of(network)
    run = evaluate.inner_run(network, None, network.init(jax.random.key(3), 4), episode)
    expected = np.square(np.asarray(run.predictions) - np.asarray(episode.y_held_out)).mean(axis=(1, 2)) / 2
    np.testing.assert_allclose(run.eval_loss, expected, rtol=1e-5)


@pytest.mark.parametrize("future", [7.0, jnp.nan], ids=["other data", "nan"])
def test_the_train_loss_looks_at_no_example_before_it_was_seen(future):
    network = LEARNING["sgd"]
    episode, start = episode_of(network), network.init(jax.random.key(3), 4)
    run = evaluate.inner_run(network, None, start, episode)
    other = evaluate.inner_run(network, None, start, episode._replace(ys=episode.ys.at[2].set(future)))
    np.testing.assert_array_equal(run.train_loss[:2], other.train_loss[:2])
    np.testing.assert_array_equal(run.eval_loss[:3], other.eval_loss[:3])
    assert run.train_loss[2] != other.train_loss[2]


# ---------------------------------------------------------------- many runs on sinusoids

TASK = Sinusoids(2, 3)
MPLP, ADAM = LEARNING["stateless"], baselines.adam(GRAPH, 0.01)


@pytest.fixture(scope="module")
def runs():
    """The same key for a protocol and for Adam, another key, and runs from one prior."""
    prior = {"W1": jnp.ones((1, 3)), "b1": jnp.zeros(3), "W2": jnp.ones((3, 1)), "b2": jnp.zeros(1)}
    return {
        "mplp": evaluate.sinusoid_runs(MPLP, rule_of(MPLP), TASK, jax.random.key(0), 5),
        "again": evaluate.sinusoid_runs(MPLP, rule_of(MPLP), TASK, jax.random.key(0), 5),
        "another key": evaluate.sinusoid_runs(MPLP, rule_of(MPLP), TASK, jax.random.key(1), 5),
        "adam": evaluate.sinusoid_runs(ADAM, None, TASK, jax.random.key(0), 5),
        "prior": evaluate.sinusoid_runs(ADAM, None, TASK, jax.random.key(0), 5, prior),
    }


def test_runs_have_a_leading_axis(runs):
    for run in runs.values():
        assert (run.predictions.shape, run.train_loss.shape, run.eval_loss.shape) == ((5, 3, 100, 1), (5, 2), (5, 3))


def test_the_same_key_gives_every_network_the_same_tasks_and_priors(runs):
    np.testing.assert_allclose(runs["mplp"].predictions[:, 0], runs["adam"].predictions[:, 0], atol=1e-6)  # two programs
    np.testing.assert_allclose(runs["mplp"].eval_loss[:, 0], runs["adam"].eval_loss[:, 0], rtol=1e-5)
    assert not np.allclose(runs["mplp"].predictions[:, 1:], runs["adam"].predictions[:, 1:])
    jax.tree.map(np.testing.assert_array_equal, runs["mplp"], runs["again"])


def test_tasks_and_priors_differ_from_run_to_run_and_key_to_key(runs):
    assert len(np.unique(runs["mplp"].eval_loss[:, 0])) == 5
    assert len(np.unique(runs["mplp"].predictions[:, 0], axis=0)) == 5
    assert not np.intersect1d(runs["mplp"].eval_loss[:, 0], runs["another key"].eval_loss[:, 0]).size


def test_all_runs_start_from_a_given_prior_on_the_grid(runs):
    grid = np.linspace(-5, 5, 100)
    for prediction in runs["prior"].predictions[:, 0, :, 0]:
        np.testing.assert_allclose(prediction, 3 * np.maximum(grid, 0), rtol=1e-5)
    assert len(np.unique(runs["prior"].eval_loss[:, 0])) == 5


@pytest.mark.parametrize("runs", [0, -1])
def test_fewer_than_one_run_is_refused(runs):
    images = jnp.zeros((8, 1)), jnp.zeros((8, 1))
    calls = [
        lambda: evaluate.sinusoid_runs(MPLP, None, TASK, jax.random.key(0), runs),
        lambda: evaluate.classification_runs(MPLP, None, images, images, jax.random.key(0), 2, 2, runs),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"runs={runs}.*at least 1"):
            call()


def test_summary_is_numpys():
    losses = np.random.default_rng(0).gamma(0.5, size=(7, 4)).astype(np.float32)
    found = evaluate.summary(jnp.asarray(losses))
    assert found.keys() == {"mean", "se", "sd", "median", "max"}
    np.testing.assert_allclose(found["se"], losses.std(axis=0) / np.sqrt(7), rtol=1e-4)
    for name, of in {"mean": np.mean, "sd": np.std, "median": np.median, "max": np.max}.items():
        np.testing.assert_allclose(found[name], of(losses.astype(np.float64), axis=0), rtol=1e-5)
    assert json.loads(json.dumps(found)) == found


# ---------------------------------------------------------------- all examples at once


def test_full_batch_runs_are_a_plain_loop_over_all_examples():
    """From the prior and on the episode of `episode_runs`; the score is asked before and after each step."""
    key, found = jax.random.key(4), evaluate.full_batch_runs(ADAM, TASK.evaluation_episode, jax.random.key(4), 3, runs=2)
    score = lambda prediction, target: (prediction - target).max()
    scored = evaluate.full_batch_runs(ADAM, TASK.evaluation_episode, key, 3, 2, score=score)
    assert found.shape == scored.shape == (2, 4)
    for run, keys in enumerate(jax.random.split(key, 2)):
        episode_key, prior_key = jax.random.split(keys)
        episode, state = TASK.evaluation_episode(episode_key), ADAM.begin(ADAM.prior(prior_key), 6)
        for step in range(4):
            prediction = ADAM.predict(state, episode.x_held_out)
            np.testing.assert_allclose(found[run, step], mean_loss(ADAM, prediction, episode.y_held_out), rtol=1e-4)
            np.testing.assert_allclose(scored[run, step], (prediction - episode.y_held_out).max(), rtol=1e-4)
            state, _ = ADAM.update(None, state, *(values.reshape(6, 1) for values in (episode.xs, episode.ys)))


def test_one_full_batch_step_is_one_step_of_a_run_with_one_large_batch(runs):
    large = evaluate.sinusoid_runs(ADAM, None, Sinusoids(1, 6), jax.random.key(0), 5).eval_loss
    np.testing.assert_allclose(evaluate.full_batch_runs(ADAM, TASK.evaluation_episode, jax.random.key(0), 1, 5), large, rtol=1e-4)
    np.testing.assert_allclose(large[:, 0], runs["adam"].eval_loss[:, 0], rtol=1e-4)


def test_full_batch_runs_from_a_given_prior():
    prior = {"W1": jnp.ones((1, 3)), "b1": jnp.zeros(3), "W2": jnp.ones((3, 1)), "b2": jnp.zeros(1)}
    first = lambda prediction, target: prediction[-1, 0]  # noqa: E731
    found = evaluate.full_batch_runs(ADAM, TASK.evaluation_episode, jax.random.key(0), 1, 2, prior, first)
    np.testing.assert_allclose(found[:, 0], 15.0, rtol=1e-5)  # 3 * max(5, 0)


# ---------------------------------------------------------------- classification


@dataclass(frozen=True)
class Collector:
    """A network that 'recognizes' an image, whose one pixel is its number, once it has learned from it with its own label."""

    images: int

    def init(self, key, batch):
        return jnp.zeros(self.images)

    def update(self, rule, state, x, y):
        numbers = x[:, 0].astype(int)
        right = (y.argmax(-1) == numbers % 3).astype(float)
        return state.at[numbers].add(right), {}

    def predict(self, state, x):
        numbers = x[:, 0].astype(int)
        answer = jnp.where(state[numbers] > 0, numbers % 3, (numbers + 1) % 3)
        return jnp.eye(3)[answer]


def pictures(numbers):
    return jnp.asarray(numbers, float)[:, None], jnp.eye(3)[jnp.asarray(numbers) % 3]


@pytest.mark.parametrize(("steps", "batch"), [(4, 3), (1, 5), (7, 1), (5, 4)])
def test_each_run_learns_once_from_each_of_different_images(steps, batch):
    """So the accuracy on all 20 images counts exactly how many different ones were seen so far."""
    everything = pictures(range(20))
    found = evaluate.classification_runs(Collector(20), None, everything, everything, jax.random.key(0), steps, batch, runs=6).mean(-1)
    assert found.shape == (6, steps + 1)
    np.testing.assert_allclose(found, np.tile(batch * np.arange(steps + 1) / 20, (6, 1)), atol=1e-6)


def test_runs_see_different_images_and_the_same_key_the_same():
    everything, half = pictures(range(20)), pictures(range(10))
    arguments = (Collector(20), None, everything, half)
    found = evaluate.classification_runs(*arguments, jax.random.key(0), 3, 3, runs=8)
    assert found.dtype == bool and found.shape == (8, 4, 10)
    assert len(np.unique(found, axis=0)) > 4
    np.testing.assert_array_equal(evaluate.classification_runs(*arguments, jax.random.key(0), 3, 3, runs=8), found)
    assert (evaluate.classification_runs(*arguments, jax.random.key(1), 3, 3, runs=8) != found).any()


def test_only_the_training_part_is_learned_from():
    train, test = pictures(range(10)), pictures(range(10, 20))
    found = evaluate.classification_runs(Collector(20), None, train, test, jax.random.key(0), 5, 2, runs=2)
    np.testing.assert_array_equal(found, 0)


def test_more_images_than_there_are_is_refused():
    everything = pictures(range(20))
    with pytest.raises(ValueError, match="needs 21 images, but only 20"):
        evaluate.classification_runs(Collector(20), None, everything, everything, jax.random.key(0), 7, 3, 1)


def test_images_come_again_if_they_may_each_equally_often():
    """The collector knows all twenty after four steps of five; the paper's runs, which see none twice, are the same with and without."""
    everything, key = pictures(range(20)), jax.random.key(0)
    found = evaluate.classification_runs(Collector(20), None, everything, everything, key, 7, 5, runs=3, again=True)
    np.testing.assert_allclose(found.mean(-1)[:, 3:], np.tile([0.75, 1, 1, 1, 1], (3, 1)))
    short = evaluate.classification_runs(Collector(20), None, everything, everything, key, 3, 5, runs=3)
    np.testing.assert_array_equal(short, found[:, :4])


def test_accuracy_on_the_classes_that_came():
    """The collector meets ten images of each class, in two steps: what came is known but for the second half of the last class."""
    everything, key = pictures(range(30)), jax.random.key(0)
    right = evaluate.classification_runs(Collector(30), None, everything, everything, key, 6, 5, runs=5, parts=3)
    found = evaluate.accuracy_by_part(right, everything[1], key, 3)
    np.testing.assert_allclose(found["accuracy_so_far"], np.tile([0, 1 / 2, 1, 3 / 4, 1, 5 / 6, 1], (5, 1)), atol=1e-6)
    np.testing.assert_allclose(found["accuracy_on_the_first"], np.tile([0, 1 / 2, 1, 1, 1, 1, 1], (5, 1)), atol=1e-6)


def test_a_real_network_learns_two_easy_classes():
    x = jnp.concatenate([jnp.full((30, 2), 1.0), jnp.full((30, 2), -1.0)]) + 0.1 * jax.random.normal(jax.random.key(5), (60, 2))
    part = x, jnp.repeat(jnp.eye(2), 30, axis=0)
    network = baselines.sgd(mlp(2, 2, loss="cross_entropy"), 1.0)
    found = evaluate.classification_runs(network, None, part, part, jax.random.key(0), 4, 8, runs=3)
    assert found[:, -1].all()
    assert not found[:, 0].all()


def test_sampled_accuracy_counts_images_drawn_anew_for_each_run_and_step():
    right = jnp.arange(1000)[None, None] < jnp.array([0, 300, 1000])[None, :, None] * jnp.ones((50, 1, 1), int)
    found = np.asarray(evaluate.sampled_accuracy(right, jax.random.key(0)))
    assert found.shape == (50, 3)
    assert (found[:, 0] == 0).all() and (found[:, 2] == 1).all()
    np.testing.assert_allclose(100 * found, np.round(100 * found), atol=1e-4)  # out of 100 images
    assert found[:, 1].mean() == pytest.approx(0.3, abs=0.03) and 0.02 < found[:, 1].std() < 0.07  # binomial: 0.0435
    np.testing.assert_allclose(evaluate.sampled_accuracy(right, jax.random.key(0), 1000), right.mean(-1), atol=1e-6)
