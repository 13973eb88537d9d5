"""Families of tasks: what is drawn, from which ranges, and that the key decides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import identical
from mplp_lite import baselines, mlp, tasks
from mplp_lite.tasks import Sinusoids

DRAWS = 3000


@pytest.fixture(scope="module")
def many():
    """Many episodes of 3 steps of 4 points, 5 held out."""
    return jax.jit(jax.vmap(Sinusoids(steps=3, batch=4, held_out=5).episode))(jax.random.split(jax.random.key(0), DRAWS))


def is_uniform(values, low, high):
    """Within [low, high], and spread like a uniform draw: both ends are reached, quartiles are where they should be."""
    shares = np.linspace(0, 1, 5)
    quantiles = (np.quantile(values, shares) - low) / (high - low)
    reached = 0 <= quantiles[0] < 0.01 and 0.99 < quantiles[-1] <= 1
    return reached and np.allclose(quantiles, shares, atol=2 / np.sqrt(np.size(values)))


def fitted(x, y):
    """Amplitude, phase and largest error of the sinusoid `A sin(x + phase)` through the points, by least squares."""
    x, y = np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64)
    basis = np.stack([np.sin(x), np.cos(x)], axis=1)
    (a, b), *_ = np.linalg.lstsq(basis, y, rcond=None)
    return np.hypot(a, b), np.arctan2(b, a), np.abs(basis @ (a, b) - y).max()


def test_shapes():
    episode = Sinusoids().episode(jax.random.key(0))
    assert [values.shape for values in episode] == [(5, 10, 1), (5, 10, 1), (10, 1), (10, 1)]
    assert all(values.dtype == np.float32 for values in episode)


def test_inputs_are_uniform(many):
    assert many.xs.shape == many.ys.shape == (DRAWS, 3, 4, 1) and many.x_held_out.shape == (DRAWS, 5, 1)
    assert is_uniform(many.xs, -5, 5) and is_uniform(many.x_held_out, -5, 5)


def test_targets_lie_on_one_sinusoid_per_episode_with_uniform_amplitude_and_phase(many):
    xs, ys, x, y = (np.asarray(values).reshape(DRAWS, -1) for values in many)
    fits = [fitted(*points) for points in zip(np.hstack([xs, x]), np.hstack([ys, y]), strict=True)]
    amplitudes, phases, errors = np.transpose(fits)
    assert errors.max() < 1e-5
    assert is_uniform(np.clip(amplitudes, 0.1, 0.5), 0.1, 0.5) and abs(np.clip(amplitudes, 0.1, 0.5) - amplitudes).max() < 1e-5
    assert is_uniform(np.clip(phases, 0, np.pi), 0, np.pi) and abs(np.clip(phases, 0, np.pi) - phases).max() < 1e-4
    assert abs(np.corrcoef(amplitudes, phases)[0, 1]) < 4 / np.sqrt(DRAWS)


def test_task_is_the_one_the_episode_is_made_of():
    task = Sinusoids()
    amplitude, phase = task.task(jax.random.key(7))
    assert amplitude.shape == phase.shape == ()
    assert 0.1 <= float(amplitude) <= 0.5 and 0 <= float(phase) <= np.pi


def test_the_mean_curve_is_the_average_of_many():
    task, x = Sinusoids(), jnp.linspace(-5.0, 5.0, 50)[:, None]
    amplitudes, phases = jax.vmap(task.task)(jax.random.split(jax.random.key(1), 20_000))
    curves = amplitudes[None] * jnp.sin(x + phases[None])
    assert task.mean_curve(x).shape == (50, 1) and task.mean_curve(x).dtype == jnp.float32
    np.testing.assert_allclose(task.mean_curve(x)[:, 0], curves.mean(axis=1), atol=5 * 0.35 / np.sqrt(20_000))
    with pytest.raises(TypeError, match="x is int32"):
        task.mean_curve(jnp.arange(3))


def test_the_key_decides(many):
    task, key = Sinusoids(steps=3, batch=4, held_out=5), jax.random.split(jax.random.key(0), DRAWS)[17]
    assert identical(task.episode(key), task.episode(key))
    np.testing.assert_allclose(task.episode(key).ys, many.ys[17], atol=1e-6)
    assert not np.isin(task.episode(jax.random.key(99)).xs, many.xs[17]).any()


def test_no_point_is_drawn_twice(many):
    points = np.concatenate([many.xs[0].ravel(), many.x_held_out[0].ravel()])
    assert len(np.unique(points)) == len(points) == 17


def test_the_evaluation_episode_is_judged_on_the_grid():
    task, key = Sinusoids(), jax.random.key(5)
    plain, judged = task.episode(key), task.evaluation_episode(key)
    assert identical(judged[:2], plain[:2])
    np.testing.assert_allclose(judged.x_held_out, np.linspace(-5, 5, 100)[:, None], atol=1e-6)
    a, b = fitted(plain.xs, plain.ys), fitted(judged.x_held_out, judged.y_held_out)
    assert a[:2] == pytest.approx(b[:2], abs=1e-5) and max(a[2], b[2]) < 1e-6


def test_a_shorter_reach_is_the_same_curve_nearer_to_zero():
    key = jax.random.key(5)
    near, far = Sinusoids(reach=2.5), Sinusoids()
    for drawn in ("episode", "evaluation_episode"):
        a, b = getattr(near, drawn)(key), getattr(far, drawn)(key)
        np.testing.assert_allclose(2 * a.xs, b.xs, rtol=1e-5)
        np.testing.assert_allclose(2 * a.x_held_out, b.x_held_out, rtol=1e-5)
    assert fitted(a.x_held_out, a.y_held_out)[:2] == pytest.approx(fitted(b.x_held_out, b.y_held_out)[:2], abs=1e-5)


# ---------------------------------------------------------------- images


def numbered(count=30):
    """Images that say which they are, in both of their pixels, labelled by the remainder of a division by three."""
    numbers = jnp.arange(count)
    return jnp.stack([numbers, -numbers], axis=1).astype(float), jnp.eye(3)[numbers % 3]


@pytest.mark.parametrize(("steps", "batch", "held_out"), [(4, 3, 5), (1, 1, 1), (5, 4, 10)])
def test_an_episode_holds_different_images_with_their_labels(steps, batch, held_out):
    episode = tasks.Images(*numbered(), steps, batch, held_out).episode(jax.random.key(0))
    assert episode.xs.shape == (steps, batch, 2) and episode.ys.shape == (steps, batch, 3)
    assert episode.x_held_out.shape == (held_out, 2) and episode.y_held_out.shape == (held_out, 3)
    xs = np.concatenate([episode.xs.reshape(-1, 2), episode.x_held_out])
    ys = np.concatenate([episode.ys.reshape(-1, 3), episode.y_held_out])
    assert len(np.unique(xs[:, 0])) == steps * batch + held_out
    np.testing.assert_array_equal(xs[:, 0], -xs[:, 1])
    np.testing.assert_array_equal(ys.argmax(1), xs[:, 0] % 3)


def test_examples_come_again_in_another_order_and_never_those_held_out():
    """Thirty, five of them held out: three steps of ten see each of the others once, and five of them twice; six steps, each twice."""
    key = jax.random.key(0)
    three, six = (tasks.Images(*numbered(), steps, 10, 5, again=True).episode(key) for steps in (3, 6))
    seen = np.asarray(six.xs)[..., 0].ravel()
    first, second, third = seen[:25], seen[25:50], seen[50:]
    assert sorted(first) == sorted(second) == sorted(set(range(30)) - set(np.asarray(six.x_held_out)[:, 0].tolist()))
    assert (first != second).any() and len(set(third)) == 10 and (third != first[:10]).any() and (third != second[:10]).any()
    np.testing.assert_array_equal(three.xs, six.xs[:3])
    np.testing.assert_array_equal(six.ys.argmax(-1), six.xs[..., 0] % 3)
    once, may = (tasks.Images(*numbered(), 2, 10, 5, again=again).episode(key) for again in (False, True))
    assert identical(once, may)


def test_a_tested_episode_holds_out_the_test_part():
    family, key = tasks.Images(*numbered(), 2, 3, 4, test=tuple(values[:7] for values in numbered())), jax.random.key(0)
    plain, tested = family.episode(key), family.tested_episode(key)
    assert identical(plain[:2], tested[:2]) and identical(tested.held_out, family.test)
    with pytest.raises(ValueError, match="no test part"):
        tasks.Images(*numbered(), 2, 3, 4).tested_episode(key)


def test_another_key_draws_other_images():
    family = tasks.Images(*numbered(), 2, 3, 4)
    first, same, other = (family.episode(jax.random.key(seed)).xs for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


SIX = jnp.arange(120) % 6


def by_class(parts, again=False, steps=6):
    """A hundred and twenty images of six classes, as many of each, that say which they are."""
    return tasks.Images(jnp.arange(120.0)[:, None], jnp.eye(6)[SIX], steps, 5, 8, again=again, parts=parts)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_classes_come_part_by_part_and_all_of_them_are_held_out(parts):
    episodes = jax.vmap(by_class(parts, steps=12).episode)(jax.random.split(jax.random.key(0), 20))
    classes = np.asarray(episodes.ys.argmax(-1)).reshape(20, parts, -1)
    orders = set()
    for k in range(20):
        sets = [frozenset(part.tolist()) for part in classes[k]]
        assert sum(map(len, sets)) == 6 and {len(each) for each in sets} == {6 // parts} and len(frozenset().union(*sets)) == 6
        seen, kept = (np.asarray(part[k])[..., 0].ravel() for part in (episodes.xs, episodes.x_held_out))
        assert len({*seen, *kept}) == 60 + 8
        np.testing.assert_array_equal(classes[k].ravel(), np.asarray(SIX)[seen.astype(int)])
        orders.add(tuple(sets))
    assert len(orders) > 10
    held_out = np.asarray(episodes.y_held_out.sum((0, 1)))
    assert (held_out > 10).all()  # 27 of each on average


def test_a_part_with_too_few_images_shows_them_again():
    episode = by_class(6, again=True, steps=30).episode(jax.random.key(0))
    for part in np.asarray(episode.xs).reshape(6, 25):
        there = len(set(part.tolist()))
        assert there <= 20 and len(set((part % 6).tolist())) == 1
        np.testing.assert_array_equal(part, np.tile(part[:there], 2)[:25])


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [(0, "parts=0 was given"), (7, "parts=7 was given for 6 classes and 6 steps"), (4, "there must be a class for each part, and as many")],
)
def test_parts_that_cannot_be_are_refused(parts, sentence):
    with pytest.raises(ValueError, match=sentence):
        by_class(parts)


def test_a_part_of_few_images_is_refused_before_it_is_drawn():
    few = jnp.arange(120.0)[:, None], jnp.eye(6)[jnp.maximum(jnp.arange(120) - 100, 0) % 6]  # class 1 has four
    with pytest.raises(ValueError, match="A part may need 5 images, but some classes may leave only 0; ask for fewer"):
        tasks.Images(*few, 6, 5, 8, parts=6)


def test_what_was_learned_part_by_part_is_judged_part_by_part():
    """The last class that came is what plain gradient descent says to all."""
    x, y = 3 * jnp.eye(6)[SIX], jnp.eye(6)[SIX]
    family = tasks.Images(x, y, 60, 5, 8, (x, y), again=True, parts=6)
    network = baselines.sgd(mlp(6, 6, loss="cross_entropy", aggregate="sum"), 1.0)
    found = jax.tree.map(np.asarray, family.judge(network, None, jax.random.key(0), 4))
    assert {*found} == {"accuracy", "accuracy_on_100", "accuracy_so_far", "accuracy_on_the_first"}
    assert (found["accuracy_so_far"][:, 10] == 1).all() and (found["accuracy_on_the_first"][:, 10] == 1).all()
    np.testing.assert_allclose(found["accuracy_so_far"][:, -1], found["accuracy"][:, -1], atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [((0, 3, 4), "steps=0 was given"), ((2, 1.5, 4), "batch=1.5 was given"), ((5, 5, 6), "needs 31 examples, but only 30")],
)
def test_images_refuse_what_cannot_be(sizes, sentence):
    with pytest.raises(ValueError, match=sentence):
        tasks.Images(*numbered(), *sizes)


@pytest.mark.parametrize("sizes", [{"steps": -1}, {"batch": 0}, {"held_out": 2.0}])
def test_sinusoids_refuse_what_cannot_be(sizes):
    ((name, value),) = sizes.items()
    with pytest.raises(ValueError, match=f"{name}={value} was given"):
        tasks.Sinusoids(**sizes)
