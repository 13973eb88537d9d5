"""How well a rule teaches: whole inner runs on tasks it has never seen, and their statistics (section 4, Figure 2)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import check_key, check_sizes
from .episodes import Episode
from .network import Data, Network, State

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
        ValueError: if `runs < 1`.
    """
    keys = jax.vmap(jax.random.split)(_run_keys(key, runs))
    return _episode_runs(network, rule, jax.vmap(episode)(keys[:, 0]), keys[:, 1], prior)


@partial(jax.jit, static_argnames="network")
def _episode_runs(network, rule, episodes, prior_keys, prior):
    def one(start):
        episode, key = start
        parameters = network.prior(key) if prior is None else prior
        return inner_run(network, rule, network.begin(parameters, episode.batch), episode)

    return jax.lax.map(one, (episodes, prior_keys), batch_size=AT_ONCE)


def sinusoid_runs(network: Network, rule: Any, task: Any, key: Array, runs: int = 100, prior: Mapping[str, Array] | None = None) -> Run:
    """`episode_runs` on fresh sinusoids, judged on the grid `linspace(-5, 5, 100)`.

    Args:
        network: a `Protocol`, or a baseline.
        rule: how to learn; `None` for baselines.
        task: `tasks.Sinusoids`: steps and batch of each run.
        key: draws tasks and priors.
        runs: how many, `>= 1`.
        prior: where all runs start; fresh random priors by default.

    Raises:
        ValueError: if `runs < 1`.
    """
    return episode_runs(network, rule, task.evaluation_episode, key, runs, prior)


def _run_keys(key, runs):
    check_sizes(runs=runs)
    check_key(key)
    return jax.random.split(key, runs)


def summary(losses: Array) -> dict[str, list[float]]:
    """Mean, standard deviation and median over runs, per step.

    Args:
        losses: `(runs, steps)`.
    """
    statistics = {"mean": np.mean, "sd": np.std, "median": np.median, "max": np.max}
    return {name: [float(f"{value:.6g}") for value in of(np.asarray(losses), axis=0)] for name, of in statistics.items()}


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

    Raises:
        ValueError: if the training part is smaller than a run, or `runs < 1`.
    """
    if steps * batch > len(train[0]):
        raise ValueError(f"A run of {steps} steps of {batch} needs {steps * batch} images, but only {len(train[0])} were given.")
    one = partial(_classification_run, network, rule, train, test, prior, steps, batch)
    return jax.lax.map(one, _run_keys(key, runs))


@partial(jax.jit, static_argnames=("network", "steps", "batch"))
def _classification_run(network, rule, train, test, prior, steps, batch, key):
    image_key, prior_key = jax.random.split(key)
    chosen = jax.random.permutation(image_key, len(train[0]))[: steps * batch].reshape(steps, batch)

    def right(state):
        return network.predict(state, test[0]).argmax(-1) == test[1].argmax(-1)

    def step(state, indices):
        state, _ = network.update(rule, state, train[0][indices], train[1][indices])
        return state, right(state)

    start = network.init(prior_key, batch) if prior is None else network.begin(prior, batch)
    return _prepend(right(start), jax.lax.scan(step, start, chosen)[1])


def sampled_accuracy(right: Array, key: Array, images: int = 100) -> Array:
    """Accuracy on `images` test images drawn anew for each run and step, as the paper counts it, `(runs, steps + 1)`.

    Args:
        right: from `classification_runs`.
        key: draws the images.
        images: how many, at most as many as there are.
    """
    keys = jax.random.split(key, right.shape[:2])
    draw = jax.vmap(jax.vmap(lambda key, right: jax.random.choice(key, right, (images,), replace=False).mean()))
    return draw(keys, right)
