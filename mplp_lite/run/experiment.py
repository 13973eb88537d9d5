"""What is meta-trained, and how: a protocol on a family of tasks, judged by a meta-loss, improved by an optimizer (section 3.1.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from .. import meta, tasks
from ..checks import check_callable, check_clip, check_key, check_number, check_optimizer, check_sizes, check_task, check_type, shown
from ..describe import describe
from ..half_trained import HalfTrained, Keep, none_yet
from ..meta import MetaLoss
from ..meta_descent import MetaDescent
from ..protocol import Protocol, Rule

PRIORS = ("fresh", "learned")


@dataclass(frozen=True, eq=False)
class Experiment:
    """A meta-training of your own. `train` carries it out; a `Recipe` is one of these as plain data.

    Several protocols that share one rule may be trained in turn, meta-step by meta-step: networks of other widths, depths or
    activations, each on the task of the same number, or all on the one task. Their rules must have the same shapes: `sharing="kinds"`.

    Attributes:
        protocol: what learns, by messages or, to compare, by gradients; or several.
        task: what it learns: an object with `episode(key)`, see `tasks`; or one for each protocol.
        steps: meta-steps.
        outer_batch: episodes per meta-step.
        optimizer: the meta-optimizer, of optax.
        meta_loss: how an inner run is judged: `(protocol, rule, prior, episode, key) -> (loss, parts by name)`, `()` each.
        priors: where inner runs start: `"fresh"` draws one for each episode, a whole number keeps a pool of so many, `"learned"` learns
            one jointly with the rule (section 4.1.2).
        keep: networks in the middle of learning that some episodes go on from; `None`: every episode starts from a prior.
        first: a rule to go on from, instead of a new one; it is not calibrated again.
        clip: the largest norm of one episode's meta-gradient; `None` clips nothing.
        microbatch: episodes computed at once on a device, fewer for less memory; 0: see `meta.episode_gradients`.
        calibration_runs: inner runs that statistics are measured over before meta-training; 0 for learners that need none.
        calibration_momentum: `p` of each such run.
        name: what it is called on its card.

    Raises:
        ValueError: if a number is out of range, or the protocols' rules differ in shape.
        TypeError: if a protocol or the optimizer is none, the task draws no episodes, or the meta-loss is no function.
    """

    protocol: Protocol | MetaDescent | Sequence[Protocol]
    task: Any
    steps: int
    outer_batch: int = 8
    optimizer: optax.GradientTransformation = field(default_factory=lambda: optax.chain(meta.normalize_per_tensor(), optax.adam(1e-3)))
    meta_loss: Callable[..., tuple[Array, Mapping[str, Array]]] = MetaLoss()
    priors: str | int = "fresh"
    keep: Keep | None = None
    first: Rule | None = None
    clip: float | Array | None = None
    microbatch: int = 0
    calibration_runs: int = 1
    calibration_momentum: float = 1.0
    name: str = "experiment"

    def __post_init__(self):
        check_sizes(steps=self.steps, outer_batch=self.outer_batch)
        check_sizes(0, microbatch=self.microbatch, calibration_runs=self.calibration_runs)
        pool = isinstance(self.priors, int) and not isinstance(self.priors, bool) and self.priors >= 1
        if self.priors not in PRIORS and not pool:
            given = shown(self.priors)
            raise ValueError(f"priors={given} was given; it must be 'fresh', 'learned', or a pool's size, at least 1.")
        check_clip(self.clip)
        check_number("calibration_momentum", self.calibration_momentum, 0, 1)
        check_type("name", self.name, str, "what to call it on its card")
        check_optimizer(self.optimizer)
        check_callable("meta_loss", self.meta_loss, "a function or an object, such as meta.MetaLoss()")
        check_type("keep", self.keep, Keep | None, "half_trained.Keep(), or None")
        check_type("first", self.first, Rule | None, "a Rule, or None")
        if self.keep is not None:
            self._check_keep()
        for protocol in self.protocol if isinstance(self.protocol, list | tuple) else (self.protocol,):
            check_type("protocol", protocol, Protocol | MetaDescent, "a Protocol, or a list of them")
        for task in self.tasks:
            check_task(task)
        self._check_members()

    def _check_keep(self):
        if self.priors == "learned" or not hasattr(self.meta_loss, "run"):
            raise ValueError("keep was given with a learned prior or a meta-loss without run(); it needs drawn priors and meta.MetaLoss.")
        if self.keep.size < self.outer_batch:
            raise ValueError(f"keep has {self.keep.size} places for {self.outer_batch} episodes; give at least one for each.")

    def _check_members(self):
        if len(self.tasks) not in (1, len(self.protocols)) or not self.protocols:
            raise ValueError(f"{len(self.tasks)} tasks were given for {len(self.protocols)} protocols; give one for each, or one for all.")
        if len({str(_rule_shapes(protocol)) for protocol in self.protocols}) > 1:
            raise ValueError("The protocols' rules differ in shape, so that one rule cannot serve all; build them with sharing='kinds'.")
        if self.priors == "learned" and len({str(protocol.parameter_shapes) for protocol in self.protocols}) > 1:
            raise ValueError("priors='learned' was given for networks of different shapes; one prior serves only networks of one shape.")

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """All that learn."""
        return (self.protocol,) if isinstance(self.protocol, Protocol | MetaDescent) else tuple(self.protocol)

    @property
    def tasks(self) -> tuple[Any, ...]:
        """Their tasks: one for each of them, or one for all."""
        return tuple(self.task) if isinstance(self.task, list | tuple) else (self.task,)

    @property
    def members(self) -> list[tuple[Protocol, Any]]:
        """Protocol and task of each meta-step, in turn."""
        return self.paired(self.tasks)

    def paired(self, tasks: Sequence[Any]) -> list[tuple[Protocol, Any]]:
        """Each protocol with its task of `tasks`, which are as many as the experiment's own."""
        own = tasks if len(tasks) == len(self.protocols) else [*tasks] * len(self.protocols)
        return list(zip(self.protocols, own, strict=True))

    def first_rule(self, key: Array, members: Sequence[tuple[Protocol, Any]] | None = None) -> Rule:
        """A calibrated, untrained rule, statistics of several networks averaged; or the one to go on from.

        Args:
            key: draws it.
            members: protocols and tasks; those of the experiment by default.

        Raises:
            TypeError: if `key` is no random key.
        """
        check_key(key)
        if self.first is not None:
            self.protocols[0].check_rule(self.first)
            return jax.tree.map(jnp.asarray, self.first)
        keys = jax.random.split(key, 1 + self.calibration_runs)
        members = self.members if members is None else members
        rule = members[0][0].new_rule(keys[0])
        for number, (protocol, task) in enumerate(members if self.calibration_runs and rule.statistics else ()):
            rule = self._calibrated(rule, keys[1:], protocol, task, self.calibration_momentum / (number + 1))
        return rule

    def _calibrated(self, rule, keys, protocol, task, momentum):
        def one(rule, run_key):
            prior_key, task_key = jax.random.split(run_key)
            episode = task.episode(task_key)
            return protocol.calibrate(rule, protocol.init(prior_key, episode.batch), episode.xs, episode.ys, momentum), None

        return jax.lax.scan(one, rule, keys)[0]

    def begin(self, key: Array, members: Sequence[tuple[Protocol, Any]] | None = None) -> meta.MetaState:
        """Meta-training before its first step; see `first_rule`."""
        check_key(key)
        prior = self.protocols[0].prior(jax.random.fold_in(key, 1)) if self.priors == "learned" else None
        return meta.begin(self.first_rule(key, members), self.optimizer, prior, self.none_kept())

    def none_kept(self) -> tuple[HalfTrained, ...]:
        """Empty places for networks in the middle of learning, for each protocol; nothing without `keep`."""
        if self.keep is None:
            return ()
        batches = [jax.eval_shape(task.episode, jax.random.key(0)).batch for _, task in self.members]
        return tuple(none_yet(protocol, batch, self.keep.size) for protocol, batch in zip(self.protocols, batches, strict=True))

    def starts(self, protocol: Protocol, key: Array, pool_key: Array) -> dict[str, Array] | None:
        """Priors for one outer batch, `(outer, ...)` per parameter: fresh ones, or from a pool; `None` where the prior is learned.

        Args:
            protocol: whose.
            key: draws them.
            pool_key: draws the pool, the same one at every meta-step.
        """
        if self.priors == "learned":
            return None
        if self.priors == "fresh":
            return meta.prior_pool(protocol, key, self.outer_batch)
        return meta.from_pool(meta.prior_pool(protocol, pool_key, self.priors), key, self.outer_batch)

    def judge(self, rule: Rule, key: Array, runs: int = 100, prior: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """How well the (first) protocol learns its task with a rule; see `tasks.judge`."""
        protocol, task = self.members[0]
        return tasks.judge(task, protocol, rule, key, runs, prior)

    # what a run asks of a recipe, it asks of an experiment too

    @property
    def numbers(self) -> dict[str, Array]:
        """What a compiled meta-step can be told anew: nothing."""
        return {}

    def told(self, numbers: Mapping[str, Array]) -> "Experiment":
        """This experiment, with such numbers."""
        return self

    @property
    def program(self) -> Any:
        """What its meta-steps compile to: its own program."""
        return self

    @property
    def about(self) -> dict[str, Any]:
        """What tells it from others, as JSON can hold it."""
        return {"experiment": {name: describe(getattr(self, name)) for name in self.__dataclass_fields__}}


def _rule_shapes(protocol):
    return jax.tree.map(jnp.shape, jax.eval_shape(protocol.new_rule, jax.random.key(0)))
