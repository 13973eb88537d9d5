"""What a rule meets in meta-training that is meant to travel, and how long it lasts."""

from collections.abc import Mapping, Sequence
from math import isqrt

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from .plots import INK, TRAIN, style
from .prior import LOOKS
from .shapes import LINES

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def looks(views: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """A few images of each view, a row for each, with their classes above.

    Args:
        views: by name: square images as rows of pixels, `(n, pixels)`, and one-hot labels, `(n, classes)`; as many for each view.
    """
    columns = min(len(images) for images, _ in views.values())
    with style():
        figure, axes = plt.subplots(len(views), columns, figsize=(0.8 * columns + 1, 0.98 * len(views)), squeeze=False)
        for row, (name, (images, labels)) in zip(axes, views.items(), strict=True):
            for cell, image, label in zip(row, np.asarray(images), np.asarray(labels), strict=False):
                side = isqrt(len(image))
                cell.imshow(image.reshape(side, side), cmap="Greys")
                cell.set_title(int(label.argmax()), fontsize=8, pad=2)
                cell.set(xticks=[], yticks=[])
                cell.spines[:].set_visible(False)
            row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def horizons(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float], Sequence[float]]],
    marks: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    trained: int,
) -> Figure:
    """Accuracy in per cent by inner step, on a logarithmic axis, where step 0 has no place.

    Args:
        curves: by method: steps, mean accuracies from 0 to 1, and their deviations, drawn as a band; up to five.
        marks: by what the images of so many steps are given to, all at once: steps and mean accuracies; up to three.
        trained: how many steps a rule was trained for in one go; a band covers them.
    """
    with style():
        figure, axes = plt.subplots(figsize=(7.6, 3.8))
        for (name, (steps, mean, deviation)), (marker, color) in zip(curves.items(), LOOKS, strict=False):
            steps, mean, deviation = np.array(steps), 100 * np.array(mean), 100 * np.array(deviation)
            steps, mean, deviation = (values[steps > 0] for values in (steps, mean, deviation))
            axes.plot(steps, mean, color=color, marker=marker, markersize=4, label=name)
            axes.fill_between(steps, mean - deviation, mean + deviation, color=color, alpha=0.13, linewidth=0)
        for (name, (steps, mean)), line, marker in zip(marks.items(), LINES, "x+1", strict=False):
            axes.plot(steps, 100 * np.array(mean), color=INK, linestyle=line, marker=marker, markersize=6, linewidth=1, label=name)
        axes.axvspan(axes.get_xlim()[0], trained, color=TRAIN, alpha=0.1, linewidth=0)
        axes.set(xscale="log", xlabel="inner steps", ylabel="accuracy, %")
        first, last = min(line.get_xdata()[0] for line in axes.lines), max(line.get_xdata()[-1] for line in axes.lines)
        axes.set_xlim(first / 1.1, last * 1.1)
        axes.set_xticks([tick for tick in TICKS if first <= tick <= last])
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.minorticks_off()
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure
