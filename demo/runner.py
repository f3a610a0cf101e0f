"""Start the embedded AWS, deploy the reference app by the real CDK command line, play every scenario, report, stop."""

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from demo import report
from demo.groups import SCENARIOS
from demo.scenario import Row, Scenario, Stage, play
from kms_patterns.local import LocalAws
from kms_patterns.toolchain import cdk_command, node_executable, toolchain_environment

_QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci"]
# Stacks that do not depend on each other, without change sets: most of a deployment is waiting.
_SEVERAL = ["--concurrency", "8", "--method", "direct"]
_CONTEXT = ["--context", "kms-patterns:platform=host", "--context", "kms-patterns:lifecycle=ephemeral"]


class CdkFailed(RuntimeError):
    """A CDK command ended with an error; the message holds what it printed."""


@dataclass(frozen=True)
class Deployment:
    """The app in ``project`` and the embedded AWS that it goes to."""

    project: Path
    build: Path
    aws: LocalAws

    def synthesize(self) -> Iterator[str]:
        """Run app.py into ``build``; yield what the CDK prints.

        Its validation by AWS's schemas takes longer than the synthesis; ``make test`` has it.
        """
        yield from self._cdk("synth", "--quiet", "--no-validation", "--output", str(self._assembly), *_CONTEXT)

    def bootstrap(self) -> Iterator[str]:
        """Bootstrap the account and Region; yield what the CDK prints."""
        yield from self._cdk("bootstrap", f"aws://{self.aws.account}/{self.aws.region}", "--app", str(self._assembly))

    def deploy(self, *stacks: str) -> Iterator[str]:
        """Deploy the named stacks, or every stack; yield what the CDK prints."""
        outputs = ["--outputs-file", str(self._outputs_file)]
        yield from self._cdk(
            "deploy",
            *(stacks or ["--all"]),
            "--require-approval",
            "never",
            "--app",
            str(self._assembly),
            "--progress",
            "events",
            *_SEVERAL,
            *outputs,
        )

    def outputs(self) -> Mapping[str, Mapping[str, str]]:
        """Return the outputs by stack, after ``deploy``."""
        outputs: Mapping[str, Mapping[str, str]] = json.loads(self._outputs_file.read_text())
        return outputs

    @property
    def _assembly(self) -> Path:
        return self.build / "cdk.out"

    @property
    def _outputs_file(self) -> Path:
        return self.aws.folder / "outputs.json"

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        environment |= toolchain_environment(cache=self.project / ".cache")
        # What jsii and Node leave behind when they are interrupted goes with the embedded AWS.
        return environment | self.aws.cdk_environment() | {"TMPDIR": str(self.aws.folder)}

    def _cdk(self, *words: str) -> Iterator[str]:
        command = [*cdk_command(self.project), *words, *_QUIET]
        printed: list[str] = []
        with subprocess.Popen(
            command,
            cwd=self.project,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                for line in process.stdout or ():
                    printed.append(line)
                    yield line.rstrip()
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise CdkFailed(f"cdk {words[0]} ended with status {process.returncode}:\n{''.join(printed)}")


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
                status.update(f"{step}: {escape(line.strip()[:100])}")


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
