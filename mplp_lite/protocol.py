"""The protocol: learners placed on a graph under a sharing scheme (section 3.1, "Parameter sharing")."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import FrozenDict
from jax import Array

from .adoption import adopt, partner, speakers
from .checks import check_choice, check_finite, check_float, check_key, check_number, check_run, check_type, is_number, shown
from .graph import Arrow, Backward, Graph, Node, walk
from .learners import Learner
from .network import Data, Network, State, check_state, count
from .nodes import Input, Operation
from .standardize import NORMALIZERS, Statistics, neutral, rescale, standardize

SHARING = ("none", "learners", "all", "kinds")


class Rule(NamedTuple):
    """Everything that says how a network learns; a pytree.

    Attributes:
        learners: parameters of each learner, by group; meta-trained.
        scales: what each group's updates are multiplied with, `()`; meta-trained.
        statistics: the standardisers' `Statistics`, by group; calibrated, never trained.
    """

    learners: Mapping[str, Any]
    scales: Mapping[str, Array]
    statistics: Mapping[str, Statistics]

    def __repr__(self):
        groups = " ".join(self.learners)
        return f"Rule({count(self.learners)} in learners {groups}; {count(self.scales)} in scales; {count(self.statistics)} in statistics)"

    @property
    def trained(self) -> dict[str, Any]:
        """The part that meta-training may change."""
        return {"learners": self.learners, "scales": self.scales}

    def with_trained(self, trained: Mapping[str, Any]) -> "Rule":
        """This rule with another trained part.

        Raises:
            ValueError: if it holds anything but `learners` and `scales`.
            TypeError: if it is no dictionary.
        """
        check_type("trained", trained, Mapping, "a dictionary such as Rule.trained")
        for part in trained:
            check_choice("part", part, ("learners", "scales"))
        return self._replace(**trained)


Trail = dict[str, dict[str, Array]]


class Break(NamedTuple):
    """Where an inner run first broke.

    Attributes:
        step: the inner step, from 0.
        node: the node.
        what: what of it: its `"output"`, its `"message"`, or its `"parameter"`.
    """

    step: int
    node: str
    what: str


@dataclass(frozen=True)
class Protocol(Network):
    """Learners on a graph. All methods are pure and may be jitted, vmapped, scanned and differentiated.

    Attributes:
        graph: the network that learns.
        learner: what speaks for each of its nodes: one for all, or one for each kind of node (`Operation.kind`), such as
            `{"weight": GRU(), "*": Stateless()}`, where `"*"` is for all other kinds.
        sharing: `"none"`: every node has a learner and standardiser of its own; `"learners"`: all weight nodes share one
            learner and all bias nodes another; `"all"`: they also share standardisers and scales; `"kinds"`: so do all nodes of a
            kind, activations and losses too, and one rule serves any depth, width and activation.
        normalizer: `"frozen"`: standardise by the calibrated statistics; `"batch"`: every call by its own batch, so an example's
            update depends on its neighbours; `"rms"`: so too, each piece divided by its root mean square, nothing centred;
            `"none"`: learners read all as it is, and nothing is centred.

    Raises:
        ValueError: if the sharing scheme or the normaliser is unknown; if learners differ in the width of their messages, a kind of
            node has none, or one is for a kind that does not exist; if nodes that share a learner have embeddings of different lengths.
        TypeError: if the graph is none; if a learner is none, or a class; if something in them has no hash.
    """

    learner: Learner | Mapping[str, Learner]
    sharing: str = "none"
    normalizer: str = "frozen"

    def __post_init__(self):
        super().__post_init__()
        check_choice("sharing", self.sharing, SHARING)
        check_choice("normalizer", self.normalizer, NORMALIZERS)
        if isinstance(self.learner, Mapping):
            object.__setattr__(self, "learner", FrozenDict(self.learner))  # a dictionary has no hash
        check_learners(self.graph, self.learner if isinstance(self.learner, Mapping) else {"*": self.learner})
        check_embeddings(self)
        check_hash(self)

    def check_rule(self, rule: Rule) -> None:
        """Lets a rule pass that fits this protocol, as far as shapes tell, and holds finite floats.

        Raises:
            ValueError, TypeError: if it does not.
        """
        check_rule(self, rule, finite=True)

    def learner_for(self, node: Node) -> Learner:
        """What speaks for a node."""
        if isinstance(self.learner, Learner):
            return self.learner
        return self.learner[node.op.kind if node.op.kind in self.learner else "*"]

    def learner_group(self, node: Node) -> str:
        """Key of a node's learner in `Rule.learners`."""
        by_kind = self.sharing == "kinds" or (self.sharing != "none" and node.op.parameter_shape is not None)
        return node.op.kind if by_kind else node.owner

    def statistics_group(self, node: Node) -> str:
        """Key of a node's standardiser and scale in `Rule.statistics` and `Rule.scales`."""
        return self.learner_group(node) if self.sharing in ("all", "kinds") else node.owner

    def new_rule(self, key: Array) -> Rule:
        """An untrained, uncalibrated rule.

        Raises:
            TypeError: if `key` is no random key.
        """
        check_key(key)
        return self._compiled_new_rule(key)

    @partial(jax.jit, static_argnums=0)
    def _compiled_new_rule(self, key):
        return self._new_rule(key)

    def _new_rule(self, key):
        rule = Rule({}, {}, {})

        def introduce(node, state, message):
            self._add_missing(rule, jax.random.fold_in(key, len(rule.learners)), node, state, message)
            return self._speak(rule, False, node, state, message)

        zeros = {node.name: jnp.zeros((1, node.op.units)) for node in self.graph.nodes if isinstance(node.op, Input)}
        walk(self.graph, self.graph.order, self._node_states(self.init(key, 1), zeros), introduce)
        return rule

    def _add_missing(self, rule, key, node, state, message):
        reads = node.op.read(message, state.parameter, state.stored)
        has_parameter = state.parameter is not None
        learner, group = self.learner_for(node), self.statistics_group(node)
        if self.learner_group(node) not in rule.learners:
            variables = learner.init(key, node.op, (*reads, *self._embedding(node, message)), state.carry)
            rule.learners[self.learner_group(node)] = variables.get("params", {})
        rule.statistics.setdefault(group, neutral(len(reads), has_parameter))
        check_pieces(node, len(reads), group, len(rule.statistics[group].norm))
        if has_parameter:
            rule.scales.setdefault(group, jnp.asarray(learner.first_scale, float))

    def adopt(self, rule: Rule, source: "Protocol") -> Rule:
        """A rule that was made for another network, moved to this one: deeper or shallower, with another activation, other layers or names.

        A node takes learner, standardiser and scale from the source's node in the same role: of the same kind (`Operation.kind`),
        matched by name where both networks give nodes of this kind the same names, else by place in the forward order: the first
        from the first, the last from the last, those between from the nearest. Sharing schemes may differ as long as no nodes that
        share would have to take different things.

        Args:
            rule: what to adopt.
            source: the protocol it was made for.

        Returns:
            A rule with exactly the shapes of this protocol's `new_rule`.

        Raises:
            ValueError: if the rule is not the source's; if the source has no node of a kind; if learners or normalisers differ, or how
                weights collect messages; if nodes that share would take from nodes that do not; or if nodes read another number of
                pieces than those they take from.
            TypeError: if the rule or the source is none.
        """
        check_type("rule", rule, Rule, "the Rule to adopt")
        check_type("source", source, Protocol, "the Protocol that the rule was made for")
        return adopt(self, rule, source)

    def partners(self, source: "Protocol") -> dict[str, str]:
        """What `adopt` carries over: for each node that a learner speaks for, the source's node that it learns as from then on.

        Raises:
            ValueError: if the source has no node of a kind.
            TypeError: if the source is no protocol.
        """
        check_type("source", source, Protocol, "the Protocol that the rule was made for")
        return {node.name: partner(node, self.graph, source.graph).name for node in speakers(self.graph)}

    def first_carries(self, prior, batch):
        """What the learners' `first_carry` gives, for each node whose learner has a memory."""
        carries = {node.name: self.learner_for(node).first_carry(node.op, batch) for node in self.graph.nodes if node.op.learns}
        return {name: carry for name, carry in carries.items() if carry is not None}

    def update(self, rule: Rule, state: State, x: Data, y: Data) -> tuple[State, Trail]:
        """One gradient-free inner step: forward, seed, backward. Fits `jax.lax.scan`.

        Args:
            rule: how to learn.
            state: the network so far.
            x: inputs, `(b, units)`.
            y: targets, `(b, units)`.

        Returns:
            The new state; and what was said, by node: `message (b, units, m)` and, where there is a parameter, its `delta`:
            what the node added to it.

        Raises:
            ValueError: if shapes do not fit the graph, or the batch does not fit the carries; or, outside of jit, if a number in the
                data or in the rule is not finite.
            TypeError: if data and parameters are not of the same 32-bit or 64-bit floats; if rule or state is none, or of other numbers.
        """
        check_rule(self, rule, finite=True)
        state, seen = self._inner_step(rule, False, state, self._data(state, x, y))
        return state, {name: {k: v for k, v in told.items() if k != "statistics"} for name, told in seen.items()}

    def calibrate(self, rule: Rule, state: State, xs: Array, ys: Array, momentum: float = 1.0) -> Rule:
        """Measures the statistics over one inner run, each step standardised by its own batch (section "Normalization").

        Only a frozen normaliser goes by them; what the others measure at every call is written down all the same.

        Args:
            rule: the rule to calibrate.
            state: where the run starts.
            xs: inputs, `(steps, b, units)`.
            ys: targets, `(steps, b, units)`.
            momentum: `p` in `new = (1 - p) old + p measured`, a plain number. Nodes that share statistics write one after the other,
                as in the published code.

        Raises:
            ValueError, TypeError: see `update`; or if `momentum` is outside [0, 1], or inputs and targets differ in steps.
        """
        check_number("momentum", momentum, 0, 1)
        check_run(xs, ys)
        if not all(map(len, jax.tree.leaves((xs, ys)))):
            raise ValueError("Calibration was given 0 steps; it needs at least 1.")
        _, seen = jax.lax.scan(lambda s, xy: self._inner_step(rule, True, s, self._data(s, *xy)), state, (xs, ys))
        statistics = dict(rule.statistics)
        for node in self.graph.nodes:
            if node.name in seen:
                group = self.statistics_group(node)
                measured = jax.tree.map(lambda value: value.mean(axis=0), seen[node.name]["statistics"])
                statistics[group] = jax.tree.map(lambda old, new: (1 - momentum) * old + momentum * new, statistics[group], measured)
        return rule._replace(statistics=statistics)

    def first_break(self, rule: Rule, state: State, xs: Data, ys: Data, limit: float = float("inf")) -> Break | None:
        """Finds the node at which an inner run first breaks, in the order in which arrows fire; `None` if none does.

        It looks at each output, message and parameter, whether all its numbers are finite and no larger than `limit`: for a rule that
        was let run too long, or a training that skips steps. Not for use inside of jit.

        Args:
            rule: how to learn.
            state: where the run starts.
            xs: inputs, `(steps, b, units)`, or a dictionary of such.
            ys: targets, likewise.
            limit: the largest size that still counts as whole, `> 0`.

        Raises:
            ValueError: if `limit` is not above 0; see `update`.
            TypeError: see `update`.
        """
        if not is_number(limit) or not limit > 0:
            raise ValueError(f"limit={shown(limit)} was given; it must be above 0.")
        check_state(state)
        check_run(xs, ys, finite=False)
        order, broken = self.graph.order, np.argwhere(~self._watched(rule, state, xs, ys, limit))
        if not len(broken):
            return None
        step, arrow, part = map(int, broken[0])
        said = "message" if isinstance(order[arrow], Backward) else "output"
        return Break(step, order[arrow].source, ("parameter", said)[part])

    def _watched(self, rule, state, xs, ys, limit):
        """Whether parameter and message were whole after each arrow had fired, `(steps, arrows, 2)`."""

        def step(state, xy):
            noted = []
            order = [_Watched(arrow.source, arrow.target, arrow.slot, arrow=arrow, limit=limit, noted=noted) for arrow in self.graph.order]
            return self._inner_step(rule, False, state, self._data(state, *xy), order)[0], jnp.stack(noted)

        return np.asarray(jax.jit(lambda state: jax.lax.scan(step, state, (xs, ys))[1])(state))

    def _inner_step(self, rule, calibrating, state, data, order=None):
        """Walks the whole order once; gives the new state and what every learner reports."""
        check_step(self, rule, state, data)
        states = walk(self.graph, order or self.graph.order, self._node_states(state, data), partial(self._speak, rule, calibrating))
        carries = {name: states[name].carry for name in state.carries}
        return State(self._moved(state.parameters, states), carries), {name: s.seen for name, s in states.items() if s.seen}

    def _moved(self, parameters, states):
        """The new parameters: of nodes that are tied, each moved its own copy, and all moves add up."""
        new = {name: states[name].parameter for name in parameters}
        for node in self.graph.nodes:
            if node.tied_to in new:
                new[node.tied_to] = new[node.tied_to] + (states[node.name].parameter - parameters[node.tied_to])
        return new

    def _speak(self, rule, calibrating, node, state, message):
        """One node's learner: standardise what it reads, think, take the step (eq. 1, 3, 4)."""
        if not node.op.learns:
            return state._replace(reply=message)
        reads, statistics = self._reads(rule, calibrating, node, state, message)
        learner = {"params": rule.learners[self.learner_group(node)]}
        thought = self.learner_for(node).apply(learner, node.op, reads, state.carry)
        seen = {"statistics": statistics, "message": thought.message}
        state = state._replace(carry=thought.carry, reply=thought.message)
        if thought.update is None:
            return state._replace(seen=seen)
        if statistics.out_mean is None:  # just measured
            centred = NORMALIZERS[self.normalizer].centred
            statistics = statistics._replace(out_mean=thought.update.mean() if centred else jnp.zeros(()))
        delta = node.op.pool(rescale(thought.update, statistics.out_mean, rule.scales[self.statistics_group(node)]))
        check_delta(node, delta, state.parameter)
        seen |= {"statistics": statistics, "delta": delta + state.seen.get("delta", 0.0)}
        return state._replace(parameter=state.parameter + delta, seen=seen)

    def _reads(self, rule, calibrating, node, state, message):
        """What a node's learner reads, and the statistics by which it was standardised."""
        normalizer, reads = NORMALIZERS[self.normalizer], node.op.read(message, state.parameter, state.stored)
        measuring = calibrating or not normalizer.frozen
        statistics = Statistics(*normalizer.measure(reads), None) if measuring else rule.statistics[self.statistics_group(node)]
        return (*standardize(statistics, reads), *self._embedding(node, message)), statistics

    def _embedding(self, node, message):
        """The embedding, if any, as one piece for all slots and entries; it is constant, so a standardiser would take it away."""
        if not node.embedding or not self.learner_for(node).embedded:
            return ()
        return (jnp.asarray(node.embedding, message.dtype).reshape((1,) * (1 + len(node.op.shape)) + (-1,)),)


@dataclass(frozen=True, kw_only=True)
class _Watched(Arrow):
    """An arrow that notes whether what it found was whole."""

    arrow: Arrow
    limit: float
    noted: list

    def send(self, node, state, learn):
        state, message = self.arrow.send(node, state, learn)
        own = jnp.zeros(()) if state.parameter is None else state.parameter
        self.noted.append(jnp.stack([(jnp.isfinite(values) & (jnp.abs(values) <= self.limit)).all() for values in (own, message)]))
        return state, message

    def deliver(self, state, message):
        return self.arrow.deliver(state, message)


def check_learners(graph: Graph, learners: Mapping[str, Learner]) -> None:
    """Checks that every node has a learner, by kind or by `"*"`, and that all speak messages of one width.

    Raises:
        TypeError: if one is no learner, or a class.
        ValueError: if not.
    """
    for learner in learners.values():
        if not isinstance(learner, Learner):
            raise TypeError(f"learner={shown(learner)} was given; pass a learner that was called into being, such as GRU().")
    widths = {kind: learner.message for kind, learner in learners.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"Learners with messages of {widths} channels were given; learners that speak to each other need one width.")
    missing = {node.op.kind for node in graph.nodes if node.op.learns} - set(learners)
    if missing and "*" not in learners:
        raise ValueError(f"Nodes of kinds {sorted(missing)} have no learner; name one for each, or one for all others under '*'.")
    kinds = {node.op.kind for node in graph.nodes if node.op.learns}
    strangers = [kind for kind in learners if kind not in kinds | set(_kinds(Operation)) | {"*"}]
    if strangers:
        found = f"A learner was given for the kind {shown(strangers[0])}, which no operation is of"
        raise ValueError(f"{found}; this graph has nodes of the kinds {sorted(kinds)}.")


def _kinds(operation):
    """Names of an operation's class and of its subclasses."""
    yield operation.__name__.lower()
    for subclass in operation.__subclasses__():
        yield from _kinds(subclass)


def check_hash(protocol) -> None:
    """Checks that a protocol has a hash, by which jax finds what it compiled.

    Raises:
        TypeError: if not.
    """
    try:
        hash(protocol)
    except TypeError as error:
        told = f"An operation or a learner of this protocol has no hash ({error})"
        raise TypeError(f"{told}; hold tuples in its fields instead of lists and arrays.") from error


def check_embeddings(protocol) -> None:
    """Checks that nodes that share a learner have embeddings of one length.

    Raises:
        ValueError: if not.
    """
    lengths = {}
    for node in protocol.graph.nodes:
        group, length = protocol.learner_group(node), len(node.embedding)
        if node.op.learns and lengths.setdefault(group, length) != length:
            found = f"Node {node.name!r} has an embedding of {length} numbers, but others of {group!r}, whose learner it shares, have"
            raise ValueError(f"{found} {lengths[group]}; make them equally long.")


def check_pieces(node: Node, pieces: int, group: str, held: int) -> None:
    """Checks that a node reads as many pieces as the standardiser that it shares holds.

    Raises:
        ValueError: if not.
    """
    if pieces != held:
        found = f"Node {node.name!r} reads {pieces} pieces, but {group!r}, whose standardiser it shares, reads {held}"
        raise ValueError(f"{found}; give it a kind of its own, or use sharing='none'.")


def check_delta(node: Node, delta: Array, parameter: Array) -> None:
    """Checks that a change has the shape of the parameter it is for, so that nothing is broadcast.

    Raises:
        ValueError: if not.
    """
    if delta.shape != parameter.shape:
        found = f"The updates of node {node.name!r} have shape {delta.shape}, but its parameter has {parameter.shape}"
        raise ValueError(f"{found}; let the learner propose one per entry and the operation's pool() give one per number.")


def check_step(protocol, rule, state, data: dict[str, Array]) -> None:
    """Checks that a rule belongs to a protocol, and that the carries are its learners' for batches as large as this one.

    Raises:
        ValueError: if not.
    """
    check_rule(protocol, rule)
    batch = next(value.shape[0] for value in data.values())
    _check_carries(protocol, state.carries, batch)


def check_rule(protocol, rule, finite: bool = False) -> None:
    """Checks that a rule belongs to a protocol, as far as shapes tell, and holds floats, `finite` ones or any.

    Raises:
        ValueError, TypeError: if not.
    """
    check_type("rule", rule, Rule, "the Rule that new_rule made or load read")
    if jax.tree.map(np.shape, rule) != _rule_shapes(protocol):
        raise ValueError("This rule was made for another protocol; use new_rule, or the protocol it was made for.")
    for name, leaf in jax.tree.leaves_with_path(rule):
        told = f"the rule's {jax.tree_util.keystr(name, simple=True, separator='/')}"
        if not isinstance(leaf, float):
            check_float(told, leaf)
        if finite:
            check_finite(told, leaf)


def _check_carries(protocol, carries, batch):
    held, needed = jax.tree.map(jnp.shape, dict(carries)), _carry_shapes(protocol, batch)
    if held.keys() != needed.keys():
        given = f"The state has carries of nodes {sorted(held)}, but the learners keep them for {sorted(needed)}"
        raise ValueError(f"{given}; make the state with init or begin.")
    if held != needed:
        node, slots = next(name for name in held if held[name] != needed[name]), _slots(protocol, carries)
        given = f"A batch of {batch} was given, but the learners' carry holds {slots} slots"
        if slots is None:
            given = f"The carry of node {node!r} has shape {held[node]}, but a batch of {batch} needs {needed[node]}"
        raise ValueError(f"{given}; make the state with init(key, batch={batch}).")
    for name, carry in carries.items():
        for leaf, template in zip(jax.tree.leaves(carry), jax.tree.leaves(_carries(protocol, batch)[name])):
            _check_carry(f"the carry of node {name!r}", leaf, template)


def _check_carry(what, leaf, template):
    if jnp.issubdtype(template.dtype, jnp.floating) and getattr(leaf, "dtype", template.dtype) != template.dtype:
        check_float(what, leaf)


def _slots(protocol, carries):
    """The batch that these carries were made for, `None` if they are no protocol's."""
    lengths = {jnp.shape(leaf)[0] for leaf in jax.tree.leaves(carries) if jnp.ndim(leaf)}
    shapes = jax.tree.map(jnp.shape, dict(carries))
    return next((batch for batch in sorted(lengths) if batch and _carry_shapes(protocol, batch) == shapes), None)


@cache
def _carries(protocol, batch):
    return jax.eval_shape(partial(protocol.init, batch=batch), jax.random.key(0)).carries


@cache
def _carry_shapes(protocol, batch):
    return jax.tree.map(jnp.shape, _carries(protocol, batch))


@cache
def _rule_shapes(protocol):
    return jax.tree.map(jnp.shape, jax.eval_shape(protocol._new_rule, jax.random.key(0)))
