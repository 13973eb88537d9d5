"""A rule moves: what was learned on one network goes to the nodes that play the same roles in another."""

from dataclasses import fields

import jax


def adopt(target, rule, source):
    """The rule `rule` of protocol `source`, for protocol `target`; see `Protocol.adopt`."""
    if _shapes(rule) != _shapes(_template(source)):
        raise ValueError("This rule was made for another protocol than the source; pass the one it was made for.")
    if target.normalizer != source.normalizer:
        found = f"The rule was made with normalizer={source.normalizer!r}, but this protocol has {target.normalizer!r}"
        raise ValueError(f"{found}; adopt it with the same one.")
    if target.gradients != source.gradients:
        found = f"The rule was made with gradients={source.gradients}, but this protocol has {target.gradients}"
        raise ValueError(f"{found}; adopt it with the same.")
    pairs = [(node, partner(node, target.graph, source.graph)) for node in speakers(target.graph)]
    for node, other in pairs:
        _check_learners(node.name, target.learner_for(node), other.name, source.learner_for(other))
        _check_collecting(node, other)
    learners = _chosen(pairs, target.learner_group, source.learner_group, "learner")
    statistics = _chosen(pairs, target.statistics_group, source.statistics_group, "standardizer")
    adopted = rule._replace(
        learners={group: rule.learners[other] for group, other in learners.items()},
        scales={group: rule.scales[other] for group, other in statistics.items() if other in rule.scales},
        statistics={group: rule.statistics[other] for group, other in statistics.items()},
    )
    _check_sizes(adopted, _template(target), learners | statistics)
    return adopted


def speakers(graph):
    """The nodes that learners speak for, in the order in which they first fire; what is tied to another is not among them."""
    names = dict.fromkeys(arrow.source for arrow in (*graph.forward, *graph.seeds))
    return [node for node in map(graph.node, names) if node.op.learns and not node.tied_to]


def partner(node, graph, other):
    """The node of graph `other` that plays the role that `node` plays in `graph`.

    Nodes of a kind are matched by name where the two graphs call them by the same names, else by place in the forward order: the
    first with the first, the last with the last, those between with the nearest.

    Raises:
        ValueError: if `other` has no node of this kind.
    """
    own, theirs = ([speaker for speaker in speakers(one) if speaker.op.kind == node.op.kind] for one in (graph, other))
    if not theirs:
        kinds = sorted({speaker.op.kind for speaker in speakers(other)})
        problem = f"Node {node.name!r} is of the kind {node.op.kind!r}, but the rule was made for {kinds}; it has nothing to adopt"
        raise ValueError(f"{problem}. If it works like one of them, set its class's kind to that one.")
    if {speaker.name for speaker in own} == {speaker.name for speaker in theirs}:
        return other.node(node.name)
    return theirs[round(own.index(node) * (len(theirs) - 1) / max(len(own) - 1, 1))]


def _check_learners(name, learner, other_name, other):
    """Equal numbers mean the same to learners that differ in nothing but how they start or how they are computed."""
    found, wanted = ({field.name: getattr(one, field.name) for field in fields(one)} for one in (learner, other))
    differing = [field for field in found if field not in learner.incidental and found[field] != wanted.get(field)]
    have = f"Node {name!r} would learn as node {other_name!r} did, but it has"
    if type(learner) is not type(other):
        raise ValueError(f"{have} a {type(learner).__name__} instead of a {type(other).__name__}; adopt with equal learners.")
    if differing:
        said = f"{differing[0]}={found[differing[0]]!r} instead of {wanted[differing[0]]!r}"
        raise ValueError(f"{have} a learner with {said}; adopt with equal learners.")


def _check_collecting(node, other):
    """A learner that was made for means does not know what to make of sums."""
    found, wanted = (getattr(one.op, "aggregate", None) for one in (node, other))
    if type(node.op) is type(other.op) and found != wanted:
        have = f"Node {node.name!r} collects messages with aggregate={found!r}, but {other.name!r}, whose rule it would have, with"
        raise ValueError(f"{have} {wanted!r}; adopt with the same one.")


def _chosen(pairs, own_group, other_group, what):
    """For each group of the target, the one group of the source that all its nodes look to."""
    chosen = {}
    for node, other in pairs:
        group, found = own_group(node), other_group(other)
        if chosen.setdefault(group, found) != found:
            have = f"The nodes of {group!r} share one {what}, but {chosen[group]!r} and {found!r} have two to give"
            raise ValueError(f"{have}; use a sharing scheme that keeps them apart.")
    return chosen


def _check_sizes(adopted, template, origins):
    for group, statistics in template.statistics.items():
        (needed,), (found,) = statistics.norm.shape, adopted.statistics[group].norm.shape
        if found != needed:
            raise ValueError(f"{group!r} reads {needed} pieces, but {origins[group]!r} reads {found}; a rule moves between equal readers.")
    for group, learner in template.learners.items():
        if _shapes(learner) != _shapes(adopted.learners[group]):
            raise ValueError(f"The learner of {group!r} has other sizes than that of {origins[group]!r}; a rule moves between equal sizes.")


def _template(protocol):
    return jax.eval_shape(protocol.new_rule, jax.random.key(0))


def _shapes(tree):
    return jax.tree.map(lambda leaf: leaf.shape, tree)
