"""The factored learner, entry by entry in numpy; the batch is free, and what it says knows nothing of places, sizes and repetitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracle
from helpers import jit, max_difference, noise, random_prior, random_rule
from mplp_lite import GRU, Factored, Protocol, mlp, nodes
from mplp_lite.factored import check_factored, sized

MESSAGE, HIDDEN, BATCH = 3, 2, 5
LEARNER = Factored(message=MESSAGE, hidden=HIDDEN, widths=(6,), step=0.5, fan_in=7)
PROTOCOL = Protocol(mlp(4, 3, 2, activation="tanh", loss="l2"), LEARNER, "kinds", "none")


def perceptron(parameters, x):
    """A `Perceptron` of one hidden layer, tanh."""
    first, last = (parameters[name] for name in ("Dense_0", "Dense_1"))
    return np.tanh(x @ first["W"] + first["b"]) @ last["W"] + last["b"]


def rms(values):
    return np.sqrt(np.mean(np.square(values)) + 1e-6)


def started(batch=BATCH, steps=2):
    """A rule, and a state that has some steps behind it."""
    rule, state = random_rule(PROTOCOL), PROTOCOL.begin(random_prior(PROTOCOL), batch)
    for step in range(steps):
        state, _ = jit(PROTOCOL.update)(rule, state, noise([1, step], batch, 4), noise([2, step], batch, 2))
    return rule, state


def test_channels_are_divided_by_their_root_mean_square():
    values = np.asarray(noise(3, 4, 5, 2))
    for channel in range(2):
        np.testing.assert_allclose(sized(jnp.asarray(values))[..., channel], values[..., channel] / rms(values[..., channel]), rtol=1e-5)


def test_a_weight_synapse_by_synapse():
    rule, state = started()
    x, y = noise(8, BATCH, 4), noise(9, BATCH, 2)
    after, trail = jit(PROTOCOL.update)(rule, state, x, y)
    learner = jax.tree.map(np.asarray, rule.learners["weight"])
    x, heard, weight = (np.asarray(values, np.float64) for values in (x, trail["b1"]["message"], state.parameters["W1"]))
    memory = np.asarray(state.carries["W1"]["memory"], np.float64)
    x, own = x / rms(x), weight / rms(weight)
    heard = heard / np.array([rms(heard[..., m]) for m in range(MESSAGE)])
    together = np.zeros((4, 3, MESSAGE))
    for b, i, j, m in np.ndindex(BATCH, 4, 3, MESSAGE):
        together[i, j, m] += x[b, i] * heard[b, j, m] / BATCH
    together /= np.array([rms(together[..., m]) for m in range(MESSAGE)])
    ages = [np.log(1 + 2) / 3 - 0.5, np.tanh(2 / 20)]
    for i, j in np.ndindex(4, 3):
        thought = perceptron(learner["f"], np.concatenate([together[i, j], [x[:, i].mean(), own[i, j]], memory[i, j], ages]))
        delta = thought[0] * oracle.sigmoid(thought[1]) * 0.5 * 7 / 4 * rule.scales["weight"]
        np.testing.assert_allclose(trail["W1"]["delta"][i, j], delta, atol=2e-5)
        u = oracle.sigmoid(thought[4:] - 1)
        np.testing.assert_allclose(
            after.carries["W1"]["memory"][i, j], (1 - u) * memory[i, j] + u * np.tanh(thought[2:4]), atol=2e-5
        )
    said = np.zeros((BATCH, 4, MESSAGE))
    for b, i, j in np.ndindex(BATCH, 4, 3):
        for part, mixer in zip([own[i, j], *memory[i, j]], learner["Q"], strict=True):
            said[b, i] += part * heard[b, j] @ mixer / np.sqrt(3)
    np.testing.assert_allclose(trail["W1"]["message"], said, atol=2e-5)


def test_a_bias_unit_by_unit():
    rule, state = started()
    x, y = noise(8, BATCH, 4), noise(9, BATCH, 2)
    after, trail = jit(PROTOCOL.update)(rule, state, x, y)
    learner = jax.tree.map(np.asarray, rule.learners["bias"])
    heard, bias = (np.asarray(values, np.float64) for values in (trail["tanh1"]["message"], state.parameters["b1"]))
    heard, own = heard / np.array([rms(heard[..., m]) for m in range(MESSAGE)]), bias / rms(bias)
    mean = heard.mean(axis=0)
    mean /= np.array([rms(mean[:, m]) for m in range(MESSAGE)])
    ages = [np.log(1 + 2) / 3 - 0.5, np.tanh(2 / 20)]
    for j in range(3):
        thought = perceptron(learner["f"], np.concatenate([mean[j], [own[j]], np.asarray(state.carries["b1"]["memory"])[j], ages]))
        delta = thought[0] * oracle.sigmoid(thought[1]) * 0.5 * rule.scales["bias"]
        np.testing.assert_allclose(trail["b1"]["delta"][j], delta, atol=2e-5)
    np.testing.assert_allclose(trail["b1"]["message"], heard, atol=2e-5)
    assert after.carries["b1"]["age"] == state.carries["b1"]["age"] + 1 == 3


def test_a_node_without_parameter_speaks_for_each_example_alone():
    rule, state = started()
    _, trail = jit(PROTOCOL.update)(rule, state, noise(8, BATCH, 4), noise(9, BATCH, 2))
    heard, learner = np.asarray(trail["W2"]["message"], np.float64), jax.tree.map(np.asarray, rule.learners["activation"])
    heard = heard / np.array([rms(heard[..., m]) for m in range(MESSAGE)])
    x = np.asarray(noise(8, BATCH, 4)) @ np.asarray(state.parameters["W1"]) + np.asarray(state.parameters["b1"])
    expected = perceptron(learner["g"], np.concatenate([heard, x[..., None], np.tanh(x)[..., None]], axis=-1))
    np.testing.assert_allclose(trail["tanh1"]["message"], expected, atol=2e-5)
    assert "tanh1" not in state.carries


def test_a_batch_may_be_of_any_size_at_any_step():
    rule, state = started(batch=5)
    for batch in (1, 9):
        state, _ = jit(PROTOCOL.update)(rule, state, noise(8, batch, 4), noise(9, batch, 2))
    assert float(state.carries["W2"]["age"]) == 4


def test_examples_that_come_twice_change_nothing():
    rule, state = started()
    x, y = noise(8, BATCH, 4), noise(9, BATCH, 2)
    once, _ = jit(PROTOCOL.update)(rule, state, x, y)
    twice, _ = jit(PROTOCOL.update)(rule, state, jnp.concatenate([x, x]), jnp.concatenate([y, y]))
    assert max_difference(once, twice) < 1e-5


def test_the_order_of_inputs_examples_and_hidden_units_does_not_matter():
    rule, state = started()
    inputs, hidden, examples = (np.random.default_rng(n).permutation(n) for n in (4, 3, BATCH))

    def moved(tree):
        """The same, its inputs and hidden units in another order."""
        return {
            name: values if name == "b2" or not jnp.ndim(values) else
            values[inputs][:, hidden] if name == "W1" else values[hidden]
            for name, values in tree.items()
        }

    x, y = noise(8, BATCH, 4), noise(9, BATCH, 2)
    after, _ = jit(PROTOCOL.update)(rule, state, x, y)
    carries = {name: {of: moved({name: part})[name] for of, part in carry.items()} for name, carry in state.carries.items()}
    other = state._replace(parameters=moved(state.parameters), carries=carries)
    other, _ = jit(PROTOCOL.update)(rule, other, x[examples][:, inputs], y[examples])
    assert max_difference(moved(after.parameters), other.parameters) < 1e-5


def test_one_rule_serves_any_width_and_depth():
    rule, _ = started()
    deeper = Protocol(mlp(6, 9, 5, 2, activation="relu", loss="l2"), LEARNER, "kinds", "none")
    state = deeper.begin(random_prior(deeper), 2)
    after, _ = jit(deeper.update)(deeper.adopt(rule, PROTOCOL), state, noise(1, 2, 6), noise(2, 2, 2))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(after))


def test_what_is_learned_reaches_every_part_of_it():
    """The loss after two steps depends on `f`, `g` and the matrices of the messages."""
    rule, state = random_rule(PROTOCOL), PROTOCOL.begin(random_prior(PROTOCOL), BATCH)
    x, y = noise(8, BATCH, 4), noise(9, BATCH, 2)

    def loss(rule):
        once, _ = PROTOCOL.update(rule, state, x, y)
        return PROTOCOL.loss(PROTOCOL.update(rule, once, x, y)[0], x, y)

    gradient = jit(jax.grad(loss))(rule)
    for name, part in gradient.learners.items():
        assert all(abs(leaf).max() > 1e-9 for leaf in jax.tree.leaves(part)), name


def test_it_works_beside_another_learner():
    mixed = Protocol(mlp(2, 2, loss="l2"), {"weight": LEARNER, "*": GRU(message=MESSAGE)})
    state = mixed.init(jax.random.key(0), 3)
    after, _ = jit(mixed.update)(mixed.new_rule(jax.random.key(1)), state, noise(1, 3, 2), noise(2, 3, 2))
    assert set(after.carries["W1"]) == {"memory", "age"} and after.carries["b1"].shape[0] == 3


class Shared(nodes.Bias):
    """One number for all units."""

    parameter_shape = (1,)

    def initial(self, key):
        return jnp.zeros(1)

    def pool(self, updates):
        return updates.sum(keepdims=True)


def test_other_kinds_of_parameter_need_another_learner():
    with pytest.raises(NotImplementedError, match=r"Factored speaks for .* not for Shared .* parameter of shape \(1,\); give that kind"):
        check_factored(Shared(3))


@pytest.mark.parametrize(("fields", "told"), [({"fan_in": 0}, "fan_in"), ({"step": float("nan")}, "step"), ({"hidden": -1}, "hidden")])
def test_sizes_that_cannot_be(fields, told):
    with pytest.raises(ValueError, match=told):
        Factored(**fields)
