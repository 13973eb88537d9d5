"""What `make bench` measured on a machine, as tables in markdown and as a picture."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .plots import INK, TRAIN, style

Machine = Mapping[str, Any]
"""One file of `benchmarks/results`."""
WAYS = {"authors_s": "authors' code", "as_defined_s": "as defined", "meta_step_s": "as it runs", "limit_s": "dense products alone"}
"""Ways to compute a meta-step, from the key of their seconds to their name."""
LOOKS = (("#BBBBBB", "//"), ("#E69F00", ".."), (TRAIN, ""), (INK, ""))
"""Colour and hatching of each way."""


def about(machine: Machine) -> str:
    """What a machine is, in a line."""
    of = machine["machine"]
    held = "both sides held to narrower vectors" if of["held_to"] else "as it is"
    rates = [found["product_gflops"] for found in machine["recipes"].values()]
    product = f"a large product runs at {min(rates):.0f} to {max(rates):.0f} GFLOP/s"
    return f"**{machine['kind']}**: {of['processor']}, {of['vectors']}, {held}; {product}"


def ratios(machine: Machine) -> str:
    """Beside the authors' code: medians, and below each its quartiles."""
    columns = {
        "authors' code, s": lambda found: _middle(found["authors_s"], 3),
        "mplp_lite, s": lambda found: _middle(found["meta_step_s"], 3),
        "times as fast": lambda found: _middle(found["ratio"], 2, "**"),
        "with a busy core": lambda found: _middle(found["ratio_with_a_busy_core"], 2),
    }
    compared = {name: found for name, found in machine["recipes"].items() if "ratio" in found}
    return _table(about(machine), compared, columns)


def limits(machine: Machine) -> str:
    """Beside what the machine could do."""
    columns = {
        "tasks": lambda found: found["outer_batch"],
        "meta-step, s": lambda found: f"**{_median(found, 'meta_step_s'):.3f}**",
        "limit, s": lambda found: f"{found['limit_s']:.4f}",
        "times the limit": lambda found: f"{_median(found, 'meta_step_s') / found['limit_s']:.1f}",
    }
    return _table(f"**{machine['kind']}**", machine["recipes"], columns)


def whole_runs(machine: Machine) -> str:
    """How long compiling, an inner step and a whole meta-training take."""
    columns = {
        "compile, s": lambda found: f"{found['compile_s']:.0f}",
        "inner step, ms": lambda found: f"{found['inner_step_ms']:.1f}",
        "whole run, h": lambda found: f"{found['steps'] * _median(found, 'meta_step_s') / 3600:.1f}",
    }
    return _table(f"**{machine['kind']}**", machine["recipes"], columns)


def memory(machine: Machine) -> str:
    """What the program needs, the process at its peak, and what both would be without `memory.lean_jit`."""
    columns = {
        "program": lambda found: found["program_mib"],
        "compiling": lambda found: found["peak_mib_compiling"],
        "running": lambda found: found["peak_mib_running"],
        "not lean: compiling": lambda found: found.get("not_lean_peak_mib_compiling", "-"),
        "not lean: meta-step, s": lambda found: f"{_median(found, 'not_lean_s'):.3f}" if "not_lean_s" in found else "-",
    }
    return _table(f"**{machine['kind']}**, MiB", machine["recipes"], columns)


def _table(title: str, rows: Mapping[str, Any], columns: Mapping[str, Callable[[Any], Any]]) -> str:
    """A title, and below it a row per recipe."""
    lines = [["recipe", *columns], ["---"] * (len(columns) + 1)]
    lines += [[f"`{name}`", *(str(cell(found)) for cell in columns.values())] for name, found in rows.items()]
    return "\n".join([title, "", *(f"| {' | '.join(line)} |" for line in lines)])


def _median(found, key):
    return found[key][1]


def _middle(quartiles, digits, mark=""):
    """A median, and its quartiles in small below."""
    low, median, high = (f"{value:.{digits}f}" for value in quartiles)
    return f"{mark}{median}{mark}<br><small>{low} to {high}</small>"


def bars(machine: Machine, recipes: Sequence[str]) -> Figure:
    """Seconds per meta-step, a panel per recipe and a bar per way to compute it.

    Args:
        machine: what was measured.
        recipes: names of some of its recipes.
    """
    with style():
        figure, axes = plt.subplots(1, len(recipes), figsize=(8, 2.4), sharey=True, squeeze=False)
        for axis, name in zip(axes[0], recipes, strict=True):
            _draw_bars(axis, machine["recipes"][name])
            axis.set(title=name, xlabel="seconds per meta-step")
    return figure


def _draw_bars(axes: Axes, found: Mapping[str, Any]) -> None:
    """From the top down; the number stands behind its bar."""
    for place, (key, (color, hatch)) in enumerate(zip(WAYS, LOOKS, strict=True)):
        seconds = float(np.median(found.get(key, 0.0)))
        axes.barh(-place, seconds, color=color, hatch=hatch, edgecolor="white", linewidth=0)
        told = f"{seconds:.3g} s" if seconds else "not measured"
        axes.annotate(told, (seconds, -place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set(yticks=range(0, -len(WAYS), -1), yticklabels=WAYS.values())
    axes.margins(x=0.25)
