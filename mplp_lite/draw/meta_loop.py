"""Pictures of meta-training: the two loops, eight trainings side by side, losses along a line, heavy tails."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from . import plots
from .shapes import GREEN, arrow, box


def loops(steps: int = 4) -> Figure:
    """The inner loop as a row of steps, the losses that judge it, and the way that the meta-gradient takes back to the rule."""
    end = 2 * steps + 1
    with plots.style():
        figure, axes = plt.subplots(figsize=(8, 3.9))
        axes.add_patch(plt.Rectangle((1, 3.1), 2 * steps, 0.55, facecolor="#E2F3EC", edgecolor=plots.INK))
        axes.text(steps + 1, 3.37, "the rule: f and g of every node, the same at every step", ha="center", va="center", fontsize=10)
        for t in range(steps):
            _step(axes, 2 * t + 1, t)
        box(axes, (end, 2.1), rf"$\theta_{steps}$", "#E8F1F8")
        box(axes, (end + 2.1, 2.1), "held-out loss", "#FBEBDD")
        arrow(axes, (end + 0.4, 2.1), (end + 1.15, 2.1), plots.INK)
        arrow(axes, (end + 2.1, 1.8), (end + 2.1, 1.35), plots.EVAL, "--")
        axes.plot([end + 2.1, -0.2], [1.35, 1.35], "--", color=plots.EVAL, linewidth=1.3)
        arrow(axes, (-0.2, 1.35), (-0.2, 3.12), plots.EVAL, "--")
        box(axes, (-0.2, 3.37), "Adam", "white")
        arrow(axes, (0.3, 3.37), (1.0, 3.37), plots.EVAL, "--")
        keys = ("blue: inner steps, eq. 9 and 10", plots.TRAIN), ("green, dotted: the rule is used", GREEN)
        for x, (text, color) in zip((-0.6, 3.5, 7.4), (*keys, ("orange, dashed: the meta-gradient", plots.EVAL)), strict=True):
            axes.text(x, 0, text, color=color, fontsize=9)
        axes.set(xlim=(-0.9, end + 3.3), ylim=(-0.1, 3.8))
        axes.set_axis_off()
    return figure


def _step(axes, x, t):
    """One inner step, from the network at `x` to the next, with its batch and its hint."""
    box(axes, (x, 2.1), rf"$\theta_{t}$", "#E8F1F8")
    arrow(axes, (x + 0.4, 2.1), (x + 1.6, 2.1), plots.TRAIN)
    axes.text(x + 1, 2.25, f"batch {t + 1}", ha="center", fontsize=9)
    arrow(axes, (x + 1, 3.1), (x + 1, 2.55), GREEN, ":")
    arrow(axes, (x + 2, 1.8), (x + 2, 0.95), plots.INK)
    box(axes, (x + 2, 0.65), f"hint {t + 1}", "#FBEBDD")
    arrow(axes, (x + 1.75, 0.92), (x + 1.75, 1.35), plots.EVAL, "--")


def trainings(curves: np.ndarray, taught: np.ndarray, average: float, rivals: Mapping[str, np.ndarray]) -> Figure:
    """Meta-trainings with and without hints, and what their rules do.

    Args:
        curves: held-out losses, `(2, starts, meta-steps)`, with hints first.
        taught: eval losses of the finished rules, `(2, starts, inner steps + 1)`.
        average: the loss of the average curve.
        rivals: eval losses of other methods by inner step, by name.
    """
    looks = ("with hints", plots.TRAIN, "-"), ("without hints", plots.EVAL, "--")
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
        window = min(50, curves.shape[-1])
        for (name, color, line), arm, ends in zip(looks, curves, taught, strict=True):
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


def along_lines(places: np.ndarray, lines: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Mean hint and held-out losses along the straight line from one rule to another, a panel for each line.

    Args:
        places: 0 at the first rule, 1 at the second.
        lines: by name: hint and held-out losses, `(places, episodes)` each.
    """
    with plots.style():
        figure, panels = plt.subplots(1, len(lines), figsize=(8, 3.0), sharey=True, squeeze=False)
        for axes, (name, (hint, held_out)) in zip(panels[0], lines.items(), strict=True):
            axes.plot(places, held_out.mean(1), color=plots.EVAL, label="held-out loss")
            axes.plot(places, hint.mean(1), "--", color=plots.TRAIN, label="hint losses")
            for place in (0, 1):
                axes.axvline(place, color=plots.INK, linewidth=0.6)
            axes.set(xlabel=f"place on the line to the {name}", yscale="log")
        panels[0, 0].set_ylabel("loss, L2/2")
        panels[0, 0].legend()
    return figure


def tails(norms: Mapping[str, Sequence[float]], clip: float) -> Figure:
    """The share of episodes whose meta-gradient is longer than a given norm, by name of the rule; `clip` is marked."""
    with plots.style():
        figure, axes = plt.subplots(figsize=(7, 2.8))
        for (name, values), (color, line) in zip(norms.items(), ((plots.TRAIN, "--"), (plots.EVAL, "-")), strict=True):
            above = 1 - np.arange(len(values)) / len(values)
            axes.step(np.sort(values), above, line, color=color, label=f"{name} rule")
        axes.axvline(clip, color=plots.INK, linestyle=":")
        axes.set(xlabel="norm of one episode's meta-gradient", xscale="log", ylabel="share of episodes above", yscale="log")
        axes.legend()
    return figure
