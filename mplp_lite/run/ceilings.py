"""What could be made of the same examples: methods of scikit-learn that learn from all of them at once and keep no network."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from .rivals import FULL_BATCH_STEPS, Ring

SOLVER_STEPS = 2000
KERNEL = {"height": (0.1, (1e-4, 1e2)), "length": (1.5, (0.3, 10.0))}
"""First value and bounds of the height and the length of a Gaussian process's squared exponential."""
ALONG = ("nearest neighbour", "support vectors, squared exponential")
"""Which classifiers are measured with more and more images."""
CURVE_NOISE = 1e-8
"""Variance of a Gaussian process's noise, for curves that have none: what its matrices need to be invertible."""


def needed() -> None:
    """Lets a machine pass that has scikit-learn.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    try:
        import sklearn  # noqa: F401
    except ModuleNotFoundError as error:
        told = "Ceilings are measured with scikit-learn, which is not installed; run pip install scikit-learn and try again."
        raise ModuleNotFoundError(told) from error


def curves(ring: Ring) -> dict[str, np.ndarray]:
    """The loss on the grid of a Gaussian process, squared exponential, its length and height by likelihood, `(runs, steps + 1)`.

    Args:
        ring: the runs, of sinusoids.

    Raises:
        ModuleNotFoundError: if scikit-learn is not installed.
    """
    needed()
    episodes = jax.vmap(lambda key: ring.task.evaluation_episode(jax.random.split(key)[0]))(jax.random.split(ring.key, ring.runs))
    each = [jax.tree.map(lambda values, k=k: np.asarray(values[k], np.float64), episodes) for k in range(ring.runs)]
    return {"Gaussian process": np.array([list(_fits(episode)) for episode in each])}


def _fits(episode) -> Iterator[float]:
    """Losses after 0, 1, ... batches; before the first, of predicting 0."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    x, y = episode.held_out
    yield float(np.square(y).mean() / 2)
    for step in range(1, episode.steps + 1):
        seen_x, seen_y = (values[:step].reshape(-1, 1) for values in (episode.xs, episode.ys))
        kernel = ConstantKernel(*KERNEL["height"]) * RBF(*KERNEL["length"])
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # a bound was reached
            process = GaussianProcessRegressor(kernel, alpha=CURVE_NOISE).fit(seen_x, seen_y[:, 0])
        yield float(np.square(process.predict(x) - y[:, 0]).mean() / 2)


def classifiers() -> dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]]:
    """By name: how to make one from a number, and the numbers to choose from; `(None,)` where there is nothing to choose."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    from sklearn.svm import SVC

    return {
        "nearest class mean": (lambda _: NearestCentroid(), (None,)),
        "nearest neighbour": (lambda _: KNeighborsClassifier(1), (None,)),
        "linear discriminants, shrunk": (lambda _: LinearDiscriminantAnalysis("lsqr", shrinkage="auto"), (None,)),
        "logistic regression": (lambda c: LogisticRegression(C=c, max_iter=SOLVER_STEPS), (0.001, 0.01, 0.1, 1.0)),
        "support vectors, squared exponential": (lambda c: SVC(C=c), (1.0, 10.0, 100.0)),
    }


def images(ring: Ring) -> dict[str, np.ndarray]:
    """Accuracy on the test part after learning from all images of a run, `(runs,)`, by method.

    What a method can be told is chosen on other runs, tested on training images; see `Ring.choosing`.

    Args:
        ring: the runs, of images.

    Raises:
        ModuleNotFoundError: if scikit-learn is not installed.
    """
    needed()
    found = {}
    for name, (make, choices) in classifiers().items():
        best, scores = _best_of(ring, make, choices)
        found[name if best is None else f"{name} {best:g}"] = scores
    return found


def _best_of(ring, make, choices):
    """The choice that is best on other runs, and how it does on the ring's."""
    best = choices[0]
    if len(choices) > 1:
        best = max(choices, key=lambda choice: accuracies(ring.choosing, make, choice).mean())
    return best, accuracies(ring, make, best)


def along(ring: Ring, steps: Sequence[int]) -> dict[str, np.ndarray]:
    """Accuracy on the test part where all images of so many steps are there at once, `(runs, len(steps))`, by method.

    Args:
        ring: the runs, of images.
        steps: how many.

    Raises:
        ModuleNotFoundError: if scikit-learn is not installed.
    """
    needed()
    longer = [replace(ring, task=replace(ring.task, steps=each)) for each in steps]
    found = {name: [_best_of(each, *classifiers()[name])[1] for each in longer] for name in ALONG}
    found["Adam, all at once"] = [_full_batch(each) for each in longer]
    return {name: np.stack(scores, axis=1) for name, scores in found.items()}


def _full_batch(ring):
    """Accuracy of the same network at the end of a long descent on all images of a run, `(runs,)`."""
    steps = FULL_BATCH_STEPS[ring.family]
    return -np.asarray(ring.full_batch(ring.best_full_batch(steps).network, steps))[:, -1]


def accuracies(ring: Ring, make: Callable[[Any], Any], choice: Any = None) -> np.ndarray:
    """Accuracy on the test part of what `make(choice)` makes, by run, `(runs,)`; it sees the images that networks see with the same key."""
    x, y, test_x, test_y = (np.asarray(values) for values in (ring.task.x, ring.task.y, *ring.task.test))
    seen = ring.task.steps * ring.task.batch
    chosen = jax.vmap(lambda key: jax.random.permutation(jax.random.split(key)[0], len(x))[:seen])(jax.random.split(ring.key, ring.runs))
    return np.array([make(choice).fit(x[rows], y[rows].argmax(-1)).score(test_x, test_y.argmax(-1)) for rows in np.asarray(chosen)])
