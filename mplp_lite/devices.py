"""The outer batch shared out over devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Device
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec


def device_mesh(devices: Sequence[Device]) -> Mesh:
    """The devices in a row."""
    return Mesh(np.asarray(devices), ("episodes",))


def over_devices(mean_over_episodes: Callable[..., Any], devices: Sequence[Device]) -> Callable[..., Any]:
    """A function of what is trained, the rule, priors, episodes and keys, computed with the episodes shared out.

    Args:
        mean_over_episodes: gives a mean over the episodes it gets.
        devices: where; their number divides the outer batch.
    """
    shared, split = PartitionSpec(), PartitionSpec("episodes")

    def mean_over_devices(*args):
        found, restore = ravel_pytree(mean_over_episodes(*args))  # one long message instead of hundreds of short ones
        return restore(jax.lax.pmean(found, "episodes"))

    return jax.shard_map(
        mean_over_devices,
        mesh=device_mesh(devices),
        in_specs=(shared, shared, split, split, split),
        out_specs=shared,
        check_vma=False,
    )
