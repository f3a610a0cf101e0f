"""Random templates over two accounts with unknown values, and what each becomes once a deployment has chosen them."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

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
