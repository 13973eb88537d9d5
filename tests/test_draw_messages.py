"""What is on the axes where arrows and messages are drawn: every arrow by its number, every channel by its value."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.arrows import Arrow, Backward, Forward, Seed
from mplp_lite.draw.graphs import places, take_apart
from mplp_lite.draw.messages import STYLES, by_bundle, dense_layer, draw_multigraph, kind, travel
from mplp_lite.graph import Graph, Node, connect, mlp
from mplp_lite.losses import L2
from mplp_lite.nodes import Add, Input, Target, Weight

CHAIN = mlp(1, 3, 1)
SKIP = connect(
    [
        *(Node("x", Input(2)), Node("W", Weight(units=2, inputs=2)), Node("V", Weight(units=2, inputs=2)), Node("add", Add(2))),
        *(Node("loss", L2(2)), Node("y", Target(2))),
    ],
    [("x", "W"), ("W", "V"), ("V", "add"), ("W", "add"), ("add", "loss"), ("y", "loss")],
)


@dataclass(frozen=True)
class Own(Arrow):
    """An arrow of a kind that has no look of its own."""


@pytest.fixture
def axes():
    """Axes that are gone after the test."""
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def channels(axes):
    """The rows of coloured squares on axes: where they are centred, their numbers, and how faint they are."""
    rows = []
    for mesh in axes.collections:
        corners = mesh.get_coordinates()
        rows.append((tuple(corners.mean((0, 1)).round(6)), np.asarray(mesh.get_array()).ravel(), mesh.get_alpha()))
    return rows


def test_each_kind_of_arrow_has_a_look_of_its_own():
    arrows = [Forward("a", "b"), Seed("b", "b"), Backward("b", "a"), Own("a", "b")]
    assert [kind(arrow) for arrow in arrows] == list(STYLES) == ["forward", "seed", "backward", "other"]
    assert len({line for _, line in STYLES.values()}) == len({color for color, _ in STYLES.values()}) == 4


@pytest.mark.parametrize("graph", [CHAIN, SKIP])
def test_a_multigraph_shows_every_bundle_and_every_arrow_by_its_number(axes, graph):
    draw_multigraph(axes, graph)
    written = [text.get_text() for text in axes.texts if text.get_text()]
    numbers = [str(number) for number in range(1, len(graph.order) + 1)]
    assert sorted(written) == sorted([*numbers, *(node.name for node in graph.nodes)])
    assert axes.get_legend_handles_labels()[1] == ["forward arrow", "the seed", "backward arrow"]


def test_arrows_lead_from_source_to_target_in_the_look_of_their_kind(axes):
    draw_multigraph(axes, CHAIN)
    at = {text.get_position(): text.get_text() for text in axes.texts if text.get_text() in {node.name for node in CHAIN.nodes}}
    drawn = [text for text in axes.texts if not text.get_text()]
    for arrow, found in zip(CHAIN.order, drawn, strict=True):
        assert found.arrow_patch.get_linestyle() == STYLES[kind(arrow)][1]
        if arrow.source != arrow.target:
            assert (at[found.xyann], at[found.xy]) == (arrow.source, arrow.target)


def test_an_arrow_that_fires_twice_has_both_numbers(axes):
    draw_multigraph(axes, Graph(CHAIN.nodes, CHAIN.order + CHAIN.order[len(CHAIN.forward) :]))
    assert {"1", "8, 16", "15, 23"} <= {text.get_text() for text in axes.texts}


def test_messages_come_in_groups_by_bundle_in_the_order_they_were_sent():
    _, pairs = take_apart(CHAIN)
    sent = [(b, a, np.zeros(4)) for a, b in reversed(pairs) if a[0] != "y"]
    groups = by_bundle([(("loss", 0), ("loss", 0), np.zeros(1)), *sent])
    assert list(groups)[:3] == ["1  loss to itself", "2  loss to b2", "3  b2 to W2"] and list(groups)[-1] == "7  W1 to x"
    assert [message for group in groups.values() for message in group][1:] == sent


def test_messages_stand_above_who_hears_them_or_above_who_says_them_where_one_hears_several():
    at, said = places(CHAIN), {f"W1 {j}": np.linspace(-1, 1, 4) * (j + 1) / 3 for j in range(3)}
    one = [(("b2", 0), ("W2", j, 0), said[f"W1 {j}"]) for j in range(3)]
    several = [(("W1", 0, j), ("x", 0), said[f"W1 {j}"]) for j in range(3)]
    figure = travel(CHAIN, {"out": one, "in": several, "mean": [(("x", 0), ("x", 0), said["W1 0"])]})
    out, together, mean, empty, _ = figure.axes
    for axes, names in ((out, [target for _, target, _ in one]), (together, [source for source, _, _ in several]), (mean, [("x", 0)])):
        rows = channels(axes)
        for name, ((x, y), values, _), message in zip(names, rows, said.values()):
            assert np.isclose(x, at[name][0]) and 0.3 < y - at[name][1] < 0.6
            assert np.allclose(values, message)
        assert len(rows) == len(names)
    assert "out" in {text.get_text() for text in out.texts} and "y" not in {text.get_text() for text in out.texts}
    assert not empty.axison and not empty.texts
    plt.close(figure)


def test_blocks_show_the_first_example_and_copies_are_faint():
    draw, (b, i, j, m) = np.random.default_rng(0), (4, 3, 2, 5)
    heard, weight, x = draw.uniform(-1, 1, (b, 1, j, m)), draw.uniform(-1, 1, (1, i, j, 1)), draw.uniform(-1, 1, (b, i, 1, 1))
    proposed, said = draw.uniform(-1, 1, (b, i, j)), draw.uniform(-1, 1, (b, i, j, m))
    figure = dense_layer((heard, weight, x), (proposed, said), (proposed.mean(0), said.mean(2)))
    rows = channels(figure.axes[0])
    cells = [np.broadcast_to(piece, (b, i, j, piece.shape[-1]))[0].reshape(i * j, -1) for piece in (heard, weight, x)]
    thoughts = [values for one in np.ndindex(i, j) for values in (proposed[0][one][None], said[0][one])]
    expected = [*(row for cell in cells for row in cell), *said[0].mean(1), *thoughts, *proposed.mean(0).reshape(-1, 1)]
    assert all(np.allclose(values, row) for (_, values, _), row in zip(rows, expected, strict=True))
    faint = [alpha < 1 for _, _, alpha in rows]
    assert faint == [*([False] * j + [True] * j * (i - 1)), *[False] * i * j, *[False, True] * i, *[False] * (i + 3 * i * j)]
    assert len({place for place, _, _ in rows}) == len(rows)
    plt.close(figure)


def test_blocks_have_a_sheet_per_example_dashed_where_it_is_a_copy():
    b, i, j, m = 4, 3, 2, 5
    figure = dense_layer(
        (np.zeros((b, 1, j, m)), np.zeros((1, i, j, 1)), np.zeros((b, i, 1, 1))),
        (np.zeros((b, i, j)), np.zeros((b, i, j, m))),
        (np.zeros((i, j)), np.zeros((b, i, m))),
    )
    sheets = figure.axes[0].patches
    assert len(sheets) == 5 * b + 1  # five blocks with a batch, and the update
    assert sum(sheet.get_linestyle() == "--" for sheet in sheets) == b - 1
    plt.close(figure)
