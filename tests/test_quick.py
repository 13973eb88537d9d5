"""The switch for short loops."""

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
