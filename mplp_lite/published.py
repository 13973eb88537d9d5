"""The authors' published rules: flat float32 vectors, and traces of their code to check against.

The layout follows google-research/self-organising-systems, folder `mplp` (Apache-2.0), which published the vectors.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .builders import sequential
from .learners import GRU, Stateless
from .meta import MetaLoss
from .network import State
from .protocol import Protocol, Rule
from .tasks import Episode
from .weights import WeightsError, from_named, named_leaves

LOSS_NAMES = {"l2": "l2", "l1": "l1", "ce": "cross_entropy"}
SHARING_NAMES = {"none": "none", "nets": "learners", "all": "all"}
TOLERANCES = {"weights": 1e-5, "predictions": 1e-5, "meta_loss": 1e-5, "meta_gradient": 1e-4, "calibration": 1e-4}


def _perceptron(prefix, layers, last_bias=True):
    names = [f"{prefix}/Dense_{k}/{part}" for k in range(layers) for part in "Wb"]
    return names if last_bias else names[:-1]


def _gru(group, layers):
    gates = [f"{gate}_{part}" for gate in "ur" for part in ("x/W", "c/W", "c/b")]
    b_n = f"MLP_c/Dense_{layers - 1}/b"
    own = [*gates, b_n, *_perceptron("MLP_x", layers, False), *_perceptron("MLP_c", layers, False)]
    return [f"learners/{group}/{name}" for name in own]


def _pair(group, layers):
    return [name for net in "fg" for name in _perceptron(f"learners/{group}/{net}", layers)]


def _standardizer(group):
    return [f"statistics/{group}/norm", f"statistics/{group}/mean_zeroer"]


def _output(group):
    return [f"scales/{group}", f"statistics/{group}/out_mean"]


def layout(protocol: Protocol) -> list[str]:
    """Names of a rule's leaves, in the order in which the authors' vectors hold them."""
    layers = len(protocol.learner.widths) + 1
    stateless = isinstance(protocol.learner, Stateless)
    learning = [node for node in protocol.graph.nodes if node.op.learns]
    names = []
    for node in learning:
        has_parameter, group = node.op.parameter_shape is not None, node.name
        own_statistics = protocol.statistics_group(node) == group
        output = _output(group) if has_parameter and own_statistics else []
        names += _standardizer(group) if own_statistics else []
        if stateless:
            own = protocol.learner_group(node) == group
            f, g = (_perceptron(f"learners/{group}/{net}", layers) if own else [] for net in "fg")
            names += [*(f if has_parameter else []), *output, *g]
        else:
            names += [*(_gru(group, layers) if protocol.learner_group(node) == group else []), *output]
    shared = [kind for kind in ("weight", "bias") if kind in {protocol.learner_group(node) for node in learning}]
    names += [name for kind in shared for name in (_pair if stateless else _gru)(kind, layers)]
    if protocol.sharing == "all":
        names += [name for kind in shared for name in _output(kind)]
        names += [name for kind in shared for name in _standardizer(kind)]
    return names


def unflatten(vector: Array | np.ndarray, protocol: Protocol) -> Rule:
    """The rule that a flat vector holds.

    Raises:
        WeightsError: if the vector is not flat, not float32 or not as long as the protocol's rules are.
    """
    template = named_leaves(jax.eval_shape(protocol.new_rule, jax.random.key(0)))
    names = layout(protocol)
    ends = np.cumsum([template[name].size for name in names])
    if vector.shape != (ends[-1],) or vector.dtype != jnp.float32:
        wanted = f"float32 of shape ({ends[-1]},)"
        raise WeightsError(f"The vector is {vector.dtype} of shape {vector.shape}, but this protocol's rules are {wanted}.")
    pieces = np.split(np.asarray(vector), ends[:-1])
    arrays = {name: jnp.asarray(piece.reshape(template[name].shape)) for name, piece in zip(names, pieces, strict=True)}
    return from_named(jax.eval_shape(protocol.new_rule, jax.random.key(0)), arrays)


def flatten(rule: Rule, protocol: Protocol) -> np.ndarray:
    """The flat vector that holds `rule`: the inverse of `unflatten`."""
    arrays = named_leaves(rule)
    return np.concatenate([np.ravel(arrays[name]) for name in layout(protocol)])


def load_published(path: str | Path, protocol: Protocol) -> Rule:
    """The rule in one of the authors' `.npy` files; stateless and stateful learners, all sharing schemes.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if it holds no flat float32 vector of the right length.
    """
    return unflatten(_read_vector(path), protocol)


def load_published_prior(path: str | Path, protocol: Protocol) -> dict[str, Array]:
    """The prior in one of the authors' `.npy` files: `W1 b1 W2 b2 ...`, flat.

    Raises:
        FileNotFoundError, WeightsError: see `load_published`.
    """
    vector = _read_vector(path)
    shapes = {node.name: node.op.parameter_shape for node in protocol.graph.nodes if node.op.parameter_shape is not None}
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    if vector.shape != (ends[-1],):
        raise WeightsError(f"{path} holds shape {vector.shape}, but this network's parameters are {ends[-1]} numbers.")
    pieces = np.split(vector, ends[:-1])
    return {name: jnp.asarray(piece.reshape(shape)) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}


def _read_vector(path):
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise WeightsError(f"{path} is no numpy vector ({error}); pass one of the authors' .npy files.") from error


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
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls._from_arrays(dict(file))
        except (ValueError, EOFError, KeyError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise WeightsError(f"{path} is no trace of the authors' code ({error}).") from error

    @classmethod
    def _from_arrays(cls, arrays):
        protocol = protocol_of(json.loads(str(arrays["config"])))
        steps = len(arrays["xs"])
        names = [node.name for node in protocol.graph.nodes if node.op.parameter_shape is not None]
        parameters = {name: np.stack([arrays[f"wb_{t}_{k}"] for t in range(steps + 1)]) for k, name in enumerate(names)}
        episode = Episode(*(jnp.asarray(arrays[name]) for name in ("xs", "ys", "xe", "ye")))
        rest = (arrays[name] for name in ("preds", "hint", "meta_loss", "grad", "trained"))
        return cls(protocol, unflatten(arrays["flat"], protocol), parameters, episode, *rest)

    def start(self) -> State:
        """The state before the first step."""
        prior = {name: jnp.asarray(values[0]) for name, values in self.parameters.items()}
        return self.protocol.begin(prior, self.episode.xs.shape[1])


def verify(trace: Trace) -> dict[str, float]:
    """The largest error of each kind against the authors' code; see `TOLERANCES` for what is allowed.

    Weights, predictions and meta-loss: absolute. Meta-gradient: relative to the norm of its tensor.
    Calibration: relative, and for input means in units of the deviation.
    """
    errors = _run_errors(trace)
    return errors | {"meta_gradient": _gradient_error(trace), "calibration": _calibration_error(trace)}


def _run_errors(trace):
    protocol, episode = trace.protocol, trace.episode
    state, weights, predictions = trace.start(), [], []
    update, predict = jax.jit(protocol.update), jax.jit(protocol.predict)
    for t in range(len(episode.xs) + 1):
        weights += [np.abs(state.parameters[name] - values[t]).max() for name, values in trace.parameters.items()]
        predictions.append(np.abs(predict(state, episode.x_held_out) - trace.predictions[t]).max())
        if t < len(episode.xs):
            state, _ = update(trace.rule, state, episode.xs[t], episode.ys[t])
    loss, parts = MetaLoss()(protocol, trace.rule, trace.start().parameters, episode, jax.random.key(0))
    meta_loss = max(abs(loss - trace.meta_loss), abs(parts["hint"] - trace.hint))
    return {"weights": float(max(weights)), "predictions": float(max(predictions)), "meta_loss": float(meta_loss)}


def _gradient_error(trace):
    def loss(rule):
        return MetaLoss()(trace.protocol, rule, trace.start().parameters, trace.episode, jax.random.key(0))[0]

    ours = named_leaves(jax.jit(jax.grad(loss))(trace.rule))
    theirs = named_leaves(unflatten(trace.gradient, trace.protocol))
    trained = named_leaves(unflatten(trace.trained.astype(np.float32), trace.protocol))
    return max(_relative(ours[name], theirs[name]) for name in theirs if np.all(trained[name]) and np.any(theirs[name]))


def _calibration_error(trace):
    """Norms and output means relatively; input means in units of the deviation, for some are zero by construction."""
    ours = trace.protocol.calibrate(trace.rule, trace.start(), trace.episode.xs, trace.episode.ys).statistics
    errors = []
    for group, theirs in trace.rule.statistics.items():
        errors.append(_relative(ours[group].norm, theirs.norm))
        errors.append(np.abs((ours[group].mean_zeroer - theirs.mean_zeroer) * theirs.norm).max())
        if theirs.out_mean is not None:
            errors.append(_relative(ours[group].out_mean, theirs.out_mean))
    return float(max(errors))


def _relative(ours, theirs):
    return float(np.linalg.norm(ours - theirs) / (np.linalg.norm(theirs) + 1e-30))
