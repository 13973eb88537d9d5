"""What fits together: learners and a graph, a rule and a protocol, carries and a batch."""

from collections.abc import Mapping
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import check_finite, check_float, check_type, shown
from .descent import Backprop
from .graph import Graph, Node
from .learners import Learner
from .nodes import Input, Operation
from .rule import Rule


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


def check_gradients(protocol) -> None:
    """Checks that gradients, if they are to go back, are sums wherever several nodes listen, and that learners have a use for them.

    Raises:
        TypeError: if `gradients` is neither true nor false.
        ValueError: if not.
    """
    check_type("gradients", protocol.gradients, bool, "true or false")
    if not protocol.gradients:
        return
    sources = [arrow.source for arrow in protocol.graph.forward]
    for node in protocol.graph.nodes:
        if not isinstance(node.op, Input) and sources.count(node.name) > 1 and node.aggregate != "sum":
            raise ValueError(f"Node {node.name!r} averages what its consumers say, but gradients add up; build it with aggregate='sum'.")
        if node.op.learns and isinstance(protocol.learner_for(node), Backprop):
            raise ValueError("gradients=True was given with a learner that is gradient descent; its messages are gradients already.")


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
    """Checks that a node reads as many pieces as the standardizer that it shares holds.

    Raises:
        ValueError: if not.
    """
    if pieces != held:
        found = f"Node {node.name!r} reads {pieces} pieces, but {group!r}, whose standardizer it shares, reads {held}"
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
