"""What counts as a change of code, and what does not."""

import ast

import pytest

from canonical import canonical, cell_code, digest


def test_the_fingerprint_is_the_same_on_every_python():
    source = 'def f(x, *, y=None, **z) -> "T":\n    """Doc."""\n    return f"{x!r:>{y}}{z=}" "-" f"{x:{y}.{y}}" + "é"[::2]'
    expected = "c3eb00a8ffab72e3b589fb023397a91defc6e9bf394a718553847e69d9092d47"
    assert digest(canonical(ast.parse(source).body)) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [("x", "x;"), ("'shown'", "'shown too'"), ("x = 1", "x = 2"), ("x = 'a'", "x = b'a'"), ("f(1)", "f(1, None)"), ("%time x", "%time y")],
)
def test_what_a_cell_does_is_told_apart(one, other):
    assert cell_code(one) != cell_code(other)


@pytest.mark.parametrize(("one", "other"), [("x=1", "x = 1  # one"), ("def f():\n  'a'\n  return 1", "def f():\n    return (1)")])
def test_how_a_cell_is_written_is_not(one, other):
    assert cell_code(one) == cell_code(other)
