"""Meta-training from a recipe: progress, exact resume, and no work lost on the way."""

import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from .. import meta
from ..protocol import Rule
from . import hosts, memory, report
from .folder import COLUMNS, Folder, RunError
from .grid import Arm, groups
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
        RunError: if the folder is not this run's, or is in use, or cannot be written at the end; if memory is too small; if another
            host is gone; or see `Trainer`.
        Interrupted: after Ctrl-C, with everything saved.
    """
    return train_arms([Arm(recipe, seed, Path(out))], checkpoint_every, quiet, devices)[0]


def train_arms(arms: Sequence[Arm], checkpoint_every: int = 100, quiet: bool = False, devices: int = 1) -> list[Rule]:
    """Meta-trains several arms, each in its own folder: side by side in one compiled step where they share a program, else in turn.

    Args, Returns, Raises: see `train`; one rule per arm.
    """
    runs = {arm: _Run(Trainer(arm.recipe, arm.seed, devices), Folder(arm.out, arm.recipe, arm.seed)) for arm in arms}
    with hosts.together(), ExitStack() as locks:
        hosts.from_first(lambda: [locks.enter_context(run.folder.locked()) for run in runs.values()])
        for run in runs.values():
            run.restore()
        for group in groups(arms):
            _train([runs[arm] for arm in group], checkpoint_every, quiet)
        return [run.state.rule for run in runs.values()]


@dataclass(eq=False)
class _Run:
    """One arm on its way."""

    trainer: Trainer
    folder: Folder
    step: int = 0
    state: meta.MetaState | None = None
    rows: list[dict] = field(default_factory=list)
    saved: int = 0

    def restore(self):
        """To the last checkpoint, if there is one."""
        found = hosts.from_first(lambda: self.folder.restore(self.trainer.template()))
        self.step, self.state, self.rows = found or (0, None, [])
        self.saved = self.step

    def begin(self):
        """From the first rule, if there is no later one."""
        state = hosts.from_first(self.trainer.begin) if self.state is None else self.state
        self.state = self.trainer.placed(state)


def _train(runs, checkpoint_every, quiet):
    for run in runs:
        run.begin()
    if any(run.step < run.trainer.recipe.steps for run in runs):
        _meta_steps(runs, checkpoint_every, quiet)
    for run in runs:
        _finish(run)


def _finish(run):
    recipe, state = run.trainer.recipe, jax.device_get(run.state)
    card = {"skipped": int(state.skipped), "metric": report.metric(recipe, state.rule)}
    try:
        if hosts.leads():
            run.folder.finish(state.rule, card)
    except OSError as error:
        raise RunError(f"Cannot write {run.folder.rule} ({error.strerror}); make room and run the same command again.") from error


def _meta_steps(runs, checkpoint_every, quiet):
    """The loop over chunks of meta-steps; saves at every checkpoint, on Ctrl-C and at the end."""
    recipe, run_chunk = runs[0].trainer.recipe, side_by_side(tuple(run.trainer for run in runs))
    step = min(run.step for run in runs)
    _compile(run_chunk, runs, step, quiet)
    bar = tqdm(total=recipe.steps, initial=step, unit="step", disable=quiet or not hosts.leads(), dynamic_ncols=True)
    with bar, _noticing_interrupts() as interrupts:
        while step < recipe.steps:
            numbers = np.arange(step, min(step + CHUNK, recipe.steps))
            behind = [run for run in runs if run.step == step]  # a kill between two checkpoints leaves seeds at different steps
            _advance(runs, behind, run_chunk, numbers)
            step = min(run.step for run in runs)
            _show(bar, len(numbers), [run.rows[-1] for run in runs])
            stop = hosts.anywhere(bool(interrupts))  # looked at once: Ctrl-C may come between two lines
            for run in behind:
                if run.step - run.saved >= checkpoint_every or run.step == recipe.steps or stop:
                    run.saved = _checkpoint(run)
            if stop and step < recipe.steps:
                raise Interrupted(min(run.saved for run in runs))


def _compile(run_chunk, runs, step, quiet):
    """Compiles ahead of the first call, which finds the program ready, and says how long it took and how much memory it needs."""
    began = time.perf_counter()
    numbers = np.arange(step, min(step + CHUNK, runs[0].trainer.recipe.steps))
    program = run_chunk.lower([run.state for run in runs], numbers).compile()
    seconds, needs = time.perf_counter() - began, memory.check(program, runs[0].trainer.devices)
    if not quiet:
        tqdm.write(f"compiled in {seconds:.0f} s; {needs}", file=sys.stderr)


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
        if hosts.leads():
            run.folder.save(run.step, run.state, run.rows)
    except OSError as error:
        if run.step == run.trainer.recipe.steps:
            problem = f"Cannot write {run.folder.checkpoint} ({error.strerror}); step {run.saved} is safe; make room and run again."
            raise RunError(problem) from error
        tqdm.write(f"Could not save step {run.step} ({error.strerror}); step {run.saved} is safe, and the run goes on.")
        return run.saved
    return run.step
