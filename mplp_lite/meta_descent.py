"""Gradient descent that is meta-learned by the same outer loop as a protocol: what MPLP is compared with (section 4.1.2)."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from .baselines import gradient
from .checks import check_choice, check_key, check_number, check_sizes, check_type
from .network import Data, Network, State, check_state
from .rule import Rule

LEARNED_RATES = ("none", "entries", "steps")
DIRECTIONS = ("sgd", "adam")
FIRST_DECAYS = {"b1": 0.9, "b2": 0.999}
EPS_ROOT = 1e-10
"""Adam's epsilon, inside of the square root: outside, the meta-gradient of a weight that has no gradient is not a number."""


@dataclass(frozen=True)
class MetaDescent(Network):
    """A network that learns by gradients, whose rates are its rule, with the interface of a `Protocol`.

    With a learned prior and no learned rates it is MAML (Finn, Abbeel, Levine 2017), with a rate for every weight Meta-SGD (Li, Zhou, Chen,
    Li 2017); the meta-gradient goes through the inner gradients, second derivatives and all.

    Attributes:
        graph: the network that learns.
        first_rate: the learning rate before meta-training, `>= 0`.
        rates: what has a rate of its own: `"none"`: all keep the first; `"entries"`: each weight and bias; `"steps"`: each weight matrix
            and bias vector at each inner step.
        direction: where a step goes: down the gradient, `"sgd"`; or as Adam says, `"adam"`, whose two decays are then learned for each
            weight matrix and bias vector.
        steps: inner steps that have rates of their own where `rates="steps"`; later ones use the last.

    Raises:
        TypeError: if the graph is none.
        ValueError: if a name is unknown, `first_rate` is negative or not finite, or `steps` is no positive whole number.
    """

    first_rate: float = 0.05
    rates: str = "none"
    direction: str = "sgd"
    steps: int = 1

    def __post_init__(self):
        super().__post_init__()
        check_number("first_rate", self.first_rate, 0)
        check_choice("rates", self.rates, LEARNED_RATES)
        check_choice("direction", self.direction, DIRECTIONS)
        check_sizes(steps=self.steps)

    def new_rule(self, key: Array) -> Rule:
        """The rule before meta-training; nothing in it is random. Its scales are the rates; its learners hold Adam's decays, as logits.

        Raises:
            TypeError: if `key` is no random key.
        """
        check_key(key)
        shapes = self.parameter_shapes
        lengths = {"none": {}, "entries": shapes, "steps": dict.fromkeys(shapes, (self.steps,))}[self.rates]
        decays = {name: jnp.log(jnp.asarray(b / (1 - b), float)) for name, b in FIRST_DECAYS.items()}
        learners = {name: dict(decays) for name in shapes} if self.direction == "adam" else {}
        return Rule(learners, {name: jnp.full(shape, self.first_rate, float) for name, shape in lengths.items()}, {})

    def check_rule(self, rule: Rule) -> None:
        """Lets a rule of this network pass.

        Raises:
            ValueError: if its shapes are others.
            TypeError: if it is none.
        """
        check_type("rule", rule, Rule, "the Rule that new_rule made or load read")
        if jax.tree.map(np.shape, rule) != jax.tree.map(np.shape, jax.eval_shape(self.new_rule, jax.random.key(0))):
            raise ValueError("This rule was made for another way of learning; use new_rule, or the MetaDescent it was made for.")

    def first_carries(self, prior, batch):
        """The optimizer's state; it depends neither on the batch nor on the rule."""
        return {"optimizer": self.optimizer(self.new_rule(jax.random.key(0))).init(dict(prior))}

    def optimizer(self, rule: Rule) -> optax.GradientTransformation:
        """What a rule does with gradients, for a dictionary of parameters by node.

        Raises:
            ValueError, TypeError: see `check_rule`.
        """
        self.check_rule(rule)
        each = {name: optax.chain(self._direction(rule, name), self._scaling(rule, name)) for name in self.parameter_shapes}
        return optax.partition(each, {name: name for name in each})

    def _direction(self, rule, name):
        if self.direction == "sgd":
            return optax.identity()
        decays = {beta: jax.nn.sigmoid(logit) for beta, logit in rule.learners[name].items()}
        return optax.scale_by_adam(**decays, eps=0.0, eps_root=EPS_ROOT)

    def _scaling(self, rule, name):
        rate = rule.scales.get(name, self.first_rate)
        of_step = (lambda step: rate[jnp.minimum(step, self.steps - 1)]) if self.rates == "steps" else (lambda step: rate)
        return optax.scale_by_schedule(lambda step: -of_step(step))

    def update(self, rule: Rule, state: State, x: Data, y: Data) -> tuple[State, dict[str, dict[str, Array]]]:
        """One gradient step on the loss summed over output units and averaged over the batch; fits `jax.lax.scan`.

        Args:
            rule: the rates.
            state: the network so far.
            x: inputs, `(b, units)`.
            y: targets, `(b, units)`.

        Returns:
            The new state, and the `delta` of each parameter.

        Raises:
            ValueError, TypeError: see `Network.unit_losses` and `check_rule`; or if the state is not of this network.
        """
        optimizer = self.optimizer(rule)
        check_state(state)
        deltas, carry = optimizer.update(gradient(self, state, x, y), state.carries["optimizer"], state.parameters)
        parameters = optax.apply_updates(state.parameters, deltas)
        return State(parameters, {"optimizer": carry}), {name: {"delta": delta} for name, delta in deltas.items()}
