"""The idea moving in one figure: outputs go forward, messages come back, and the fit changes."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter

from ..evaluate import Run, inner_run
from ..protocol import Protocol, Rule, Trail
from ..tasks import Episode
from . import graphs, messages, plots

HOLD, END = 4, 20
SIZE, DPI = (8.6, 5.2), 92


def record(protocol: Protocol, rule: Rule, prior: dict, episode: Episode) -> tuple[Run, list[Trail]]:
    """One inner run, and what every node said at each of its steps."""
    state = protocol.begin(prior, episode.xs.shape[1])
    run = inner_run(protocol, rule, state, episode)
    _, trails = jax.lax.scan(lambda s, xy: protocol.update(rule, s, *xy), state, (episode.xs, episode.ys))
    return run, [jax.tree.map(lambda leaf, t=t: leaf[t], trails) for t in range(len(episode.xs))]


def film(protocol: Protocol, run: Run, trails: Sequence[Trail], episode: Episode, milliseconds: int = 90) -> bytes:
    """A GIF of one inner run on a one-dimensional task: each message is drawn as its real channels, as they travel.

    Args:
        protocol: a layered network.
        run: from `record`.
        trails: from `record`.
        episode: what was learned.
        milliseconds: per frame.
    """
    names = [node.name for node in protocol.graph.nodes if node.name != "y"]
    shots = [shot for step in range(len(trails)) for shot in _shots(step, len(names))] + [(len(trails), None, 0)] * END
    with plots.style():
        figure, (top, bottom) = plt.subplots(2, 1, figsize=SIZE, dpi=DPI, height_ratios=(1, 1.9))
        play = FuncAnimation(figure, lambda shot: _draw(top, bottom, protocol, names, run, trails, episode, *shot), frames=shots)
        content = _as_gif(play, 1000 / milliseconds)
        plt.close(figure)
    return content


def still(protocol: Protocol, run: Run, trails: Sequence[Trail], episode: Episode) -> bytes:
    """One picture of the film as a PNG, for where nothing may move: all steps are done, and the last message is still to be seen."""
    names = [node.name for node in protocol.graph.nodes if node.name != "y"]
    with plots.style():
        figure, (top, bottom) = plt.subplots(2, 1, figsize=SIZE, dpi=DPI, height_ratios=(1, 1.9))
        _draw(top, bottom, protocol, names, run, trails, episode, len(trails), None, 0)
        _draw_message(top, trails[-1][names[len(names) // 2]]["message"][0, 0], len(names) // 2)
        with BytesIO() as buffer:
            figure.savefig(buffer, format="png", dpi=DPI)
            plt.close(figure)
            return buffer.getvalue()


def _shots(step, nodes):
    """What each frame of one inner step shows: the step, which way the traveller goes, and where it is."""
    forward = [(step, "forward", place) for place in range(0, nodes, 3)]
    backward = [(step, "backward", place) for place in range(nodes - 1, -1, -1)]
    return [*forward, *backward, *[(step + 1, None, 0)] * HOLD]


def _draw(top, bottom, protocol, names, run, trails, episode, step, direction, place):
    top.clear()
    graphs.draw_chain(top, protocol.graph)
    top.set_ylim(-1.25, 0.9)
    top.text(len(names) - 1, -1.1, "a message, channel by channel: orange below zero, purple above", ha="right", fontsize=9)
    if direction == "forward":
        top.plot(place, 0.28, "o", color=plots.TRAIN, markersize=14)
    if direction == "backward":
        speaker = names[max(place, 1)]
        _draw_message(top, trails[step][speaker]["message"][0, 0], place)
    bottom.clear()
    shown = Run(run.predictions[: step + 1], run.train_loss, run.eval_loss)
    seen = min(step + (direction is not None), len(episode.xs))
    plots.draw_fit(bottom, shown, episode._replace(xs=episode.xs[:seen], ys=episode.ys[:seen]), len(trails))
    bottom.set(xlim=(-5.2, 5.2), ylim=(-0.6, 0.6), title=f"gradient-free steps: {step}, eval loss {run.eval_loss[step]:.4f}")


def _draw_message(axes, channels, place):
    """The channels of one message at a node's place."""
    messages.draw_channels(axes, place, -0.62, channels, 0.22, 0.28)


def _as_gif(play, fps):
    """The GIF's bytes; the writer takes no buffer, so it gets a folder of its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.gif"
        play.save(path, PillowWriter(fps=fps))
        return path.read_bytes()
