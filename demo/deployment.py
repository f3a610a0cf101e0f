"""The reference app deployed by the real CDK command line into the embedded AWS."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kms_patterns.local import LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment

_QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci"]
# Stacks that do not depend on each other: most of a deployment is waiting for the events of the stack.
_SEVERAL = ["--concurrency", "8"]
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
        """Run app.py into ``build``; yield what the CDK prints."""
        yield from self._cdk("synth", "--quiet", "--output", str(self._assembly), *_CONTEXT)

    def bootstrap(self) -> Iterator[str]:
        """Bootstrap the account and Region; yield what the CDK prints."""
        yield from self._cdk("bootstrap", f"aws://{self.aws.account}/{self.aws.region}", "--app", str(self._assembly))

    def deploy(self) -> Iterator[str]:
        """Deploy every stack; yield what the CDK prints."""
        outputs = ["--outputs-file", str(self._outputs_file)]
        yield from self._cdk(
            "deploy",
            "--all",
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
