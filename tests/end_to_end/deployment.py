"""Assemblies that tests synthesized, deployed by the CDK command line to an embedded AWS that is bootstrapped."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kms_patterns.local import LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment

ROOT = Path(__file__).parents[2]
QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci"]


def run_cdk(aws: LocalAws, folder: Path, *words: str, caller: Mapping[str, str] | None = None) -> None:
    """Run the CDK command line with the administrator of ``aws``, or with other credentials in variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    environment |= toolchain_environment(cache=ROOT / ".cache")
    environment |= aws.cdk_environment() | (caller or {})
    command = [*cdk_command(ROOT), *words, *QUIET]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def deployed(aws: LocalAws, assembly: Path, caller: Mapping[str, str] | None = None) -> Mapping[str, dict[str, str]]:
    """Deploy every stack of an assembly; return the outputs by stack."""
    outputs = assembly.with_suffix(".outputs.json")
    where = ["--app", str(assembly), "--outputs-file", str(outputs)]
    run_cdk(aws, assembly.parent, "deploy", "--all", "--require-approval", "never", *where, caller=caller)
    found: Mapping[str, dict[str, str]] = json.loads(outputs.read_text(encoding="utf-8"))
    return found
