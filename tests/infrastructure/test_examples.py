"""The example CDK apps are what the README shows: each is run as its user would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py") if "aws_cdk" in path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_example_synthesizes_in_another_folder(name: str, tmp_path: Path) -> None:
    context = {"aws:cdk:bundling-stacks": []}
    roots = [str(EXAMPLES.parent / "constructs"), str(EXAMPLES.parent / "lambda")]
    environment = os.environ | {
        "CDK_OUTDIR": str(tmp_path / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "PYTHONPATH": os.pathsep.join(roots),
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (template,) = (tmp_path / "cdk.out").glob("*.template.json")
    kinds = {item["Type"] for item in json.loads(template.read_text())["Resources"].values()}
    assert kinds & {"AWS::Lambda::Function", "AWS::S3::Bucket"}
    assert not [kind for kind in kinds if "Custom" in kind]


@pytest.mark.parametrize("name", NAMES)
def test_example_fits_on_a_screen(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 35
