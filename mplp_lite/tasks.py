"""Families of tasks for the inner loop (section 4). A task family draws episodes, and may say how networks are judged on it.

A task of your own is any object with `episode(key) -> Episode`. If it also has `judge(network, rule, key, runs, prior)`, that is how a
finished rule is measured; see `judge`. Register it as a pytree (`jax.tree_util.register_dataclass`) if it holds much data: what is
compiled then takes the data as arguments instead of holding a copy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from . import evaluate
from .checks import (
    check_callable,
    check_finite,
    check_float,
    check_key,
    check_one_hot,
    check_positive,
    check_sizes,
    check_task,
    check_type,
    shown,
)
from .episodes import Episode, again_and_again, check_episode, check_parts, part_by_part, part_of_each
from .network import Data, Network, check_network

__all__ = ["Drawn", "Episode", "Examples", "Images", "Sinusoids", "Task", "judge"]


class Task(Protocol):
    """Whatever draws episodes."""

    def episode(self, key: Array) -> Episode:
        """One episode; pure, so that jax can trace it. All of them have the same shapes."""


def judge(
    task: Task, network: Network, rule: Any, key: Array, runs: int = 100, prior: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """How well a network learns a family of tasks, `(runs, steps + 1)` per quantity, the most telling one first.

    As the task says; one that does not say is judged by the loss on what its episodes hold out.

    Args:
        task: the family.
        network: a `Protocol`, or a baseline.
        rule: how to learn; `None` for baselines.
        key: draws episodes and priors: the same ones for every network.
        runs: how many, `>= 1`.
        prior: where all runs start; fresh random priors by default.

    Raises:
        ValueError: if `runs < 1`, or rule or prior do not fit the network.
        TypeError: if the task draws no episodes, the network is none, or `key` is no random key.
    """
    check_task(task)
    check_network(network)
    if hasattr(task, "judge"):
        return task.judge(network, rule, key, runs, prior)
    return {"eval_loss": evaluate.episode_runs(network, rule, task.episode, key, runs, prior).eval_loss}


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples in arrays: an episode learns from some and is judged on others.

    Attributes:
        x: inputs, `(n, units)`, or a dictionary of such by node.
        y: targets, likewise; classes are one-hot.
        steps: inner steps.
        batch: examples per inner step.
        held_out: examples held out.
        test: inputs and targets that no episode ever draws, for `judge`; `None`: it takes what episodes hold out.
        again: whether an episode that has seen all examples but the held out sees them again, in another order each time; otherwise
            each is seen once.

    Raises:
        ValueError: if a size is no positive whole number, arrays differ in length or have other axes, or an episode needs more examples
            than there are; or if a number is not finite.
        TypeError: if something is no array of floats, `test` no pair, or `again` neither true nor false.
    """

    x: Data
    y: Data
    steps: int = 20
    batch: int = 8
    held_out: int = 8
    test: tuple[Data, Data] | None = None
    again: bool = False

    def __post_init__(self):
        check_sizes(steps=self.steps, batch=self.batch, held_out=self.held_out)
        check_type("again", self.again, bool, "True or False")
        there = _length("x and y", self.x, self.y)
        if self.needed > there:
            remedy = "hold out fewer" if self.again else "ask for fewer, or pass again=True"
            raise ValueError(f"An episode needs {self.needed} examples, but only {there} were given; {remedy}.")
        if self.test is not None:
            self._check_test()

    def _check_test(self):
        if not isinstance(self.test, tuple | list) or len(self.test) != 2:
            raise TypeError(f"test={shown(self.test)} was given; pass a pair of inputs and targets.")
        _length("The test part", *self.test)
        given, wanted = (jax.tree.map(lambda values: values.shape[1], part) for part in (tuple(self.test), (self.x, self.y)))
        if given != wanted:
            raise ValueError(f"The test part has {given} units, but x and y have {wanted}; make them equal.")

    @property
    def needed(self) -> int:
        """Examples that an episode cannot do without."""
        return (1 if self.again else self.steps * self.batch) + self.held_out

    def episode(self, key: Array) -> Episode:
        """Examples drawn without replacement: what is held out is never learned."""
        check_key(key)
        shuffled = jax.random.permutation(key, len(jax.tree.leaves(self.x)[0]))
        learned = min(self.steps * self.batch, len(shuffled) - self.held_out)
        inner, held_out, _ = jnp.split(shuffled, [learned, learned + self.held_out])
        return self._drawn(again_and_again(key, inner, self.steps * self.batch), held_out)

    def _drawn(self, inner, held_out):
        inner = inner.reshape(self.steps, self.batch)
        return Episode(*_at(inner, (self.x, self.y)), *_at(held_out, (self.x, self.y)))

    def tested_episode(self, key: Array) -> Episode:
        """Like `episode`, but held out is the test part.

        Raises:
            ValueError: if there is none.
        """
        if self.test is None:
            raise ValueError("These examples have no test part; pass test=(x, y) to judge on one.")
        return self.episode(key)._replace(x_held_out=self.test[0], y_held_out=self.test[1])

    def judge(self, network: Network, rule: Any, key: Array, runs: int = 100, prior: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The loss on the test part, or on held-out examples where there is none; see `judge`."""
        if self.test is None:
            return {"eval_loss": evaluate.episode_runs(network, rule, self.episode, key, runs, prior).eval_loss}
        return {"test_loss": evaluate.episode_runs(network, rule, self.tested_episode, key, runs, prior).eval_loss}


def _at(places, data):
    return jax.tree.map(lambda values: values[places], data)


def _length(what, *trees):
    """How many examples the arrays hold."""
    leaves = jax.tree.leaves(trees)
    if not all(map(jax.tree.leaves, trees)):
        raise TypeError(f"{what} hold no array, where inputs and targets are needed; pass both.")
    for leaf in leaves:
        if not jnp.issubdtype(getattr(leaf, "dtype", type(None)), jnp.floating):
            given = getattr(leaf, "dtype", type(leaf).__name__)
            raise TypeError(f"{what} hold {given}, but examples are arrays of floats; convert them, classes to one-hot rows.")
        if leaf.ndim != 2:
            raise ValueError(f"{what} hold an array of shape {leaf.shape}; examples come as (n, units), so reshape it.")
        check_finite(what, leaf)
    lengths = {len(leaf) for leaf in leaves}
    if len(lengths) != 1:
        raise ValueError(f"{what} hold {sorted(lengths)} examples; give each input the target that belongs to it.")
    return lengths.pop()


@dataclass(frozen=True, eq=False)
class Images(Examples):
    """Labelled images, judged by how many are classified right (section 4.2); attributes as in `Examples`, labels one-hot.

    Attributes:
        parts: in how many parts the classes come, one after the other, dealt out anew for each episode: with 5, ten digits come two by two,
            and what is held out, or tested, is of all of them. 1: all are mixed from the beginning.

    Raises:
        ValueError: if a label is not one-hot; if there are more parts than classes, or they do not divide the steps; and see `Examples`.
    """

    parts: int = 1

    def __post_init__(self):
        super().__post_init__()
        for what, labels in (("labels", self.y), ("test labels", () if self.test is None else self.test[1])):
            if isinstance(labels, Mapping):
                raise TypeError(f"The {what} are a dictionary of {list(labels)}; images have one array of one-hot labels.")
            check_one_hot(what, labels)
        check_parts(self.parts, self.y.shape[1], self.steps)
        if self.parts > 1:
            self._check_smallest_part()

    def _check_smallest_part(self):
        by_class = np.sort(np.asarray(self.y).sum(axis=0))
        fewest = int(by_class[: len(by_class) // self.parts].sum()) - self.held_out
        needed = 1 if self.again else self.steps * self.batch // self.parts
        if fewest < needed:
            remedy = "hold out fewer" if self.again else "ask for fewer, or pass again=True"
            raise ValueError(f"A part may need {needed} images, but some classes may leave only {max(fewest, 0)}; {remedy}.")

    def episode(self, key):
        """Images drawn without replacement: what is held out is never learned."""
        if self.parts == 1:
            return super().episode(key)
        check_key(key)
        held_out, others = jnp.split(jax.random.permutation(key, len(self.x)), [self.held_out])
        part = part_of_each(key, self.y, self.parts)
        return self._drawn(part_by_part(part, others, self.steps * self.batch, self.parts), held_out)

    @property
    def images(self) -> Array:
        """`(n, units)`."""
        return self.x

    @property
    def labels(self) -> Array:
        """One-hot, `(n, classes)`."""
        return self.y

    def judge(self, network, rule, key, runs=100, prior=None):
        """Accuracy on all test images, and on 100 drawn for each run and step, as the paper counts it; see `judge`.

        Where classes come in parts also on the test images of the classes that came so far, and of those that came first.
        """
        if self.test is None:
            return super().judge(network, rule, key, runs, prior)
        drawn = self.steps, self.batch, runs
        right = evaluate.classification_runs(network, rule, (self.x, self.y), self.test, key, *drawn, prior, self.again, self.parts)
        hundred = min(100, right.shape[-1])
        sampled = evaluate.sampled_accuracy(right, jax.random.fold_in(key, 1), hundred)
        found = {"accuracy": right.mean(-1), f"accuracy_on_{hundred}": sampled}
        return found if self.parts == 1 else found | evaluate.accuracy_by_part(right, self.test[1], key, self.parts)


def _with_arrays_as_leaves(kind):
    """Makes a task a pytree of its data; unlike `register_dataclass` it does not check what jax puts in their place."""
    arrays = ("x", "y", "test")
    sizes = tuple(field.name for field in fields(kind) if field.name not in arrays)

    def unflatten(sizes_given, leaves):
        task = object.__new__(kind)
        vars(task).update(zip((*arrays, *sizes), (*leaves, *sizes_given), strict=True))
        return task

    jax.tree_util.register_pytree_node(
        kind, lambda task: ([getattr(task, name) for name in arrays], tuple(getattr(task, name) for name in sizes)), unflatten
    )


_with_arrays_as_leaves(Examples)
_with_arrays_as_leaves(Images)


@dataclass(frozen=True)
class Drawn:
    """Episodes that a function of your own draws with numpy, outside of jax: from files, from a simulator.

    It is called once per episode, with a generator seeded by the episode's key, so that runs resume exactly.

    Attributes:
        draw: from a `numpy.random.Generator` to an `Episode` of float arrays with the same shapes every time; or a generator function,
            whose first episode is taken.

    Raises:
        TypeError: if it is no function; or, when it draws, if it draws no `Episode`.
    """

    draw: Callable[[np.random.Generator], Episode | Iterator[Episode]]

    def __post_init__(self):
        check_callable("draw", self.draw, "a function from a numpy.random.Generator to an Episode")

    def episode(self, key: Array) -> Episode:
        """One episode."""
        check_key(key)
        seed = jax.random.bits(key, (4,))
        shapes = jax.tree.map(lambda values: jax.ShapeDtypeStruct(values.shape, values.dtype), self._drawn(np.zeros(4, np.uint32)))
        return jax.pure_callback(self._drawn, shapes, seed, vmap_method="sequential")

    def _drawn(self, seed):
        drawn = self.draw(np.random.default_rng(np.asarray(seed)))
        if isinstance(drawn, Iterable) and not isinstance(drawn, Episode):
            drawn = next(iter(drawn), None)
        check_type("draw(generator)", drawn, Episode, "a function that draws an Episode")
        drawn = jax.tree.map(lambda values: np.asarray(values, jnp.result_type(float)), drawn)
        check_episode(drawn)
        for name, values in drawn._asdict().items():
            for each in jax.tree.leaves(values):
                check_finite(name, each)
        return drawn


@dataclass(frozen=True)
class Sinusoids:
    """`y = A sin(x + phase)` with `A ~ U[0.1, 0.5]`, `phase ~ U[0, pi]`, `x ~ U[-5, 5]` (section 4.1).

    Attributes:
        steps: inner steps.
        batch: points per inner step.
        held_out: points held out, drawn like the others.
        reach: how far from 0 `x` is at most, 5 in the paper; less makes the family easier.

    Raises:
        ValueError: if `reach` is not above 0, or one of the others is no positive whole number.
    """

    steps: int = 5
    batch: int = 10
    held_out: int = 10
    reach: float = 5.0

    def __post_init__(self):
        check_sizes(steps=self.steps, batch=self.batch, held_out=self.held_out)
        check_positive("reach", self.reach)

    def episode(self, key: Array) -> Episode:
        """One sinusoid and the points drawn from it."""
        check_key(key)
        task_key, train_key, held_key = jax.random.split(key, 3)
        amplitude, phase = self.task(task_key)
        xs = jax.random.uniform(train_key, (self.steps, self.batch, 1), minval=-self.reach, maxval=self.reach)
        x_held_out = jax.random.uniform(held_key, (self.held_out, 1), minval=-self.reach, maxval=self.reach)
        return Episode(xs, amplitude * jnp.sin(xs + phase), x_held_out, amplitude * jnp.sin(x_held_out + phase))

    def evaluation_episode(self, key: Array) -> Episode:
        """Like `episode`, but held out is the evaluation grid, `linspace(-reach, reach, 100)`."""
        episode = self.episode(key)
        amplitude, phase = self.task(jax.random.split(key, 3)[0])
        grid = jnp.linspace(-self.reach, self.reach, 100)[:, None]
        return episode._replace(x_held_out=grid, y_held_out=amplitude * jnp.sin(grid + phase))

    def task(self, key: Array) -> tuple[Array, Array]:
        """Amplitude and phase of one sinusoid, `()` each; the phase in radians."""
        check_key(key)
        amplitude_key, phase_key = jax.random.split(key)
        amplitude = jax.random.uniform(amplitude_key, minval=0.1, maxval=0.5)
        return amplitude, jax.random.uniform(phase_key, minval=0.0, maxval=jnp.pi)

    def mean_curve(self, x: Array) -> Array:
        """The average over all curves of the family, `0.3 (2 / pi) cos x`, in the shape of `x`: what to answer without having learned.

        The mean of `sin(x + phase)` over phases in `[0, pi]` is `(2 / pi) cos x`, that of the amplitudes 0.3.

        Raises:
            TypeError: if `x` is no array of floats.
        """
        check_float("x", x)
        return 0.3 * (2 / jnp.pi) * jnp.cos(x)

    def judge(self, network: Network, rule: Any, key: Array, runs: int = 100, prior: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The loss on the grid, and on all points seen so far; see `judge`."""
        found = evaluate.sinusoid_runs(network, rule, self, key, runs, prior)
        return {"eval_loss": found.eval_loss, "train_loss": found.train_loss}
