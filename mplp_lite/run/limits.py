"""Where a rule stops working: longer runs, other weights, networks and images than it was trained on (section 4.2)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jax import Array
from tqdm import tqdm

from .. import baselines, evaluate
from .recipe import Recipe
from .rivals import Learned, Ring

RUNS = 20
"""How many runs at most: some of them are long, some networks large."""
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
POINTS = 21
"""Steps that are reported, at most."""
LONGER, LASTING = 10, 50
"""How many times as many steps as in meta-training, of most rules and of those whose learners count an age."""
BATCHES, ANY_BATCH = (4, 16), (1, 2, 4, 16, 32)
"""Images to a step, of learners that think once per example, and of one that does not."""


def cases(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Where a rule is taken: on, to other weights, and with digits to other networks, batches and images.

    Each place has a name and a recipe, which tells network, examples and steps. A rule with a prior of its own is taken on from there, and
    to random priors.
    """
    recipe = replace(recipe, first="", turns=())  # how it was trained says nothing about where it is taken
    times = LASTING if recipe.learner == "factored" else LONGER
    yield "longer", replace(recipe, inner_steps=times * recipe.inner_steps)
    if recipe.learn_prior:
        yield "random priors", replace(recipe, learn_prior=False)
        return
    yield "LeCun", recipe
    if recipe.family == "mnist":
        yield from ((name, replace(recipe, **changes)) for name, changes in _networks(recipe))
        if recipe.source != "sklearn" and recipe.widths[-1] == 10:
            yield "8x8 digits", replace(recipe, source="sklearn", widths=(64, *recipe.widths[1:]))
        yield from ((view, replace(recipe, view=view)) for view in ("inverted", "permuted"))


def _networks(recipe):
    """Networks and batches for digits, as fields of the recipe; the paper has the step and 784-100-10."""
    first, *_, last = recipe.widths
    factored = recipe.learner == "factored"
    yield from ((name, {"activation": name}) for name in ("step", "relu", "tanh") if name != recipe.activation)
    shapes = ((784, 100, last), (first, 200, last), (first, 50, 50, last), (first, 50, 50, 50, last))
    yield from (("-".join(map(str, widths)), {"widths": widths}) for widths in shapes[: 4 if factored else 3])
    if factored:
        yield "step, longer", {"activation": "step", "inner_steps": LONGER * recipe.inner_steps}
    yield from ((f"batch {batch}", {"inner_batch": batch}) for batch in (ANY_BATCH if factored else BATCHES))


def measured(recipe: Recipe, rules: Mapping[str, Learned], key: Array, runs: int = RUNS, quiet: bool = True) -> dict[str, Any]:
    """Statistics by case and method, at most `POINTS` steps of each; beside the rules the best Adam for the case.

    Args:
        recipe: what the first rule was made for; others were made for the same network.
        rules: by name.
        key: draws the runs; the first `RUNS` at most.
        runs: how many.
        quiet: whether no progress is shown.
    """
    found, all_cases = {}, list(cases(recipe))
    for name, case in tqdm(all_cases, desc="limits", unit="case", disable=quiet, dynamic_ncols=True):
        starts = ("lecun",) if name == "LeCun" else ()
        prior = next(iter(rules.values())).prior if case.learn_prior else None
        graph = case.protocol.graph
        ring = Ring(graph, case.task, key, min(runs, RUNS), prior, RATES, starts)
        started = baselines.started(graph, *starts or ("paper",))
        methods = {method: _taken(learned, started, case) for method, learned in rules.items()}
        rival = ring.best()
        methods[rival.name] = Learned(rival.network, None, prior)
        steps = sorted({min(recipe.inner_steps, case.inner_steps), *np.linspace(0, case.inner_steps, POINTS).round().astype(int).tolist()})
        told = {method: _told(ring, learned, steps) for method, learned in methods.items()}
        found[name] = {"runs": ring.runs, "steps": steps, "methods": told}
    return found


def _taken(learned, graph, recipe):
    """A rule on another network, from its own prior if the recipe has one."""
    prior = learned.prior if recipe.learn_prior else None
    if graph == learned.network.graph:
        return learned._replace(prior=prior)
    network = replace(learned.network, graph=graph)
    return Learned(network, network.adopt(learned.rule, learned.network), prior)


def _told(ring, learned, steps):
    """Statistics of the most telling quantity after some of the steps."""
    quantity, values = next(iter(ring.judge_at_home(learned).items()))
    return {quantity: evaluate.summary(values[:, np.array(steps)])}
