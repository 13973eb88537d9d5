"""What updates are like: how far they go along the gradient, what they depend on, and what biases make of them."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from .plots import INK, TRAIN, step_colors, style
from .prior import LOOKS

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Values by name: where, and what; up to five."""


def along_the_gradient(panels: Mapping[str, Curves], trained: int) -> Figure:
    """Cosines between updates and the way down the gradient by inner step, a panel for each bundle: 1 goes down, -1 goes up.

    Args:
        panels: by bundle: inner steps and cosines, by rule.
        trained: how many steps a rule was trained for; a band covers them.
    """
    with style():
        figure, axes = plt.subplots(1, len(panels), figsize=(7.8, 2.7), sharey=True, squeeze=False)
        for cell, (bundle, curves) in zip(axes[0], panels.items(), strict=True):
            _draw(cell, curves)
            cell.axhline(0, color=INK, linewidth=0.8)
            cell.axvspan(min(x[0] for x, _ in curves.values()), trained, color=TRAIN, alpha=0.1, linewidth=0)
            _count(cell, curves)
            cell.set(title=bundle, ylim=(-1.05, 1.05), xlabel="inner step")
        axes[0, 0].set_ylabel("cosine with the\nway down the gradient")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    return figure


def _draw(axes, curves):
    for (name, (x, y)), (marker, color) in zip(curves.items(), LOOKS, strict=False):
        axes.plot(x, y, color=color, marker=marker, markersize=4, label=name)


def _count(axes, curves):
    """A logarithmic axis of steps with every step that is drawn, as far as labels have room."""
    axes.set_xscale("log")
    ticks = sorted({tick for x, _ in curves.values() for tick in x})
    axes.set_xticks(ticks[:: -(-len(ticks) // 6)])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()


def surfaces(values: Mapping[str, Mapping[str, np.ndarray]], span: float) -> Figure:
    """Updates over message and input, a row of pictures for each bundle: orange where a weight falls, purple where it grows.

    Args:
        values: by bundle and rule: updates, `(inputs, messages)`, both from `-span` to `span`; each picture has a scale of its own.
        span: see above.
    """
    columns = max(map(len, values.values()))
    with style():
        figure, axes = plt.subplots(
            len(values), columns, figsize=(2.9 * columns, 2.6 * len(values)), squeeze=False, sharex=True, sharey=True
        )
        for row, (bundle, pictures) in zip(axes, values.items(), strict=True):
            for cell, (rule, update) in zip(row, pictures.items(), strict=False):
                edge = np.abs(update).max()
                shown = cell.imshow(
                    np.asarray(update) / edge, origin="lower", extent=(-span, span, -span, span), cmap="PuOr", vmin=-1, vmax=1
                )
                at = np.linspace(-span, span, len(update))
                cell.contour(at, at, np.asarray(update) / edge, levels=[0], colors=INK, linewidths=1)
                cell.set_title(f"{rule}, {bundle}", fontsize=10)
            row[0].set_ylabel("input")
        for cell in axes[-1]:
            cell.set_xlabel("message, along the gradient")
        figure.colorbar(shown, ax=axes, shrink=0.6, label="update, of the largest", ticks=[-1, 0, 1])
    return figure


def taken_back(panels: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """For single units: how far a step of the weights moved a unit on average over images, and how far its bias moved it.

    Args:
        panels: by what they are of: both, any shape; a line is the best multiple of the first that the second is.
    """
    with style():
        figure, axes = plt.subplots(1, len(panels), figsize=(7.8, 2.9), squeeze=False)
        for cell, (name, (by_weights, by_bias)) in zip(axes[0], panels.items(), strict=True):
            x, y = np.ravel(by_weights), np.ravel(by_bias)
            slope, reach = (x @ y) / (x @ x), 1.05 * np.abs(x).max()
            cell.plot(x, y, ".", color=TRAIN, markersize=3, alpha=0.5)
            cell.plot([-reach, reach], [-slope * reach, slope * reach], color=INK, linewidth=1.2, label=f"slope {slope:.2f}")
            cell.set(title=name, xlabel="moved by its weights")
            cell.legend(loc="upper right", fontsize=9)
        axes[0, 0].set_ylabel("moved by its bias")
    return figure


def shares(panels: Mapping[str, Curves], levels: Mapping[str, Mapping[str, float]]) -> Figure:
    """Accuracies in per cent by the share of its mean shift that a bias takes back, a panel for each number of steps.

    Args:
        panels: by title: shares and accuracies from 0 to 1, by method.
        levels: by the same titles: accuracies to compare with, by name; up to three.
    """
    with style():
        figure, axes = plt.subplots(1, len(panels), figsize=(7.8, 3.1), sharey=True, squeeze=False)
        for cell, (title, curves) in zip(axes[0], panels.items(), strict=True):
            _draw(cell, {name: (x, 100 * np.asarray(y)) for name, (x, y) in curves.items()})
            for (name, level), line in zip(levels[title].items(), ("-", "--", ":"), strict=False):
                cell.axhline(100 * level, color=INK, linestyle=line, linewidth=1, label=name)
            cell.set(title=title, xlabel="share taken back")
        axes[0, 0].set_ylabel("accuracy, %")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    return figure


def by_layer(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Quantities by how many layers a message has come down, a line for each network; light is shallow.

    Args:
        panels: by quantity: its values after 1, 2, ... layers, by network; names that end in ", log" get a logarithmic axis.
    """
    with style():
        figure, axes = plt.subplots(1, len(panels), figsize=(7.8, 2.8), squeeze=False)
        for cell, (quantity, lines) in zip(axes[0], panels.items(), strict=True):
            name, _, log = quantity.partition(", log")
            for (network, values), color, marker in zip(lines.items(), step_colors(len(lines)), "osD^v", strict=False):
                cell.plot(np.arange(1, len(values) + 1), values, marker=marker, markersize=4, color=color, label=network)
            cell.set(title=name, xlabel="layers come down", yscale="log" if quantity != name else "linear")
            cell.set_xticks(range(1, max(map(len, lines.values())) + 1))
            if quantity == name:
                cell.set_ylim(min(0, *(np.min(values) for values in lines.values())), None)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    return figure
