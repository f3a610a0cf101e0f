"""The CDK command line from the checkout, on a machine that has no Node of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.scenario import Stage

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.end_to_end
SAME_CONTEXT = ["--context", "kms-patterns:platform=host", "--context", "kms-patterns:lifecycle=ephemeral"]


def run(stage: Stage, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JSII_")}
    environment |= stage.aws.cdk_environment() | {"PATH": str(folder / "nothing-here"), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "kms_patterns", "cdk", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def assembly(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``cdk synth`` of the checkout writes."""
    folder = tmp_path_factory.mktemp("synth")
    done = run(stage, folder, "synth", "--quiet", *SAME_CONTEXT, "--output", str(folder / "cdk.out"))
    assert done.returncode == 0, done.stderr
    return folder / "cdk.out"


def test_synth_writes_a_template_per_stack(stage: Stage, assembly: Path) -> None:
    written = {path.name.removesuffix(".template.json") for path in assembly.glob("*.template.json")}
    assert written == set(stage.outputs)


def test_diff_finds_the_deployed_app_unchanged(stage: Stage, assembly: Path, tmp_path: Path) -> None:
    done = run(stage, tmp_path, "diff", "--fail", "--app", str(assembly))
    assert done.returncode == 0, done.stderr
    assert "Number of stacks with differences: 0" in done.stdout + done.stderr


def test_diff_finds_a_changed_app(stage: Stage, assembly: Path, tmp_path: Path) -> None:
    file = assembly / "KmsPatterns-S3.template.json"
    template = json.loads(file.read_text())
    for resource in template["Resources"].values():
        resource["DeletionPolicy"] = "Retain"
    file.write_text(json.dumps(template))
    done = run(stage, tmp_path, "diff", "--fail", "--app", str(assembly), "KmsPatterns-S3")
    assert done.returncode == 1
    assert "DeletionPolicy" in done.stdout + done.stderr
