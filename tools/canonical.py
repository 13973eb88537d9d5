"""What code does, as text: the same on every Python, and blind to comments, docstrings and layout.

The notebooks' fingerprints are made of this, so an edit that cannot change an output does not make one stale.
"""

import ast
import hashlib
import json
import re
from pathlib import Path

PACKAGE = "mplp_lite"
VERSION_DEPENDENT = {"type_params", "type_ignores", "type_comment", "kind"}


def digest(content) -> str:
    """The sha256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_docstring(node) -> bool:
    """Is this statement a bare string?"""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def canonical(node) -> str:
    """The text of a syntax tree without positions, comments, docstrings and what differs between Python versions."""
    if isinstance(node, list):
        return "[" + ",".join(canonical(item) for item in node if not is_docstring(item)) + "]"
    if isinstance(node, ast.Constant):
        return ascii(node.value)
    if not isinstance(node, ast.AST):
        return ascii(node)
    if isinstance(node, ast.JoinedStr):  # Python 3.12 adds empty pieces to some f-strings
        node = ast.JoinedStr([piece for piece in node.values if canonical(piece) != "''"])
    fields = [(name, value) for name, value in ast.iter_fields(node) if name not in VERSION_DEPENDENT]
    return type(node).__name__ + "(" + ",".join(f"{k}={canonical(v)}" for k, v in fields if v not in (None, [])) + ")"


def cell_code(source: str) -> str:
    """What a cell does: its statements, then again the last one, even a bare string, and its semicolon: they decide what is shown."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # an IPython magic
        return source
    return canonical(body) + "".join(map(canonical, body[-1:])) + ";" * source.rstrip().endswith(";")


def file_code(path: Path) -> str:
    """What a package file does: a module its statements, any other file (weights, cards) its bytes."""
    if path.suffix == ".py":
        return canonical(ast.parse(path.read_text(encoding="utf8")).body)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imports(source: str, package: str = PACKAGE) -> set[str]:
    """Dotted names that some code may import; relative ones are looked up from `package`, where the code lives."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.partition(".")[0] == PACKAGE}


def files_of(root: Path, name: str) -> set[Path]:
    """The files that importing a dotted name runs: its module, and the `__init__` of every package on the way."""
    parts = name.split(".")
    packages = {root.joinpath(*parts[: k + 1], "__init__.py") for k in range(len(parts))}
    return {path for path in (*packages, root.joinpath(*parts).with_suffix(".py")) if path.exists()}


def reached(root: Path, cells: list[str]) -> set[Path]:
    """The package's modules that these cells import, and what those import in turn."""
    found, waiting = set(), [(cell, PACKAGE) for cell in cells]
    while waiting:
        new = {path for name in imports(*waiting.pop()) for path in files_of(root, name)} - found
        found |= new
        waiting += [(path.read_text(encoding="utf8"), ".".join(path.parent.relative_to(root).parts)) for path in new]
    return found


def package_code(root: Path, cells: list[str]) -> dict[str, str]:
    """What the package does for these cells: its modules that they reach, all where a cell is no plain Python, and its other files.

    Shipped rules count only where cells load some, as `pretrained` or as a recipe's `first`, and name them.
    """
    paths = {path for path in (root / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts and path.name[0] != "."}
    modules = {path for path in paths if path.suffix == ".py"}
    try:
        needed = reached(root, cells)
    except SyntaxError:  # an IPython magic
        needed = modules
    rules = {path for path in paths - modules if path.parent.name == "pretrained"}
    loads = any(word in cell for cell in cells for word in ("pretrained", "first="))
    named = {word for cell in cells if loads for word in re.findall(r"[\w-]+", cell)}
    unused = {path for path in rules if path.name.partition(".")[0] not in named}
    return {path.relative_to(root).as_posix(): file_code(path) for path in paths - modules - unused | needed}
