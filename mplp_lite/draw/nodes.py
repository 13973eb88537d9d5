"""What single nodes compute, as pictures."""

import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..losses import LOSSES, CrossEntropy
from ..nodes import Fired
from .plots import EVAL, INK, TRAIN, style


def softmax_stages(fired: Fired) -> Figure:
    """What the units of a softmax stored and sent, for the first example: a panel each, a bar per unit."""
    names = ("input $x_u$", "shifted", "exponential", "total", "output $y_u$")
    with style():
        figure, axes = plt.subplots(1, 5, figsize=(8, 2.1))
        for ax, name, values in zip(axes, names, (*fired.stored, fired.output), strict=True):
            units, sent = range(values.shape[1]), name.startswith("output")
            ax.bar(units, values[0], width=0.7, color=EVAL if sent else TRAIN, hatch="//" if sent else None, edgecolor="white")
            ax.axhline(0, color=INK, linewidth=0.8)
            ax.set(xlabel="unit $u$", ylabel=name, xticks=units)
    return figure


def loss_curves() -> Figure:
    """The three losses of one unit by its prediction: L2 and L1 for target 1, cross-entropy on a logarithmic axis."""
    p, p_small = jnp.linspace(-1, 3, 201), jnp.logspace(-10, 0, 201)
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
        for name, line, color in (("l2", "-", TRAIN), ("l1", "--", EVAL)):
            left.plot(p, LOSSES[name](1).forward(None, p, 1.0).output, line, color=color, label=name.upper())
        for t, line, color in ((1.0, "-", TRAIN), (0.0, "--", EVAL)):
            right.plot(p_small, CrossEntropy(1).forward(None, p_small, t).output, line, color=color, label=f"target {t:.0f}")
        right.axvline(1e-7, color=INK, linestyle=":", linewidth=1)
        left.set(xlabel="prediction", ylabel="loss")
        right.set(xlabel="prediction", ylabel="cross-entropy", xscale="log")
        for ax in (left, right):
            ax.legend()
    return figure
