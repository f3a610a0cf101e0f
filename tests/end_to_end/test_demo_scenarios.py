"""Every row of the demo is as expected, on the app that ``cdk deploy`` deployed."""

from pathlib import Path

import pytest

from demo.scenario import Scenario, Stage, play
from demo.scenarios import SCENARIOS
from stacks import discovered

pytestmark = pytest.mark.end_to_end


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
