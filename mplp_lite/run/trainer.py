"""Meta-training as pure functions of the meta-step's number, one seed alone or several side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, Device
from jax.sharding import NamedSharding, PartitionSpec

from .. import half_trained, meta
from ..checks import check_sizes, check_type, shown
from ..protocol import Protocol
from .errors import RunError
from .experiment import Experiment
from .memory import lean_jit
from .recipe import Recipe

LARGEST_SEED = 2**31


class Variant(NamedTuple):
    """What may differ between trainings that share a compiled step.

    Attributes:
        keys: see `Trainer.keys`.
        numbers: see `Recipe.numbers`.
    """

    keys: Array
    numbers: dict[str, Array]


@dataclass(frozen=True)
class Trainer:
    """The meta-training of one recipe or experiment with one seed, as pure functions of the meta-step's number.

    Attributes:
        recipe: what to train: a `Recipe`, or an `Experiment` of your own.
        seed: draws everything: the first rule, tasks, priors.
        devices: how many devices share the outer batch; the same seed draws the same tasks on any number of them. Several hosts
            use all that they have.

    Raises:
        RunError: if there are not so many devices, or the outer batch cannot be shared out evenly.
        TypeError: if it is no recipe or experiment.
        ValueError: if the seed is no whole number from 0.
    """

    recipe: Recipe | Experiment
    seed: int = 0
    devices: int = 1

    def __post_init__(self):
        check_type("experiment", self.recipe, Recipe | Experiment, "an Experiment, or a Recipe, such as recipes.find('sinusoid')")
        check_sizes(0, seed=self.seed)
        if self.seed >= LARGEST_SEED:
            raise ValueError(f"seed={self.seed} was given; it must be below {LARGEST_SEED}.")
        found = len(jax.devices())
        if not isinstance(self.devices, int) or not 1 <= self.devices <= found:
            raise RunError(f"devices={shown(self.devices)} was given, but jax sees {found}; ask for at most that many.")
        if jax.process_count() > 1 and self.devices != found:
            raise RunError(f"devices={self.devices} was given, but {jax.process_count()} hosts have {found}, and all must take part.")
        if self.recipe.outer_batch % self.devices:
            problem = f"outer_batch={self.recipe.outer_batch} cannot be shared out over {self.devices} devices"
            raise RunError(f"{problem}; let one divide the other.")

    @cached_property
    def experiment(self) -> Experiment:
        """What is trained."""
        return self.recipe.told(self.recipe.numbers)

    @property
    def keys(self) -> Array:
        """What draws the first rule, the pool and the meta-steps, `(3,)`."""
        return jax.random.split(jax.random.key(self.seed), 3)

    @property
    def data(self) -> list[Array]:
        """The arrays that the tasks hold: arguments of what is compiled, not constants in it."""
        return _take_apart(self.experiment.tasks)[0]

    def _members(self, experiment: Experiment, data: list[Array]) -> list[tuple[Protocol, Any]]:
        """Protocols and tasks, the tasks holding `data`."""
        return experiment.paired(_take_apart(experiment.tasks)[1](data))

    def begin(self) -> meta.MetaState:
        """Meta-training before its first step: a calibrated, untrained rule."""
        return lean_jit(lambda data: self.experiment.begin(self.keys[0], self._members(self.experiment, data)))(self.data)

    def template(self) -> meta.MetaState:
        """Shapes and dtypes of `begin()`, without computing it."""
        protocol, learned = self.experiment.protocols[0], self.experiment.priors == "learned"
        rule = jax.eval_shape(protocol.new_rule, self.keys[0])
        prior = jax.eval_shape(protocol.prior, self.keys[0]) if learned else None
        kept = jax.eval_shape(self.experiment.none_kept)
        return jax.eval_shape(partial(meta.begin, optimizer=self.experiment.optimizer), rule, prior=prior, kept=kept)

    @property
    def shared_by(self) -> list[Device] | None:
        """The devices that share the outer batch; `None` for the default one alone."""
        return jax.devices()[: self.devices] if self.devices > 1 else None

    def placed(self, state: meta.MetaState) -> meta.MetaState:
        """The state where its devices are, so that the first call compiles what all later ones use."""
        if self.shared_by is None:
            return state
        return jax.device_put(state, NamedSharding(meta.device_mesh(self.shared_by), PartitionSpec()))

    @property
    def variant(self) -> Variant:
        """What tells this trainer from others with the same program."""
        return Variant(self.keys, {name: jnp.asarray(value) for name, value in self.recipe.numbers.items()})

    def starts(self, key: Array) -> dict[str, Array] | None:
        """Priors for one outer batch of the first network, see `Experiment.starts`."""
        return self.experiment.starts(self.experiment.protocols[0], key, self.keys[1])

    def step(
        self, state: meta.MetaState, number: Array, data: list[Array] | None = None, variant: Variant | None = None
    ) -> tuple[meta.MetaState, dict[str, Array]]:
        """Meta-step `number`, counted from 0; with a variant, a step of the trainer that has it. Several networks take turns."""
        experiment, keys = (self.experiment, self.keys) if variant is None else (self.recipe.told(variant.numbers), variant.keys)
        members = self._members(experiment, self.data if data is None else data)
        turns = [partial(self._step, experiment, turn, protocol, task, keys) for turn, (protocol, task) in enumerate(members)]
        if len(turns) == 1:
            return turns[0](state, number)
        return jax.lax.switch(number % len(turns), turns, state, number)

    def _step(self, experiment, turn, protocol, task, keys, state, number):
        prior_key, task_key, loss_key = jax.random.split(jax.random.fold_in(keys[2], number), 3)
        priors = experiment.starts(protocol, prior_key, keys[1])
        episodes = jax.vmap(task.episode)(jax.random.split(task_key, experiment.outer_batch))
        run = partial(
            meta.meta_step,
            protocol,
            experiment.meta_loss,
            experiment.optimizer,
            episodes=episodes,
            key=loss_key,
            clip=experiment.clip,
            microbatch=experiment.microbatch,
            devices=self.shared_by,
        )
        if experiment.keep is None:
            return run(state, priors)
        return _going_on(run, experiment.keep, turn, protocol, state, priors, episodes, jax.random.fold_in(prior_key, 1))

    def compiled(self) -> Callable[[meta.MetaState, np.ndarray], tuple[meta.MetaState, dict[str, Array]]]:
        """Several meta-steps in one compiled call: state and step numbers `(n,)` to new state and metrics `(n,)` each."""
        run = lean_jit(lambda state, numbers, data: jax.lax.scan(partial(self.step, data=data), state, numbers), donate_argnums=0)
        return partial(run, data=self.data)


def _going_on(run, keep, turn, protocol, state, priors, episodes, key):
    """A meta-step some of whose episodes go on from kept networks; it keeps where they end."""
    one = jax.tree.map(lambda values: values[0], episodes)
    fresh = jax.vmap(lambda prior: protocol.begin(prior, one.batch))(priors)
    begun = half_trained.starts(state.kept[turn], fresh, key, keep.share)
    state, metrics = run(state, begun.states)
    kept = half_trained.put_back(state.kept[turn], begun, metrics.pop("end"), one.steps, metrics.pop("ends_at"), keep)
    metrics |= {"age": begun.ages.mean(), "kept": (kept.ages > 0).sum()}
    return state._replace(kept=(*state.kept[:turn], kept, *state.kept[turn + 1 :])), metrics


def _take_apart(tasks):
    """The arrays in some tasks, and what puts tasks together from others in their place."""
    leaves, structure = jax.tree.flatten(tasks)
    are_arrays = [isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves]

    def put_together(arrays):
        given = iter(arrays)
        return jax.tree.unflatten(structure, [next(given) if is_array else leaf for leaf, is_array in zip(leaves, are_arrays)])

    return [leaf for leaf, is_array in zip(leaves, are_arrays) if is_array], put_together


def side_by_side(trainers: Sequence[Trainer]) -> Callable:
    """`Trainer.compiled` for trainers with one program: states and step numbers to new states and metrics, one of each per trainer.

    What is compiled takes the tasks' data as a third argument: `Trainer.data` of any of them.
    """
    first = trainers[0]
    if len(trainers) == 1:
        return lean_jit(
            lambda states, numbers, data: [[found] for found in jax.lax.scan(partial(first.step, data=data), states[0], numbers)],
            donate_argnums=0,
        )
    variants = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(trainer.variant for trainer in trainers))

    def run(state, variant, numbers, data):
        return jax.lax.scan(partial(first.step, data=data, variant=variant), state, numbers)

    def together(states, numbers, data):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        found = jax.vmap(run, in_axes=(0, 0, None, None))(stacked, variants, numbers, data)
        return [[jax.tree.map(lambda leaf, k=k: leaf[k], part) for k in range(len(trainers))] for part in found]

    return lean_jit(together, donate_argnums=0)
