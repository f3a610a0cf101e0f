"""Nothing in the reference app's policies is superfluous: taking out any single thing changes what a scenario gets."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.assembly import load_assembly
from kms_patterns.access.model import Policy, PrincipalKind
from kms_patterns.access.reader import Template, read_model
from kms_patterns.access.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent / "minimality"))

from removals import Removal, denies, removals, twins, with_lapse, without
from scenarios import ENVELOPE, S3, SECRETS, Scenario, of_stack

sys.path.pop(0)

STACKS = [S3, SECRETS, ENVELOPE]
FEWEST = {S3: 70, SECRETS: 50, ENVELOPE: 160}


class World:
    """One stack's template, asked for the outcome of scenarios."""

    def __init__(self, path: Path, running: Simulator) -> None:
        self._model = read_model(path)
        self._running = running
        template = Template(load_assembly(path))
        self._arns = {
            template.where(stack, name): template.arn(stack, name)
            for stack in template.stacks
            for name in stack.resources
        }
        self._policies = {item.id: item.policy for item in self._model.resources if item.policy}
        for _, _, properties in template.of_type("AWS::SQS::QueuePolicy"):
            document = properties["PolicyDocument"]
            for place, arn in self._arns.items():
                if json.dumps(arn) in json.dumps(document):
                    self._policies[place] = Policy(place, "resource", document)

    def outcomes(self, scenarios: list[Scenario]) -> list[bool]:
        table = [*self._policies.values(), *(policy for who in self._model.principals for policy in who.identity)]
        documents = [{"kind": policy.kind, "document": policy.document} for policy in table]
        assert self._running.ask({"policies": documents})["invalid"] == {}
        places = {id(policy): place for place, policy in enumerate(table)}
        answers = self._running.ask_all([self._batch(scenario, places) for scenario in scenarios])
        return [bool(answer["allowed"]) for answer in answers]

    def _batch(self, scenario: Scenario, places: Mapping[int, int]) -> dict[str, Any]:
        who = next((item for item in self._model.principals if item.id == scenario.who), None)
        place = scenario.on.removesuffix("/*")
        arn = self._arns.get(place, place)
        policy = self._policies.get(place)
        account = "888877776666"
        principal = who.arn.format(account=account) if who else scenario.who
        service = who is None or who.kind is PrincipalKind.SERVICE
        context = {"kms:CallerAccount": account, **scenario.context}
        context |= {} if service else {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account}
        return {
            "principal": principal,
            "resource": f"{arn}/object" if scenario.on.endswith("/*") else arn,
            "account": account,
            "identity": [places[id(item)] for item in who.identity] if who else [],
            "boundaries": None,
            "resourcePolicy": None if policy is None else places[id(policy)],
            "blockPublicAccess": True,
            "context": {key: self._filled(value) for key, value in context.items()},
            "known": [],
            "mode": "Strict",
            "each": "alone",
            "actions": [scenario.action],
        }

    def _filled(self, value: str) -> str:
        return re.sub(r"<([^>]+)>", lambda match: self._arns[match[1]], value)


@pytest.fixture
def try_without(assembly: Callable[[str], Path], running: Simulator, tmp_path: Path) -> Callable[..., list[bool]]:
    def outcomes(stack: str, *taken: Removal, lapse: bool = False) -> list[bool]:
        path = tmp_path / f"{stack}.template.json"
        template = without(template_of(assembly, stack), *taken)
        path.write_text(json.dumps(with_lapse(template) if lapse else template))
        return World(path, running).outcomes(of_stack(stack))

    return outcomes


def template_of(assembly: Callable[[str], Path], stack: str) -> dict[str, Any]:
    template: dict[str, Any] = json.loads((assembly("app") / f"{stack}.template.json").read_text())
    metadata = json.loads((assembly("app") / f"{stack}.metadata.json").read_text())
    for path, entries in metadata.items():
        for entry in entries:
            if entry["type"] == "aws:cdk:logicalId" and entry["data"] in template["Resources"]:
                resource = template["Resources"][entry["data"]]
                resource.setdefault("Metadata", {})["aws:cdk:path"] = path.removeprefix("/")
    return template


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
    template = template_of(assembly, stack)
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
    assert tried >= FEWEST[stack]


@pytest.mark.parametrize("stack", STACKS)
def test_superfluous_action_would_be_found(
    stack: str, assembly: Callable[[str], Path], running: Simulator, tmp_path: Path
) -> None:
    template = template_of(assembly, stack)
    policies = [item for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"]
    policies[0]["Properties"]["PolicyDocument"]["Statement"].append(
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    )
    path = tmp_path / f"{stack}.template.json"
    path.write_text(json.dumps(template))
    expected = [scenario.allowed for scenario in of_stack(stack)]
    assert World(path, running).outcomes(of_stack(stack)) == expected
