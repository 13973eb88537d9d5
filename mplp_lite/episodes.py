"""An episode: the data of one inner run."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_run, check_type
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
