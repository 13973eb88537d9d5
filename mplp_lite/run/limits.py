"""Where a rule stops working: longer runs, other weights and other networks than it was trained on (section 4.2)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jax import Array

from .. import baselines, evaluate
from .recipes import Recipe
from .rivals import Ring

RUNS = 20
"""How many runs at most: some of them are long, some networks large."""
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
POINTS = 21
"""Steps that are reported, at most."""
LONGER = {"sinusoids": 4, "mnist": 5}
"""How many times as many steps as in meta-training."""


def cases(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Where a rule is taken, by name: on, to larger weights, and digits to other activations and to the large network of the paper.

    A rule with a prior of its own stays with that prior and its network.
    """
    yield "longer", replace(recipe, inner_steps=LONGER[recipe.family] * recipe.inner_steps)
    if not recipe.learn_prior:
        yield "LeCun", recipe
    if recipe.family == "mnist" and not recipe.learn_prior:
        yield from ((name, replace(recipe, activation=name)) for name in ("step", "relu") if name != recipe.activation)
        yield "784-100-10", replace(recipe, widths=(784, 100, recipe.widths[-1]))


def measured(
    recipe: Recipe, rules: Mapping[str, Any], key: Array, runs: int = RUNS, prior: Mapping[str, Array] | None = None
) -> dict[str, Any]:
    """Statistics by case and method, at most `POINTS` steps of each; beside the rules the best Adam for the case.

    Args:
        recipe: what the rules were made for.
        rules: by name.
        key: draws the runs; the first `RUNS` at most.
        runs: how many.
        prior: where all runs start; fresh ones by default.
    """
    found = {}
    for name, case in cases(recipe):
        starts = ("lecun",) if name == "LeCun" else ()
        ring = Ring(case.protocol.graph, case.task, key, min(runs, RUNS), prior, RATES, starts)
        rival = ring.best()
        protocol = replace(case.protocol, graph=baselines.started(case.protocol.graph, *starts or ("paper",)))
        methods = {method: (protocol, protocol.adopt(rule, recipe.protocol)) for method, rule in rules.items()}
        methods[rival.name] = rival.network, None
        steps = sorted({round(step) for step in np.linspace(0, case.inner_steps, POINTS)})
        told = {method: _told(ring, *learns, steps) for method, learns in methods.items()}
        found[name] = {"runs": ring.runs, "steps": steps, "methods": told}
    return found


def _told(ring, network, rule, steps):
    """Statistics of the most telling quantity after some of the steps."""
    quantity, values = next(iter(ring.judge(network, rule).items()))
    return {quantity: evaluate.summary(values[:, np.array(steps)])}
