"""Everything public is documented, examples in docstrings run, and the package stays small and light."""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mplp_lite
from canonical import files_of, imports

PACKAGE = Path(mplp_lite.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
INSIDE_OUT = (
    (  # the protocol
        *("checks", "nodes", "losses", "arrows", "wiring", "graph", "network", "standardize", "blocks", "learners", "factored"),
        *("descent", "gradients", "rule", "fit", "watch", "adoption", "protocol"),
    ),
    # what trains and judges it
    (
        *("baselines", "data", "describe", "episodes", "evaluate", "half_trained", "meaning", "meta", "meta_descent"),
        *("notebook", "tasks", "views", "weights"),
    ),
    ("authors", "draw", "run"),  # a folder each
    ("early", "__init__", "__main__"),
)
HEAVY = {"matplotlib", "mlxtend", "pandas", "sklearn", "tensorflow", "tensorflow_datasets"}

modules = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def public(node, prefix=""):
    """All public functions, classes and methods below `node`, with their dotted names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and (not child.name.startswith("_") or child.name == "__call__"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{prefix}{child.name}.")


@modules
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert [name for name, node in public(tree) if not ast.get_docstring(node)] == []


def test_every_exported_name_is_there_once_and_documented():
    assert len(set(mplp_lite.__all__)) == len(mplp_lite.__all__)
    assert [name for name in mplp_lite.__all__ if not inspect.getdoc(getattr(mplp_lite, name))] == []


def fields_of(node):
    """Annotated fields of a class, class variables and private ones aside."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement.annotation):
            if not statement.target.id.startswith("_"):
                yield statement.target.id


@modules
def test_every_field_is_described_under_attributes(path):
    """A class that documents attributes at all documents every one of its own."""
    missing = []
    for name, node in public(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            described = (ast.get_docstring(node) or "").partition("Attributes:")[2]
            missing += [f"{name}.{field}" for field in fields_of(node) if f"\n    {field}: " not in described]
    assert missing == []


@modules
def test_every_argument_described_exists(path):
    """What stands under `Args:` are arguments, in their order."""
    for name, node in public(ast.parse(path.read_text())):
        described = (ast.get_docstring(node) or "").partition("Args:\n")[2].split("\n\n")[0]
        found = re.findall(r"^    (\w+):", described, re.MULTILINE)
        if isinstance(node, ast.FunctionDef) and found:
            a = node.args
            arguments = [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg]
            assert found == [argument.arg for argument in arguments if argument and argument.arg != "self"], name


@modules
def test_examples_in_docstrings_run(path):
    if path.stem != "__main__":
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        assert doctest.testmod(importlib.import_module(name.removesuffix(".__init__"))).failed == 0


def place(path):
    """`(ring, position)` of a module of the package: what stands further in has a smaller one; a folder is one place."""
    name = path.relative_to(PACKAGE).with_suffix("").parts[0]
    ring = next(number for number, names in enumerate(INSIDE_OUT) if name in names)
    return ring, INSIDE_OUT[ring].index(name)


@modules
def test_imports_lead_from_outside_to_the_core(path):
    """The protocol's modules import only what stands before them; a further ring all that lies inside it, and its own."""
    package = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    files = {file for name in imports(path.read_text(), package) for file in files_of(PACKAGE.parent, name)}
    ring, position = place(path)
    used = {file: place(file) for file in files - {path, PACKAGE / "__init__.py"}}
    assert [file.stem for file, (its_ring, _) in used.items() if its_ring > ring] == []
    assert [file.stem for file, its_place in used.items() if ring == 0 and its_place > (ring, position)] == []


def test_importing_the_package_is_light():
    code = "import sys, mplp_lite; print(*sys.modules, sep='\\n')"
    code += "; from jax._src import xla_bridge; assert not xla_bridge.backends_are_initialized()"  # or it could join no other host
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert "mplp_lite.protocol" in loaded
    assert loaded & HEAVY == set()
