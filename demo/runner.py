"""Start the embedded AWS, deploy the reference app into it, play every scenario, report, stop."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.table import Table

from demo.deployment import Deployment
from demo.groups import SCENARIOS
from demo.scenario import Row, Scenario, Stage, play
from kms_patterns.local import LocalAws
from kms_patterns.toolchain import node_executable

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


SMALLEST_INPUT = 8 * 1024 * 1024 + 1
"""The input must be uploaded in parts: boto3 does so above 8 MiB."""


class UnsuitableInput(ValueError):
    """The file given to the demo cannot be used; the message says why and what can."""


def default_input() -> Path:
    """Return a real, large file that is on every machine which can run the demo: the Node executable, over 100 MB."""
    return node_executable()


def check_input(file: Path) -> None:
    """Refuse a file that would not be uploaded in parts.

    Raises:
        UnsuitableInput: ``file`` is smaller than ``SMALLEST_INPUT``.
    """
    size = file.stat().st_size
    if size < SMALLEST_INPUT:
        raise UnsuitableInput(
            f"{file} has {size} bytes; the demo shows a multipart upload, so give {SMALLEST_INPUT} or more"
        )


@contextmanager
def deployed_stage(project: Path, file: Path, console: Console) -> Iterator[Stage]:
    """Yield the reference app of ``project``, deployed to an embedded AWS that ends with the context."""
    check_input(file)
    with _timed(console, "start the embedded AWS"):
        aws = LocalAws.start()
    with aws:
        deployment = Deployment(project, project / "build" / "demo", aws)
        _follow(console, "cdk synth", deployment.synthesize())
        _follow(console, "cdk bootstrap", deployment.bootstrap())
        _follow(console, "cdk deploy", deployment.deploy())
        yield Stage(aws, deployment.outputs(), file)


def run(project: Path, file: Path, console: Console, *, keep: bool = False) -> bool:
    """Run the demo.

    Args:
        project: The checkout with app.py and node_modules.
        file: The input, at least ``SMALLEST_INPUT`` bytes.
        console: Where progress and the report go.
        keep: Afterwards wait for Ctrl-C with everything still running.

    Returns:
        Whether every row was as expected.
    """
    report = project / "build" / "demo" / "report.md"
    with deployed_stage(project, file, console) as stage:
        rows = _play_all(console, stage, SCENARIOS)
        write_markdown(rows, report)
        if keep:
            _wait_for_interrupt(console, stage.aws)
    failed = [row for row in rows if not row.as_expected]
    console.print(f"{len(rows) - len(failed)} of {len(rows)} rows as expected", style="red" if failed else "green")
    console.print(f"Report: {report}", soft_wrap=True)
    console.print("The same app in a real account: make deploy, with the account's credentials in the environment")
    return not failed


def _play_all(console: Console, stage: Stage, scenarios: Sequence[Scenario]) -> list[Row]:
    rows: list[Row] = []
    for group, members in groupby(scenarios, key=lambda scenario: scenario.group):
        played = []
        for scenario in members:
            with console.status(f"{scenario.who} {scenario.what}"):
                played.append(play(scenario, stage))
        console.print(table(group, played))
        rows += played
    return rows


def _follow(console: Console, step: str, lines: Iterable[str]) -> None:
    """Run a step to its end, showing its latest line."""
    with _timed(console, step) as status:
        for line in lines:
            if line.strip():
                status.update(f"{step}: {line.strip()[:100]}")


@contextmanager
def _timed(console: Console, step: str) -> Iterator[Status]:
    start = time.monotonic()
    with console.status(step) as status:
        yield status
    console.print(f"{step}: {time.monotonic() - start:.1f} s")


def _wait_for_interrupt(console: Console, aws: LocalAws) -> None:
    console.print("Kept running until Ctrl-C. To use it from another terminal:")
    for name, value in aws.environment().items():
        console.print(f"export {name}={value}", soft_wrap=True, highlight=False)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopping")
