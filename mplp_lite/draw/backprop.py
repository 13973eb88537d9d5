"""One synapse that does backpropagation, and how messages through random numbers turn towards the gradient, as pictures."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from .plots import EVAL, INK, TRAIN, style
from .shapes import GREEN, GREY, PURPLE, arrow, box

PLACES = {"fire": (4.0, 3.6), "w": (4.0, 2.4), "x": (6.6, 2.4), "f": (6.6, 1.35), "g": (4.0, 0.3)}
FORWARD, BACKWARD, READ = (TRAIN, "-"), (EVAL, "--"), (GREY, ":")
ARROWS = (
    ((0.2, 3.6), (3.45, 3.6), FORWARD),
    ((4.55, 3.6), (9.8, 3.6), FORWARD),
    ((4.0, 2.7), (4.0, 3.4), READ),  # w, to be multiplied
    ((4.55, 3.4), (6.1, 2.7), READ),  # x, to be kept
    ((6.6, 2.1), (6.6, 1.55), READ),  # x, for f
    ((4.0, 2.1), (4.0, 0.5), READ),  # w, for g
    ((9.8, 0.3), (4.5, 0.3), BACKWARD),
    ((6.6, 0.3), (6.6, 1.15), BACKWARD),
    ((3.5, 0.3), (0.2, 0.3), BACKWARD),
    ((6.1, 1.4), (4.65, 2.2), BACKWARD),
)


def synapse(w: float, x: float, m: float) -> Figure:
    """One synapse as a node: what goes in and out, what it holds, and what `f` and `g` make of it; the message is a derivative.

    Args:
        w: its weight.
        x: its input on the way forward.
        m: the message that comes back.
    """
    inside = {"fire": "fires: $w\\,x$", "w": f"parameter\n$w$ = {w:.2f}", "x": f"stored\n$x$ = {x:.2f}"}
    inside |= {"f": "$f$: $-m\\,x$", "g": "$g$: $m\\,w$"}
    outside = {(1.3, 3.7): f"input\n$x$ = {x:.2f}", (8.8, 3.7): f"output\n$w\\,x$ = {w * x:.2f}"}
    outside |= {(1.3, 0.4): f"message out\n$m\\,w$ = {m * w:.2f}", (8.8, 0.4): f"message in\n$m$ = {m:.2f}"}
    outside |= {(5.15, 1.1): f"proposes\n${-m * x:.2f}$"}
    with style():
        figure, axes = plt.subplots(figsize=(7.5, 3.4))
        axes.add_patch(FancyBboxPatch((2.7, -0.1), 4.9, 4.05, boxstyle="round,pad=0.1", facecolor="#F3F3F3", edgecolor="none"))
        for start, end, look in ARROWS:
            arrow(axes, start, end, *look)
        for name, text in inside.items():
            box(axes, PLACES[name], text, "white", *{"f": BACKWARD, "g": BACKWARD, "fire": FORWARD}.get(name, (INK, "-")))
        for (across, up), text in outside.items():
            axes.text(across, up, text, ha="center", va="bottom")
        axes.set(xlim=(0, 10), ylim=(-0.3, 4.5))
        axes.set_axis_off()
    return figure


def alignment(steps: Sequence[int], scores: Mapping[str, np.ndarray], angles: Mapping[str, np.ndarray]) -> Figure:
    """Left, how well networks do, by learner; right, how far their messages point away from the gradient, by layer.

    Args:
        steps: the inner steps at which somebody looked.
        scores: test accuracy in percent, `(runs, looks)`, by learner.
        angles: in degrees, `(runs, looks)`, by layer.
    """
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3))
        for (name, values), look in zip(scores.items(), ((TRAIN, "-"), (EVAL, "--"), (GREEN, ":")), strict=False):
            _draw_runs(left, steps, values, name, *look)
        right.axhline(90, color=INK, linestyle=":", linewidth=1)
        for (name, values), look in zip(angles.items(), ((INK, "-"), (PURPLE, "-.")), strict=False):
            _draw_runs(right, steps, values, name, *look)
        left.set(xlabel="inner steps", ylabel="test accuracy, %", ylim=(0, 100))
        right.set(xlabel="inner steps", ylabel="angle to the gradient, degrees", ylim=(0, 110), yticks=(0, 30, 60, 90))
        left.legend(loc="lower right")
        right.legend(loc="lower left")
    return figure


def _draw_runs(axes: Axes, steps, values, name, color, line):
    """Mean of all runs, and the span between the lowest and the highest."""
    axes.plot(steps, np.mean(values, axis=0), color=color, linestyle=line, linewidth=1.8, label=name)
    axes.fill_between(steps, np.min(values, axis=0), np.max(values, axis=0), color=color, alpha=0.2, linewidth=0)
