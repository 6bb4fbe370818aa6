"""Results as HTML: nothing from outside is taken for markup, nothing runs, and a browser shows both colour schemes."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser

import numba as nb
import numpy as np
import pytest
from exp_sine import f, gradient, wrong

import fastgrad
from fastgrad._html import fragment
from fastgrad._pictures import page_of, pictures_of

EVIL = "<script>alert('x')</script>&"
X = np.linspace(0.5, 1.5, 30)


@nb.njit
def f_of_parts(x):
    return np.exp(x) * np.sin(x)


def jacobian_of(g):
    """Of the values above; wrong wherever the gradient is."""
    return np.diag(gradient(X[:3]) * (1.0 if g is gradient else -1.0))


RESULTS = {
    "gradient": lambda g: fastgrad.check_gradient(f, X, g, blocks={EVIL: 10, "b$c$": (4, 5)}),
    "directional": lambda g: fastgrad.check_directional(f, X, g, blocks={EVIL: 10, "b$c$": (4, 5)}),
    "line integral": lambda g: fastgrad.check_line_integral(f, X, g, blocks={EVIL: 10, "b": (4, 5)}),
    "sweep": lambda g: fastgrad.sweep_epsilon(f, {EVIL: X}, g),
    "jacobian": lambda g: fastgrad.check_jacobian(f_of_parts, X[:3], jacobian_of(g), rows={EVIL: 2, "b": 1}),
    "jvp": lambda g: fastgrad.check_jvp(f_of_parts, X[:3], lambda x, v: jacobian_of(g) @ v),
    "vjp": lambda g: fastgrad.check_vjp(f_of_parts, X[:3], lambda x, w: jacobian_of(g).T @ w),
    "taylor": lambda g: fastgrad.taylor_test(f, X, g),
}


class Reader(HTMLParser):
    """Collects tags, and the words outside style sheets; complains of tags that are not closed in order."""

    VOID = frozenset({"meta", "br", "path"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.attributes, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


@pytest.fixture(scope="module", params=[(name, kind) for name in RESULTS for kind in ("right", "wrong")], ids=str)
def result(request):
    name, kind = request.param
    return RESULTS[name](gradient if kind == "right" else wrong)


def test_a_notebook_shows_verdict_reason_and_report_and_runs_nothing(result):
    reader = Reader(result._repr_html_())
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("src", "href")]
    words = " ".join(" ".join(reader.words).split())
    assert result.verdict.name in words
    assert " ".join(f"{result.reason}.".split()) in words
    assert str(result) in reader.words


def test_a_notebook_shows_a_comparison_and_a_pattern_which_have_no_verdict():
    comparison = fastgrad.GradientChecker(f, like=X)(X, 1.1 * gradient(X))
    words = Reader(comparison._repr_html_()).words
    assert "relative error" in words and f"{comparison.relative_error:.6g}" in words
    scipy_sparse = pytest.importorskip("scipy.sparse")
    given = scipy_sparse.diags_array(gradient(X[:4])).tocsr()
    pattern = fastgrad.check_jacobian(f_of_parts, X[:4], given).pattern
    words = Reader(pattern._repr_html_()).words
    assert {"entries", "4", "groups", "1", "probes"} <= set(words)
    assert str(pattern) in words


def test_a_page_stands_alone_and_escapes_what_it_is_given(result):
    page = page_of(result, f"title {EVIL}", f=f"{EVIL}.py:f")
    reader = Reader(page)
    assert "script" not in reader.tags
    assert page.count("<script") == 0
    assert reader.tags.count("html") == 1 and page.startswith("<!DOCTYPE html>")
    outside = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("#", "data:")) for value in outside)
    assert "title " in "".join(reader.words) and f"{EVIL}.py:f" in "".join(reader.words)


@pytest.mark.parametrize(("name", "count"), [("gradient", 2), ("sweep", 1), ("directional", 1), ("taylor", 1)])
def test_a_page_has_the_pictures_of_its_result(name, count):
    pytest.importorskip("matplotlib")
    assert page_of(RESULTS[name](wrong), "title").count("<figure>") == count


def test_a_page_about_nothing_measured_has_no_picture():
    @nb.njit
    def nowhere(x):
        return np.log(x).sum()

    result = fastgrad.taylor_test(nowhere, [-1.0], [1.0])
    assert result.lines == ()
    assert "<figure>" not in page_of(result, "title")


def test_long_tables_are_cut_and_say_so():
    result = fastgrad.check_line_integral(f, X, lambda x: gradient(x) * np.where(np.arange(30) % 2, 1.0, 1.1))
    if len(result.components) <= 10:
        pytest.skip("too few were located")
    assert f"components (first 10 of {len(result.components)})" in fragment(result)


def test_tables_hold_what_was_found():
    result = fastgrad.check_gradient(f, X, wrong)
    words = Reader(fragment(result)).words
    row = result.worst[0]
    assert row.name in words and f"{row.analytical:.9g}" in words and f"{row.relative:.3g}" in words
    assert f"{result.relative_error:.6g}" in words
    assert "Cause:" in words or not result.causes


# --- in a browser --------------------------------------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=600,1200"),
)


def browse(page, tmp_path, *options):
    (tmp_path / "page.html").write_text(page)
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *options, f"file://{tmp_path}/page.html"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout


@needs_browser
def test_a_browser_finds_no_script_and_all_words(tmp_path):
    result = RESULTS["gradient"](wrong)
    found = browse(page_of(result, EVIL), tmp_path, "--dump-dom")
    assert "<script" not in found
    assert found.count("<figure>") == len(pictures_of(result))
    assert "&lt;script&gt;alert" in found


@needs_browser
@pytest.mark.parametrize(("scheme", "is_dark"), [(0, True), (1, False)])
def test_the_background_follows_the_readers_colour_scheme(tmp_path, scheme, is_dark):
    image = pytest.importorskip("matplotlib.image")
    shot = tmp_path / "shot.png"
    page = page_of(RESULTS["gradient"](wrong), "title")
    browse(page, tmp_path, f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={shot}")
    picture = image.imread(shot)[..., :3]
    assert (picture[2, 2].mean() < 0.2) == is_dark
    assert picture.shape[1] == 600
    # Something contrasts with the background in the upper part, where the text is.
    assert np.abs(picture[:200] - picture[2, 2]).max() > 0.6
