"""What counts as a change of code, and what does not."""

import ast

import pytest

from canonical import canonical, cell_code, digest, package_code


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


MODULES = {
    "__init__": "from .near import a\n",
    "near": "def a():\n    from . import far\n    return far\n",
    "far": "import json, mplp_lite.further\n",
    "further": "",
    "alone": "from . import near\n",
    "sub/__init__": "",
    "sub/one": "from . import two\n",
    "sub/two": "from ..alone import near\nfrom .. import far\nfrom .deep.three import x\n",
    "sub/four": "",
    "sub/deep/__init__": "from ... import further\n",
    "sub/deep/three": "from ...far import a\nfrom ..four import b\n",
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "mplp_lite" / "__pycache__").mkdir(parents=True)
    for name, text in MODULES.items():
        path = tmp_path / "mplp_lite" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "mplp_lite" / "__pycache__" / "a.pyc").write_bytes(b"")
    (tmp_path / "mplp_lite" / "rule.npz").write_bytes(b"1")
    return tmp_path


@pytest.mark.parametrize(
    ("cells", "modules"),
    [
        (["import jax"], ""),
        (["import jax", "import mplp_lite as mplp"], "__init__ near far further"),
        (["from mplp_lite.near import a"], "__init__ near far further"),
        (["from mplp_lite import alone"], "__init__ near far further alone"),
        (["import mplp_lite.sub"], "__init__ near far further sub/__init__"),
        (["from mplp_lite.sub import deep"], "__init__ near far further sub/__init__ sub/deep/__init__"),
        (["from mplp_lite.sub import one"], " ".join(MODULES)),
        (["%time x"], " ".join(MODULES)),
    ],
    ids=["nothing", "package", "module", "loner", "folder", "folder in a folder", "a folder's module", "magic"],
)
def test_cells_answer_for_the_modules_they_reach_and_for_all_other_files(root, cells, modules):
    assert set(package_code(root, cells)) == {"mplp_lite/rule.npz", *(f"mplp_lite/{name}.py" for name in modules.split())}


@pytest.mark.parametrize(
    ("cell", "counts"),
    [("rule = 1", False), ("load_pretrained('rule')", True), ("load_pretrained('rule-2')", False), ("changed(['first=rule'])", True)],
    ids=["never loaded", "loaded", "another loaded", "begun with"],
)
def test_cells_answer_for_shipped_rules_that_they_speak_of(root, cell, counts):
    shipped = root / "mplp_lite" / "pretrained" / "rule.npz"
    shipped.parent.mkdir()
    shipped.write_bytes(b"weights")
    assert ("mplp_lite/pretrained/rule.npz" in package_code(root, [cell])) == counts
