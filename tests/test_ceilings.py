"""Ceilings: a Gaussian process against its formula in numpy, classifiers on the very images that the networks of a run see."""

import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import refused
from mplp_lite import evaluate, mlp, tasks
from mplp_lite.baselines import GradientDescent, sgd
from mplp_lite.run import ceilings
from mplp_lite.run.rivals import Ring

KEY = jax.random.key(4)


def test_a_gaussian_process_is_its_formula(monkeypatch):
    """With length and height held fixed: prediction k(x, seen) (K + noise)^-1 y."""
    monkeypatch.setattr(ceilings, "KERNEL", {"height": (0.1, "fixed"), "length": (1.5, "fixed")})
    task = tasks.Sinusoids(2, 4, 3)
    found = ceilings.curves(Ring(mlp(1, 1), task, KEY, 3))["Gaussian process"]
    for k, key in enumerate(jax.random.split(KEY, 3)):
        episode = jax.tree.map(lambda values: np.asarray(values, np.float64), task.evaluation_episode(jax.random.split(key)[0]))
        grid, truth = episode.held_out

        def kernel(a, b):
            return 0.1 * np.exp(-np.square(a - b.T) / (2 * 1.5**2))

        for step in (1, 2):
            x, y = (values[:step].reshape(-1, 1) for values in (episode.xs, episode.ys))
            predicted = kernel(grid, x) @ np.linalg.solve(kernel(x, x) + ceilings.CURVE_NOISE * np.eye(len(x)), y)
            np.testing.assert_allclose(found[k, step], np.square(predicted - truth).mean() / 2, rtol=1e-3, atol=1e-9)
        assert found[k, 0] == pytest.approx(np.square(truth).mean() / 2)


def test_length_and_height_are_found():
    """Twenty points of a sinusoid tell nearly all of it, whatever its height."""
    losses = ceilings.curves(Ring(mlp(1, 1), tasks.Sinusoids(2, 10, 3), KEY, 5))["Gaussian process"]
    assert np.median(losses[:, 2]) < 1e-4 < np.median(losses[:, 0])


@pytest.fixture(scope="module")
def ring():
    """Two classes in clusters far apart, and one image that is on the wrong side."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    x = rng.normal(size=(60, 4)) * 0.3 + 2 * labels[:, None]
    data = jnp.asarray(x, float), jnp.eye(2)[labels]
    part = tuple(values[:40] for values in data), tuple(values[40:] for values in data)
    return Ring(mlp(4, 2, loss="cross_entropy"), tasks.Images(*part[0], 3, 4, 2, part[1]), KEY, 6)


def test_easy_classes_are_told_apart(ring):
    found = ceilings.images(ring)
    assert [name.rstrip("0123456789. ") for name in found] == list(ceilings.classifiers())
    assert all(scores.shape == (6,) and scores.mean() > 0.95 for scores in found.values())


def test_more_images_are_those_of_longer_runs(ring):
    """The first column is what the ring's own runs have; a network ends where it does by itself."""
    found = ceilings.along(ring, (3, 6))
    assert list(found) == [*ceilings.ALONG, "Adam, all at once"] and all(scores.shape == (6, 2) for scores in found.values())
    for name in ceilings.ALONG:
        (alone,) = (scores for told, scores in ceilings.images(ring).items() if told.startswith(name))
        np.testing.assert_allclose(found[name][:, 0], alone)
    longer = replace(ring, task=replace(ring.task, steps=6))
    alone = longer.full_batch(longer.best_full_batch(200).network, 200)[:, -1]
    np.testing.assert_allclose(found["Adam, all at once"][:, 1], -np.asarray(alone), atol=1e-6)


def test_a_run_sees_the_images_that_its_network_sees(ring, monkeypatch):
    seen = []

    class Spy:
        def fit(self, x, y):
            seen.append((x, y))
            return self

        def score(self, x, y):
            return 0.5

    assert ceilings.accuracies(ring, lambda choice: Spy()).tolist() == [0.5] * 6
    told = []
    plain = GradientDescent.update

    def update(self, rule, state, x, y):
        jax.debug.callback(lambda x: told.append(np.asarray(x)), x)
        return plain(self, rule, state, x, y)

    monkeypatch.setattr(GradientDescent, "update", update)
    evaluate.classification_runs(sgd(ring.graph), None, (ring.task.x, ring.task.y), ring.task.test, KEY, 3, 4, 6).block_until_ready()
    rows = sorted(tuple(row) for batch in told for row in batch)
    assert rows == sorted(tuple(row) for x, _ in seen for row in x)


def test_without_scikit_learn_it_is_said(ring, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for measure in (ceilings.curves, ceilings.images, lambda ring: ceilings.along(ring, (3,))):
        with refused(ModuleNotFoundError, "scikit-learn, which is not installed"):
            measure(ring)
