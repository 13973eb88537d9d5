"""The authors' published rules: flat float32 vectors.

The layout follows google-research/self-organising-systems, folder `mplp` (Apache-2.0), which published the vectors.
"""

import io
import zipfile
from os import PathLike
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..checks import check_type
from ..learners import GRU, Stateless
from ..network import Network
from ..protocol import Protocol, Rule
from ..weights import WeightsError, from_named, named_leaves, widened


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
    """Names of a rule's leaves, in the order in which the authors' vectors hold them.

    Raises:
        WeightsError: if the protocol is of a kind that the authors' code does not know.
    """
    _check_known(protocol)
    layers, stateless = len(protocol.learner.widths) + 1, isinstance(protocol.learner, Stateless)
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


def _check_known(protocol):
    if protocol.sharing == "kinds":
        raise WeightsError("The authors' vectors know no sharing='kinds'; use 'none', 'learners' or 'all'.")
    if not isinstance(protocol.learner, Stateless | GRU):
        raise WeightsError(f"The authors' vectors hold Stateless or GRU learners, not {type(protocol.learner).__name__}.")
    tied = [node.name for node in protocol.graph.nodes if node.tied_to]
    if tied:
        raise WeightsError(f"The authors' vectors know no tied nodes, but {tied[0]!r} is one; use a network without.")


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
    return from_named(jax.eval_shape(protocol.new_rule, jax.random.key(0)), widened(arrays))


def flatten(rule: Rule, protocol: Protocol) -> np.ndarray:
    """The flat vector that holds `rule`: the inverse of `unflatten`."""
    return np.concatenate([np.ravel(named_leaves(rule)[name]) for name in layout(protocol)])


def load_published(path: str | Path, protocol: Protocol) -> Rule:
    """The rule in one of the authors' `.npy` files; stateless and stateful learners, all sharing schemes.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if it holds no flat float32 vector of the right length, or a number that is not finite.
        TypeError: if `path` is no path, or `protocol` none.
    """
    check_type("protocol", protocol, Protocol, "the Protocol that the vector was made for")
    return unflatten(_read_vector(path), protocol)


def load_published_prior(path: str | Path, protocol: Protocol) -> dict[str, Array]:
    """The prior in one of the authors' `.npy` files: `W1 b1 W2 b2 ...`, flat.

    Raises:
        FileNotFoundError, WeightsError, TypeError: see `load_published`.
    """
    check_type("protocol", protocol, Network, "the Protocol that the vector was made for")
    vector = _read_vector(path)
    shapes = {node.name: node.op.parameter_shape for node in protocol.graph.nodes if node.op.parameter_shape is not None}
    ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
    if vector.shape != (ends[-1],):
        raise WeightsError(f"{path} holds shape {vector.shape}, but this network's parameters are {ends[-1]} numbers.")
    pieces = np.split(vector, ends[:-1])
    return widened({name: jnp.asarray(piece.reshape(shape)) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)})


def read_bytes(path: str | Path) -> bytes:
    """The content of a file of the authors.

    Raises:
        FileNotFoundError: if there is no file there.
        TypeError: if it is no path.
    """
    check_type("path", path, str | PathLike, "the path of one of the authors' files")
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}; pass the path of one of the authors' files.")
    return Path(path).read_bytes()


def _read_vector(path):
    try:
        vector = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
        if not isinstance(vector, np.ndarray) or vector.dtype != np.float32:
            raise ValueError("not one float32 array")
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is no numpy vector ({error}); pass one of the authors' .npy files.") from error
    if not np.isfinite(vector).all():
        raise WeightsError(f"{path} holds nan or infinity; fetch the authors' file again.")
    return vector
