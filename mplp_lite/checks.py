"""What must hold of graphs, learners, rules and batches before anything is computed with them; each finding is one sentence."""

from functools import cache

import jax
import jax.numpy as jnp
from jax import Array

from .choices import ACTIVATIONS, check_choice, check_sizes
from .nodes import Input, Loss


def check_graph(graph):
    """Raises a ValueError if the graph's nodes and arrows do not fit together."""
    _check_names(graph)
    for node in graph.nodes:
        _check_slots(graph, node)
        _check_consumer(graph, node)
    for arrow in graph.forward:
        _check_widths(graph.node(arrow.source), graph.node(arrow.target))
    _check_order(graph)


def _check_names(graph):
    names = [node.name for node in graph.nodes]
    if len(set(names)) < len(names):
        raise ValueError(f"Node names {names} repeat; give every node a name of its own.")
    strangers = {end for arrow in graph.order for end in (arrow.source, arrow.target)} - set(names)
    if strangers:
        raise ValueError(f"Arrows name {sorted(strangers)}, which are no nodes of this graph; its nodes are {names}.")


def _check_slots(graph, node):
    filled = sorted(arrow.slot for arrow in set(graph.forward) if arrow.target == node.name)
    needed = [] if isinstance(node.op, Input) else list(range(node.op.arity))
    if filled != needed:
        raise ValueError(f"Node {node.name!r} has input slots {needed}, but forward arrows fill {filled}; fill each slot once.")


def _check_consumer(graph, node):
    consumed = isinstance(node.op, Loss) or any(arrow.source == node.name for arrow in graph.forward)
    if node.op.learns and not consumed:
        raise ValueError(f"Node {node.name!r} has no consumer, so no message can reach it; connect it or leave it out.")


def _check_widths(source, target):
    given, wanted = source.op.units, target.op.incoming
    if given != wanted:
        raise ValueError(f"Node {target.name!r} takes {wanted} units, but {source.name!r} sends {given}; make the widths equal.")


def _check_order(graph):
    """Every node must have all its inputs before an arrow first leaves it."""
    missing = {node.name: set() if isinstance(node.op, Input) else set(range(node.op.arity)) for node in graph.nodes}
    for arrow in graph.forward:
        if missing[arrow.source]:
            raise ValueError(f"Node {arrow.source!r} fires before its inputs are there; change the order of arrows.")
        missing[arrow.target].discard(arrow.slot)


def check_step(protocol, rule, state, data: dict[str, Array]) -> None:
    """Checks that a rule belongs to a protocol, and that a batch has as many examples as the carries have slots.

    Raises:
        ValueError: if not.
    """
    if jax.tree.map(jnp.shape, rule) != _rule_shapes(protocol):
        raise ValueError("This rule was made for another protocol; use new_rule, or the protocol it was made for.")
    held = {carry.shape[0] for carry in state.carries.values()}
    given = next(value.shape[0] for value in data.values())
    if given < 1 or held - {given}:
        slots, remedy = max(held, default="1 or more"), f"make the state with init(key, batch={max(given, 1)})"
        raise ValueError(f"A batch of {given} was given, but the learners' carry holds {slots} slots; {remedy}.")


@cache
def _rule_shapes(protocol):
    return jax.tree.map(jnp.shape, jax.eval_shape(protocol._new_rule, jax.random.key(0)))


def check_learner(learner) -> None:
    """Checks the sizes and the activation of a learner that has such fields.

    Raises:
        ValueError: if one cannot be.
    """
    check_sizes(**{name: getattr(learner, name) for name in ("message", "widths") if hasattr(learner, name)})
    check_sizes(0, hidden=getattr(learner, "hidden", 0))
    check_choice("activation", getattr(learner, "activation", "relu"), ACTIVATIONS)
