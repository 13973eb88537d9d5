"""Meta-training from a recipe: progress, exact resume, and no work lost on the way."""

import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax import Array
from tqdm import tqdm

from . import meta, report
from .folder import COLUMNS, Folder, RunError
from .protocol import Rule
from .recipes import Recipe

CHUNK = 10


class Interrupted(Exception):
    """Ctrl-C, after everything was saved."""


@contextmanager
def _noticing_interrupts():
    """Gives a list that is no longer empty after Ctrl-C, so that a chunk is finished and saved; a second Ctrl-C stops at once."""
    noticed = []
    try:
        before = signal.signal(signal.SIGINT, lambda *_: (noticed.append(True), signal.signal(signal.SIGINT, before)))
    except ValueError:  # only the main thread may set handlers; in others Ctrl-C cannot arrive
        yield noticed
        return
    try:
        yield noticed
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Trainer:
    """The meta-training of one recipe with one seed, as pure functions of the meta-step's number.

    Attributes:
        recipe: what to train.
        seed: draws everything: the first rule, tasks, priors.
    """

    recipe: Recipe
    seed: int = 0

    @property
    def _keys(self) -> Array:
        return jax.random.split(jax.random.key(self.seed), 3)

    def begin(self) -> meta.MetaState:
        """Meta-training before its first step: a calibrated, untrained rule."""
        return meta.begin(self.recipe.first_rule(self._keys[0]), self.recipe.optimizer)

    def template(self) -> meta.MetaState:
        """Shapes and dtypes of `begin()`, without computing it."""
        rule = jax.eval_shape(self.recipe.protocol.new_rule, self._keys[0])
        return jax.eval_shape(partial(meta.begin, optimizer=self.recipe.optimizer), rule)

    def starts(self, key: Array) -> dict[str, Array]:
        """Priors for one outer batch, `(outer, ...)` per parameter: from the pool, or fresh ones."""
        recipe = self.recipe
        if recipe.pool == 0:
            return meta.prior_pool(recipe.protocol, key, recipe.outer_batch)
        pool = meta.prior_pool(recipe.protocol, self._keys[1], recipe.pool)
        return meta.from_pool(pool, key, recipe.outer_batch)

    def step(self, state: meta.MetaState, number: Array) -> tuple[meta.MetaState, dict[str, Array]]:
        """Meta-step `number`, counted from 0."""
        recipe = self.recipe
        prior_key, task_key, loss_key = jax.random.split(jax.random.fold_in(self._keys[2], number), 3)
        episodes = jax.vmap(recipe.task.episode)(jax.random.split(task_key, recipe.outer_batch))
        priors = self.starts(prior_key)
        return meta.meta_step(recipe.protocol, recipe.meta_loss, recipe.optimizer, state, priors, episodes, loss_key)

    def compiled(self) -> Callable[[meta.MetaState, np.ndarray], tuple[meta.MetaState, dict[str, Array]]]:
        """Several meta-steps in one compiled call: state and step numbers `(n,)` to new state and metrics `(n,)` each."""
        return jax.jit(partial(jax.lax.scan, self.step), donate_argnums=0)


def train(recipe: Recipe, seed: int, out: str | Path, checkpoint_every: int = 100, quiet: bool = False) -> Rule:
    """Meta-trains `recipe`, or goes on where `out` left off, and leaves the rule in `out`.

    Args:
        recipe: what to train.
        seed: draws everything.
        out: the run's folder.
        checkpoint_every: meta-steps between checkpoints; rounded up to a multiple of `CHUNK`.
        quiet: no progress line.

    Returns:
        The trained rule; bit-identical whether the run was broken and resumed or not.

    Raises:
        RunError: if the folder is not this run's, or is in use, or cannot be written at the end.
        Interrupted: after Ctrl-C, with everything saved.
    """
    trainer, folder = Trainer(recipe, seed), Folder(Path(out), recipe, seed)
    with folder.locked():
        step, state, rows = folder.restore(trainer.template()) or (0, trainer.begin(), [])
        if step < recipe.steps:
            state = _train(trainer, folder, step, state, rows, checkpoint_every, quiet)
        try:
            folder.finish(state.rule, {"skipped": int(state.skipped), "metric": report.metric(recipe, state.rule)})
        except OSError as error:
            raise RunError(f"Cannot write {folder.rule} ({error.strerror}); make room and run the same command again.") from error
    return state.rule


def _train(trainer, folder, step, state, rows, checkpoint_every, quiet):
    """The loop over chunks of meta-steps; saves at every checkpoint, on Ctrl-C and at the end."""
    recipe, run_chunk, saved = trainer.recipe, trainer.compiled(), step
    bar = tqdm(total=recipe.steps, initial=step, unit="step", disable=quiet, dynamic_ncols=True)
    with bar, _noticing_interrupts() as interrupts:
        while step < recipe.steps:
            numbers = np.arange(step, min(step + CHUNK, recipe.steps))
            state, metrics = run_chunk(state, numbers)
            step += len(numbers)
            rows.append(_row(step, state, metrics))
            _show(bar, len(numbers), rows[-1])
            stop = bool(interrupts)  # looked at once: Ctrl-C may come between two lines
            if step - saved >= checkpoint_every or step == recipe.steps or stop:
                saved = _checkpoint(folder, step, state, rows, saved)
            if stop and step < recipe.steps:
                raise Interrupted(saved)
    return state


def _row(step, state, metrics):
    return {"step": step, **{name: _finite_mean(metrics[name]) for name in COLUMNS[1:-1]}, "skipped": int(state.skipped)}


def _finite_mean(values):
    values = np.asarray(values)
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else float("nan")


def _show(progress, steps, row):
    skipped = f", {row['skipped']} skipped (gradient not finite)" if row["skipped"] else ""
    progress.set_postfix_str(f"loss {row['loss']:.5f}{skipped}", refresh=False)
    progress.update(steps)


def _checkpoint(folder, step, state, rows, saved):
    """Saves, or says why it could not and lets the run go on; gives the step that is safe on disk."""
    try:
        folder.save(step, state, rows)
    except OSError as error:
        if step == folder.recipe.steps:
            problem = f"Cannot write {folder.checkpoint} ({error.strerror}); step {saved} is safe; make room and run again."
            raise RunError(problem) from error
        tqdm.write(f"Could not save step {step} ({error.strerror}); step {saved} is safe, and the run goes on.")
        return saved
    return step
