"""What the demo saw: tables for the terminal, Markdown, and a page of HTML with each call's deciding statement."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from demo.scenario import Row

_WIDTHS: Final = {"": 0, "Who": 4, "What": 5, "Expected": 7, "Observed": 7, "KMS calls": 5}
_NARROW: Final = {"": 0, "Who does what": 6, "Observed": 7, "KMS calls": 5}
_COLUMNS: Final = tuple(_WIDTHS)
_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
article { border-left: 4px solid #2a7d3f; margin: .75rem 0; padding: .1rem 0 .1rem .75rem }
article.failed { border-color: #c0392b }
h3 { font-size: 1rem; margin: .2rem 0 }
p { margin: .2rem 0 }
pre { overflow-x: auto; white-space: pre-wrap; margin: .2rem 0 .2rem 1rem }
"""


def table(title: str, rows: Sequence[Row], *, narrow: bool = False) -> Table:
    """Return rows as a table for the terminal; a narrow one says what was expected only where it was not observed."""
    result = Table(title=title, title_justify="left", title_style="bold", expand=True)
    for column, ratio in (_NARROW if narrow else _WIDTHS).items():
        result.add_column(column, overflow="fold", ratio=ratio, width=None if ratio else 1)
    for row in rows:
        result.add_row(*(_few_cells(row) if narrow else _cells(row)), style=None if row.as_expected else "red")
    return result


def count(rows: Sequence[Row]) -> str:
    """Return how many rows are as expected."""
    return f"{sum(row.as_expected for row in rows)} of {len(rows)} rows as expected"


def write(rows: Sequence[Row], folder: Path) -> Path:
    """Write ``report.md`` and ``demo.html`` to ``folder``, and return the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text("\n".join(_markdown(rows)) + "\n", encoding="utf-8")
    page = folder / "demo.html"
    page.write_text("\n".join(_html(rows)) + "\n", encoding="utf-8")
    return page


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for group, members in groupby(rows, key=lambda row: row.scenario.group):
        yield group, list(members)


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    yield "# What was done, and refused, on the embedded AWS"
    for group, members in _groups(rows):
        yield f"\n## {group}\n"
        yield "| " + " | ".join(_COLUMNS) + " |"
        yield "|---" * len(_COLUMNS) + "|"
        for row in members:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |"
    yield f"\n{count(rows)}."


def _cells(row: Row) -> tuple[str, ...]:
    mark = "✓" if row.as_expected else "✗"
    scenario = row.scenario
    return (mark, scenario.who, scenario.what, scenario.expected, row.observed, row.kms_calls)


def _few_cells(row: Row) -> tuple[str, ...]:
    mark, who, what, expected, observed, calls = _cells(row)
    return (mark, f"{who} {what}", observed if row.as_expected else f"{observed}, not: {expected}", calls)


def _html(rows: Sequence[Row]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Demo: what was done, and refused</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><main><h1>What was done, and refused, on the embedded AWS</h1>"
    yield f"<p>{count(rows)}. Each row: the calls to AWS KMS, with the statement that decided.</p>"
    for group, members in _groups(rows):
        yield f"<h2>{escape(group)}</h2>"
        for row in members:
            yield from _article(row)
    yield "</main></body></html>"


def _article(row: Row) -> Iterator[str]:
    scenario = row.scenario
    yield f'<article class="{"" if row.as_expected else "failed"}"><h3>{escape(f"{scenario.who} {scenario.what}")}</h3>'
    yield f"<p>{escape(row.observed)}</p>"
    if not row.as_expected:
        yield f"<p>expected: {escape(scenario.expected)}</p>"
    if row.calls:
        yield f"<details><summary>{escape(row.kms_calls)}</summary>"
        yield from (f"<pre>{escape(_decision(call))}</pre>" for call in row.calls)
        yield "</details>"
    yield "</article>"


def _decision(call: Mapping[str, Any]) -> str:
    via = f" via {call['viaService']}" if call["viaService"] else ""
    statement = call["statement"] or {}
    decided = " ".join(str(value) for value in (statement.get("policy"), statement.get("sid")) if value)
    context = json.dumps(call["encryptionContext"]) if call["encryptionContext"] else "none"
    return "\n".join(
        (
            f"{call['action']}{via} on {call['keyArn'] or 'no key'}",
            f"  by {call['principal']}",
            f"  encryption context: {context}",
            f"  {call['decision']}: {call['reason']}" + (f" ({decided})" if decided else ""),
        )
    )
