"""Evaluation of finished rules beside what a sceptic asks for, as tables and JSON files."""

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import evaluate, tasks, weights
from ..authors.published import load_published, load_published_prior
from ..protocol import Rule
from . import ceilings, limits
from .experiment import Experiment
from .folder import versions
from .recipe import Recipe, RecipeError
from .rivals import Learned, Ring, steps_until

FULL_BATCH_SHOWN = (20, 50, 100, 200, 500, 1000, 2000)
"""After which full-batch steps a report says how good they are."""


MORE_STEPS = (20, 50, 100, 200)
"""Lengths of inner runs whose images are given to other methods, all at once."""


class ReportError(RuntimeError):
    """A report that cannot be made or written, and why."""


def metric(
    recipe: Recipe | Experiment, rule: Rule, runs: int = 100, seed: int = 0, prior: dict[str, Array] | None = None
) -> dict[str, Any]:
    """The one figure that says how good a rule is: what its task is judged by, at the end of `runs` fresh inner runs.

    `by_step` has its mean before and after each inner step.
    """
    protocol, task = recipe.told(recipe.numbers).members[0]
    quantity, values = next(iter(tasks.judge(task, protocol, rule, jax.random.key(seed), runs, prior).items()))
    statistics = evaluate.summary(values)
    last = {name: of[-1] for name, of in statistics.items()}
    told = {**last, "by_step": statistics["mean"], "runs": runs, "seed": seed}
    return {"name": f"{quantity.replace('_', ' ')} after {values.shape[1] - 1} steps", **told}


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


def evaluate_rule(
    name: str,
    runs: int = 100,
    seed: int = 0,
    published: Path | None = None,
    published_prior: Path | None = None,
    beside: Iterable[str] = (),
    quiet: bool = True,
) -> dict[str, Any]:
    """Statistics of inner runs with a rule and with gradient descent, on the same tasks, batches and priors.

    Rates of gradient descent are chosen on other runs, see `rivals`. Where the rule stops working is measured too, see `limits`.

    Args:
        name: a shipped rule, or the folder of a finished run.
        runs: how many, `>= 1`.
        seed: draws tasks and priors.
        published: one of the authors' `.npy` files for the same network and learners, to be measured too.
        published_prior: the authors' prior that goes with it, where the rule has a prior of its own.
        beside: other rules for the same network and task, to be measured too.
        quiet: whether no progress is shown.

    Raises:
        ModuleNotFoundError: if scikit-learn is not installed, by which ceilings are measured.
        ReportError: see `find_rule`; or if a rule beside it is for another network or task, or the authors' prior is missing.
        WeightsError: see `find_rule` and `load_published`.
    """
    recipe, learned, card = find_learned(name)
    protocol, rule, prior = learned
    rules, key = {"MPLP": learned}, jax.random.key(seed)
    if published is not None:
        rules["authors' MPLP"] = _authors(recipe, published, published_prior)
    rules |= {Path(other).resolve().name: _found_beside(other, recipe) for other in beside}
    ring = Ring(protocol.graph, recipe.task, key, runs, prior)
    return {
        "rule": Path(name).resolve().name,
        "sha256": card["sha256"],
        **({"beside": {Path(other).resolve().name: find_rule(other)[2]["sha256"] for other in beside}} if beside else {}),
        "recipe": recipe.name,
        "runs": runs,
        "seed": seed,
        "rates": {"tried": list(ring.rates), "runs": ring.choosing.runs},
        "methods": dict(_methods(ring, rules)),
        "full_batch": _full_batch(ring, protocol, rule),
        "ceilings": _ceilings(ring),
        "limits": limits.measured(recipe, rules, key, runs, quiet),
        **({} if recipe.family == "sinusoids" else {"more_images": _more_images(ring)}),
    }


def find_learned(name: str) -> tuple[Recipe, Learned, dict[str, Any]]:
    """The same as `find_rule`, the rule together with its network and, if it has one, its prior.

    Raises:
        ReportError, WeightsError: see `find_rule`.
    """
    recipe, rule, card = find_rule(name)
    prior = weights.load_prior(_rule_path(name), recipe.protocol) if recipe.learn_prior else None
    return recipe, Learned(recipe.protocol, rule, prior), card


def _authors(recipe, published, published_prior):
    if recipe.learn_prior != (published_prior is not None):
        problem = "has a prior of its own" if recipe.learn_prior else "starts from random priors"
        raise ReportError(f"The rule {problem}; give the authors' prior with --published-prior exactly where there is one.")
    prior = None if published_prior is None else load_published_prior(published_prior, recipe.protocol)
    return Learned(recipe.protocol, load_published(published, recipe.protocol), prior)


def _found_beside(name, recipe):
    """A rule for the same network and task."""
    other, learned, _ = find_learned(name)
    for field in ("family", "source", "view", "widths", "activation", "loss", "inner_steps", "inner_batch"):
        ours, theirs = getattr(recipe, field), getattr(other, field)
        if ours != theirs:
            raise ReportError(f"{name} was trained with {field}={theirs}, not {ours}; only rules for one network and task are compared.")
    return learned


def _methods(ring, rules):
    """Names and statistics per quantity: of rules, of gradient descent, of what does not learn."""
    for name, learned in rules.items():
        yield name, _summaries(ring.judge_at_home(learned))
    for name, network in ring.everybody().items():
        yield name, _summaries(ring.judge(network))
    rival = ring.best_full_batch(ring.task.steps)
    yield f"{rival.name}, all {_examples(ring)} at once", _signed(ring, ring.full_batch(rival.network, ring.task.steps))
    if isinstance(ring.task, tasks.Sinusoids):
        yield "the family's mean curve", _signed(ring, _mean_curve_losses(ring))


def _ceilings(ring):
    """What methods make of the same examples that keep no network: of curves after each step, of images after all of them."""
    if isinstance(ring.task, tasks.Sinusoids):
        return {name: {"eval_loss": evaluate.summary(losses)} for name, losses in ceilings.curves(ring).items()}
    return {name: {"accuracy": evaluate.summary(scores[:, None])} for name, scores in ceilings.images(ring).items()}


def _more_images(ring):
    """What could be made of the images of longer runs, all at once."""
    few = replace(ring, runs=min(ring.runs, limits.RUNS))
    methods = {name: {"accuracy": evaluate.summary(scores)} for name, scores in ceilings.along(few, MORE_STEPS).items()}
    return {"runs": few.runs, "steps": list(MORE_STEPS), "methods": methods}


def _examples(ring):
    return ring.task.steps * ring.task.batch


def _summaries(found):
    return {quantity: evaluate.summary(values) for quantity, values in found.items()}


def _signed(ring, losses):
    return {ring.quantity: evaluate.summary(ring.sign * losses)}


def _mean_curve_losses(ring):
    """What the average over the family scores on the curves that the others learn, the same after every step."""

    def loss(key):
        x, y = ring.task.evaluation_episode(jax.random.split(key)[0]).held_out
        return ((ring.task.mean_curve(x) - y) ** 2).mean() / 2

    losses = jax.vmap(loss)(jax.random.split(ring.key, ring.runs))
    return jnp.tile(losses[:, None], ring.task.steps + 1)


def _full_batch(ring, protocol, rule):
    """Where Adam ends that sees all examples of an episode in every step, and how soon it is as good as the rule is at the end."""
    rival = ring.soonest_full_batch(protocol, rule)
    losses = ring.long_full_batch(rival.network)
    needed = np.asarray(steps_until(losses, ring.losses(protocol, rule)[:, -1]))
    steps = losses.shape[1] - 1
    shown = sorted({min(step, steps) for step in (ring.task.steps, *FULL_BATCH_SHOWN)})
    return {
        "method": f"{rival.name}, all {_examples(ring)} at once",
        "steps": shown,
        **_signed(ring, losses[:, np.array(shown)]),
        "steps_to_the_rule": {
            "quartiles": [float(value) for value in np.quantile(needed, (0.25, 0.5, 0.75), method="nearest")],
            "never": int((needed > steps).sum()),
        },
    }


def table(found: dict[str, Any]) -> str:
    """What a report holds, as text: the most telling quantity by step, at most seven of them, the deviation and the error of the mean."""
    methods = found["methods"]
    quantity, first = next(iter(next(iter(methods.values())).items()))
    lines = [f"{found['rule']}: mean {quantity.replace('_', ' ')} over {found['runs']} runs, after each inner step"]
    lines += _rows(methods, quantity, range(len(first["mean"])))
    if "ceilings" in found:
        lines += ["", *_ceiling_lines(found["ceilings"], quantity)]
    if "full_batch" in found:
        lines += ["", *_full_batch_lines(found["full_batch"], quantity)]
    if "more_images" in found:
        more = found["more_images"]
        lines += ["", f"all images of so many steps at once: {more['runs']} runs", *_rows(more["methods"], quantity, more["steps"])]
    for name, case in found.get("limits", {}).items():
        lines += ["", f"{name}: {case['runs']} runs", *_rows(case["methods"], quantity, case["steps"])]
    return "\n".join(lines)


def _ceiling_lines(found, quantity):
    for name, measured in found.items():
        yield f"{name}: {', '.join(f'{mean:.6g}' for mean in measured[quantity]['mean'])}"


def _full_batch_lines(found, quantity):
    quarter, half, three = found["steps_to_the_rule"]["quartiles"]
    ends = ", ".join(f"{mean:.5f} after {step}" for mean, step in zip(found[quantity]["mean"], found["steps"], strict=True))
    yield f"{found['method']}: {ends}"
    yield f"as good as the rule at its end after {half:.0f} such steps (quartiles {quarter:.0f} and {three:.0f})"


def _rows(methods, quantity, steps):
    """A head and a row per method."""
    places = sorted({round(place) for place in np.linspace(0, len(steps) - 1, 6)})
    wide = max(14, *(len(name) + 1 for name in methods))
    yield "".join([" " * wide, *(f"{steps[place]:>12}" for place in places), f"{'sd at end':>12}", f"{'se':>12}"])
    for name, measured in methods.items():
        statistics = measured[quantity]
        ends = [statistics.get(kind, [float("nan")])[-1] for kind in ("sd", "se")]
        yield f"{name:{wide}}" + "".join(map(_cell, (*(statistics["mean"][place] for place in places), *ends)))


def _cell(value):
    return f"{value:12.3g}" if value >= 10_000 else f"{value:12.5f}"


def made() -> dict[str, Any]:
    """When, with which versions and on what kind of machine a report is made."""
    return {"date": date.today().isoformat(), **versions(), "cores": os.cpu_count()}


def write(path: Path, found: dict[str, Any]) -> None:
    """Writes a report as JSON, atomically.

    Raises:
        ReportError: if it cannot be written; an older file is then untouched.
    """
    text = re.sub(r"\[\n[^][{}]*\]", lambda numbers: " ".join(numbers[0].split()), weights.strict_json(found, indent=1))  # a line a list
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        weights.write_atomically(path, (text + "\n").encode())
    except OSError as error:
        raise ReportError(f"Cannot write {path} ({error.strerror or error}); choose another --out.") from error
