"""Results as HTML: for notebooks, and as pages that stand alone.

Everything that comes from outside is escaped, and nothing is executed: there is no script. In a notebook the text
takes the colours around it, so that it is readable in light and dark themes; a page follows the reader's preference.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

import numpy as np

_MOST_ROWS = 10

# Of a row: its name says where it is, and values that are compared need more digits than sizes.
_NOT_SHOWN = frozenset({"index"})
_COMPARED = frozenset({"analytical", "numerical", "difference", "integral", "slopes"})
_HEADS = {"name": "", "uncertainty": "\u00b1"}
_OF_INNER = ("verdict", "value", "analytical", "numerical", "bar")  # of an object in a row

# In the headline, or without a short form; arrays are left out in any case.
_NOT_LISTED = frozenset({"verdict", "reason", "causes", "unexplained", "norms", "layout", "check"})

# White text on each has a contrast of 5.9 or more; the sign says the same without colour.
_BADGES = {"match": ("#00694d", "\u2713"), "mismatch": ("#b34000", "\u2717"), "inconclusive": ("#7a5200", "?")}

_STYLE = """\
.fastgrad { font-family: system-ui, sans-serif; line-height: 1.45; max-width: 62em; }
.fastgrad .badge { display: inline-block; padding: .1em .6em; margin-right: .5em; border-radius: .3em;
  color: #fff; font-weight: 600; letter-spacing: .03em; }
.fastgrad p { margin: .5em 0; }
.fastgrad table { border-collapse: collapse; margin: .3em 0 .8em; font-variant-numeric: tabular-nums;
  background: none; }
.fastgrad caption { text-align: left; font-weight: 600; padding: .3em 0; color: inherit; }
.fastgrad th, .fastgrad td { padding: .15em .6em; text-align: right; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, .35); color: inherit; background: none; }
.fastgrad th:first-child, .fastgrad td:first-child { text-align: left; padding-left: 0; }
.fastgrad td.word { text-align: left; overflow-wrap: anywhere; }
.fastgrad .scroll td + td { white-space: nowrap; }
.fastgrad .scroll { overflow-x: auto; font-size: .92em; }
.fastgrad pre { overflow-x: auto; font-size: .9em; color: inherit; background: none; }
"""

_PAGE_STYLE = """\
:root { color-scheme: light dark; }
body { margin: 1.5em auto; padding: 0 1.2em; max-width: 64em; color: #1a1a1a; background: #fff; }
h1 { font: 600 1.3em system-ui, sans-serif; overflow-wrap: anywhere; }
figure { margin: 1em 0; }
figcaption { font: .95em system-ui, sans-serif; margin-bottom: .3em; }
figure svg { max-width: 100%; height: auto; background: #fff; border-radius: .4em; }
footer { font: .85em system-ui, sans-serif; opacity: .75; margin-top: 2em; }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #16181c; } }
"""


class HtmlReport:
    """Lets a result show itself in notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return in_notebook(self)


def in_notebook(result: Any) -> str:
    """What a notebook shows of a result."""
    return f"<style>{_STYLE}</style>{fragment(result)}"


def fragment(result: Any) -> str:
    """A result as a piece of HTML: verdict and causes, tables of its parts, and the text report to unfold.

    A result without a verdict, the outcome of a measurement, has no headline.
    """
    tables = [_table(name, rows) for name, rows in _tables(result)]
    scalars = "".join(f"<tr><td>{_text(name)}</td><td>{_value(value)}</td></tr>" for name, value in _scalars(result))
    headline = _headline(result) if hasattr(result, "verdict") else ""
    return (
        f'<div class="fastgrad">{headline}{"".join(tables)}<table><tbody>{scalars}</tbody></table>'
        f"<details{'' if tables else ' open'}><summary>Report as text</summary>"
        f"<pre>{_text(result)}</pre></details></div>"
    )


def page(
    result: Any, *, title: str, asked: Mapping[str, str], pictures: Iterable[tuple[str, str]], made_by: str
) -> str:
    """A page of its own, without any other file: what was asked, the result, pictures as (caption, SVG)."""
    question = "".join(
        f"<tr><td>{_text(key)}</td><td class='word'>{_text(value)}</td></tr>" for key, value in asked.items()
    )
    figures = "".join(f"<figure><figcaption>{_text(caption)}</figcaption>{svg}</figure>" for caption, svg in pictures)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}{_PAGE_STYLE}</style></head><body><h1>{_text(title)}</h1>"
        f'<div class="fastgrad"><table><tbody>{question}</tbody></table></div>'
        f"{fragment(result)}{figures}<footer>{_text(made_by)}</footer></body></html>\n"
    )


def _headline(result: Any) -> str:
    verdict = result.verdict.value
    colour, sign = _BADGES[verdict]
    lines = [
        f'<p><span class="badge" style="background:{colour}">{sign} {verdict.upper()}</span>{_text(result.reason)}.</p>'
    ]
    lines += [f"<p><b>Cause:</b> {_text(cause.sentence)}</p>" for cause in getattr(result, "causes", ())]
    if getattr(result, "unexplained", None):
        lines.append(f"<p><b>Unexplained:</b> {_text(result.unexplained)}</p>")
    return "".join(lines)


def _scalars(result: Any) -> Iterator[tuple[str, Any]]:
    """Fields that are one number, one word, or a pair of numbers."""
    for name in _field_names(result):
        value = getattr(result, name)
        if name not in _NOT_LISTED and (_is_plain(value) or _is_pair(value)):
            yield name.replace("_", " "), value


def _tables(result: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Fields that are rows: components, blocks, segments, kinks."""
    for name in _field_names(result):
        value = getattr(result, name)
        is_rows = isinstance(value, tuple) and bool(value) and all(dataclasses.is_dataclass(row) for row in value)
        if is_rows and name not in _NOT_LISTED and _cells(value[0]):
            yield name.replace("_", " "), value


def _field_names(result: Any) -> Iterable[str]:
    """Of a dataclass, or of a named tuple."""
    return [field.name for field in dataclasses.fields(result)] if dataclasses.is_dataclass(result) else result._fields


def _table(name: str, rows: tuple[Any, ...]) -> str:
    shown = [_cells(row) for row in rows[:_MOST_ROWS]]
    columns = [column for column in shown[0] if not all(_is_nothing(cells.get(column)) for cells in shown)]
    head = "".join(f"<th>{_text(_HEADS.get(column, column.replace('_', ' ')))}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(_cell(column, cells.get(column)) for column in columns)}</tr>" for cells in shown)
    count = f" (first {_MOST_ROWS} of {len(rows)})" if len(rows) > _MOST_ROWS else ""
    return (
        f'<div class="scroll"><table><caption>{_text(name)}{count}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(row: Any) -> dict[str, Any]:
    """What is shown of a row, by column; of an object in it, the numbers that matter most."""
    cells: dict[str, Any] = {}
    for field in dataclasses.fields(row):
        value = getattr(row, field.name)
        if dataclasses.is_dataclass(value):
            inner = {f"{field.name} {name}": getattr(value, name, None) for name in _OF_INNER if hasattr(value, name)}
            cells |= {name: part for name, part in inner.items() if _is_shown(part)}
        elif field.name not in _NOT_SHOWN and _is_shown(value):
            cells[field.name] = value
    return cells


def _cell(column: str, value: Any) -> str:
    return f"<td>{_value(value, 9 if column.rpartition(' ')[2] in _COMPARED else 3)}</td>"


def _is_nothing(value: Any) -> bool:
    if isinstance(value, tuple):
        return not value
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str | np.number) and not isinstance(value, Enum)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(_is_plain(member) for member in value)


def _is_shown(value: Any) -> bool:
    return value is None or isinstance(value, Enum) or _is_plain(value) or isinstance(value, tuple)


def _value(value: Any, digits: int = 6) -> str:
    if value is None or (isinstance(value, tuple) and not value):
        return ""
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, tuple):
        return ", ".join(_value(member, digits) for member in value)
    if isinstance(value, float | np.floating):
        return f"{float(value):.{digits}g}" if math.isfinite(value) else str(float(value))
    return _text(value)


def _text(value: Any) -> str:
    return html.escape(str(value))
