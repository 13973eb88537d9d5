"""Several processes that meta-train together, on one machine or many (`jax.distributed`). The first one keeps the files."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from .. import weights
from .errors import RunError

ERRORS = {kind.__name__: kind for kind in (RunError, weights.WeightsError, FileNotFoundError, ModuleNotFoundError, ValueError, TypeError)}


class HostLost(RunError):
    """The hosts cannot go on together: one of them is gone."""


def connect(coordinator: str | None = None, hosts: int | None = None, host: int | None = None) -> None:
    """Makes this process one of several; before anything is computed.

    Args:
        coordinator: `ADDRESS:PORT` where the first process listens.
        hosts: how many processes there are.
        host: which of them this is, from 0. All three may be left out where jax finds them itself: on TPU slices, under Slurm.

    Raises:
        RunError: if something was left out that jax does not find, or the others cannot be reached.
    """
    try:
        jax.distributed.initialize(coordinator, hosts, host)
    except (ValueError, RuntimeError) as error:
        problem = str(error).partition("\n")[0]
        raise RunError(f"The hosts do not find each other ({problem}); give --hosts N --host I --coordinator ADDRESS:PORT.") from error


@contextmanager
def together() -> Iterator[None]:
    """For what several hosts do: the error that jax raises where one of them is gone becomes a `HostLost`."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        problem = str(error).partition("\n")[0]
        told = f"The hosts cannot go on together ({problem})."
        raise HostLost(f"{told} What was saved is safe; start all of them again with the same commands.") from error


def leave(code: int) -> None:
    """Ends this process at once: on the usual way out jax would wait for the host that is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def leads() -> bool:
    """Is this the first process, which reads and writes the files? A process alone is."""
    return jax.process_index() == 0


def from_first(make: Callable[[], tuple[Any, Any]], template: Any = None) -> tuple[Any, Any]:
    """What `make()` gives on the first process, on all of them; what it raises there is raised on all of them.

    What travels are arrays and JSON, nothing that could run code where it arrives.

    Args:
        make: gives a pytree like `template`, or `None`, and anything that JSON can hold.
        template: shapes and dtypes of that pytree.
    """
    if jax.process_count() == 1:
        return make()
    if leads():
        tree, about, error = _attempt(make)
        arrays = {} if tree is None else weights.named_leaves(tree)
        sent = {"tree": tree is not None, "about": about, "error": error and [_known(error), str(error)]}
        _broadcast(weights.pack({**arrays, "": np.asarray(json.dumps(sent))}))
        if error is not None:
            raise error
        return tree, about
    arrays = weights.unpack(_broadcast(b""), "What the first host sent")
    told = json.loads(str(arrays.pop("")))
    if told["error"]:
        kind, problem = told["error"]
        raise ERRORS[kind](problem)
    return weights.from_named(template, arrays) if told["tree"] else None, told["about"]


def _attempt(make):
    try:
        tree, about = make()
        return jax.device_get(tree), about, None
    except Exception as error:
        return None, None, error


def _known(error):
    """The name of the nearest kind of error that other hosts know."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS), "RunError")


def _broadcast(content):
    """Bytes of the first process; whole numbers, because a sum of floats would lose the sign of -0."""
    size = int(multihost_utils.broadcast_one_to_all(np.asarray(len(content))))
    padded = np.frombuffer(content.ljust(size, b"\0"), np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded), np.uint8).tobytes()


def anywhere(flag: bool) -> bool:
    """Is the flag up on any process?"""
    return flag if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.asarray(flag)).any())
