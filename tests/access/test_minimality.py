"""Nothing in the reference app's policies is superfluous: taking out any single thing changes what a scenario gets."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kms_patterns.access.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent))

from minimality.removals import Removal, denies, removals, twins, with_lapse, without
from minimality.scenarios import STACKS, fewest_removals, of_stack
from minimality.world import World, template_of

sys.path.pop(0)


@pytest.fixture
def try_without(assembly: Callable[[str], Path], running: Simulator, tmp_path: Path) -> Callable[..., list[bool]]:
    def outcomes(stack: str, *taken: Removal, lapse: bool = False) -> list[bool]:
        path = tmp_path / f"{stack}.template.json"
        template = without(template_of(assembly("app"), stack), *taken)
        path.write_text(json.dumps(with_lapse(template) if lapse else template))
        return World(path, running).outcomes(of_stack(stack))

    return outcomes


def test_every_stack_has_scenarios(assembly: Callable[[str], Path]) -> None:
    assert {path.name.split(".")[0] for path in assembly("app").glob("*.template.json")} == set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_every_scenario_has_its_outcome(stack: str, try_without: Callable[..., list[bool]]) -> None:
    wrong = [
        scenario
        for scenario, outcome in zip(of_stack(stack), try_without(stack), strict=True)
        if outcome is not scenario.allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_can_be_removed_unnoticed(
    stack: str, assembly: Callable[[str], Path], try_without: Callable[..., list[bool]]
) -> None:
    template = template_of(assembly("app"), stack)
    expected = [scenario.allowed for scenario in of_stack(stack)]
    tried, superfluous = 0, []
    for removal in removals(template):
        tried += 1
        unnoticed = try_without(stack, removal) == expected
        # A condition stands in the role's policy and in the key policy, so that either can be weakened alone.
        others = twins(template, removal) if unnoticed else []
        if unnoticed and others:
            unnoticed = try_without(stack, removal, *others) == expected
        # A denial in a key policy may guard against an allowance that nobody has, yet: it is judged where they have it.
        if unnoticed and denies(template, removal):
            unnoticed = try_without(stack, removal, lapse=True) == try_without(stack, lapse=True)
        if unnoticed:
            superfluous.append(str(removal))
    assert superfluous == [], "\n".join(superfluous)
    assert tried >= fewest_removals(stack)


@pytest.mark.parametrize("stack", STACKS)
def test_superfluous_action_would_be_found(
    stack: str, assembly: Callable[[str], Path], running: Simulator, tmp_path: Path
) -> None:
    template = template_of(assembly("app"), stack)
    policies = [item for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"]
    policies[0]["Properties"]["PolicyDocument"]["Statement"].append(
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    )
    path = tmp_path / f"{stack}.template.json"
    path.write_text(json.dumps(template))
    expected = [scenario.allowed for scenario in of_stack(stack)]
    assert World(path, running).outcomes(of_stack(stack)) == expected
