"""The CDK command line from the checkout, on a machine that has no Node of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.scenario import Stage

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.end_to_end
SAME_CONTEXT = ["--context", "kms-patterns:platform=host", "--context", "kms-patterns:lifecycle=ephemeral"]


def cdk(stage: Stage, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JSII_")}
    environment |= stage.aws.cdk_environment() | {"PATH": str(tmp_path / "nothing-here"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "kms_patterns", "cdk", *arguments, "--output", str(tmp_path / "cdk.out")]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_diff_finds_the_deployed_app_unchanged(stage: Stage, tmp_path: Path) -> None:
    done = cdk(stage, tmp_path, "diff", "--fail", *SAME_CONTEXT)
    assert done.returncode == 0, done.stderr
    assert "Number of stacks with differences: 0" in done.stdout + done.stderr


def test_diff_finds_a_changed_app(stage: Stage, tmp_path: Path) -> None:
    done = cdk(stage, tmp_path, "diff", "--fail", *SAME_CONTEXT[:2])
    assert done.returncode == 1
    assert "DeletionPolicy" in done.stdout + done.stderr


def test_synth_writes_a_template_per_stack(stage: Stage, tmp_path: Path) -> None:
    done = cdk(stage, tmp_path, "synth", "--quiet", *SAME_CONTEXT)
    assert done.returncode == 0, done.stderr
    written = {path.name.removesuffix(".template.json") for path in (tmp_path / "cdk.out").glob("*.template.json")}
    assert written == set(stage.outputs)
