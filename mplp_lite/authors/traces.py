"""Traces of the authors' code, and how far this package is from them: short runs on random data, step by step."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..graph import sequential
from ..learners import GRU, Stateless
from ..meta import MetaLoss
from ..network import State
from ..protocol import Protocol, Rule
from ..tasks import Episode
from ..weights import WeightsError, named_leaves, unpack
from .published import read_bytes, unflatten

try:
    wide = jax.enable_x64
except AttributeError:  # an older jax
    from jax.experimental import enable_x64 as wide

LOSS_NAMES = {"l2": "l2", "l1": "l1", "ce": "cross_entropy"}
SHARING_NAMES = {"none": "none", "nets": "learners", "all": "all"}
TOLERANCES = {"weights": 1e-5, "predictions": 1e-5, "meta_loss": 1e-5, "meta_gradient": 1e-4, "calibration": 1e-4}


def protocol_of(config: Mapping[str, Any]) -> Protocol:
    """The protocol that a trace's `config` describes: `arch`, `loss`, `ms`, `hn`, `stateful`, `shared`."""
    graph = sequential(*config["arch"], loss=LOSS_NAMES[config["loss"]])
    learner = GRU(message=config["ms"], hidden=config["hn"]) if config["stateful"] else Stateless(message=config["ms"])
    return Protocol(graph, learner, SHARING_NAMES[config["shared"]])


@dataclass(frozen=True)
class Trace:
    """One `trace_*.npz`: a short run of the authors' code on random data.

    Attributes:
        protocol: what ran.
        rule: the rule after calibration.
        parameters: parameters after each step, `(steps + 1, ...)` each, by node.
        episode: the data.
        predictions: on the held-out inputs after each step, `(steps + 1, n, units)`.
        hint: mean hint loss.
        meta_loss: `0.7 hint + 0.3 held-out`.
        gradient: its gradient by the rule, flat.
        trained: where the authors' code trains, flat.
    """

    protocol: Protocol
    rule: Rule
    parameters: dict[str, np.ndarray]
    episode: Episode
    predictions: np.ndarray
    hint: np.ndarray
    meta_loss: np.ndarray
    gradient: np.ndarray
    trained: np.ndarray

    @classmethod
    def load(cls, path: str | Path) -> "Trace":
        """Reads a trace.

        Raises:
            FileNotFoundError: if there is no such file.
            WeightsError: if it is no trace.
        """
        content = read_bytes(path)
        try:
            return cls._from_arrays(unpack(content, str(path)))
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{path} is no trace of the authors' code ({error}).") from error

    @classmethod
    def _from_arrays(cls, arrays):
        protocol = protocol_of(json.loads(str(arrays["config"])))
        steps = len(arrays["xs"])
        names = [node.name for node in protocol.graph.nodes if node.op.parameter_shape is not None]
        parameters = {name: np.stack([arrays[f"wb_{t}_{k}"] for t in range(steps + 1)]) for k, name in enumerate(names)}
        episode = Episode(*(jnp.asarray(arrays[name]) for name in ("xs", "ys", "xe", "ye")))
        rest = (arrays[name] for name in ("preds", "hint", "meta_loss", "grad", "trained"))
        shapes = {name: values.shape[1:] for name, values in parameters.items()}
        flat = {arrays[name].shape for name in ("flat", "grad", "trained")}
        if shapes != protocol.parameter_shapes or len(arrays["preds"]) != steps + 1 or len(flat) > 1:
            raise ValueError("its arrays do not fit its config")
        return cls(protocol, unflatten(arrays["flat"], protocol), parameters, episode, *rest)

    def start(self) -> State:
        """The state before the first step."""
        prior = {name: jnp.asarray(values[0]) for name, values in self.parameters.items()}
        return self.protocol.begin(prior, self.episode.xs.shape[1])


def verify(trace: Trace) -> dict[str, float]:
    """The largest error of each kind against the authors' code; see `TOLERANCES` for what is allowed.

    Weights, predictions and meta-loss: absolute. Meta-gradient: relative to the norm of its tensor.
    Calibration: relative, and for input means in units of the deviation; computed in float64, since rounding grows with the norms.
    """
    return {**_run_errors(trace), **_meta_errors(trace), "calibration": _calibration_error(trace)}


def _run_errors(trace):
    protocol, episode = trace.protocol, trace.episode
    state, weights, predictions = trace.start(), [], []
    update, predict = jax.jit(protocol.update), jax.jit(protocol.predict)
    for t in range(len(episode.xs) + 1):
        weights += [np.abs(state.parameters[name] - values[t]).max() for name, values in trace.parameters.items()]
        predictions.append(np.abs(predict(state, episode.x_held_out) - trace.predictions[t]).max())
        if t < len(episode.xs):
            state, _ = update(trace.rule, state, episode.xs[t], episode.ys[t])
    return {"weights": float(np.max(weights)), "predictions": float(np.max(predictions))}


def _meta_errors(trace):
    def loss(rule):
        return MetaLoss()(trace.protocol, rule, trace.start().parameters, trace.episode, jax.random.key(0))

    (value, parts), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(trace.rule)
    ours = named_leaves(gradient)
    theirs = named_leaves(unflatten(trace.gradient, trace.protocol))
    trained = named_leaves(unflatten(trace.trained.astype(np.float32), trace.protocol))
    return {
        "meta_loss": float(np.max([abs(value - trace.meta_loss), abs(parts["hint"] - trace.hint)])),
        "meta_gradient": float(np.max([_relative(ours[name], theirs[name]) for name in theirs if np.all(trained[name])])),
    }


def _calibration_error(trace):
    """Input means are taken in units of the deviation, for some are zero by construction."""
    with wide(True):
        given = trace.rule, trace.start(), trace.episode.xs, trace.episode.ys
        ours = trace.protocol.calibrate(*jax.tree.map(lambda values: jnp.asarray(values, float), given)).statistics
    errors = []
    for group, theirs in trace.rule.statistics.items():
        errors.append(_relative(np.asarray(ours[group].norm), theirs.norm))
        errors.append(np.abs((np.asarray(ours[group].mean_zeroer) - theirs.mean_zeroer) * theirs.norm).max())
        if theirs.out_mean is not None:
            errors.append(_relative(np.asarray(ours[group].out_mean), theirs.out_mean))
    return float(np.max(errors))


def _relative(ours, theirs):
    return float(np.linalg.norm(ours - theirs) / (np.linalg.norm(theirs) + 1e-30))
