"""What the page on speed shows is what was measured, and what was not measured is said to be missing."""

import re

import matplotlib.pyplot as plt
import pytest

from mplp_lite.draw.speed import WAYS, about, bars, limits, memory, ratios, whole_runs

FULL = {
    **{"outer_batch": 4, "steps": 7200, "compile_s": 16.4, "inner_step_ms": 3.21, "limit_s": 0.05, "product_gflops": 194.6},
    **{"meta_step_s": [0.19, 0.2, 0.21], "authors_s": [0.29, 0.3, 0.31], "as_defined_s": [0.24, 0.25, 0.26]},
    **{"ratio": [1.4, 1.5, 1.6], "ratio_with_a_busy_core": [0.8, 0.9, 1.0], "not_lean_s": [0.1, 0.11, 0.12]},
    **{"program_mib": 18, "peak_mib_compiling": 516, "peak_mib_running": 535, "not_lean_peak_mib_compiling": 1469},
}
ALONE = {name: value for name, value in FULL.items() if not re.match("authors|as_defined|ratio|not_lean", name)} | {"product_gflops": 210.2}
MACHINE = {
    "kind": "two-cores",
    "machine": {"processor": "Abacus", "vectors": "four beads", "held_to": {}},
    "recipes": {"full": FULL, "alone": ALONE},
}


def cells(table):
    """Title, head and rows of a table in markdown, each row a list."""
    title, empty, head, rule, *rows = table.split("\n")
    assert empty == "" and set(rule) == set("| -")
    lines = [line.strip("| ").split(" | ") for line in (head, *rows)]
    assert {len(line) for line in lines} == {len(rule.strip("| ").split(" | "))}
    return title, *lines


def test_a_machine_in_a_line():
    assert about(MACHINE) == "**two-cores**: Abacus, four beads, as it is; a large product runs at 195 to 210 GFLOP/s"
    held = MACHINE | {"machine": MACHINE["machine"] | {"held_to": {"XLA_FLAGS": "narrow"}}}
    assert "both sides held to narrower vectors" in about(held)


def test_only_what_was_compared_is_beside_the_authors():
    title, head, *rows = cells(ratios(MACHINE))
    assert title == about(MACHINE) and head[0] == "recipe" and len(rows) == 1
    assert rows[0][:2] == ["`full`", "0.300<br><small>0.290 to 0.310</small>"]
    assert rows[0][3:] == ["**1.50**<br><small>1.40 to 1.60</small>", "0.90<br><small>0.80 to 1.00</small>"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (limits, ["4", "**0.200**", "0.0500", "4.0"]),
        (whole_runs, ["16", "3.2", "0.4"]),
        (memory, ["18", "516", "535", "1469", "0.110"]),
    ],
)
def test_tables_hold_medians(table, expected):
    title, _, full, alone = cells(table(MACHINE))
    assert title.startswith("**two-cores**")
    assert full == ["`full`", *expected]
    assert alone == ["`alone`", *(expected if table is not memory else [*expected[:3], "-", "-"])]


def test_bars_are_as_long_as_what_they_stand_for():
    figure = bars(MACHINE, ["full", "alone"])
    for axes, name, lengths in zip(figure.axes, MACHINE["recipes"], ([0.3, 0.25, 0.2, 0.05], [0, 0, 0.2, 0.05])):
        assert axes.get_title() == name
        assert [bar.get_width() for bar in axes.patches] == lengths
        told = [text.get_text() for text in axes.texts]
        assert told == [f"{length:.3g} s" if length else "not measured" for length in lengths]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(WAYS.values())
    plt.close(figure)
