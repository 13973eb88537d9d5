"""A rule knows what it was made for: another protocol is refused even where every shape fits, and the first difference is named."""

import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from helpers import random_episode
from mplp_lite import GRU, Protocol, WeightsError, graph, load, load_pretrained, mlp, save, weights
from mplp_lite.meaning import FORMAT, meaning

NET = mlp(1, 4, 1)
LEARNER = GRU(message=2, hidden=3, widths=(4,))
PROTOCOL = Protocol(NET, LEARNER)
KINDS = Protocol(NET, LEARNER, "kinds")


@pytest.fixture(scope="module")
def rules():
    return {protocol: protocol.new_rule(jax.random.key(0)) for protocol in (PROTOCOL, KINDS)}


@pytest.fixture
def saved(tmp_path, rules):
    def save_for(protocol):
        save(tmp_path / "rule", rules[protocol], {"seed": 3}, protocol)
        return tmp_path / "rule.npz"

    return save_for


def with_op(name, **changes):
    """The network with one operation changed."""
    swapped = tuple(replace(node, op=replace(node.op, **changes)) if node.name == name else node for node in NET.nodes)
    return graph.Graph(swapped, NET.order)


FITTING = {
    "activation of the learner": (LEARNER.clone(activation="relu"), NET, "frozen", "learners.W1.activation 'tanh', not 'relu'"),
    "aggregate": (LEARNER, mlp(1, 4, 1, aggregate="sum"), "frozen", "nodes.W1.aggregate 'mean', not 'sum'"),
    "aggregate of one node": (LEARNER, with_op("W2", aggregate="sum"), "frozen", "nodes.W2.aggregate 'mean', not 'sum'"),
    "function of a node": (LEARNER, with_op("relu1", fn="tanh"), "frozen", "nodes.relu1.fn 'relu', not 'tanh'"),
    "normalizer": (LEARNER, NET, "batch", "normalizer 'frozen', not 'batch'"),
}


@pytest.mark.parametrize(("learner", "net", "normalizer", "difference"), FITTING.values(), ids=FITTING)
def test_a_protocol_whose_shapes_fit_but_that_means_something_else_is_refused(saved, rules, learner, net, normalizer, difference):
    other = Protocol(net, learner, normalizer=normalizer)
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), other.new_rule(jax.random.key(0)), rules[PROTOCOL])
    with pytest.raises(WeightsError, match="use the protocol it was made for, or move it with adopt") as error:
        load(saved(PROTOCOL), other)
    assert difference in str(error.value)


SAME = {
    "another width": Protocol(mlp(1, 7, 1), LEARNER),
    "computed otherwise, started otherwise": Protocol(NET, LEARNER.clone(blocks=False, gate_bias=0.5, first_scale=1.0)),
    "other priors": Protocol(with_op("W1", deviation=0.5), LEARNER),
}


@pytest.mark.parametrize("other", SAME.values(), ids=SAME)
def test_what_means_the_same_is_loaded(saved, rules, other):
    jax.tree.map(np.testing.assert_array_equal, load(saved(PROTOCOL), other), rules[PROTOCOL])


def test_shared_by_kind_a_rule_serves_any_depth_activation_and_names(saved, rules):
    deeper = Protocol(mlp(2, 3, 5, 1, activation="sigmoid"), LEARNER, "kinds")
    jax.tree.map(np.testing.assert_array_equal, load(saved(KINDS), deeper), rules[KINDS])
    with pytest.raises(WeightsError, match="nodes.weight.aggregate"):
        load(saved(KINDS), Protocol(mlp(1, 4, 1, aggregate="sum"), LEARNER, "kinds"))


@pytest.mark.parametrize(
    ("protocol", "difference"),
    [
        (lambda p: replace(p, learner=p.learner.clone(activation="relu")), "activation 'tanh', not 'relu'"),
        (lambda p: replace(p, graph=mlp(1, 20, 20, 1, aggregate="sum")), "aggregate 'mean', not 'sum'"),
    ],
    ids=["relu", "sum"],
)
def test_the_shipped_rule_is_refused_where_it_would_teach_nothing(protocol, difference):
    """It used to load, and left a loss of 703 or .02 instead of .0002."""
    shipped = Protocol(mlp(1, 20, 20, 1), GRU())
    load_pretrained("sinusoid", shipped)
    with pytest.raises(WeightsError, match=difference):
        load_pretrained("sinusoid", protocol(shipped))


# ---------------------------------------------------------------- files


def edited(path, arrays=lambda arrays: None, card=lambda card: None):
    """Changes file and card, and seals them again."""
    found, told = weights.unpack(path.read_bytes(), "rule"), weights.load_card(path)
    arrays(found)
    path.write_bytes(weights.pack(found))
    card(told)
    told["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(told))
    return path


def retold(**changes):
    def change(arrays):
        arrays["protocol"] = np.asarray(json.dumps({**json.loads(str(arrays["protocol"])), **changes}))

    return change


def test_file_and_card_carry_the_meaning(saved):
    path = saved(PROTOCOL)
    assert weights.load_card(path)["protocol"] == meaning(PROTOCOL) == json.loads(str(weights.unpack(path.read_bytes(), "")["protocol"]))


def test_a_rule_saved_before_rules_had_a_meaning_is_loaded_with_a_word(saved, rules):
    old = edited(saved(PROTOCOL), lambda arrays: arrays.pop("protocol"), lambda card: card.pop("protocol"))
    with pytest.warns(UserWarning, match="only names and shapes were compared; save it again with its protocol"):
        loaded = load(old, PROTOCOL)
    jax.tree.map(np.testing.assert_array_equal, loaded, rules[PROTOCOL])


TAMPERED = {
    "the file lost it": (lambda arrays: arrays.pop("protocol"), lambda card: None, "does not say what it was made for"),
    "the card lost it": (lambda arrays: None, lambda card: card.pop("protocol"), "card of rule.npz tells of another protocol"),
    "the card differs": (lambda arrays: None, lambda card: card["protocol"].update(sharing="all"), "tells of another protocol"),
    "the card tells a word": (lambda arrays: None, lambda card: card.update(protocol="mine"), "tells of another protocol"),
    "a later format": (retold(format=FORMAT + 1), lambda card: None, "update mplp_lite"),
    "no format": (lambda arrays: arrays.update(protocol=np.asarray("{}")), lambda card: None, "is of format None"),
    "no JSON": (lambda arrays: arrays.update(protocol=np.asarray("{")), lambda card: None, "does not say what it was made for"),
    "a number": (lambda arrays: arrays.update(protocol=np.asarray(3)), lambda card: None, "does not say what it was made for"),
    "a deep nest": (
        lambda arrays: arrays.update(protocol=np.asarray("[" * 100_000)),
        lambda card: None,
        "does not say what it was made for",
    ),
    "nan": (
        lambda arrays: arrays.update({"learners/W1/u_x/W": np.full_like(arrays["learners/W1/u_x/W"], np.nan)}),
        lambda card: None,
        "nan or infinity in learners/W1/u_x/W",
    ),
}


@pytest.mark.parametrize(("arrays", "card", "sentence"), TAMPERED.values(), ids=TAMPERED)
def test_a_meaning_that_was_tampered_with_is_refused(saved, arrays, card, sentence):
    with pytest.raises(WeightsError, match=sentence) as error:
        load(edited(saved(PROTOCOL), arrays, card), PROTOCOL)
    assert len(str(error.value)) < 400 and "\n" not in str(error.value) and str(error.value).endswith(".")


def test_what_would_unpack_to_far_more_than_its_size_is_not_unpacked(tmp_path, saved):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros((1000, 1000), np.float32))
    with pytest.raises(WeightsError, match="unpack to far more than its size"):
        weights.unpack((tmp_path / "bomb.npz").read_bytes(), "bomb.npz")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def attacked(rules, attack):
    """Loads a rule whose files were attacked: it is refused in one sentence, or it is a rule of finite numbers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rule.npz")
        save(path, rules[PROTOCOL], {"seed": 3}, PROTOCOL)
        attack(path)
        try:
            loaded = load(path, PROTOCOL)
        except WeightsError as error:
            assert "\n" not in str(error) and len(str(error)) < 500 and str(error).endswith("."), str(error)
        else:
            assert jax.tree.structure(loaded) == jax.tree.structure(rules[PROTOCOL])
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(loaded))


@settings(max_examples=40)
@given(places=st.lists(st.sampled_from(["seed", "protocol", "sha256", "learners", "format", ""]), min_size=1, max_size=2), value=JSON)
def test_whatever_a_card_says_it_is_refused_or_harmless(rules, places, value):
    def attack(path):
        card = weights.load_card(path)
        for place in places:
            inside = card["protocol"] if place in ("learners", "format") and isinstance(card["protocol"], dict) else card
            inside[place] = value
        path.with_suffix(".json").write_text(json.dumps(value if "" in places else card))

    attacked(rules, attack)


@settings(max_examples=40)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3))
def test_whatever_bytes_a_sealed_file_holds_it_is_refused_or_a_rule(rules, changes):
    def attack(path):
        content = bytearray(path.read_bytes())
        for place, flip in changes:
            content[int(place * len(content))] ^= flip
        path.write_bytes(content)
        card = weights.load_card(path)
        path.with_suffix(".json").write_text(json.dumps({**card, "sha256": hashlib.sha256(bytes(content)).hexdigest()}))

    attacked(rules, attack)


# ---------------------------------------------------------------- moving


def test_partners_say_what_adopt_carries_over():
    deeper = Protocol(mlp(1, 4, 4, 1), LEARNER)
    names = {"W1": "W1", "b1": "b1", "relu1": "relu1", "W2": "W1", "b2": "b1", "relu2": "relu1", "W3": "W2", "b3": "b2", "loss": "loss"}
    assert deeper.partners(PROTOCOL) == names


# ---------------------------------------------------------------- where a run breaks


def broken(rule, group):
    """The rule with updates of a group that know no bounds."""
    return rule._replace(scales={**rule.scales, group: jnp.float32(3e38)})


def test_the_node_that_broke_is_found(rules):
    episode = random_episode(1, 1, batch=5)
    state = PROTOCOL.init(jax.random.key(1), 5)
    rule = rules[PROTOCOL]
    assert PROTOCOL.first_break(rule, state, episode.xs, episode.ys) is None
    rule = rule._replace(learners={**rule.learners, "b2": jax.tree.map(lambda leaf: leaf * jnp.nan, rule.learners["b2"])})
    with pytest.raises(ValueError, match="nan was given in the rule's learners/b2"):
        PROTOCOL.update(rule, state, *episode.at(0))
    assert PROTOCOL.first_break(rule, state, episode.xs, episode.ys) == (0, "b2", "parameter")


def test_the_node_that_grew_too_large_is_found(rules):
    episode, state = random_episode(1, 1, batch=5), PROTOCOL.init(jax.random.key(1), 5)
    largest = max(float(abs(leaf).max()) for leaf in jax.tree.leaves((episode.xs, episode.ys)))
    rule = rules[PROTOCOL]._replace(scales={**rules[PROTOCOL].scales, "W2": jnp.float32(1e6)})
    step, node, what = PROTOCOL.first_break(rule, state, episode.xs, episode.ys, limit=10 * largest)
    assert (step, node, what) == (0, "W2", "parameter")
    with pytest.raises(ValueError, match="limit=0"):
        PROTOCOL.first_break(rule, state, episode.xs, episode.ys, limit=0)


@pytest.mark.parametrize("group", ["W1", "b1", "W2"])
def test_it_breaks_in_the_step_in_which_a_plain_loop_first_sees_it(rules, group):
    episode, rule = random_episode(1, 1, steps=4, batch=5), broken(rules[PROTOCOL], group)
    first = state = PROTOCOL.init(jax.random.key(1), 5)
    for t in range(episode.steps):
        losses = PROTOCOL.unit_losses(state, *episode.at(t))
        state, trail = jax.jit(PROTOCOL.update)(rule, state, *episode.at(t))
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((losses, state.parameters, trail))):
            break
    assert PROTOCOL.first_break(rule, first, episode.xs, episode.ys).step == t
