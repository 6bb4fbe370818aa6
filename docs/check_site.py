"""Checks the built pages: every link within them leads somewhere, and a search for the terms of the field finds them.

    python docs/check_site.py docs/_build/html

Sphinx checks references in the sources; this checks what a browser gets, indexes and generated pages included. Links
to other sites are not followed.
"""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.search.en import SearchEnglish

# What somebody types who does not know this package, and the page that should come up.
TERMS = {
    "gradient check": "tutorial/first-check",
    "finite differences": "explanation/comparison",
    "central difference": "explanation/error-bars",
    "directional derivative": "how-to/large-gradients",
    "step size": "explanation/step-size",
    "truncation error": "explanation/step-size",
    "rounding": "explanation/step-size",
    "relative error": "explanation/metric",
    "Taylor test": "how-to/taylor-test",
    "adjoint": "how-to/tangent-and-adjoint",
    "tangent": "how-to/tangent-and-adjoint",
    "Jacobian": "how-to/jacobians",
    "Hessian": "how-to/jacobians",
    "sparsity": "how-to/jacobians",
    "graph coloring": "how-to/jacobians",
    "complex step": "how-to/choose-a-step",
    "pytest": "how-to/pytest",
    "kink": "how-to/kinks",
    "subgradient": "how-to/kinks",
    "ReLU": "how-to/kinks",
    "float32": "how-to/float32",
    "noise": "how-to/noisy-solvers",
    "Fortran": "how-to/c-objectives",
    "MPI": "how-to/dask-and-mpi",
    "checkpoint": "how-to/expensive-objectives",
    "autograd": "how-to/other-libraries",
    "JAX": "how-to/other-libraries",
    "wrong components": "explanation/localisation",
    "quadrature": "explanation/line-integral",
    "reproducible": "explanation/threads",
    "gradcheck": "explanation/comparison",
    "stationary": "explanation/scope",
    "stationary point": "how-to/read-a-report",
    "backpropagation": "how-to/named-parameters",
    "backprop": "how-to/named-parameters",
    "autodiff": "explanation/scope",
    "autodiff tensor": "how-to/other-libraries",
    "Jupyter": "how-to/notebooks",
    "notebook": "how-to/notebooks",
    "HTML": "how-to/notebooks",
    "stochastic": "how-to/noisy-solvers",
    "pytree": "how-to/named-parameters",
}


class _Page(HTMLParser):
    """The links of a page and the places that links can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name in ("id", "name"):
                self.places.add(value)
            elif (tag, name) in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
                self.links.add(value)


def broken_links(site: Path) -> list[str]:
    """Every link within the site that leads nowhere, as "page: link"."""
    pages = {path: _Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in sorted(page.links):
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            known = pages[file].places if file in pages else set()
            if not file.exists() or (target.fragment and unquote(target.fragment) not in known | {"", "top"}):
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


def search(site: Path, query: str) -> set[str]:
    """Names of the pages that hold all words of a query: what the search field of the pages looks up."""
    index = json.loads((site / "searchindex.js").read_text().removeprefix("Search.setIndex(").removesuffix(")"))
    language = SearchEnglish({})
    found: set[str] | None = None
    for word in language.split(query):
        stem = language.stem(word.lower())
        hits: set[int] = set()
        for table in (index["terms"], index["titleterms"]):
            listed = table.get(stem, [])
            hits |= {listed} if isinstance(listed, int) else set(listed)
        names = {index["docnames"][hit] for hit in hits}
        found = names if found is None else found & names
    return found or set()


def main() -> int:
    site = Path(sys.argv[1]).resolve()
    complaints = [f"broken link, {link}" for link in broken_links(site)]
    for query, page in TERMS.items():
        found = search(site, query)
        if page not in found:
            complaints.append(f"a search for {query!r} does not find {page}, but {sorted(found)}")
    print("\n".join(complaints) or f"{len(list(site.rglob('*.html')))} pages, all links lead somewhere")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
