"""One template as a world in which scenarios are played, by strict evaluation of single requests."""

import json
import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minimality.scenario import Scenario

from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import Policy, PrincipalKind
from kms_patterns.access.read.assembly import load_assembly
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.read.template import Template

Variant = tuple[str, dict[str, Any]]
NOTHING: Mapping[str, int] = {}


class World:
    """One stack's template, asked for the outcome of scenarios; each policy can be replaced for a scenario."""

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
        attached = [*template.of_type("AWS::SQS::QueuePolicy"), *template.of_type("AWS::SNS::TopicPolicy")]
        for stack, name, properties in attached:
            policy = Policy(name, "resource", properties["PolicyDocument"], (stack.id, name))
            named = {arn for item in policy.document["Statement"] for arn in _texts(item["Resource"])}
            self._policies |= {place: policy for place, arn in self._arns.items() if arn in named}
        identity = [policy for who in self._model.principals for policy in who.identity]
        self._table = list({id(policy): policy for policy in [*self._policies.values(), *identity]}.values())
        self._places = {id(policy): place for place, policy in enumerate(self._table)}
        # A role holds its trust policy and perhaps its own policies: the former is what can be taken from it here.
        held = sorted((policy for policy in self._table if policy.origin), key=lambda policy: policy.kind)
        self.policies = {policy.origin[1]: policy for policy in held if policy.origin}

    def load(self, variants: Sequence[Variant]) -> None:
        """Give the simulator the template's policies and ``variants`` of them: a resource's logical id, a document."""
        table = [*((policy.kind, policy.document) for policy in self._table)]
        table += [(self.policies[name].kind, document) for name, document in variants]
        documents = [{"kind": kind, "document": document} for kind, document in table]
        assert self._running.ask({"policies": documents})["invalid"] == {}

    def outcome(self, scenario: Scenario, replaced: Mapping[str, int] = NOTHING) -> bool:
        """Return whether the request is allowed, if the policies of some resources are replaced by loaded variants."""
        first = len(self._table)
        places = {id(self.policies[name]): first + place for name, place in replaced.items()}
        return bool(self._running.ask(self._batch(scenario, ChainMap(places, self._places)))["allowed"])

    def outcomes(self, scenarios: Sequence[Scenario]) -> list[bool]:
        """Return the outcome of each scenario under the template as it is."""
        self.load([])
        return [self.outcome(scenario) for scenario in scenarios]

    def takes_part(self, name: str, scenario: Scenario) -> bool:
        """Return whether the policy of resource ``name`` is asked in ``scenario``."""
        batch = self._batch(scenario, self._places)
        return self._places[id(self.policies[name])] in {*batch["identity"], batch["resourcePolicy"]}

    def _batch(self, scenario: Scenario, places: Mapping[int, int]) -> dict[str, Any]:
        who = next((item for item in self._model.principals if item.id == scenario.who), None)
        place, objects, name = scenario.on.partition("/*")
        arn = self._arns.get(place, place)
        policy = self._policies.get(place)
        account = "888877776666"
        principal = who.arn.replace("{partition}", "aws").replace("{account}", account) if who else scenario.who
        service = who is None or who.kind is PrincipalKind.SERVICE
        context = {"kms:CallerAccount": account, **scenario.context}
        context |= {} if service else {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account}
        # A scenario may name a role that no template holds, such as the one that deploys.
        context |= scenario.context
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

    def _filled(self, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            return value
        return re.sub(r"<([^>]+)>", lambda match: self._arns[match[1]], value)


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


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
