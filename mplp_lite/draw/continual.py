"""Classes that come one part after the other: what stays of the first ones, and what a network answers."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .plots import INK, step_colors, style
from .prior import LOOKS


def by_part(panels: Mapping[str, Mapping[str, Sequence[float]]], parts: int) -> Figure:
    """Quantities by inner step, side by side, with a line where another part begins.

    Args:
        panels: by what the axis is called: values from 0 to 1 after steps 1, 2, ..., by what they are of; up to five.
        parts: in how many parts the classes come; they divide the steps.
    """
    with style():
        figure, cells = plt.subplots(1, len(panels), figsize=(7.8, 3.3), sharex=True, sharey=True, squeeze=False)
        for cell, (quantity, values) in zip(cells[0], panels.items(), strict=True):
            for (name, row), (marker, color) in zip(values.items(), LOOKS, strict=False):
                steps = np.arange(1, len(row) + 1)
                cell.plot(steps, row, color=color, marker=marker, markersize=4, markevery=max(1, len(steps) // 10), label=name)
            _draw_borders(cell, len(steps), parts)
            cell.set(xlabel="inner steps", ylabel=quantity, ylim=(0, 1.02))
            cell.tick_params(labelleft=True)
        figure.legend(*cells[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def answers(shares: Mapping[str, np.ndarray]) -> Figure:
    """What networks take test images for, a panel for each: shares of answers by the part that their classes come in, on top of each other.

    Args:
        shares: by name: after steps 1, 2, ..., `(steps, parts)`; each row adds up to 1. Up to four.
    """
    with style():
        figure, cells = plt.subplots(1, len(shares), figsize=(7.8, 2.9), sharey=True, squeeze=False)
        for cell, (name, rows) in zip(cells[0], shares.items(), strict=True):
            steps, parts = np.shape(rows)
            kinds = [f"of part {part + 1}" for part in range(parts)]
            cell.stackplot(
                np.arange(1, steps + 1), np.transpose(rows), labels=kinds, colors=step_colors(parts), edgecolor="white", linewidth=0.4
            )
            _draw_borders(cell, steps, parts)
            cell.set(title=name, xlabel="inner steps", xlim=(1, steps), ylim=(0, 1))
        cells[0, 0].set_ylabel("share of answers")
        figure.legend(*cells[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    return figure


def _draw_borders(axes, steps, parts):
    for part in range(1, parts):
        axes.axvline(steps * part / parts + 0.5, color=INK, linestyle=":", linewidth=0.8)
