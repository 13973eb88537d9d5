"""The first cell of every notebook, as Colab would run it: with its own jax, beside a package of any version."""

import subprocess
import sys
from importlib import metadata
from types import ModuleType

import pytest

import notebooks
from helpers import refused

WHEEL = "mplp_lite-9.9.9-py3-none-any.whl"


@pytest.fixture
def asked(monkeypatch):
    """Colab, where nothing is really installed; the list of what pip was asked for."""
    found = []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", lambda command, check: found.append(command[command.index("install") + 1 :]))
    return found


def run(package=WHEEL):
    exec(notebooks.colab_cell("").replace('PACKAGE = ""', f"PACKAGE = {package!r}"), {})


def have(monkeypatch, **versions):
    """Other versions than those that are here."""
    real = list(metadata.distributions())
    fake = [type("Fake", (), {"name": name, "version": version}) for name, version in versions.items()]
    monkeypatch.setattr(metadata, "distributions", lambda: [d for d in real if d.name.lower() not in versions] + fake)


def test_elsewhere_it_does_nothing(monkeypatch):
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setattr(subprocess, "run", None)
    run()


def test_on_colab_it_installs_what_the_reader_names_and_leaves_the_rest_alone(asked):
    run()
    assert asked == [["--quiet", "--no-deps", WHEEL, "mlxtend"]]


def test_without_a_name_it_says_what_to_do(asked):
    with refused(RuntimeError, "PACKAGE is empty; put the address or the uploaded wheel of mplp_lite there"):
        run("")
    assert asked == []


def test_another_version_of_the_package_is_no_obstacle(asked, monkeypatch):
    have(monkeypatch, **{"mplp-lite": "9.9.9", "jax": "1.2.3", "flax": "0.99.0.dev1"})
    run()


@pytest.mark.parametrize("name, old", [("jax", "0.4.30"), ("flax", "0.8.0"), ("optax", "0.1.0")])
def test_what_is_too_old_is_named(asked, monkeypatch, name, old):
    have(monkeypatch, **{name: old})
    with refused(RuntimeError, rf"mplp_lite needs {name}>=[\d.]+; install that with %pip, restart the session"):
        run()


def test_the_projects_address_goes_into_the_cell(asked):
    exec(notebooks.colab_cell("https://example.org/book"), {})
    assert asked == [["--quiet", "--no-deps", "git+https://example.org/book", "mlxtend"]]
