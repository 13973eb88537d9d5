"""What sinusoids look like to networks that a rule has taught: appendix B describes rules that learn a centre arc and no more."""

from typing import Any

import jax
import numpy as np

from .. import evaluate
from .recipe import Recipe
from .rivals import Learned

TASKS, PLACES, SHOWN = 100, 25, 3


def drawn(recipe: Recipe, learned: Learned) -> dict[str, Any]:
    """What networks answer after the last inner step, on curves never seen in meta-training.

    Args:
        recipe: of sinusoids.
        learned: a rule for its network.

    Returns:
        `x`, places from left to right; `explained`, at each the share of what sets `TASKS` curves apart that the networks tell: 1 where
        all of it, 0 where they say no more than the family's mean, below 0 where less; `targets` and `answers` of `SHOWN` curves there.
    """
    key, task = jax.random.key(0), recipe.task
    found = evaluate.sinusoid_runs(learned.network, learned.rule, task, key, TASKS, learned.prior)
    x, targets = jax.vmap(lambda key: task.evaluation_episode(jax.random.split(key)[0]).held_out)(jax.random.split(key, TASKS))
    at = np.linspace(0, x.shape[1] - 1, PLACES).round().astype(int)
    x, targets, answers = (np.asarray(values)[:, at, 0] for values in (x, targets, found.predictions[:, -1]))
    explained = 1 - ((answers - targets) ** 2).mean(axis=0) / targets.var(axis=0)
    told = {"x": x[0], "explained": explained, "targets": targets[:SHOWN], "answers": answers[:SHOWN]}
    return {name: np.vectorize(lambda value: float(f"{value:.3g}"))(values).tolist() for name, values in told.items()}
