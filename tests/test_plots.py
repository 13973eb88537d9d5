"""What figures are drawn from: graphs taken apart into single nodes, and put into columns."""

from mplp_lite import losses
from mplp_lite.draw.plots import columns, take_apart
from mplp_lite.graph import Node, connect, mlp
from mplp_lite.nodes import Activation, Add, Bias, Input, Target, Weight

BRANCHED = connect(
    [
        *(Node("x", Input(2)), Node("W", Weight(units=2, inputs=2)), Node("tanh", Activation(2, "tanh"))),
        *(Node("add", Add(2)), Node("b", Bias(2))),
        *(Node("loss", losses.L2(2)), Node("y", Target(2))),
    ],
    [("x", "W"), ("W", "tanh"), ("x", "add"), ("tanh", "add"), ("add", "b"), ("b", "loss"), ("y", "loss")],
)  # a way around two nodes


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
