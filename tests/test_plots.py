"""What figures are drawn from, graphs taken apart into single nodes and put into columns, and what is then on the axes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite import losses
from mplp_lite.draw.graphs import LOOKS, columns, draw_apart, draw_bundles, draw_chain, look, places, take_apart
from mplp_lite.draw.nodes import loss_curves, softmax_stages
from mplp_lite.graph import Node, connect, mlp
from mplp_lite.nodes import Activation, Add, Bias, Input, Softmax, Target, Weight

BRANCHED = connect(
    [
        *(Node("x", Input(2)), Node("W", Weight(units=2, inputs=2)), Node("tanh", Activation(2, "tanh"))),
        *(Node("add", Add(2)), Node("b", Bias(2))),
        *(Node("loss", losses.L2(2)), Node("y", Target(2))),
    ],
    [("x", "W"), ("W", "tanh"), ("x", "add"), ("tanh", "add"), ("add", "b"), ("b", "loss"), ("y", "loss")],
)  # a way around two nodes


@pytest.fixture
def axes():
    """Axes that are gone after the test."""
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def texts(axes):
    """All that is written on axes, as often as it is."""
    return sorted(text.get_text() for text in axes.texts if text.get_text())


def test_singles_have_the_name_of_their_bundle_and_an_index():
    singles, _ = take_apart(mlp(2, 3, 1))
    assert list(singles) == ["x", "W1", "b1", "relu1", "W2", "b2", "loss", "y"]
    assert singles["W1"] == [("W1", i, j) for i in range(2) for j in range(3)]
    assert singles["relu1"] == [("relu1", u) for u in range(3)]


def test_a_synapse_is_joined_to_its_input_unit_and_its_output_unit():
    _, pairs = take_apart(mlp(2, 3, 1))
    for i in range(2):
        for j in range(3):
            assert [a for a, b in pairs if b == ("W1", i, j)] == [("x", i)]
            assert [b for a, b in pairs if a == ("W1", i, j)] == [("b1", j)]
    assert [a for a, b in pairs if b == ("b1", 2)] == [("W1", 0, 2), ("W1", 1, 2)]
    assert len(pairs) == len(set(pairs)) == 6 + 6 + 3 + 3 + 3 + 1 + 1


def test_branches_are_joined_unit_by_unit():
    _, pairs = take_apart(BRANCHED)
    assert {a for a, b in pairs if b == ("add", 1)} == {("x", 1), ("tanh", 1)}


def test_columns_count_arrows_by_the_longest_way_and_put_targets_under_the_loss():
    assert columns(mlp(1, 3, 1)) == {"x": 0, "W1": 1, "b1": 2, "relu1": 3, "W2": 4, "b2": 5, "loss": 6, "y": 6}
    assert columns(BRANCHED) == {"x": 0, "W": 1, "tanh": 2, "add": 3, "b": 4, "loss": 5, "y": 5}


def test_each_kind_of_node_has_its_look():
    looks = {node.name: look(node) for node in mlp(2, 3, 2, loss="cross_entropy").nodes}
    ends = {"x": "data", "y": "data", "loss": "loss"}
    assert looks == {"W1": "weight", "b1": "bias", "relu1": "activation", "W2": "weight", "b2": "bias", "softmax2": "activation"} | ends
    assert look(BRANCHED.node("add")) == "other"
    assert len({(marker, color) for marker, color, _ in LOOKS.values()}) == len(LOOKS)


@pytest.mark.parametrize("graph", [mlp(1, 3, 1), mlp(3, 4, 2, loss="cross_entropy"), BRANCHED])
def test_no_two_single_nodes_stand_in_one_place(graph):
    singles, pairs = take_apart(graph)
    at = places(graph)
    assert set(at) == {name for members in singles.values() for name in members}
    xy = np.array(list(at.values()))
    apart = np.abs(xy[:, None] - xy[None]).max(-1)[~np.eye(len(xy), dtype=bool)]
    assert apart.min() >= 1
    assert all(at[a][0] < at[b][0] for a, b in pairs if a[0] not in graph.targets)  # forward is to the right
    assert all(at[a][1] < at[b][1] for a, b in pairs if a[0] in graph.targets)  # targets stand below


def test_a_network_taken_apart_shows_every_node_arrow_and_bundle(axes):
    graph = mlp(1, 3, 1)
    draw_apart(axes, graph)
    indices = [*("0", "0"), *("0,0", "0,1", "0,2"), *("0", "1", "2") * 2, *("0,0", "1,0", "2,0"), *("0", "0")]
    assert texts(axes) == sorted([*indices, *(node.name for node in graph.nodes), "Σ"])
    assert len(axes.collections) == 16 and len(axes.patches) == len(graph.nodes)
    assert sum(text.get_text() == "" for text in axes.texts) == len(take_apart(graph)[1])
    assert axes.get_legend_handles_labels()[1] == [LOOKS[kind][2] for kind in ("data", "weight", "bias", "activation", "loss")]


def test_labels_stand_on_their_nodes(axes):
    graph, at = mlp(1, 2, 1), places(mlp(1, 2, 1))
    draw_apart(axes, graph, {name: f"label of {name}" for name in at})
    shown = {text.get_text(): text.get_position() for text in axes.texts}
    assert all(shown[f"label of {name}"] == place for name, place in at.items())


def test_a_chain_has_a_box_per_bundle_and_arrows_both_ways(axes):
    draw_chain(axes, mlp(1, 3, 1))
    assert texts(axes) == sorted(["x", "W1", "b1", "relu1", "W2", "b2", "loss", "forward: outputs", "backward: messages"])
    ends = [(text.xyann[0], text.xy[0]) for text in axes.texts if text.get_text() == ""]
    assert sorted(ends) == sorted([*((k, k + 1) for k in range(6)), *((k + 1, k) for k in range(6))])


def test_stages_of_a_softmax_are_what_it_stored_and_sent():
    fired = Softmax(3).forward(None, np.array([[1.0, -2.0, 0.5], [9.0, 9.0, 9.0]], np.float32))
    figure = softmax_stages(fired)
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    assert np.allclose(heights, [values[0] for values in (*fired.stored, fired.output)])
    plt.close(figure)


def test_curves_of_the_losses_are_those_of_the_formulas():
    figure = loss_curves()
    curves = {line.get_label(): line.get_xydata().T for axes in figure.axes for line in axes.lines}
    for name, formula in (("L2", lambda p: (1 - p) ** 2 / 2), ("L1", lambda p: abs(1 - p)), ("target 0", np.zeros_like)):
        p, loss = curves[name]
        assert np.allclose(loss, formula(p), atol=1e-6)
    p, loss = curves["target 1"]
    assert np.allclose(loss, -np.log(np.clip(p, 1e-7, 1 - 1e-7)), atol=1e-5)
    plt.close(figure)


def test_bundles_of_any_graph_stand_in_columns_and_arrows_lead_to_the_right(axes):
    draw_bundles(axes, BRANCHED)
    assert texts(axes) == sorted(node.name for node in BRANCHED.nodes if node.name != "y")
    ends = sorted((text.xyann[0], text.xy[0]) for text in axes.texts if text.get_text() == "")
    assert ends == [(0, 1), (0, 3), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert len(axes.collections) == 6
    named = axes.get_legend_handles_labels()[1]
    assert sorted(named) == sorted({"learns nothing", "weight", "activation", "another operation", "bias", "loss"})


def test_a_tied_bundle_is_named_by_its_owner(axes):
    tied = [Node("x", Input(2)), Node("W", Weight(units=2, inputs=2)), Node("again", Weight(units=2, inputs=2), tied_to="W")]
    nodes = [*tied, Node("loss", losses.L2(2)), Node("y", Target(2))]
    draw_bundles(axes, connect(nodes, [("x", "W"), ("W", "again"), ("again", "loss"), ("y", "loss")]))
    assert texts(axes) == ["W", "W", "loss", "x"]
