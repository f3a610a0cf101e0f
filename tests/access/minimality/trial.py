"""One removal at a time, and what every scenario of the stack says of it; the scenarios are discovered in patterns."""

import importlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from kms_patterns.access.evaluate.simulator import Simulator
from tests.access.minimality.world import Access, Scenario, Variant, World


def _modules() -> dict[str, ModuleType]:
    names = sorted(path.stem for path in (Path(__file__).parent / "patterns").glob("*.py"))
    modules = [importlib.import_module(f"tests.access.minimality.patterns.{name}") for name in names]
    return {module.STACK: module for module in modules}


_PATTERNS = _modules()
STACKS = list(_PATTERNS)


def of_stack(stack: str) -> list[Scenario]:
    """Return the scenarios of one stack of the reference app."""
    return list(_PATTERNS[stack].scenarios())


def fewest_removals(stack: str) -> int:
    """Return how many single removals there are at least."""
    return int(_PATTERNS[stack].FEWEST_REMOVALS)


def uses_deployed(stack: str) -> int:
    """Return how many direct uses of a key there are that a removal refuses in the embedded AWS."""
    return int(_PATTERNS[stack].USES_DEPLOYED)


def access_of(stack: str) -> Access:
    """Return what each role of the stack may do with each key; roles that are not named may use no key."""
    found: Access = _PATTERNS[stack].ACCESS
    return found


Template = dict[str, Any]
Statement = dict[str, Any]

_DOCUMENTS = {
    "AWS::IAM::Policy": "PolicyDocument",
    "AWS::IAM::Role": "AssumeRolePolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}


@dataclass(frozen=True)
class Removal:
    """One thing to take out.

    Attributes:
        logical_id: The resource that holds the policy.
        statement: The statement's place.
        kind: ``statement``, ``action``, ``resource`` or ``condition``.
        what: The action's name, the resource's place or the condition's operator and key.
    """

    logical_id: str
    statement: int
    kind: str
    what: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.logical_id, f"statement {self.statement + 1}:", self.kind, *self.what])


def removals(template: Template) -> Iterator[Removal]:
    """Yield everything that can be removed singly."""
    for logical_id, place, statement in statements(template):
        yield Removal(logical_id, place, "statement")
        for member, kind in (("Action", "action"), ("Resource", "resource")):
            values = statement.get(member)
            if isinstance(values, list) and len(values) > 1:
                for number, value in enumerate(values):
                    yield Removal(logical_id, place, kind, (value if kind == "action" else str(number),))
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                yield Removal(logical_id, place, "condition", (operator, key))


def reduced(document: dict[str, Any], taken: Iterable[Removal]) -> dict[str, Any]:
    """Return a copy of a policy document without ``taken``, all of which are about it."""
    copy = deepcopy(document)
    for removal in sorted(taken, key=lambda item: -item.statement):
        _take(copy, removal)
        if not copy["Statement"]:
            # An empty policy is not valid; a statement about nothing says as much.
            original = document["Statement"][removal.statement]
            copy["Statement"] = [{**original, "Effect": "Deny", "Action": "ec2:RunInstances"}]
    return copy


def with_lapse(document: dict[str, Any]) -> dict[str, Any]:
    """Return a key policy in which everybody may do everything: the lapse that denials guard against."""
    lapse = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    return {**document, "Statement": [*document["Statement"], lapse]}


def keys(template: Template) -> list[str]:
    """Return the logical ids of the keys."""
    return [name for name, resource in template["Resources"].items() if resource["Type"] == "AWS::KMS::Key"]


def denies(template: Template, removal: Removal) -> bool:
    """Return whether the removal is about a statement that denies."""
    return bool(_original(template, removal)["Effect"] == "Deny")


def twins(template: Template, removal: Removal) -> list[Removal]:
    """Return where the same condition stands on the other side: in the role's policy, or in the key policy."""
    if removal.kind != "condition":
        return []
    statement = _original(template, removal)
    role, key = _role_and_key(template, removal, statement)
    return [
        Removal(logical_id, place, "condition", removal.what)
        for logical_id, place, other in statements(template)
        if logical_id != removal.logical_id
        and _has(other, removal.what)
        and _role_and_key(template, Removal(logical_id, place, "statement"), other) == (role, key)
    ]


def statements(template: Template) -> Iterator[tuple[str, int, Statement]]:
    """Yield logical id, place and statement of every policy."""
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] in _DOCUMENTS:
            document = resource["Properties"].get(_DOCUMENTS[resource["Type"]], {"Statement": []})
            for place, statement in enumerate(document["Statement"]):
                yield logical_id, place, statement


def _take(document: dict[str, Any], removal: Removal) -> None:
    statement = document["Statement"][removal.statement]
    if removal.kind == "statement":
        del document["Statement"][removal.statement]
    elif removal.kind == "action":
        statement["Action"].remove(removal.what[0])
    elif removal.kind == "resource":
        del statement["Resource"][int(removal.what[0])]
    else:
        operator, key = removal.what
        del statement["Condition"][operator][key]
        statement["Condition"] = {name: keys for name, keys in statement["Condition"].items() if keys}


def _original(template: Template, removal: Removal) -> Statement:
    return next(
        statement
        for logical_id, place, statement in statements(template)
        if (logical_id, place) == (removal.logical_id, removal.statement)
    )


def _has(statement: Statement, what: tuple[str, ...]) -> bool:
    return what[1] in statement.get("Condition", {}).get(what[0], {})


def _role_and_key(template: Template, removal: Removal, statement: Statement) -> tuple[str, str]:
    """Name the role and the key that a grant's statement is about, whichever policy it stands in."""
    resource = template["Resources"][removal.logical_id]
    if resource["Type"] == "AWS::KMS::Key":
        role = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:PrincipalArn", {})
        return json.dumps(role.get("Fn::GetAtt", [""])[0]), removal.logical_id
    if resource["Type"] == "AWS::IAM::Policy":
        target = statement["Resource"]
        key = target.get("Fn::GetAtt", [""])[0] if isinstance(target, dict) else ""
        return json.dumps(resource["Properties"]["Roles"][0]["Ref"]), key
    return "", removal.logical_id


ALONE, WITH_TWIN = "alone", "with its twin in the other policy"
UNDER_LAPSE, NOTHING_CHANGES = "under the lapse it guards against", "nothing changes"
HOW = (ALONE, WITH_TWIN, UNDER_LAPSE, NOTHING_CHANGES)

Taken = tuple[str, frozenset[Removal], bool]
"""A resource, what is taken out of its policy, and whether there is a lapse in it."""


class Trial:
    """One stack with its scenarios. Only what a removal takes part in is evaluated again, all in one simulator."""

    def __init__(self, template: dict[str, Any], scenarios: list[Scenario], path: Path, running: Simulator) -> None:
        self._template, self._scenarios = template, scenarios
        self._world = World(path, running)
        self._keys = keys(template)
        self._variants: dict[Taken, int] = {}

    def outcomes(self) -> list[bool]:
        """Return what each scenario gets under the template as it is."""
        return self._world.outcomes(self._scenarios)

    def how(self, removals: Iterable[Removal]) -> dict[Removal, str]:
        """Return how each removal is noticed."""
        tried = list(removals)
        self._load(tried)
        return {removal: self._how(removal) for removal in tried}

    def _how(self, removal: Removal) -> str:
        if self._noticed([removal], lapse=False):
            return ALONE
        # A condition stands in the role's policy and in the key policy, so that either can be weakened alone.
        others = twins(self._template, removal)
        if others and self._noticed([removal, *others], lapse=False):
            return WITH_TWIN
        # A denial may guard against an allowance that nobody has, yet: it is judged where everybody has it.
        if denies(self._template, removal) and self._noticed([removal], lapse=True):
            return UNDER_LAPSE
        return NOTHING_CHANGES

    def _noticed(self, taken: list[Removal], *, lapse: bool) -> bool:
        groups = _by_policy(taken)
        lapsed = self._places({key: frozenset() for key in self._keys}, lapse=True) if lapse else {}
        places = {**lapsed, **self._places(groups, lapse=lapse)}
        before = self._under_lapse if lapse else [scenario.allowed for scenario in self._scenarios]
        return any(
            self._world.outcome(scenario, places) is not expected
            for scenario, expected, concerned in zip(self._scenarios, before, self._concerned, strict=True)
            if not concerned.isdisjoint(groups)
        )

    @cached_property
    def _under_lapse(self) -> list[bool]:
        places = self._places({key: frozenset() for key in self._keys}, lapse=True)
        return [self._world.outcome(scenario, places) for scenario in self._scenarios]

    @cached_property
    def _concerned(self) -> Sequence[set[str]]:
        return [self._world.taking_part(scenario) for scenario in self._scenarios]

    def _places(self, groups: Mapping[str, frozenset[Removal]], *, lapse: bool) -> dict[str, int]:
        return {name: self._variants[name, taken, lapse and name in self._keys] for name, taken in groups.items()}

    def _load(self, tried: list[Removal]) -> None:
        wanted: dict[Taken, None] = dict.fromkeys((key, frozenset[Removal](), True) for key in self._keys)
        for removal in tried:
            for group in (_by_policy([removal]), _by_policy([removal, *twins(self._template, removal)])):
                for name, taken in group.items():
                    wanted |= dict.fromkeys((name, taken, lapse) for lapse in {False, name in self._keys})
        self._variants = {taken: place for place, taken in enumerate(wanted)}
        self._world.load([self._variant(*taken) for taken in wanted])

    def _variant(self, name: str, taken: frozenset[Removal], lapse: bool) -> Variant:
        document = reduced(dict(self._world.policies[name].document), taken)
        return name, with_lapse(document) if lapse else document


def _by_policy(taken: Iterable[Removal]) -> dict[str, frozenset[Removal]]:
    groups: dict[str, set[Removal]] = {}
    for removal in taken:
        groups.setdefault(removal.logical_id, set()).add(removal)
    return {name: frozenset(group) for name, group in groups.items()}


PAGE = Path(__file__).parents[3] / "docs" / "access" / "evidence.md"
KINDS = ("statement", "action", "condition", "resource")


def row(stack: str, found: Mapping[Removal, str]) -> str:
    """Return the row of one stack, with how each of its removals was noticed."""
    kinds = Counter(removal.kind for removal in found)
    counts = [len(of_stack(stack)), len(found), *(kinds[kind] for kind in KINDS)]
    numbers = [*counts, *(list(found.values()).count(name) for name in HOW)]
    return f"| {stack} | {' | '.join(map(str, numbers))} |"


def write(stack: str, line: str) -> None:
    """Put the row of one stack into the page, in order of the stacks."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = {text.split(" | ")[0]: text for text in lines if text.startswith("| KmsPatterns-")} | {f"| {stack}": line}
    first = next(place for place, text in enumerate(lines) if text.startswith("| KmsPatterns-"))
    others = [text for text in lines if not text.startswith("| KmsPatterns-")]
    text = [*others[:first], *(rows[name] for name in sorted(rows)), *others[first:]]
    PAGE.write_text("\n".join(text) + "\n", encoding="utf-8")
