"""Rules on disk: one `.npz` of arrays and one `.json` card beside it, never pickle."""

import hashlib
import io
import json
import math
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import check_type, shown
from .meaning import FORMAT, first_difference, meaning
from .meta_descent import MetaDescent
from .protocol import Protocol, Rule

Tree = TypeVar("Tree")
MEANING = "protocol"
"""What the meaning of a rule is called, in its file and on its card."""
LARGEST_RATIO = 20
"""Of what a file holds to its own size: arrays are stored as they are, and what grows far more on reading was made to."""


class WeightsError(ValueError):
    """A weight file that cannot be what was asked for: truncated, edited, foreign, or of another protocol."""


def named_leaves(tree: Any) -> dict[str, Array]:
    """The leaves of a pytree by their path: `"learners/W1/u_x/W"`.

    Raises:
        ValueError: if two have the same path, as nodes `"a"` and `"a/b"` might.
    """
    paths, _ = jax.tree.flatten_with_path(tree)
    named = {"/".join(_step_name(step) for step in path): leaf for path, leaf in paths}
    if len(named) < len(paths):
        raise ValueError(f"{len(paths)} leaves have only {len(named)} different paths; give nodes names without '/'.")
    return named


def _step_name(step):
    return str(next(getattr(step, field) for field in ("key", "name", "idx") if hasattr(step, field)))


def from_named(template: Tree, arrays: Mapping[str, Any]) -> Tree:
    """A pytree shaped like `template` with its leaves taken from `arrays`.

    Raises:
        WeightsError: if names, shapes or dtypes are not those of the template.
        TypeError: if `arrays` is no dictionary.
    """
    check_type("arrays", arrays, Mapping, "a dictionary of arrays by path, as named_leaves and unpack give it")
    wanted = named_leaves(template)
    missing, extra = sorted(wanted.keys() - arrays.keys()), sorted(arrays.keys() - wanted.keys())
    if missing or extra:
        found = f"missing {missing[:3] or 'none'}, unexpected {extra[:3] or 'none'}"
        raise WeightsError(f"The arrays do not fit ({found}); use the protocol they were made for.")
    for name, leaf in wanted.items():
        found, needed = _told(arrays[name]), _told(leaf)
        if found != needed:
            problem = f"{name} is {found}, but {needed} is needed"
            raise WeightsError(f"{problem}; use the protocol it was made for.")
    return jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(arrays[name]) for name in wanted])


def _told(array):
    return f"{array.dtype}{array.shape}" if hasattr(array, "dtype") else f"a {type(array).__name__}"


def write_atomically(path: str | Path, content: bytes) -> None:
    """Writes a file by way of a temporary one beside it, so that a crash leaves either the old file or the new one.

    Raises:
        OSError: if the folder is missing or read-only, or the disk is full; the old file is then untouched.
        TypeError: if the content is not bytes.
    """
    check_type("path", path, str | os.PathLike, "the path of a file")
    write_all_atomically({Path(path): content})


def write_all_atomically(contents: Mapping[Path, bytes]) -> None:
    """The same for several files: none is replaced before all are written."""
    for path, content in contents.items():
        check_type("content", content, bytes, f"the bytes that {Path(path).name} shall hold")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to; make it first.")
    temporary = {}
    try:
        for path, content in contents.items():
            handle, temporary[path] = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary[path], 0o644)
        for path in contents:
            os.replace(temporary[path], path)
        _flush_folders({path.parent for path in contents})
    except BaseException:
        for name in temporary.values():
            Path(name).unlink(missing_ok=True)
        raise


def _flush_folders(folders):
    """Makes new names last through a power cut, where the file system can."""
    for folder in folders:
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def pack(arrays: Mapping[str, Any]) -> bytes:
    """The bytes of an `.npz` with `arrays`.

    Raises:
        TypeError: if something is no array of numbers or letters, and would have to be pickled.
        ValueError: if numpy keeps a name for itself.
    """
    named, buffer = {name: np.asarray(value) for name, value in arrays.items()}, io.BytesIO()
    for name, value in named.items():
        if value.dtype == object:
            raise TypeError(f"{name!r} is {shown(arrays[name])}, which only pickle could keep; give arrays of numbers.")
        if name in ("file", "allow_pickle"):
            raise ValueError(f"An array is called {name!r}, a name that numpy keeps for itself; call the node differently.")
    np.savez(buffer, **named)
    return buffer.getvalue()


def unpack(content: bytes, source: str) -> dict[str, np.ndarray]:
    """The arrays in the bytes of an `.npz`; `source` names them in errors.

    Raises:
        WeightsError: if the bytes are no such file.
    """
    try:
        _check_members(zipfile.ZipFile(io.BytesIO(content)).infolist(), len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        if not all(isinstance(value, np.ndarray) for value in arrays.values()):
            raise ValueError("a member is no array")
    except Exception as error:  # a damaged zip raises whatever its damage leads to
        raise WeightsError(f"{source} is no readable .npz of arrays ({error}); fetch or train it again.") from error
    return arrays


def _check_members(members, size):
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ValueError("two members have the same name")
    if sum(member.file_size for member in members) > LARGEST_RATIO * size:
        raise ValueError("it would unpack to far more than its size")


def save(path: str | Path, rule: Rule, card: Mapping[str, Any], protocol: Protocol | MetaDescent) -> None:
    """Writes `path` with suffix `.npz` and, beside it, the card as `.json`; both atomically, the card last.

    Both tell what the rule's numbers mean (`meaning`), so that `load` can refuse another protocol even where all shapes fit.

    Args:
        path: where to, with or without `.npz`.
        rule: what to save.
        card: anything JSON can hold: recipe, seed, steps, metric. The file's sha256 and the protocol's meaning are added.
        protocol: what the rule was made for.

    Raises:
        OSError: if the files cannot be written; older ones are then untouched.
        TypeError: if JSON cannot hold the card, or something is of another kind; nothing is then written.
        ValueError: if the rule was made for another protocol.
    """
    _check_saved(rule, card, protocol)
    told = meaning(protocol)
    content = pack({**named_leaves(rule), MEANING: np.asarray(json.dumps(told))})
    text = strict_json({**card, MEANING: told, "sha256": hashlib.sha256(content).hexdigest()}, indent=2) + "\n"
    write_all_atomically({_beside(path, ".npz"): content, _beside(path, ".json"): text.encode()})


def _check_saved(rule, card, protocol):
    check_type("protocol", protocol, Protocol | MetaDescent, "the Protocol that the rule was made for")
    check_type("card", card, Mapping, "a dictionary that JSON can hold, such as {'seed': 0}")
    template = jax.eval_shape(protocol.new_rule if isinstance(rule, Rule) else protocol.prior, jax.random.key(0))
    if jax.tree.map(np.shape, rule) != jax.tree.map(np.shape, template):
        raise ValueError("What was to be saved is no rule or prior of this protocol; pass the protocol it was made for.")
    if not isinstance(rule, Rule) and MEANING in rule:
        raise ValueError(f"A node is called {MEANING!r}, by which a file says what it was made for; call the node differently.")


def _beside(path, suffix):
    check_type("path", path, str | Path, "the path of a rule, such as 'runs/experiment/rule'")
    if not Path(path).name:
        raise ValueError(f"path={str(path)!r} was given, which names no file; pass the path of a rule, such as 'runs/experiment/rule'.")
    path = Path(path)
    return path.with_name(path.name.removesuffix(".npz") + suffix)


def _read(path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; a rule is a .npz with its card, a .json, beside it.")
    return path.read_bytes()


def strict_json(value: Any, indent: int) -> str:
    """JSON with null for nan and infinity.

    Raises:
        TypeError: if JSON cannot hold the value.
    """
    try:
        return json.dumps(_finite(value), indent=indent, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        told = shown(str(error)).strip("'\"")
        raise TypeError(f"JSON cannot hold this ({told}); use dictionaries, lists, words and plain numbers.") from error


def _finite(value):
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_card(path: str | Path) -> dict[str, Any]:
    """The card beside a rule.

    Raises:
        FileNotFoundError: if there is none.
        WeightsError: if it is no JSON card.
    """
    path = _beside(path, ".json")
    try:
        card = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path.name} is no JSON ({error}); fetch or train the rule again.") from error
    if not isinstance(card, dict) or "sha256" not in card:
        raise WeightsError(f"{path.name} is no card of a rule: it names no sha256; fetch or train the rule again.")
    return card


def load(path: str | Path, protocol: Protocol | MetaDescent) -> Rule:
    """The rule saved at `path`, checked against its card and against the protocol: its names, shapes and meaning.

    A rule of 32-bit floats is widened where jax computes in 64 bits. One that was saved before rules told what they mean is loaded with
    a `UserWarning`: only names and shapes could be compared.

    Raises:
        FileNotFoundError: if the rule or its card is missing.
        WeightsError: if the file is damaged, not the one its card describes, or made for another protocol; or if a number is not finite.
        TypeError: if `protocol` is none.
    """
    return _load(path, protocol, "new_rule")


def _load(path, protocol, what):
    check_type("protocol", protocol, Protocol | MetaDescent, "the Protocol that the rule was made for")
    path = _beside(path, ".npz")
    content, card = _read(path), load_card(path)
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise WeightsError(f"{path.name} is not the file its card describes (sha256 differs); fetch or train it again.")
    arrays = unpack(content, path.name)
    held = arrays.pop(MEANING, None)
    if held is not None or MEANING in card:
        _check_meaning(path.name, held, card.get(MEANING), protocol)
    loaded = from_named(jax.eval_shape(getattr(protocol, what), jax.random.key(0)), widened(arrays))
    _check_finite(path.name, loaded)
    if held is None:
        told = f"{path.name} was saved before rules told what they were made for, so only names and shapes were compared"
        warnings.warn(f"{told}; save it again with its protocol.", stacklevel=4)
    return loaded


def _check_meaning(name, held, on_card, protocol):
    """Compares what file and card say with what the protocol says."""
    told = _read_meaning(name, held)
    if told.get("format") != FORMAT:
        raise WeightsError(f"{name} is of format {told.get('format')!r}, but this version reads {FORMAT}; update mplp_lite.")
    if not isinstance(on_card, dict) or first_difference(on_card, told):
        raise WeightsError(f"The card of {name} tells of another protocol than the rule itself; fetch or train it again.")
    difference = first_difference(told, meaning(protocol))
    if difference:
        raise WeightsError(f"{name} was made for {difference}; use the protocol it was made for, or move it with adopt.")


def _read_meaning(name, held):
    try:
        told = json.loads(str(held))
        if not isinstance(told, dict):
            raise ValueError(f"it says {told!r}")
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{name} does not say what it was made for ({error}); fetch or train it again.") from error
    return told


def widened(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays with floats of 32 bits as the floats that jax computes in, which are longer under `jax_enable_x64`.

    Raises:
        TypeError: if something is no array.
    """
    for name, value in arrays.items():
        if not hasattr(value, "dtype"):
            raise TypeError(f"{name!r} is {_told(value)}; give arrays, such as jax.numpy.zeros(3).")
    return {name: value.astype(jnp.result_type(float)) if value.dtype == np.float32 else value for name, value in arrays.items()}


def _check_finite(source, tree):
    for name, leaf in named_leaves(tree).items():
        if not np.isfinite(np.asarray(leaf)).all():
            raise WeightsError(f"{source} holds nan or infinity in {name}; it teaches nothing, so fetch or train it again.")


def prior_path(rule: str | Path) -> Path:
    """Where the prior lies that was learned with the rule at `rule`: beside it, as `NAME.prior.npz`."""
    return _beside(rule, ".prior.npz")


def load_prior(rule: str | Path, protocol: Protocol | MetaDescent) -> dict[str, Array]:
    """The prior that was learned jointly with the rule saved at `rule` (section 4.1.2).

    Raises:
        FileNotFoundError, WeightsError: see `load`.
    """
    return _load(prior_path(rule), protocol, "prior")


def pretrained() -> list[str]:
    """Names of the rules that come with the package."""
    names = (file.name.removesuffix(".npz") for file in _shipped().iterdir() if file.name.endswith(".npz"))
    return sorted(name for name in names if not name.endswith(".prior"))


def load_pretrained(name: str, protocol: Protocol | MetaDescent) -> Rule:
    """The rule `name` that comes with the package; see `pretrained` for the names.

    Raises:
        ValueError: if there is no rule of that name.
        WeightsError: if it was made for another protocol.
    """
    return load(pretrained_path(name), protocol)


def pretrained_path(name: str) -> Path:
    """Where the shipped rule `name` lies.

    Raises:
        ValueError: if there is no rule of that name.
    """
    if name not in pretrained():
        raise ValueError(f"There is no shipped rule {shown(name)}; there are {pretrained()}.")
    return Path(str(_shipped())) / f"{name}.npz"


def _shipped():
    return resources.files(__package__) / "pretrained"
