"""What gradient descent does with the same network, the same prior and the same batches (section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import optax
from jax import Array

from .checks import check_number, check_optimizer
from .graph import Graph
from .network import Data, Network, State, check_state


@dataclass(frozen=True)
class GradientDescent(Network):
    """A network that learns by gradients, with the interface of a `Protocol`; its rule is `None`.

    Attributes:
        graph: the network that learns.
        optimizer: any optax optimiser: `optax.adam(0.01)`, `optax.sgd(0.1)`.

    Raises:
        TypeError: if the graph or the optimiser is none.
    """

    optimizer: optax.GradientTransformation

    def __post_init__(self):
        super().__post_init__()
        check_optimizer(self.optimizer)

    def first_carries(self, prior, batch):
        """The optimiser's state; it does not depend on the batch."""
        return {"optimizer": self.optimizer.init(dict(prior))}

    def update(self, rule: None, state: State, x: Data, y: Data) -> tuple[State, dict[str, dict[str, Array]]]:
        """One gradient step on the loss summed over output units and averaged over the batch; fits `jax.lax.scan`.

        Args:
            rule: not looked at.
            state: the network so far.
            x: inputs, `(b, units)`.
            y: targets, `(b, units)`.

        Returns:
            The new state, and the `delta` of each parameter.

        Raises:
            ValueError, TypeError: see `Network.unit_losses`; or if the state is not of this network and optimiser.
        """
        check_state(state)
        self._check_parameters("The state", state.parameters)
        _check_memory(self, state.carries)
        gradient = jax.grad(lambda p: self._objective(state._replace(parameters=p), x, y))(state.parameters)
        deltas, carry = self.optimizer.update(gradient, state.carries["optimizer"], state.parameters)
        parameters = optax.apply_updates(state.parameters, deltas)
        return State(parameters, {"optimizer": carry}), {name: {"delta": delta} for name, delta in deltas.items()}

    def _objective(self, state, x, y):
        return sum(losses.sum(axis=-1).mean() for losses in self.unit_losses(state, x, y).values())


def _check_memory(network, carries):
    if not isinstance(carries, Mapping) or jax.tree.map(jnp.shape, dict(carries)) != _memory_shapes(network):
        raise ValueError("This state holds no memory of this optimiser; make the state with init or begin of the same baseline.")


@cache
def _memory_shapes(network):
    parameters = {name: jax.ShapeDtypeStruct(shape, jnp.result_type(float)) for name, shape in network.parameter_shapes.items()}
    return jax.tree.map(jnp.shape, {"optimizer": jax.eval_shape(network.optimizer.init, parameters)})


def _check_rate(learning_rate):
    if not callable(learning_rate):
        check_number("learning_rate", learning_rate, 0)


def sgd(graph: Graph, learning_rate: float = 0.1) -> GradientDescent:
    """Plain gradient descent; 0.1 is the paper's rate for MNIST.

    Raises:
        TypeError: if the graph is none.
        ValueError: if the learning rate is negative, or not finite.
    """
    _check_rate(learning_rate)
    return GradientDescent(graph, optax.sgd(learning_rate))


def adam(graph: Graph, learning_rate: float = 0.01) -> GradientDescent:
    """Adam; 0.01 is the paper's rate.

    Raises:
        TypeError, ValueError: see `sgd`.
    """
    _check_rate(learning_rate)
    return GradientDescent(graph, optax.adam(learning_rate))
