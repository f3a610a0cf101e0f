"""Nothing in the reference app's policies is superfluous: taking out any single thing changes what a scenario gets."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent))

from minimality.removals import removals
from minimality.report import PAGE, row, write
from minimality.scenarios import STACKS, fewest_removals, of_stack
from minimality.trial import NOTHING_CHANGES, Trial

sys.path.pop(0)

Template = dict[str, Any]
Try = Callable[[str, Template], Trial]


@pytest.fixture
def trial(running: Simulator, tmp_path: Path) -> Try:
    def of_template(stack: str, template: Template) -> Trial:
        path = tmp_path / f"{stack}.template.json"
        path.write_text(json.dumps(template))
        return Trial(template, of_stack(stack), path, running)

    return of_template


def test_every_stack_has_scenarios(assembly: Callable[[str], Path]) -> None:
    assert {path.name.split(".")[0] for path in assembly("app").glob("*.template.json")} == set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_every_scenario_has_its_outcome(stack: str, template_alone: Callable[[str], Template], trial: Try) -> None:
    outcomes = trial(stack, template_alone(stack)).outcomes()
    wrong = [
        scenario for scenario, outcome in zip(of_stack(stack), outcomes, strict=True) if outcome is not scenario.allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_can_be_removed_unnoticed(
    stack: str, template_alone: Callable[[str], Template], trial: Try, request: pytest.FixtureRequest
) -> None:
    template = template_alone(stack)
    found = trial(stack, template).how(removals(template))
    superfluous = [str(removal) for removal, how in found.items() if how == NOTHING_CHANGES]
    assert superfluous == [], "\n".join(superfluous)
    assert len(found) >= fewest_removals(stack)
    line = row(stack, found)
    if request.config.getoption("update_snapshots"):
        write(stack, line)
    assert line in PAGE.read_text().splitlines(), "docs/access/minimality.md is not as written: make snapshots"


EXCESS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "statement": lambda found: found.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}),
    "action": lambda found: found[0].update(Action=["kms:ListGrants", *_as_list(found[0]["Action"])]),
    "condition": lambda found: found[0].setdefault("Condition", {}).update(Null={"aws:PrincipalArn": "false"}),
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("kind", EXCESS)
@pytest.mark.parametrize("stack", STACKS)
def test_superfluous_thing_is_found(
    stack: str, kind: str, template_alone: Callable[[str], Template], trial: Try
) -> None:
    template = template_alone(stack)
    policies = {name: item for name, item in template["Resources"].items() if item["Type"] == "AWS::IAM::Policy"}
    name, policy = next(iter(policies.items()))
    EXCESS[kind](policy["Properties"]["PolicyDocument"]["Statement"])
    concerned = [removal for removal in removals(template) if removal.logical_id == name]
    found = trial(stack, template).how(concerned)
    superfluous = [removal for removal, how in found.items() if how == NOTHING_CHANGES]
    assert [removal.kind for removal in superfluous] == [kind]
