"""Evaluation of finished rules, as tables and JSON files."""

from pathlib import Path
from typing import Any

import jax

from . import baselines, evaluate, weights
from .protocol import Rule
from .published import load_published
from .recipes import Recipe, RecipeError


class ReportError(RuntimeError):
    """A report that cannot be made or written, and why."""


def metric(recipe: Recipe, rule: Rule, runs: int = 100, seed: int = 0) -> dict[str, Any]:
    """The one figure that says how good a rule is: the last eval loss of `runs` fresh inner runs."""
    found = evaluate.sinusoid_runs(recipe.protocol, rule, recipe.task, jax.random.key(seed), runs)
    last = {name: values[-1] for name, values in evaluate.summary(found.eval_loss).items()}
    return {"name": f"eval loss after {recipe.inner_steps} steps", **last, "runs": runs, "seed": seed}


def find_rule(name: str) -> tuple[Recipe, Rule, dict[str, Any]]:
    """The recipe, rule and card of a shipped rule, or of the finished run in folder `name`.

    Raises:
        ReportError: if there is neither.
        WeightsError: if its files are damaged.
    """
    path = Path(name) / "rule.npz"
    if not path.exists():
        if name not in weights.pretrained():
            raise ReportError(f"{name!r} is neither a shipped rule ({', '.join(weights.pretrained())}) nor a folder with a finished run.")
        path = weights.pretrained_path(name)
    card = weights.load_card(path)
    try:
        recipe = Recipe.from_dict(card["recipe"])
    except (KeyError, TypeError, RecipeError) as error:
        raise weights.WeightsError(f"The card of {name} describes no recipe of this version ({error}); train the rule again.") from error
    return recipe, weights.load(path, recipe.protocol), card


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
    methods = {}
    for method, (network, its_rule) in _methods(recipe, rule, published).items():
        found = evaluate.sinusoid_runs(network, its_rule, recipe.task, jax.random.key(seed), runs)
        methods[method] = {"eval_loss": evaluate.summary(found.eval_loss), "train_loss": evaluate.summary(found.train_loss)}
    return {"rule": Path(name).name, "sha256": card["sha256"], "recipe": recipe.name, "runs": runs, "seed": seed, "methods": methods}


def _methods(recipe, rule, published):
    graph = recipe.protocol.graph
    authors = {} if published is None else {"authors' MPLP": (recipe.protocol, load_published(published, recipe.protocol))}
    adams = {f"Adam {rate}": (baselines.adam(graph, rate), None) for rate in (0.01, 0.03)}
    return {"MPLP": (recipe.protocol, rule), **authors, **adams, "SGD 0.1": (baselines.sgd(graph, 0.1), None)}


def table(found: dict[str, Any]) -> str:
    """Mean eval loss per step and method, as text."""
    steps = len(next(iter(found["methods"].values()))["eval_loss"]["mean"])
    lines = [f"{found['rule']}: mean eval loss (L2/2) over {found['runs']} runs, after each inner step"]
    lines.append("".join([f"{'':14}", *(f"{step:>10}" for step in range(steps)), f"{'sd at end':>12}"]))
    for method, losses in found["methods"].items():
        means = "".join(f"{value:10.5f}" for value in losses["eval_loss"]["mean"])
        lines.append(f"{method:14}{means}{losses['eval_loss']['sd'][-1]:12.5f}")
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
        raise ReportError(f"Cannot write {path} ({error.strerror}); choose another --out.") from error
