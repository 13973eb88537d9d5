"""What gradient descent does with the same network, the same prior and the same batches (section 4)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite, sqrt

import jax
import jax.numpy as jnp
import optax
from jax import Array

from .checks import check_callable, check_choice, check_number, check_optimizer, check_type, shown
from .graph import Graph
from .network import Data, Network, State, check_state
from .nodes import Synapses

STARTS = {"paper": None, "lecun": 1.0, "he": 2.0}
"""Where weights start: as the graph says, which is `N(0, 0.05^2)` in the paper; or `N(0, gain / inputs)`, with this gain."""
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Learning rates to choose from, a factor of about three from one to the next."""


@dataclass(frozen=True)
class GradientDescent(Network):
    """A network that learns by gradients, with the interface of a `Protocol`; its rule is `None`.

    Attributes:
        graph: the network that learns.
        optimizer: any optax optimizer: `optax.adam(0.01)`, `optax.sgd(0.1)`.
        start: where fresh weights come from, one of `STARTS`: `"paper"`, `"lecun"` (`N(0, 1 / inputs)`), `"he"` (`N(0, 2 / inputs)`).

    Raises:
        TypeError: if the graph or the optimizer is none.
        ValueError: if the start is unknown.
    """

    optimizer: optax.GradientTransformation
    start: str = "paper"

    def __post_init__(self):
        super().__post_init__()
        check_optimizer(self.optimizer)
        check_choice("start", self.start, STARTS)

    def prior(self, key: Array) -> dict[str, Array]:
        """Fresh parameters, by node: with the same key the paper's, its weight matrices only scaled as `start` says.

        Raises:
            TypeError: if `key` is no random key.
        """
        return Network(started(self.graph, self.start)).prior(key)

    def first_carries(self, prior, batch):
        """The optimizer's state; it does not depend on the batch."""
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
            ValueError, TypeError: see `Network.unit_losses`; or if the state is not of this network and optimizer.
        """
        check_state(state)
        self._check_parameters("The state", state.parameters)
        _check_memory(self, state.carries)
        deltas, carry = self.optimizer.update(gradient(self, state, x, y), state.carries["optimizer"], state.parameters)
        parameters = optax.apply_updates(state.parameters, deltas)
        return State(parameters, {"optimizer": carry}), {name: {"delta": delta} for name, delta in deltas.items()}


def gradient(network: Network, state: State, x: Data, y: Data) -> dict[str, Array]:
    """The gradient of the loss, summed over output units and averaged over the batch, with respect to each parameter.

    Args:
        network: what predicts.
        state: where.
        x: inputs, `(b, units)`.
        y: targets, `(b, units)`.

    Raises:
        ValueError, TypeError: see `Network.unit_losses`.
    """
    check_state(state)

    def objective(parameters):
        return sum(losses.sum(axis=-1).mean() for losses in network.unit_losses(state._replace(parameters=parameters), x, y).values())

    return jax.grad(objective)(state.parameters)


def started(graph: Graph, start: str) -> Graph:
    """The graph with fresh weights drawn otherwise, for baselines and protocols alike; biases and all else start as before.

    Args:
        graph: a network.
        start: one of `STARTS`.

    Raises:
        TypeError: if the graph is none.
        ValueError: if the start is unknown.
    """
    check_type("graph", graph, Graph, "a Graph, such as mlp(1, 20, 1)")
    check_choice("start", start, STARTS)
    if (gain := STARTS[start]) is None:
        return graph
    synapses = [node for node in graph.nodes if isinstance(node.op, Synapses)]
    changed = {node.name: replace(node.op, deviation=sqrt(gain / node.op.fan_in)) for node in synapses}
    return replace(graph, nodes=tuple(replace(node, op=changed.get(node.name, node.op)) for node in graph.nodes))


def _check_memory(network, carries):
    if not isinstance(carries, Mapping) or jax.tree.map(jnp.shape, dict(carries)) != _memory_shapes(network):
        raise ValueError("This state holds no memory of this optimizer; make the state with init or begin of the same baseline.")


@cache
def _memory_shapes(network):
    parameters = {name: jax.ShapeDtypeStruct(shape, jnp.result_type(float)) for name, shape in network.parameter_shapes.items()}
    return jax.tree.map(jnp.shape, {"optimizer": jax.eval_shape(network.optimizer.init, parameters)})


def _check_rate(learning_rate):
    if not callable(learning_rate):
        check_number("learning_rate", learning_rate, 0)


def sgd(graph: Graph, learning_rate: float = 0.1, start: str = "paper") -> GradientDescent:
    """Plain gradient descent; 0.1 is the paper's rate for MNIST.

    Args:
        graph: the network that learns.
        learning_rate: a number, or a schedule of optax.
        start: see `GradientDescent`.

    Raises:
        TypeError: if the graph is none.
        ValueError: if the learning rate is negative, or not finite; or the start is unknown.
    """
    _check_rate(learning_rate)
    return GradientDescent(graph, optax.sgd(learning_rate), start)


def adam(graph: Graph, learning_rate: float = 0.01, start: str = "paper") -> GradientDescent:
    """Adam; 0.01 is the paper's rate. Arguments as in `sgd`.

    Raises:
        TypeError, ValueError: see `sgd`.
    """
    _check_rate(learning_rate)
    return GradientDescent(graph, optax.adam(learning_rate), start)


def best_rate(
    make: Callable[[Array], GradientDescent], score: Callable[[GradientDescent], Array], rates: Iterable[float] = RATES
) -> tuple[float, dict[float, float]]:
    """The learning rate of the lowest score, and the scores of all rates. One program is compiled, whatever their number.

    The score should be of runs that nothing is measured on later: of another key, and, where data are few, of training data only:
    `lambda network: evaluate.sinusoid_runs(network, None, task, key, 40).eval_loss[:, -1].mean()`.

    Args:
        make: from a learning rate, `()`, to what learns with it: `lambda rate: adam(graph, rate, "lecun")`.
        score: how badly it learns, `()`; what is not finite is worse than all that is.
        rates: those to try, in any order.

    Raises:
        TypeError: if `make` or `score` is no function, `make` makes no baseline, or the score is no number.
        ValueError: if no rate is given, or one is no number of at least 0; or if no score is finite.
    """
    check_callable("make", make, "a function from a learning rate to a baseline, such as lambda rate: adam(graph, rate)")
    check_callable("score", score, "a function from a baseline to a number, the lower the better")
    rates = [float(rate) for rate in _checked_rates(rates)]

    def scored(rate):
        network = make(rate)
        check_type("make(rate)", network, GradientDescent, "a function that makes a baseline, such as lambda rate: adam(graph, rate)")
        found = score(network)
        if jnp.shape(found) != ():
            raise TypeError(f"score(network) has shape {jnp.shape(found)}; give one number, such as the mean over all runs.")
        return found

    found = jax.lax.map(scored, jnp.asarray(rates, float)).tolist()
    finite = {rate: value for rate, value in zip(rates, found, strict=True) if isfinite(value)}
    if not finite:
        raise ValueError(f"At none of the rates {shown(rates)} is the score finite; try smaller ones.")
    return min(finite, key=finite.get), dict(zip(rates, found, strict=True))


def _checked_rates(rates):
    rates = list(rates) if isinstance(rates, Iterable) else [rates]
    if not rates:
        raise ValueError("No learning rates were given; pass some to choose from, such as (0.01, 0.1).")
    for rate in rates:
        check_number("rates", rate, 0)
    return rates
