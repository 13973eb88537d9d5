"""Operations: what a node computes on the way forward, and what it stores for the way back (section 3.1).

Axis letters used in all docstrings: `b` batch slot, `i` input unit, `j` output unit, `u` unit of a unit-wise
operation, `m` message channel, `c` carry channel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .checks import ACTIVATIONS, AGGREGATORS, check_choice, check_key, check_number, shown


class Fired(NamedTuple):
    """What firing an operation gives.

    Attributes:
        output: `(b, units)`, sent forward.
        stored: arrays `(b, units)` that the node's learner reads on the way back, beside message and parameter.
    """

    output: Array
    stored: tuple[Array, ...]


@dataclass(frozen=True)
class Operation:
    """`units` identical operations side by side, one node of the graph; subclass it to write your own.

    Attributes:
        units: how many there are, `>= 1`.
        arity: how many inputs each takes (of the class).
        learns: whether a learner speaks for it (of the class).

    Raises:
        ValueError: if `units` is no positive whole number.
    """

    units: int
    arity: ClassVar[int] = 1
    learns: ClassVar[bool] = True
    incidental: ClassVar[frozenset[str]] = frozenset({"units"})
    """Fields that the meaning of a rule does not depend on: those that may differ between networks that use the same rule."""
    distribution: ClassVar[bool] = False
    """Whether the outputs of one example are a distribution over the units, as cross-entropy needs them."""

    def __post_init__(self):
        sizes = [getattr(self, name) for name in ("inputs", "units") if hasattr(self, name)]
        if any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in sizes):
            raise ValueError(f"{type(self).__name__} was given sizes {sizes}; each must be a whole number of at least 1.")

    @property
    def kind(self) -> str:
        """What nodes of the same kind, and only they, may share a learner by: the name of the class, `"weight"`."""
        return type(self).__name__.lower()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the bundle: for each of its entries the learner thinks once, and most keep one carry per batch slot."""
        return (self.units,)

    @property
    def incoming(self) -> int:
        """Width of each input."""
        return self.units

    @property
    def parameter_shape(self) -> tuple[int, ...] | None:
        """Shape of what the node learns, `None` where there is nothing to learn; another than `shape` where entries share numbers."""
        return None

    def initial(self, key: Array) -> Array:
        """A fresh parameter of shape `parameter_shape`, drawn with `key`."""
        if self.parameter_shape is None:
            raise NotImplementedError(f"{type(self).__name__} has no parameter to draw.")
        raise NotImplementedError(f"{type(self).__name__} must say how a fresh parameter is drawn: define initial().")

    def forward(self, parameter: Array | None, *inputs: Array) -> Fired:
        """Fires the operation on `inputs`, each `(b, units)`."""
        raise NotImplementedError(f"{type(self).__name__} must say what it computes: define forward().")

    def read(self, message: Array, parameter: Array | None, stored: tuple[Array, ...]) -> tuple[Array, ...]:
        """What the learner reads: `message (b, u, m)`, the parameter, then all that was stored.

        Returns arrays that broadcast to `(b, *shape, channels)`; nothing is replicated in memory.

        Raises:
            NotImplementedError: if the parameter has other axes than `shape`, so that nobody can know which entry has which number.
        """
        own = () if parameter is None else (parameter[None, ..., None],)
        if parameter is not None and not _spreads(parameter.shape, self.shape):
            have = f"{type(self).__name__} has entries of shape {self.shape} and a parameter of shape {parameter.shape}"
            raise NotImplementedError(f"{have}, so it must say which entry reads what: define read().")
        return (message, *own, *(value[..., None] for value in stored))

    def collect(self, messages: Array) -> Array:
        """Turns one message per entry, `(b, *shape, m)`, into one per input unit, `(b, units, m)`."""
        return messages

    def pool(self, updates: Array) -> Array:
        """Turns one update per entry, `(*shape)`, into one per number of the parameter, `parameter_shape`.

        Entries that share a number pool their updates: add them up, as derivatives do, or take their mean.

        Raises:
            NotImplementedError: if the two shapes differ.
        """
        if self.parameter_shape != self.shape:
            have = f"{type(self).__name__} has entries of shape {self.shape} and a parameter of shape {self.parameter_shape}"
            raise NotImplementedError(f"{have}, so it must say how updates become one: define pool(), a sum or a mean.")
        return updates

    def answer(self, message: Array, slot: int) -> Array:
        """The part of the collected `message` that goes back along input number `slot`."""
        return message


def _spreads(parameter_shape, shape):
    """Whether each entry finds its number by its place: axis by axis as many numbers as entries, or one for all."""
    return len(parameter_shape) == len(shape) and all(n in (1, entries) for n, entries in zip(parameter_shape, shape))


@dataclass(frozen=True)
class Input(Operation):
    """Where data enters the graph. It learns nothing; messages that reach it stay there."""

    learns: ClassVar[bool] = False

    def forward(self, parameter, value):
        """Passes `value (b, units)` on."""
        return Fired(value, ())


@dataclass(frozen=True)
class Target(Input):
    """Where targets enter the graph; `predict` never needs them."""


@dataclass(frozen=True, kw_only=True)
class Weight(Operation):
    """All synapses `y_j = sum_i w_ij x_i` between two layers; every `w_ij` is a node of its own (section 3.1).

    Attributes:
        inputs: number of input units.
        units: number of output units.
        aggregate: how the messages of the synapses of one input unit become one: `"mean"` (eq. 5) or `"sum"`.
        deviation: standard deviation of a fresh weight, `>= 0`.

    Raises:
        ValueError: if a size is no positive whole number, the aggregator is unknown, or the deviation is negative or not finite.
    """

    inputs: int
    units: int
    aggregate: str = "mean"
    deviation: float = 0.05
    incidental = Operation.incidental | {"inputs", "deviation"}

    def __post_init__(self):
        super().__post_init__()
        check_choice("aggregate", self.aggregate, AGGREGATORS)
        check_number("deviation", self.deviation, 0)

    @property
    def incoming(self):
        """`i`."""
        return self.inputs

    @property
    def shape(self):
        """`(i, j)`."""
        return (self.inputs, self.units)

    parameter_shape = shape

    def initial(self, key):
        """`N(0, deviation)` per weight."""
        check_key(key)
        return self.deviation * jax.random.normal(key, self.shape)

    def forward(self, parameter, x):
        """`(b, i), (i, j) -> (b, j)`; stores `x`."""
        return Fired(x @ parameter, (x,))

    def read(self, message, parameter, stored):
        """`(b, 1, j, m)`, `(1, i, j, 1)`, `(b, i, 1, 1)`: each synapse sees its own weight, its input and its output's message."""
        (x,) = stored
        return message[:, None], parameter[None, ..., None], x[:, :, None, None]

    def collect(self, messages):
        """`(b, i, j, m) -> (b, i, m)` (eq. 5)."""
        return AGGREGATORS[self.aggregate](messages, axis=2)


@dataclass(frozen=True)
class Bias(Operation):
    """`y_u = x_u + b_u`, zero at first."""

    @property
    def parameter_shape(self):
        """`(u,)`."""
        return self.shape

    def initial(self, key):
        """Zeros, whatever the key."""
        return jnp.zeros(self.shape)

    def forward(self, parameter, x):
        """`(b, u), (u,) -> (b, u)`; stores `x`."""
        return Fired(x + parameter[None], (x,))


@dataclass(frozen=True)
class Activation(Operation):
    """`y_u = fn(x_u)`.

    Attributes:
        fn: a name from `ACTIVATIONS` or any callable on arrays.

    Raises:
        ValueError: if the name is unknown.
    """

    fn: str | Callable[[Array], Array]

    @property
    def distribution(self):
        """What a function of the reader's own gives, nobody can know."""
        return callable(self.fn)

    def __post_init__(self):
        super().__post_init__()
        known = isinstance(self.fn, str) and self.fn in ACTIVATIONS
        if not known and (not callable(self.fn) or isinstance(self.fn, type)):
            raise ValueError(f"Activation {shown(self.fn)} is unknown; use one of {sorted(ACTIVATIONS)} or pass a function.")

    def forward(self, parameter, x):
        """`(b, u) -> (b, u)`; stores `x`. A ValueError if a function of the reader's own gives another shape or dtype."""
        output = (ACTIVATIONS[self.fn] if isinstance(self.fn, str) else self.fn)(x)
        given, wanted = (f"{jnp.result_type(value)}{value.shape}" if hasattr(value, "shape") else value for value in (output, x))
        if given != wanted:
            raise ValueError(f"Activation {shown(self.fn)} made {given} of {wanted}; it must give one number per unit, of the same dtype.")
        return Fired(output, (x,))


@dataclass(frozen=True)
class Steep:
    """An activation function whose input is multiplied first: a steep sigmoid is nearly a step, and still has a slope.

    Attributes:
        fn: a name from `ACTIVATIONS`.
        factor: by what, `> 0`.

    Raises:
        ValueError: if the name is unknown, or the factor is not above 0 and finite.
    """

    fn: str
    factor: float

    def __post_init__(self):
        check_choice("fn", self.fn, ACTIVATIONS)
        check_number("factor", self.factor)
        if not self.factor > 0:
            raise ValueError(f"factor={self.factor} was given; it must be above 0.")

    def __call__(self, x: Array) -> Array:
        """In any shape."""
        return ACTIVATIONS[self.fn](self.factor * x)


@dataclass(frozen=True)
class Softmax(Operation):
    """`y_u = exp(x_u - max x) / sum_v exp(x_v - max x)`."""

    distribution: ClassVar[bool] = True

    def forward(self, parameter, x):
        """`(b, u) -> (b, u)`; stores the input, the shifted input, its exponential and the sum of exponentials for every unit."""
        shifted = x - x.max(axis=-1, keepdims=True)
        exponential = jnp.exp(shifted)
        total = jnp.broadcast_to(exponential.sum(axis=-1, keepdims=True), x.shape)
        return Fired(exponential / total, (x, shifted, exponential, total))


@dataclass(frozen=True)
class Add(Operation):
    """`y_u = x_u + x'_u`: where two branches, a skip connection say, meet. The same message goes back along both."""

    arity: ClassVar[int] = 2

    def forward(self, parameter, x, other):
        """`(b, u), (b, u) -> (b, u)`; stores both."""
        return Fired(x + other, (x, other))


@dataclass(frozen=True)
class Loss(Operation):
    """One loss per output unit, never summed: each is the seed message of its unit. Predictions come in slot 0, targets in slot 1."""

    arity: ClassVar[int] = 2
    of_distribution: ClassVar[bool] = False
    """Whether predictions must be a distribution over the units."""
