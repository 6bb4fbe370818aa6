"""Pictures of checks: every wrong component is marked, right ones are thinned, names are shown as they are."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numba as nb
import numpy as np
import pytest

import fastgrad
from fastgrad import Verdict

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from fastgrad._layout import Layout  # noqa: E402
from fastgrad._plots.error import error_shares  # noqa: E402
from fastgrad._plots.style import MARKS, MOST_DRAWN, label_points, thinned  # noqa: E402
from fastgrad.plotting import plot_error, plot_gradient, plot_localisation  # noqa: E402

X = np.random.default_rng(3).normal(size=24)
WRONG = (3, 17)
EVIL = "W$_1$ \\frac{<b>"


@nb.njit
def f(x):
    return (np.sin(x) * x).sum()


def gradient(x):
    return np.sin(x) + x * np.cos(x)


def wrong(x):
    g = gradient(x)
    g.reshape(-1)[list(WRONG)] *= -1.2
    return g


def axes():
    return Figure(figsize=(6.0, 4.2), layout="constrained").subplots()


def rendered(ax):
    """The axes, drawn once without a warning: a glyph that is missing or text that cannot be parsed would give one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FigureCanvasAgg(ax.figure).draw()
    return ax


def marked(ax, verdict):
    """Places of the components drawn with the mark of a verdict."""
    (mark,) = (mark for mark in MARKS if mark.verdict is verdict)
    lines = [line for line in ax.lines if line.get_marker() == mark.marker]
    return np.concatenate([line.get_xydata() for line in lines]) if lines else np.empty((0, 2))


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def words(ax):
    return [text.get_text() for text in ax.texts]


@pytest.fixture(scope="module")
def mismatch():
    return fastgrad.check_gradient(f, X, wrong)


# --- numerical against analytical ----------------------------------------------------------------------------------


def test_wrong_components_are_marked_off_the_diagonal(mismatch):
    ax = rendered(plot_gradient(mismatch, axes()))
    np.testing.assert_allclose(
        np.sort(marked(ax, Verdict.MISMATCH), axis=0),
        np.sort([(mismatch.analytical_grad[k], mismatch.estimate[k]) for k in WRONG], axis=0),
    )
    right = marked(ax, Verdict.MATCH)
    assert len(right) == 22
    np.testing.assert_allclose(right[:, 0], right[:, 1], rtol=1e-5)
    assert legend(ax) == ["22 right", "2 wrong"]
    assert set(words(ax)) == {"x[3]", "x[17]"}
    assert ax.get_xlim() == ax.get_ylim()


def test_error_bars_are_drawn_where_they_can_be_seen():
    @nb.njit
    def coarse(x):
        return np.round((x * x).sum(), 3)

    result = fastgrad.check_gradient(coarse, X[:4], 2 * X[:4])
    ax = rendered(plot_gradient(result, axes()))
    finite = np.isfinite(result.uncertainty) & (result.uncertainty > 1e-2)
    bars = [segment for container in ax.containers for segment in container[2][0].get_segments()]
    assert len(bars) >= np.count_nonzero(finite)


def test_magnitudes_that_span_decades_are_drawn_on_logarithmic_axes():
    @nb.njit
    def squares(x):
        return (x * x).sum()

    x = 10.0 ** np.arange(-6.0, 4.0) * np.where(np.arange(10) % 2, -1.0, 1.0)
    ax = rendered(plot_gradient(fastgrad.check_gradient(squares, x, 2 * x), axes()))
    assert (ax.get_xscale(), ax.get_yscale()) == ("symlog", "symlog")
    ticks = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    assert 0.0 in ticks and 5 <= len(ticks) <= 11
    ax = rendered(plot_gradient(fastgrad.check_gradient(squares, [1.0, 2.0], [2.0, 4.0]), axes()))
    assert ax.get_xscale() == "linear"


def test_what_has_no_place_is_counted():
    given = gradient(X)
    given[5] = np.nan
    result = fastgrad.check_gradient(f, X, given, indices=[4, 5, 6])
    ax = rendered(plot_gradient(result, axes()))
    assert "1 not finite, 21 not compared" in legend(ax)
    ax = rendered(plot_error(result, axes()))
    assert "21 not compared" in legend(ax)
    ax = rendered(plot_error(fastgrad.check_gradient(f, X.reshape(4, 6), wrong, sample=4), axes()))
    assert "20 not compared" in legend(ax)
    assert not any("not" in text for text in legend(plot_error(fastgrad.check_gradient(f, X, wrong), axes())))


@pytest.mark.parametrize(("value", "side", "word"), [(np.nan, 1, "nan"), (np.inf, 1, "inf"), (-np.inf, 0, "-inf")])
def test_what_is_not_finite_is_marked_wrong_at_the_edge(value, side, word):
    given = gradient(X)
    given[5] = value
    result = fastgrad.check_gradient(f, X, given)
    assert result.verdict is Verdict.MISMATCH
    ax = rendered(plot_gradient(result, axes()))
    ((x, y),) = marked(ax, Verdict.MISMATCH)
    place = ax.transAxes.inverted().transform(ax.transData.transform((x, y)))
    assert abs(place[0] - side) < 0.03 and 0.0 < place[1] < 1.0
    assert y == pytest.approx(gradient(X)[5], rel=1e-5)
    assert f"x[5]: {word}" in words(ax)
    assert legend(ax) == ["23 right", "1 wrong", "1 not finite"]


def test_one_value_does_not_fill_the_frame_with_its_rounding():
    ax = rendered(plot_gradient(fastgrad.check_gradient(f, X[:1], gradient), axes()))
    assert np.ptp(ax.get_xlim()) > 0.5 * abs(gradient(X)[0])
    (line,) = (line for line in ax.lines if line.get_marker() == "o")
    assert line.get_ydata()[0] == pytest.approx(gradient(X)[0], rel=1e-6)
    assert not ax.containers  # its bar is too short to be seen


@pytest.mark.parametrize("scale", [1e100, 1e-9, 1.0])
def test_no_factor_and_no_offset_is_written_over_the_legend(scale):
    @nb.njit
    def linear(x):
        return (x * scale).sum() + scale * x[0]

    ax = rendered(plot_gradient(fastgrad.check_gradient(linear, X[:3], scale * np.array([2.0, 1.0, 1.5])), axes()))
    assert ax.xaxis.get_offset_text().get_text() == ax.yaxis.get_offset_text().get_text() == ""
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("plot", [plot_gradient, plot_error])
def test_both_pictures_take_a_jacobian(plot):
    @nb.njit
    def F(x):
        return np.array([x[0] * x[1], x[1] ** 2, x[0] + x[1]])

    result = fastgrad.check_jacobian(F, [2.0, 3.0], [[3.0, 2.0], [0.0, -6.0], [1.0, 1.0]])
    ax = rendered(plot(result, axes()))
    assert "1 wrong" in legend(ax)
    if plot is plot_gradient:
        np.testing.assert_allclose(marked(ax, Verdict.MISMATCH), [[-6.0, 6.0]], rtol=1e-6)
        assert words(ax) == ["F[1], x[1]"]


@pytest.mark.parametrize("plot", [plot_gradient, plot_error])
@pytest.mark.parametrize(
    "result",
    [
        lambda: fastgrad.check_gradient(f, 0 * X, 0 * X),
        lambda: fastgrad.check_gradient(f, X, np.full(24, np.nan)),
        lambda: fastgrad.check_gradient(f, X[:1], wrong_sign_of_one),
        lambda: fastgrad.check_gradient(scalar, 2.0, 4.0),
    ],
    ids=["zero", "all NaN", "one component", "a scalar"],
)
def test_strange_results_can_be_drawn(plot, result):
    rendered(plot(result(), axes()))


def wrong_sign_of_one(x):
    return -gradient(x)


@nb.njit
def scalar(x):
    return x * x


# --- error by component --------------------------------------------------------------------------------------------


def test_errors_are_relative_to_what_is_allowed(mismatch):
    ax = rendered(plot_error(mismatch, axes()))
    size = np.maximum(np.abs(mismatch.estimate), np.abs(mismatch.analytical_grad))
    expected = np.abs(mismatch.estimate - mismatch.analytical_grad) / (mismatch.uncertainty + 1e-5 * size)
    places = marked(ax, Verdict.MISMATCH)
    assert sorted(places[:, 0]) == sorted(WRONG)
    assert (places[:, 1] > 1.0).all()
    right = marked(ax, Verdict.MATCH)
    np.testing.assert_allclose(right[:, 1], np.clip(expected[right[:, 0].astype(int)], 1e-6, 1e6))
    assert (right[:, 1] < 1.0).all()
    assert set(words(ax)) == {"x[3]", "x[17]"}


@pytest.mark.parametrize(
    ("analytical", "estimate", "expected"),
    [(1.0, 1.0, 0.0), (2.0, 1.0, 1.0 / (0.1 + 0.02)), (np.nan, 1.0, np.inf), (1.0, np.nan, np.nan), (0.0, 0.0, 0.0)],
)
def test_shares(analytical, estimate, expected):
    (share,) = error_shares(np.array([analytical]), np.array([estimate]), np.array([0.1]), 1e-2)
    np.testing.assert_allclose(share, expected)


def test_blocks_are_named_below_and_no_name_is_read_as_a_formula():
    result = fastgrad.check_gradient(f, X, wrong, blocks={EVIL: (3, 4), "b": 12})
    ax = rendered(plot_error(result, axes()))
    assert [label.get_text() for label in ax.get_xticklabels()] == [EVIL, "b"]
    np.testing.assert_allclose(ax.get_xticks(), [5.5, 17.5])
    assert f"{EVIL}[0, 3]" in words(ax)
    rendered(plot_gradient(result, axes()))


def overlapping(texts):
    """Pairs of texts that cover each other, as they are turned."""
    from matplotlib.path import Path

    outlines = []
    for text in texts:
        turned, angle = text.get_window_extent(), np.radians(text.get_rotation())
        text.set_rotation(0)
        flat = text.get_window_extent()
        text.set_rotation(np.degrees(angle))
        # The right upper corner of a turned name stays below its tick.
        corner = np.array([turned.x1, turned.y1])
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([np.sin(angle), -np.cos(angle)])
        w, h = 0.98 * flat.width, 0.8 * flat.height
        corner = corner - 0.5 * (flat.height - h) * np.abs(across) if angle else corner
        corners = [corner, corner - w * along, corner - w * along + h * across, corner + h * across, corner]
        outlines.append(Path(np.array(corners)))
    return [(a, b) for a, b in itertools.combinations(outlines, 2) if a.intersects_path(b)]


def test_of_many_blocks_the_wrong_ones_are_named_and_no_name_covers_another():
    @nb.njit
    def squares(x):
        return (x * x).sum()

    x = np.random.default_rng(1).normal(size=150)
    given = 2 * x
    given[60:65] *= 1.1
    given[121] *= 1.1
    result = fastgrad.check_gradient(squares, x, given, blocks={f"layer{k}.weight": 5 for k in range(30)})
    ax = rendered(plot_error(result, axes()))
    labels = ax.get_xticklabels()
    names = [label.get_text() for label in labels]
    assert {"layer12.weight", "layer24.weight"} <= set(names)
    assert len(names) >= 10
    assert overlapping(labels) == []


def test_short_names_of_small_blocks_stay():
    result = fastgrad.check_gradient(f, X, wrong, blocks={"W": 16, "b": 4, "v": 2, "c": 2})
    ax = rendered(plot_error(result, axes()))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["W", "b", "v", "c"]


def test_names_beside_points_do_not_cover_each_other():
    ax = axes()
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0))
    # The first has its name on the right, the second, nearer to the edge, on the left; the third has room.
    label_points(ax, [("img[4, 3]", 0.69, 0.5), ("img[5, 3]", 0.85, 0.5), ("img[1, 3]", 0.2, 0.5)])
    assert words(ax) == ["img[4, 3]", "img[1, 3]"]
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("n", [1, 2, 3, 24])
def test_positions_are_whole_numbers(n):
    ax = rendered(plot_error(fastgrad.check_gradient(f, X[:n], gradient), axes()))
    low, high = ax.get_xlim()
    ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == int(tick) for tick in ticks)


def test_rows_and_columns_of_an_image_are_whole_numbers():
    ax = rendered(plot_error(fastgrad.check_gradient(f, X[:6].reshape(2, 3), gradient), axes()))
    ticks = [*ax.get_xticks(), *ax.get_yticks()]
    assert ticks and all(tick == int(tick) for tick in ticks)


def test_crowded_names_of_blocks_are_turned_and_long_ones_cut():
    long = "a_very_long_name_of_a_layer_that_has_no_end"
    result = fastgrad.check_gradient(f, X, wrong, blocks={long: 1, **{f"layer{k}.weight": 1 for k in range(23)}})
    ax = rendered(plot_error(result, axes()))
    labels = ax.get_xticklabels()
    assert 8 <= len(labels) <= 24
    assert all(label.get_rotation() == 35 for label in labels)
    assert labels[0].get_text() == "a_very_long\u2026_has_no_end" or len(labels[0].get_text()) <= 24


def test_a_matrix_is_drawn_as_an_image_with_its_wrong_entries_marked():
    x = X.reshape(4, 6)
    ax = rendered(plot_error(fastgrad.check_gradient(f, x, wrong), axes()))
    (image,) = ax.images
    assert image.get_array().shape == (4, 6)
    assert {tuple(place) for place in marked(ax, Verdict.MISMATCH)} == {(3, 0), (5, 2)}  # column, row
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # as a matrix is written


def test_a_jacobian_is_drawn_as_an_image():
    @nb.njit
    def F(x):
        return np.array([x[0] * x[1], x[1] ** 2, x[0] + x[1]])

    result = fastgrad.check_jacobian(F, [2.0, 3.0], [[3.0, 2.0], [0.0, -6.0], [1.0, 1.0]])
    ax = rendered(plot_error(result, axes()))
    assert {tuple(place) for place in marked(ax, Verdict.MISMATCH)} == {(1, 1)}
    assert ax.get_ylabel() == "row: value of F"


# --- many components -----------------------------------------------------------------------------------------------


@nb.njit
def chained(x):
    return x**2 + 0.5 * np.append(x[1:], 0.0)


@pytest.mark.parametrize("n", [30, 5000])
def test_a_sparse_jacobian_is_drawn_by_the_entries_listed(n):
    sparse = pytest.importorskip("scipy.sparse")
    x = np.linspace(1.0, 2.0, n)
    jacobian = sparse.diags_array([2.0 * x, np.full(n - 1, 0.5)], offsets=[0, 1]).tolil()
    jacobian[7, 7], jacobian[3, 4] = 1.0, 0.0
    result = fastgrad.check_jacobian(chained, x, jacobian.tocsr())
    ax = plot_error(result)
    (image,) = ax.images
    pixels = np.ma.filled(image.get_array(), np.nan)
    assert pixels.shape == (min(n, 600),) * 2 and 0 < np.count_nonzero(np.isfinite(pixels)) < 0.1 * pixels.size
    (marks,) = ax.lines
    assert sorted(zip(marks.get_ydata(), marks.get_xdata(), strict=True)) == [(3, 4), (7, 7)]
    assert tuple(ax.get_xlim()) == (-0.5, n - 0.5) and tuple(ax.get_ylim()) == (n - 0.5, -0.5)


def test_thinning_keeps_both_ends():
    order = np.random.default_rng(0).normal(size=100_000)
    shown = thinned(np.arange(100_000), order)
    assert shown.size == MOST_DRAWN
    assert {order[shown[0]], order[shown[-1]]} == {order.min(), order.max()}


@pytest.mark.parametrize("shape", [(1_000_000,), (1000, 1000)])
def test_a_million_components_are_thinned_but_no_wrong_one_is_lost(shape):
    one = fastgrad.check_gradient(f, X, wrong)
    n = 1_000_000
    places = np.array([1, 123_456, 999_999])
    given = np.linspace(-1.0, 1.0, n)
    estimate = given.copy()
    estimate[places] += 0.5
    verdicts = np.full(n, Verdict.MATCH, dtype=object)
    verdicts[places] = Verdict.MISMATCH
    layout = Layout(shape)
    big = replace(
        one, layout=layout, worst=(), analytical_grad=given.reshape(shape), estimate=estimate.reshape(shape),
        uncertainty=np.full(shape, 1e-9), verdicts=verdicts.reshape(shape), numerical_grad=estimate.reshape(shape),
    )  # fmt: skip
    ax = rendered(plot_gradient(big, axes()))
    assert len(marked(ax, Verdict.MISMATCH)) == 3
    assert len(marked(ax, Verdict.MATCH)) == MOST_DRAWN
    assert legend(ax)[0] == "999\u2009997 right, 4\u2009000 drawn"
    ax = rendered(plot_error(big, axes()))
    if len(shape) == 1:
        assert sorted(marked(ax, Verdict.MISMATCH)[:, 0]) == sorted(places)
    else:
        assert ax.images[0].get_array().shape == (600, 600)
        assert {tuple(p) for p in marked(ax, Verdict.MISMATCH)} == {(1, 0), (456, 123), (999, 999)}
        assert np.nanmax(ax.images[0].get_array()) > 1e3  # pooling keeps the largest


# --- where a directional check found errors ------------------------------------------------------------------------


@nb.njit
def squares(x):
    return (x * x).sum()


LARGE = np.random.default_rng(1).uniform(1.0, 2.0, 50_000)


def test_located_components_are_drawn_at_their_places():
    given = 2 * LARGE
    given[[1234, 40_000]] *= [1.5, 0.9]
    result = fastgrad.check_directional(squares, LARGE, given, blocks={"W": (200, 150), "b": 20_000})
    ax = rendered(plot_localisation(result, axes()))
    (container,) = ax.containers
    places = container[0].get_xydata()
    assert sorted(places[:, 0]) == [1234, 40_000]
    np.testing.assert_allclose(sorted(places[:, 1]), [0.1, 1.0 / 3.0], rtol=1e-3)
    assert {"W[8, 34]", "b[10000]", "W", "b"} <= set(words(ax))
    assert ax.get_xlabel() == "position in x, of 50\u2009000"


def test_a_block_with_many_errors_says_how_many():
    given = 2 * LARGE
    given[30_000:] *= 1.1
    result = fastgrad.check_directional(squares, LARGE, given, blocks={"W": (200, 150), "$b$": 20_000})
    ax = rendered(plot_localisation(result, axes()))
    assert any(text.startswith("$b$\n") and text.endswith("% wrong") for text in words(ax))


def test_a_match_says_that_nothing_is_wrong():
    ax = rendered(plot_localisation(fastgrad.check_directional(squares, LARGE, 2 * LARGE), axes()))
    assert words(ax) == ["no wrong component"]


@pytest.mark.parametrize("plot", [plot_gradient, plot_error])
def test_a_missing_matplotlib_is_said(plot, mismatch, without_matplotlib):
    with pytest.raises(ImportError, match=r"matplotlib, which is missing: pip install matplotlib\.$"):
        plot(mismatch)
