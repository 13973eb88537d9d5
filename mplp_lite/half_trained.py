"""Networks in the middle of learning, kept from one meta-step to the next: so a rule meets what it leads to, far beyond one episode.

Neural cellular automata are trained like this, to last (Mordvintsev and others 2020); the paper's rules always start from priors.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_key, check_number, check_sizes, check_type
from .network import Network, State


@dataclass(frozen=True)
class Keep:
    """Which networks are kept, and how often episodes go on from one.

    Attributes:
        size: places for kept networks.
        share: of episodes that go on from a kept network, as long as there are any, in [0, 1].
        oldest: inner steps after which a network is let go.
        worst: held-out loss from which on a network is let go: its gradients would say little about healthy ones.

    Raises:
        ValueError: if a size is no positive whole number, or a number out of range.
    """

    size: int = 16
    share: float = 0.5
    oldest: int = 200
    worst: float = 0.22

    def __post_init__(self):
        check_sizes(size=self.size, oldest=self.oldest)
        check_number("share", self.share, 0, 1)
        check_number("worst", self.worst, 0)


class HalfTrained(NamedTuple):
    """Networks in the middle of learning; a pytree.

    Attributes:
        states: their parameters and carries, `(size, ...)` each.
        ages: inner steps that each has behind it, `(size,)`; 0 where a place is empty.
    """

    states: State
    ages: Array


class Starts(NamedTuple):
    """Where the episodes of one meta-step start.

    Attributes:
        states: parameters and carries, `(outer, ...)` each.
        ages: inner steps that they have behind them, `(outer,)`; 0 for fresh ones.
        places: where each may be kept afterwards, `(outer,)`; as many as there are places for nowhere.
    """

    states: State
    ages: Array
    places: Array


def none_yet(network: Network, batch: int, size: int) -> HalfTrained:
    """Places for `size` networks that learn from batches of `batch` examples, all empty.

    Raises:
        ValueError: if a size is no positive whole number.
    """
    check_sizes(batch=batch, size=size)
    one = jax.eval_shape(lambda key: network.init(key, batch), jax.random.key(0))
    return HalfTrained(jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), one), jnp.zeros(size, int))


def starts(kept: HalfTrained, fresh: State, key: Array, share: float) -> Starts:
    """For each of the fresh networks, either itself or one that is kept; no kept one twice.

    Args:
        kept: what there is.
        fresh: as many as there are episodes, at most as many as places, `(outer, ...)` each.
        key: draws.
        share: of episodes that go on from a kept network.

    Raises:
        ValueError: if there are more episodes than places.
        TypeError: if `key` is no random key.
    """
    check_key(key)
    size, outer = len(kept.ages), len(jax.tree.leaves(fresh)[0])
    if outer > size:
        raise ValueError(f"{outer} episodes were given for {size} places; keep at least as many networks as a meta-step has episodes.")
    occupied, (choose_key, go_key) = kept.ages > 0, jax.random.split(key)
    shuffled = jnp.argsort(jnp.where(occupied, jax.random.uniform(choose_key, (size,)), 2.0))[:outer]
    vacant = jnp.argsort(occupied)[:outer]  # empty places first
    goes_on = (jax.random.uniform(go_key, (outer,)) < share) & occupied[shuffled]
    places = jnp.where(goes_on, shuffled, jnp.where(occupied[vacant], size, vacant))
    states = jax.tree.map(lambda old, new: jnp.where(_like(goes_on, new), old[shuffled], new), kept.states, fresh)
    return Starts(states, jnp.where(goes_on, kept.ages[shuffled], 0), places)


def put_back(kept: HalfTrained, begun: Starts, ends: State, steps: int, losses: Array, keep: Keep) -> HalfTrained:
    """What is kept after a meta-step: networks that are healthy and not too old, in their places; all others leave theirs empty.

    Args:
        kept: what there was.
        begun: where the episodes started.
        ends: where they ended, `(outer, ...)` each.
        steps: inner steps of an episode.
        losses: on what was held out, `(outer,)`.
        keep: what is healthy, and what too old.

    Raises:
        TypeError: if `kept` is none.
    """
    check_type("kept", kept, HalfTrained, "the HalfTrained that none_yet or put_back gave")
    ages = begun.ages + steps
    finite = jnp.stack([jnp.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(ends)]).all(axis=0)
    stays = finite & (losses < keep.worst) & (ages < keep.oldest)  # a loss that is nan is not below
    states = jax.tree.map(
        lambda old, new: old.at[begun.places].set(jnp.where(_like(stays, new), new, 0.0), mode="drop"), kept.states, ends
    )
    return HalfTrained(states, kept.ages.at[begun.places].set(jnp.where(stays, ages, 0), mode="drop"))


def _like(flags, leaf):
    """Flags, one per episode, so that they broadcast against a leaf."""
    return flags.reshape(-1, *(1,) * (leaf.ndim - 1))
