"""Where a rule stops working: its loss step by step, and case by case, beside what it is to be compared with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .plots import EVAL, INK, TRAIN, style
from .shapes import GREEN, draw_levels

BETTER, WORSE, RIVAL = TRAIN, EVAL, "#8A4B82"
"""Colours of what a rule has made better, of what it has made worse, and of its rival."""


class Case(NamedTuple):
    """What became of many runs on one kind of task.

    Attributes:
        before: median loss before learning.
        rule: median loss after learning by the rule.
        rival: median loss after learning by something else.
        worse: share of the runs that the rule has made worse.
    """

    before: float
    rule: float
    rival: float
    worse: float

    @property
    def is_worse(self) -> bool:
        """Whether the rule has made the median worse; what is not a number is worse than all that are.

        >>> Case(before=0.02, rule=0.03, rival=0.02, worse=0.9).is_worse, Case(0.02, 0.001, 0.02, 0.0).is_worse
        (True, False)
        """
        return not self.rule < self.before


def by_step(losses: Mapping[str, Sequence[float]], levels: Mapping[str, float], trained: int) -> Figure:
    """Losses by inner step on a logarithmic axis, with levels to compare with, and a band over the steps that the rule was trained for.

    Args:
        losses: by name, such as "mean" and "median": one per step, from step 0; up to three.
        levels: see `shapes.draw_levels`.
        trained: how many steps the band covers.
    """
    with style():
        figure, axes = plt.subplots(figsize=(7.6, 3.4))
        axes.axvspan(0, trained, color=TRAIN, alpha=0.1, linewidth=0)
        last = max(map(len, losses.values())) - 1
        at, side = (trained / 2, "center") if trained > last / 5 else (0.1, "left")  # a narrow band does not hold the words
        axes.annotate("trained for", (at, 0.93), xycoords=("data", "axes fraction"), ha=side, fontsize=9)
        looks = zip("os^", (BETTER, GREEN, RIVAL), strict=True)
        for (name, values), (marker, color) in zip(losses.items(), looks, strict=False):
            axes.plot(range(len(values)), values, color=color, marker=marker, markersize=4.5, label=name)
        draw_levels(axes, levels)
        axes.set(xlabel="inner steps", ylabel="eval loss, L2/2", yscale="log", xlim=(-0.4, last + 0.4), xticks=range(0, last + 1, 5))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def by_case(cases: Mapping[tuple[str, str], Case], rival: str) -> Figure:
    """A row per case on a logarithmic axis: where the loss was, an arrow to where the rule brought it, and where the rival did.

    Arrows to a lower loss are blue and end in a dot, arrows to a higher one are orange and end in a square. On the right stands in how
    many of the runs the loss was higher after than before.

    Args:
        cases: by group and name, those of a group one after the other; drawn from top to bottom.
        rival: what the other method is called.
    """
    groups = list(dict.fromkeys(group for group, _ in cases))
    rows = {case: 1.6 * groups.index(case[0]) + place for place, case in enumerate(cases)}
    last = max(rows.values())
    with style():
        figure, axes = plt.subplots(figsize=(7.6, 1.3 + 0.21 * (last + 1)))
        for group in groups:
            top = min(rows[case] for case in cases if case[0] == group)
            axes.annotate(group, (0.01, top - 0.85), xycoords=("axes fraction", "data"), va="center", style="italic", fontsize=9)
        for (group, name), case in cases.items():
            _draw_case(axes, rows[group, name], case, rival)
        axes.annotate("worse in", (1.02, -0.85), xycoords=("axes fraction", "data"), va="center", style="italic", fontsize=9)
        axes.set(xlabel="eval loss, L2/2: median over runs", xscale="log", ylim=(last + 0.7, -1.6))
        axes.set_yticks(list(rows.values()), [name for _, name in rows])
        axes.tick_params(axis="y", length=0)
        shown = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each name once
        figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=4, fontsize=9, columnspacing=1.2)
    return figure


def _draw_case(axes, row, case, rival):
    color, marker, name = (WORSE, "s", "rule: worse") if case.is_worse else (BETTER, "o", "rule: better")
    axes.axhline(row, color=INK, alpha=0.1, linewidth=0.8, zorder=0)
    arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": 4, "shrinkB": 2}
    axes.annotate("", (case.rule, row), (case.before, row), arrowprops=arrow)
    look = {"linestyle": "", "markersize": 6}
    axes.plot(case.before, row, "o", markerfacecolor="white", markeredgecolor=INK, label="before learning", **look)
    axes.plot(case.rule, row, marker, color=color, label=name, **look)
    axes.plot(case.rival, row, "x", color=RIVAL, markeredgewidth=1.6, label=rival, **look)
    axes.annotate(f"{case.worse:.0%}", (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=color)
