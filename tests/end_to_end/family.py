"""The app with every type of key, deployed by the CDK command line to an embedded AWS."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parent / "apps" / "key_family.py"
QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci"]
HOME, AWAY = "us-east-1", "eu-west-1"
EC2 = "ec2.amazonaws.com"


class Family:
    """The deployed keys, and sessions of the roles."""

    def __init__(self, aws: LocalAws, outputs: dict[str, str]) -> None:
        self.aws, self.outputs = aws, outputs

    def session(self, role: str) -> AwsSession:
        return self.aws.assume(self.outputs[role], EC2)

    def kms(self, role: str, region: str = HOME) -> Any:
        return self.session(role).client("kms", region_name=region)

    def key(self, name: str) -> str:
        return self.outputs[f"{name}Key"]

    def made(self, call: str, key: str, **request: Any) -> Any:
        """What the root of the account, whom no policy binds here, makes for the operations that read it."""
        return getattr(self.aws.client("kms"), call)(KeyId=self.key(key), **request)


@contextmanager
def deployed(folder: Path) -> Iterator[Family]:
    """Deploy the app in both Regions and give its keys and roles."""
    with LocalAws.start(region=HOME) as aws:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        environment |= toolchain_environment(cache=ROOT / ".cache")
        environment |= aws.cdk_environment() | {"PYTHONPATH": str(ROOT / "constructs")}
        outputs = folder / "outputs.json"
        app = ["--app", f"{sys.executable} {APP}", "--output", str(folder / "out")]
        for arguments in (
            ["bootstrap", *(f"aws://{aws.account}/{region}" for region in (HOME, AWAY))],
            ["deploy", "--all", *app, "--outputs-file", str(outputs), "--require-approval", "never"],
        ):
            done = subprocess.run(
                [*cdk_command(ROOT), *arguments, *QUIET],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        stacks = json.loads(outputs.read_text(encoding="utf-8"))
        yield Family(aws, {name: value for stack in stacks.values() for name, value in stack.items()})
