"""What a protocol, a task or an optimizer is, as plain data: to be put on a card, and to be compared with another one."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

PLAIN = (bool, int, float, str, type(None))


def describe(thing: Any) -> Any:
    """`thing` as JSON can hold it; equal for things that are made alike, in this process or another.

    Dataclasses are told by their fields, arrays by shape, dtype and content, functions by their name and by what they were closed over,
    so that `optax.adam(1e-3)` and `optax.adam(1e-4)` differ. What it does not know is told by its type alone.
    """
    return _describe(thing, ())


def _describe(thing, inside):
    if isinstance(thing, PLAIN):
        return thing
    if any(thing is outer for outer in inside):
        return "itself"
    inside = (*inside, thing)
    if isinstance(thing, np.generic | np.ndarray | jax.Array):
        return _array(thing)
    if isinstance(thing, Mapping):
        return {str(key): _describe(value, inside) for key, value in thing.items()}
    if is_dataclass(thing) and not isinstance(thing, type):
        return {"type": type(thing).__name__} | {name: _describe(getattr(thing, name), inside) for name in _fields(thing)}
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return {"type": type(thing).__name__} | {name: _describe(value, inside) for name, value in thing._asdict().items()}
    if isinstance(thing, tuple | list | set | frozenset):
        return [_describe(value, inside) for value in thing]
    return _function(thing, inside) if isinstance(thing, Callable) else {"type": type(thing).__name__}


def _fields(thing):
    """Fields that say what a dataclass is; of flax's modules, not where they hang."""
    return [field.name for field in fields(thing) if field.repr and field.name not in ("parent", "name") or not hasattr(thing, "scope")]


def _array(values):
    values = np.asarray(values)
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
    return f"{values.dtype}{values.shape} sha256 {digest}"


def _function(thing, inside):
    if isinstance(thing, partial):
        return {name: _describe(getattr(thing, name), inside) for name in ("func", "args", "keywords")}
    if hasattr(thing, "__wrapped__"):
        return _describe(thing.__wrapped__, inside)
    told = {"function": getattr(thing, "__qualname__", type(thing).__name__)}
    if is_dataclass(getattr(thing, "__self__", None)):
        told["of"] = _describe(thing.__self__, inside)
    if hasattr(thing, "__code__"):
        told |= _own_code(thing)
        cells = {name: cell.cell_contents for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or ()) if _is_filled(cell)}
        told |= {"closed over": _describe(cells, inside)} if cells else {}
    return told


def _own_code(function):
    """A digest of what a reader wrote into a notebook or a lambda, whose name says little."""
    code = function.__code__
    if function.__module__ != "__main__" and code.co_name != "<lambda>":
        return {}
    constants = [value for value in code.co_consts if isinstance(value, PLAIN)]
    return {"code": hashlib.sha256(code.co_code + repr((constants, code.co_names)).encode()).hexdigest()[:16]}


def _is_filled(cell):
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def settings(told: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """What `describe` told, setting by setting: dotted names and values; what is `recipe` or `experiment` goes without saying."""
    for key, value in told.items() if isinstance(told, Mapping) else enumerate(told):
        if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value)):
            yield from settings(value, f"{inside}{key}." if inside or key not in ("recipe", "experiment") else "")
        else:
            yield f"{inside}{key}", value
