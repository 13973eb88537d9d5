"""What must hold of a graph before anything is computed with it; each finding is one sentence."""

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
