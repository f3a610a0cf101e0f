"""Evaluates a model: who can do what, under which condition, decided by the simulator."""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kms_patterns.access.evaluate.access_conditions import Condition, any_of, from_simulator
from kms_patterns.access.evaluate.action_catalogue import Action, Catalogue, catalogue
from kms_patterns.access.evaluate.requests import Pairs, Request, applies, batch, requests
from kms_patterns.access.evaluate.simulator import SimulationFailed, Simulator
from kms_patterns.access.model import Model, Policy, Principal, Resource, Unresolved
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.unknowns.symbols import TRUE, UNKNOWN, shown

StatementPlace = tuple[int, int]
"""Number of the policy, and of the statement in the policy."""


@dataclass(frozen=True)
class Finding:
    """One action that a principal can reach on a resource, or on a part of its objects."""

    request: Request
    action: Action
    condition: Condition
    statements: tuple[StatementPlace, ...]


@dataclass(frozen=True)
class Evaluation:
    """All findings, with what is needed to explain them."""

    findings: Sequence[Finding]
    policies: Mapping[int, Policy]
    catalogue: Catalogue
    refused: Sequence[Unresolved]
    requests: Sequence[Request]

    @property
    def count(self) -> int:
        """How many decisions the simulator took."""
        return sum(len(request.actions) for request in self.requests)


def evaluate(model: Model, simulator: Simulator, *, each: str = "together", every_pair: bool = False) -> Evaluation:
    """Ask the simulator about every principal, resource and action of ``model``.

    Args:
        model: What to evaluate.
        simulator: A running simulator.
        each: How actions are decided, see ``requests.batch``.
        every_pair: Whether to ask about principals and resources also of which no policy allows anything.

    Raises:
        SimulationFailed: It refused a request, or ignored a part of one.
    """
    groups = _policies(model)
    numbers, invalid = simulator.load([group[0] for group in groups])
    places = {id(policy): number for number, group in zip(numbers, groups, strict=True) for policy in group}
    policies = {number: group[0] for number, group in zip(numbers, groups, strict=True)}
    if invalid:
        refused = [_refused(policies[number], errors) for number, errors in sorted(invalid.items())]
        supposed = _supposed(model, {place for place, number in places.items() if number in invalid})
        found = evaluate(supposed, simulator, each=each, every_pair=every_pair)
        return replace(found, refused=refused)
    actions = catalogue(simulator)
    asked = [
        request
        for principal, resource in (_every_pair(model) if every_pair else _pairs(model))
        for request in requests(principal, resource, actions[resource.kind])
    ]
    answers = simulator.answers(batch(request, places, each) for request in asked)
    rename = Names(model.names)
    findings = [
        finding for request, answer in zip(asked, answers, strict=True) for finding in _read(request, answer, rename)
    ]
    return Evaluation(findings, policies, actions, [], asked)


def _pairs(model: Model) -> Iterator[tuple[Principal, Resource]]:
    pairs = Pairs(model.resources)
    return ((principal, resource) for principal in model.principals for resource in pairs.of(principal))


def _every_pair(model: Model) -> Iterator[tuple[Principal, Resource]]:
    for resource in model.resources:
        for principal in model.principals:
            if applies(principal, resource):
                yield principal, resource


def _policies(model: Model) -> list[list[Policy]]:
    """Group equal policies: each is sent, and parsed, once."""
    groups: dict[str, list[Policy]] = {}
    for principal in model.principals:
        for policy in [*principal.identity, *(principal.boundaries or ())]:
            groups.setdefault(f"{policy.where} {json.dumps(policy.document)}", []).append(policy)
    for resource in model.resources:
        if resource.policy:
            groups.setdefault(f"{resource.policy.where} {resource.arn}", []).append(resource.policy)
    return list(groups.values())


def _refused(policy: Policy, errors: Iterable[Mapping[str, str]]) -> Unresolved:
    messages = sorted({f"{error['path']}: {error['message']}" for error in errors})
    return Unresolved(policy.where, "a policy that AWS refuses", "; ".join(messages))


def _supposed(model: Model, refused: Container[int]) -> Model:
    """Return a model in which a policy that the simulator refuses may allow anything: AWS may accept it after all."""

    def policies(given: Iterable[Policy]) -> list[Policy]:
        return [_anything(policy) if id(policy) in refused else policy for policy in given]

    principals = [
        replace(
            who,
            identity=policies(who.identity),
            boundaries=None if who.boundaries is None else policies(who.boundaries),
        )
        for who in model.principals
    ]
    resources = [
        replace(what, policy=_anything(what.policy), block_public_access=False)
        if what.policy and id(what.policy) in refused
        else what
        for what in model.resources
    ]
    return replace(model, principals=principals, resources=resources)


def _anything(policy: Policy) -> Policy:
    given = {"StringEquals": {f"{UNKNOWN}AWS accepts {policy.where}": TRUE}}
    everyone = {"Principal": "*"} if policy.kind == "resource" else {}
    statement = {"Effect": "Allow", **everyone, "Action": "*", "Resource": "*", "Condition": given}
    first = (policy.sources or [(1, statement)])[0]
    return replace(policy, document={"Version": "2012-10-17", "Statement": [statement]}, sources=[first])


def _read(request: Request, answer: Mapping[str, Any], rename: "Names") -> Iterator[Finding]:
    if answer["errors"] or answer["ignored"]:
        raise SimulationFailed(
            f"{request.principal.label} on {request.resource.id}: the simulator refused {answer['errors']}"
            f" and ignored {answer['ignored']}"
        )
    known: dict[int, tuple[Condition, tuple[StatementPlace, ...]]] = {}
    for action in request.actions:
        results = answer["allowed"].get(action.name, [])
        if results and id(results) not in known:
            condition = any_of(from_simulator(result["condition"], rename) for result in results)
            places = {(place[0], place[1]) for result in results for place in _places(result)}
            known[id(results)] = condition, tuple(sorted(places))
        if results:
            yield Finding(request, action, *known[id(results)])


def _places(result: Mapping[str, Any]) -> Iterator[Sequence[int]]:
    yield from result["statements"]
    yield from _sources(result["condition"])


def _sources(expression: Mapping[str, Any] | None) -> Iterator[Sequence[int]]:
    for source in (expression or {}).get("sources", ()):
        yield int(source["policyIdentifier"]), source["statementIndex"]
    for item in (expression or {}).get("conditions", ()):
        yield from _sources(item)


_WORDS = r"[\w-]+(?:\.[\w-]+)*"


class Names:
    """Replaces made-up names, accounts and regions by what they stand for."""

    def __init__(self, names: Mapping[str, str]) -> None:
        marked = {name: path if path.startswith("<") else f"<{path}>" for name, path in names.items()}
        self._names = {**marked, UNKNOWN_ACCOUNT: "<account>", UNKNOWN_REGION: "<region>"}
        # Words with dots between them are looked up, so that the pattern does not grow with stacks and keys.
        others = (name for name in self._names if not re.fullmatch(_WORDS, name, re.ASCII))
        longest = [*sorted(map(re.escape, others), key=len, reverse=True), _WORDS]
        self._pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(longest)})(?![\w-])", re.ASCII)

    def __call__(self, text: str) -> str:
        """Return ``text`` with readable names; a name inside a longer word is left as it is."""
        return shown(self._pattern.sub(lambda match: self._longest(match[0]), text))

    def _longest(self, words: str) -> str:
        found: list[str] = []
        parts = words.split(".")
        while parts:
            ends = (end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in self._names)
            end = next(ends, 1)
            head = ".".join(parts[:end])
            found.append(self._names.get(head, head))
            parts = parts[end:]
        return ".".join(found)
