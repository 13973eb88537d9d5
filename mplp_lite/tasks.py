"""Families of tasks for the inner loop (section 4). A task family draws episodes; an episode is one inner run."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_sizes


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


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images: an episode learns from some, each seen once, and is judged on others (section 4.2).

    Attributes:
        images: `(n, units)`.
        labels: one-hot, `(n, classes)`.
        steps: inner steps.
        batch: images per inner step.
        held_out: images held out.

    Raises:
        ValueError: if a size is no positive whole number, or an episode needs more images than there are.
    """

    images: Array
    labels: Array
    steps: int = 20
    batch: int = 8
    held_out: int = 8

    def __post_init__(self):
        check_sizes(steps=self.steps, batch=self.batch, held_out=self.held_out)
        if self.needed > len(self.images):
            raise ValueError(f"An episode needs {self.needed} images, but only {len(self.images)} were given; ask for fewer.")

    @property
    def needed(self) -> int:
        """Images per episode."""
        return self.steps * self.batch + self.held_out

    def episode(self, key: Array) -> Episode:
        """Different images, drawn without replacement."""
        chosen = jax.random.permutation(key, len(self.images))[: self.needed]
        inner, held_out = jnp.split(chosen, [self.steps * self.batch])
        inner = inner.reshape(self.steps, self.batch)
        return Episode(self.images[inner], self.labels[inner], self.images[held_out], self.labels[held_out])


@dataclass(frozen=True)
class Sinusoids:
    """`y = A sin(x + phase)` with `A ~ U[0.1, 0.5]`, `phase ~ U[0, pi]`, `x ~ U[-5, 5]` (section 4.1).

    Attributes:
        steps: inner steps.
        batch: points per inner step.
        held_out: points held out, drawn like the others.

    Raises:
        ValueError: if one of them is no positive whole number.
    """

    steps: int = 5
    batch: int = 10
    held_out: int = 10

    def __post_init__(self):
        check_sizes(steps=self.steps, batch=self.batch, held_out=self.held_out)

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
