"""Named choices, and one way each to refuse a name that is not known and a size that cannot be."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

AGGREGATORS = {"mean": jnp.mean, "sum": jnp.sum}
ACTIVATIONS = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "step": lambda x: (x > 0).astype(x.dtype),
}


def check_choice(what: str, given: Any, known: Iterable[str]) -> None:
    """Lets `given` pass if it is among `known`.

    Raises:
        ValueError: if it is not; the sentence names `what` was given and what is known.
    """
    if given not in known:
        raise ValueError(f"{what}={given!r} is unknown; use one of {list(known)}.")


def check_sizes(smallest: int = 1, **sizes: Any) -> None:
    """Lets whole numbers of at least `smallest` pass, and tuples of them.

    Raises:
        ValueError: at the first that is none; the sentence names it.
    """
    for what, given in sizes.items():
        each = given if isinstance(given, tuple) else (given,)
        if any(not isinstance(size, int) or isinstance(size, bool) or size < smallest for size in each):
            raise ValueError(f"{what}={given!r} was given; it must be a whole number of at least {smallest}, or a tuple of such.")


def check_learner(learner) -> None:
    """Checks the sizes and the activation of a learner that has such fields.

    Raises:
        ValueError: if one cannot be.
    """
    check_sizes(**{name: getattr(learner, name) for name in ("message", "widths") if hasattr(learner, name)})
    check_sizes(0, hidden=getattr(learner, "hidden", 0))
    check_choice("activation", getattr(learner, "activation", "relu"), ACTIVATIONS)
