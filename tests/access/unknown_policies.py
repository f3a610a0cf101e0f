"""Random policy sets and templates with unknown values; as a command, as many as are asked for."""

import json
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.access_conditions import Condition, Leaf, holds
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.model import Model, Policy
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.unknowns.symbols import UNKNOWN

ACCOUNTS = {"One": "111111111111", "Two": "222222222222"}
OTHERS = ("333333333333", "444444444444")
REGION = "eu-west-1"
ACTIONS = ("kms:Decrypt", "kms:Encrypt", "kms:CreateGrant", "kms:PutKeyPolicy", "kms:DescribeKey")
VIA = (None, "s3.eu-west-1.amazonaws.com", "ec2.eu-west-1.amazonaws.com")
ROLES = ("Reader", "Writer")
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
Value = Any


class Case:
    """One pair of templates, and the values of its parameters that a deployment may choose."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.agnostic = seed % 3 == 0
        self.values: dict[str, tuple[str, ...]] = {}
        self.templates = {name: self._template(name) for name in ACCOUNTS}

    def _template(self, stack: str) -> dict[str, Any]:
        self.stack = stack
        self.parameters: list[str] = []
        self.conditions: list[str] = []
        resources: dict[str, Any] = {}
        for role in ROLES:
            trust = [self._statement("trust") for _ in range(self.random.randint(0, 2))]
            allowed = [self._statement("identity") for _ in range(self.random.randint(0, 3))]
            properties: dict[str, Any] = {
                "RoleName": role,
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": trust},
                "Policies": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": allowed}}],
            }
            if self.random.random() < 0.4:
                properties["Tags"] = [{"Key": "team", "Value": self.random.choice(("red", "blue"))}]
            resources[role] = {"Type": "AWS::IAM::Role", "Properties": properties}
        statements = [self._statement("key") for _ in range(self.random.randint(1, 4))]
        policy = {"Version": "2012-10-17", "Statement": statements}
        resources["Key"] = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
        return {
            "Parameters": {name: {"Type": "String"} for name in self.parameters},
            "Conditions": {name: {"Fn::Equals": [{"Ref": name.removeprefix("Is")}, "x"]} for name in self.conditions},
            "Resources": resources,
        }

    def _parameter(self, kind: str, values: Sequence[str]) -> str:
        """Return a parameter of this stack; one of a kind is used again at times."""
        known = [name for name in self.parameters if name.startswith(kind)]
        if known and self.random.random() < 0.4:
            return self.random.choice(known)
        name = f"{kind}{len(self.parameters)}"
        self.parameters.append(name)
        self.values[f"{self.stack}.{name}"] = tuple(values)
        return name

    def _unknown(self, share: float = 0.3) -> bool:
        return self.random.random() < share

    def _either(self, make: Any) -> Value:
        """Return a value, or two of them under a condition that only a deployment decides."""
        if not self._unknown(0.12):
            return make()
        name = f"Is{self._parameter('Switch', ('x', 'y'))}"
        if name not in self.conditions:
            self.conditions.append(name)
        nothing = {"Ref": "AWS::NoValue"}
        return {"Fn::If": [name, make(), make() if self.random.random() < 0.6 else nothing]}

    def _statement(self, kind: str) -> Value:
        return self._either(lambda: self._plain(kind))

    def _plain(self, kind: str) -> dict[str, Any]:
        effect: Value = "Allow" if self.random.random() < 0.75 else "Deny"
        if self._unknown(0.08):
            effect = {"Ref": self._parameter("Effect", ("Allow", "Deny"))}
        statement: dict[str, Any] = {"Effect": effect}
        actions = ("sts:AssumeRole",) if kind == "trust" else ("kms:*", "*", *ACTIONS)
        named = "NotAction" if self.random.random() < 0.1 and kind != "trust" else "Action"
        statement[named] = self._some(lambda: self._action(actions))
        if kind != "trust":
            statement["Resource"] = self._some(self._resource) if kind == "identity" else "*"
        if kind != "identity":
            excluding = effect == "Deny" and self.random.random() < 0.25
            statement["NotPrincipal" if excluding else "Principal"] = self._either(
                lambda: {"AWS": self._some(self._principal)} if excluding or self.random.random() < 0.85 else "*"
            )
        if self.random.random() < 0.35:
            statement["Condition"] = self._condition()
        return statement

    def _some(self, make: Any) -> Value:
        values = [self._either(make) for _ in range(self.random.choice((1, 1, 2)))]
        return values if len(values) > 1 or isinstance(values[0], dict) else values[0]

    def _action(self, actions: Sequence[str]) -> Value:
        if not self._unknown(0.12):
            return self.random.choice(actions)
        if "sts:AssumeRole" in actions:
            return {"Ref": self._parameter("Trust", ("sts:AssumeRole", "sts:TagSession"))}
        if self.random.random() < 0.5:
            return {"Fn::Sub": _sub("kms:@", self._parameter("Verb", ("Decrypt", "Encrypt", "*")))}
        return {"Ref": self._parameter("Action", ("kms:Decrypt", "kms:CreateGrant", "*", "s3:GetObject"))}

    def _resource(self) -> Value:
        keys = [f"arn:aws:kms:{REGION}:{account}:key/{stack}.Key" for stack, account in ACCOUNTS.items()]
        choice = self.random.random()
        if choice < 0.2:
            return {"Ref": self._parameter("Resource", (*keys, "*", "arn:aws:s3:::other"))}
        if choice < 0.3:
            return {"Fn::Sub": _sub("arn:aws:kms:eu-west-1:@:key/*", self._account())}
        if choice < 0.4:
            return {"Fn::GetAtt": ["Key", "Arn"]}
        return self.random.choice(
            [*keys, "*", f"arn:aws:kms:*:{ACCOUNTS['Two']}:key/*", "arn:aws:kms:us-east-1:*:key/*"]
        )

    def _account(self) -> str:
        return self._parameter("Account", (*ACCOUNTS.values(), *OTHERS))

    def _principal(self) -> Value:
        known = [f"arn:aws:iam::{account}:role/{name}" for account in ACCOUNTS.values() for name in (*ROLES, "ci")]
        roots = [f"arn:aws:iam::{account}:root" for account in (*ACCOUNTS.values(), OTHERS[0])]
        choice = self.random.random()
        if choice < 0.08:
            return {
                "Fn::Sub": "arn:aws:iam::${AWS::AccountId}:" + self.random.choice(("root", "role/Reader", "role/ci"))
            }
        if choice < 0.2:
            return {"Ref": self._parameter("Principal", (*known, *roots, "*", f"arn:aws:iam::{OTHERS[1]}:role/x"))}
        if choice < 0.3:
            return {"Fn::Sub": _sub("arn:aws:iam::@:root", self._account())}
        if choice < 0.4:
            return {"Fn::Sub": _sub(f"arn:aws:iam::@:role/{self.random.choice((*ROLES, 'ci'))}", self._account())}
        if choice < 0.5:
            name = self._parameter("Name", (*ROLES, "ci"))
            return {"Fn::Sub": _sub(f"arn:aws:iam::{self.random.choice([*ACCOUNTS.values()])}:role/@", name)}
        return self.random.choice([*known, *roots, OTHERS[0]])

    def _condition(self) -> Value:
        choice = self.random.random()
        positive = self.random.random() < 0.7
        if choice < 0.3:
            value: Value = {"Ref": self._account()} if self._unknown(0.5) else self.random.choice([*ACCOUNTS.values()])
            key = self.random.choice(("aws:PrincipalAccount", "kms:CallerAccount"))
            return {"StringEquals" if positive else "StringNotEquals": {key: [value]}}
        if choice < 0.55:
            name: Value = f"arn:aws:iam::{self.random.choice([*ACCOUNTS.values()])}:role/{self.random.choice(ROLES)}"
            if self._unknown(0.5):
                name = {"Fn::Sub": _sub(f"arn:aws:iam::@:role/{self.random.choice((*ROLES, '*'))}", self._account())}
            return {"ArnLike" if positive else "ArnNotLike": {"aws:PrincipalArn": [name]}}
        if choice < 0.7:
            tag: Value = {"Ref": self._parameter("Tag", ("red", "blue"))} if self._unknown(0.4) else "red"
            return {"StringEquals" if positive else "StringNotEquals": {"aws:PrincipalTag/team": tag}}
        via: Value = {"Ref": self._parameter("Via", VIA[1:])} if self._unknown(0.4) else VIA[1]
        return {"StringEquals" if positive else "StringNotEquals": {"kms:ViaService": via}}

    def substitution(self) -> dict[str, str]:
        """Return a value for every parameter."""
        given = {name: self.random.choice(values) for name, values in self.values.items()}
        for stack, account in ACCOUNTS.items():
            free = self.agnostic and stack == "One"
            given[f"{stack}.AWS::AccountId"] = self.random.choice((account, OTHERS[0])) if free else account
            given[f"{stack}.AWS::Region"] = self.random.choice((REGION, "us-east-1")) if free else REGION
        return given


def _sub(text: str, name: str) -> str:
    """Return text of ``Fn::Sub`` with a variable where ``@`` stands."""
    return text.replace("@", f"${{{name}}}")


def concrete(value: Value, stack: str, given: Mapping[str, str]) -> Value:  # noqa: PLR0911 - one per function
    """Return a template's value with every parameter substituted; None where it is left out."""
    if isinstance(value, list):
        return [item for part in value if (item := concrete(part, stack, given)) is not None]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return None
    if "Ref" in value:
        return given[f"{stack}.{value['Ref']}"]
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([\w:]+)\}", lambda match: given[f"{stack}.{match[1]}"], value["Fn::Sub"])
    if "Fn::GetAtt" in value:
        return key_arn(stack, given)
    if "Fn::If" in value:
        name, first, second = value["Fn::If"]
        holds_here = given[f"{stack}.{name.removeprefix('Is')}"] == "x"
        return concrete(first if holds_here else second, stack, given)
    found = {key: concrete(item, stack, given) for key, item in value.items()}
    return {key: item for key, item in found.items() if item is not None}


def key_arn(stack: str, given: Mapping[str, str]) -> str:
    """Return the ARN of a stack's key, as it is deployed."""
    return f"arn:aws:kms:{given[f'{stack}.AWS::Region']}:{given[f'{stack}.AWS::AccountId']}:key/{stack}.Key"


def document(raw: Value, stack: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a policy without unknowns; a statement that names nobody or nothing is left out, as it says nothing."""
    found = concrete(raw, stack, given)
    kept = [item for item in found["Statement"] if _says_something(item)]
    return {"Version": "2012-10-17", "Statement": kept}


def _says_something(statement: Mapping[str, Any]) -> bool:
    empty = any(statement.get(name) == [] for name in ("Action", "NotAction", "Resource"))
    named = statement.get("Principal", statement.get("NotPrincipal", "*"))
    listed = named == "*" or bool(isinstance(named, dict) and named.get("AWS"))
    both = any(name in statement for name in ("Action", "NotAction"))
    return both and listed and not empty


Acting = tuple[tuple[str, str], dict[str, Any], dict[str, str]]
"""A principal with what its own policies are, the policy, and what is known of its requests."""


def random_model(case: Case, folder: Path) -> Model:
    """Return the model of a case's assembly, written to ``folder``."""
    for name, template in case.templates.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
    stacks = {
        name: {
            "type": "aws:cloudformation:stack",
            "environment": (
                "aws://unknown-account/unknown-region"
                if case.agnostic and name == "One"
                else f"aws://{account}/{REGION}"
            ),
            "properties": {"templateFile": f"{name}.template.json"},
        }
        for name, account in ACCOUNTS.items()
    }
    (folder / "manifest.json").write_text(json.dumps({"version": "38.0.0", "artifacts": stacks}))
    return read_model(folder)


def misses(seed: int, running: Simulator, folder: Path, *, substitutions: int = 3) -> Iterator[str]:
    """Yield what is allowed after a substitution and is not possible before it, as text."""
    case = Case(seed)
    model = random_model(case, folder)
    possible: dict[tuple[str, str], list[tuple[str, Condition]]] = {}
    for finding in evaluate(model, running).findings:
        place = finding.request.resource.id, finding.action.name
        possible.setdefault(place, []).append((finding.request.principal.id, finding.condition))
    for _ in range(substitutions):
        given = case.substitution()
        yield from _misses_of(case, given, model, possible, running)


def _misses_of(
    case: Case,
    given: Mapping[str, str],
    model: Model,
    possible: Mapping[tuple[str, str], Sequence[tuple[str, Condition]]],
    running: Simulator,
) -> Iterator[str]:
    requests = list(_requests(case, given))
    table, messages = [], []
    for _, _, message in requests:
        numbers = []
        for kind, text in ((("identity", message["identity"])), (("resource", message["resourcePolicy"]))):
            numbers.append(len(table))
            table.append(Policy("", kind, text))
        messages.append({**message, "identity": [numbers[0]], "resourcePolicy": numbers[1]})
    places, invalid = running.load(table)
    for message in messages:
        message["identity"] = [places[number] for number in message["identity"]]
        message["resourcePolicy"] = places[message["resourcePolicy"]]
    truth: dict[tuple[Leaf, str], bool] = {}
    for (place, who, _), message, answer in zip(requests, messages, [*running.answers(messages)], strict=True):
        if {message["identity"][0], message["resourcePolicy"]} & set(invalid):
            continue
        for action in answer["allowed"]:
            listed = possible.get((place, action), [])
            context = message["context"]
            names = _names(who, message["account"], given)
            if not any(name in names and may_hold(condition, context, running, truth) for name, condition in listed):
                yield f"{who} {action} on {place} with {context.get('kms:ViaService')} and {dict(given)}"


def _requests(case: Case, given: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str], dict[str, Any]]]:
    """Yield resource id, principal with ``all`` or ``none`` of IAM or ``own``, and a strict request."""
    for stack in ACCOUNTS:
        account = given[f"{stack}.AWS::AccountId"]
        for name in ("Key", *ROLES):
            properties = case.templates[stack]["Resources"][name]["Properties"]
            raw = properties["KeyPolicy" if name == "Key" else "AssumeRolePolicyDocument"]
            arn = key_arn(stack, given) if name == "Key" else f"arn:aws:iam::{account}:role/{name}"
            for who, identity, context in _principals(case, given):
                if who[0] != arn:
                    facts = {**context, "aws:ResourceAccount": account}
                    if name == "Key":
                        facts["kms:CallerAccount"] = context["aws:PrincipalAccount"]
                    via = case.random.choice(VIA)
                    yield (
                        f"{stack}/{name}",
                        who,
                        {
                            "principal": who[0],
                            "resource": arn,
                            "account": account,
                            "identity": identity,
                            "boundaries": None,
                            "resourcePolicy": document(raw, stack, given),
                            "blockPublicAccess": False,
                            "context": {**facts, **({"kms:ViaService": via} if via and name == "Key" else {})},
                            "known": [],
                            "mode": "Strict",
                            "actions": list(ACTIONS if name == "Key" else ("sts:AssumeRole",)),
                            "each": "alone",
                        },
                    )


def _principals(
    case: Case, given: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], dict[str, Any], dict[str, str]]]:
    for stack in ACCOUNTS:
        account = given[f"{stack}.AWS::AccountId"]
        for role in ROLES:
            properties = case.templates[stack]["Resources"][role]["Properties"]
            tags = {f"aws:PrincipalTag/{tag['Key']}": tag["Value"] for tag in properties.get("Tags", ())}
            own = document(properties["Policies"][0]["PolicyDocument"], stack, given)
            yield (f"arn:aws:iam::{account}:role/{role}", "own"), own, _facts(account, role) | tags
        for kind, policy in (("all", EVERYTHING), ("none", {"Version": "2012-10-17", "Statement": []})):
            yield (f"arn:aws:iam::{account}:role/ci", kind), policy, _facts(account, "ci")
    for account in set(OTHERS) - {given[f"{stack}.AWS::AccountId"] for stack in ACCOUNTS}:
        yield (f"arn:aws:iam::{account}:role/x", "all"), EVERYTHING, _facts(account, "x")


def _facts(account: str, role: str) -> dict[str, str]:
    return {
        "aws:PrincipalArn": f"arn:aws:iam::{account}:role/{role}",
        "aws:PrincipalAccount": account,
        "aws:PrincipalType": "AssumedRole",
        "aws:PrincipalIsAWSService": "false",
    }


def _names(who: tuple[str, str], owner: str, given: Mapping[str, str]) -> set[str]:
    """Return the ids under which a concrete principal may be listed at a resource of the account ``owner``."""
    arn, kind = who
    account, role = arn.split(":")[4], arn.rpartition("/")[2]
    here = {given[f"{stack}.AWS::AccountId"]: stack for stack in ACCOUNTS}.get(account)
    if kind == "own":
        return {f"{here}/{role}"}
    meant = {arn, account, role, f"arn:aws:iam::{account}:root", "*"}
    symbols = {f"<{name}>" for name, value in given.items() if value in meant}
    symbols |= {"<account>"} if account == given["One.AWS::AccountId"] else set()
    spelled = {arn, *(arn.replace(account, name, 1) for name in symbols)}
    spelled |= {text.replace(f"/{role}", f"/{name}") for text in spelled for name in symbols}
    found = {
        f"role/{role} if <account> is {account}",
        *spelled,
        *(f"account {name}" for name in {account, *symbols}),
        *(f"principal {name}" for name in symbols),
    }
    if account == owner and kind == "none":
        return found | {f"{name} by this policy alone" for name in spelled} | {"role without any policy"}
    return found | ({"account administrator"} if account == owner else {"anyone outside"})


def may_hold(
    condition: Condition, context: Mapping[str, str], running: Simulator, truth: dict[tuple[Leaf, str], bool]
) -> bool:
    """Return whether a condition may hold in a context, whatever its propositions and unknown values come to."""

    def leaf(item: Leaf) -> bool:
        if item.key.startswith(UNKNOWN) or any("<" in value for value in item.values):
            return True
        place = item, json.dumps(context)
        if place not in truth:
            asked = {"op": item.op, "key": item.key, "values": list(item.values), "context": dict(context)}
            truth[place] = running.ask({"leaves": [asked]})["matches"][0]
        return truth[place]

    return holds(condition, leaf)


def main() -> None:
    """Run many cases from a seed on, and exit with 1 at a miss."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    found = 0
    with simulator() as running, tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            for text in misses(seed, running, Path(folder)):
                found += 1
                print(f"seed {seed}: {text}")
            if seed % 250 == 0:
                print(f"up to seed {seed}: {found} misses", flush=True)
    print(f"{count} cases from seed {first}: {found} misses")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
