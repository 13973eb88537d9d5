"""Many meta-trainings of several kinds: how each went, and how each ended."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .plots import EVAL, INK, TRAIN, style
from .prior import LOOKS
from .shapes import GREEN, LINES, draw_levels

Curve = tuple[Sequence[int], Sequence[float]]
"""Meta-steps and the losses there."""


def curves(arms: Mapping[str, Sequence[Curve]], levels: Mapping[str, float]) -> Figure:
    """A panel for each kind of meta-training with a line for each seed, all on the same logarithmic axis.

    Args:
        arms: by kind: a curve for each seed; up to four.
        levels: horizontal lines, by what they stand for; up to three.
    """
    with style():
        figure, panels = plt.subplots(1, len(arms), figsize=(7.8, 3.1), sharex=True, sharey=True, squeeze=False)
        for axes, (arm, seeds) in zip(panels[0], arms.items(), strict=True):
            for steps, losses in seeds:
                axes.plot(steps, losses, color=TRAIN, linewidth=1, alpha=0.8)
            draw_levels(axes, levels, (EVAL, INK, GREEN))
            axes.set(title=arm, xlabel="meta-steps", yscale="log")
        panels[0, 0].set_ylabel("held-out loss, L2/2")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def ends(places: Mapping[str, Mapping[str, Sequence[float]]], levels: Mapping[str, float], xlabel: str) -> Figure:
    """A row for each place with a small mark for each seed, and a larger one for the median of a kind, on a logarithmic axis.

    Args:
        places: from top to bottom: by kind of meta-training, a loss for each seed; up to five kinds, the same everywhere.
        levels: vertical lines, by what they stand for; up to three.
        xlabel: what the losses are.
    """
    arms = list(next(iter(places.values())))
    with style():
        figure, axes = plt.subplots(figsize=(7.6, 1.2 + 0.2 * len(places) * (1 + len(arms))))
        for row, found in enumerate(places.values()):
            for number, (arm, (marker, color)) in enumerate(zip(arms, LOOKS, strict=False)):
                at, losses = row + 0.24 * (number - (len(arms) - 1) / 2), np.asarray(found[arm])
                axes.plot(losses, np.full(len(losses), at), marker, color=color, markersize=4, alpha=0.5, linewidth=0)
                axes.plot(np.median(losses), at, marker, color=color, markersize=8, markeredgecolor=INK, label=arm if row == 0 else None)
        for (name, value), line in zip(levels.items(), LINES, strict=False):
            axes.axvline(value, color=INK, linestyle=line, linewidth=1, label=name)
        axes.set(xscale="log", xlabel=xlabel, yticks=range(len(places)), yticklabels=list(places), ylim=(len(places) - 0.5, -0.5))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, numpoints=1)
    return figure


def solutions(kinds: Mapping[str, Sequence[Mapping[str, Sequence]]]) -> Figure:
    """A column for each kind of rule: above, curves and what networks of its first rule answer; below, what each rule explains where.

    Args:
        kinds: by kind: what the networks of each rule draw, see `run.solutions.drawn`; up to four.
    """
    with style():
        figure, axes = plt.subplots(2, len(kinds), figsize=(1 + 1.75 * len(kinds), 4.4), squeeze=False, sharex="col", sharey="row")
        for (upper, lower), (kind, rules) in zip(axes.T, kinds.items(), strict=True):
            for target, answer, color in zip(rules[0]["targets"], rules[0]["answers"], (TRAIN, EVAL, GREEN), strict=True):
                upper.plot(rules[0]["x"], target, color=color, linewidth=3, alpha=0.35)
                upper.plot(rules[0]["x"], answer, color=color)
            for rule in rules:
                lower.plot(rule["x"], rule["explained"], color=TRAIN, linewidth=1, alpha=0.6)
            draw_levels(lower, {"the mean curve": 0, "all": 1})
            upper.set(title=kind)
            lower.set(xlabel="input x", ylim=(-1.2, 1.1))
        axes[0, 0].set_ylabel("output y")
        axes[1, 0].set_ylabel("share explained")
        axes[1, 0].legend(loc="lower center", fontsize=8)
    return figure
