"""Rules with a prior of their own: what they predict on the way, how far that is from the family, who can do without whom."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..evaluate import Run
from ..tasks import Episode
from .limits import RIVAL
from .plots import EVAL, INK, TRAIN, draw_fit, style
from .shapes import GREEN, draw_levels

LOOKS = tuple(zip("osD^v", (TRAIN, EVAL, GREEN, RIVAL, "#767676"), strict=True))
"""Marker and colour of each method, for up to five."""


def figure_3(methods: Mapping[str, tuple[Run, Episode, Run]], levels: Mapping[str, float]) -> Figure:
    """A column for each method: predictions step by step in one run, and below it the eval loss of all runs.

    Args:
        methods: by name: one run, its episode, and runs with a leading axis.
        levels: losses to compare with, see `shapes.draw_levels`.
    """
    with style():
        figure, axes = plt.subplots(2, len(methods), figsize=(2.9 * len(methods), 5.2), squeeze=False, sharex="row", sharey="row")
        for (upper, lower), (name, (run, episode, runs)) in zip(axes.T, methods.items(), strict=True):
            draw_fit(upper, run, episode)
            upper.set(title=name, ylabel="")
            _draw_spread(lower, runs.eval_loss)
            draw_levels(lower, levels)
            lower.set(xlabel="inner steps", yscale="log")
        axes[0, 0].set_ylabel("output y")
        axes[1, 0].set_ylabel("eval loss, L2/2")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4, fontsize=9)
        axes[1, 0].legend(loc="lower left", fontsize=9)
    return figure


def _draw_spread(axes, losses):
    """The loss of every run, faint, and their mean."""
    losses = np.asarray(losses)
    steps = np.arange(losses.shape[1])
    axes.plot(steps, losses.T, color=EVAL, alpha=0.08, linewidth=0.8)
    axes.plot(steps, losses.mean(axis=0), "o-", color=EVAL, markersize=5, label="mean of all runs")
    axes.set_xticks(steps)


def curves(losses: Mapping[str, tuple[Sequence[int], Sequence[float]]], levels: Mapping[str, float], window: int = 20) -> Figure:
    """Learning curves over each other on two logarithmic axes, as running means.

    Args:
        losses: by method: meta-steps, evenly spaced, and the mean loss up to each; up to five methods.
        levels: losses to compare with, see `shapes.draw_levels`.
        window: how many losses are averaged.
    """
    with style():
        figure, axes = plt.subplots(figsize=(7.4, 3.3))
        for (name, (steps, values)), (_, color), line in zip(losses.items(), LOOKS, ("-", "--", "-.", ":", "-"), strict=False):
            within = min(window, len(values))
            smooth = np.convolve(values, np.ones(within) / within, "valid")
            axes.plot(steps[within - 1 :], smooth, line, color=color, linewidth=1.5, label=name)
        draw_levels(axes, levels)
        axes.set(xlabel="meta-steps", ylabel="meta-loss, L2/2", xscale="log", yscale="log")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def by_step(shares: Mapping[str, np.ndarray], quantity: str) -> Figure:
    """Something between 0 and 1 by inner step: the median over runs, and the middle half of them as a bar.

    Args:
        shares: by method, `(runs, steps + 1)`; up to five methods.
        quantity: what it is, for the axis.
    """
    with style():
        figure, axes = plt.subplots(figsize=(6.4, 3.1))
        for place, ((name, values), (marker, color)) in enumerate(zip(shares.items(), LOOKS, strict=False)):
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
            steps = np.arange(len(middle)) + 0.04 * (place - (len(shares) - 1) / 2)  # side by side, not on top of each other
            bars = [middle - low, high - middle]
            axes.errorbar(steps, middle, bars, marker=marker, color=color, markersize=5, capsize=2, linewidth=1.4, label=name)
        axes.set(xlabel="inner steps", ylabel=quantity, xticks=range(len(middle)), ylim=(-0.03, 1.03))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def pairs(losses: np.ndarray, rules: Sequence[str], priors: Sequence[str]) -> Figure:
    """Every rule from every prior: the loss at the end as a number, and dark where it is small.

    Args:
        losses: `(rules, priors)`, above 0.
        rules: names of the rows.
        priors: names of the columns.
    """
    with style():
        figure, axes = plt.subplots(figsize=(2.6 + 0.95 * len(priors), 1.5 + 0.42 * len(rules)))
        norm = LogNorm(np.nanmin(losses), np.nanmax(losses))
        axes.imshow(losses, cmap="viridis", norm=norm, aspect="auto")
        for (row, column), loss in np.ndenumerate(losses):
            light = norm(loss) < 0.6
            axes.text(column, row, f"{loss:.2g}", ha="center", va="center", fontsize=9, color="white" if light else INK)
        axes.set_xticks(range(len(priors)), priors, rotation=25, ha="right")
        axes.set_yticks(range(len(rules)), rules)
        axes.set(xlabel="prior it starts from", ylabel="rule")
        axes.spines[:].set_visible(False)
    return figure


def silenced(losses: Mapping[str, Mapping[str, float]], whole: Mapping[str, float], levels: Mapping[str, float]) -> Figure:
    """A row for each node: the loss at the end when its messages are set to nothing, and as a line what it is when all speak.

    Args:
        losses: by method and node, the nodes from the loss on down; up to five methods.
        whole: by method, the loss when all speak.
        levels: losses to compare with, see `shapes.draw_levels`; upright here.
    """
    with style():
        figure, axes = plt.subplots(figsize=(6.6, 3.4))
        for (name, by_node), (marker, color) in zip(losses.items(), LOOKS, strict=False):
            nodes = list(by_node)
            axes.plot([by_node[node] for node in nodes], range(len(nodes)), marker, color=color, markersize=6, label=name)
            axes.axvline(whole[name], color=color, linewidth=1.4, alpha=0.7, label=f"{name}: all speak")
        for (name, level), line in zip(levels.items(), ("--", ":", "-."), strict=False):
            axes.axvline(level, color=INK, linestyle=line, linewidth=1.2, label=name)
        axes.set(xscale="log", xlabel="mean eval loss after the last step, L2/2", ylabel="node that is silent")
        axes.set_ylim(len(nodes) - 0.5, -0.5)
        axes.set_yticks(range(len(nodes)), nodes)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure
