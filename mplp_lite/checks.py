"""Named choices, and one way each to refuse a name that is not known and a size that cannot be."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


def check_key(key: Any) -> None:
    """Lets one random key pass, as `jax.random.key` makes it, or the older kind.

    Raises:
        TypeError: if it is none, or several.
    """
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    old = dtype == jnp.uint32 and shape is not None and len(shape) == 1
    if not (new or old):
        given = f"{dtype}{shape}" if dtype is not None else repr(key)
        raise TypeError(f"key={given} was given; pass one random key, such as jax.random.key(0).")


def check_dtype(what: str, value: Any, wanted: Any) -> None:
    """Lets arrays of the dtype `wanted` pass.

    Raises:
        TypeError: if it is none; the sentence calls it `what`.
    """
    given = getattr(value, "dtype", type(value).__name__)
    if given != wanted:
        raise TypeError(f"{what} is {given}, but this network computes in {wanted}; convert it: jax.numpy.asarray({what}, {wanted}).")


def check_finite(what: str, value: Any) -> None:
    """Lets finite numbers pass, and whatever is still being traced: numbers are looked at where they enter, not inside of jit.

    Raises:
        ValueError: if one is nan or infinite.
    """
    if isinstance(value, jax.core.Tracer):
        return
    wrong = ~np.isfinite(np.asarray(value))
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(f"{np.asarray(value)[place]} was given in {what}, at {place}; only finite numbers can be computed with.")


def check_learner(learner) -> None:
    """Checks the sizes and the activation of a learner that has such fields.

    Raises:
        ValueError: if one cannot be.
    """
    check_sizes(**{name: getattr(learner, name) for name in ("message", "widths") if hasattr(learner, name)})
    check_sizes(0, hidden=getattr(learner, "hidden", 0))
    check_choice("activation", getattr(learner, "activation", "relu"), ACTIVATIONS)
