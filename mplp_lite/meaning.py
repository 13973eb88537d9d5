"""What the numbers of a rule mean: learners, nodes and standardizers of the protocol it was made for, as plain data."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .adoption import speakers
from .describe import describe, settings
from .meta_descent import MetaDescent
from .protocol import Protocol

FORMAT = 2
"""Of rules on disk; those of format 1 held no meaning."""


def meaning(protocol: Protocol | MetaDescent) -> dict[str, Any]:
    """All that gives a rule's numbers their sense, as JSON can hold it; equal for protocols that may use each other's rules as they are.

    Learners and nodes are told by their class and fields, but those that are `incidental`: widths are, for a rule serves any. Where
    nodes share by kind, only kinds are told, and how their messages are collected: there a rule serves any names, depth and activation.
    """
    if isinstance(protocol, MetaDescent):
        told = {"rates": protocol.rates, "direction": protocol.direction}
        return {"format": FORMAT, "descent": told | ({"rate": protocol.first_rate} if protocol.rates == "none" else {})}
    nodes = speakers(protocol.graph)
    learners = {protocol.learner_group(node): _told(protocol.learner_for(node)) for node in nodes}
    told = _kinds(protocol.graph, nodes) if protocol.sharing == "kinds" else _nodes(protocol.graph, nodes)
    beside = {"gradients": True} if protocol.gradients else {}
    return {"format": FORMAT, "sharing": protocol.sharing, "normalizer": protocol.normalizer, **beside, "learners": learners, "nodes": told}


def _nodes(graph, nodes):
    gathering = {node.name: {"gathers": node.aggregate} if _consumers(graph, node) > 1 else {} for node in nodes}
    return {node.name: {**_told(node.op), **gathering[node.name], "embedding": list(node.embedding)} for node in nodes}


def _kinds(graph, nodes):
    told = {node.op.kind: {"aggregate": set(), "gathers": set()} for node in nodes}
    for node in nodes:
        told[node.op.kind]["aggregate"] |= {node.op.aggregate} if hasattr(node.op, "aggregate") else set()
        told[node.op.kind]["gathers"] |= {node.aggregate} if _consumers(graph, node) > 1 else set()
    return {kind: {how: sorted(found) for how, found in ways.items()} for kind, ways in told.items()}


def _consumers(graph, node):
    return sum(arrow.source == node.name for arrow in set(graph.forward))


def _told(thing):
    """Class and fields of a learner or an operation, but those that are incidental."""
    names = (field.name for field in fields(thing) if field.name not in {"parent", "name"} | thing.incidental)
    return {"type": type(thing).__name__} | {name: describe(getattr(thing, name)) for name in names}


def first_difference(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first thing that two meanings do not have in common, in words; `None` if they are equal."""
    theirs, ours = dict(settings(given)), dict(settings(wanted))
    for name in (*theirs, *ours):
        if theirs.get(name) != ours.get(name):
            said, wanted_here = (repr(told[name]) if name in told else "nothing" for told in (theirs, ours))
            return f"{name} {said}, not {wanted_here}"
    return None
