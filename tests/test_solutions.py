"""What networks draw, place by place, against what the family of curves is known to do there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mplp_lite import baselines, evaluate, tasks
from mplp_lite.run import solutions
from mplp_lite.run.recipes import find
from mplp_lite.run.rivals import Learned

RECIPE = find("sinusoid").changed(["widths=1,4,1", "reach=3.5"])
AT = np.linspace(0, 99, 25).round().astype(int)
SILENT = baselines.sgd(RECIPE.protocol.graph, 0.0)


def curve(key):
    """What a run's networks are judged by, worked out from its amplitude and phase."""
    amplitude, phase = tasks.Sinusoids().task(jax.random.split(jax.random.split(key)[0], 3)[0])
    return float(amplitude) * np.sin(np.linspace(-3.5, 3.5, 100)[AT] + float(phase))


CURVES = np.array([curve(key) for key in jax.random.split(jax.random.key(0), 100)])


def test_who_says_nothing_explains_less_than_the_mean():
    """Below 0 by the mean's square over the variance."""
    nothing = jax.tree.map(jnp.zeros_like, SILENT.prior(jax.random.key(0)))
    found = solutions.drawn(RECIPE, Learned(SILENT, None, nothing))
    np.testing.assert_allclose(found["x"], np.linspace(-3.5, 3.5, 100)[AT], atol=0.01)
    np.testing.assert_allclose(found["explained"], -(CURVES.mean(axis=0) ** 2) / CURVES.var(axis=0), rtol=0.01, atol=0.01)
    np.testing.assert_allclose(found["targets"], CURVES[:3], rtol=0.01, atol=1e-4)
    assert min(found["explained"]) < -1 and not np.any(found["answers"])


def test_explained_is_what_is_left_of_the_loss():
    """With as much at all places as the mean over tasks has it, `1 - 2 x loss / variance` is the share on average."""
    learned = Learned(baselines.adam(RECIPE.protocol.graph, 0.05))
    found, key = solutions.drawn(RECIPE, learned), jax.random.key(0)
    runs = evaluate.sinusoid_runs(learned.network, None, RECIPE.task, key)
    missed = (1 - np.array(found["explained"])) * CURVES.var(axis=0)
    assert missed.mean() / 2 == pytest.approx(float(runs.eval_loss[:, -1].mean()), rel=0.1)
    np.testing.assert_allclose(found["answers"], runs.predictions[:3, -1, AT, 0], rtol=0.01, atol=1e-4)
