"""What the figures of chapter 17 show is what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mplp_lite.draw import continual


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def borders(axes):
    return [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]


def test_steps_count_from_one_and_parts_have_borders():
    figure = continual.by_part(
        {"all": {"old": [0.1, 0.5, 0.2, 0.2], "new": [0.1, 0.4, 0.6, 0.8]}, "first": {"old": [1.0, 0.5, 0.0, 0.0]}}, 2
    )
    first, second = figure.axes
    assert [axes.get_ylabel() for axes in (first, second)] == ["all", "first"]
    np.testing.assert_allclose(first.lines[1].get_xydata(), [[1, 0.1], [2, 0.4], [3, 0.6], [4, 0.8]])
    assert borders(first) == borders(second) == [2.5]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["old", "new"]


def test_shares_lie_on_top_of_each_other():
    shares = np.array([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    (axes,) = continual.answers({"adam": shares}).axes
    lower, upper = (collection.get_paths()[0].vertices for collection in axes.collections)
    assert {tuple(point) for point in lower} >= {(1.0, 1.0), (2.0, 0.75), (3.0, 0.5), (4.0, 0.25), (1.0, 0.0)}
    assert upper[:, 1].max() == 1.0 and {tuple(point) for point in upper} >= {(2.0, 0.75), (4.0, 0.25)}
    assert (axes.get_title(), borders(axes)) == ("adam", [2.5])
