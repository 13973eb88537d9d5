"""Rules on disk: exact round trips, no damaged or foreign file taken for a rule, no half-written one left behind."""

import errno
import hashlib
import io
import json
import os
import resource
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

from mplp_lite import Protocol, Stateless, mlp, weights
from mplp_lite.meaning import meaning
from mplp_lite.run.folder import read_curve
from mplp_lite.run.recipes import RECIPES, Recipe
from mplp_lite.weights import WeightsError

PROTOCOL = Protocol(mlp(1, 1), Stateless(message=2, widths=(3,)))
CARD = {"recipe": {"name": "none", "widths": [1, 1]}, "seed": 3, "steps": 20, "metric": {"mean": 0.1}, "note": "für später"}


@pytest.fixture(scope="module")
def rule():
    return PROTOCOL.new_rule(jax.random.key(0))


@pytest.fixture
def saved(tmp_path, rule):
    """A folder with `rule.npz` and `rule.json`, nothing else."""
    weights.save(tmp_path / "rule", rule, CARD, PROTOCOL)
    return tmp_path / "rule.npz"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def seal(path):
    """Makes the card fit the file again, as whoever edits a file on purpose would."""
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right)):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def assert_one_sentence(error):
    assert "\n" not in str(error) and 20 < len(str(error)) < 400 and str(error).endswith("."), str(error)


@pytest.mark.parametrize("name", ["rule", "rule.npz", Path("rule.npz")])
def test_round_trip_is_exact(tmp_path, rule, name):
    weights.save(tmp_path / name, rule, CARD, PROTOCOL)
    assert contents(tmp_path).keys() == {"rule.npz", "rule.json"}
    assert_same(weights.load(tmp_path / name, PROTOCOL), rule)
    assert_same(weights.load(str(tmp_path / name), PROTOCOL), rule)


def test_card_keeps_all_it_was_given_and_adds_meaning_and_sha256(saved):
    added = {"protocol": meaning(PROTOCOL), "sha256": hashlib.sha256(saved.read_bytes()).hexdigest()}
    assert weights.load_card(saved) == {**CARD, **added}
    assert json.loads(saved.with_suffix(".json").read_bytes()) == {**CARD, **added}


def test_saving_twice_gives_the_same_bytes(saved, rule):
    before = contents(saved.parent)
    weights.save(saved, rule, CARD, PROTOCOL)
    assert contents(saved.parent) == before


def test_names_with_dots_are_names_of_their_own(tmp_path, rule):
    weights.save(tmp_path / "rate-0.1", rule, {"rate": 0.1}, PROTOCOL)
    weights.save(tmp_path / "rate-0.2", rule, {"rate": 0.2}, PROTOCOL)
    assert weights.load_card(tmp_path / "rate-0.1")["rate"] == 0.1
    assert weights.load_card(tmp_path / "rate-0.2")["rate"] == 0.2


# ---------------------------------------------------------------- damaged and foreign files


def repacked(change):
    """A damage that changes the dictionary of arrays and packs it again."""

    def damage(content):
        with np.load(io.BytesIO(content)) as file:
            arrays = dict(file)
        change(arrays)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    return damage


def with_first(change):
    def on_arrays(arrays):
        name = min(arrays)
        arrays[name] = change(arrays[name])

    return repacked(on_arrays)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def with_member_that_is_no_array(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for k, name in enumerate(old.namelist()):
            new.writestr(name, b"no array" if k == 0 else old.read(name))
    return buffer.getvalue()


def another_rule(content):
    return weights.pack(weights.named_leaves(Protocol(mlp(1, 1), Stateless(message=3, widths=(3,))).new_rule(jax.random.key(0))))


DAMAGES = {
    "empty": lambda content: b"",
    "1 byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "directory lost": lambda content: content[: content.index(b"PK\x01\x02")],
    "text": lambda content: b"this is no rule\n",
    "web page": lambda content: b"<!DOCTYPE html><html>404</html>",
    "single array": lambda content: npy(np.zeros(3, np.float32)),
    "no arrays": repacked(dict.clear),
    "another rule": another_rule,
    "renamed": repacked(lambda arrays: arrays.update(other=arrays.pop(min(arrays)))),
    "one missing": repacked(lambda arrays: arrays.pop(min(arrays))),
    "one too many": repacked(lambda arrays: arrays.update(other=np.zeros(3, np.float32))),
    "float64": with_first(lambda array: array.astype(np.float64)),
    "float16": with_first(lambda array: array.astype(np.float16)),
    "integers": with_first(lambda array: np.zeros(array.shape, np.int32)),
    "big endian": with_first(lambda array: array.astype(">f4")),
    "text array": with_first(lambda array: np.full(array.shape, "1.0")),
    "flat": with_first(lambda array: array[None]),
    "cut": with_first(lambda array: array[..., :0]),
    "pickle": with_first(lambda array: np.array([{"a": 1}], dtype=object)),
    "no array": with_member_that_is_no_array,
}


@pytest.mark.parametrize("sealed", [False, True], ids=["card of the old file", "card made to fit"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_or_foreign_file_is_refused(saved, damage, sealed):
    saved.write_bytes(damage(saved.read_bytes()))
    if sealed:
        seal(saved)
    with pytest.raises(WeightsError) as error:
        weights.load(saved, PROTOCOL)
    assert_one_sentence(error.value)


def test_a_rule_that_fits_but_is_not_the_one_of_the_card_is_refused(saved):
    saved.write_bytes(weights.pack(weights.named_leaves(PROTOCOL.new_rule(jax.random.key(1)))))
    with pytest.raises(WeightsError, match="sha256"):
        weights.load(saved, PROTOCOL)


def test_every_single_changed_byte_is_noticed(saved):
    content = saved.read_bytes()
    for position in range(0, len(content), 7):
        saved.write_bytes(content[:position] + bytes([content[position] ^ (1 + position % 255)]) + content[position + 1 :])
        with pytest.raises(WeightsError, match="sha256"):
            weights.load(saved, PROTOCOL)


def test_without_a_card_to_check_no_byte_makes_unpack_crash_or_lie():
    """`unpack` also reads checkpoints, which have no card: it must raise WeightsError or give the old values."""
    arrays = {"a": np.arange(3, dtype=np.float32), "b/c": np.asarray("some text")}
    content = weights.pack(arrays)
    refused = 0
    for position in range(len(content)):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            changed = content[:position] + bytes([content[position] ^ flip]) + content[position + 1 :]
            try:
                with warnings.catch_warnings(action="ignore"):
                    found = weights.unpack(changed, "file")
            except WeightsError as error:
                refused += 1
                assert str(error).startswith("file is no readable .npz")
                continue
            for name, value in arrays.items():
                if name in found and found[name].shape == value.shape and found[name].dtype == value.dtype:
                    np.testing.assert_array_equal(found[name], value, err_msg=f"byte {position} ^ {flip:#x}")
    assert refused > len(content)  # most of the four changes per byte


@pytest.mark.parametrize("position", [0, 1, 30, 100, 0.3, 0.5, 0.9, -100, -22, -1])
def test_unpack_of_a_truncated_file(position, rule):
    content = weights.pack(weights.named_leaves(rule))
    with pytest.raises(WeightsError) as error:
        weights.unpack(content[: int(position * len(content)) if isinstance(position, float) else position], "file")
    assert_one_sentence(error.value)


CARDS = {
    "empty": b"",
    "text": b"no card",
    "no text": b"\xff\xfe\x00",
    "half": b'{"sha256": "',
    "list": b"[]",
    "number": b"1",
    "null": b"null",
    "no sha256": b'{"seed": 0}',
    "no hash": b'{"sha256": null}',
    "of another file": json.dumps({"sha256": hashlib.sha256(b"another").hexdigest()}).encode(),
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_that_is_none_is_refused(saved, card):
    saved.with_suffix(".json").write_bytes(card)
    with pytest.raises(WeightsError) as error:
        weights.load(saved, PROTOCOL)
    assert_one_sentence(error.value)


@pytest.mark.parametrize("missing", [".npz", ".json"])
def test_a_missing_file_is_named(saved, missing):
    saved.with_suffix(missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"rule{missing}"):
        weights.load(saved, PROTOCOL)


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(mlp(1, 1), Stateless(message=3, widths=(3,))),
        Protocol(mlp(1, 1), Stateless(message=2, widths=(4,))),
        Protocol(mlp(1, 1), Stateless(message=2, widths=(3, 3))),
        Protocol(mlp(1, 2, 1), Stateless(message=2, widths=(3,))),
        Protocol(mlp(1, 1), Stateless(message=2, widths=(3,)), "all"),
    ],
    ids=["message", "width", "depth", "graph", "sharing"],
)
def test_a_rule_of_another_protocol_is_refused(saved, protocol):
    with pytest.raises(WeightsError, match="use the protocol") as error:
        weights.load(saved, protocol)
    assert_one_sentence(error.value)


# ---------------------------------------------------------------- saving that goes wrong


def failing(function, number, code):
    """`function`, but call `number` (1, 2, ...) raises the OSError `code`."""
    calls = iter(range(1, 1000))

    def fails(*arguments, **options):
        if next(calls) == number:
            raise OSError(code, os.strerror(code))
        return function(*arguments, **options)

    return fails


@contextmanager
def largest_file(size):
    """The kernel lets no file of this process grow beyond `size` bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def other(rule):
    return jax.tree.map(lambda leaf: leaf + 1, rule)


@pytest.mark.parametrize("number", [1, 2], ids=["array file", "card"])
@pytest.mark.parametrize(
    ("call", "code"), [("open", errno.EROFS), ("open", errno.EACCES), ("fsync", errno.ENOSPC), ("fsync", errno.EIO)]
)
def test_a_save_that_fails_leaves_the_old_files_as_they_were(saved, rule, monkeypatch, call, code, number):
    before = contents(saved.parent)
    monkeypatch.setattr(os, call, failing(getattr(os, call), number, code))
    with pytest.raises(OSError) as error:
        weights.save(saved, other(rule), {}, PROTOCOL)
    monkeypatch.undo()
    assert error.value.errno == code
    assert contents(saved.parent) == before
    assert_same(weights.load(saved, PROTOCOL), rule)


@pytest.mark.parametrize("number", [1, 2], ids=["array file", "card"])
def test_a_rename_that_fails_never_leaves_a_wrong_rule(saved, rule, monkeypatch, number):
    monkeypatch.setattr(os, "replace", failing(os.replace, number, errno.EIO))
    with pytest.raises(OSError):
        weights.save(saved, other(rule), CARD, PROTOCOL)
    monkeypatch.undo()
    assert contents(saved.parent).keys() == {"rule.npz", "rule.json"}
    try:
        found = weights.load(saved, PROTOCOL)
    except WeightsError as error:
        assert number == 2
        assert_one_sentence(error)
    else:
        assert_same(found, rule)


@pytest.mark.parametrize(("limit", "note"), [(100, ""), (200_000, "x" * 300_000)], ids=["array file", "card"])
def test_a_file_cut_off_by_the_kernel_leaves_the_old_files_as_they_were(saved, rule, limit, note):
    before = contents(saved.parent)
    assert len(before["rule.npz"]) < 200_000
    with largest_file(limit), pytest.raises(OSError) as error:
        weights.save(saved, other(rule), {"note": note}, PROTOCOL)
    assert error.value.errno == errno.EFBIG
    assert contents(saved.parent) == before


def test_a_folder_that_is_missing_or_no_folder(tmp_path, rule):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "missing" / "rule", tmp_path / "file" / "rule"):
        with pytest.raises(OSError):
            weights.save(path, rule, CARD, PROTOCOL)
    assert contents(tmp_path) == {"file": b"text"}


@pytest.mark.parametrize("value", [object(), {1, 2}, np.float32(1), b"bytes", 1j], ids=lambda value: type(value).__name__)
def test_a_card_that_json_cannot_hold_writes_nothing(saved, rule, value):
    before = contents(saved.parent)
    with pytest.raises(TypeError):
        weights.save(saved, other(rule), {"value": value}, PROTOCOL)
    with pytest.raises(TypeError):
        weights.save(saved.parent / "new", rule, {"deep": [{"value": value}]}, PROTOCOL)
    assert contents(saved.parent) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_card_is_refused_or_strict_json(saved, rule, value):
    """`NaN` and `Infinity` are no JSON; other tools cannot read them."""
    before = contents(saved.parent)
    try:
        weights.save(saved, rule, {"metric": value}, PROTOCOL)
    except (TypeError, ValueError):
        assert contents(saved.parent) == before
    else:
        json.loads(saved.with_suffix(".json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_write_atomically_is_readable_by_others_and_replaces(tmp_path):
    for content in (b"old and long", b"new"):
        weights.write_atomically(tmp_path / "file", content)
        assert contents(tmp_path) == {"file": content}
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


# ---------------------------------------------------------------- shipped rules


def test_the_sinusoid_rule_is_shipped():
    assert "sinusoid" in weights.pretrained()


@pytest.mark.parametrize("name", ["nope", "", "../pretrained/sinusoid", "sinusoid.npz"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError) as error:
        weights.load_pretrained(name, PROTOCOL)
    assert_one_sentence(error.value)
    assert repr(name) in str(error.value)
    assert all(known in str(error.value) for known in weights.pretrained())


@pytest.mark.parametrize("name", weights.pretrained())
def test_a_shipped_rule_is_what_its_card_says(name):
    path = weights.pretrained_path(name)
    card = weights.load_card(path)
    recipe = Recipe.from_dict(card["recipe"])
    loaded = weights.load_pretrained(name, recipe.protocol)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(loaded))
    assert isinstance(card["seed"], int) and card["steps"] == recipe.steps and recipe == RECIPES[recipe.name]
    curve = read_curve(path.with_suffix(".csv"))
    assert curve[-1]["step"] == recipe.steps and curve[-1]["loss"] < curve[0]["loss"]
    assert {"jax", "jaxlib", "flax", "optax", "numpy", "python", "device"} <= card["versions"].keys()
    assert {"name", "mean", "sd", "runs", "seed"} <= card["metric"].keys()
    with pytest.raises(WeightsError):
        weights.load_pretrained(name, PROTOCOL)
