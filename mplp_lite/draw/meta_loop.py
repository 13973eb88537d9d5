"""Pictures of meta-training: the two loops, a rule of one number, trainings side by side, heavy tails, runs that go on."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from . import plots
from .shapes import GREEN, arrow, box

ARMS = ("with hints", plots.TRAIN, "-"), ("without hints", plots.EVAL, "--")
"""Name, colour and line of the two ways to judge."""


def loops(steps: int = 4) -> Figure:
    """The inner loop as a row of steps, the losses that judge it, and the way of the meta-gradient back to the rule."""
    end = 2 * steps + 1
    with plots.style():
        figure, axes = plt.subplots(figsize=(8, 3.9))
        axes.add_patch(plt.Rectangle((1, 3.1), 2 * steps, 0.55, facecolor="#E2F3EC", edgecolor=plots.INK))
        axes.text(steps + 1, 3.37, r"the rule $\phi$: $f$ and $g$ of every node", ha="center", va="center", fontsize=10)
        for t in range(steps):
            _step(axes, 2 * t + 1, t)
        box(axes, (end, 2.1), rf"$\theta_{steps}$", "#E8F1F8")
        box(axes, (end + 2.1, 2.1), "held-out loss", "#FBEBDD")
        _to_and_fro(axes, (end + 0.4, 2.1), (end + 1.1, 2.1), plots.INK)
        box(axes, (end + 2.1, 3.37), "Adam", "white")
        arrow(axes, (end + 0.05, 3.47), (end + 1.6, 3.47), plots.EVAL, "--")
        arrow(axes, (end + 1.6, 3.27), (end + 0.05, 3.27), plots.INK)
        keys = ("blue: inner steps, eq. 9 and 10", plots.TRAIN), ("green, dotted: the rule is used", GREEN)
        for x, (text, color) in zip((0.6, 4.6, 8.5), (*keys, ("orange, dashed: the meta-gradient", plots.EVAL)), strict=True):
            axes.text(x, 0, text, color=color, fontsize=9)
        axes.set(xlim=(0.5, end + 3.2), ylim=(-0.1, 3.8))
        axes.set_axis_off()
    return figure


def _step(axes, x, t):
    """One inner step, from the network at `x` to the next, with its batch and its hint; no gradient goes to the first network."""
    box(axes, (x, 2.1), rf"$\theta_{t}$", "#E8F1F8")
    axes.text(x + 1, 1.7, f"batch {t + 1}", ha="center", fontsize=9)
    arrow(axes, (x + 0.4, 2.18), (x + 1.6, 2.18), plots.TRAIN)
    if t:
        arrow(axes, (x + 1.6, 2.02), (x + 0.4, 2.02), plots.EVAL, "--")
    arrow(axes, (x + 0.85, 3.08), (x + 0.85, 2.3), GREEN, ":")
    arrow(axes, (x + 1.15, 2.3), (x + 1.15, 3.08), plots.EVAL, "--")
    _to_and_fro(axes, (x + 2, 1.8), (x + 2, 0.95), plots.INK)
    box(axes, (x + 2, 0.65), f"hint {t + 1}", "#FBEBDD")


def _to_and_fro(axes, start, end, color):
    """An arrow from `start` to `end`, and beside it the meta-gradient on its way back."""
    aside = np.array([0.0, 0.08] if start[1] == end[1] else [-0.12, 0.0])
    arrow(axes, tuple(start + aside), tuple(end + aside), color)
    arrow(axes, tuple(end - aside), tuple(start - aside), plots.EVAL, "--")


def one_number(rules: np.ndarray, losses: Mapping[str, np.ndarray], slopes: np.ndarray) -> Figure:
    """A rule that is one number: how it is judged, and how steep single tasks are.

    Args:
        rules: its values.
        losses: mean losses of each, by name.
        slopes: of the loss of single tasks, `(rules, tasks)`.
    """
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.0))
        for (name, values), color, line in zip(losses.items(), (plots.EVAL, plots.TRAIN), ("-", "--"), strict=False):
            left.plot(rules, values, line, color=color, label=name)
        sizes = np.abs(slopes)
        for name, values, line in (("steepest", sizes.max(1), ":"), ("mean", sizes.mean(1), "-"), ("median", np.median(sizes, 1), "--")):
            right.plot(rules, values, line, color=plots.INK, label=name)
        left.set(xlabel="the rule s", ylabel="loss, L2/2", yscale="log")
        right.set(xlabel="the rule s", ylabel="size of the slope, L2/2 per s", yscale="log")
        for axes in (left, right):
            axes.legend(fontsize=9)
    return figure


def trainings(curves: np.ndarray, taught: np.ndarray, average: float, rivals: Mapping[str, np.ndarray]) -> Figure:
    """Meta-trainings with and without hints, and what their rules do.

    Args:
        curves: held-out losses, `(2, starts, meta-steps)`, with hints first.
        taught: eval losses of the finished rules, `(2, starts, inner steps + 1)`.
        average: the loss of the average curve.
        rivals: eval losses of other methods by inner step, by name.
    """
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
        window = min(50, curves.shape[-1])
        for (name, color, line), arm, ends in zip(ARMS, curves, taught, strict=True):
            for start, curve in enumerate(arm):
                smooth = np.convolve(curve, np.ones(window) / window, "valid")
                look = {"color": color, "linestyle": line, "linewidth": 1.2}
                left.plot(np.arange(window, window + len(smooth)), smooth, label=name if start == 0 else None, **look)
                right.plot(range(ends.shape[-1]), ends[start], marker="o", markersize=3, **look)
        for (name, losses), line in zip(rivals.items(), (":", "-."), strict=False):
            right.plot(range(len(losses)), losses, line, color=plots.INK, linewidth=1.6, label=name)
        for axes in (left, right):
            axes.axhline(average, color=plots.INK, linewidth=0.8, label="average curve" if axes is right else None)
            axes.legend(fontsize=9)
        left.set(xlabel="meta-steps", ylabel="held-out loss, L2/2", yscale="log")
        left.set_yticks([0.005, 0.01, 0.02], ["0.005", "0.01", "0.02"])
        left.minorticks_off()
        right.set(xlabel="inner steps", ylabel="eval loss, L2/2", xticks=range(taught.shape[-1]), ylim=(0, None))
    return figure


def tails(norms: Mapping[str, Sequence[float]], clip: float) -> Figure:
    """The share of episodes whose meta-gradient is longer than a given norm, up to three kinds of them by name; `clip` is marked."""
    with plots.style():
        figure, axes = plt.subplots(figsize=(7, 2.8))
        looks = (plots.TRAIN, "--"), (plots.EVAL, "-"), (GREEN, "-.")
        for (name, values), (color, line) in zip(norms.items(), looks, strict=False):
            above = 1 - np.arange(len(values)) / len(values)
            axes.step(np.sort(values), above, line, color=color, label=name)
        axes.axvline(clip, color=plots.INK, linestyle=":", label="the clip")
        axes.set(xlabel="norm of one episode's meta-gradient", xscale="log", ylabel="share of episodes above", yscale="log")
        axes.legend(fontsize=9)
    return figure


def beyond(losses: np.ndarray, levels: Mapping[str, float], trained: int, rivals: Mapping[str, np.ndarray]) -> Figure:
    """Finished rules that go on after the steps they were trained for, a panel with hints and one without.

    Args:
        losses: mean eval losses, `(2, starts, inner steps + 1)`, with hints first.
        levels: one or two losses to compare with, by name.
        trained: how many inner steps they were trained for; marked.
        rivals: eval losses of other methods by inner step, by name.
    """
    with plots.style():
        figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
        for axes, (name, color, line), arm in zip(panels, ARMS, losses, strict=True):
            axes.plot(arm.T, line, color=color, marker="o", markersize=3, linewidth=1.2)
            for (rival, values), look in zip(rivals.items(), (":", "-."), strict=False):
                axes.plot(values, look, color=plots.INK, linewidth=1.6, label=rival)
            for (level, value), look in zip(levels.items(), ("--", "-"), strict=False):
                axes.axhline(value, color=plots.INK, linestyle=look, linewidth=0.8, label=level)
            axes.axvspan(0, trained, color=plots.INK, alpha=0.08, linewidth=0)
            axes.set(title=name, xlabel="inner steps", yscale="log")
        panels[0].set_ylabel("eval loss, L2/2")
        panels[0].legend(fontsize=9)
    return figure
