"""A graph that predicts: priors, predictions, losses, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import identical, noise, random_prior, refused
from mplp_lite import losses, network
from mplp_lite.graph import Graph, Node, connect, mlp
from mplp_lite.network import Network, State
from mplp_lite.nodes import Add, Input, Target

NET = Network(mlp(2, 4, 3, activation="tanh", loss="cross_entropy"))
TWO = Network(
    connect(
        [Node("a", Input(2)), Node("b", Input(2)), Node("sum", Add(2)), Node("loss", losses.L2(2)), Node("l1", losses.L1(2))]
        + [Node("y", Target(2)), Node("z", Target(2))],
        [("a", "sum"), ("b", "sum"), ("sum", "loss"), ("y", "loss"), ("sum", "l1"), ("z", "l1")],
    )
)
STATE = NET.begin(random_prior(NET), 5)
X = noise(1, 5, 2)
Y = jax.nn.one_hot(jnp.arange(5) % 3, 3)


def numpy_prediction(p, x):
    h = np.tanh(x @ p["W1"] + p["b1"])
    e = np.exp(h @ p["W2"] + p["b2"])
    return e / e.sum(axis=1, keepdims=True)


def test_a_prior_has_small_random_weights_and_zero_biases():
    wide_net = Network(mlp(50, 80, 3))
    prior = wide_net.prior(jax.random.key(0))
    assert {name: value.shape for name, value in prior.items()} == wide_net.parameter_shapes
    assert wide_net.parameter_shapes == {"W1": (50, 80), "b1": (80,), "W2": (80, 3), "b2": (3,)}
    assert float(prior["W1"].std()) == pytest.approx(0.05, rel=0.05)
    assert not prior["b1"].any() and not prior["b2"].any()
    assert identical(prior, wide_net.prior(jax.random.key(0)))
    other = wide_net.prior(jax.random.key(1))
    assert (prior["W1"] != other["W1"]).all()


def test_weights_of_different_nodes_are_drawn_independently():
    prior = Network(mlp(3, 3, 3)).prior(jax.random.key(0))
    assert (prior["W1"] != prior["W2"]).all()


def test_init_begins_from_a_fresh_prior():
    key = jax.random.key(3)
    assert identical(NET.init(key, 5), NET.begin(NET.prior(key), 5))
    assert NET.init(key, 5).carries == {}


@pytest.mark.parametrize("n", [1, 5, 12])
def test_predict_takes_any_number_of_examples(n):
    x = noise(n, n, 2)
    expected = numpy_prediction(jax.tree.map(np.asarray, STATE.parameters), np.asarray(x))
    np.testing.assert_allclose(NET.predict(STATE, x), expected, rtol=1e-5, atol=1e-6)


def test_losses_are_means_over_examples_and_units():
    p = numpy_prediction(jax.tree.map(np.asarray, STATE.parameters), np.asarray(X))
    unit_losses = NET.unit_losses(STATE, X, Y)
    assert set(unit_losses) == {"loss"}
    np.testing.assert_allclose(unit_losses["loss"], -np.asarray(Y) * np.log(p), rtol=1e-5, atol=1e-6)
    assert float(NET.loss(STATE, X, Y)) == pytest.approx(float((-np.asarray(Y) * np.log(p)).mean()), rel=1e-5)


def test_several_inputs_targets_and_losses_go_by_name():
    state = TWO.init(jax.random.key(0), 3)
    a, b, y, z = (noise(seed, 3, 2) for seed in range(4))
    assert state == State({}, {})
    prediction = TWO.predict(state, {"a": a, "b": b})
    np.testing.assert_allclose(prediction, a + b, rtol=1e-6)  # one output, judged twice
    unit_losses = TWO.unit_losses(state, {"b": b, "a": a}, {"y": y, "z": z})
    np.testing.assert_allclose(unit_losses["loss"], (y - a - b) ** 2 / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(unit_losses["l1"], abs(z - a - b), rtol=1e-5, atol=1e-6)
    total = sum(float(values.mean()) for values in unit_losses.values())
    assert float(TWO.loss(state, {"a": a, "b": b}, {"y": y, "z": z})) == pytest.approx(total, rel=1e-6)


def test_a_single_input_may_go_by_name_too():
    assert identical(NET.predict(STATE, {"x": X}), NET.predict(STATE, X))


def test_predict_may_be_jitted_mapped_and_differentiated():
    np.testing.assert_allclose(jax.jit(NET.predict)(STATE, X), NET.predict(STATE, X), rtol=1e-5, atol=1e-6)
    many = jax.vmap(NET.predict, in_axes=(None, 0))(STATE, jnp.stack([X, 2 * X]))
    np.testing.assert_allclose(many[1], NET.predict(STATE, 2 * X), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(NET.loss)(STATE, X, Y).parameters["b2"]
    p = numpy_prediction(jax.tree.map(np.asarray, STATE.parameters), np.asarray(X))
    np.testing.assert_allclose(gradient, (p - Y).sum(axis=0) / Y.size, rtol=1e-4, atol=1e-6)


# ---- what is refused, before anything is computed ----


@pytest.fixture
def no_computation(monkeypatch):
    def never(*_):
        raise AssertionError("the graph was walked")

    monkeypatch.setattr(network, "walk", never)


BAD_X = {
    "wrong width": (noise(1, 5, 3), ValueError, r"x has shape \(5, 3\), but this graph takes \(examples, 2\); reshape it"),
    "rank 1": (noise(1, 2), ValueError, r"x has shape \(2,\), but this graph takes \(examples, 2\)"),
    "rank 3": (noise(1, 1, 5, 2), ValueError, r"x has shape \(1, 5, 2\), but this graph takes \(examples, 2\)"),
    "a number": (1.0, ValueError, r"x has shape \(\), but"),
    "float64": (np.ones((5, 2)), TypeError, r"x is float64, but this network computes in float32; convert it: .*asarray\(x, float32\)"),
    "whole numbers": (jnp.ones((5, 2), int), TypeError, "x is int32, but this network computes in float32"),
    "booleans": (np.ones((5, 2), bool), TypeError, "x is bool, but this network computes in float32"),
    "a list": ([[1.0, 2.0]], TypeError, "x is list, but this network computes in float32"),
    "wrong name": ({"y": X}, ValueError, r"Data for \['y'\] was given, but this graph takes \['x'\]; pass a dictionary by name"),
}


@pytest.mark.parametrize("x, exception, sentence", BAD_X.values(), ids=BAD_X.keys())
def test_bad_inputs(no_computation, x, exception, sentence):
    with refused(exception, sentence):
        NET.predict(STATE, x)
    with refused(exception, sentence):
        NET.loss(STATE, x, Y)


@pytest.mark.parametrize(
    "y, exception, sentence",
    [
        (Y[:4], ValueError, r"Inputs and targets hold \{'x': 5, 'y': 4\} examples; give each the same number"),
        (Y[:, :2], ValueError, r"y has shape \(5, 2\), but this graph takes \(examples, 3\)"),
        (Y[:, 0], ValueError, r"y has shape \(5,\), but"),
        (np.asarray(Y, np.float64), TypeError, "y is float64, but this network computes in float32"),
        (Y.argmax(axis=1), ValueError, r"y has shape \(5,\), but"),
        ({"y": Y, "z": Y}, ValueError, r"Data for \['y', 'z'\] was given, but this graph takes \['y'\]"),
    ],
)
def test_bad_targets(no_computation, y, exception, sentence):
    for compute in (NET.loss, NET.unit_losses):
        with refused(exception, sentence):
            compute(STATE, X, y)


@pytest.mark.parametrize("x", [X, {"a": X}, {"a": X, "c": X}, {"a": X, "b": X, "c": X}], ids=["array", "missing", "misnamed", "extra"])
def test_several_inputs_need_their_names(no_computation, x):
    with refused(ValueError, r"Data for \[.*'a'.*\] was given, but this graph takes \['a', 'b'\]; pass a dictionary by name"):
        TWO.predict(State({}, {}), x)


def changed(**changes):
    """A prior with some parameters replaced, or left out where `None`."""
    return {name: value for name, value in {**STATE.parameters, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "prior",
    [changed(W1=None), changed(W3=jnp.ones((1, 1))), changed(b1=jnp.ones(5)), changed(b1=jnp.ones((1, 4))), {}],
    ids=["one missing", "one too many", "another shape", "another rank", "empty"],
)
def test_foreign_priors(prior):
    with refused(ValueError, r"The prior has shapes .*, but the graph needs .*'W1': \(2, 4\).*; pass one array for each"):
        NET.begin(prior, 5)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_holds_an_example(batch):
    with refused(ValueError, f"batch={batch} was given; it must be a whole number of at least 1"):
        NET.begin(STATE.parameters, batch)
    with refused(ValueError, f"batch={batch} was given"):
        NET.init(jax.random.key(0), batch)


def test_a_graph_that_judges_nothing_predicts_nothing():
    net = Network(Graph((Node("x", Input(2)),), ()))
    with refused(ValueError, "loss"):
        net.predict(net.init(jax.random.key(0), 1), X)
