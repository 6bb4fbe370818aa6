"""The machinery of the pages: examples are executed, outputs compared, links and searches followed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import fastgrad

DOCS = Path(__file__).resolve().parent.parent / "docs"


def load(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load("run_examples")


def test_no_page_and_no_message_installs_from_where_it_is_not():
    """The package is installed from a checkout; a library that is missing is named itself."""
    root = DOCS.parent
    places = [*DOCS.rglob("*.md"), *root.glob("*.md"), *root.glob("*/README.md"), *root.glob("fastgrad/**/*.py")]
    found = [path.name for path in places if re.search(r"""["'`]fastgrad\[|pip install fastgrad""", path.read_text())]
    assert found == []


# --- examples ---------------------------------------------------------------------------------------------------------


def test_blocks_are_filled_with_what_the_examples_print(script):
    given = (
        "```python\nn = 2\n```\nand\n```python\nprint(n + 1)\n```\ngives\n```text\nold\n```\n"
        "```console\n$ echo one && false\nold\n$ echo $?\n```\n"
    )
    expected = given.replace("text\nold", "text\n3").replace("false\nold", "false\none").replace("$?\n", "$?\n1\n")
    assert script.render(given) == expected


@pytest.mark.parametrize("rest", ["", "```python\nprint(1)\n```\n"])
def test_output_without_a_place_is_an_error(script, rest):
    with pytest.raises(script.PageError, match="no text block follows it: 'lost"):
        script.render("```python\nprint('lost')\n```\n" + rest)


def test_an_exception_is_an_error_that_names_the_line_of_the_page(script):
    with pytest.raises(script.PageError, match=r"(?s)p\.md, line 4.*ZeroDivisionError"):
        script.render("# Page\n\n```python\n1 / 0\n```\n", "p.md")


def test_an_exception_that_is_shown_is_output(script):
    page = "```python\nprint(1)\nint('a')\n```\n```text\nValueError: some old message\n```\n"
    fresh = script.render(page)
    assert "```text\n1\nValueError: invalid literal" in fresh
    assert not script.is_current(page, fresh)


def test_an_exception_that_is_shown_and_does_not_come_is_an_error(script):
    with pytest.raises(script.PageError, match="ValueError is shown, and nothing was raised"):
        script.render("```python\nint('1')\n```\n```text\nValueError: so it was\n```\n")


@pytest.mark.parametrize("first_line", ["# notes.txt", "/* notes.txt */", "! notes.txt"])
def test_a_block_that_names_a_file_is_written_and_not_executed(script, first_line):
    page = f"```python\n{first_line}\n1 / 0\n```\n```console\n$ cat notes.txt\n```\n"
    assert f"$ cat notes.txt\n{first_line}\n1 / 0\n" in script.render(page)


@pytest.mark.parametrize("name", ["CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"])
def test_examples_print_the_same_on_a_build_server(script, monkeypatch, name):
    """Where CI is set, pytest shows whole reports in its summary, which no reader of the page sees at a terminal."""
    Path("test_long.py").write_text(f"def test_it():\n    assert False, '{'long ' * 40}'\n")
    page = "```console\n$ pytest -q -p no:cacheprovider test_long.py | grep ^FAILED\n```\n"
    monkeypatch.delenv(name, raising=False)
    at_a_terminal = script.render(page)
    monkeypatch.setenv(name, "-vv")
    assert script.render(page) == at_a_terminal
    assert "long ...\n" in at_a_terminal


def test_what_a_command_complains_about_is_shown_only_if_it_fails(script):
    page = "```console\n$ echo warning >&2\n$ echo error >&2; false\n```\n"
    assert script.render(page) == page.replace("false\n", "false\nerror\n")


def test_other_blocks_are_left_alone(script):
    page = "```bash\nexit 1\n```\n```text\nkept\n```\n```python\nx = 1\n```\n"
    assert script.render(page) == page


def test_a_page_that_is_out_of_date_is_written_anew_and_its_pictures_kept(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "FIGURES", tmp_path / "figures")
    page = tmp_path / "page.md"
    stale = "```python\nprint(2)\nopen('curve.png', 'w').close()\n```\n```text\n1\n```\n"
    page.write_text(stale)
    assert "-1\n+2" in script.complaint(page, check_only=True)
    assert page.read_text() == stale
    assert "written anew" in script.complaint(page, check_only=False)
    assert script.complaint(page, check_only=True) == ""
    assert (tmp_path / "figures" / "page" / "curve.png").exists()


def test_many_pages_run_in_processes_of_their_own(script, tmp_path):
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("```python\nimport os\nhere = os.getpid()\n```\n")
    bad.write_text("```python\nprint(here)\n```\n```text\n```\n")
    found = dict(script.complaints([good, bad], "--check"))
    assert found[good] == ""
    assert "NameError" in found[bad]


# --- pages ------------------------------------------------------------------------------------------------------------


def test_every_public_name_has_its_place_in_the_reference():
    page = (DOCS / "reference" / "api.md").read_text()
    listed = set(re.findall(r"^   (\w+)$", page, re.MULTILINE))
    assert set(fastgrad.__all__) - {"steps"} <= listed
    for module in ("plotting", "testing"):
        names = importlib.import_module(f"fastgrad.{module}").__all__
        assert set(names) <= listed, module


def test_pages_with_output_are_executed():
    """A page outside docs/, or one that Sphinx leaves out, would show output that nobody checks."""
    excluded = re.search(r"exclude_patterns = (\[.*\])", (DOCS / "conf.py").read_text())[1]
    assert excluded == '["_build", "figures", "_figures"]'


# --- the built site ---------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text('<a href="page.html#there">good</a> <a href="https://example.org/x">other</a>')
    (tmp_path / "page.html").write_text('<h1 id="there">Page</h1> <a href="#there">here</a> <img src="gone.png">')
    terms = '"terms":{"taylor":0,"test":[0,1]},"titleterms":{"kink":1}'
    (tmp_path / "searchindex.js").write_text('Search.setIndex({"docnames":["index","page"],' + terms + "})")
    return tmp_path


def test_broken_links_are_found(site):
    pytest.importorskip("sphinx")
    check = load("check_site")
    assert check.broken_links(site) == ["page.html: gone.png"]
    (site / "gone.png").touch()
    assert check.broken_links(site) == []
    (site / "page.html").write_text("<h1>Page</h1>")
    assert check.broken_links(site) == ["index.html: page.html#there"]


def test_searches_need_all_words(site):
    pytest.importorskip("sphinx")
    check = load("check_site")
    assert check.search(site, "Taylor tests") == {"index"}
    assert check.search(site, "test") == {"index", "page"}
    assert check.search(site, "kinks") == {"page"}
    assert check.search(site, "Taylor kink") == set()
