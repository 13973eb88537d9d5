"""Where a run lives on disk: checkpoints, learning curve, finished rule; all written atomically."""

import csv
import hashlib
import io
import json
import platform
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import meta, weights
from ..describe import settings
from .errors import RunError
from .experiment import Experiment
from .recipe import Recipe

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no locks of this kind: there, two runs in one folder go unnoticed
    fcntl = None


CHUNK = 10
"""Meta-steps in one compiled call, and from one row of a learning curve to the next."""


@dataclass(frozen=True)
class Folder:
    """Where a run lives: `checkpoint.npz`, `curve.csv`, and at the end `rule.npz` with its card `rule.json`.

    A prior that was learned with the rule is `rule.prior.npz`, with a card of its own.

    Attributes:
        path: the folder; made if it is missing.
        recipe: what is trained there: a `Recipe` or an `Experiment`.
        seed: what it is trained with.
    """

    path: Path
    recipe: Recipe | Experiment
    seed: int

    @property
    def checkpoint(self) -> Path:
        """The last good checkpoint."""
        return self.path / "checkpoint.npz"

    @property
    def curve(self) -> Path:
        """The learning curve."""
        return self.path / "curve.csv"

    @property
    def rule(self) -> Path:
        """The finished rule."""
        return self.path / "rule.npz"

    @property
    def prior(self) -> Path:
        """The prior that was learned with it."""
        return weights.prior_path(self.rule)

    @contextmanager
    def locked(self):
        """Keeps a second run out of the folder.

        Raises:
            RunError: if another run holds it, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "w")
        except OSError as error:
            raise RunError(f"Cannot write in {self.path} ({error.strerror}); choose another --out.") from error
        with lock:
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"Another run is at work in {self.path}; choose another --out or wait for it.") from error
            except OSError as error:
                raise RunError(f"Cannot lock {self.path} ({error.strerror}); choose another --out.") from error
            self._sweep()
            yield

    def _sweep(self):
        """Removes what a kill in the middle of a write left behind."""
        for target in (
            self.checkpoint,
            self.curve,
            *(path.with_suffix(end) for path in (self.rule, self.prior) for end in (".npz", ".json")),
        ):
            for leftover in self.path.glob(f".{target.name}.*"):
                leftover.unlink(missing_ok=True)

    @property
    def run(self) -> dict[str, Any]:
        """What tells this run from others, as JSON can hold it."""
        return {**self.recipe.about, "seed": self.seed}

    def save(self, step: int, state: meta.MetaState, rows: list[dict]) -> None:
        """Writes curve and checkpoint, each atomically.

        Raises:
            OSError: if that fails; the last good checkpoint is then still there.
        """
        weights.write_atomically(self.curve, _to_csv(rows))
        arrays, about = weights.named_leaves(state), {**self.run, "step": step}
        about["sha256"] = _digest(arrays, about)
        weights.write_atomically(self.checkpoint, weights.pack({**arrays, "about": np.asarray(json.dumps(about))}))

    def restore(self, template: meta.MetaState) -> tuple[int, meta.MetaState, list[dict]] | None:
        """Step, state and curve of the last good checkpoint; `None` if there is none yet.

        Args:
            template: a state with the right shapes and dtypes.

        Raises:
            RunError: if the checkpoint belongs to another recipe or seed, or is damaged.
        """
        if not self.checkpoint.exists():
            return None
        try:
            arrays = weights.unpack(self.checkpoint.read_bytes(), str(self.checkpoint))
            about = json.loads(str(arrays.pop("about")))
            self._check_same_run(about)
            if about.pop("sha256", None) != _digest(arrays, about):
                raise ValueError("it was changed after it was written: its sha256 differs")
            state, step = weights.from_named(template, arrays), about["step"]
            if type(step) is not int:
                raise ValueError(f"its step is {step!r}, not a whole number")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{self.checkpoint} is no good checkpoint ({error}); move it away to start anew.") from error
        try:
            rows = [row for row in read_curve(self.curve) if row["step"] <= step]
            if [row["step"] for row in rows] != [*range(CHUNK, step, CHUNK), step]:
                raise ValueError(f"its rows do not lead from step {CHUNK} to step {step}, each {CHUNK} further than the last")
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise RunError(f"{self.curve} is no good learning curve ({error}); move the checkpoint away to start anew.") from error
        return step, state, rows

    def finish(self, state: meta.MetaState, card: dict[str, Any]) -> dict[str, Any]:
        """Writes the rule, and the prior if one was learned, with their card; gives the card.

        Raises:
            OSError: if that fails.
        """
        card = {**self.run, "steps": self.recipe.steps, "versions": versions(), **card}
        protocol, *_ = self.recipe.told(self.recipe.numbers).protocols
        if state.prior is not None:
            weights.save(self.prior, state.prior, card, protocol)
        weights.save(self.rule, state.rule, card, protocol)
        return card

    def _check_same_run(self, about):
        told = {key: about[key] for key in self.run}
        if "recipe" in told:
            told["recipe"] = Recipe.from_dict(told["recipe"]).as_dict()  # fields that recipes have gained since have their defaults
        ours, theirs = dict(settings(self.run)), dict(settings(told))
        keys = [*ours, *(key for key in theirs if key not in ours)]
        different = [f"{key} {theirs.get(key)!r}, not {ours.get(key)!r}" for key in keys if theirs.get(key) != ours.get(key)]
        if different:
            raise RunError(f"{self.path} holds a run with {'; '.join(different[:5])}; repeat its settings or choose another --out.")


def _digest(arrays, about):
    """Of a checkpoint: a sha256 of all that it holds."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _to_csv(rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read_curve(path: Path) -> list[dict[str, float]]:
    """The rows of a learning curve, by column: `step`, `loss`, the loss's parts, norm of the `gradient`, steps `skipped` so far."""
    with open(path, newline="") as file:
        return [{key: (int if key in ("step", "skipped") else float)(value) for key, value in row.items()} for row in csv.DictReader(file)]


def versions() -> dict[str, str]:
    """Versions of what a result depends on, and the kind of machine."""
    packages = {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    return packages | {"python": platform.python_version(), "device": jax.devices()[0].device_kind}
