"""Meta-training from a recipe: progress, exact resume, and no work lost on the way."""

import signal
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from . import meta, report
from .folder import COLUMNS, Folder, RunError
from .protocol import Rule
from .recipes import Recipe
from .trainer import Trainer, side_by_side

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


def train(recipe: Recipe, seed: int, out: str | Path, checkpoint_every: int = 100, quiet: bool = False, devices: int = 1) -> Rule:
    """Meta-trains `recipe`, or goes on where `out` left off, and leaves the rule in `out`.

    Args:
        recipe: what to train.
        seed: draws everything.
        out: the run's folder.
        checkpoint_every: meta-steps between checkpoints; rounded up to a multiple of `CHUNK`.
        quiet: no progress line.
        devices: how many devices share the outer batch.

    Returns:
        The trained rule; on the same number of devices bit-identical whether the run was broken and resumed or not.

    Raises:
        RunError: if the folder is not this run's, or is in use, or cannot be written at the end; or see `Trainer`.
        Interrupted: after Ctrl-C, with everything saved.
    """
    (rule,) = _train([(Trainer(recipe, seed, devices), Folder(Path(out), recipe, seed))], checkpoint_every, quiet)
    return rule


def train_seeds(
    recipe: Recipe, seeds: Sequence[int], out: str | Path, checkpoint_every: int = 100, quiet: bool = False, devices: int = 1
) -> list[Rule]:
    """Meta-trains several seeds side by side in one compiled step, each with a folder of its own, `out/seed-SEED`.

    Args, Returns, Raises: see `train`; one rule per seed.
    """
    runs = [(Trainer(recipe, seed, devices), Folder(Path(out) / f"seed-{seed}", recipe, seed)) for seed in seeds]
    return _train(runs, checkpoint_every, quiet)


@dataclass(eq=False)
class _Run:
    """One seed on its way."""

    trainer: Trainer
    folder: Folder
    step: int
    state: meta.MetaState
    rows: list[dict]
    saved: int


def _train(seeds, checkpoint_every, quiet):
    with ExitStack() as locks:
        for _, folder in seeds:
            locks.enter_context(folder.locked())
        runs = [_begin_or_restore(trainer, folder) for trainer, folder in seeds]
        if any(run.step < run.trainer.recipe.steps for run in runs):
            _meta_steps(runs, checkpoint_every, quiet)
        return [_finish(run) for run in runs]


def _begin_or_restore(trainer, folder):
    step, state, rows = folder.restore(trainer.template()) or (0, trainer.begin(), [])
    return _Run(trainer, folder, step, state, rows, step)


def _finish(run):
    recipe, state = run.trainer.recipe, run.state
    try:
        run.folder.finish(state.rule, {"skipped": int(state.skipped), "metric": report.metric(recipe, state.rule)})
    except OSError as error:
        raise RunError(f"Cannot write {run.folder.rule} ({error.strerror}); make room and run the same command again.") from error
    return state.rule


def _meta_steps(runs, checkpoint_every, quiet):
    """The loop over chunks of meta-steps; saves at every checkpoint, on Ctrl-C and at the end."""
    recipe, run_chunk = runs[0].trainer.recipe, side_by_side([run.trainer for run in runs])
    step = min(run.step for run in runs)
    bar = tqdm(total=recipe.steps, initial=step, unit="step", disable=quiet, dynamic_ncols=True)
    with bar, _noticing_interrupts() as interrupts:
        while step < recipe.steps:
            numbers = np.arange(step, min(step + CHUNK, recipe.steps))
            behind = [run for run in runs if run.step == step]  # a kill between two checkpoints leaves seeds at different steps
            _advance(runs, behind, run_chunk, numbers)
            step = min(run.step for run in runs)
            _show(bar, len(numbers), [run.rows[-1] for run in runs])
            stop = bool(interrupts)  # looked at once: Ctrl-C may come between two lines
            for run in behind:
                if run.step - run.saved >= checkpoint_every or run.step == recipe.steps or stop:
                    run.saved = _checkpoint(run)
            if stop and step < recipe.steps:
                raise Interrupted(min(run.saved for run in runs))


def _advance(runs, behind, run_chunk, numbers):
    """One chunk for the seeds that are behind; the others are computed along, so that all numbers are as in an unbroken run."""
    given = [run.state if run in behind else jax.tree.map(jnp.copy, run.state) for run in runs]
    states, metrics = run_chunk(given, numbers)
    for run, state, measured in zip(runs, states, metrics, strict=True):
        if run in behind:
            run.state, run.step = state, run.step + len(numbers)
            run.rows.append(_row(run.step, state, measured))


def _row(step, state, metrics):
    return {"step": step, **{name: _finite_mean(metrics[name]) for name in COLUMNS[1:-1]}, "skipped": int(state.skipped)}


def _finite_mean(values):
    values = np.asarray(values)
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else float("nan")


def _show(progress, steps, rows):
    skipped = sum(row["skipped"] for row in rows)
    warning = f", {skipped} skipped (gradient not finite)" if skipped else ""
    losses = " ".join(f"{row['loss']:.5f}" for row in rows)
    progress.set_postfix_str(f"loss {losses}{warning}", refresh=False)
    progress.update(steps)


def _checkpoint(run):
    """Saves, or says why it could not and lets the run go on; gives the step that is safe on disk."""
    try:
        run.folder.save(run.step, run.state, run.rows)
    except OSError as error:
        if run.step == run.trainer.recipe.steps:
            problem = f"Cannot write {run.folder.checkpoint} ({error.strerror}); step {run.saved} is safe; make room and run again."
            raise RunError(problem) from error
        tqdm.write(f"Could not save step {run.step} ({error.strerror}); step {run.saved} is safe, and the run goes on.")
        return run.saved
    return run.step
