"""How well a rule teaches: whole inner runs on tasks it has never seen, and their statistics (section 4, Figure 2)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import check_callable, check_finite, check_float, check_key, check_one_hot, check_sizes, check_type, shown
from .episodes import Episode, again_and_again, check_episode, check_parts, part_by_part, part_of_each
from .network import Data, Network, State, check_network

AT_ONCE = 20
"""Runs computed together: more keep a machine busier, fewer need less memory."""


class Run(NamedTuple):
    """One inner run, step by step; with a leading axis of runs where there are several.

    Attributes:
        predictions: on the held-out inputs before and after each step, `(steps + 1, n, units)`.
        train_loss: after each step on all examples seen so far, `(steps,)`.
        eval_loss: on the held-out examples before and after each step, `(steps + 1,)`.
    """

    predictions: Data
    train_loss: Array
    eval_loss: Array


def inner_run(network: Network, rule: Any, state: State, episode: Episode) -> Run:
    """Lets `network` learn the episode from `state` and records how well it does.

    Args:
        network: a `Protocol`, or a baseline.
        rule: how to learn; `None` for baselines.
        state: where the run starts.
        episode: what to learn.

    Raises:
        ValueError, TypeError: see `Protocol.update`.
    """
    _check_learner(network, rule)
    check_episode(episode)

    def judged(state):
        return network.predict(state, episode.x_held_out), network.loss(state, *episode.held_out)

    def step(state, t):
        state, _ = network.update(rule, state, *episode.at(t))
        return state, (judged(state), _loss_so_far(network, state, episode, t))

    _, (later, train_loss) = jax.lax.scan(step, state, jnp.arange(episode.steps))
    predictions, eval_loss = _prepend(judged(state), later)
    return Run(predictions, train_loss, eval_loss)


def _loss_so_far(network, state, episode, t):
    """Mean loss on the examples of steps 0..t."""
    per_example = sum(losses.mean(axis=-1) for losses in network.unit_losses(state, *episode.seen).values())
    seen = jnp.arange(episode.steps * episode.batch) < (t + 1) * episode.batch
    return per_example.mean(where=seen)


def _prepend(first, rest):
    return jax.tree.map(lambda one, others: jnp.concatenate([one[None], others]), first, rest)


def episode_runs(
    network: Network,
    rule: Any,
    episode: Callable[[Array], Episode],
    key: Array,
    runs: int = 100,
    prior: Mapping[str, Array] | None = None,
) -> Run:
    """Inner runs on fresh episodes, all with a leading axis `(runs, ...)`; the same key gives every network the same episodes and priors.

    Args:
        network: a `Protocol`, or a baseline.
        rule: how to learn; `None` for baselines.
        episode: draws an episode with a key.
        key: draws episodes and priors.
        runs: how many, `>= 1`.
        prior: where all runs start; fresh random priors by default.

    Raises:
        ValueError: if `runs < 1`, or rule or prior do not fit the network.
        TypeError: if the network is none, `episode` is no function or draws no `Episode`, or `key` is no random key.
    """
    keys = _run_keys(key, runs)
    _check_learner(network, rule, prior)
    check_callable("episode", episode, "a function of a key that draws an Episode, such as task.episode")
    keys = jax.vmap(jax.random.split)(keys)
    episodes = jax.vmap(episode)(keys[:, 0])
    check_type("episode(key)", episodes, Episode, "a function that draws an Episode")
    for values in jax.tree.leaves(episodes):
        check_finite("the episodes", values)
    return _episode_runs(network, rule, episodes, keys[:, 1], prior)


@partial(jax.jit, static_argnames="network")
def _episode_runs(network, rule, episodes, prior_keys, prior):
    def one(start):
        episode, key = start
        parameters = network.prior(key) if prior is None else prior
        return inner_run(network, rule, network.begin(parameters, episode.batch), episode)

    return jax.lax.map(one, (episodes, prior_keys), batch_size=AT_ONCE)


def sinusoid_runs(network: Network, rule: Any, task: Any, key: Array, runs: int = 100, prior: Mapping[str, Array] | None = None) -> Run:
    """`episode_runs` on fresh sinusoids, judged on a grid of 100 points as far as they reach.

    Args:
        network: a `Protocol`, or a baseline.
        rule: how to learn; `None` for baselines.
        task: `tasks.Sinusoids`: steps and batch of each run.
        key: draws tasks and priors.
        runs: how many, `>= 1`.
        prior: where all runs start; fresh random priors by default.

    Raises:
        ValueError, TypeError: see `episode_runs`; or if the task draws no sinusoids.
    """
    if isinstance(task, type) or not hasattr(task, "evaluation_episode"):
        raise TypeError(f"task={shown(task)} was given; pass sinusoids, such as tasks.Sinusoids().")
    return episode_runs(network, rule, task.evaluation_episode, key, runs, prior)


def full_batch_runs(
    network: Network,
    episode: Callable[[Array], Episode],
    key: Array,
    steps: int,
    runs: int = 100,
    prior: Mapping[str, Array] | None = None,
    score: Callable[[Data, Data], Array] | None = None,
) -> Array:
    """How well a baseline does that may look at all examples of an episode in every step, `(runs, steps + 1)`.

    Episodes and priors are those that `episode_runs` and `classification_runs` draw with the same key.

    Args:
        network: a baseline, such as `baselines.adam(graph)`.
        episode: draws an episode with a key.
        key: draws episodes and priors.
        steps: full-batch steps; the episode's own do not count.
        runs: how many, `>= 1`.
        prior: where all runs start; fresh random priors by default.
        score: from predictions on what is held out and its targets, `(n, units)` each, to a number; `None`: the loss.

    Raises:
        ValueError: if a size is below 1, or the prior does not fit.
        TypeError: if the network is none, or learns by a rule, `episode` is no function or draws no `Episode`, `score` is no function,
            or `key` is no random key.
    """
    keys = _run_keys(key, runs)
    check_sizes(steps=steps)
    _check_learner(network, None, prior)
    check_callable("episode", episode, "a function of a key that draws an Episode, such as task.episode")
    if score is not None:
        check_callable("score", score, "a function of predictions and targets, or None for the loss")

    def scored(state, drawn):
        return network.loss(state, *drawn.held_out) if score is None else score(network.predict(state, drawn.x_held_out), drawn.y_held_out)

    def one(key):
        episode_key, prior_key = jax.random.split(key)
        drawn = episode(episode_key)
        check_type("episode(key)", drawn, Episode, "a function that draws an Episode")

        def step(state, _):
            state, _ = network.update(None, state, *drawn.seen)
            return state, scored(state, drawn)

        start = network.begin(network.prior(prior_key) if prior is None else prior, drawn.steps * drawn.batch)
        return _prepend(scored(start, drawn), jax.lax.scan(step, start, length=steps)[1])

    return jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=AT_ONCE))(keys)


def _check_learner(network, rule, prior=None):
    check_network(network)
    if isinstance(network, Network):
        network.check_rule(rule)
        if prior is not None:
            network.check_prior(prior)


def _run_keys(key, runs):
    check_sizes(runs=runs)
    check_key(key)
    return jax.random.split(key, runs)


def summary(losses: Array) -> dict[str, list[float]]:
    """Mean, its standard error, standard deviation, median and largest value over runs, per step.

    Args:
        losses: `(runs, steps)`.

    Raises:
        ValueError: if they have another shape, or there are none.
    """
    if np.ndim(losses) != 2 or not np.size(losses):
        raise ValueError(f"losses have shape {np.shape(losses)}; give at least one run and one step, (runs, steps).")
    statistics = {"mean": np.mean, "se": _standard_error, "sd": np.std, "median": np.median, "max": np.max}
    return {name: [float(f"{value:.6g}") for value in of(np.asarray(losses), axis=0)] for name, of in statistics.items()}


def _standard_error(values, axis):
    return np.std(values, axis=axis) / np.sqrt(np.shape(values)[axis])


def classification_runs(
    network: Network,
    rule: Any,
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    key: Array,
    steps: int = 20,
    batch: int = 8,
    runs: int = 100,
    prior: Mapping[str, Array] | None = None,
    again: bool = False,
    parts: int = 1,
) -> Array:
    """Which test images are classified right, before and after each inner step, `(runs, steps + 1, n)`, on `steps * batch` different
    training images, each seen once.

    Their mean over the last axis is the accuracy on the whole test part.

    Args:
        network: a `Protocol`, or a baseline.
        rule: how to learn; `None` for baselines.
        train: `(images (n, units), one-hot labels (n, classes))`.
        test: the same for the images that are counted.
        key: draws images and priors.
        steps: inner steps.
        batch: images per inner step.
        runs: how many, `>= 1`.
        prior: where all runs start; fresh random priors by default.
        again: whether runs that have seen all training images see them again, in another order each time.
        parts: in how many parts the classes come, one after the other; see `tasks.Images`. A part of too few images shows them again.

    Raises:
        ValueError: if the training part is smaller than a run (unless `again`), a size is below 1, labels are not one-hot, there are more
            parts than classes or they do not divide the steps, or something does not fit.
        TypeError: if the network is none, a part is no pair of arrays of floats, `again` is neither true nor false, or `key` is no
            random key.
    """
    keys = _run_keys(key, runs)
    check_type("again", again, bool, "True or False")
    _check_learner(network, rule, prior)
    check_sizes(steps=steps, batch=batch)
    for what, part in (("train", train), ("test", test)):
        _check_part(what, part)
    if steps * batch > len(train[0]) and not again:
        problem = f"A run of {steps} steps of {batch} needs {steps * batch} images, but only {len(train[0])} were given"
        raise ValueError(f"{problem}; ask for fewer, or pass again=True.")
    check_parts(parts, train[1].shape[1], steps)
    one = partial(_classification_run, network, rule, train, test, prior, steps, batch, parts)
    return jax.lax.map(one, keys)


def _check_part(what, part):
    """Images and labels: rows of finite floats, one label each, one-hot."""
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise TypeError(f"{what}={shown(part)} was given; pass a pair of images and one-hot labels.")
    for values in part:
        check_float(f"the {what} part", values)
        check_finite(f"the {what} part", values)
    shapes = [np.shape(values) for values in part]
    if [len(shape) for shape in shapes] != [2, 2] or shapes[0][0] != shapes[1][0] or not shapes[0][0]:
        raise ValueError(f"The {what} part has shapes {shapes}; give images (n, units) and as many one-hot labels (n, classes).")
    check_one_hot(f"labels of the {what} part", part[1])


@partial(jax.jit, static_argnames=("network", "steps", "batch", "parts"))
def _classification_run(network, rule, train, test, prior, steps, batch, parts, key):
    image_key, prior_key = jax.random.split(key)
    chosen = _chosen(image_key, train[1], steps * batch, parts).reshape(steps, batch)

    def right(state):
        return network.predict(state, test[0]).argmax(-1) == test[1].argmax(-1)

    def step(state, indices):
        state, _ = network.update(rule, state, train[0][indices], train[1][indices])
        return state, right(state)

    start = network.init(prior_key, batch) if prior is None else network.begin(prior, batch)
    return _prepend(right(start), jax.lax.scan(step, start, chosen)[1])


def _chosen(key, labels, count, parts):
    """The training images of a run, in order, `(count,)`."""
    shuffled = jax.random.permutation(key, len(labels))
    if parts > 1:
        return part_by_part(part_of_each(key, labels, parts), shuffled, count, parts)
    return again_and_again(key, shuffled[:count], count)


def accuracy_by_part(right: Array, labels: Array, key: Array, parts: int) -> dict[str, Array]:
    """Accuracy on the classes that came so far, and on those that came first, `(runs, steps + 1)` each.

    Before the first step, no class having come, both are about the first part's.

    Args:
        right: from `classification_runs` with so many `parts`.
        labels: of the test images, one-hot, `(n, classes)`.
        key: the one that `classification_runs` was given.
        parts: in how many parts the classes came.

    Raises:
        ValueError: if `right` has other axes than `(runs, steps + 1, n)`, or the parts do not divide the steps.
        TypeError: if `key` is no random key.
    """
    check_sizes(parts=parts)
    if np.ndim(right) != 3 or np.shape(right)[2] != len(labels) or (np.shape(right)[1] - 1) % parts:
        found = f"answers of shape {np.shape(right)} were given for {len(labels)} labels and {parts} parts"
        raise ValueError(f"{found}; pass what classification_runs gave for them, (runs, steps + 1, n).")
    keys = jax.vmap(lambda key: jax.random.split(key)[0])(_run_keys(key, len(right)))
    part = jax.vmap(lambda key: part_of_each(key, labels, parts))(keys)[:, None]
    steps = right.shape[1] - 1
    now = (jnp.arange(steps + 1) * parts - 1).clip(0) // steps
    came = {"accuracy_so_far": part <= now[None, :, None], "accuracy_on_the_first": part == 0}
    return {name: (right & of).sum(-1) / of.sum(-1) for name, of in came.items()}


def sampled_accuracy(right: Array, key: Array, images: int = 100) -> Array:
    """Accuracy on `images` test images drawn anew for each run and step, as the paper counts it, `(runs, steps + 1)`.

    Args:
        right: from `classification_runs`.
        key: draws the images.
        images: how many, at most as many as there are.

    Raises:
        ValueError: if there are not so many, or `right` has other axes.
        TypeError: if `key` is no random key.
    """
    check_key(key)
    check_sizes(images=images)
    if np.ndim(right) != 3 or images > np.shape(right)[2]:
        found = f"{images} images were asked for, of answers of shape {np.shape(right)}"
        raise ValueError(f"{found}; pass what classification_runs gave, (runs, steps + 1, n), and ask for at most n.")
    keys = jax.random.split(key, right.shape[:2])
    draw = jax.vmap(jax.vmap(lambda key, right: jax.random.choice(key, right, (images,), replace=False).mean()))
    return draw(keys, right)
