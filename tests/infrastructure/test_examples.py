"""The example CDK apps are what the README shows: each is run as its user would run it."""

import json
from pathlib import Path

import pytest

from tests.synthesis import synthesize

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py") if "aws_cdk" in path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_example_synthesizes_in_another_folder(name: str, tmp_path: Path) -> None:
    synthesize(EXAMPLES / name, tmp_path / "cdk.out", folder=tmp_path, context={"aws:cdk:bundling-stacks": []})
    (template,) = (tmp_path / "cdk.out").glob("*.template.json")
    kinds = {item["Type"] for item in json.loads(template.read_text())["Resources"].values()}
    assert kinds & {"AWS::Lambda::Function", "AWS::S3::Bucket"}
    assert not [kind for kind in kinds if "Custom" in kind]


@pytest.mark.parametrize("name", NAMES)
def test_example_fits_on_a_screen(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 35
