"""Where an inner run breaks: arrows that look at what passes through them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .checks import check_run, is_number, shown
from .graph import Arrow, Backward
from .network import check_state


class Break(NamedTuple):
    """Where an inner run first broke.

    Attributes:
        step: the inner step, from 0.
        node: the node.
        what: what of it: its `"output"`, its `"message"`, or its `"parameter"`.
    """

    step: int
    node: str
    what: str


def first_break(order, step, state, xs, ys, limit):
    """Where a run of `step(state, x, y, order)` first breaks; see `Protocol.first_break`."""
    if not is_number(limit) or not limit > 0:
        raise ValueError(f"limit={shown(limit)} was given; it must be above 0.")
    check_state(state)
    check_run(xs, ys, finite=False)
    broken = np.argwhere(~_watched(order, step, state, xs, ys, limit))
    if not len(broken):
        return None
    number, arrow, part = map(int, broken[0])
    said = "message" if isinstance(order[arrow], Backward) else "output"
    return Break(number, order[arrow].source, ("parameter", said)[part])


def _watched(order, step, state, xs, ys, limit):
    """Whether parameter and message were whole after each arrow had fired, `(steps, arrows, 2)`."""

    def watched_step(state, xy):
        noted = []
        watching = [_Watched(arrow.source, arrow.target, arrow.slot, arrow=arrow, limit=limit, noted=noted) for arrow in order]
        return step(state, *xy, watching), jnp.stack(noted)

    return np.asarray(jax.jit(lambda state: jax.lax.scan(watched_step, state, (xs, ys))[1])(state))


@dataclass(frozen=True, kw_only=True)
class _Watched(Arrow):
    """An arrow that notes whether what it found was whole."""

    arrow: Arrow
    limit: float
    noted: list

    def send(self, node, state, learn):
        state, message = self.arrow.send(node, state, learn)
        own = jnp.zeros(()) if state.parameter is None else state.parameter
        self.noted.append(jnp.stack([(jnp.isfinite(values) & (jnp.abs(values) <= self.limit)).all() for values in (own, message)]))
        return state, message

    def deliver(self, state, message):
        return self.arrow.deliver(state, message)
