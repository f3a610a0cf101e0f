"""Every row of the demo is as expected, on the app that ``cdk deploy`` deployed."""

import pytest

from demo.scenario import Scenario, Stage, play
from demo.scenarios import SCENARIOS

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, stage: Stage) -> None:
    row = play(scenario, stage)
    assert row.observed == scenario.expected, row.kms_calls


def test_scenario_names_are_unique() -> None:
    names = [(scenario.group, scenario.name) for scenario in SCENARIOS]
    assert len(set(names)) == len(SCENARIOS)
