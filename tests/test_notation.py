"""The notation page: every name on it exists, and every equation number is the one that the docstring gives."""

import dataclasses
import inspect
import pydoc
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "book/notation.md").read_text(encoding="utf8")
AXES = set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE))
SPANS = sorted(set(re.findall(r"`([^`]+)`", re.sub(r"\{\w+\}`[^`]+`", "", PAGE))))  # roles such as {doc}`page` aside
EQUATIONS = re.findall(r"^\| ([\d-]+) \| .* \| `([\w.]+)` \|$", PAGE, re.MULTILINE)


def is_shape(text):
    """Whether `text` is an axis letter, or several between parentheses."""
    inside = re.fullmatch(r"\((.+?),?\)", text)
    letters = inside[1].split(", ") if inside else [text]
    return all(letter.removeprefix("*") in AXES for letter in letters)


def exists(name):
    """Whether `name`, given from the package or from inside it, leads to something: module, class, function, field."""
    name = "mplp_lite" + f".{name}".removeprefix(".mplp_lite")
    owner, _, last = name.rpartition(".")
    place = pydoc.locate(owner)
    fields = [field.name for field in dataclasses.fields(place)] if dataclasses.is_dataclass(place) else []
    return last in fields or pydoc.locate(name) is not None


@pytest.mark.parametrize("text", SPANS)
def test_every_name_exists(text):
    assert is_shape(text) or exists(text)


@pytest.mark.parametrize("text", ["nodes.Synapse", "GRU.advances", "Rules", "mplp_lite.nothing", "(b, q)", "q", "State.parameter"])
def test_a_name_that_does_not_exist_is_seen(text):
    assert not is_shape(text) and not exists(text)


@pytest.mark.parametrize(("number", "name"), EQUATIONS)
def test_equations_are_where_the_docstrings_say(number, name):
    assert f"eq. {number}" in inspect.getdoc(pydoc.locate(f"mplp_lite.{name}"))


def test_the_page_was_read():
    assert {"b", "i", "j", "u", "m", "c", "outer", "steps"} <= AXES
    assert len(SPANS) > 60 and len(EQUATIONS) == 10
