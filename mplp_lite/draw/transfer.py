"""A rule far from home: how it does case by case, and what changes in a network while it learns on."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .plots import INK, TRAIN, style
from .prior import LOOKS


def grid(cases: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]]) -> Figure:
    """A row for each case, a mark with one standard deviation to either side for each method.

    Args:
        cases: by group and name, those of a group one after the other, drawn from top to bottom: mean and deviation of the accuracy,
            from 0 to 1, by method; up to five methods, and not every case needs to have all.
    """
    groups = list(dict.fromkeys(group for group, _ in cases))
    rows = {case: 1.4 * groups.index(case[0]) + place for place, case in enumerate(cases)}
    methods = list(dict.fromkeys(method for found in cases.values() for method in found))
    with style():
        figure, axes = plt.subplots(figsize=(7.6, 1.2 + 0.27 * max(rows.values())))
        for place, (method, (marker, color)) in enumerate(zip(methods, LOOKS, strict=False)):
            there = [case for case, found in cases.items() if method in found]
            means, deviations = 100 * np.array([cases[case][method] for case in there]).T
            at = np.array([rows[case] for case in there]) + 0.16 * (place - (len(methods) - 1) / 2)
            axes.errorbar(means, at, xerr=deviations, fmt=marker, color=color, markersize=5, elinewidth=0.8, capsize=0, label=method)
        for group in groups:
            top = min(row for (of, _), row in rows.items() if of == group)
            axes.annotate(group, (0.01, top - 0.75), xycoords=("axes fraction", "data"), fontsize=9, color=INK, style="italic")
        axes.set(xlabel="accuracy, %", xlim=(0, 100), yticks=list(rows.values()), yticklabels=[name for _, name in cases])
        axes.set_ylim(max(rows.values()) + 0.7, -1.3)
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def along(panels: Mapping[str, Mapping[str, Sequence[float]]], trained: int) -> Figure:
    """Quantities by inner step, a panel for each, two in a row.

    Args:
        panels: by what the axis is called: its values after steps 1, 2, ..., by what they are of; up to five.
        trained: how many steps a rule was trained for; a band covers them.
    """
    with style():
        figure, axes = plt.subplots(-(-len(panels) // 2), 2, figsize=(7.6, 2.5 * (-(-len(panels) // 2))), squeeze=False, sharex=True)
        for cell, (quantity, values) in zip(axes.flat, panels.items(), strict=False):
            cell.axvspan(0, trained, color=TRAIN, alpha=0.1, linewidth=0)
            for (name, row), (marker, color) in zip(values.items(), LOOKS, strict=False):
                steps = np.arange(1, len(row) + 1)
                cell.plot(steps, row, color=color, marker=marker, markersize=4, markevery=max(1, len(steps) // 10), label=name)
            cell.set(ylabel=quantity, ylim=(0, None))
            cell.legend(fontsize=9)
        for cell in axes[-1]:
            cell.set_xlabel("inner steps")
    return figure
