"""What gradient descent does with the same network, the same prior and the same batches (section 4)."""

from dataclasses import dataclass

import jax
import optax
from jax import Array

from .graph import Graph
from .network import Data, Network, State


@dataclass(frozen=True)
class GradientDescent(Network):
    """A network that learns by gradients, with the interface of a `Protocol`; its rule is `None`.

    Attributes:
        graph: the network that learns.
        optimizer: any optax optimiser: `optax.adam(0.01)`, `optax.sgd(0.1)`.
    """

    optimizer: optax.GradientTransformation

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
            ValueError, TypeError: see `Network.unit_losses`.
        """
        gradient = jax.grad(lambda p: self._objective(state._replace(parameters=p), x, y))(state.parameters)
        deltas, carry = self.optimizer.update(gradient, state.carries["optimizer"], state.parameters)
        parameters = optax.apply_updates(state.parameters, deltas)
        return State(parameters, {"optimizer": carry}), {name: {"delta": delta} for name, delta in deltas.items()}

    def _objective(self, state, x, y):
        return sum(losses.sum(axis=-1).mean() for losses in self.unit_losses(state, x, y).values())


def sgd(graph: Graph, learning_rate: float = 0.1) -> GradientDescent:
    """Plain gradient descent; 0.1 is the paper's rate for MNIST."""
    return GradientDescent(graph, optax.sgd(learning_rate))


def adam(graph: Graph, learning_rate: float = 0.01) -> GradientDescent:
    """Adam; 0.01 is the paper's rate."""
    return GradientDescent(graph, optax.adam(learning_rate))
