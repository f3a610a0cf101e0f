"""Start the embedded AWS, deploy the reference app into it, play every scenario, report, stop."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.status import Status

from demo import report
from demo.deployment import Deployment
from demo.groups import SCENARIOS
from demo.scenario import Row, Scenario, Stage, play
from kms_patterns.local import LocalAws
from kms_patterns.toolchain import node_executable

WIDE = 120
"""Characters from which on the report's table has all its columns."""

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


class UnknownGroup(ValueError):
    """No group of the demo has the name; the message lists those that there are."""


def chosen(names: Sequence[str]) -> Sequence[Scenario]:
    """Return the scenarios whose group's title or module has one of ``names`` in it; all of them without names.

    The groups of a module are played together: the later ones use what the earlier ones left.

    Raises:
        UnknownGroup: A name is in none.
    """
    picked: set[str] = set()
    for name in names:
        found = {_module(each) for each in SCENARIOS if name.lower() in f"{each.group} {_module(each)}".lower()}
        if not found:
            there = ", ".join(sorted({_module(each) for each in SCENARIOS}))
            raise UnknownGroup(f"no group has {name!r} in its name; the groups are: {there}")
        picked |= found
    return [scenario for scenario in SCENARIOS if not names or _module(scenario) in picked]


def _module(scenario: Scenario) -> str:
    return scenario.act.__module__.rsplit(".", 1)[-1]


def run(project: Path, file: Path, console: Console, scenarios: Sequence[Scenario], *, keep: bool = False) -> bool:
    """Run the demo.

    Args:
        project: The checkout with app.py and node_modules.
        file: The input, at least ``SMALLEST_INPUT`` bytes.
        console: Where progress and the report go.
        scenarios: What is played.
        keep: Afterwards wait for Ctrl-C with everything still running.

    Returns:
        Whether every row was as expected.
    """
    with deployed_stage(project, file, console) as stage:
        rows = _play_all(console, stage, scenarios)
        page = report.write(rows, project / "build" / "demo")
        if keep:
            _wait_for_interrupt(console, stage.aws)
    failed = [row for row in rows if not row.as_expected]
    if failed:
        console.print(report.table("Not as expected", failed, narrow=_narrow(console)))
    console.print(report.count(rows), style="red" if failed else "green")
    console.print(f"Each call and the statement that decided it: {page}", soft_wrap=True)
    console.print("The same app in a real account: make deploy, with the account's credentials in the environment")
    return not failed


def _play_all(console: Console, stage: Stage, scenarios: Sequence[Scenario]) -> list[Row]:
    rows: list[Row] = []
    for group, members in groupby(scenarios, key=lambda scenario: scenario.group):
        played = []
        for scenario in members:
            with console.status(f"{scenario.who} {scenario.what}"):
                played.append(play(scenario, stage))
        console.print(report.table(f"{group}: {report.count(played)}", played, narrow=_narrow(console)))
        rows += played
    return rows


def _narrow(console: Console) -> bool:
    return console.width < WIDE


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
