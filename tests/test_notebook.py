"""How notebooks start, and the switch for short loops."""

import sys
from types import SimpleNamespace

import jax
import pytest

import mplp_lite
from helpers import refused
from mplp_lite import notebook


@pytest.mark.parametrize("switch, expected", [(None, 600), ("", 600), ("0", 600), ("1", 50)])
def test_steps_are_short_where_the_switch_says_so(monkeypatch, switch, expected):
    monkeypatch.delenv("MPLP_QUICK", raising=False)
    if switch is not None:
        monkeypatch.setenv("MPLP_QUICK", switch)
    assert notebook.steps(600, 50) == expected


def test_another_switch_is_refused(monkeypatch):
    monkeypatch.setenv("MPLP_QUICK", "yes")
    with refused(ValueError, "MPLP_QUICK='yes' is set; use 1 for short loops or 0 for full ones"):
        notebook.steps(600, 50)


def test_a_notebook_says_what_it_runs_on_and_multiplies_in_full_precision(monkeypatch, capsys):
    monkeypatch.setenv("MPLP_QUICK", "1")
    before = jax.config.jax_default_matmul_precision
    try:
        notebook.set_up()
        assert jax.config.jax_default_matmul_precision == "highest"
    finally:
        jax.config.update("jax_default_matmul_precision", before)
    told = capsys.readouterr().out
    assert told.startswith(f"mplp_lite {mplp_lite.__version__}, jax {jax.__version__}, on cpu, ") and told.endswith("quick mode\n")


def test_figures_are_drawn_for_dense_screens_where_there_is_a_shell(monkeypatch):
    asked = []
    shell = SimpleNamespace(run_line_magic=lambda *line: asked.append(line))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    notebook.set_up()
    assert asked == [("config", "InlineBackend.figure_formats = ['retina']")]
