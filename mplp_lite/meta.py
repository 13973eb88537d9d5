"""The outer loop: losses of a whole inner run, and the gradient step on the rule that lowers them (section 3.1.1)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, Device
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from .checks import check_clip, check_key, check_number, check_optimizer, check_sizes, check_type, shown
from .episodes import Episode, again_and_again, check_episode
from .half_trained import HalfTrained
from .network import Network, State
from .protocol import Protocol, Rule

FILLS = 2500
"""Entries of a bundle from which on one episode keeps a CPU busy, and several at once only crowd its caches."""


@dataclass(frozen=True)
class MetaLoss:
    """How an inner run is judged: `hint * hints (eq. 12) + (1 - hint) * held-out loss (eq. 11) + delta_penalty * size of the deltas`.

    Attributes:
        hint: weight of the hint losses, in [0, 1]: the loss on each inner batch right after learning from it.
        remember: the share of the hints that is instead measured on examples seen in earlier steps, in [0, 1].
        delta_penalty: weight of half the mean square of each parameter's deltas, summed over parameters and steps, `>= 0`.
        remat: recompute each inner step on the way back instead of storing it: less memory, more time.

    Raises:
        ValueError: if a weight is out of its range.
        TypeError: if `remat` is neither true nor false.
    """

    hint: float = 0.7
    remember: float = 0.0
    delta_penalty: float = 0.0
    remat: bool = False

    def __post_init__(self):
        for name, low, high in (("hint", 0, 1), ("remember", 0, 1), ("delta_penalty", 0, float("inf"))):
            check_number(name, getattr(self, name), low, high)
        check_type("remat", self.remat, bool, "True or False")

    def __call__(self, protocol: Protocol, rule: Rule, prior: Mapping[str, Array], episode: Episode, key: Array) -> tuple[Array, dict]:
        """The meta-loss of one inner run from `prior`, `()`, and its parts by name, `()` each.

        The parts are `hint`, `held_out` and, where they have a weight, `remember` and `delta`; `key` draws what is to be remembered.

        Raises:
            ValueError, TypeError: if prior, rule or episode do not fit the protocol; or if `key` is no random key.
        """
        check_type("protocol", protocol, Network, "the Protocol that learns")
        check_episode(episode)
        total, parts, _ = self.run(protocol, rule, protocol.begin(prior, episode.batch), episode, key)
        return total, parts

    def run(self, protocol: Protocol, rule: Rule, state: State, episode: Episode, key: Array) -> tuple[Array, dict, State]:
        """The same from a network in the middle of learning, and where the run ends.

        Raises:
            ValueError, TypeError: as above.
        """
        check_key(key)
        check_episode(episode)
        inner = partial(self._inner_step, protocol, rule, episode)
        keys = jax.random.split(key, episode.steps)
        scanned = jax.checkpoint(inner) if self.remat else inner
        state, parts = jax.lax.scan(scanned, state, (jnp.arange(episode.steps), keys))
        parts = {name: value.mean() for name, value in parts.items()}
        parts["held_out"] = protocol.loss(state, *episode.held_out)
        hints = (1 - self.remember) * parts["hint"] + self.remember * parts.get("remember", 0.0)
        total = self.hint * hints + (1 - self.hint) * parts["held_out"]
        return total + self.delta_penalty * episode.steps * parts.get("delta", 0.0), parts, state

    def _inner_step(self, protocol, rule, episode, state, step_and_key):
        step, key = step_and_key
        x, y = episode.at(step)
        state, trail = protocol.update(rule, state, x, y)
        parts = {"hint": protocol.loss(state, x, y)}
        if self.remember:
            parts["remember"] = _remembered_loss(protocol, episode, state, step, key)
        if self.delta_penalty:
            parts["delta"] = delta_size(trail)
        return state, parts


def delta_size(trail: Mapping[str, Mapping[str, Array]]) -> Array:
    """Half the mean square of each parameter's delta, summed over parameters, `()`.

    Raises:
        TypeError: if it is no trail.
    """
    if not isinstance(trail, Mapping) or not all(isinstance(told, Mapping) for told in trail.values()):
        raise TypeError(f"trail={shown(trail)} was given; pass the trail, the second thing that update gives.")
    return sum(jnp.square(told["delta"]).mean() / 2 for told in trail.values() if "delta" in told)


def _remembered_loss(protocol: Protocol, episode: Episode, state: State, step: Array, key: Array) -> Array:
    """The loss on examples of earlier steps; zero at the first step, which has none."""
    chosen = jax.random.randint(key, (episode.batch,), 0, jnp.maximum(1, step * episode.batch))
    x, y = jax.tree.map(lambda values: values[chosen], episode.seen)
    return jnp.where(step > 0, protocol.loss(state, x, y), 0.0)


def normalize_per_tensor(eps: float = 1e-8) -> optax.GradientTransformation:
    """Divides each gradient tensor by its own L2 norm plus `eps`, as the published code does instead of clipping.

    Raises:
        ValueError: if `eps` is negative or not finite.
    """
    check_number("eps", eps, 0)

    def divide(updates, params):
        row, restore = ravel_pytree(updates)
        tensors = jax.tree.leaves(updates)
        norms = jnp.stack([jnp.sqrt(jnp.square(g).sum()) for g in tensors])
        return restore(row / (jnp.repeat(norms, np.array([g.size for g in tensors]), total_repeat_length=row.size) + eps))

    return optax.stateless(divide)


class MetaState(NamedTuple):
    """Meta-training between two meta-steps; a pytree.

    Attributes:
        rule: the rule so far.
        prior: the jointly learned prior, or `None` where priors are drawn.
        optimizer: state of the meta-optimizer.
        kept: networks in the middle of learning, one `HalfTrained` for each network that is trained in turn; empty where none are kept.
    """

    rule: Rule
    prior: dict[str, Array] | None
    optimizer: Any
    kept: tuple[HalfTrained, ...] = ()

    @property
    def trained(self) -> dict[str, Any]:
        """All that the meta-optimizer may change."""
        return self.rule.trained if self.prior is None else self.rule.trained | {"prior": self.prior}

    @property
    def skipped(self) -> Array:
        """How many meta-steps were skipped because a gradient was not finite, `()`."""
        return self.optimizer.total_notfinite


def meta_optimizer(optimizer: optax.GradientTransformation, restore: Callable[[Array], Any]) -> optax.GradientTransformation:
    """`optimizer`, made to skip and count meta-gradients that are nan or infinite, for what is trained in one row of numbers.

    One row makes for a far smaller program than hundreds of tensors; `restore` gives back the tensors that `optimizer` is for.

    Raises:
        TypeError: if the optimizer is none.
    """
    check_optimizer(optimizer)

    def update(gradient, state, trained):
        updates, state = optimizer.update(restore(gradient), state, restore(trained))
        return ravel_pytree(updates)[0], state

    on_rows = optax.GradientTransformation(lambda row: optimizer.init(restore(row)), update)
    return optax.apply_if_finite(on_rows, max_consecutive_errors=jnp.iinfo(jnp.int32).max)


def begin(
    rule: Rule, optimizer: optax.GradientTransformation, prior: dict[str, Array] | None = None, kept: tuple[HalfTrained, ...] = ()
) -> MetaState:
    """Meta-training before its first step; pass `prior` to learn it jointly with the rule (section 4.1.2), `kept` for `half_trained`.

    Raises:
        TypeError: if rule, optimizer or prior are none.
    """
    check_type("rule", rule, Rule, "the Rule that new_rule made or load read")
    check_optimizer(optimizer)
    check_type("prior", prior, (Mapping, type(None)), "a dictionary of arrays by node, or None")
    state = MetaState(rule, prior, None, kept)
    row, restore = ravel_pytree(state.trained)
    return state._replace(optimizer=meta_optimizer(optimizer, restore).init(row))


def episode_gradients(
    protocol: Protocol,
    meta_loss: MetaLoss,
    trained: Mapping[str, Any],
    rule: Rule,
    priors: Mapping[str, Array] | State | None,
    episodes: Episode,
    keys: Array,
    microbatch: int = 0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Meta-gradient of each episode, shaped as `trained`, and its `loss` and parts; everything `(outer, ...)`.

    A `trained` that holds a `"prior"` starts every episode from it, and `priors` is not looked at. Where `priors` is a `State`, of networks
    in the middle of learning, the states at the end are among the parts, as `end`.
    `microbatch` episodes are computed at once: fewer need less memory. `0`: all, but on CPUs one by one where each has a bundle of
    at least `FILLS` entries.

    Raises:
        ValueError: if priors, episodes and keys differ in number, or something does not fit the protocol.
        TypeError: see `MetaLoss`.
    """
    check_sizes(0, microbatch=microbatch)
    check_type("rule", rule, Rule, "the Rule that new_rule made or load read")
    _check_equally_many("Priors, episodes and keys", (priors, episodes, keys))
    microbatch = microbatch or _at_once(protocol, jax.tree.leaves(episodes)[0])

    def loss(trained, prior, episode, key):
        trained = dict(trained)
        prior = trained.pop("prior", prior)
        if isinstance(prior, State):
            total, parts, end = meta_loss.run(protocol, rule.with_trained(trained), prior, episode, key)
            return total, parts | {"end": end}
        return meta_loss(protocol, rule.with_trained(trained), prior, episode, key)

    def one(start):
        return jax.value_and_grad(loss, has_aux=True)(trained, *start)

    starts = (priors, episodes, keys)
    all_at_once = microbatch >= len(keys)
    (losses, parts), gradients = jax.vmap(one)(starts) if all_at_once else jax.lax.map(one, starts, batch_size=microbatch)
    return gradients, {"loss": losses, **parts}


def _at_once(protocol, xs):
    """As many episodes as are best computed at once; `xs` are of all of them, `(outer, steps, b, ...)`."""
    outer, _, batch = xs.shape[:3]
    largest = max(math.prod(node.op.shape) for node in protocol.graph.nodes if node.op.learns)
    return 1 if jax.default_backend() == "cpu" and batch * largest >= FILLS else outer


def clipped_mean(gradients: Any, clip: float | None = None) -> Any:
    """The mean over the leading axis, of gradients whose global norm is brought down to `clip` where it is above.

    Raises:
        ValueError: if `clip` is not above 0, or the gradients differ in number.
    """
    check_clip(clip)
    _check_equally_many("The gradients", gradients)
    _, restore = ravel_pytree(jax.tree.map(lambda values: values[0], gradients))
    return restore(_clipped_mean_row(gradients, clip))


def _check_equally_many(what, trees):
    """That all arrays have a first axis, of the same length."""
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(trees)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"{what} have first axes of lengths {sorted(lengths)}; each array needs one, and all the same.")


def _clipped_mean_row(gradients, clip):
    rows = jax.vmap(lambda gradient: ravel_pytree(gradient)[0])(gradients)
    norms = jnp.linalg.norm(rows, axis=1)
    shares = jnp.ones_like(norms) if clip is None else jnp.minimum(1.0, clip / norms)
    return (shares[:, None] * rows).mean(axis=0)  # no matrix product: accelerators would round its factors


def _are_finite(gradients, losses):
    """Which episodes' losses and gradients are, `(outer,)`, 1 or 0."""
    each = [jnp.isfinite(values).reshape(len(values), -1).all(axis=1) for values in (losses, *jax.tree.leaves(gradients))]
    return jnp.stack(each).all(axis=0).astype(losses.dtype)


def meta_step(
    protocol: Protocol,
    meta_loss: MetaLoss,
    optimizer: optax.GradientTransformation,
    state: MetaState,
    priors: Mapping[str, Array] | State | None,
    episodes: Episode,
    key: Array,
    clip: float | None = None,
    microbatch: int = 0,
    devices: Sequence[Device] | None = None,
) -> tuple[MetaState, dict[str, Array]]:
    """One step of the outer loop; a meta-gradient that is not finite changes nothing and is counted.

    Args:
        protocol: what learns.
        meta_loss: how it is judged.
        optimizer: the meta-optimizer that `begin` was given.
        state: meta-training so far.
        priors: where the inner runs start, `(outer, ...)` per parameter; `None` with a jointly learned prior; a `State`, `(outer, ...)` per
            parameter and carry, for networks in the middle of learning, on one device only.
        episodes: their data, `(outer, ...)`.
        key: draws what the remember loss asks for.
        clip: the largest norm of one episode's meta-gradient, `> 0`; single episodes can have a far longer one than most (chapter 6).
        microbatch: episodes computed at once on a device; 0: see `episode_gradients`.
        devices: share the episodes out over these, whose number divides the outer batch; `None`: all stays where the arrays are.

    Returns:
        The new state; and `loss`, its parts and the global norm `gradient`, `()` each, and which episodes were `finite`, loss and
        gradient: `(outer,)`, 1 or 0. After a `State` also `end`, where the inner runs ended, `(outer, ...)`, and `ends_at`, their held-out
        losses, `(outer,)`.

    Raises:
        ValueError: if `clip` is not above 0, priors and episodes differ in number, or devices cannot share them out evenly.
        TypeError: if `state` is no `MetaState`, the optimizer none, or `key` no random key.
    """
    check_type("state", state, MetaState, "the MetaState that begin or meta_step gave")
    check_optimizer(optimizer)
    check_key(key)
    check_clip(clip)
    _check_equally_many("Priors and episodes", (priors, episodes))
    outer = len(jax.tree.leaves(episodes)[0])
    if devices is not None and isinstance(priors, State):
        raise ValueError("Networks in the middle of learning stay on one device; leave devices out.")
    if devices is not None and outer % device_mesh(devices).size:
        raise ValueError(f"{outer} episodes cannot be shared out over {len(devices)} devices; let one divide the other.")

    def mean(trained, rule, priors, episodes, keys_and_numbers):
        keys, numbers = keys_and_numbers
        gradients, metrics = episode_gradients(protocol, meta_loss, trained, rule, priors, episodes, keys, microbatch)
        ends = {"end": metrics.pop("end"), "ends_at": metrics["held_out"]} if isinstance(priors, State) else {}
        broken = jnp.zeros(outer).at[numbers].set(1.0 - _are_finite(gradients, metrics["loss"]))
        return _clipped_mean_row(gradients, clip), {**jax.tree.map(jnp.mean, metrics), "broken": broken, **ends}

    keys = jax.random.split(key, outer), jnp.arange(outer)
    shared_out = mean if devices is None else over_devices(mean, devices)
    gradient, metrics = shared_out(state.trained, state.rule, priors, episodes, keys)
    row, restore = ravel_pytree(state.trained)
    updates, optimizer_state = meta_optimizer(optimizer, restore).update(gradient, state.optimizer, row)
    trained = restore(row + updates)
    prior = trained.pop("prior", None)
    metrics |= {"gradient": jnp.linalg.norm(gradient), "finite": jnp.where(metrics.pop("broken") > 0, 0.0, 1.0)}
    return MetaState(state.rule.with_trained(trained), prior, optimizer_state, state.kept), metrics


def prior_pool(protocol: Protocol, key: Array, size: int) -> dict[str, Array]:
    """`size` fixed priors, `(size, ...)` per parameter (128 for the sinusoids, 16 for MNIST).

    Raises:
        ValueError: if `size` is no positive whole number.
        TypeError: if the protocol is none, or `key` is no random key.
    """
    check_type("protocol", protocol, Network, "the Protocol whose priors they are")
    check_sizes(size=size)
    check_key(key)
    return jax.vmap(protocol.prior)(jax.random.split(key, size))


def from_pool(pool: Mapping[str, Array], key: Array, count: int) -> dict[str, Array]:
    """`count` priors of a pool, `(count, ...)` per parameter: different ones, and once all are taken the same again.

    Raises:
        ValueError: if the pool does not hold as many of each parameter, or `count` is below 1.
        TypeError: if the pool is no dictionary, or `key` is no random key.
    """
    check_key(key)
    check_type("pool", pool, Mapping, "the dictionary that prior_pool gave")
    check_sizes(count=count)
    _check_equally_many("The priors of a pool", pool)
    size = next(iter(pool.values())).shape[0]
    chosen = again_and_again(key, jax.random.permutation(key, size)[:count], count)
    return {name: values[chosen] for name, values in pool.items()}


def device_mesh(devices: Sequence[Device]) -> Mesh:
    """The devices in a row.

    Raises:
        TypeError: if something is no device.
        ValueError: if there is none.
    """
    for device in devices:
        check_type("device", device, Device, "devices, such as jax.devices()")
    if not len(devices):
        raise ValueError("0 devices were given; pass at least one, such as jax.devices()[:1], or None.")
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
