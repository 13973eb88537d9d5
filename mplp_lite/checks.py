"""Named choices, and one way each to refuse a name that is not known, a size that cannot be, a thing of another kind."""

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

AGGREGATORS = {"mean": jnp.mean, "sum": jnp.sum}
ACTIVATIONS = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "step": lambda x: (x > 0).astype(x.dtype),
}
INFINITY = float("inf")
FLOATS = (jnp.float32, jnp.float64)


def shown(value: Any, longest: int = 80) -> str:
    """`value` as it may stand in a sentence: on one line, and not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def check_choice(what: str, given: Any, known: Iterable[str]) -> None:
    """Lets `given` pass if it is among `known`.

    Raises:
        ValueError: if it is not; the sentence names `what` was given and what is known.
    """
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"{what}={shown(given)} is unknown; use one of {list(known)}.")


def check_type(what: str, given: Any, kind: type | tuple[type, ...], wanted: str) -> None:
    """Lets an object of the class `kind` pass.

    Raises:
        TypeError: if it is none; the sentence says what was `wanted`.
    """
    if not isinstance(given, kind):
        raise TypeError(f"{what}={shown(given)} was given; pass {wanted}.")


def check_callable(what: str, given: Any, wanted: str) -> None:
    """Lets functions pass and objects that can be called; a class itself is none.

    Raises:
        TypeError: if it is none; the sentence says what was `wanted`.
    """
    if not callable(given) or isinstance(given, type):
        raise TypeError(f"{what}={shown(given)} was given; pass {wanted}.")


def check_sizes(smallest: int = 1, **sizes: Any) -> None:
    """Lets whole numbers of at least `smallest` pass.

    Raises:
        ValueError: at the first that is none; the sentence names it.
    """
    for what, given in sizes.items():
        if not _is_whole(given, smallest):
            raise ValueError(f"{what}={shown(given)} was given; it must be a whole number of at least {smallest}.")


def check_widths(widths: Any, fewest: int = 0) -> None:
    """Lets a tuple of whole numbers pass, each at least 1, and at least `fewest` of them.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(widths, tuple) or len(widths) < fewest or not all(_is_whole(width, 1) for width in widths):
        raise ValueError(f"widths={shown(widths)} was given; it must be a tuple of whole numbers of at least 1, such as (80, 40).")


def _is_whole(size, smallest):
    return isinstance(size, int) and not isinstance(size, bool) and size >= smallest


def check_number(what: str, value: Any, low: float = -INFINITY, high: float = INFINITY) -> None:
    """Lets a finite number from `low` to `high` pass, and whatever is still being traced.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(value, jax.core.Tracer):
        return
    if not is_number(value):
        raise ValueError(f"{what}={shown(value)} was given; it must be a plain number.")
    if high == INFINITY and not np.isfinite(_plain(value)):
        raise ValueError(f"{what}={value} was given; it must be finite.")
    if not low <= _plain(value) <= high:
        raise ValueError(f"{what}={value} was given; it must lie in [{low}, {high}].")


def check_positive(what: str, value: Any) -> None:
    """Lets a finite number above 0 pass, and whatever is still being traced.

    Raises:
        ValueError: if it is none.
    """
    check_number(what, value)
    if not isinstance(value, jax.core.Tracer) and _plain(value) <= 0:
        raise ValueError(f"{what}={value} was given; it must be above 0.")


def _plain(value):
    """A plain number, also where jax is tracing and an array's comparisons are traced."""
    return float(np.asarray(value))


def is_number(value: Any) -> bool:
    """Whether it is one real number, plain or in an array without axes."""
    kind = getattr(value, "dtype", None)
    if kind is None:
        return isinstance(value, Real) and not isinstance(value, bool)
    return np.shape(value) == () and (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer))


def check_key(key: Any) -> None:
    """Lets one random key pass, as `jax.random.key` makes it, or the older kind.

    Raises:
        TypeError: if it is none, or several.
    """
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    old = dtype == jnp.uint32 and shape in ((2,), (4,))
    if not (new or old):
        given = f"{dtype}{shape}" if dtype is not None else shown(key)
        raise TypeError(f"key={given} was given; pass one random key, such as jax.random.key(0).")


def check_float(what: str, value: Any) -> None:
    """Lets arrays of floats pass that networks compute in.

    Raises:
        TypeError: if it is none; the sentence calls it `what`.
    """
    given = getattr(value, "dtype", type(value).__name__)
    if given not in FLOATS:
        raise TypeError(f"{what} is {given}, but networks compute in float32 or float64; convert it: jax.numpy.asarray(value, float).")


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


def check_one_hot(what: str, labels: Any) -> None:
    """Lets rows pass that are one-hot, and whatever is still being traced.

    Raises:
        ValueError: at the first row that is not.
    """
    if isinstance(labels, jax.core.Tracer) or not np.size(labels):
        return
    labels = np.asarray(labels)
    wrong = ((labels != 0) & (labels != 1)).any(axis=-1) | (labels.sum(axis=-1) != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"The {what} hold {shown(labels[row])} in row {row}; each row must be one-hot: a single 1 among zeros.")


def check_run(xs: Any, ys: Any, finite: bool = True) -> None:
    """Lets the data of an inner run pass: `(steps, b, units)` each, `finite` or not, and as many steps of targets as of inputs.

    Raises:
        ValueError: if not.
        TypeError: if something is no array.
    """
    found = {f"{what}{name}": value for what, data in (("xs", xs), ("ys", ys)) for name, value in _by_name(data)}
    for name, value in found.items():
        if not hasattr(value, "shape"):
            raise TypeError(f"{name} is {type(value).__name__}, but an inner run takes arrays (steps, examples, units); stack its batches.")
        if len(value.shape) != 3:
            raise ValueError(f"{name} has shape {value.shape}, but an inner run takes (steps, examples, units); stack its batches.")
        if finite:
            check_finite(name, value)
    steps = {name: value.shape[0] for name, value in found.items()}
    if len(set(steps.values())) > 1:
        raise ValueError(f"Inputs and targets hold {steps} steps; give each the same number.")


def _by_name(data):
    return [(f" of {name}", value) for name, value in data.items()] if isinstance(data, Mapping) else [("", data)]


def check_clip(clip: Any) -> None:
    """Lets a number above 0 pass, `None`, and whatever is still being traced.

    Raises:
        ValueError: if it is none.
    """
    if clip is None or isinstance(clip, jax.core.Tracer):
        return
    if not is_number(clip) or not _plain(clip) > 0:
        raise ValueError(f"clip={shown(clip)} was given; it must be a number above 0, or None to clip nothing.")


def check_optimizer(optimizer: Any) -> None:
    """Lets optimizers of optax pass.

    Raises:
        TypeError: if it is none.
    """
    check_type("optimizer", optimizer, optax.GradientTransformation, "an optax optimizer, such as optax.adam(1e-3)")


def check_task(task: Any) -> None:
    """Lets objects pass that draw episodes.

    Raises:
        TypeError: if one does not, or is a class.
    """
    if isinstance(task, type) or not callable(getattr(task, "episode", None)):
        raise TypeError(f"task={shown(task)} was given; it must be an object with episode(key), such as tasks.Examples(x, y).")


def check_learner(learner) -> None:
    """Checks the sizes, the numbers and the activation of a learner that has such fields.

    Raises:
        ValueError: if one cannot be.
    """
    check_sizes(message=getattr(learner, "message", 1))
    check_sizes(0, hidden=getattr(learner, "hidden", 0))
    check_widths(getattr(learner, "widths", ()))
    check_choice("activation", getattr(learner, "activation", "relu"), ACTIVATIONS)
    for what in ("first_scale", "gate_bias", "momentum", "deviation"):
        check_number(what, getattr(learner, what, 0.0))
