"""Many finished runs in one file: what each arm changes, how each seed ended, and how sure a rate of success is (appendix B)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from .. import weights
from ..protocol import Protocol
from .folder import read_curve
from .recipe import Recipe, RecipeError
from .report import ReportError, find_learned, metric
from .solutions import drawn

SUCCESS, STUCK = 0.005, 0.012
"""Sinusoids: a run succeeds if its loss on unseen tasks ends below the first, and is stuck if it ends above the second."""
WINDOW = 10
"""Rows of a learning curve that one evaluation is the mean of: the held-out loss of as many meta-steps, on tasks never seen before."""
POINTS = 60
"""Evaluations of a run that are kept, at most."""


def collect(folder: str | Path, elsewhere: Iterable[str] = ()) -> dict[str, Any]:
    """All finished runs below a folder, by arm: same recipe, other seeds.

    Args:
        folder: what `train --out` was told.
        elsewhere: networks and tasks that the rules are taken to, each as changes of their recipe: `"activation=tanh inner_steps=20"`.

    Returns:
        `recipe`, the fields that all arms have in common; and `arms`, each with its `changes` and `runs`. For sinusoids also how many
        of an arm's runs succeeded, with a Wilson interval of 95 %, and of each run what its networks draw, see `solutions`. Where rules
        were taken, each run has its metric `elsewhere`.

    Raises:
        ReportError: if there is no finished run, or one is of an experiment that no recipe describes.
        RecipeError, ValueError: if rules cannot be taken there.
        WeightsError: if a file is damaged.
    """
    elsewhere = list(elsewhere)
    found = [_read(path.parent, elsewhere) for path in sorted(Path(folder).rglob("rule.json"))]
    if not found:
        raise ReportError(f"There is no finished run below {folder}; train some with --seeds or --grid and --out {folder}.")
    return _told(found)


def read(path: Path) -> dict[str, Any]:
    """A study that was written.

    Raises:
        ReportError: if there is none, or it is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} holds no study ({getattr(error, 'strerror', None) or error}); write it first.") from error


def joined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Two studies as one; of a seed that both have, the later run.

    Args:
        earlier: what `collect` gave, or a file of it.
        later: another.

    Raises:
        ReportError: if the earlier one is no study, or its recipes are none of this version.
    """
    try:
        found = [pair for study in (earlier, later) for pair in pairs(study)]
    except (KeyError, TypeError, RecipeError) as error:
        raise ReportError(f"That is no study to go on with ({error}); write to another file.") from error
    latest = {(str(recipe), run["seed"]): (recipe, run) for recipe, run in found}
    return _told(latest.values())


def pairs(study: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Recipe and run of each seed of each arm; fields that are younger than a study have their defaults."""
    for arm in study["arms"]:
        recipe = Recipe.from_dict({**study["recipe"], **arm["changes"]}).as_dict()
        yield from ((recipe, run) for run in arm["runs"])


def _told(found):
    recipes = [recipe for recipe, _ in found]
    common = {name: value for name, value in recipes[0].items() if all(recipe[name] == value for recipe in recipes)}
    arms = {}
    for recipe, run in found:
        changes = {name: value for name, value in recipe.items() if name not in common}
        arms.setdefault(str(changes), {"changes": changes, "runs": []})["runs"].append(run)
    return {"recipe": common, "arms": [_arm(arm, common) for arm in arms.values()]}


def _read(folder, elsewhere):
    card = weights.load_card(folder / "rule")
    if "recipe" not in card:
        raise ReportError(f"{folder} holds the rule of an experiment of your own, which no recipe describes; only recipes are compared.")
    recipe, curve = Recipe.from_dict(card["recipe"]).as_dict(), evaluations(read_curve(folder / "curve.csv"))
    of_sinusoids = recipe["family"] == "sinusoids"
    first = {"first_success": _first_success(curve)} if of_sinusoids else {}
    learned = find_learned(str(folder))[:2] if of_sinusoids or elsewhere else None
    curves = {"drawn": drawn(*learned)} if of_sinusoids else {}
    kept = ("seed", "sha256", "metric", "skipped", "versions")
    taken = {"elsewhere": {changes: _taken(*learned, changes) for changes in elsewhere}} if elsewhere else {}
    return recipe, {name: card[name] for name in kept} | {"curve": _thinned(curve) | first} | curves | taken


def _taken(recipe, learned, changes):
    """What a rule is worth on another network or task."""
    there = replace(recipe, first="", turns=()).changed(changes.split())
    network = there.protocol
    rule = network.adopt(learned.rule, learned.network) if isinstance(network, Protocol) else learned.rule
    return metric(there, rule, prior=learned.prior if there.learn_prior else None)


def evaluations(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The held-out loss along meta-training, `step` and `held_out`: means over `WINDOW` rows each, the rest at the end left out.

    Every meta-step of a run with fresh priors meets tasks that it never saw, so this is a test of the rule at that time.
    """
    ends = range(WINDOW, len(rows) + 1, WINDOW)
    means = [float(np.mean([row["held_out"] for row in rows[end - WINDOW : end]])) for end in ends]
    return {"step": [rows[end - 1]["step"] for end in ends], "held_out": [float(f"{mean:.4g}") for mean in means]}


def _first_success(curve):
    """The first meta-step whose evaluation is a success; `None` if none is."""
    return min((step for step, loss in zip(curve["step"], curve["held_out"], strict=True) if loss < SUCCESS), default=None)


def _thinned(curve):
    """Of a long curve not more than `POINTS` evaluations."""
    places = np.unique(np.linspace(0, len(curve["step"]) - 1, POINTS).round().astype(int)) if curve["step"] else []
    return {name: [values[place] for place in places] for name, values in curve.items()}


def _arm(arm, common):
    if {**common, **arm["changes"]}["family"] != "sinusoids":
        return arm
    ends = [_number(run["metric"]["mean"]) for run in arm["runs"]]
    return arm | {"success": rate(end < SUCCESS for end in ends), "stuck": rate(not end <= STUCK for end in ends)}


def _number(value):
    """A figure of a card, where what was not finite is null."""
    return float("nan") if value is None else value


def rate(happened: Iterable[bool]) -> dict[str, Any]:
    """How often something happened, and the Wilson interval of its probability, 95 %.

    >>> rate([True, True, False, True])
    {'count': 3, 'of': 4, 'wilson': [0.301, 0.954]}
    """
    happened = [bool(each) for each in happened]
    interval = binomtest(sum(happened), len(happened)).proportion_ci(0.95, "wilson")
    return {"count": sum(happened), "of": len(happened), "wilson": [round(float(end), 3) for end in (interval.low, interval.high)]}


def table(found: Mapping[str, Any]) -> str:
    """What a study holds, as text: a line per run."""
    lines = []
    for arm in found["arms"]:
        lines.append(", ".join(f"{name}={value}" for name, value in arm["changes"].items()) or "all alike")
        if "success" in arm:
            lines[-1] += "   success {count} of {of}, between {wilson[0]} and {wilson[1]}".format(**arm["success"])
        for run in arm["runs"]:
            metric, first = {**run["metric"], "mean": _number(run["metric"]["mean"])}, run["curve"].get("first_success")
            when = f"   below {SUCCESS} from step {first}" if first else ""
            lines.append(f"  seed {run['seed']:3}: {metric['name']} {metric['mean']:.5f} ± {_number(metric['sd']):.5f}{when}")
            there = (f"{changes}: {_number(taken['mean']):.5f}" for changes, taken in run.get("elsewhere", {}).items())
            lines += [f"            {'   '.join(there)}"] if "elsewhere" in run else []
    return "\n".join(lines)
