"""The outer loop: what a meta-loss is made of, its gradient, who is trained by it, and the meta-step."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import identical, jit, max_difference, noise, random_episode, random_prior, random_rule, refused, wide
from mplp_lite import losses, meta
from mplp_lite.graph import Node, connect, mlp
from mplp_lite.learners import GRU, Stateless
from mplp_lite.meta import MetaLoss
from mplp_lite.nodes import Activation, Input, Target, Weight
from mplp_lite.protocol import Protocol
from mplp_lite.weights import named_leaves

KEY = jax.random.key(4)
STEPS, BATCH = 3, 4


# ---- who is trained ----

GRU_LEAVES = [
    *("u_x/W", "u_c/W", "u_c/b", "r_x/W", "r_c/W", "r_c/b"),
    *("MLP_x/Dense_0/W", "MLP_x/Dense_0/b", "MLP_x/Dense_1/W"),
    *("MLP_c/Dense_0/W", "MLP_c/Dense_0/b", "MLP_c/Dense_1/W", "MLP_c/Dense_1/b"),
]
STATELESS_LEAVES = [f"{net}/Dense_{k}/{part}" for net in "fg" for k in (0, 1) for part in "Wb"]
GROUPS = {  # nodes with a parameter, nodes without, scales
    "none": (["W1", "b1", "W2", "b2"], ["tanh1", "loss"], ["W1", "b1", "W2", "b2"]),
    "learners": (["weight", "bias"], ["tanh1", "loss"], ["W1", "b1", "W2", "b2"]),
    "all": (["weight", "bias"], ["tanh1", "loss"], ["weight", "bias"]),
}
LEARNERS = {"gru": GRU(message=2, hidden=1, widths=(3,)), "stateless": Stateless(message=2, widths=(3,))}
WITHOUT_CARRY = ("/u_c/W", "/r_x/W", "/r_c/W", "/r_c/b", "/MLP_c/Dense_0/W")
CASES = [(learner, sharing, 2) for learner in LEARNERS for sharing in GROUPS] + [("gru", "none", 1)]


def expected_names(learner, sharing):
    """Every leaf that meta-training may change, listed by hand."""
    with_parameter, without, scales = GROUPS[sharing]
    names = [f"scales/{group}" for group in scales]
    for group in with_parameter + without:
        leaves = GRU_LEAVES if learner == "gru" else [leaf for leaf in STATELESS_LEAVES if group in with_parameter or leaf[0] == "g"]
        names += [f"learners/{group}/{leaf}" for leaf in leaves]
    return set(names)


def cannot_matter(learner, sharing, steps, name):
    """Whether a trained leaf has no way to influence any loss.

    - The first weight node's message stays at the input, where nobody reads it: its own stateless `g` is idle. A shared `g`
      works for the second weight node too; a gated unit's message channels come back to it with its carry.
    - In the very first step all carries are zero, and what only ever multiplies a carry is idle: `W_uc` and the reset gate with
      the layer behind it. With a second step they matter.
    """
    if learner == "stateless":
        return sharing == "none" and name.startswith("learners/W1/g/")
    return steps == 1 and name.endswith(WITHOUT_CARRY)


def outer_batch(protocol, inputs, outputs, steps, count=2):
    """Random priors and episodes with a leading axis of `count`."""
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    priors = stack([random_prior(protocol, seed) for seed in range(count)])
    return priors, stack([random_episode(inputs, outputs, 20 + seed, steps, BATCH, BATCH) for seed in range(count)])


@pytest.mark.parametrize("learner, sharing, steps", CASES)
def test_exactly_what_can_matter_is_trained(learner, sharing, steps):
    """Plain descent with rate 1: a leaf changes just where its meta-gradient is not zero."""
    protocol = Protocol(mlp(2, 2, 1, activation="tanh"), LEARNERS[learner], sharing)
    rule = random_rule(protocol, seed=2)
    assert set(named_leaves(rule.trained)) == expected_names(learner, sharing)
    priors, episodes = outer_batch(protocol, 2, 1, steps)
    optimizer = optax.sgd(1.0)
    step = jit(partial(meta.meta_step, protocol, MetaLoss(), optimizer))
    new, _ = step(meta.begin(rule, optimizer), priors, episodes, KEY)
    old, new = named_leaves(rule), named_leaves(new.rule)
    unchanged = {name for name in old if identical(old[name], new[name])}
    statistics = {name for name in old if name.startswith("statistics/")}
    assert statistics and set(old) - statistics == expected_names(learner, sharing)
    assert unchanged == statistics | {name for name in expected_names(learner, sharing) if cannot_matter(learner, sharing, steps, name)}


@pytest.mark.parametrize(
    "graph, learner, sharing, count",
    [
        (mlp(1, 20, 20, 1), GRU(message=8, hidden=15), "none", 115_023),
        (mlp(144, 50, 10, activation="sigmoid", loss="cross_entropy"), GRU(message=4, hidden=7), "learners", 46_779),
    ],
)
def test_number_of_trained_values_of_the_papers_rules(graph, learner, sharing, count):
    rule = jax.eval_shape(Protocol(graph, learner, sharing).new_rule, KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(rule.trained)) == count


# ---- meta-gradients ----


def smooth_chain():
    """Two dense layers and a tanh: every learner's message matters to another's, and nothing has a kink."""
    ops = {"x": Input(2), "W1": Weight(units=2, inputs=2), "tanh": Activation(2, "tanh"), "W2": Weight(units=2, inputs=2)}
    ops |= {"loss": losses.L2(2), "y": Target(2)}
    edges = [("x", "W1"), ("W1", "tanh"), ("tanh", "W2"), ("W2", "loss"), ("y", "loss")]
    return connect([Node(name, op) for name, op in ops.items()], edges)


@pytest.mark.parametrize("learner", [LEARNERS["gru"], Stateless(message=2, widths=(3,), activation="tanh")], ids=["gru", "stateless"])
def test_meta_gradients_are_those_of_central_differences(learner):
    """Along random directions in all leaves at once, and in each leaf alone; prior included."""
    with wide(True):
        protocol = Protocol(smooth_chain(), learner)
        rule, prior = random_rule(protocol), random_prior(protocol)
        episode = random_episode(2, 2, steps=STEPS, batch=BATCH)
        meta_loss = MetaLoss(hint=0.6, remember=0.4, delta_penalty=0.5)

        def loss(point):
            return meta_loss(protocol, rule.with_trained(point["rule"]), point["prior"], episode, KEY)[0]

        point = {"rule": rule.trained, "prior": prior}
        leaves, structure = jax.tree.flatten(point)
        gradient, loss = jax.tree.leaves(jit(jax.grad(loss))(point)), jit(loss)
        directions = [[noise([seed, k], *leaf.shape) for k, leaf in enumerate(leaves)] for seed in range(4)]
        for number in range(len(leaves)):
            directions.append([noise(9, *leaf.shape) if k == number else jnp.zeros_like(leaf) for k, leaf in enumerate(leaves)])
        for direction in directions:
            ahead, behind = ([leaf + h * d for leaf, d in zip(leaves, direction, strict=True)] for h in (1e-5, -1e-5))
            expected = float(loss(jax.tree.unflatten(structure, ahead)) - loss(jax.tree.unflatten(structure, behind))) / 2e-5
            ours = sum(float(jnp.vdot(g, d)) for g, d in zip(gradient, direction, strict=True))
            assert ours == pytest.approx(expected, rel=1e-6, abs=1e-9)
            assert abs(expected) > 1e-6 or not any(g.any() for g, d in zip(gradient, direction, strict=True) if d.any())


# ---- what a meta-loss is made of ----


class Small:
    """A small protocol with a random rule, prior and episode."""

    protocol = Protocol(smooth_chain(), Stateless(message=2, widths=(4,)))
    loss = MetaLoss(hint=0.6, remember=0.3, delta_penalty=5.0)

    def __init__(self):
        self.rule = random_rule(self.protocol, seed=2)
        self.prior = random_prior(self.protocol)
        self.episode = random_episode(2, 2, steps=STEPS, batch=BATCH, held_out=5)

    def value(self, meta_loss, episode=None):
        """The meta-loss and its parts, compiled."""
        return jit(partial(meta_loss, self.protocol))(self.rule, self.prior, episode or self.episode, KEY)


@pytest.fixture(scope="module")
def small():
    return Small()


@pytest.fixture(scope="module")
def value_and_parts(small):
    return small.value(small.loss)


def test_parts_and_their_weights(small, value_and_parts):
    """Walked through step by step, deltas taken from the parameters themselves."""
    protocol, (xs, ys, x_held_out, y_held_out) = small.protocol, small.episode
    update, state = jit(protocol.update), protocol.begin(small.prior, BATCH)
    hints, remembered, deltas, keys = [], [0.0], [], jax.random.split(KEY, STEPS)
    for t in range(STEPS):
        before = state.parameters
        state, _ = update(small.rule, state, xs[t], ys[t])
        hints.append(float(protocol.loss(state, xs[t], ys[t])))
        deltas.append(sum(float(jnp.square(state.parameters[name] - before[name]).mean()) / 2 for name in before))
        if t:
            chosen = jax.random.randint(keys[t], (BATCH,), 0, t * BATCH)
            remembered.append(float(protocol.loss(state, jnp.concatenate(xs[:t])[chosen], jnp.concatenate(ys[:t])[chosen])))
    held_out = float(protocol.loss(state, x_held_out, y_held_out))
    total, parts = value_and_parts
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(
        {"hint": np.mean(hints), "remember": np.mean(remembered), "held_out": held_out, "delta": np.mean(deltas)}, rel=1e-4
    )
    expected = 0.6 * (0.7 * np.mean(hints) + 0.3 * np.mean(remembered)) + 0.4 * held_out + 5.0 * sum(deltas)
    assert float(total) == pytest.approx(expected, rel=1e-4)


def test_by_default_seven_tenths_hints_and_three_tenths_held_out(small, value_and_parts):
    total, parts = small.value(MetaLoss())
    assert float(total) == pytest.approx(0.7 * float(parts["hint"]) + 0.3 * float(parts["held_out"]), rel=1e-6)
    assert {name: float(parts[name]) for name in ("hint", "held_out")} == pytest.approx(
        {name: float(value_and_parts[1][name]) for name in ("hint", "held_out")}, rel=1e-6
    )
    assert set(parts) == {"hint", "held_out"}  # what has no weight is not computed


def test_nothing_is_remembered_at_the_first_step(small):
    episode = small.episode._replace(xs=small.episode.xs[:1], ys=small.episode.ys[:1])
    total, parts = small.value(MetaLoss(hint=1.0, remember=1.0), episode)
    assert float(total) == float(parts["remember"]) == 0
    assert float(parts["hint"]) > 0


def test_only_examples_of_earlier_steps_are_remembered(small):
    """A network that predicts 0 and learns nothing; example k of all has loss 10^k, so a sum of losses tells who was drawn."""
    rule = small.rule._replace(scales=jax.tree.map(jnp.zeros_like, small.rule.scales))
    prior, draws = jax.tree.map(jnp.zeros_like, small.prior), 400
    ys = jnp.sqrt(2.0 * 10.0 ** jnp.arange(6.0)).reshape(3, 2, 1) * jnp.ones((1, 1, 2))
    episode = small.episode._replace(xs=noise(1, 3, 2, 2), ys=ys)
    of_key = partial(MetaLoss(hint=1.0, remember=1.0), small.protocol, rule, prior, episode)
    total, parts = jit(jax.vmap(of_key))(jax.random.split(KEY, draws))
    assert identical(total, parts["remember"])
    sums = np.rint(6 * np.asarray(total)).astype(int)  # mean over 3 steps, 2 draws each
    drawn = np.array([[int(digit) for digit in f"{value:06d}"[::-1]] for value in sums])
    assert (drawn.sum(axis=1) == 4).all()  # two in step 1, two in step 2
    assert not drawn[:, 4:].any()  # nobody from step 2 itself
    assert (drawn[:, 2:4].sum(axis=1) <= 2).all()  # step 1 draws from step 0 alone
    expected = draws * np.array([1.5, 1.5, 0.5, 0.5])
    assert (abs(drawn.sum(axis=0)[:4] - expected) < 4 * np.sqrt(expected)).all()  # each alike


def test_delta_size():
    trail = {"W": {"message": jnp.full((1, 1, 1), 9.0), "delta": jnp.array([[1.0, 3.0]])}, "b": {"delta": jnp.array([2.0])}, "tanh": {}}
    assert float(meta.delta_size(trail)) == (1 + 9) / 2 / 2 + 4 / 2


def test_remat_changes_no_value_and_stores_less(small, value_and_parts):
    def value_and_gradient(remat):
        meta_loss = replace(small.loss, remat=remat)
        of_rule = jax.value_and_grad(lambda rule: meta_loss(small.protocol, rule, small.prior, small.episode, KEY), has_aux=True)
        program = jit(of_rule).lower(small.rule).compile()
        return *program(small.rule), program.memory_analysis().temp_size_in_bytes

    (stored, gradient, much), (recomputed, again, little) = value_and_gradient(False), value_and_gradient(True)
    assert little < 0.8 * much
    assert max_difference(recomputed, stored) < 1e-6 and max_difference(recomputed, value_and_parts) < 1e-6
    assert max_difference(again, gradient) < 1e-6 * max(float(abs(leaf).max()) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    "weights, sentence",
    [
        ({"hint": 1.1}, r"hint=1\.1 was given; it must lie in \[0, 1\]"),
        ({"hint": -0.1}, r"hint=-0\.1 was given; it must lie in \[0, 1\]"),
        ({"remember": 2}, r"remember=2 was given; it must lie in \[0, 1\]"),
        ({"remember": float("nan")}, r"remember=nan was given; it must lie in \[0, 1\]"),
        ({"delta_penalty": -1e-3}, r"delta_penalty=-0\.001 was given; it must lie in \[0, inf\]"),
    ],
)
def test_weights_out_of_range(weights, sentence):
    with refused(ValueError, sentence):
        MetaLoss(**weights)


# ---- meta-steps ----


def test_each_episode_has_a_loss_and_a_gradient_of_its_own(small):
    priors, episodes = outer_batch(small.protocol, 2, 2, STEPS)
    keys = jax.random.split(KEY, 2)
    together = partial(meta.episode_gradients, small.protocol, small.loss)
    gradients, metrics = jit(together)(small.rule.trained, small.rule, priors, episodes, keys)

    def loss(trained, prior, episode, key):
        return small.loss(small.protocol, small.rule.with_trained(trained), prior, episode, key)

    alone = jit(jax.value_and_grad(loss, has_aux=True))
    for k in range(2):
        (value, parts), gradient = alone(small.rule.trained, *jax.tree.map(lambda leaf, k=k: leaf[k], (priors, episodes)), keys[k])
        assert max_difference(jax.tree.map(lambda leaf, k=k: leaf[k], metrics), {"loss": value, **parts}) < 1e-6
        assert max_difference(jax.tree.map(lambda leaf, k=k: leaf[k], gradients), gradient) < 1e-6


def test_clipping_shortens_long_gradients_before_they_are_averaged():
    gradients = {"a": jnp.array([[3.0, 0.0], [0.3, 0.0]]), "b": jnp.array([[4.0], [0.4]])}  # norms 5 and 0.5
    plain, clipped = meta.clipped_mean(gradients), meta.clipped_mean(gradients, 1.0)
    np.testing.assert_allclose(plain["a"], [1.65, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["a"], [(0.6 + 0.3) / 2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [(0.8 + 0.4) / 2], rtol=1e-6)


def test_an_optimizer_sees_tensors_and_keeps_rows(small):
    """Adam over the tensors in one row is Adam over the tensors."""
    _, episodes = outer_batch(small.protocol, 2, 2, STEPS)
    trained = []
    for adam in (optax.adam(1e-2), optax.flatten(optax.adam(1e-2))):
        optimizer = optax.chain(meta.normalize_per_tensor(), adam)
        state = meta.begin(small.rule, optimizer, small.prior)
        step = jit(partial(meta.meta_step, small.protocol, small.loss, optimizer, priors=None, key=KEY))
        for _ in range(3):
            state, _ = step(state=state, episodes=episodes)
        trained.append(state.trained)
    assert max_difference(*trained) < 1e-6


def test_clipping_leaves_zero_gradients_and_shows_broken_ones():
    assert max_difference(meta.clipped_mean({"a": jnp.zeros((2, 3))}, 1.0), {"a": jnp.zeros(3)}) == 0.0
    assert not np.isfinite(meta.clipped_mean({"a": jnp.array([1.0, jnp.inf])}, 1.0)["a"])


class Jointly:
    """Meta-training of a rule together with its prior, compiled once."""

    optimizer = optax.chain(meta.normalize_per_tensor(), optax.adam(1e-2))

    def __init__(self, small):
        self.small = small
        _, self.episodes = outer_batch(small.protocol, 2, 2, STEPS)
        self._step = jit(partial(meta.meta_step, small.protocol, MetaLoss(remat=True), self.optimizer, priors=None, key=KEY))

    def begin(self):
        return meta.begin(self.small.rule, self.optimizer, self.small.prior)

    def step(self, state, spoilt=None):
        """One step; `spoilt` takes the place of one target."""
        episodes = self.episodes
        if spoilt is not None:
            episodes = episodes._replace(ys=episodes.ys.at[1, 0, 0].set(spoilt))
        return self._step(state=state, episodes=episodes)


@pytest.fixture(scope="module")
def jointly(small):
    return Jointly(small)


def test_a_prior_is_trained_when_it_is_given(jointly):
    first, metrics = jointly.step(state := jointly.begin())
    assert set(metrics) == {"loss", "hint", "held_out", "gradient", "finite"}
    assert (metrics.pop("finite") == 1).all()
    assert all(np.isfinite(value) and value.shape == () for value in metrics.values())
    assert all((first.prior[name] != value).any() for name, value in state.prior.items())
    assert identical(first.rule.statistics, state.rule.statistics)
    assert set(first.trained) == {"learners", "scales", "prior"}
    assert identical(first.trained, {**first.rule.trained, "prior": first.prior})
    later, losses_ = first, [float(metrics["loss"])]
    for _ in range(10):
        later, metrics = jointly.step(later)
        losses_.append(float(metrics["loss"]))
    assert losses_[-1] < losses_[0] and int(later.skipped) == 0


def test_without_a_joint_prior_none_is_trained(small):
    state = meta.begin(small.rule, optax.sgd(1.0))
    assert state.prior is None and set(state.trained) == {"learners", "scales"}


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(jointly, spoilt):
    before, _ = jointly.step(jointly.begin())
    after, metrics = jointly.step(before, spoilt)
    assert not np.isfinite(metrics["loss"]) and not np.isfinite(metrics["gradient"])
    assert identical(after.trained, before.trained) and identical(after.rule.statistics, before.rule.statistics)
    assert identical(after.optimizer.inner_state, before.optimizer.inner_state)
    assert (int(before.skipped), int(after.skipped)) == (0, 1)
    twice, _ = jointly.step(after, spoilt)
    assert int(twice.skipped) == 2
    resumed, straight = jointly.step(twice)[0], jointly.step(before)[0]
    assert identical(resumed.trained, straight.trained) and int(resumed.skipped) == 2
    assert not identical(resumed.trained, before.trained)


@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_each_gradient_tensor_is_divided_by_its_own_norm(eps):
    gradient = {"W": noise(1, 3, 4), "b": 1e3 * noise(2, 3), "scale": jnp.array(-0.2), "zero": jnp.zeros((2, 2))}
    transform = meta.normalize_per_tensor() if eps == 1e-8 else meta.normalize_per_tensor(eps)
    updates, _ = transform.update(gradient, transform.init(gradient))
    for name, value in jax.tree.map(np.asarray, gradient).items():
        np.testing.assert_allclose(updates[name], value / (np.sqrt((value.astype(np.float64) ** 2).sum()) + eps), rtol=1e-5)


@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_normalising_leaves_a_broken_gradient_broken(eps):
    gradient = {"a": jnp.array([1.0, jnp.inf]), "b": jnp.array([3.0, 4.0])}
    updates, _ = meta.normalize_per_tensor(eps).update(gradient, optax.EmptyState())
    assert not np.isfinite(updates["a"]).all() and np.isfinite(updates["b"]).all()


# ---- priors ----


def test_a_pool_holds_different_priors(small):
    pool = meta.prior_pool(small.protocol, KEY, 6)
    assert {name: values.shape for name, values in pool.items()} == {"W1": (6, 2, 2), "W2": (6, 2, 2)}
    assert len(np.unique(pool["W1"])) == pool["W1"].size
    assert identical(pool, meta.prior_pool(small.protocol, KEY, 6))
    assert 0.02 < float(pool["W1"].std()) < 0.08


def test_priors_are_drawn_from_a_pool_without_replacement():
    pool = {"W": jnp.arange(8.0)[:, None] * jnp.ones((1, 3)), "b": 10 * jnp.arange(8.0)}
    draw = jit(partial(meta.from_pool, pool), static_argnums=1)
    seen = set()
    for seed in range(20):
        drawn = draw(jax.random.key(seed), 5)
        assert drawn["W"].shape == (5, 3) and drawn["b"].shape == (5,)
        np.testing.assert_array_equal(drawn["b"], 10 * drawn["W"][:, 0])  # parameters of one prior stay together
        chosen = drawn["b"].tolist()
        assert len(set(chosen)) == 5
        seen.update(chosen)
    assert seen == set(pool["b"].tolist())
    assert sorted(draw(KEY, 8)["b"].tolist()) == pool["b"].tolist()


@pytest.mark.parametrize("size", [1, 3])
def test_a_pool_that_is_too_small_gives_each_prior_about_as_often(size):
    pool = {"b": jnp.arange(float(size))}
    counts = np.bincount(np.asarray(meta.from_pool(pool, KEY, 8)["b"], int), minlength=size)
    assert counts.sum() == 8 and counts.max() - counts.min() <= 1
