"""The reference app as deployed, against the assembly that it was deployed from."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from demo.scenario import Stage
from kms_patterns.cli.main import main

ROOT = Path(__file__).parents[2]
ASSEMBLY = ROOT / "build" / "demo" / "cdk.out"
NOT_OF_THE_ASSEMBLY = ("CDKToolkit/", "account ")


def test_deployment_adds_its_own_roles_and_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stage.aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KMS_PATTERNS_NODE_MODULES", str(ROOT / "node_modules"))
    words = ["access", "diff", str(ASSEMBLY), "live", "--format", "json"]
    found = json.loads(CliRunner().invoke(main, words, catch_exceptions=False).output)
    assert [step for step in found["steps"] if not step["principal"].startswith("CDKToolkit/")] == []
    assert (found["newResources"], found["removedResources"], found["otherKeys"]) == ([], [], [])
    assert [text for text in found["newlyUnresolved"] if not text.startswith(NOT_OF_THE_ASSEMBLY)] == []
    texts = [text for listed in found["besides"].values() for text in listed]
    assert [text for text in texts if not text.startswith("+ CDKToolkit/")] == []
