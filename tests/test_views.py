"""Views of images: what they leave as it is, what they change, and that a class can still be learned from what they show."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mplp_lite import data, views
from mplp_lite.data import Digits

DIGITS = data.images("sklearn", 12)


@pytest.fixture(scope="module", params=views.VIEWS)
def shown(request):
    """A view's name, and the digits as it shows them."""
    return request.param, views.seen(request.param, DIGITS)


def test_sizes_and_standards_stay(shown):
    name, (train, test) = shown
    for (x, y), (old_x, old_y) in zip((train, test), DIGITS, strict=True):
        assert (x.shape, y.shape, x.dtype, y.dtype) == (old_x.shape, old_y.shape, old_x.dtype, old_y.dtype)
        np.testing.assert_array_equal(y.sum(axis=1), 1)
        assert bool((y == old_y).all()) == (name != "taught")
    assert abs(train[0].mean()) < 1e-4 and abs(train[0].std() - 1) < 1e-4


def test_a_view_is_the_same_every_time(shown):
    name, found = shown
    for part, again in zip(found, views.seen(name, DIGITS), strict=True):
        np.testing.assert_array_equal(part[0], again[0])
        np.testing.assert_array_equal(part[1], again[1])


def test_classes_can_be_learned_from_it(shown):
    """Regression gets at least half of the test images right, and no class is rare."""
    _, ((x, y), (test_x, test_y)) = shown
    classes = y.argmax(axis=1)
    assert np.bincount(classes, minlength=10).min() > 0.03 * len(classes)
    assert LogisticRegression(C=0.01, max_iter=300).fit(x, classes).score(test_x, test_y.argmax(axis=1)) > 0.5


def test_what_each_view_changes():
    images = DIGITS.train[0]
    look = {name: views.seen(name, DIGITS).train[0] for name in views.VIEWS}
    np.testing.assert_array_equal(look["plain"], images)
    np.testing.assert_array_equal(look["taught"], images)
    np.testing.assert_array_equal(look["inverted"], -images)
    np.testing.assert_array_equal(np.sort(look["permuted"]), np.sort(images))
    assert len({np.asarray(values).tobytes() for name, values in look.items() if name != "taught"}) == len(views.VIEWS) - 1


def test_edges_by_hand():
    """A step of two across: half a step at its foot and at its top, nothing elsewhere."""
    square = jnp.tile(jnp.array([0.0, 0, 2, 2, 2, 2]), (6, 1)).reshape(1, 36)
    both = (jnp.concatenate([square, -square]), jnp.eye(2))
    (x, _), _ = views.seen("edges", Digits(both, both))
    raw = np.tile([0.0, 1, 1, 0, 0, 0], (6, 1)).ravel()
    np.testing.assert_allclose(x[0], (raw - raw.mean()) / raw.std(), atol=1e-5)
