"""Evaluation of finished rules, as tables and JSON files."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from .. import baselines, evaluate, tasks, weights
from ..authors.published import load_published
from ..protocol import Rule
from .experiment import Experiment
from .recipes import Recipe, RecipeError


class ReportError(RuntimeError):
    """A report that cannot be made or written, and why."""


def metric(
    recipe: Recipe | Experiment, rule: Rule, runs: int = 100, seed: int = 0, prior: dict[str, Array] | None = None
) -> dict[str, Any]:
    """The one figure that says how good a rule is: what its task is judged by, at the end of `runs` fresh inner runs."""
    protocol, task = recipe.told(recipe.numbers).members[0]
    ((quantity, found), *_) = _measured(task, protocol, rule, runs, seed, prior).items()
    last = {name: values[-1] for name, values in found.items()}
    return {"name": f"{quantity.replace('_', ' ')} after {len(found['mean']) - 1} steps", **last, "runs": runs, "seed": seed}


def _measured(task, network, rule, runs, seed, prior=None):
    """Statistics per inner step of what the family of tasks is judged by, the most telling first."""
    found = tasks.judge(task, network, rule, jax.random.key(seed), runs, prior)
    return {quantity: evaluate.summary(values) for quantity, values in found.items()}


def find_rule(name: str) -> tuple[Recipe, Rule, dict[str, Any]]:
    """The recipe, rule and card of a shipped rule, or of the finished run in folder `name`.

    Raises:
        ReportError: if there is neither, or the run was of an experiment that no recipe describes.
        WeightsError: if its files are damaged.
    """
    path = _rule_path(name)
    card = weights.load_card(path)
    if "experiment" in card:
        raise ReportError(f"{name} holds the rule of an experiment of your own, which no recipe describes; measure it with tasks.judge.")
    try:
        recipe = Recipe.from_dict(card["recipe"])
    except (KeyError, TypeError, RecipeError) as error:
        raise weights.WeightsError(f"The card of {name} describes no recipe of this version ({error}); train the rule again.") from error
    return recipe, weights.load(path, recipe.protocol), card


def _rule_path(name):
    path = Path(name) / "rule.npz"
    if path.exists():
        return path
    if name not in weights.pretrained():
        raise ReportError(f"{name!r} is neither a shipped rule ({', '.join(weights.pretrained())}) nor a folder with a finished run.")
    return weights.pretrained_path(name)


def evaluate_rule(name: str, runs: int = 100, seed: int = 0, published: Path | None = None) -> dict[str, Any]:
    """Statistics of inner runs with a rule and with gradient descent, on the same tasks, batches and priors.

    Args:
        name: a shipped rule, or the folder of a finished run.
        runs: how many, `>= 1`.
        seed: draws tasks and priors.
        published: one of the authors' `.npy` files for the same network and learners, to be measured too.

    Raises:
        ReportError, WeightsError: see `find_rule` and `load_published`.
    """
    recipe, rule, card = find_rule(name)
    prior = weights.load_prior(_rule_path(name), recipe.protocol) if recipe.learn_prior else None
    methods = {
        method: _measured(recipe.task, network, its_rule, runs, seed, prior)
        for method, (network, its_rule) in _methods(recipe, rule, published).items()
    }
    return {
        "rule": Path(name).resolve().name,
        "sha256": card["sha256"],
        "recipe": recipe.name,
        "runs": runs,
        "seed": seed,
        "methods": methods,
    }


def _methods(recipe, rule, published):
    graph = recipe.protocol.graph
    authors = {} if published is None else {"authors' MPLP": (recipe.protocol, load_published(published, recipe.protocol))}
    adams, sgds = ((0.01, 0.03), (0.1,)) if recipe.family == "sinusoids" else ((0.01,), (0.1, 1.0))
    others = {f"Adam {rate}": (baselines.adam(graph, rate), None) for rate in adams}
    others |= {f"SGD {rate}": (baselines.sgd(graph, rate), None) for rate in sgds}
    return {"MPLP": (recipe.protocol, rule), **authors, **others}


def table(found: dict[str, Any]) -> str:
    """Means per step and method of the most telling quantity, as text; at most six of the steps."""
    quantity, first = next(iter(next(iter(found["methods"].values())).items()))
    shown = sorted({round(step) for step in np.linspace(0, len(first["mean"]) - 1, 6)})
    lines = [f"{found['rule']}: mean {quantity.replace('_', ' ')} over {found['runs']} runs, after each inner step"]
    lines.append("".join([f"{'':14}", *(f"{step:>10}" for step in shown), f"{'sd at end':>12}"]))
    for method, measured in found["methods"].items():
        means = "".join(f"{measured[quantity]['mean'][step]:10.5f}" for step in shown)
        lines.append(f"{method:14}{means}{measured[quantity]['sd'][-1]:12.5f}")
    return "\n".join(lines)


def write(path: Path, found: dict[str, Any]) -> None:
    """Writes a report as JSON, atomically.

    Raises:
        ReportError: if it cannot be written; an older file is then untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        weights.write_atomically(path, (weights.strict_json(found, indent=1) + "\n").encode())
    except OSError as error:
        raise ReportError(f"Cannot write {path} ({error.strerror or error}); choose another --out.") from error
