"""The demo's report, as a table in the terminal and as a Markdown file that is kept."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.table import Table

from demo.scenario import Row

_WIDTHS = {"": 0, "Who": 4, "What": 5, "Expected": 7, "Observed": 7, "KMS calls": 5}
_COLUMNS = tuple(_WIDTHS)


def table(title: str, rows: Sequence[Row]) -> Table:
    """Return the rows of one group as a table for the terminal."""
    result = Table(title=title, title_justify="left", title_style="bold", expand=True)
    for column in _COLUMNS:
        result.add_column(column, overflow="fold", ratio=_WIDTHS[column], width=None if _WIDTHS[column] else 1)
    for row in rows:
        style = None if row.as_expected else "red"
        result.add_row(*_cells(row), style=style)
    return result


def write_markdown(rows: Sequence[Row], path: Path) -> None:
    """Write every row to ``path``, grouped, with a closing count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_markdown(rows)) + "\n", encoding="utf-8")


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    yield "# What was done, and refused, on the embedded AWS"
    for group, members in groupby(rows, key=lambda row: row.scenario.group):
        yield f"\n## {group}\n"
        yield "| " + " | ".join(_COLUMNS) + " |"
        yield "|---" * len(_COLUMNS) + "|"
        for row in members:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |"
    yield f"\n{sum(row.as_expected for row in rows)} of {len(rows)} rows as expected."


def _cells(row: Row) -> tuple[str, ...]:
    mark = "✓" if row.as_expected else "✗"
    scenario = row.scenario
    return (mark, scenario.who, scenario.what, scenario.expected, row.observed, row.kms_calls)
