"""Figures of the paper's experiments, in one style: opaque white, colour-blind safe, units on every axis."""

from collections.abc import Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluate import Run
from ..tasks import Episode

INK, TRAIN, EVAL = "#222222", "#0072B2", "#D55E00"
STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@contextmanager
def style():
    """The one style of all figures."""
    with plt.rc_context(STYLE):
        yield


def step_colors(steps: int) -> np.ndarray:
    """One colour per number of inner steps, from few (light) to many (dark), `(steps, 4)`."""
    return plt.get_cmap("viridis_r")(np.linspace(0.15, 0.95, steps))


def draw_fit(axes: Axes, run: Run, episode: Episode, steps: int | None = None) -> None:
    """The target, the examples of each step, and the prediction before and after each step, of one run on a one-dimensional task.

    Args:
        axes: where to draw.
        run: its predictions; of the first steps only, if you like.
        episode: its data.
        steps: how many steps the colours span; as many as there are by default.
    """
    grid = np.asarray(episode.x_held_out[:, 0])
    axes.plot(grid, episode.y_held_out[:, 0], color=INK, linewidth=3, alpha=0.35, label="target")
    colors = step_colors(1 + (len(episode.xs) if steps is None else steps))
    for step, prediction in enumerate(run.predictions):
        axes.plot(grid, prediction[:, 0], color=colors[step], label=_when(step))
    for step, (x, y) in enumerate(zip(episode.xs, episode.ys, strict=True)):
        axes.plot(x[:, 0], y[:, 0], "o", markersize=4, color=colors[step + 1], markeredgecolor="white", markeredgewidth=0.5)
    axes.set(xlabel="input x", ylabel="output y")


def _when(step):
    return ("before learning", "after 1 step")[step] if step < 2 else f"after {step} steps"


def draw_losses(axes: Axes, runs: Run) -> None:
    """Mean and one standard deviation over runs of the train and eval loss, by inner step."""
    last = runs.eval_loss.shape[1] - 1
    for name, losses, first, color in (("train", runs.train_loss, 1, TRAIN), ("eval", runs.eval_loss, 0, EVAL)):
        mean, deviation, steps = losses.mean(0), losses.std(0), np.arange(first, last + 1)
        axes.plot(steps, mean, "o-" if name == "eval" else "s--", markersize=4, color=color, label=f"{name} loss")
        axes.fill_between(steps, np.maximum(mean - deviation, 0), mean + deviation, color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="inner steps", ylabel="loss, L2/2", xticks=range(last + 1))


def figure_2(methods: dict[str, tuple[Run, Episode, Run]]) -> Figure:
    """The two rows of Figure 2: for each method a typical run, and mean and spread of the losses over many.

    Args:
        methods: by name: one run, its episode, and runs with a leading axis.
    """
    with style():
        figure, axes = plt.subplots(len(methods), 2, figsize=(8.6, 3.1 * len(methods)), squeeze=False, sharex="col", sharey="col")
        for (left, right), (name, (run, episode, runs)) in zip(axes, methods.items(), strict=True):
            draw_fit(left, run, episode)
            draw_losses(right, runs)
            left.set_ylabel(f"{name}\noutput y")
        for upper in axes[:-1].ravel():
            upper.set_xlabel("")
        axes[0][1].legend(loc="upper right")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=9)
    return figure


def draw_tasks(axes: Axes, episodes: Sequence[Episode]) -> None:
    """Targets and examples of several one-dimensional tasks, one line style and marker each."""
    markers, lines, colors = "os^D", ("-", "--", "-.", ":"), ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
    for k, episode in enumerate(episodes):
        look = {"color": colors[k % 4], "linestyle": lines[k % 4]}
        axes.plot(episode.x_held_out[:, 0], episode.y_held_out[:, 0], linewidth=1.2, **look)
        axes.plot(episode.xs[..., 0].ravel(), episode.ys[..., 0].ravel(), markers[k % 4], markersize=4, color=colors[k % 4])
    axes.set(xlabel="input x", ylabel="output y")


def draw_curve(axes: Axes, steps: Sequence[int], losses: Sequence[float], window: int = 20) -> None:
    """A learning curve: every value faint, and the running mean of `window` values.

    Args:
        axes: where to draw.
        steps: the last meta-step that each value is of, evenly spaced: a value may be a mean over several steps.
        losses: the values.
        window: how many of them are averaged.
    """
    steps, losses = np.asarray(steps), np.asarray(losses)
    axes.plot(steps, losses, color=TRAIN, alpha=0.25, linewidth=0.8)
    window = min(window, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, "valid")
    each = steps[1] - steps[0] if len(steps) > 1 else 1
    axes.plot(steps[window - 1 :], smooth, color=TRAIN, label=f"mean of {window * each} meta-steps")
    axes.set(xlabel="meta-steps", ylabel="meta-loss, L2/2", yscale="log")
