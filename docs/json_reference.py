"""Writes docs/reference/json.md from the schema that comes with the package: ``python docs/json_reference.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastgrad

SCHEMA = Path(fastgrad.__file__).parent / "report.schema.json"
PAGE = Path(__file__).parent / "reference" / "json.md"

_HEAD = """\
# JSON reports

`fastgrad COMMAND ... --json` prints one JSON object on one line, and `pytest --fastgrad-report=DIR` saves one for
each failing check. NaN and infinities, which JSON has not, are `null`. The field `schema` says which of the objects
below it is, and its version: the number grows when a field changes its meaning or goes; new fields may come without.
After an error, or Ctrl-C before anything was found, a command prints a [fastgrad.error/1](#fastgraderror1) instead.

The tables are made from the JSON Schema that comes with the package, for validators and code generators:

```python
import json
from importlib.resources import files

schema = json.loads((files("fastgrad") / "report.schema.json").read_text())
print(schema["title"])
```

```text
Reports of fastgrad
```

In a shell, with `jq`:

```bash
fastgrad check model.py:f model.py:gradient --at x.npy --json | jq -r '.worst[] | "\\(.name) \\(.absolute)"'
```
"""


def page(schema: dict[str, Any]) -> str:
    """The page as Markdown: the reports, then the objects inside them."""
    definitions = schema["$defs"]
    reports = [name.removeprefix("fastgrad.").partition("/")[0] for name in schema["properties"]["schema"]["enum"]]
    parts = [_HEAD]
    for name in reports:
        parts.append(f"## fastgrad.{name}/1\n\n{definitions[name]['description']}\n\n{_table(definitions[name])}")
    parts.append("## Objects inside\n")
    for name, definition in definitions.items():
        if name not in reports and "properties" in definition:
            parts.append(f"### {name}\n\n{_table(definition)}")
    parts.append(f"### values\n\n{definitions['values']['description']}\n")
    return "\n".join(parts)


def _table(definition: dict[str, Any]) -> str:
    rows = ["| field | kind | meaning |", "|---|---|---|"]
    for name, field in definition["properties"].items():
        optional = "" if name in definition["required"] else ", if known"
        meaning = field.get("description", "").replace("|", "\\|")
        rows.append(f"| `{name}` | {_kind(field)}{optional} | {meaning} |")
        rows += [
            f"| `{name}.{inner}` | {_kind(part)} | {part.get('description', '').replace('|', chr(92) + '|')} |"
            for inner, part in field.get("properties", {}).items()
        ]
    return "\n".join(rows) + "\n"


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "anyOf" in field:
        return " or ".join(_kind(option) for option in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}"
    kind = field.get("type", "")
    return " or ".join(kind) if isinstance(kind, list) else kind


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(SCHEMA.read_text())))
