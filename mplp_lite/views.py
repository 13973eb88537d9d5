"""Other looks of the same images: variety for meta-training, and places to take a rule to, without anything to download.

Pixels are changed, exchanged or mixed, classes given by other reasons than digits have, or there are no digits left at all. Every view
is fixed, the same in each process, and standardized as the images were.
"""

from collections.abc import Callable
from math import isqrt

import jax
import jax.numpy as jnp
from jax import Array

from .checks import check_choice, check_type
from .data import Digits

KEY = 0
"""What draws the permutations, matrices, teachers and shapes below."""


def seen(view: str, digits: Digits) -> Digits:
    """The images as one of `VIEWS` shows them; as many, as large, with as many classes.

    Args:
        view: `"plain"`: as they are; `"inverted"`: ink and paper exchanged; `"permuted"`: pixels in another order; `"mixed"`: each pixel
            a random sum of all; `"blended"`: half of that; `"edges"`: where neighbours differ; `"enlarged"`: the middle two thirds;
            `"faint"`: square roots of the distance from the mean, with its sign; `"taught"`: classes are what a random network
            says; `"blobs"`: no digits, ten smooth random shapes with smooth noise.
        digits: square images and one-hot labels.

    Raises:
        ValueError: if there is no such view.
        TypeError: if these are no `Digits`.
    """
    check_choice("view", view, VIEWS)
    check_type("digits", digits, Digits, "the Digits that data.images gives")
    return VIEWS[view](digits)


def _of_pixels(change: Callable[[Array], Array]) -> Callable[[Digits], Digits]:
    """A view that changes images one by one, `(n, pixels) -> (n, pixels)`; one mean and deviation of the training part standardize all."""

    def view(digits):
        (x, y), (test_x, test_y) = digits
        x, test_x = change(x), change(test_x)
        mean, deviation = x.mean(), x.std()
        return Digits(((x - mean) / deviation, y), ((test_x - mean) / deviation, test_y))

    return view


def _inverted(digits):
    (x, y), (test_x, test_y) = digits
    return Digits((-x, y), (-test_x, test_y))


def _permuted(digits):
    (x, y), (test_x, test_y) = digits
    order = jax.random.permutation(jax.random.key(KEY), x.shape[1])
    return Digits((x[:, order], y), (test_x[:, order], test_y))


def _mixed(images):
    pixels = images.shape[1]
    return images @ jax.random.normal(jax.random.key(KEY), (pixels, pixels)) / pixels**0.5


def _edges(images):
    across, down = jnp.gradient(_as_squares(images), axis=(1, 2))
    return jnp.hypot(across, down).reshape(images.shape)


def _enlarged(images):
    side = isqrt(images.shape[1])
    margin = side // 6
    middle = _as_squares(images)[:, margin : side - margin, margin : side - margin]
    return jax.image.resize(middle, (len(images), side, side), "linear").reshape(images.shape)


def _faint(images):
    return jnp.sign(images) * jnp.sqrt(jnp.abs(images))


def _taught(digits):
    """Each class gets about as many images: what the network says is standardized class by class."""
    (x, y), (test_x, test_y) = digits
    first, last = jax.random.split(jax.random.key(KEY))
    classes, pixels = y.shape[1], x.shape[1]
    inward, outward = jax.random.normal(first, (pixels, 32)), jax.random.normal(last, (32, classes))

    def says(images):
        return jnp.tanh(images @ inward / pixels**0.5) @ outward

    mean, deviation = says(x).mean(axis=0, keepdims=True), says(x).std(axis=0, keepdims=True)
    labels = (jax.nn.one_hot(((says(images) - mean) / deviation).argmax(axis=-1), classes) for images in (x, test_x))
    return Digits((x, next(labels)), (test_x, next(labels)))


def _blobs(digits):
    (x, y), (test_x, test_y) = digits
    shape_key, *noise_keys = jax.random.split(jax.random.key(KEY), 3)
    shapes = _smooth(shape_key, y.shape[1], x.shape[1], coarse=4)

    def drawn(labels, key):
        return labels @ shapes + _smooth(key, len(labels), x.shape[1], coarse=6)

    x, test_x = (drawn(labels, key) for labels, key in zip((y, test_y), noise_keys, strict=True))
    return _of_pixels(lambda images: images)(Digits((x, y), (test_x, test_y)))


def _smooth(key, count, pixels, coarse):
    """Random images without sharp edges, `(count, pixels)`."""
    side = isqrt(pixels)
    return jax.image.resize(jax.random.normal(key, (count, coarse, coarse)), (count, side, side), "cubic").reshape(count, pixels)


def _as_squares(images):
    side = isqrt(images.shape[1])
    return images.reshape(-1, side, side)


VIEWS: dict[str, Callable[[Digits], Digits]] = {
    "plain": lambda digits: digits,
    "inverted": _inverted,
    "permuted": _permuted,
    "mixed": _of_pixels(_mixed),
    "blended": _of_pixels(lambda images: images + _mixed(images)),
    "edges": _of_pixels(_edges),
    "enlarged": _of_pixels(_enlarged),
    "faint": _of_pixels(_faint),
    "taught": _taught,
    "blobs": _blobs,
}
"""What `seen` knows, by name."""
