"""A learner that asks a synapse once per step, however many examples there are: the average over the batch moves inside of `f`.

The learners of the paper think once for every synapse and example, and average what they propose (eq. 4):
`delta w_ij = < f(m_bj, w_ij, x_bi, h_bij) >_b`, at the cost of `b x i x j` thoughts and as many carries. This one reads averages:
`delta w_ij = f(< x_bi m_bj >_b, w_ij, < x_bi >_b, h_ij)`. A thought a synapse, a carry a synapse; the batch may change from step to step.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_number, check_sizes
from .learners import Learner, Perceptron, Thought
from .nodes import Activation, Operation

SMALLEST_SQUARE = 1e-6
"""What is added to a mean square before a division by its root."""


def sized(values: Array) -> Array:
    """Each channel divided by its root mean square over all other axes, `(..., channels) -> (..., channels)`."""
    square = jnp.mean(jnp.square(values), axis=tuple(range(values.ndim - 1)), keepdims=True)
    return values * jax.lax.rsqrt(square + SMALLEST_SQUARE)


class Factored(Learner):
    """`f` on averages over the batch; `g` of a synapse as a product of matrices (after eq. 1, 3 and 5).

    Weights and biases have a memory and an age, which they count for themselves; the perceptrons of all other nodes have none.
    Its updates have a size of their own, however large messages are, so nodes that share a parameter move it by their mean.
    Messages, parameters and the inputs of weights are divided by their root mean square at every call, so a protocol needs no
    calibration: use `normalizer="none"`. What other nodes store is read as it is; activations also read what they put out, so that
    one `g` can tell a sigmoid from a step, and where it is flat.
    Weights send `m'_bi = sum_j sum_k p_ijk Q_k m_bj / sqrt(outputs)`, where `p_ij` is the weight beside the memory and each `Q_k`
    a learned `(m, m)` matrix: linear in what they hear. Biases pass on what they hear.

    It gives up one kind of locality: a synapse no longer sees which example said what, only how input and message go together.

    Attributes:
        message: channels of a message.
        first_scale: what updates are multiplied with before meta-training, beside `step`.
        hidden: channels of the memory.
        widths: hidden channels of the perceptrons.
        activation: between their layers.
        step: what updates of biases are multiplied with, and updates of weights that have `fan_in` inputs; with more inputs it is less.
        fan_in: see `step`.

    Raises:
        ValueError: if a size is no positive whole number (`hidden`: at least 0), a number is not finite, or the activation is unknown.
    """

    first_scale: float = 1.0
    hidden: int = 8
    widths: tuple[int, ...] = (32,)
    activation: str = "tanh"
    step: float = 0.03
    fan_in: int = 100
    embedded: ClassVar[bool] = False
    adds_up: ClassVar[bool] = False
    own_gradient: ClassVar[bool] = False

    def __post_init__(self):
        check_sizes(fan_in=self.fan_in)
        check_number("step", self.step)
        super().__post_init__()

    def first_carry(self, op, batch):
        """Memory `(*op.shape, hidden)`, all zero, and age 0; without batch slots. `None` where there is no parameter."""
        if op.parameter_shape is None:
            return None
        return {"memory": jnp.zeros((*op.shape, self.hidden)), "age": jnp.zeros(())}

    @nn.compact
    def __call__(self, op, reads, carry):
        """See `Learner`.

        Raises:
            NotImplementedError: if the node has a parameter and is neither a weight nor a bias in its shapes.
        """
        message, *others = reads
        if carry is None:
            if isinstance(op, Activation):
                others.append(op.forward(None, others[0][..., 0]).output[..., None])
            said = Perceptron((*self.widths, self.message), self.activation, name="g")(sized(message), *others)
            return Thought(None, None, self.collect(op, said))
        check_factored(op)
        parameter, x = (piece[..., 0] for piece in others)
        heard = sized(message.reshape(len(x), op.shape[-1], -1))
        x = sized(x.reshape(len(x), -1, 1))[..., 0]
        own = sized(parameter[0][..., None])
        thought = self._think(own, self._pooled(op, x, heard), carry)
        back = op.fold(self._back(op, own, heard, carry))
        update = thought[..., 0] * nn.sigmoid(thought[..., 1]) * (self.step * self._share(op))
        return Thought(self._remember(thought, carry), update, back)

    def _pooled(self, op, x, heard):
        """What all examples say together: how inputs and messages go with each other, and how large inputs are on average."""
        if len(op.shape) == 1:
            return (sized(heard.mean(axis=0)),)
        together = sized(jnp.einsum("bi,bjm->ijm", x, heard) / len(x))
        return together, jnp.broadcast_to(x.mean(axis=0)[:, None, None], (*op.shape, 1))

    def _think(self, own, pooled, carry):
        """`(*shape, 2 + 2 hidden)`: an update and its gate, a candidate for the memory and its gate."""
        age = carry["age"]
        ages = jnp.stack([jnp.log1p(age) / 3 - 0.5, jnp.tanh(age / 20)])
        ages = jnp.broadcast_to(ages, (*own.shape[:-1], 2))
        return Perceptron((*self.widths, 2 + 2 * self.hidden), self.activation, name="f")(*pooled, own, carry["memory"], ages)

    def _remember(self, thought, carry):
        """`h' = (1 - u) h + u tanh(candidate)`, a little older."""
        candidate, gate = jnp.split(thought[..., 2:], 2, axis=-1)
        u = nn.sigmoid(gate - 1)
        return {"memory": (1 - u) * carry["memory"] + u * jnp.tanh(candidate), "age": carry["age"] + 1}

    def _back(self, op, own, heard, carry):
        """The messages to the inputs of each place, `(b places, inputs, m)`."""
        heard = heard[..., : self.message]
        if len(op.shape) == 1:
            return heard
        start = nn.initializers.normal(0.3)
        mixers = self.param("Q", start, (1 + self.hidden, self.message, self.message))
        kept = jnp.concatenate([own, carry["memory"]], axis=-1)
        mixed = jnp.einsum("bjm,kmn->bjkn", heard, mixers)
        return jnp.einsum("ijk,bjkn->bin", kept, mixed) / jnp.sqrt(jnp.asarray(op.shape[-1], heard.dtype))

    def _share(self, op):
        return 1.0 if len(op.shape) == 1 else self.fan_in / op.shape[0]


def check_factored(op: Operation) -> None:
    """Lets an operation pass whose entries are synapses between all inputs and outputs of a place, or one for each unit there.

    Raises:
        NotImplementedError: if it is neither.
    """
    units = op.units // op.places
    inputs = op.incoming if op.places == 1 else op.shape[0]
    if op.shape not in ((units,), (inputs, units)) or op.parameter_shape != op.shape:
        raise NotImplementedError(
            f"Factored speaks for weights between all inputs and outputs and for biases, not for {type(op).__name__} with entries of shape "
            f"{op.shape} and a parameter of shape {op.parameter_shape}; give that kind of node another learner."
        )
