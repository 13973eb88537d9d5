"""Digits: the images of an inner run, accuracy step by step, and what the first layer's weights look like."""

from collections.abc import Mapping
from math import isqrt

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .plots import TRAIN, style
from .prior import LOOKS
from .shapes import draw_levels


def examples(images: np.ndarray, labels: np.ndarray) -> Figure:
    """Images with their classes above, a row for each batch.

    Args:
        images: square ones as rows of pixels, `(batches, batch, pixels)`.
        labels: one-hot, `(batches, batch, classes)`.
    """
    side = isqrt(images.shape[-1])
    with style():
        rows, columns = images.shape[:2]
        figure, axes = plt.subplots(rows, columns, figsize=(0.85 * columns, 1.1 * rows), squeeze=False)
        for place in np.ndindex(rows, columns):
            axes[place].imshow(np.asarray(images[place]).reshape(side, side), cmap="Greys")
            axes[place].set_title(int(np.argmax(labels[place])), fontsize=10)
            axes[place].set_axis_off()
    return figure


def by_step(accuracies: Mapping[str, np.ndarray], levels: Mapping[str, float], trained: int) -> Figure:
    """Accuracy in per cent by inner step: means over runs and one standard deviation as a band; and levels to compare with.

    Args:
        accuracies: by method, from 0 to 1, `(runs, steps + 1)`; up to five methods.
        levels: accuracies from 0 to 1, see `shapes.draw_levels`.
        trained: how many steps a rule was trained for; a band covers them if there are more.
    """
    with style():
        figure, axes = plt.subplots(figsize=(7.6, 3.6))
        for (name, values), (marker, color) in zip(accuracies.items(), LOOKS, strict=False):
            mean, deviation = (100 * of(np.asarray(values), axis=0) for of in (np.mean, np.std))
            steps = np.arange(len(mean))
            axes.plot(steps, mean, color=color, marker=marker, markersize=4, markevery=max(1, len(steps) // 20), label=name)
            axes.fill_between(steps, mean - deviation, mean + deviation, color=color, alpha=0.13, linewidth=0)
        draw_levels(axes, {name: 100 * level for name, level in levels.items()})
        if len(steps) - 1 > trained:
            axes.axvspan(0, trained, color=TRAIN, alpha=0.1, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.set(xlabel="inner steps", ylabel="accuracy, %", xlim=(-0.3, len(steps) - 0.7), ylim=(0, None))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def weights(first_layers: Mapping[str, np.ndarray], units: int = 10) -> Figure:
    """What enters some hidden units, as images: red adds, blue takes away; each row has a scale of its own.

    Args:
        first_layers: by method, `(pixels, hidden units)`.
        units: how many of them are drawn, at most.
    """
    units = min(units, *(values.shape[1] for values in first_layers.values()))
    with style():
        figure, axes = plt.subplots(len(first_layers), units, figsize=(0.8 * units, 1.1 * len(first_layers)), squeeze=False)
        for row, (name, values) in zip(axes, first_layers.items(), strict=True):
            largest, side = np.abs(values[:, :units]).max(), isqrt(len(values))
            for cell, unit in zip(row, np.asarray(values).T[:units], strict=True):
                cell.imshow(unit.reshape(side, side), cmap="RdBu_r", vmin=-largest, vmax=largest)
                cell.set(xticks=[], yticks=[])
                cell.spines[:].set_visible(False)
            row[0].set_title(" ", fontsize=10)  # the room for what follows
            title = row[0].annotate(name, (0, 1.12), xycoords="axes fraction", fontsize=10, annotation_clip=False)
            title.set_in_layout(False)  # or the first column would be as wide as its title
    return figure
