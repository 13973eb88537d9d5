"""Where a rule stops working: longer runs, other weights, networks and images than it was trained on (section 4.2)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from .. import baselines, evaluate
from .recipe import Recipe
from .rivals import Learned, Ring

RUNS = 20
"""How many runs at most: some of them are long, some networks large."""
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
POINTS = 21
"""Steps that are reported, at most."""
LONGER = {"sinusoids": 10, "mnist": 10}
"""How many times as many steps as in meta-training."""


class Case(NamedTuple):
    """Where a rule is taken.

    Attributes:
        recipe: with the network, the examples and the steps.
        view: what becomes of images, `(n, pixels) -> (n, pixels)`; `None`: nothing.
    """

    recipe: Recipe
    view: Callable[[Array], Array] | None = None

    @property
    def task(self) -> Any:
        """What is learned."""
        task = self.recipe.task
        if self.view is None:
            return task
        x, y = task.test
        return replace(task, x=self.view(task.x), test=(self.view(x), y))


def cases(recipe: Recipe) -> Iterator[tuple[str, Case]]:
    """Where a rule is taken, by name: on, to other weights, and with digits to other networks, batches and images.

    A rule with a prior of its own is taken on from there, and to random priors.
    """
    recipe = replace(recipe, first="")  # what it is trained from says nothing about where it is taken
    yield "longer", Case(replace(recipe, inner_steps=LONGER[recipe.family] * recipe.inner_steps))
    if recipe.learn_prior:
        yield "random priors", Case(replace(recipe, learn_prior=False))
        return
    yield "LeCun", Case(recipe)
    if recipe.family == "mnist":
        yield from ((name, Case(replace(recipe, **changes))) for name, changes in _networks(recipe))
        if recipe.source != "sklearn" and recipe.widths[-1] == 10:
            yield "8x8 digits", Case(replace(recipe, source="sklearn", widths=(64, *recipe.widths[1:])))
        yield "inverted", Case(recipe, lambda images: -images)  # standardized, so this exchanges ink and paper
        yield "permuted", Case(recipe, _permuted)


def _networks(recipe):
    """Networks and batches for digits, as fields of the recipe; the paper has the step and 784-100-10."""
    first, *_, last = recipe.widths
    yield from ((name, {"activation": name}) for name in ("step", "relu", "tanh") if name != recipe.activation)
    shapes = ((784, 100, last), (first, 200, last), (first, 50, 50, last))
    yield from (("-".join(map(str, widths)), {"widths": widths}) for widths in shapes)
    yield from ((f"batch {batch}", {"inner_batch": batch}) for batch in (4, 16))


def _permuted(images):
    """Pixels in another order, the same for all images."""
    return images[:, jax.random.permutation(jax.random.key(0), images.shape[1])]


def measured(recipe: Recipe, rules: Mapping[str, Learned], key: Array, runs: int = RUNS) -> dict[str, Any]:
    """Statistics by case and method, at most `POINTS` steps of each; beside the rules the best Adam for the case.

    Args:
        recipe: what the first rule was made for; others were made for the same network.
        rules: by name.
        key: draws the runs; the first `RUNS` at most.
        runs: how many.
    """
    found = {}
    for name, case in cases(recipe):
        starts = ("lecun",) if name == "LeCun" else ()
        prior = next(iter(rules.values())).prior if case.recipe.learn_prior else None
        graph = case.recipe.protocol.graph
        ring = Ring(graph, case.task, key, min(runs, RUNS), prior, RATES, starts)
        started = baselines.started(graph, *starts or ("paper",))
        methods = {method: _taken(learned, started, case.recipe) for method, learned in rules.items()}
        rival = ring.best()
        methods[rival.name] = Learned(rival.network, None, prior)
        steps = sorted({round(step) for step in np.linspace(0, case.recipe.inner_steps, POINTS)})
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
