"""One field of a recipe at a time: reading it from the command line, refusing what cannot be."""

import ast
from typing import Any


class RecipeError(ValueError):
    """A recipe, or a field of one, that does not exist or cannot be."""


_EXAMPLES = {int: "20", float: "0.001", tuple: "1,20,20,1"}


def check_field(recipe: Any, field: str, holds: bool, wanted: str) -> None:
    """Refuses the value of a field that does not hold.

    Raises:
        RecipeError: saying what was given and what is wanted.
    """
    if not holds:
        raise RecipeError(f"{field}={getattr(recipe, field)!r} was given; it must be {wanted}.")


def read_value(name: str, text: str, kind: type) -> Any:
    """The value of type `kind` that was written as `text`.

    Raises:
        RecipeError: if it is none.
    """
    if kind is str:
        return text
    try:
        value = ast.literal_eval(text)
        value = float(value) if kind is float and type(value) is int else value
    except (ValueError, SyntaxError):
        value = None
    if type(value) is not kind or (kind is tuple and not all(type(width) is int for width in value)):
        raise RecipeError(f"{name}={text} was given; {name} takes a value like {_EXAMPLES[kind]}.")
    return value
