"""Families of tasks for the inner loop (section 4). A task family draws episodes; an episode is one inner run."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Episode(NamedTuple):
    """The data of one inner run.

    Attributes:
        xs: inputs, `(steps, b, units)`.
        ys: targets, `(steps, b, units)`.
        x_held_out: inputs the network never learns from, `(n, units)`.
        y_held_out: their targets, `(n, units)`.
    """

    xs: Array
    ys: Array
    x_held_out: Array
    y_held_out: Array


@dataclass(frozen=True)
class Sinusoids:
    """`y = A sin(x + phase)` with `A ~ U[0.1, 0.5]`, `phase ~ U[0, pi]`, `x ~ U[-5, 5]` (section 4.1).

    Attributes:
        steps: inner steps.
        batch: points per inner step.
        held_out: points held out, drawn like the others.
    """

    steps: int = 5
    batch: int = 10
    held_out: int = 10

    def episode(self, key: Array) -> Episode:
        """One sinusoid and the points drawn from it."""
        task_key, train_key, held_key = jax.random.split(key, 3)
        amplitude, phase = self.task(task_key)
        xs = jax.random.uniform(train_key, (self.steps, self.batch, 1), minval=-5.0, maxval=5.0)
        x_held_out = jax.random.uniform(held_key, (self.held_out, 1), minval=-5.0, maxval=5.0)
        return Episode(xs, amplitude * jnp.sin(xs + phase), x_held_out, amplitude * jnp.sin(x_held_out + phase))

    def evaluation_episode(self, key: Array) -> Episode:
        """Like `episode`, but held out is the evaluation grid `linspace(-5, 5, 100)`."""
        episode = self.episode(key)
        amplitude, phase = self.task(jax.random.split(key, 3)[0])
        grid = jnp.linspace(-5.0, 5.0, 100)[:, None]
        return episode._replace(x_held_out=grid, y_held_out=amplitude * jnp.sin(grid + phase))

    def task(self, key: Array) -> tuple[Array, Array]:
        """Amplitude and phase of one sinusoid, `()` each; the phase in radians."""
        amplitude_key, phase_key = jax.random.split(key)
        amplitude = jax.random.uniform(amplitude_key, minval=0.1, maxval=0.5)
        return amplitude, jax.random.uniform(phase_key, minval=0.0, maxval=jnp.pi)
