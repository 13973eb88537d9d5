"""environment.yml and pyproject.toml ask for the same packages."""

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def conda_dependencies():
    """The plain and the pip part of environment.yml."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return [d for d in dependencies if isinstance(d, str)], next(d["pip"] for d in dependencies if isinstance(d, dict))


def test_pip_part_equals_pyproject():
    _, pip = conda_dependencies()
    asked = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
    assert "-e ." in pip
    assert {Requirement(line) for line in pip if line != "-e ."} == {Requirement(line) for line in asked}


def test_python_is_the_same():
    plain, _ = conda_dependencies()
    assert "python" + PROJECT["requires-python"] in plain


def test_core_is_light():
    assert {Requirement(line).name for line in PROJECT["dependencies"]} == {"jax", "jaxlib", "flax", "optax", "numpy", "scipy", "tqdm"}


def test_the_projects_stack_is_named():
    """Each by itself, not as something that another one brings."""
    stack = {"jax", "jaxlib", "flax", "optax", "numpy", "matplotlib", "jupytext", "nbval", "tensorflow-datasets"}
    asked = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
    assert stack <= {Requirement(line).name for line in asked}
    assert stack <= {Requirement(line).name for line in conda_dependencies()[1] if line != "-e ."}
