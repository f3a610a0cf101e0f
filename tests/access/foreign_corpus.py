"""Foreign assemblies and templates: the report must read each, and agree with a count that shares no code with it.

``python -m tests.access.foreign_corpus FOLDER...`` takes every ``manifest.json`` with its assembly, and every template
outside of one. The oracle below reads the JSON by itself and counts by action how many pairs of a role or user and a
resource may be allowed: what is unknown may allow, and does not deny.
"""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.model import PrincipalKind
from kms_patterns.access.read.assembly import NotAnAssembly
from kms_patterns.access.read.managed_policies import aws_managed
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.formats import render
from kms_patterns.access.templates.template_text import NotATemplate, document_of

ASKED = {
    "AWS::KMS::Key": ("kms:Decrypt", "kms:CreateGrant", "kms:PutKeyPolicy"),
    "AWS::S3::Bucket": ("s3:GetObject", "s3:PutObject", "s3:PutBucketPolicy"),
    "AWS::Lambda::Function": ("lambda:InvokeFunction",),
    "AWS::IAM::Role": ("sts:AssumeRole",),
}
NAMES = ("RoleName", "UserName", "BucketName", "FunctionName", "GroupName", "ManagedPolicyName")
FORMS = {
    "AWS::KMS::Key": "arn:aws:kms:R:A:key/{}",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::Lambda::Function": "arn:aws:lambda:R:A:function:{}",
    "AWS::IAM::Role": "arn:aws:iam::A:role/{}",
    "AWS::IAM::User": "arn:aws:iam::A:user/{}",
    "AWS::IAM::ManagedPolicy": "arn:aws:iam::A:policy/{}",
    "AWS::IAM::Group": "arn:aws:iam::A:group/{}",
}
ANY = "\ufffd"
"""Stands for an unknown part of a text: it may be any."""


class Oracle:
    """One stack, read by itself: a template without nested stacks or other stacks."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = template
        self.resources: Mapping[str, Any] = template.get("Resources", {})
        self.resources = {
            name: item
            for name, item in self.resources.items()
            if "Condition" not in item or self.holds({"Condition": item["Condition"]}) is not False
        }

    def holds(self, test: Any) -> bool | None:
        """Return whether a condition of the template holds with the defaults of its parameters, if that is known."""
        ((function, given),) = test.items()
        if function == "Condition":
            return self.holds(self.template["Conditions"][given])
        if function == "Fn::Equals":
            one, other = (str(self.value(item)) for item in given)
            return None if {"A", "R", ANY} & {one, other} else one == other
        found = [self.holds(item) for item in given]
        if function == "Fn::Not":
            return None if found[0] is None else not found[0]
        deciding = function == "Fn::Or"
        return deciding if deciding in found else None if None in found else not deciding

    def counts(self) -> Counter[str]:
        """Return how many pairs may be allowed, by action."""
        found = Counter[str]()
        people = {
            name: self.identity(name)
            for name, item in self.resources.items()
            if item["Type"] in {"AWS::IAM::Role", "AWS::IAM::User"}
        }
        for name, item in self.resources.items():
            for action in ASKED.get(item["Type"], ()):
                policy = self.resource_policy(name, item)
                found[action] += sum(
                    self.may(who, own, action, name, policy) for who, own in people.items() if who != name
                )
        return +found

    def may(self, who: str, own: list[Any], action: str, name: str, policy: list[Any]) -> bool:
        arn = self.arn(name)
        target = f"{arn}/any" if action.endswith("Object") else arn
        me = self.arn(who)
        denied = any(self.hits(s, action, arn, target, sure=True) for s in own if s["Effect"] == "Deny") or any(
            self.hits(s, action, arn, target, sure=True, held=True) and self.names(s, me, sure=True) == "me"
            for s in policy
            if s["Effect"] == "Deny"
        )
        if denied:
            return False
        by_iam = any(self.hits(s, action, arn, target) for s in own if s["Effect"] != "Deny")
        allowing = [s for s in policy if s["Effect"] != "Deny" and self.hits(s, action, arn, target, held=True)]
        ways = {self.names(s, me) for s in allowing}
        if "me" in ways:
            return True
        needs_both = action.startswith(("kms:", "sts:"))
        return by_iam and ("account" in ways or not needs_both)

    def hits(
        self, statement: Any, action: str, arn: str, target: str, *, sure: bool = False, held: bool = False
    ) -> bool:
        if sure and (statement.get("Condition") or statement.get("?")):
            return False
        actions = texts(statement.get("Action", statement.get("NotAction")))
        matched = any(fits(item.lower(), action.lower(), sure=sure != ("NotAction" in statement)) for item in actions)
        if matched is ("NotAction" in statement):
            return False
        if held and not action.startswith("s3:"):
            return True
        given = texts(statement.get("Resource", statement.get("NotResource", "*")))
        excluding = "NotResource" in statement
        wide = (lambda item: fits(item, f"{arn}/{ANY}")) if action.endswith("Object") else (lambda _: False)
        covered = any(
            fits(item, target, sure=sure != excluding) or (not sure and not excluding and wide(item)) for item in given
        )
        return covered is not excluding

    def names(self, statement: Any, me: str, *, sure: bool = False) -> str:
        """Return whether a statement is about ``me``, about the account, or about neither."""
        excluding = "NotPrincipal" in statement
        given = statement.get("NotPrincipal" if excluding else "Principal", {})
        named = ["*"] if given == "*" else texts(given.get("AWS")) if isinstance(given, Mapping) else texts(given)
        if excluding:
            return "" if any(fits(item, me, sure=not sure) or item == me for item in named) else "me"
        pinned = [
            value
            for operator, keys in mapped(statement.get("Condition")).items()
            for key, values in mapped(keys).items()
            for value in [(operator, key.lower(), texts(values))]
            if key.lower() in {"aws:principalarn", "aws:principalaccount", "kms:calleraccount"}
        ]
        for operator, key, values in pinned:
            actual = me if key == "aws:principalarn" else "A"
            matched = any(fits(value, actual) for value in values)
            if not sure and matched is ("not" in operator.lower()):
                return ""
        if any(item in {"*", me} or (ANY in item and not sure and fits(item, me)) for item in named):
            return "me"
        roots = ("A", "arn:aws:iam::A:root")
        if any(
            item in roots or (not sure and ANY in item and any(fits(item, root) for root in roots)) for item in named
        ):
            return "me" if sure else "account"
        return ""

    def identity(self, name: str) -> list[Any]:
        """Return the statements of a role's or user's own policies."""
        properties = self.resources[name].get("Properties") or {}
        policies = [one for item in each(properties.get("Policies")) for one in self.ways(item)]
        found = [s for one in policies for s in self.statements(one, "PolicyDocument")]
        for arn in each(properties.get("ManagedPolicyArns")):
            found += self.managed(self.value(arn))
        groups = [self.value(item) for item in each(properties.get("Groups"))]
        mine = {self.ref(name)}
        for item in self.resources.values():
            given = item.get("Properties") or {}
            if item["Type"] in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
                lists = [given.get("Roles"), given.get("Users")]
                holders = {self.value(one) for one in each([x for part in lists for x in each(part)])}
                if mine & holders or any(ANY in str(one) for one in holders):
                    found += self.statements(given, "PolicyDocument")
        return found + (self.anything() if groups else [])

    def ways(self, item: Any) -> list[Any]:
        """Return what an item may be, both ways of a condition that is not known."""
        if not isinstance(item, Mapping) or set(item) != {"Fn::If"}:
            return [] if item == {"Ref": "AWS::NoValue"} else [item]
        name, first, second = item["Fn::If"]
        decided = self.holds({"Condition": name})
        return [*(self.ways(first) if decided is not False else ()), *(self.ways(second) if not decided else ())]

    def managed(self, arn: str) -> list[Any]:
        for name, item in self.resources.items():
            if item["Type"] == "AWS::IAM::ManagedPolicy" and self.arn(name) == arn:
                return self.statements(item.get("Properties") or {}, "PolicyDocument")
        known = aws_managed(arn)
        return each(known[1]["Statement"]) if known else self.anything()

    def anything(self) -> list[Any]:
        return [{"Effect": "Allow", "Action": "*", "Resource": "*"}]

    def resource_policy(self, name: str, item: Any) -> list[Any]:
        properties = item.get("Properties") or {}
        if item["Type"] == "AWS::KMS::Key":
            root = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::A:root"}, "Action": "kms:*"}
            return self.statements(properties, "KeyPolicy") if "KeyPolicy" in properties else [root]
        if item["Type"] == "AWS::IAM::Role":
            return self.statements(properties, "AssumeRolePolicyDocument")
        found: list[Any] = []
        for other in self.resources.values():
            given = other.get("Properties") or {}
            if item["Type"] == "AWS::S3::Bucket" and other["Type"] == "AWS::S3::BucketPolicy":
                if fits(str(self.value(given.get("Bucket"))), self.ref(name)):
                    found += self.statements(given, "PolicyDocument")
            elif item["Type"] == "AWS::Lambda::Function" and other["Type"] == "AWS::Lambda::Permission":
                named, principal = str(self.value(given.get("FunctionName"))), str(self.value(given.get("Principal")))
                if (fits(named, self.ref(name)) or fits(named, self.arn(name))) and ".amazonaws.com" not in principal:
                    found.append({"Effect": "Allow", "Action": self.value(given["Action"]), "Principal": principal})
        return found

    def statements(self, holder: Any, member: str) -> list[Any]:
        document = holder.get(member) if isinstance(holder, Mapping) else ANY
        if not isinstance(document, Mapping) or "Statement" not in document:
            return [{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*", "?": True}]
        raw = [self.value(one) for item in each(document["Statement"]) for one in self.ways(item)]
        return [item if isinstance(item, Mapping) else {**self.anything()[0], "Principal": "*"} for item in raw]

    def ref(self, name: str) -> str:
        properties = self.resources[name].get("Properties") or {}
        given = next((properties[item] for item in NAMES if properties.get(item)), None)
        return str(self.value(given)) if given is not None else f"made-up-{name.lower()}"

    def arn(self, name: str) -> str:
        kind = self.resources[name]["Type"]
        return FORMS.get(kind, f"arn:aws:other:R:A:{kind}/{{}}").format(self.ref(name))

    def value(self, value: Any) -> Any:  # noqa: C901, PLR0911 - one per function
        """Return a value with its functions replaced; an unknown part is ``ANY``."""
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                pseudo = {"AWS::Partition": "aws", "AWS::AccountId": "A", "AWS::Region": "R", "AWS::NoValue": None}
                pseudo["AWS::URLSuffix"] = "amazonaws.com"
                if argument in pseudo:
                    return pseudo[argument]
                if argument in self.resources:
                    kind = self.resources[argument]["Type"]
                    return self.arn(argument) if kind == "AWS::IAM::ManagedPolicy" else self.ref(argument)
                return self.template.get("Parameters", {}).get(argument, {}).get("Default", ANY)
            if function == "Fn::GetAtt":
                name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                known = name in self.resources and self.resources[name]["Type"] in FORMS
                return self.arn(name) if known and attribute == "Arn" else ANY
            if function == "Fn::Join":
                parts = self.value(argument[1])
                return argument[0].join(map(str, parts)) if isinstance(parts, list) else ANY
            if function == "Fn::Sub":
                text = argument if isinstance(argument, str) else argument[0]
                extra = {} if isinstance(argument, str) else argument[1]
                return re.sub(r"\$\{([^!}]+)\}", lambda match: str(self.variable(match[1], extra)), text)
            if function == "Fn::If" and (decided := self.holds({"Condition": argument[0]})) is not None:
                return self.value(argument[1 if decided else 2])
            if function.startswith("Fn::"):
                return ANY
        return {key: item for key, raw in value.items() if (item := self.value(raw)) is not None}

    def variable(self, name: str, extra: Mapping[str, Any]) -> Any:
        if name in extra:
            return self.value(extra[name])
        return self.value({"Fn::GetAtt": name.split(".", 1)} if "." in name else {"Ref": name})


def each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def texts(value: Any) -> list[str]:
    return [str(item) for item in each(value)]


def mapped(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def fits(pattern: str, text: str, *, sure: bool = False) -> bool:
    """Return whether a text may match a pattern; with ``sure``, whether it does whatever is unknown."""
    if sure and ANY in pattern + text.replace(f"/{ANY}", ""):
        return False
    pattern = re.sub(r"\$\{[^}]+\}", ANY, pattern)
    one = "".join(".*" if c in {"*", ANY} else "." if c == "?" else re.escape(c) for c in pattern)
    if re.fullmatch(one, text):
        return True
    other = "".join(".*" if c == ANY else re.escape(c) for c in text)
    return ANY in text and re.fullmatch(other, pattern.replace("*", "").replace(ANY, "")) is not None


def inputs(folders: list[Path]) -> Iterator[Path]:
    """Yield assemblies, then templates outside of them."""
    for folder in folders:
        assemblies = {path.parent for path in folder.rglob("manifest.json")}
        yield from sorted(item for item in assemblies if not any(up in assemblies for up in item.parents))
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".json", ".yaml", ".yml", ".template"} and not assemblies & set(path.parents):
                yield path


def is_template(path: Path) -> bool:
    try:
        found = document_of(path)
    except NotATemplate:
        return False
    return isinstance(found, dict) and isinstance(found.get("Resources"), dict)


def main() -> None:
    """Report on everything in the folders, and exit with 1 at a crash or a difference."""
    tried, refused, wrong, cells = Counter[str](), 0, 0, 0
    with simulator() as running:
        for path in inputs([Path(word) for word in sys.argv[1:]]):
            if path.is_file() and not is_template(path):
                continue
            kind, began = ("template" if path.is_file() else "assembly"), time.monotonic()
            tried[kind] += 1
            try:
                model = read_model(path)
                matrix = build_with(model, running)
                render(matrix, "text")
            except (NotATemplate, NotAnAssembly) as error:
                refused += 1
                print(f"refused {path}: {error}", flush=True)
                continue
            except Exception as error:  # noqa: BLE001 - what is counted
                wrong += 1
                print(f"CRASH {path}: {type(error).__name__}: {error}", flush=True)
                continue
            if (spent := time.monotonic() - began) > 20:
                print(f"slow {path}: {spent:.0f} s", flush=True)
            templates = [document_of(file) for file in {*model.files.values()}]
            if any("Transform" in template for template in templates):
                tried["made by a transform, only read"] += 1
                continue
            expected = sum((Oracle(template).counts() for template in templates), Counter[str]())
            known = {who.id for who in matrix.principals if who.kind in {PrincipalKind.ROLE, PrincipalKind.USER}}
            own = {who.id for who in matrix.principals if who.stack} & known
            watched = {action for actions in ASKED.values() for action in actions}
            pairs = {
                (entry.principal, entry.action, entry.resource)
                for entry in matrix.entries
                if entry.principal in own and entry.action in watched and entry.condition != NEVER
            }
            found = Counter(action for _, action, _ in pairs)
            cells += sum(found.values())
            if found != expected:
                wrong += 1
                print(f"DIFFERS {path}: ours {dict(found - expected)} oracle {dict(expected - found)}", flush=True)
    print(f"{dict(tried)}, {cells} cells, {refused} refused, {wrong} crashes or differences")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
