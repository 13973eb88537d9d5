"""What messages carry: how well something can be read from them, by the node that speaks and by inner step."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .plots import INK, step_colors, style

FLOOR = -0.2
"""Scores below it are drawn at it."""


def by_place(scores: Mapping[str, np.ndarray], places: Sequence[str], control: np.ndarray, steps: Sequence[int] | None = None) -> Figure:
    """A panel for each thing that was read, with a line for each inner step: how well the gradient could be read from it, place by place.

    Args:
        scores: by what was read, the `R^2` on held-out runs, `(steps, places)`.
        places: the nodes that speak, from the loss on down.
        control: scores of the first panel's messages when they are dealt to wrong examples, `(steps, places)`; grey in that panel.
        steps: which inner steps these are; 1, 2, ... by default.
    """
    with style():
        figure, panels = plt.subplots(1, len(scores), figsize=(7.6, 2.9), sharey=True, squeeze=False)
        at = np.arange(len(places))
        for axes, (name, values) in zip(panels[0], scores.items(), strict=True):
            axes.axhline(0, color=INK, linewidth=0.8)
            if axes is panels[0, 0]:
                for row in control:
                    axes.plot(at, np.maximum(row, FLOOR), ":", color="grey", linewidth=1.2, label="wrong examples")
            looks = zip(steps or range(1, len(values) + 1), values, step_colors(len(values)), cycle("osD^v"))
            for step, row, color, marker in looks:
                axes.plot(at, np.maximum(row, FLOOR), marker=marker, markersize=4, color=color, label=f"step {step}")
            axes.set_title(name, fontsize=9)
            axes.set_xticks(at, places, rotation=90, fontsize=9)
            axes.set(ylim=(FLOOR - 0.03, 1.05))
        panels[0, 0].set_ylabel("$R^2$ on unseen runs")
        shown = dict(zip(*reversed(panels[0, 0].get_legend_handles_labels()), strict=True))  # each name once
        look = {"ncols": len(shown), "fontsize": 8, "columnspacing": 1, "handlelength": 1.6}
        figure.legend(shown.values(), shown.keys(), loc="outside lower center", **look)
    return figure
