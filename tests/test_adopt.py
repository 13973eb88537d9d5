"""A rule made for one network moves to another: who takes from whom, under which sharing, and what is refused."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import pytest

from helpers import Gain, identical, jit, noise, random_prior, random_rule, refused
from mplp_lite.adoption import partner
from mplp_lite.descent import FeedbackAlignment
from mplp_lite.graph import Node, connect, mlp
from mplp_lite.learners import GRU, Stateless
from mplp_lite.nodes import Input, Weight
from mplp_lite.protocol import Protocol
from test_tying import Convolution, chain, dense

SMALL, PAIR = GRU(message=3, hidden=2, widths=(4,)), Stateless(message=3, widths=(4,))
SIGMOID = mlp(2, 4, 4, 3, activation="sigmoid")
STEP = mlp(2, 4, 4, 3, activation="step")
DEEPER = mlp(5, 2, 3, 6, 4, 1, activation="step")
SHALLOW = mlp(2, 9, 3, activation="sigmoid")
GROUPS = {"W1": "weight", "W2": "weight", "W3": "weight", "b1": "bias", "b2": "bias", "b3": "bias"}


def adopted(target, source, learner=SMALL, sharing="none", source_sharing=None):
    """A random rule of `source`, and what `target` makes of it; its shapes are those that `target` asks for."""
    target, source = Protocol(target, learner, sharing), Protocol(source, learner, source_sharing or sharing)
    rule = random_rule(source)
    moved = target.adopt(rule, source)
    wanted = jax.eval_shape(target.new_rule, jax.random.key(0))
    assert jax.tree.map(jnp.shape, moved) == jax.tree.map(jnp.shape, wanted)
    batch = 4
    x, y = (noise(k, batch, target.graph.node(name).op.units) for k, name in enumerate("xy"))
    jax.eval_shape(target.update, moved, target.begin(random_prior(target), batch), x, y)
    return rule, moved


def same(moved, rule, roles):
    """Whether each group of `moved` holds, bit for bit, what the group of `rule` in its role does."""
    parts = ((new, old) for new, old in zip(moved, rule, strict=True))
    return all(identical(new[group], old[roles.get(group, group)]) for new, old in parts for group in new)


@pytest.mark.parametrize("learner", [SMALL, PAIR], ids=["gru", "stateless"])
@pytest.mark.parametrize("sharing", ["none", "learners", "all", "kinds"])
def test_a_step_network_adopts_the_rule_of_a_sigmoid_network(sharing, learner):
    rule, moved = adopted(STEP, SIGMOID, learner, sharing)
    assert same(moved, rule, {"step1": "sigmoid1", "step2": "sigmoid2"})
    assert ("step1" in moved.learners) == (sharing != "kinds")


def test_an_adopted_rule_learns_as_the_rule_did():
    """On a network that differs in nothing but names."""
    names = {node.name: f"my {node.name}" for node in SIGMOID.nodes if node.name not in "xy"}
    renamed = replace(
        SIGMOID,
        nodes=tuple(replace(node, name=names.get(node.name, node.name)) for node in SIGMOID.nodes),
        order=tuple(replace(a, source=names.get(a.source, a.source), target=names.get(a.target, a.target)) for a in SIGMOID.order),
    )
    target, source = Protocol(renamed, SMALL), Protocol(SIGMOID, SMALL)
    rule, prior, x, y = random_rule(source), random_prior(source), noise(1, 4, 2), noise(2, 4, 3)
    expected, _ = jit(source.update)(rule, source.begin(prior, 4), x, y)
    state = target.begin({names[name]: value for name, value in prior.items()}, 4)
    new, _ = jit(target.update)(target.adopt(rule, source), state, x, y)
    assert identical({name: new.parameters[names[name]] for name in prior}, dict(expected.parameters))


@pytest.mark.parametrize("sharing", ["none", "learners", "all", "kinds"])
def test_a_protocol_adopts_its_own_rules_as_they_are(sharing):
    rule, moved = adopted(SIGMOID, SIGMOID, sharing=sharing)
    assert identical(moved, rule)


def test_a_deeper_network_adopts_by_place():
    """First from first, last from last, those between from the nearest: five layers from three, and four activations from two."""
    rule, moved = adopted(DEEPER, SIGMOID)
    nearest = {1: 1, 2: 1, 3: 2, 4: 3, 5: 3}  # 2 lies half way between two, and takes from the even one's side, as round does
    roles = {f"{kind}{k}": f"{kind}{old}" for kind in "Wb" for k, old in nearest.items()}
    roles |= {"step1": "sigmoid1", "step2": "sigmoid1", "step3": "sigmoid2", "step4": "sigmoid2"}
    assert moved.learners.keys() == {*roles, "loss"}
    assert [k for k in nearest if not same(moved, rule, roles | {f"W{k}": "W2"})] == [1, 2, 4, 5]
    assert same(moved, rule, roles)


def test_a_shallower_network_adopts_the_ends():
    rule, moved = adopted(SHALLOW, SIGMOID)
    assert same(moved, rule, {"W2": "W3", "b2": "b3"})
    assert not identical(rule.learners["W2"], rule.learners["W3"])


def test_names_go_before_places_where_both_networks_have_the_same():
    def graph(*order):
        ops = {"x": Input(2)} | {name: dense(2, 2) for name in order}
        return connect([Node(name, op) for name, op in ops.items()] + list(SINK), [*zip(ops, order), (order[-1], "loss"), ("y", "loss")])

    SINK = mlp(1, 2).nodes[-2:]
    first, last = graph("in", "out"), graph("out", "in")
    assert [partner(first.node(name), first, last).name for name in ("in", "out")] == ["in", "out"]
    assert [partner(first.node(name), first, graph("a", "out")).name for name in ("in", "out")] == ["a", "out"]
    assert [partner(first.node(name), first, graph("out", "a")).name for name in ("in", "out")] == ["out", "a"]


@pytest.mark.parametrize("source_sharing", ["none", "learners", "all", "kinds"])
@pytest.mark.parametrize("sharing", ["none", "learners", "all", "kinds"])
def test_between_sharing_schemes(sharing, source_sharing):
    """Wherever the source shares at least as much as the target; from one hidden layer also activations under a kind of their own."""
    order, one_hidden = ("none", "learners", "all", "kinds"), mlp(2, 4, 3, activation="tanh")
    kinds = {"tanh1": "activation", "loss": "l2"}
    if order.index(source_sharing) >= order.index(sharing):
        rule, moved = adopted(one_hidden, one_hidden, sharing=sharing, source_sharing=source_sharing)
        groups = {"none": {}, "learners": GROUPS, "all": GROUPS, "kinds": GROUPS | kinds}[source_sharing]
        assert identical(moved.learners, {g: rule.learners[g if g in rule.learners else groups[g]] for g in moved.learners})
        assert identical(moved.scales, {g: rule.scales[g if g in rule.scales else groups[g]] for g in moved.scales})
    elif (sharing, source_sharing) == ("kinds", "all"):
        rule, moved = adopted(one_hidden, one_hidden, sharing=sharing, source_sharing=source_sharing)
        assert same(moved, rule, {"activation": "tanh1", "l2": "loss"})
    else:
        what = "standardizer" if source_sharing == "learners" else "learner"
        with refused(ValueError, rf"The nodes of 'weight' share one {what}, but 'W1' and 'W2' have two to give; use a sharing scheme"):
            adopted(one_hidden, one_hidden, sharing=sharing, source_sharing=source_sharing)


def test_what_has_one_node_of_a_kind_may_share_it():
    rule, moved = adopted(mlp(2, 3), mlp(5, 1), sharing="kinds", source_sharing="none")
    assert same(moved, rule, {"weight": "W1", "bias": "b1", "l2": "loss"})


def test_a_convolution_plays_the_role_of_a_weight():
    graph = chain(Convolution(4), Convolution(2))
    rule, moved = adopted(graph, mlp(2, 3, 2))
    assert identical(moved.learners["convolution0"], rule.learners["W1"])
    assert identical(moved.learners["convolution1"], rule.learners["W2"])


def test_tied_nodes_take_what_their_owner_takes():
    ops = {"x": Input(3), "W1": dense(3, 3), "W2": dense(3, 3), "W3": dense(3, 3)}
    nodes = [Node(name, op, tied_to="W1" if name == "W2" else "") for name, op in ops.items()] + list(mlp(1, 3).nodes[-2:])
    graph = connect(nodes, [*zip(ops, (*list(ops)[1:], "loss")), ("y", "loss")])
    rule, moved = adopted(graph, mlp(2, 2, 2, 2, aggregate="sum"))
    assert moved.learners.keys() == {"W1", "W3", "loss"}
    assert same(moved, rule, {})


def test_what_learned_from_means_is_not_given_sums():
    with refused(ValueError, "Node 'W1' collects messages with aggregate='sum', but 'W1', whose rule it would have, with 'mean'; adopt"):
        adopted(mlp(2, 4, 1, aggregate="sum"), mlp(2, 3, 1))


def test_a_rule_shared_by_kinds_serves_any_network_as_it_is():
    """No adopting needed: depth, width, activation and names do not show in it."""
    rules = {graph: random_rule(Protocol(graph, SMALL, "kinds")) for graph in (SIGMOID, DEEPER)}
    assert identical(*rules.values())
    deeper, x, y = Protocol(DEEPER, SMALL, "kinds"), noise(1, 4, 5), noise(2, 4, 1)
    new, trail = jit(deeper.update)(rules[SIGMOID], deeper.begin(random_prior(deeper), 4), x, y)
    assert all(abs(trail[name]["delta"]).max() > 1e-4 for name in new.parameters)


@pytest.mark.parametrize("sharing", ["all", "kinds"])
def test_nodes_that_share_a_standardiser_read_equally_many_pieces(sharing):
    protocol = Protocol(chain(dense(2, 2), Talkative(inputs=2, units=2)), SMALL, sharing)
    with refused(ValueError, "Node 'weight0' reads 3 pieces, but 'weight', whose standardizer it shares, reads 4; give it a kind"):
        protocol.new_rule(jax.random.key(0))


@pytest.mark.parametrize("field, value", [("first_scale", 0.5), ("gate_bias", 1.0), ("blocks", False)])
def test_learners_may_differ_in_how_they_start_and_are_computed(field, value):
    source, target = Protocol(SIGMOID, SMALL), Protocol(STEP, SMALL.clone(**{field: value}))
    rule = random_rule(source)
    assert same(target.adopt(rule, source), rule, {"step1": "sigmoid1", "step2": "sigmoid2"})


@dataclass(frozen=True)
class Talkative(Weight):
    """Stores its input twice."""

    kind = "weight"

    def read(self, message, parameter, stored):
        message, parameter, x = super().read(message, parameter, stored)
        return message, parameter, x, x


OTHERS = {
    "a kind that the source lacks": (
        Protocol(chain(dense(2, 2), Gain(2)), SMALL),
        r"Node 'gain1' is of the kind 'gain', but the rule was made for \['activation', 'bias', 'l2', 'weight'\]; it has nothing",
    ),
    "a softmax": (Protocol(mlp(2, 3, loss="cross_entropy"), SMALL), r"Node 'softmax1' is of the kind 'softmax', but"),
    "another learner": (Protocol(STEP, PAIR), "'W1' would learn as node 'W1' did, but it has a Stateless instead of a GRU; adopt"),
    "message width": (Protocol(STEP, SMALL.clone(message=4)), "has a learner with message=4 instead of 3; adopt with equal learners"),
    "activation": (Protocol(STEP, SMALL.clone(activation="relu")), r"with activation='relu' instead of 'tanh'; adopt"),
    "hidden": (Protocol(STEP, SMALL.clone(hidden=1)), r"with hidden=1 instead of 2; adopt"),
    "widths": (Protocol(STEP, SMALL.clone(widths=(3,))), r"with widths=\(3,\) instead of \(4,\); adopt"),
    "pieces": (Protocol(chain(Talkative(inputs=2, units=2)), SMALL), r"'talkative0' reads 4 pieces, but 'W1' reads 3; a rule moves"),
    "normalizer": (Protocol(STEP, SMALL, normalizer="rms"), r"made with normalizer='frozen', but this protocol has 'rms'; adopt it with"),
}


@pytest.mark.parametrize("target, sentence", OTHERS.values(), ids=OTHERS.keys())
def test_what_cannot_be_adopted(target, sentence):
    source = Protocol(SIGMOID, SMALL)
    with refused(ValueError, sentence):
        target.adopt(random_rule(source), source)


def test_a_learner_whose_numbers_have_the_shape_of_the_network():
    target, source = (Protocol(mlp(2, width, 1, aggregate="sum"), FeedbackAlignment()) for width in (3, 4))
    with refused(ValueError, r"The learner of 'W1' has other sizes than that of 'W1'; a rule moves between equal sizes"):
        target.adopt(source.new_rule(jax.random.key(0)), source)


def test_the_source_must_be_the_one_the_rule_was_made_for():
    source, target = Protocol(SIGMOID, SMALL), Protocol(STEP, SMALL)
    with refused(ValueError, "This rule was made for another protocol than the source; pass the one it was made for"):
        target.adopt(random_rule(target), source)
