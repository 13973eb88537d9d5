"""The switch for short loops."""

import importlib

import jax
import pytest

from helpers import refused
from mplp_lite import quick


@pytest.mark.parametrize("switch, expected", [(None, 600), ("", 600), ("0", 600), ("1", 50)])
def test_steps_are_short_where_the_switch_says_so(monkeypatch, switch, expected):
    monkeypatch.delenv("MPLP_QUICK", raising=False)
    if switch is not None:
        monkeypatch.setenv("MPLP_QUICK", switch)
    assert quick.steps(600, 50) == expected


def test_another_switch_is_refused(monkeypatch):
    monkeypatch.setenv("MPLP_QUICK", "yes")
    with refused(ValueError, "MPLP_QUICK='yes' is set; use 1 for short loops or 0 for full ones"):
        quick.steps(600, 50)


@pytest.mark.parametrize("switch, expected", [("0", []), ("1", [("jax_disable_most_optimizations", True)])])
def test_only_quick_programs_are_not_optimised(monkeypatch, switch, expected):
    settings = []
    monkeypatch.setenv("MPLP_QUICK", switch)
    monkeypatch.setattr(jax.config, "update", lambda *setting: settings.append(setting), raising=True)
    importlib.reload(quick)
    assert settings == expected
