"""Operations: what a node computes on the way forward, and what it stores for the way back (section 3.1).

Axis letters used in all docstrings: `b` batch slot, `i` input unit, `j` output unit, `u` unit of a unit-wise
operation, `m` message channel, `c` carry channel.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import ACTIVATIONS, AGGREGATORS, check_choice, check_key, check_number, check_sizes, shown


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
        places: at how many places of an example each entry of the bundle works, 1 but where weights are shared over an image. Each place
            counts as an example of its own: learners see `b places` slots, and keep as many carries.
        arity: how many inputs each takes (of the class).
        learns: whether a learner speaks for it (of the class).

    Raises:
        ValueError: if `units` is no positive whole number.
    """

    units: int
    places: ClassVar[int] = 1
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
        """Turns one message per entry, `(b places, *shape, m)`, into one per input unit, `(b, units, m)`."""
        return self.fold(messages)

    def fold(self, messages: Array) -> Array:
        """Turns one message per place and input there, `(b places, inputs, m)`, into one per input unit, `(b, units, m)`.

        Where an input belongs to several places, their messages add up.
        """
        return messages.reshape(-1, self.incoming, messages.shape[-1]) if self.places > 1 else messages

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
class Synapses(Operation):
    """Weights between inputs and outputs, one learned number for each entry of the bundle, `(inputs, outputs)`; see its subclasses.

    Attributes:
        aggregate: how the messages of the synapses of one input unit become one: `"mean"` (eq. 5) or `"sum"`.
        deviation: standard deviation of a fresh weight, `>= 0`.

    Raises:
        ValueError: if a size is no positive whole number, the aggregator is unknown, or the deviation is negative or not finite.
    """

    aggregate: str = "mean"
    deviation: float = 0.05
    incidental = Operation.incidental | {"deviation"}

    def __post_init__(self):
        super().__post_init__()
        check_choice("aggregate", self.aggregate, AGGREGATORS)
        check_number("deviation", self.deviation, 0)

    @property
    def parameter_shape(self):
        """The same as `shape`."""
        return self.shape

    @property
    def fan_in(self) -> int:
        """Synapses of one output."""
        return self.shape[0]

    def initial(self, key):
        """`N(0, deviation)` per weight."""
        check_key(key)
        return self.deviation * jax.random.normal(key, self.shape)


@dataclass(frozen=True, kw_only=True)
class Weight(Synapses):
    """All synapses `y_j = sum_i w_ij x_i` between two layers; every `w_ij` is a node of its own (section 3.1).

    Attributes:
        inputs: number of input units.
        units: number of output units.
        aggregate: see `Synapses`.
        deviation: see `Synapses`.

    Raises:
        ValueError: see `Synapses`.
    """

    inputs: int
    incidental = Synapses.incidental | {"inputs"}

    @property
    def incoming(self):
        """`i`."""
        return self.inputs

    @property
    def shape(self):
        """`(i, j)`."""
        return (self.inputs, self.units)

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


@dataclass(frozen=True, kw_only=True)
class Convolution(Synapses):
    """Synapses between a window of a square image and some features, the same ones at every place of the window.

    `y_pj = sum_i w_ij x_(p, i)`, with `i` over the pixels and channels of the window at place `p`. A learner that speaks for weights speaks
    for these, too (their kind is `"weight"`): for each place of each example as for an example, so that means over examples (eq. 4) run
    over places. Channels are the last axis of an image, of what enters and of what leaves.

    Attributes:
        side: pixels along each side of the image.
        channels: numbers a pixel.
        window: pixels along each side of the window.
        stride: pixels from one place to the next.
        features: numbers a place.
        units: all that leaves, `places * features`; not given, but computed.
        aggregate: see `Synapses`.
        deviation: see `Synapses`.

    Raises:
        ValueError: if the window is larger than the image; and see `Synapses`.
    """

    side: int
    channels: int = 1
    window: int = 3
    stride: int = 1
    features: int = 8
    units: int = field(init=False)
    kind: ClassVar[str] = "weight"
    incidental = Synapses.incidental | {"side", "channels", "window", "stride", "features"}

    def __post_init__(self):
        check_sizes(side=self.side, channels=self.channels, window=self.window, stride=self.stride, features=self.features)
        if self.window > self.side:
            raise ValueError(f"A window of {self.window} pixels was given for images of {self.side} a side; make it smaller.")
        object.__setattr__(self, "units", self.places * self.features)
        super().__post_init__()

    @property
    def places_a_side(self) -> int:
        """Places along each side: pixels along each side of the image that leaves."""
        return (self.side - self.window) // self.stride + 1

    @property
    def places(self):
        """`p`."""
        return self.places_a_side**2

    @property
    def incoming(self):
        """All pixels and channels."""
        return self.side**2 * self.channels

    @property
    def shape(self):
        """`(i, j)`, the window by the features."""
        return (self.window**2 * self.channels, self.features)

    @cached_property
    def seen(self) -> np.ndarray:
        """`(p, i)`: the input units that each place sees."""
        image = np.arange(self.incoming).reshape(self.side, self.side, self.channels)
        corners = [self.stride * k for k in range(self.places_a_side)]
        return np.stack([image[r : r + self.window, c : c + self.window].ravel() for r in corners for c in corners])

    def forward(self, parameter, x):
        """`(b, incoming), (i, j) -> (b, p j)`; stores what each place sees, `(b p, i)`."""
        windows = x[:, self.seen].reshape(-1, self.shape[0])
        return Fired((windows @ parameter).reshape(len(x), self.units), (windows,))

    def read(self, message, parameter, stored):
        """`(b p, 1, j, m)`, `(1, i, j, 1)`, `(b p, i, 1, 1)`."""
        at_places = message.reshape(-1, 1, self.features, message.shape[-1])
        return at_places, parameter[None, ..., None], stored[0][:, :, None, None]

    def collect(self, messages):
        """`(b p, i, j, m) -> (b, incoming, m)` (eq. 5); 0 for inputs that no place sees."""
        total = self.fold(messages.sum(axis=2))
        synapses = self.features * np.bincount(self.seen.ravel(), minlength=self.incoming)
        return total if self.aggregate == "sum" else total / np.maximum(synapses, 1).astype(total.dtype)[None, :, None]

    def fold(self, messages):
        """`(b p, i, m) -> (b, incoming, m)`."""
        at_places = messages.reshape(-1, *self.seen.shape, messages.shape[-1])
        return jnp.zeros((len(at_places), self.incoming, messages.shape[-1]), messages.dtype).at[:, self.seen].add(at_places)


@dataclass(frozen=True)
class Bias(Operation):
    """`y_u = x_u + b_u`, zero at first.

    Attributes:
        units: number of units.
        places: how many places of an image they stand for, one after the other; all places have the same `units / places` biases.

    Raises:
        ValueError: if a size is no positive whole number, or places do not divide units.
    """

    places: int = 1
    incidental = Operation.incidental | {"places"}

    def __post_init__(self):
        super().__post_init__()
        check_sizes(places=self.places)
        if self.units % self.places:
            raise ValueError(f"Bias was given units={self.units} at places={self.places}; let the places divide the units.")

    @property
    def shape(self):
        """`(u / places,)`."""
        return (self.units // self.places,)

    parameter_shape = shape

    def initial(self, key):
        """Zeros, whatever the key."""
        return jnp.zeros(self.shape)

    def forward(self, parameter, x):
        """`(b, u), (u / places,) -> (b, u)`; stores `x (b places, u / places)`."""
        at_places = x.reshape(-1, *self.shape)
        return Fired((at_places + parameter[None]).reshape(x.shape), (at_places,))

    def read(self, message, parameter, stored):
        """Message, bias and input, each place as an example."""
        return super().read(message.reshape(-1, *self.shape, message.shape[-1]), parameter, stored)


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
