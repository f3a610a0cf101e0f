"""Parts of the reference app's templates, found by what they are, and what mutants put in their place."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Template = dict[str, Any]
Statement = dict[str, Any]

ROOT = {"AWS": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::", {"Ref": "AWS::AccountId"}, ":root"]]}}
ELSEWHERE = {"AWS": "arn:aws:iam::222222222222:root"}
ANYBODY = {"AWS": "*"}


@dataclass(frozen=True)
class Part:
    """One stack's template, with shortcuts to the policies in it."""

    template: Template

    def resource(self, kind: str, prefix: str = "") -> dict[str, Any]:
        """Return the properties of the one resource of ``kind`` whose logical id starts with ``prefix``."""
        return self.template["Resources"][self.name(kind, prefix)]["Properties"]

    def name(self, kind: str, prefix: str = "") -> str:
        names = [
            name
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind and name.startswith(prefix)
        ]
        assert len(names) == 1, (kind, prefix, names)
        return names[0]

    def key(self, prefix: str = "Key") -> list[Statement]:
        return self.resource("AWS::KMS::Key", prefix)["KeyPolicy"]["Statement"]

    def administration(self) -> Statement:
        return next(statement for statement in self.key() if statement["Sid"] == "AccountAdministration")

    def key_grant(self, role: str, prefix: str = "Key") -> Statement:
        arn = {"Fn::GetAtt": [self.name("AWS::IAM::Role", role), "Arn"]}
        found = [
            statement
            for statement in self.key(prefix)
            if statement.get("Condition", {}).get("ArnEquals", {}).get("aws:PrincipalArn") == arn
        ]
        assert found, role
        return found[0]

    def policy(self, role: str) -> list[Statement]:
        return self.resource("AWS::IAM::Policy", f"{role}DefaultPolicy")["PolicyDocument"]["Statement"]

    def grant(self, role: str, service: str = "kms") -> Statement:
        found = [item for item in self.policy(role) if actions(item)[0].startswith(f"{service}:")]
        assert found, (role, service)
        return found[0]

    def trust(self, role: str) -> Statement:
        statement: Statement = self.resource("AWS::IAM::Role", role)["AssumeRolePolicyDocument"]["Statement"][0]
        return statement

    def bucket_policy(self, prefix: str = "Bucket") -> list[Statement]:
        return self.resource("AWS::S3::BucketPolicy", prefix)["PolicyDocument"]["Statement"]

    def denial(self, name: str, prefix: str = "Bucket") -> Statement:
        """Return the bucket policy's denial with this Sid, or on this condition key."""
        found = [
            item
            for item in self.bucket_policy(prefix)
            if item.get("Sid") == name or any(name in keys for keys in item["Condition"].values())
        ]
        assert len(found) == 1, name
        return found[0]


def actions(statement: Statement) -> list[str]:
    found = statement["Action"]
    return found if isinstance(found, list) else [found]


def add_action(*names: str) -> Callable[[Statement], None]:
    def add(statement: Statement) -> None:
        statement["Action"] = [*actions(statement), *names]

    return add


def put(**members: Any) -> Callable[[Statement], None]:
    return lambda statement: statement.update(deepcopy(members))


def drop_condition(*keys: str) -> Callable[[Statement], None]:
    """Drop the conditions on ``keys``, or all."""

    def drop(statement: Statement) -> None:
        for operator in list(statement["Condition"]):
            for key in list(statement["Condition"][operator]):
                if not keys or key in keys:
                    del statement["Condition"][operator][key]
            if not statement["Condition"][operator]:
                del statement["Condition"][operator]
        if not statement["Condition"]:
            del statement["Condition"]

    return drop


def change_operator(
    key: str, operator: str, value: Any = None, *, name: str | None = None
) -> Callable[[Statement], None]:
    """Give the condition on ``key`` another operator, value or spelling."""

    def change(statement: Statement) -> None:
        old = next(item for item, keys in statement["Condition"].items() if key in keys)
        kept = statement["Condition"][old][key]
        drop_condition(key)(statement)
        statement.setdefault("Condition", {}).setdefault(operator, {})[name or key] = kept if value is None else value

    return change
