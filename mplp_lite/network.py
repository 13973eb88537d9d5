"""A graph that predicts: parameters to start from, predictions, losses; how it learns is left to subclasses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import FLOATS, check_dtype, check_finite, check_key, check_sizes, check_type, shown
from .graph import Graph, NodeState, walk


class State(NamedTuple):
    """A network in the middle of learning; a pytree.

    Attributes:
        parameters: weights and biases, by the node that owns them.
        carries: what its way of learning remembers: for a protocol, by node, as the learner's `first_carry` makes it.
    """

    parameters: Mapping[str, Array]
    carries: Mapping[str, Any]

    def __repr__(self):
        return f"State({count(self.parameters)} in parameters {' '.join(self.parameters)}; {count(self.carries)} in carries)"


def check_state(state: Any) -> None:
    """Lets states pass.

    Raises:
        TypeError: if it is none, or holds no dictionaries.
    """
    check_type("state", state, State, "the State that init, begin or update gave")
    for what, held in (("The parameters of the state", state.parameters), ("The carries of the state", state.carries)):
        if not isinstance(held, Mapping):
            raise TypeError(f"{what} are {shown(held)}, but they must be a dictionary by node; make the state with init or begin.")


def check_network(network: Any) -> None:
    """Lets objects pass that can begin, predict and learn, as protocols and baselines do.

    Raises:
        TypeError: if one cannot, or is a class.
    """
    if isinstance(network, type) or not all(callable(getattr(network, name, None)) for name in ("init", "predict", "update")):
        raise TypeError(f"network={shown(network)} was given; pass a Protocol, or a baseline, such as baselines.adam(graph).")


def count(tree: Any) -> str:
    """How many numbers a pytree holds, in words."""
    return f"{sum(getattr(leaf, 'size', 1) for leaf in jax.tree.leaves(tree)):,} numbers"


Data = Array | Mapping[str, Array]


@dataclass(frozen=True)
class Network:
    """A graph that predicts.

    Attributes:
        graph: the nodes and arrows.

    Raises:
        TypeError: if the graph is none.
    """

    graph: Graph

    def __post_init__(self):
        check_type("graph", self.graph, Graph, "a Graph, such as mlp(1, 20, 1)")

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of weights and biases, by the node that owns them."""
        shapes = {node.name: node.op.parameter_shape for node in self.graph.nodes if not node.tied_to}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def prior(self, key: Array) -> dict[str, Array]:
        """Fresh weights `N(0, 0.05)` and zero biases, by node: where learning starts from.

        Raises:
            TypeError: if `key` is no random key.
        """
        check_key(key)
        names = list(self.parameter_shapes)
        keys = jax.random.split(key, max(len(names), 1))
        return {name: self.graph.node(name).op.initial(k) for name, k in zip(names, keys, strict=False)}

    def begin(self, prior: Mapping[str, Array], batch: int) -> State:
        """The state that starts from `prior`, for inner batches of `batch` examples; nothing is remembered yet.

        Raises:
            ValueError: if the prior's names or shapes are not those of the graph, or a number in it is not finite; or if `batch` is no
                whole number of at least 1.
            TypeError: if the prior is no dictionary, or not of the same 32-bit or 64-bit floats.
        """
        check_sizes(batch=batch)
        self.check_prior(prior)
        return State(dict(prior), self.first_carries(prior, batch))

    def check_prior(self, prior: Mapping[str, Array]) -> None:
        """Lets a prior of this graph pass.

        Raises:
            ValueError, TypeError: see `begin`.
        """
        self._check_parameters("The prior", prior)
        for name, value in prior.items():
            check_finite(f"the prior of {name!r}", value)

    def check_rule(self, rule: Any) -> None:
        """Lets a rule pass that this network can learn by; one that learns by none does not look at it."""

    def first_carries(self, prior: Mapping[str, Array], batch: int) -> dict[str, Any]:
        """What is remembered before the first inner step."""
        return {}

    def init(self, key: Array, batch: int) -> State:
        """A state with a fresh prior, for inner batches of `batch` examples."""
        return self.begin(self.prior(key), batch)

    def predict(self, state: State, x: Data) -> Data:
        """What the network says about `x (n, units)`, for any `n`; dictionaries by node where the graph has several inputs or outputs.

        Raises:
            ValueError: if `x` has another shape than `(n, units)`, a parameter another than the graph's, or the graph has no loss; if
                inputs differ in `n`; or, outside of jit, if a number in `x` is not finite.
            TypeError: if `x` or a parameter is not of the same 32-bit or 64-bit floats, or `state` is no state.
        """
        if not self.graph.outputs:
            raise ValueError("This graph has no loss, so none of its nodes is its prediction; give it a loss.")
        check_state(state)
        data = self._named(state, self.graph.inputs, x)
        _check_lengths(data)
        states = walk(self.graph, self.graph.prediction, self._node_states(state, data), _nobody)
        outputs = {name: states[name].output for name in self.graph.outputs}
        return outputs if len(outputs) > 1 else outputs[self.graph.outputs[0]]

    def unit_losses(self, state: State, x: Data, y: Data) -> dict[str, Array]:
        """The loss of each example and output unit, `(n, units)`, by loss node.

        Raises:
            ValueError, TypeError: see `predict`; `y` is `(n, units)` too, `n >= 1`, and there is a loss.
        """
        order = (*self.graph.forward, *self.graph.seeds)
        states = walk(self.graph, order, self._node_states(state, self._data(state, x, y)), _nobody)
        return {name: states[name].output for name in self.graph.losses}

    def loss(self, state: State, x: Data, y: Data) -> Array:
        """The mean over examples and output units, summed over loss nodes; `()`.

        Raises:
            ValueError, TypeError: see `unit_losses`.
        """
        return sum(losses.mean() for losses in self.unit_losses(state, x, y).values())

    def _check_parameters(self, what, parameters):
        if not isinstance(parameters, Mapping):
            raise TypeError(f"{what} has a {type(parameters).__name__} of parameters; pass a dictionary by node, as prior() gives it.")
        given = {name: getattr(value, "shape", type(value).__name__) for name, value in parameters.items()}
        if given != self.parameter_shapes:
            raise ValueError(f"{what} has shapes {given}, but the graph needs {self.parameter_shapes}; pass one array for each.")
        for name, value in parameters.items():
            dtype = getattr(value, "dtype", type(value).__name__)
            if dtype not in FLOATS or dtype != self._dtype(parameters):
                raise TypeError(f"{what} has {name} in {dtype}, but networks compute in float32 or float64; give it all in one of them.")

    def _dtype(self, parameters):
        """What the network computes in."""
        return next((value.dtype for value in parameters.values()), jnp.result_type(float))

    def _node_states(self, state, data):
        check_state(state)
        self._check_parameters("The state", state.parameters)
        states = {node.name: NodeState(state.parameters.get(node.owner), state.carries.get(node.name)) for node in self.graph.nodes}
        return states | {name: NodeState(inputs={0: value}) for name, value in data.items()}

    def _data(self, state, x, y):
        check_state(state)
        if not self.graph.losses:
            raise ValueError("This graph has no loss, so there is nothing to judge or to learn from; give it a loss.")
        data = self._named(state, self.graph.inputs, x) | self._named(state, self.graph.targets, y)
        if 0 in _check_lengths(data):
            raise ValueError("A batch of 0 examples was given, whose loss would be nan; give at least 1.")
        return data

    def _named(self, state, names, values):
        """Data by node name, shapes and dtypes checked against graph and state."""
        dtype = self._dtype(state.parameters)
        values = values if isinstance(values, Mapping) else dict(zip(names, (values,), strict=False))
        if set(values) != set(names):
            given = sorted(map(str, values))
            raise ValueError(f"Data for {given} was given, but this graph takes {sorted(names)}; pass a dictionary by name.")
        for name, value in values.items():
            units = self.graph.node(name).op.units
            if isinstance(value, list | tuple):
                check_dtype(name, value, dtype)
            if np.ndim(value) != 2 or np.shape(value)[1] != units:
                raise ValueError(f"{name} has shape {np.shape(value)}, but this graph takes (examples, {units}); reshape it.")
            check_dtype(name, value, dtype)
            check_finite(name, value)
        return dict(values)


def _check_lengths(data):
    """How many examples each array holds, one number if all is well."""
    sizes = {name: value.shape[0] for name, value in data.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"Inputs and targets hold {sizes} examples; give each the same number.")
    return set(sizes.values())


def _nobody(node, state, message):
    raise RuntimeError(f"Node {node.name!r} was asked for a message in a pass that only goes forward.")
