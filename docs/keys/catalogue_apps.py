"""What an entry of the catalogue is, and apps that take more than a line."""

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from kms_patterns import EncryptionKey, KeyGrant, ReplicaKey, SigningKey

Case = Callable[[cdk.Stack], object]


@dataclass(frozen=True)
class Entry:
    """One error.

    Attributes:
        title: What is wrong.
        check: Module and name of the function without which it would pass.
        refused: An app that has it.
        accepted: The nearest app that has not.
    """

    title: str
    check: str
    refused: Case
    accepted: Case

    @property
    def anchor(self) -> str:
        """The anchor of its heading."""
        return re.sub(r"[^\w\s-]", "", self.title.lower()).replace(" ", "-")

    @property
    def how_to(self) -> str:
        """The section of how-to.md that says what to do."""
        return next(section for part, section in HOW_TO.items() if part in self.check)


HOW_TO = {
    "check_perimeter": "A property of a key that KMS refuses",
    "_serve": "A resource that the key cannot encrypt",
    "check_region": "A resource that the key cannot encrypt",
    "_check_primary": "A resource that the key cannot encrypt",
    "policy_checks": "A statement of your own in a key policy",
    "check_callers_statement": "A statement of your own in a key policy",
    "_unmanageable": "A statement of your own in a key policy",
    "_size": "A statement of your own in a key policy",
    "grants.": "A grant that would have no effect",
    "void_grants": "A grant that would have no effect",
    "imported_key": "A grant that would have no effect",
    "via_service": "A grant that would have no effect",
    "key_grant": "A grant that would have no effect",
    "": "A property of a key that KMS refuses",
}
"""What a check is named by, the first that fits, to the section that says what to do."""


def role(stack: cdk.Stack, name: str = "Role") -> iam.Role:
    """Return a role."""
    return iam.Role(stack, name, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))


def by_arn(stack: cdk.Stack, name: str) -> iam.IRole:
    """Return a role of another account."""
    return iam.Role.from_role_arn(stack, "Elsewhere", f"arn:aws:iam::444455556666:{name}")


def bucket_away(stack: cdk.Stack, region: str) -> None:
    """Make a bucket in a Region, under a key of eu-west-1."""
    stacks = [
        cdk.Stack(
            stack.node.root,  # type: ignore[arg-type]
            name,
            env=cdk.Environment(account="111122223333", region=where),
            cross_region_references=True,
        )
        for name, where in (("Home", "eu-west-1"), ("Away", region))
    ]
    s3.Bucket(stacks[1], "Bucket", encryption_key=EncryptionKey(stacks[0], "Key"))


def days(number: int) -> cdk.Duration:
    """Return a duration."""
    return cdk.Duration.days(number)


def statement(
    *actions: str, principal: iam.IPrincipal, effect: iam.Effect = iam.Effect.ALLOW, **conditions: object
) -> iam.PolicyStatement:
    """Return a caller's own statement."""
    return iam.PolicyStatement(
        effect=effect, actions=list(actions), principals=[principal], resources=["*"], conditions=conditions
    )


def own(
    stack: cdk.Stack,
    *actions: str,
    principal: iam.IPrincipal | None = None,
    effect: iam.Effect = iam.Effect.ALLOW,
    **conditions: object,
) -> None:
    """Add a caller's own statement to a key, with the other half for a role."""
    user = role(stack)
    key = EncryptionKey(stack, "Key")
    user.add_to_policy(iam.PolicyStatement(actions=["kms:Decrypt"], resources=["*"]))
    key.add_to_resource_policy(statement(*actions, principal=principal or user, effect=effect, **conditions))


def many(stack: cdk.Stack, number: int) -> None:
    """Grant a number of roles, each under a long condition of its own."""
    key = EncryptionKey(stack, "Key")
    for one in range(number):
        user = iam.Role.from_role_arn(stack, f"Role{one}", f"arn:aws:iam::111122223333:role/role-{one}")
        key.grant_decrypt(user, encryption_context={"tenant": f"{one:01000}"})


def rotating(stack: cdk.Stack, *, on: bool) -> None:
    """Switch rotation of a signing key by an escape hatch."""
    SigningKey(stack, "Key").resource.enable_key_rotation = on


_FOLDERS = tempfile.TemporaryDirectory()  # which goes when the interpreter ends


def new_folder() -> str:
    """Return a new folder for an assembly."""
    return tempfile.mkdtemp(dir=_FOLDERS.name)


def redeployed(stack: cdk.Stack, *, spec: str) -> None:
    """Have a signing key deployed, and synthesize it with this spec."""
    folder = new_folder()
    stack.node.set_context("kms-patterns:deployed", folder)
    key = SigningKey(stack, "Key", key_spec=kms.KeySpec[spec])
    properties = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
    deployed = {"Resources": {stack.get_logical_id(key.resource): {"Properties": properties}}}
    Path(folder, stack.template_file).write_text(json.dumps(deployed))


def replica(stack: cdk.Stack, region: str) -> None:
    """Replicate a key of eu-west-1."""
    other = cdk.Stack(
        stack.node.root,
        "Away",
        env=cdk.Environment(account="111122223333", region=region),
        cross_region_references=True,
    )  # type: ignore[arg-type]
    primary = cdk.Stack(
        stack.node.root,
        "Home",
        env=cdk.Environment(account="111122223333", region="eu-west-1"),
        cross_region_references=True,
    )  # type: ignore[arg-type]
    ReplicaKey(other, "Replica", primary_key=EncryptionKey(primary, "Key", multi_region=True))


def key_grant(stack: cdk.Stack, operation: str) -> None:
    """Make a KMS grant."""
    KeyGrant(stack, "Grant", key=EncryptionKey(stack, "Key"), grantee=role(stack), operations=[operation])
