"""Fixtures of the construct tests: a stack with no account behind it, and what the synthesized policies say."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from syrupy.assertion import SnapshotAssertion

from kms_patterns.policy.guardrails import GUARDRAIL_SIDS
from kms_patterns.policy.statements import grant_sid
from tests.synthesis import TemplateSnapshots

ACCOUNT = "111122223333"
ARN_COLONS = 5
REGION = "eu-west-1"
ROOT = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, f":iam::{ACCOUNT}:root"]]}
ENVIRONMENT = cdk.Environment(account=ACCOUNT, region=REGION)

_make_app = cdk.App.__init__


def _app_without_schemas(self: cdk.App, **options: Any) -> None:
    # To validate by AWS's schemas takes longer than a synthesis; the reference app asks for it, for all patterns.
    _make_app(self, **{"builtin_cloud_formation_validation": False, **options})


cdk.App.__init__ = _app_without_schemas  # type: ignore[method-assign]

Document = dict[str, Any]
Statements = list[Document]


@pytest.fixture
def app() -> cdk.App:
    return cdk.App(context={"aws:cdk:bundling-stacks": [], "@aws-cdk/aws-iam:minimizePolicies": True})


@pytest.fixture
def stack(app: cdk.App) -> cdk.Stack:
    return cdk.Stack(app, "Stack", env=ENVIRONMENT)


@pytest.fixture
def synth() -> Callable[[cdk.Stack], Document]:
    """The template of a stack as plain JSON; synthesis runs every check, and each ARN must have six parts."""

    def template(stack: cdk.Stack) -> Document:
        found: Document = assertions.Template.from_stack(stack).to_json()
        assert list(short_arns(found)) == []
        return found

    return template


def short_arns(value: Any) -> Iterator[str]:
    """Yield the ARNs in a template, also patterns of them, that IAM never matches: it compares six parts one by one."""
    if isinstance(value, dict) and set(value) == {"Fn::Join"} and isinstance(value["Fn::Join"][1], list):
        separator, parts = value["Fn::Join"]
        yield from short_arns(separator.join(part if isinstance(part, str) else "known" for part in parts))
    elif isinstance(value, dict):
        for name, member in value.items():
            # A whole ARN may be what a reference gives.
            yield from short_arns(member if name != "Fn::Sub" else str(member).replace("::", "|"))
    elif isinstance(value, list):
        for member in value:
            yield from short_arns(member)
    elif isinstance(value, str) and re.match(r"arn:[\w*]", value) and value.count(":") < ARN_COLONS:
        yield value


@pytest.fixture
def key_statements() -> Callable[..., Statements]:
    """The statements of the key policy but for those that ``test_guardrails`` and ``test_services_at_rest`` are about.

    Of the only key of the template, or of the one with this logical id.
    """

    def statements(template: Document, logical_id: str | None = None) -> Statements:
        keys = resources(template, "AWS::KMS::Key")
        key = keys[logical_id] if logical_id else only(keys)
        found = key["Properties"]["KeyPolicy"]["Statement"]
        return [statement for statement in found if not standing(statement.get("Sid", ""))]

    return statements


@pytest.fixture
def role_statements() -> Callable[[Document, cdk.Stack, Any], Statements]:
    """All statements of the policies attached to a role or user, in template order."""

    def statements(template: Document, stack: cdk.Stack, role: Any) -> Statements:
        name = stack.resolve(role.role_name if hasattr(role, "role_name") else role.user_name)
        attached = [
            policy["Properties"]
            for policy in resources(template, "AWS::IAM::Policy").values()
            if name in policy["Properties"].get("Roles", []) + policy["Properties"].get("Users", [])
        ]
        return [statement for policy in attached for statement in policy["PolicyDocument"]["Statement"]]

    return statements


@pytest.fixture
def bucket_statements() -> Callable[[Document], Statements]:
    """All statements of the only bucket policy of the template."""
    return lambda template: only(resources(template, "AWS::S3::BucketPolicy"))["Properties"]["PolicyDocument"][
        "Statement"
    ]


@pytest.fixture
def role(stack: cdk.Stack) -> Callable[..., iam.Role]:
    """Make a role that EC2 instances take, in the test's stack or in another scope."""

    def make(name: str, scope: cdk.Stack | None = None, **properties: Any) -> iam.Role:
        return iam.Role(scope or stack, name, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"), **properties)

    return make


@pytest.fixture
def through_s3(stack: cdk.Stack) -> Callable[..., Document]:
    """The KMS statement of a role that uses objects of a bucket, with a Bucket Key and without, in full."""

    def statement(operations: str | list[str], key: Any, bucket: Any, *patterns: str) -> Document:
        arns = stack.resolve([bucket.bucket_arn, *(bucket.arn_for_objects(it) for it in patterns or "*")])
        return {
            "Action": operations,
            "Effect": "Allow",
            "Resource": stack.resolve(key.key_arn),
            "Condition": {
                "StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"},
                "StringLike": {"kms:EncryptionContext:aws:s3:arn": arns},
            },
        }

    return statement


@jsii.implements(cdk.IAspect)
class Each:
    """Does something with each construct of a kind, as an Aspect."""

    def __init__(self, kind: type, act: Callable[[Any], None]) -> None:
        self.kind, self.act = kind, act

    def visit(self, node: Any) -> None:
        if isinstance(node, self.kind):
            self.act(node)


@pytest.fixture
def named(stack: cdk.Stack) -> Callable[..., Document]:
    """The key policy's half of a grant, in full, as it must be."""

    def statement(principal: Any, actions: list[str], conditions: Document | None = None, ordinal: int = 1) -> Document:
        resolved = stack.resolve(getattr(principal, "role_arn", None) or getattr(principal, "user_arn", None))
        return {
            "Sid": grant_sid(principal.node.path, ordinal),
            "Effect": "Allow",
            "Principal": {"AWS": ROOT},
            "Action": actions[0] if len(actions) == 1 else actions,
            "Resource": "*",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": resolved}, **(conditions or {})},
        }

    return statement


@pytest.fixture
def snapshot_of(snapshot: SnapshotAssertion) -> Callable[[Document], None]:
    """Compare a template with its stored snapshot, asset hashes blanked: they change with every source line."""
    stored = snapshot.use_extension(TemplateSnapshots)

    def compare(template: Document) -> None:
        body = {name: part for name, part in template.items() if name not in {"Parameters", "Rules"}}
        assert blanked(body) == stored

    return compare


def resources(template: Document, kind: str) -> dict[str, Document]:
    return {name: item for name, item in template["Resources"].items() if item["Type"] == kind}


def only(found: Mapping[str, Document]) -> Document:
    assert len(found) == 1, sorted(found)
    return next(iter(found.values()))


def blanked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: blanked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [blanked(item) for item in value]
    return re.sub(r"\b[0-9a-f]{64}\b", "ASSET", value) if isinstance(value, str) else value


def standing(sid: str) -> bool:
    """Whether a statement stands in key policies whatever is granted: a guardrail, or what the deployment needs."""
    return sid in GUARDRAIL_SIDS or sid.startswith("AllowDeployment")
