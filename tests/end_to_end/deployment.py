"""Assemblies deployed by the CDK command line to an embedded AWS that is bootstrapped, among them every type of key."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment
from tests.contract.templates import faults
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci"]
APP = Path(__file__).parent / "apps" / "key_family.py"
HOME, AWAY = "us-east-1", "eu-west-1"
EC2 = "ec2.amazonaws.com"


def run_cdk(aws: LocalAws, folder: Path, *words: str, caller: Mapping[str, str] | None = None) -> None:
    """Run the CDK command line with the administrator of ``aws``, or with other credentials in variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    environment |= toolchain_environment(cache=ROOT / ".cache")
    environment |= aws.cdk_environment() | (caller or {})
    command = [*cdk_command(ROOT), *words, *QUIET]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def deployed(aws: LocalAws, assembly: Path, caller: Mapping[str, str] | None = None) -> Mapping[str, dict[str, str]]:
    """Deploy every stack of an assembly in which AWS would refuse nothing; return the outputs by stack."""
    assert faults(assembly) == []
    outputs = assembly.with_suffix(".outputs.json")
    where = ["--app", str(assembly), "--outputs-file", str(outputs)]
    how = ["--all", "--concurrency", "8", "--require-approval", "never"]
    run_cdk(aws, assembly.parent, "deploy", *how, *where, caller=caller)
    found: Mapping[str, dict[str, str]] = json.loads(outputs.read_text(encoding="utf-8"))
    return found


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


def deployed_family(aws: LocalAws, folder: Path) -> Family:
    """Deploy the app; ``aws`` is bootstrapped in its own Region."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_DEFAULT_ACCOUNT", aws.account)
        assembly = synthesize(APP, folder / "out", folder=folder, context={})
    run_cdk(aws, folder, "bootstrap", f"aws://{aws.account}/{AWAY}")
    stacks = deployed(aws, assembly)
    return Family(aws, {name: value for stack in stacks.values() for name, value in stack.items()})
