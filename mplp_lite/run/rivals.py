"""What a sceptic asks for beside a rule: gradient descent from other priors, at rates chosen for it, and with all examples at once.

Rates are chosen on runs of their own: with another key, and of images only training images.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from .. import baselines, evaluate, tasks
from ..baselines import GradientDescent
from ..graph import Graph
from ..network import Network


def momentum(graph: Graph, learning_rate: Any, start: str = "paper") -> GradientDescent:
    """Gradient descent with momentum 0.9; arguments as in `baselines.sgd`."""
    return GradientDescent(graph, optax.sgd(learning_rate, momentum=0.9), start)


def adagrad(graph: Graph, learning_rate: Any, start: str = "paper") -> GradientDescent:
    """Adagrad, whose sums of squares start at 0; arguments as in `baselines.sgd`."""
    return GradientDescent(graph, optax.adagrad(learning_rate, initial_accumulator_value=0.0), start)


def rmsprop(graph: Graph, learning_rate: Any, start: str = "paper") -> GradientDescent:
    """RMSprop; arguments as in `baselines.sgd`."""
    return GradientDescent(graph, optax.rmsprop(learning_rate), start)


MAKERS = {"Adam": baselines.adam, "SGD": baselines.sgd, "SGD with momentum": momentum, "Adagrad": adagrad, "RMSprop": rmsprop}
METHODS = {"sinusoids": ("Adam", "SGD"), "mnist": ("Adam", "SGD", "SGD with momentum", "Adagrad", "RMSprop")}
STARTS = {"sinusoids": ("paper", "lecun", "he"), "mnist": ("paper", "lecun")}
PAPERS = {"sinusoids": {"Adam": 0.01}, "mnist": {"Adam": 0.01, "SGD": 0.1}}
LABELS = {"paper": "best rate", "lecun": "LeCun, best rate", "he": "He, best rate"}
FULL_BATCH_STEPS = {"sinusoids": 2000, "mnist": 200}
FULL_BATCH_RATES = (0.003, 0.01, 0.03, 0.1)
RUNS = 40
"""How many runs a rate is chosen on."""
CHOOSING = 1
"""What is folded into the key for them."""


class Learned(NamedTuple):
    """What meta-training found, ready to be measured.

    Attributes:
        network: what learns: a `Protocol`, or gradient descent.
        rule: how; `None` for baselines.
        prior: where all its runs start; `None`: from fresh ones.
    """

    network: Network
    rule: Any = None
    prior: Mapping[str, Array] | None = None


class Rival(NamedTuple):
    """One method from one start at its best rate.

    Attributes:
        name: says all three.
        network: the baseline.
        score: how it did on the runs that the rate was chosen on, the lower the better.
    """

    name: str
    network: GradientDescent
    score: float


@dataclass(frozen=True, eq=False)
class Ring:
    """Where rivals meet a rule: a network, a family of tasks, the runs that are measured, and the rates that rivals choose from.

    Attributes:
        graph: the network.
        task: what it learns: `tasks.Sinusoids` or `tasks.Images`.
        key: draws the runs that are measured.
        runs: how many.
        prior: where all runs start; fresh ones by default.
        rates: to choose from.
        starts: where rivals may start, names of `baselines.STARTS`; by default all of the family's, or where there is a prior only there.
    """

    graph: Graph
    task: Any
    key: Array
    runs: int = 100
    prior: Mapping[str, Array] | None = None
    rates: tuple[float, ...] = baselines.RATES
    starts: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.starts:
            object.__setattr__(self, "starts", STARTS[self.family] if self.prior is None else ("paper",))

    @property
    def family(self) -> str:
        """`"sinusoids"` or `"mnist"`."""
        return "sinusoids" if isinstance(self.task, tasks.Sinusoids) else "mnist"

    @property
    def choosing(self) -> "Ring":
        """The runs that rates are chosen on: others, at most `RUNS`; images are then tested on a quarter of the training images."""
        return replace(self, task=_apart(self.task), key=jax.random.fold_in(self.key, CHOOSING), runs=min(RUNS, self.runs))

    @property
    def quantity(self) -> str:
        """What the task is judged by first: `"eval_loss"` or `"accuracy"`."""
        return "eval_loss" if self.family == "sinusoids" else "accuracy"

    @property
    def sign(self) -> int:
        """1 if a smaller `quantity` is better, else -1."""
        return 1 if self.family == "sinusoids" else -1

    def judge(self, network: Network, rule: Any = None) -> dict[str, Array]:
        """How well a network learns, `(runs, steps + 1)` per quantity; see `tasks.judge`."""
        return tasks.judge(self.task, network, rule, self.key, self.runs, self.prior)

    def judge_at_home(self, learned: Learned) -> dict[str, Array]:
        """The same from where its runs start, whatever the ring's prior is."""
        return replace(self, prior=learned.prior, starts=self.starts).judge(learned.network, learned.rule)

    def losses(self, network: Network, rule: Any = None) -> Array:
        """`quantity` times `sign`, the lower the better, `(runs, steps + 1)`."""
        return self.sign * self.judge(network, rule)[self.quantity]

    def full_batch(self, network: GradientDescent, steps: int) -> Array:
        """The same where each of `steps` steps sees all examples of an episode, `(runs, steps + 1)`."""
        if self.family == "sinusoids":
            return evaluate.full_batch_runs(network, self.task.evaluation_episode, self.key, steps, self.runs, self.prior)
        return evaluate.full_batch_runs(network, self.task.tested_episode, self.key, steps, self.runs, self.prior, _minus_accuracy)

    def long_full_batch(self, network: GradientDescent) -> Array:
        """The same for as many steps as the family allows."""
        return self.full_batch(network, FULL_BATCH_STEPS[self.family])

    def rivals(self, methods: Iterable[str], score: Callable[[GradientDescent], Array] | None = None) -> list[Rival]:
        """Methods from all starts, each at the rate of the lowest score: what the task is judged by, at the end, unless told otherwise."""
        choosing = self.choosing
        score = score or (lambda network: choosing.losses(network)[:, -1].mean())
        return [self._rival(method, start, score) for method in methods for start in self.starts]

    def _rival(self, method, start, score):
        make = partial(MAKERS[method], self.graph, start=start)
        rate, scores = baselines.best_rate(make, score, self.rates)
        return Rival(f"{method} {rate:g}, {LABELS[start]}", make(rate), scores[rate])

    def best(self, score: Callable[[GradientDescent], Array] | None = None) -> Rival:
        """Adam from the best of all starts."""
        return min(self.rivals(("Adam",), score), key=lambda rival: rival.score)

    def _best_full_batch(self, score):
        return replace(self, rates=FULL_BATCH_RATES).best(score)

    def everybody(self) -> dict[str, GradientDescent]:
        """All methods of a family by name: those of the paper at its rates, then all from all starts at their best rates."""
        papers = {f"{name} {rate:g}, the paper's rate": MAKERS[name](self.graph, rate) for name, rate in PAPERS[self.family].items()}
        return papers | {rival.name: rival.network for rival in self.rivals(METHODS[self.family])}

    def best_full_batch(self, steps: int) -> Rival:
        """Full-batch Adam, best after so many steps."""
        choosing = self.choosing
        return self._best_full_batch(lambda network: choosing.full_batch(network, steps)[:, -1].mean())

    def soonest_full_batch(self, protocol: Network, rule: Any) -> Rival:
        """Full-batch Adam, soonest as good as a rule is at the end of an episode."""
        choosing = self.choosing
        goals = choosing.losses(protocol, rule)[:, -1]
        return self._best_full_batch(lambda network: steps_until(choosing.long_full_batch(network), goals).mean())


def steps_until(losses: Array, goals: Array) -> Array:
    """Steps until a run is as good as its goal, one more than there are where it never is: `(runs, steps + 1), (runs,) -> (runs,)`."""
    there = losses <= goals[:, None]
    return jnp.where(there.any(axis=1), there.argmax(axis=1), losses.shape[1])


def _minus_accuracy(prediction, target):
    return -(prediction.argmax(-1) == target.argmax(-1)).mean()


def _apart(task):
    """Images that are tested on a quarter of the training images, from which no run learns."""
    if isinstance(task, tasks.Sinusoids):
        return task
    kept = len(task.x) * 3 // 4
    return replace(task, x=task.x[:kept], y=task.y[:kept], test=(task.x[kept:], task.y[kept:]))
