"""Losses: nodes whose value, one per output unit, is the first message that travels back (section 3.1)."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from .nodes import Fired, Loss


def _check_alike(prediction, target):
    if jnp.shape(target) not in ((), jnp.shape(prediction)):
        raise ValueError(f"A loss was given predictions {jnp.shape(prediction)} and targets {jnp.shape(target)}; make the shapes equal.")


@dataclass(frozen=True)
class L2(Loss):
    """`(t_u - p_u)^2 / 2`."""

    def forward(self, parameter, prediction, target):
        """`(b, u), (b, u) -> (b, u)`; stores prediction, target and their difference."""
        _check_alike(prediction, target)
        difference = target - prediction
        return Fired(difference**2 / 2, (prediction, target, difference))


@dataclass(frozen=True)
class L1(Loss):
    """`|t_u - p_u|`."""

    def forward(self, parameter, prediction, target):
        """`(b, u), (b, u) -> (b, u)`; stores prediction and target."""
        _check_alike(prediction, target)
        return Fired(jnp.abs(target - prediction), (prediction, target))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """`-t_u log p_u`, with `p` clipped to `[1e-7, 1 - 1e-7]`; over a distribution."""

    of_distribution: ClassVar[bool] = True

    def forward(self, parameter, prediction, target):
        """`(b, u), (b, u) -> (b, u)`; stores the clipped prediction, the target and the log prediction."""
        _check_alike(prediction, target)
        prediction = jnp.clip(prediction, 1e-7, 1 - 1e-7)
        log = jnp.log(prediction)
        return Fired(-target * log, (prediction, target, log))


LOSSES = {"l1": L1, "l2": L2, "cross_entropy": CrossEntropy}
