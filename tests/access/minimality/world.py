"""One template as a world in which scenarios are played, by strict evaluation of single requests."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minimality.scenario import Scenario

from kms_patterns.access.assembly import load_assembly
from kms_patterns.access.model import Policy, PrincipalKind
from kms_patterns.access.reader import Template, read_model
from kms_patterns.access.simulator import Simulator


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
        place, objects, name = scenario.on.partition("/*")
        arn = self._arns.get(place, place)
        policy = self._policies.get(place)
        account = "888877776666"
        principal = who.arn.format(account=account) if who else scenario.who
        service = who is None or who.kind is PrincipalKind.SERVICE
        context = {"kms:CallerAccount": account, **scenario.context}
        context |= {} if service else {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account}
        return {
            "principal": principal,
            "resource": f"{arn}/{name or 'object'}" if objects else arn,
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


def template_of(assembly: Path, stack: str) -> dict[str, Any]:
    """Return a stack's template, each resource marked with its construct path, which a single file would lack."""
    template: dict[str, Any] = json.loads((assembly / f"{stack}.template.json").read_text())
    metadata = json.loads((assembly / f"{stack}.metadata.json").read_text())
    for path, entries in metadata.items():
        for entry in entries:
            if entry["type"] == "aws:cdk:logicalId" and entry["data"] in template["Resources"]:
                resource = template["Resources"][entry["data"]]
                resource.setdefault("Metadata", {})["aws:cdk:path"] = path.removeprefix("/")
    return template
