"""What makes a graph well wired: every slot filled once, an order that can be fired, losses that judge predictions."""

from .arrows import Arrow, Backward, Forward, Node, Seed
from .checks import check_type, shown
from .nodes import Input, Loss


def check_graph(graph):
    """Raises a ValueError or TypeError if the graph's nodes and arrows do not fit together."""
    _check_types(graph)
    _check_names(graph)
    for node in graph.nodes:
        _check_tie(graph, node)
        _check_slots(graph, node)
        _check_consumer(graph, node)
    for arrow in graph.forward:
        _check_widths(graph.node(arrow.source), graph.node(arrow.target))
    _check_seeds(graph)
    _check_order(graph)
    _check_predictions(graph)
    _check_backward(graph)


def _check_types(graph):
    for what, given, kind in (("nodes", graph.nodes, Node), ("order", graph.order, Arrow)):
        check_type(what, given, tuple, f"a tuple of objects of the class {kind.__name__}, or of its subclasses")
        check_all(what, given, kind)


def _check_names(graph):
    names = [node.name for node in graph.nodes]
    if len(set(names)) < len(names):
        raise ValueError(f"Node names {names} repeat; give every node a name of its own.")
    strangers = {end for arrow in graph.order for end in (arrow.source, arrow.target)} - set(names)
    if strangers:
        raise ValueError(f"Arrows name {sorted(strangers)}, which are no nodes of this graph; its nodes are {names}.")


def _check_tie(graph, node):
    owners = {other.name: other.op for other in graph.nodes if not other.tied_to}
    if node.owner != node.name and node.owner not in owners:
        raise ValueError(f"Node {node.name!r} is tied to {node.owner!r}, which is no node that has its own; use one of {sorted(owners)}.")
    mine, theirs = ((op.kind, op.shape, op.parameter_shape) for op in (node.op, owners[node.owner]))
    if mine != theirs:
        raise ValueError(f"Node {node.name!r} is {mine}, but {node.owner!r}, which it is tied to, is {theirs}; make kind and shapes equal.")


def _check_slots(graph, node):
    filled = sorted(arrow.slot for arrow in set(graph.forward) if arrow.target == node.name)
    needed = [] if isinstance(node.op, Input) else list(range(node.op.arity))
    if filled != needed:
        raise ValueError(f"Node {node.name!r} has input slots {needed}, but forward arrows fill {filled}; fill each slot once.")


def _check_seeds(graph):
    for arrow in graph.seeds:
        if arrow.source != arrow.target or not isinstance(graph.node(arrow.source).op, Loss):
            found = f"A seed leads from {arrow.source!r} to {arrow.target!r}"
            raise ValueError(f"{found}; it must lead from a loss to itself, as in Seed('loss', 'loss').")


def _check_consumer(graph, node):
    consumed = isinstance(node.op, Loss) or any(arrow.source == node.name for arrow in graph.forward)
    if node.op.learns and not consumed:
        raise ValueError(f"Node {node.name!r} has no consumer, so no message can reach it; connect it or leave it out.")


def _check_widths(source, target):
    given, wanted = source.op.units, target.op.incoming
    if given != wanted:
        raise ValueError(f"Node {target.name!r} takes {wanted} units, but {source.name!r} sends {given}; make the widths equal.")


def _check_order(graph):
    """Whenever a node fires, all its inputs must have come since it last did; if none has, it only sends its output again."""
    needed = {node.name: set() if isinstance(node.op, Input) else set(range(node.op.arity)) for node in graph.nodes}
    there, fired = {name: set() for name in needed}, set()
    for arrow in (arrow for arrow in graph.order if isinstance(arrow, Forward)):
        if there[arrow.source] != needed[arrow.source] and (there[arrow.source] or arrow.source not in fired):
            raise ValueError(f"Node {arrow.source!r} fires before its inputs are there; change the order of arrows.")
        there[arrow.source] = set()
        fired.add(arrow.source)
        if not isinstance(arrow, Seed):
            there[arrow.target].add(arrow.slot)


def _check_predictions(graph):
    """What a loss judges may not depend on targets, which `predict` does not have."""
    knowing = set(graph.targets)
    for arrow in graph.forward:
        source, target = graph.node(arrow.source), graph.node(arrow.target)
        if isinstance(target.op, Loss) and arrow.slot == 0:
            _check_prediction(source, target, source.name in knowing)
        elif source.name in knowing:
            knowing.add(target.name)


def _check_prediction(source, loss, is_target):
    if is_target:
        found = f"{source.name!r}, which is or depends on a target, goes into the prediction slot of {loss.name!r}"
        raise ValueError(f"{found}; predictions come in slot 0, targets in slot 1.")
    if loss.op.of_distribution and not source.op.distribution:
        found = f"{loss.name!r} needs a distribution, but {source.name!r}, a {type(source.op).__name__}, gives none"
        raise ValueError(f"{found}; put a Softmax between them, or set distribution = True in the class of an operation of your own.")


def _check_backward(graph):
    """Whoever speaks must have been spoken to: the first message is a loss's seed."""
    heard = set()
    for arrow in graph.order:
        if isinstance(arrow, Backward) and arrow.source not in heard:
            raise ValueError(f"Node {arrow.source!r} speaks before any message has come to it; seed its loss first, or change the order.")
        if isinstance(arrow, Backward):
            _check_way_back(graph.node(arrow.source), graph.node(arrow.target), arrow.slot)
        if isinstance(arrow, Seed) or not isinstance(arrow, Forward):
            heard.add(arrow.target)


def _check_way_back(source, target, slot):
    if slot >= source.op.arity:
        slots = list(range(source.op.arity))
        raise ValueError(f"A backward arrow leaves {source.name!r} by slot {slot}, but its input slots are {slots}; use one of them.")
    if source.op.incoming != target.op.units:
        found = f"Node {source.name!r} speaks to {source.op.incoming} units, but {target.name!r} has {target.op.units}"
        raise ValueError(f"{found}; let backward arrows lead back along forward ones.")


def check_walk(order, states):
    """Raises a TypeError if something in the order is no arrow, a ValueError if an arrow ends at a node without a state."""
    check_all("order", order, Arrow)
    missing = {end for arrow in order for end in (arrow.source, arrow.target)} - set(states)
    if missing:
        raise ValueError(f"The states of nodes {sorted(missing)} were not given; pass one NodeState for each node of the graph.")


def check_all(what, given, kind):
    """Raises a TypeError if one of `given` is not of the class `kind`."""
    for one in given:
        if not isinstance(one, kind):
            raise TypeError(f"{what} hold {shown(one)}; give only objects of the class {kind.__name__}, or of its subclasses.")
