"""The protocol: learners placed on a graph under a sharing scheme (section 3.1, "Parameter sharing")."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax.core import FrozenDict
from jax import Array

from .adoption import adopt, partner, speakers
from .checks import check_choice, check_key, check_number, check_run, check_type
from .fit import check_delta, check_embeddings, check_gradients, check_hash, check_learners, check_pieces, check_rule, check_step
from .gradients import beside, chain_rule, together
from .graph import Node, walk
from .learners import Learner
from .network import Data, Network, State
from .nodes import Input, Loss
from .rule import Rule, Trail
from .standardize import NORMALIZERS, Statistics, neutral, rescale, standardize
from .watch import Break, first_break

SHARING = ("none", "learners", "all", "kinds")


@dataclass(frozen=True)
class Protocol(Network):
    """Learners on a graph. All methods are pure and may be jitted, vmapped, scanned and differentiated.

    Attributes:
        graph: the network that learns.
        learner: what speaks for each of its nodes: one for all, or one for each kind of node (`Operation.kind`), such as
            `{"weight": GRU(), "*": Stateless()}`, where `"*"` is for all other kinds.
        sharing: `"none"`: every node has a learner and standardizer of its own; `"learners"`: all weight nodes share one
            learner and all bias nodes another; `"all"`: they also share standardizers and scales; `"kinds"`: so do all nodes of a
            kind, activations and losses too, and one rule serves any depth, width and activation.
        normalizer: `"frozen"`: standardize by the calibrated statistics; `"batch"`: every call by its own batch, so an example's
            update depends on its neighbours; `"rms"`: so too, each piece divided by its root mean square, nothing centred;
            `"none"`: learners read all as it is, and nothing is centred.
        gradients: whether the derivative of the loss goes back beside each message, and learners read it as one more channel of what they
            hear, and by their own parameter as a piece after all that was stored (section 5; the paper never does so). They do not
            change it: it is what backpropagation says.

    Raises:
        ValueError: if the sharing scheme or the normalizer is unknown; if learners differ in the width of their messages, a kind of
            node has none, or one is for a kind that does not exist; if nodes that share a learner have embeddings of different lengths;
            if gradients are to go back to a node that averages what its consumers say, or to learners that are gradient descent.
        TypeError: if the graph is none; if a learner is none, or a class; if `gradients` is neither true nor false; if something in them
            has no hash.
    """

    learner: Learner | Mapping[str, Learner]
    sharing: str = "none"
    normalizer: str = "frozen"
    gradients: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_choice("sharing", self.sharing, SHARING)
        check_choice("normalizer", self.normalizer, NORMALIZERS)
        if isinstance(self.learner, Mapping):
            object.__setattr__(self, "learner", FrozenDict(self.learner))  # a dictionary has no hash
        check_learners(self.graph, self.learner if isinstance(self.learner, Mapping) else {"*": self.learner})
        check_embeddings(self)
        check_gradients(self)
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
        """Key of a node's standardizer and scale in `Rule.statistics` and `Rule.scales`."""
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
            if node.op.learns:
                self._add_missing(rule, jax.random.fold_in(key, len(rule.learners)), node, state, message)
            return self._speak(rule, False, node, state, message)

        zeros = {node.name: jnp.zeros((1, node.op.units)) for node in self.graph.nodes if isinstance(node.op, Input)}
        walk(self.graph, self.graph.order, self._node_states(self.init(key, 1), zeros), introduce)
        return rule

    def _add_missing(self, rule, key, node, state, message):
        pieces, _ = self._pieces(node, state, message)
        has_parameter = state.parameter is not None
        learner, group = self.learner_for(node), self.statistics_group(node)
        if self.learner_group(node) not in rule.learners:
            variables = learner.init(key, node.op, self._reads(node, message, pieces), state.carry)
            rule.learners[self.learner_group(node)] = variables.get("params", {})
        rule.statistics.setdefault(group, neutral(len(pieces), has_parameter))
        check_pieces(node, len(pieces), group, len(rule.statistics[group].norm))
        if has_parameter:
            rule.scales.setdefault(group, jnp.asarray(learner.first_scale, float))

    def adopt(self, rule: Rule, source: "Protocol") -> Rule:
        """A rule that was made for another network, moved to this one: deeper or shallower, with another activation, other layers or names.

        A node takes learner, standardizer and scale from the source's node in the same role: of the same kind (`Operation.kind`),
        matched by name where both networks give nodes of this kind the same names, else by place in the forward order: the first
        from the first, the last from the last, those between from the nearest. Sharing schemes may differ as long as no nodes that
        share would have to take different things.

        Args:
            rule: what to adopt.
            source: the protocol it was made for.

        Returns:
            A rule with exactly the shapes of this protocol's `new_rule`.

        Raises:
            ValueError: if the rule is not the source's; if the source has no node of a kind; if learners or normalizers differ, or how
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
        """One gradient-free inner step: forward, seed, backward (eq. 9-10). Fits `jax.lax.scan`.

        Args:
            rule: how to learn.
            state: the network so far.
            x: inputs, `(b, units)`.
            y: targets, `(b, units)`.

        Returns:
            The new state; and what was said, by node: `message (b, units, m)`; `gradient (b, units, 1)`, the derivative of the loss that
            went back beside it, if they do; and, where there is a parameter, its `delta`: what the node added to it.

        Raises:
            ValueError: if shapes do not fit the graph, or the batch does not fit the carries; or, outside of jit, if a number in the
                data or in the rule is not finite.
            TypeError: if data and parameters are not of the same 32-bit or 64-bit floats; if rule or state is none, or of other numbers.
        """
        check_rule(self, rule, finite=True)
        state, seen = self._inner_step(rule, False, state, self._data(state, x, y))
        return state, {name: {k: v for k, v in told.items() if k != "statistics"} for name, told in seen.items()}

    def calibrate(self, rule: Rule, state: State, xs: Array, ys: Array, momentum: float = 1.0) -> Rule:
        """Measures the statistics over one inner run, each step standardized by its own batch (section "Normalization").

        Only a frozen normalizer goes by them; what the others measure at every call is written down all the same.

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

        def step(state, x, y, order):
            return self._inner_step(rule, False, state, self._data(state, x, y), order)[0]

        return first_break(self.graph.order, step, state, xs, ys, limit)

    def _inner_step(self, rule, calibrating, state, data, order=None):
        """Walks the whole order once; gives the new state and what every learner reports."""
        check_step(self, rule, state, data)
        states = walk(self.graph, order or self.graph.order, self._node_states(state, data), partial(self._speak, rule, calibrating))
        carries = {name: states[name].carry for name in state.carries}
        return State(self._moved(state.parameters, states), carries), {name: s.seen for name, s in states.items() if s.seen}

    def _moved(self, parameters, states):
        """The new parameters: of nodes that are tied, each moved its own copy, and all moves count."""
        new = {}
        for name, old in parameters.items():
            users = [node for node in self.graph.nodes if node.owner == name]
            own, *others = (states[user.name].parameter for user in users)
            new[name] = own + sum(other - old for other in others)
            if others and not self.learner_for(users[0]).adds_up:
                new[name] = old + (new[name] - old) / len(users)
        return new

    def _speak(self, rule, calibrating, node, state, message):
        """One node's learner: standardize what it reads, think, take the step (eq. 1, 3, 4)."""
        if not node.op.learns:
            return state._replace(reply=message)
        pieces, gradient = self._pieces(node, state, message)
        statistics = self._statistics(rule, calibrating, node, pieces)
        reads = self._reads(node, message, standardize(statistics, pieces))
        learner = {"params": rule.learners[self.learner_group(node)]}
        thought = self.learner_for(node).apply(learner, node.op, reads, state.carry)
        seen, reply = {"statistics": statistics, "message": thought.message}, thought.message
        if self.gradients:
            seen["gradient"] = gradient
            reply = jnp.concatenate([reply, gradient], axis=-1)
        state = state._replace(carry=thought.carry, reply=reply)
        if thought.update is None:
            return state._replace(seen=seen)
        if statistics.out_mean is None:  # just measured
            centred = NORMALIZERS[self.normalizer].centred
            statistics = statistics._replace(out_mean=thought.update.mean() if centred else jnp.zeros(()))
        delta = node.op.pool(rescale(thought.update, statistics.out_mean, rule.scales[self.statistics_group(node)]))
        check_delta(node, delta, state.parameter)
        seen |= {"statistics": statistics, "delta": delta + state.seen.get("delta", 0.0)}
        return state._replace(parameter=state.parameter + delta, seen=seen)

    def _pieces(self, node, state, message):
        """What is standardized before a learner reads it: message, derivative beside it, parameter, all that was stored, own derivative.

        And the derivative that goes back, if derivatives do.
        """
        pieces = node.op.read(message, state.parameter, state.stored)
        if not self.gradients:
            return pieces, None
        pieces = pieces if isinstance(node.op, Loss) else beside(pieces)
        own, back = chain_rule(node.op, pieces)
        wanted = own is not None and self.learner_for(node).own_gradient
        return (*pieces, own) if wanted else pieces, back

    def _statistics(self, rule, calibrating, node, pieces):
        """By what they are standardized: as measured here and now, or as the rule has it."""
        normalizer = NORMALIZERS[self.normalizer]
        measuring = calibrating or not normalizer.frozen
        return Statistics(*normalizer.measure(pieces), None) if measuring else rule.statistics[self.statistics_group(node)]

    def _reads(self, node, message, pieces):
        """What a learner reads: message and derivative as one, and the node's embedding after all else."""
        pieces = together(pieces) if self.gradients and not isinstance(node.op, Loss) else pieces
        return (*pieces, *self._embedding(node, message))

    def _embedding(self, node, message):
        """The embedding, if any, as one piece for all slots and entries; it is constant, so a standardizer would take it away."""
        if not node.embedding or not self.learner_for(node).embedded:
            return ()
        return (jnp.asarray(node.embedding, message.dtype).reshape((1,) * (1 + len(node.op.shape)) + (-1,)),)
