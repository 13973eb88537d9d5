"""The meta-training of a recipe as pure functions of the meta-step's number, one seed alone or several side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, Device
from jax.sharding import NamedSharding, PartitionSpec

from .. import meta
from ..meta import device_mesh
from .folder import RunError
from .memory import lean_jit
from .recipes import Recipe


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
    """The meta-training of one recipe with one seed, as pure functions of the meta-step's number.

    Attributes:
        recipe: what to train.
        seed: draws everything: the first rule, tasks, priors.
        devices: how many devices share the outer batch; the same seed draws the same tasks on any number of them. Several hosts
            use all that they have.

    Raises:
        RunError: if there are not so many devices, or the outer batch cannot be shared out evenly.
    """

    recipe: Recipe
    seed: int = 0
    devices: int = 1

    def __post_init__(self):
        found = len(jax.devices())
        if not 1 <= self.devices <= found:
            raise RunError(f"devices={self.devices} was given, but jax sees {found}; ask for at most that many.")
        if jax.process_count() > 1 and self.devices != found:
            raise RunError(f"devices={self.devices} was given, but {jax.process_count()} hosts have {found}, and all must take part.")
        if self.recipe.outer_batch % self.devices:
            problem = f"outer_batch={self.recipe.outer_batch} cannot be shared out over {self.devices} devices"
            raise RunError(f"{problem}; let one divide the other.")

    @property
    def keys(self) -> Array:
        """What draws the first rule, the pool and the meta-steps, `(3,)`."""
        return jax.random.split(jax.random.key(self.seed), 3)

    def begin(self) -> meta.MetaState:
        """Meta-training before its first step: a calibrated, untrained rule."""
        return lean_jit(lambda: meta.begin(self.recipe.first_rule(self.keys[0]), self.recipe.optimizer))()

    def template(self) -> meta.MetaState:
        """Shapes and dtypes of `begin()`, without computing it."""
        rule = jax.eval_shape(self.recipe.protocol.new_rule, self.keys[0])
        return jax.eval_shape(partial(meta.begin, optimizer=self.recipe.optimizer), rule)

    @property
    def shared_by(self) -> list[Device] | None:
        """The devices that share the outer batch; `None` for the default one alone."""
        return jax.devices()[: self.devices] if self.devices > 1 else None

    def placed(self, state: meta.MetaState) -> meta.MetaState:
        """The state where its devices are, so that the first call compiles what all later ones use."""
        if self.shared_by is None:
            return state
        return jax.device_put(state, NamedSharding(device_mesh(self.shared_by), PartitionSpec()))

    @property
    def variant(self) -> Variant:
        """What tells this trainer from others with the same program."""
        return Variant(self.keys, self.recipe.numbers)

    def as_variant(self, variant: Variant | None) -> tuple[Recipe, Array]:
        """Recipe and keys, of a variant or its own."""
        return (self.recipe, self.keys) if variant is None else (self.recipe.with_numbers(variant.numbers), variant.keys)

    def starts(self, key: Array, variant: Variant | None = None) -> dict[str, Array]:
        """Priors for one outer batch, `(outer, ...)` per parameter: from a pool, or fresh ones."""
        recipe, keys = self.as_variant(variant)
        if recipe.pool == 0:
            return meta.prior_pool(recipe.protocol, key, recipe.outer_batch)
        pool = meta.prior_pool(recipe.protocol, keys[1], recipe.pool)
        return meta.from_pool(pool, key, recipe.outer_batch)

    def step(self, state: meta.MetaState, number: Array, variant: Variant | None = None) -> tuple[meta.MetaState, dict[str, Array]]:
        """Meta-step `number`, counted from 0; with a variant, a step of the trainer that has it."""
        recipe, keys = self.as_variant(variant)
        prior_key, task_key, loss_key = jax.random.split(jax.random.fold_in(keys[2], number), 3)
        episodes = jax.vmap(recipe.task.episode)(jax.random.split(task_key, recipe.outer_batch))
        return meta.meta_step(
            recipe.protocol,
            recipe.meta_loss,
            recipe.optimizer,
            state,
            self.starts(prior_key, variant),
            episodes,
            loss_key,
            clip=recipe.clip,
            microbatch=recipe.microbatch,
            devices=self.shared_by,
        )

    def compiled(self) -> Callable[[meta.MetaState, np.ndarray], tuple[meta.MetaState, dict[str, Array]]]:
        """Several meta-steps in one compiled call: state and step numbers `(n,)` to new state and metrics `(n,)` each."""
        return lean_jit(partial(jax.lax.scan, self.step), donate_argnums=0)


def side_by_side(trainers: Sequence[Trainer]) -> Callable:
    """The same for trainers with one program: states and step numbers to new states and metrics, one of each per trainer."""
    first = trainers[0]
    if len(trainers) == 1:
        return lean_jit(lambda states, numbers: [[found] for found in jax.lax.scan(first.step, states[0], numbers)], donate_argnums=0)
    variants = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(trainer.variant for trainer in trainers))

    def run(state, variant, numbers):
        return jax.lax.scan(partial(first.step, variant=variant), state, numbers)

    def together(states, numbers):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        found = jax.vmap(run, in_axes=(0, 0, None))(stacked, variants, numbers)
        return [[jax.tree.map(lambda leaf, k=k: leaf[k], part) for k in range(len(trainers))] for part in found]

    return lean_jit(together, donate_argnums=0)
