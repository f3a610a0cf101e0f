"""The reference app that ``cdk deploy`` deployed: no drift, the demo's rows as expected, and objects in bad weather."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from demo.groups import SCENARIOS
from demo.scenario import Scenario, Stage, play
from kms_patterns.cli.main import main
from stacks import discovered
from tests.soak.plant import Plant
from tests.soak.run import lines, soak

pytestmark = pytest.mark.end_to_end
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


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, stage: Stage) -> None:
    row = play(scenario, stage)
    assert row.observed == scenario.expected, row.kms_calls


def test_scenario_names_are_unique() -> None:
    names = [(scenario.group, scenario.name) for scenario in SCENARIOS]
    assert len(set(names)) == len(SCENARIOS)


@pytest.mark.parametrize("stack", [stack.NAME.removeprefix("KmsPatterns-") for stack in discovered()])
def test_every_stack_has_scenarios_and_one_of_them_is_refused(stack: str) -> None:
    modules = {scenario.act.__code__.co_filename for scenario in SCENARIOS}
    of_stack = {module for module in modules if f'"{stack}"' in Path(module).read_text()}
    expected = [scenario.expected for scenario in SCENARIOS if scenario.act.__code__.co_filename in of_stack]
    assert any(text.startswith("refused") for text in expected)
    assert not all(text.startswith("refused") for text in expected)


SEED = 9


def test_nothing_is_lost_corrupted_doubled_or_orphaned(stage: Stage) -> None:
    tally = soak(Plant(stage), objects=30, chunk=30, seed=SEED)
    print("\n".join(lines(tally)))
    assert tally.defects == {}
    assert {"throttle", "reset", "lost answer", "hanging part", "refused part"} <= set(tally.injected)
    assert tally.retries > tally.objects / 4
    assert sum(tally.failures.values()) < tally.objects / 2
