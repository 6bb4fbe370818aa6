"""Plots: what is drawn where, and that it can be read."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import pytest
from exp_sine import f, gradient

import fastgrad

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from fastgrad.plotting import plot_sweep  # noqa: E402

X = np.linspace(-1.0, 1.2, 20)


@nb.njit
def kinked(x):
    return (np.exp(x) * np.sin(x)).sum() + np.abs(x - 0.5).sum()


@nb.njit
def total(x):
    return x.sum()


def drawn(sweep):
    """The lines of a plot by the words of their legend."""
    ax = plot_sweep(sweep, Figure(figsize=(6.0, 4.2), layout="constrained").subplots())
    ax.figure.canvas.draw()
    return ax, {line.get_label(): line for line in ax.lines}


@pytest.fixture(scope="module")
def right():
    return fastgrad.sweep_epsilon(f, X, gradient)


def test_all_measured_points_and_the_law_are_drawn(right):
    ax, lines = drawn(right)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    np.testing.assert_array_equal(lines["measured E"].get_xydata(), np.c_[right.epsilon, right.relative_error])
    epsilon, rounding = lines["rounding, N / epsilon"].get_data()
    np.testing.assert_allclose(rounding, right.noise / epsilon)
    epsilon, truncation = lines["truncation, T epsilon$^2$"].get_data()
    np.testing.assert_allclose(truncation, right.truncation * epsilon**2)
    np.testing.assert_allclose(lines["predicted, the sum of:"].get_ydata(), rounding + truncation)
    assert set(lines) == {text.get_text() for text in ax.get_legend().get_texts()}


def test_the_best_epsilon_is_marked(right):
    _, lines = drawn(right)
    (mark,) = (line for label, line in lines.items() if label.startswith("best epsilon"))
    np.testing.assert_array_equal(mark.get_xydata(), [[right.best_epsilon, right.smallest_error]])


def test_every_point_lies_inside_the_frame(right):
    ax, _ = drawn(right)
    low, high = ax.get_ylim()
    assert low < right.relative_error.min() and right.relative_error.max() < high
    assert low < right.predicted_smallest_error


def test_a_floor_is_drawn_in_place_of_a_best_epsilon():
    wrong = fastgrad.sweep_epsilon(f, X, 2.0 * gradient(X))
    _, lines = drawn(wrong)
    assert not any(label.startswith("best") for label in lines)
    (floor,) = (line for label, line in lines.items() if label.startswith("floor"))
    assert set(floor.get_ydata()) == {wrong.floor}


def test_points_across_a_kink_look_different():
    x = np.append(X, 0.45)
    sweep = fastgrad.sweep_epsilon(kinked, x, gradient(x) + np.sign(x - 0.5))
    _, lines = drawn(sweep)
    across = lines["measured, across a kink"]
    assert across.get_fillstyle() == "none"
    assert len(across.get_xdata()) + len(lines["measured E"].get_xdata()) == sweep.epsilon.size


def test_zeros_and_missing_errors_are_marked_at_the_edge():
    exact = fastgrad.sweep_epsilon(total, np.array([2.0**60, 0.0]), np.ones(2), [1e-3, 1024.0, 2048.0, 4096.0])
    assert np.isnan(exact.relative_error[0]) and (exact.relative_error[1:] == 0.0).all()
    _, lines = drawn(exact)
    assert lines["not measured"].get_xdata().tolist() == [1e-3]
    assert lines["E = 0"].get_xdata().tolist() == [1024.0, 2048.0, 4096.0]


def test_a_sweep_without_any_error_can_be_drawn():
    sweep = fastgrad.sweep_epsilon(total, X, np.full(20, np.nan))
    _, lines = drawn(sweep)
    assert len(lines["not measured"].get_xdata()) == sweep.epsilon.size
    assert math.isnan(sweep.smallest_error)


def test_no_text_is_cut_off_or_tiny(right, tmp_path):
    ax, _ = drawn(right)
    canvas, frame = FigureCanvasAgg(ax.figure), ax.figure.bbox
    canvas.draw()
    texts = [ax.xaxis.label, ax.yaxis.label, *ax.get_legend().get_texts()]
    for text in texts:
        box = text.get_window_extent(canvas.get_renderer())
        assert frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1), text
        assert text.get_fontsize() >= 9.0
    ax.figure.savefig(tmp_path / "curve.png")


def test_new_axes_are_made_when_none_are_given(right):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    ax = plot_sweep(right)
    assert ax.figure.number in pyplot.get_fignums()
    pyplot.close(ax.figure)


def test_without_matplotlib_the_message_says_what_to_install(right, without_matplotlib):
    with pytest.raises(ImportError, match=r"matplotlib, which is missing: pip install matplotlib\.$"):
        plot_sweep(right)
