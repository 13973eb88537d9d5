"""An episode: the data of one inner run."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_run, check_sizes, check_type
from .network import Data


def check_episode(episode: "Episode") -> None:
    """Lets one episode pass, with as many steps of targets as of inputs.

    Raises:
        TypeError: if it is none.
        ValueError: if its arrays do not fit.
    """
    check_type("episode", episode, Episode, "one Episode, as a task's episode(key) draws it")
    check_run(episode.xs, episode.ys, finite=False)


def again_and_again(key: Array, places: Array, count: int) -> Array:
    """`count` of the places, `(count,)`: each once, in the order given, then all of them again in another order, as often as it takes."""
    rounds = range(1, -(-count // len(places)))
    shuffled = [jax.random.permutation(jax.random.fold_in(key, each), places) for each in rounds]
    return jnp.concatenate([places, *shuffled])[:count]


def check_parts(parts: int, classes: int, steps: int) -> None:
    """Lets a number of parts pass that classes can come in, one after the other.

    Raises:
        ValueError: if there are more than classes, or they do not divide the steps.
    """
    check_sizes(parts=parts)
    if parts > classes or steps % parts:
        given = f"parts={parts} was given for {classes} classes and {steps} steps"
        raise ValueError(f"{given}; there must be a class for each part, and as many steps.")


def part_of_each(key: Array, labels: Array, parts: int) -> Array:
    """In which part of an episode each example comes, where classes come in turn, `(n,)`, from 0: the key deals the classes out."""
    classes = labels.shape[1]
    dealt = jax.random.permutation(jax.random.fold_in(key, 0), jnp.arange(classes) * parts // classes)
    return dealt[labels.argmax(axis=-1)]


def part_by_part(part: Array, places: Array, count: int, parts: int) -> Array:
    """`count` of the places, `(count,)`, as many of each part, which come in turn; a part that has too few shows them again.

    Args:
        part: which part every example belongs to, `(n,)`.
        places: the numbers of those to choose from, `(k,)`, in random order.
        count: how many; `parts` divides it.
        parts: how many there are.
    """
    sorted_by_part = places[jnp.argsort(part[places], stable=True)]
    there = jnp.bincount(part[places], length=parts)
    first = jnp.cumsum(there) - there
    return sorted_by_part[first[:, None] + jnp.arange(count // parts)[None] % jnp.maximum(there, 1)[:, None]].reshape(-1)


class Episode(NamedTuple):
    """The data of one inner run; each an array, or a dictionary of arrays by node where a graph has several inputs or targets.

    Attributes:
        xs: inputs, `(steps, b, units)`.
        ys: targets, `(steps, b, units)`.
        x_held_out: inputs the network never learns from, `(n, units)`.
        y_held_out: their targets, `(n, units)`.
    """

    xs: Data
    ys: Data
    x_held_out: Data
    y_held_out: Data

    @property
    def steps(self) -> int:
        """Inner steps."""
        return jax.tree.leaves(self.xs)[0].shape[0]

    @property
    def batch(self) -> int:
        """Examples per inner step."""
        return jax.tree.leaves(self.xs)[0].shape[1]

    @property
    def held_out(self) -> tuple[Data, Data]:
        """Inputs and targets that are held out."""
        return self.x_held_out, self.y_held_out

    def at(self, step: Array | int) -> tuple[Data, Data]:
        """Inputs and targets of one inner step, `(b, units)`."""
        return jax.tree.map(lambda values: values[step], (self.xs, self.ys))

    @property
    def seen(self) -> tuple[Data, Data]:
        """Inputs and targets of all inner steps in one row, `(steps * b, units)`."""
        return jax.tree.map(lambda values: values.reshape(-1, values.shape[-1]), (self.xs, self.ys))
