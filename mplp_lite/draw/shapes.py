"""Boxes and arrows of diagrams, and the colours beside those of `plots`."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from .plots import INK

GREEN, GREY, PURPLE = "#009E73", "#767676", "#CC79A7"
LINES = ("--", ":", "-.")


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str = INK, line: str = "-", bend: float = 0.0) -> None:
    """An arrow from one place to another; with a `bend` it goes there in a curve, 1 being about half a circle."""
    look = {"arrowstyle": "-|>", "color": color, "linestyle": line, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=look | {"connectionstyle": f"arc3,rad={bend}"})


def box(axes: Axes, at: tuple[float, float], text: str, face: str = "white", edge: str = INK, line: str = "-") -> None:
    """Words in a box around a place."""
    look = {"boxstyle": "round,pad=0.35", "facecolor": face, "edgecolor": edge, "linestyle": line, "linewidth": 1.2}
    axes.text(*at, text, ha="center", va="center", bbox=look, zorder=3)


def draw_levels(axes: Axes, values: Mapping[str, float], colors: tuple[str, ...] = (INK,) * len(LINES)) -> None:
    """Horizontal lines to compare with, each labelled by what it stands for; up to three."""
    for (name, value), line, color in zip(values.items(), LINES, colors, strict=False):
        axes.axhline(value, color=color, linestyle=line, linewidth=1.2, label=name)
