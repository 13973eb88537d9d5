"""The README's snippets run as they stand."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from helpers import wide

SNIPPETS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("bits", [32, pytest.param(64, marks=pytest.mark.slow)])
def test_the_snippets_run_one_after_the_other(tmp_path, monkeypatch, capsys, bits):
    """The last one trains; here for two meta-steps, on a table of noise. With `JAX_ENABLE_X64=1`, too."""
    monkeypatch.chdir(tmp_path)
    with wide(bits == 64):
        run_snippets()
    assert (tmp_path / "runs/mine/rule.npz").exists()
    assert "[" in capsys.readouterr().out


def run_snippets():
    key = jax.random.key(0)
    x, y = jax.random.normal(key, (120, 13)), jax.nn.one_hot(jnp.arange(120) % 3, 3)
    names = {"x_train": x, "y_train": y, "x_test": x[:20], "y_test": y[:20]}
    assert "steps=1000" in SNIPPETS[-1]
    for snippet in (*SNIPPETS[:-1], SNIPPETS[-1].replace("steps=1000", "steps=2")):
        exec(snippet, names)
    assert names["trained"].card["metric"]["name"] == "accuracy after 5 steps"
