"""Meta-training of recipes and experiments: progress, exact resume, and no work lost on the way."""

import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from .. import meta
from ..checks import check_sizes, check_type, shown
from ..protocol import Rule
from . import hosts, memory, report
from .errors import Interrupted, RunError
from .experiment import Experiment
from .folder import CHUNK, Folder
from .grid import Arm, groups
from .recipe import Recipe
from .trainer import Trainer, side_by_side

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Trained(NamedTuple):
    """A finished run.

    Attributes:
        rule: how networks learn now.
        prior: where they start from, if that was learned too; else `None`.
        card: what it is: recipe or experiment, seed, steps, versions, and `metric`, how good it is.
        curve: a row per `CHUNK` of meta-steps: `step`, `loss`, the loss's parts, `gradient`, `skipped`.
    """

    rule: Rule
    prior: dict[str, Array] | None
    card: dict[str, Any]
    curve: list[dict[str, float]]


@contextmanager
def _noticing_interrupts():
    """Gives a list that Ctrl-C and SIGTERM put their number into, so that a chunk is finished and saved; a second one stops at once."""
    noticed, before = [], {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}

    def notice(number, _):
        noticed.append(number)
        signal.signal(number, before[number])

    try:
        for number in SIGNALS:
            signal.signal(number, notice)
    except ValueError:  # only the main thread may set handlers; in others no signal can arrive
        yield noticed
        return
    try:
        yield noticed
    finally:
        for number in SIGNALS:
            signal.signal(number, before[number])


def train(
    experiment: Experiment | Recipe,
    seed: int = 0,
    out: str | Path = "runs/experiment",
    checkpoint_every: int = 100,
    quiet: bool = False,
    devices: int = 1,
) -> Trained:
    """Meta-trains, or goes on where `out` left off, and leaves rule, card and learning curve in `out`.

    Args:
        experiment: what to train: an `Experiment`, or a `Recipe`.
        seed: draws everything.
        out: the run's folder.
        checkpoint_every: meta-steps between checkpoints; rounded up to a multiple of `CHUNK`.
        quiet: no progress line.
        devices: how many devices share the outer batch.

    Returns:
        The trained rule and what belongs to it; on the same number of devices bit-identical whether the run was broken and resumed or not.

    Raises:
        RunError: if the folder is not this run's, or is in use, or cannot be written at the end; if memory is too small; if another
            host is gone; or see `Trainer`.
        ValueError, TypeError: if an argument cannot be; nothing is computed then.
        Interrupted: after Ctrl-C or SIGTERM, with everything saved.
    """
    _check_out(out)
    return train_arms([Arm(experiment, seed, Path(out))], checkpoint_every, quiet, devices)[0]


def train_seeds(
    experiment: Experiment | Recipe,
    seeds: Sequence[int],
    out: str | Path = "runs/experiment",
    checkpoint_every: int = 100,
    quiet: bool = False,
    devices: int = 1,
) -> list[Trained]:
    """`train` for several seeds side by side, in one compiled step, each in `out/seed-SEED`.

    Args:
        experiment: what to train: an `Experiment`, or a `Recipe`.
        seeds: each draws everything of its run.
        out: the folder of all.
        checkpoint_every: see `train`.
        quiet: see `train`.
        devices: see `train`.

    Raises:
        RunError, Interrupted: see `train`.
        ValueError, TypeError: see `train`; or if there is no seed, or one is given twice.
    """
    _check_out(out)
    _check_seeds(seeds)
    return train_arms([Arm(experiment, seed, Path(out, f"seed-{seed}")) for seed in seeds], checkpoint_every, quiet, devices)


def _check_out(out):
    check_type("out", out, str | PathLike, "the path of the run's folder")


def _check_seeds(seeds):
    check_type("seeds", seeds, Sequence, "a list of seeds, such as range(4)")
    if not len(seeds) or any(seed in seeds[:place] for place, seed in enumerate(seeds)):
        raise ValueError(f"seeds={shown(seeds)} was given; it must hold at least one, and each only once.")


def train_arms(arms: Sequence[Arm], checkpoint_every: int = 100, quiet: bool = False, devices: int = 1) -> list[Trained]:
    """Meta-trains several arms, each in its own folder: side by side in one compiled step where they share a program, else in turn.

    Args, Raises: see `train`.
    """
    check_sizes(checkpoint_every=checkpoint_every)
    runs = {arm: _Run(Trainer(arm.recipe, arm.seed, devices), Folder(arm.out, arm.recipe, arm.seed)) for arm in arms}
    with hosts.together(), ExitStack() as locks:
        hosts.from_first(lambda: (None, [locks.enter_context(run.folder.locked()) for run in runs.values()]))
        for run in runs.values():
            run.restore()
        for group in groups(arms):
            _train([runs[arm] for arm in group], checkpoint_every, quiet)
        return [Trained(run.state.rule, run.state.prior, run.card, run.rows) for run in runs.values()]


@dataclass(eq=False)
class _Run:
    """One arm on its way."""

    trainer: Trainer
    folder: Folder
    step: int = 0
    state: meta.MetaState | None = None
    rows: list[dict] = field(default_factory=list)
    saved: int = 0
    card: dict = field(default_factory=dict)

    def restore(self):
        """To the last checkpoint, if there is one."""
        template = self.trainer.template()

        def found():
            step, state, rows = self.folder.restore(template) or (0, None, [])
            return state, (step, rows)

        self.state, (self.step, self.rows) = hosts.from_first(found, template)
        self.saved = self.step

    def begin(self):
        """From the first rule, if there is no later one."""
        if self.state is None:
            self.state, _ = hosts.from_first(lambda: (self.trainer.begin(), None), self.trainer.template())
        self.state = self.trainer.placed(self.state)


def _train(runs, checkpoint_every, quiet):
    for run in runs:
        run.begin()
    if any(run.step < run.trainer.recipe.steps for run in runs):
        _meta_steps(runs, checkpoint_every, quiet)
    for run in runs:
        _finish(run)


def _finish(run):
    run.state = jax.device_get(run.state)
    run.card = {"skipped": int(run.state.skipped), "metric": report.metric(run.trainer.recipe, run.state.rule, prior=run.state.prior)}
    try:
        if hosts.leads():
            run.card = run.folder.finish(run.state, run.card)
    except OSError as error:
        raise RunError(f"Cannot write {run.folder.rule} ({error.strerror or error}); make room and run the same command again.") from error


def _meta_steps(runs, checkpoint_every, quiet):
    """The loop over chunks of meta-steps; saves at every checkpoint, on Ctrl-C or SIGTERM and at the end."""
    recipe, run_chunk = runs[0].trainer.recipe, side_by_side(tuple(run.trainer for run in runs))
    step = min(run.step for run in runs)
    _compile(run_chunk, runs, step, quiet)
    bar = tqdm(total=recipe.steps, initial=step, unit="step", disable=quiet or not hosts.leads(), dynamic_ncols=True)
    told = quiet
    with bar, _noticing_interrupts() as interrupts:
        while step < recipe.steps:
            numbers = np.arange(step, min(step + CHUNK, recipe.steps))
            behind = [run for run in runs if run.step == step]  # a kill between two checkpoints leaves seeds at different steps
            broken = _advance(runs, behind, run_chunk, numbers)
            if broken and not told:
                told = True
                tqdm.write(broken, file=sys.stderr)
            step = min(run.step for run in runs)
            _show(bar, len(numbers), [run.rows[-1] for run in runs])
            stop = hosts.anywhere(bool(interrupts))  # looked at once: Ctrl-C may come between two lines
            for run in behind:
                if run.step - run.saved >= checkpoint_every or run.step == recipe.steps or stop:
                    run.saved = _checkpoint(run)
            if stop and step < recipe.steps:
                raise Interrupted(min(run.saved for run in runs), (*interrupts, signal.SIGINT)[0])


def _compile(run_chunk, runs, step, quiet):
    """Compiles ahead of the first call, which finds the program ready, and says how long it took and how much memory it needs."""
    began = time.perf_counter()
    numbers = np.arange(step, min(step + CHUNK, runs[0].trainer.recipe.steps))
    program = run_chunk.lower([run.state for run in runs], numbers, runs[0].trainer.data).compile()
    seconds, needs = time.perf_counter() - began, memory.check(program, runs[0].trainer.devices)
    if not quiet:
        tqdm.write(f"compiled in {seconds:.0f} s; {needs}", file=sys.stderr)


def _advance(runs, behind, run_chunk, numbers):
    """One chunk for the seeds that are behind; the others are computed along, so that all numbers are as in an unbroken run.

    Gives a sentence if something was not finite, about the first such thing.
    """
    given = [run.state if run in behind else jax.tree.map(jnp.copy, run.state) for run in runs]
    states, metrics = run_chunk(given, numbers, runs[0].trainer.data)
    for run, state, measured in zip(runs, states, metrics, strict=True):
        if run in behind:
            run.state, run.step = state, run.step + len(numbers)
            run.rows.append(_row(run.step, state, measured))
    return next((told for run, measured in zip(runs, metrics) if run in behind and (told := _broken(run, numbers, measured))), None)


def _broken(run, numbers, metrics):
    """A sentence about the first episode whose loss or gradient was not finite, if there is one."""
    finite = np.asarray(metrics["finite"])
    if finite.all():
        return None
    row, episode = np.argwhere(finite == 0)[0]
    loss = "" if np.isfinite(metrics["loss"][row]) else ", and so is the loss"
    found = f"Meta-step {numbers[row] + 1}: the gradient of episode {episode + 1} of {finite.shape[1]} is not finite{loss}"
    hint = "if it happens often, lower the learning rate, clip, or take fewer inner steps; Protocol.first_break finds the node"
    return f"{found}. The step was skipped, and the rule is as good as before; {hint}."


def _row(step, state, metrics):
    parts = sorted(metrics.keys() - {"loss", "gradient", "finite"}, key=lambda name: (name == "held_out", name))
    return {"step": step, **{name: _finite_mean(metrics[name]) for name in ("loss", *parts, "gradient")}, "skipped": int(state.skipped)}


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
            problem = f"Cannot write {run.folder.checkpoint} ({error.strerror or error}); {_safe(run)}; make room and run again."
            raise RunError(problem) from error
        tqdm.write(f"Could not save step {run.step} ({error.strerror or error}); {_safe(run)}, and the run goes on.", file=sys.stderr)
        return run.saved if run.folder.checkpoint.is_file() else 0
    return run.step


def _safe(run):
    """What lies on disk, in words."""
    return f"step {run.saved} is safe" if run.folder.checkpoint.is_file() else "no step is safe"
