"""Every error at synth: what is refused, its neighbour that is not, and the check that does it. Writes errors.md."""

import re
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from catalogue_apps import (
    Case,
    Entry,
    bucket_away,
    by_arn,
    days,
    key_grant,
    many,
    new_folder,
    own,
    redeployed,
    replica,
    role,
    rotating,
)

from kms_patterns import EncryptionKey, ImportedKey, RsaEncryptionKey, SigningKey

CHECKS = "kms_patterns.keys"
ELSEWHERE = "arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SNS = iam.ServicePrincipal("sns.amazonaws.com")
SOURCE = {"StringEquals": {"aws:SourceAccount": "111122223333"}}

ENTRIES = [
    Entry(
        "A grant that the key's usage cannot serve",
        f"{CHECKS}.grants.rules.check_operations",
        lambda it: SigningKey(it, "Key").grant_decrypt(role(it)),
        lambda it: RsaEncryptionKey(it, "Key").grant_decrypt(role(it)),
    ),
    Entry(
        "A grant that demands an encryption context of a key that has none",
        f"{CHECKS}.grants.rules.check_context",
        lambda it: RsaEncryptionKey(it, "Key").grant_operations(role(it), "kms:Decrypt", required_context=["tenant"]),
        lambda it: EncryptionKey(it, "Key").grant_operations(role(it), "kms:Decrypt", required_context=["tenant"]),
    ),
    Entry(
        "A grant pinned to an algorithm that the key lacks",
        f"{CHECKS}.grants.rules.check_pins",
        lambda it: SigningKey(it, "Key").grant_sign(role(it), algorithms=["ECDSA_SHA_384"]),
        lambda it: SigningKey(it, "Key").grant_sign(role(it), algorithms=["ECDSA_SHA_256"]),
    ),
    Entry(
        "A void grant: `KeyGrants` goes past the key",
        f"{CHECKS}.synth.synth_checks.void_grants",
        lambda it: kms.KeyGrants.from_key(EncryptionKey(it, "Key")).decrypt(role(it)),
        lambda it: EncryptionKey(it, "Key").grant_decrypt(role(it)),
    ),
    Entry(
        "A void grant: a role that takes no policy",
        f"{CHECKS}.grants.grant_writer.check_policy_written",
        lambda it: EncryptionKey(it, "Key").grant_decrypt(role(it).without_policy_updates()),
        lambda it: EncryptionKey(it, "Key").grant_decrypt(role(it)),
    ),
    Entry(
        "A void grant: an imported key named by its alias's ARN",
        f"{CHECKS}.imported.imported_key.check_key_arn",
        lambda it: ImportedKey.from_key_arn(it, "Key", "arn:aws:kms:us-east-1:444455556666:alias/orders"),
        lambda it: ImportedKey.from_key_arn(it, "Key", ELSEWHERE),
    ),
    Entry(
        "A grant on an imported key that its type cannot serve",
        f"{CHECKS}.grants.rules.check_operations",
        lambda it: SigningKey.from_key_arn(it, "Key", ELSEWHERE).grant_decrypt(role(it)),
        lambda it: RsaEncryptionKey.from_key_arn(it, "Key", ELSEWHERE).grant_decrypt(role(it)),
    ),
    Entry(
        "A grant to an ARN that stands for several roles, or for a session",
        f"{CHECKS}.grants.grantee.identity_arn",
        lambda it: EncryptionKey(it, "Key").grant_decrypt(by_arn(it, "role/*")),
        lambda it: EncryptionKey(it, "Key").grant_decrypt(by_arn(it, "role/orders")),
    ),
    Entry(
        "A void grant: a role outside of the key's perimeter",
        f"{CHECKS}.grants.grant_writer.check_inside",
        lambda it: EncryptionKey(it, "Key", perimeter="111122223333").grant_decrypt(by_arn(it, "role/orders")),
        lambda it: EncryptionKey(it, "Key", perimeter="o-a1b2c3d4e5").grant_decrypt(by_arn(it, "role/orders")),
    ),
    Entry(
        "A void grant: a service name that no endpoint has",
        "kms_patterns.policy.conditions.via_service",
        lambda it: EncryptionKey(it, "Key").grant_decrypt(role(it), via_service="efs"),
        lambda it: EncryptionKey(it, "Key").grant_decrypt(role(it), via_service="elasticfilesystem"),
    ),
    Entry(
        "A right to create KMS grants with an operation that the key cannot do",
        f"{CHECKS}.grants.rules.check_grant_operations",
        lambda it: SigningKey(it, "Key").grant_create_grant(role(it), operations=["Decrypt"]),
        lambda it: SigningKey(it, "Key").grant_create_grant(role(it), operations=["Sign"]),
    ),
    Entry(
        "Administration by everyone or by another account",
        f"{CHECKS}.grants.policy_checks.opens_to_strangers",
        lambda it: own(it, "kms:PutKeyPolicy", principal=iam.AnyPrincipal()),
        lambda it: own(it, "kms:PutKeyPolicy", principal=iam.AccountRootPrincipal()),
    ),
    Entry(
        "A description, or tags, out of the limits",
        f"{CHECKS}.customer_managed_key.check_tags",
        lambda it: EncryptionKey(it, "Key", tags={"aws:owner": "orders"}),
        lambda it: EncryptionKey(it, "Key", tags={"owner": "orders"}),
    ),
    Entry(
        "A resource in another Region than its key",
        f"{CHECKS}.synth.at_rest.check_region",
        lambda it: bucket_away(it, "us-east-1"),
        lambda it: bucket_away(it, "eu-west-1"),
    ),
    Entry(
        "A key policy that no principal could change again",
        f"{CHECKS}.synth.template_checks._unmanageable",
        lambda it: own(it, "kms:PutKeyPolicy", principal=iam.AnyPrincipal(), effect=iam.Effect.DENY),
        lambda it: own(
            it,
            "kms:PutKeyPolicy",
            principal=iam.AnyPrincipal(),
            effect=iam.Effect.DENY,
            Bool={"aws:SecureTransport": "false"},
        ),
    ),
    Entry(
        "A key policy over 32 KiB",
        f"{CHECKS}.synth.template_checks._size",
        lambda it: many(it, 30),
        lambda it: many(it, 10),
    ),
    Entry(
        "A key spec that the type's usage does not have",
        f"{CHECKS}.customer_managed_key.check_key_spec",
        lambda it: RsaEncryptionKey(it, "Key", key_spec=kms.KeySpec.ECC_NIST_EDWARDS25519),
        lambda it: SigningKey(it, "Key", key_spec=kms.KeySpec.ECC_NIST_EDWARDS25519),
    ),
    Entry(
        "A rotation period of a key with imported material",
        f"{CHECKS}.customer_managed_key.check_rotates",
        lambda it: EncryptionKey(it, "Key", imported_material=True, rotation_period=days(180)),
        lambda it: EncryptionKey(it, "Key", rotation_period=days(180)),
    ),
    Entry(
        "Rotation of a key that has none",
        f"{CHECKS}.synth.template_checks._rotation",
        lambda it: rotating(it, on=True),
        lambda it: rotating(it, on=False),
    ),
    Entry(
        "A rotation period out of 90 to 2560 days",
        f"{CHECKS}.customer_managed_key.check_days",
        lambda it: EncryptionKey(it, "Key", rotation_period=days(89)),
        lambda it: EncryptionKey(it, "Key", rotation_period=days(90)),
    ),
    Entry(
        "A waiting period before deletion out of 7 to 30 days",
        f"{CHECKS}.customer_managed_key.check_days",
        lambda it: EncryptionKey(it, "Key", pending_window=days(6)),
        lambda it: EncryptionKey(it, "Key", pending_window=days(7)),
    ),
    Entry(
        "An alias that is reserved, too long, or has other characters",
        f"{CHECKS}.key_properties.check_alias",
        lambda it: EncryptionKey(it, "Key", alias="alias/aws/orders"),
        lambda it: EncryptionKey(it, "Key", alias="alias/orders"),
    ),
    Entry(
        "A perimeter that is not an organization or account",
        f"{CHECKS}.customer_managed_key.check_perimeter",
        lambda it: EncryptionKey(it, "Key", perimeter="o-1"),
        lambda it: EncryptionKey(it, "Key", perimeter="o-a1b2c3d4e5"),
    ),
    Entry(
        "An immutable property changed on a deployed key",
        f"{CHECKS}.synth.template_checks._changed",
        lambda it: redeployed(it, spec="ECC_NIST_P384"),
        lambda it: redeployed(it, spec="ECC_NIST_P256"),
    ),
    Entry(
        "A replica in its primary's Region",
        f"{CHECKS}.replica_key._check_primary",
        lambda it: replica(it, "eu-west-1"),
        lambda it: replica(it, "us-east-1"),
    ),
    Entry(
        "A service principal without a condition on its source",
        f"{CHECKS}.grants.policy_checks._check_services",
        lambda it: own(it, "kms:Decrypt", principal=SNS),
        lambda it: own(it, "kms:Decrypt", principal=SNS, **SOURCE),
    ),
    Entry(
        "A wildcard in a caller's own statement",
        f"{CHECKS}.customer_managed_key.check_callers_statement",
        lambda it: own(it, "kms:GenerateDataKey*", principal=SNS, **SOURCE),
        lambda it: own(it, "kms:GenerateDataKey", principal=SNS, **SOURCE),
    ),
    Entry(
        "Encryption at rest under a key that is not symmetric",
        f"{CHECKS}.synth.at_rest._serve",
        lambda it: s3.Bucket(it, "Bucket", encryption_key=SigningKey(it, "Key")),
        lambda it: s3.Bucket(it, "Bucket", encryption_key=EncryptionKey(it, "Key")),
    ),
    Entry(
        "A KMS grant that hands use on, or that the key cannot serve",
        "kms_patterns.patterns.key_grant._constraints",
        lambda it: key_grant(it, "CreateGrant"),
        lambda it: key_grant(it, "Decrypt"),
    ),
]


def outcome(case: Case) -> str | None:
    """Return the message with which an app is refused; None if it synthesizes."""
    app = cdk.App(context={"aws:cdk:bundling-stacks": []}, outdir=new_folder())
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    try:
        case(stack)
        app.synth()
    except Exception as error:  # noqa: BLE001 -- jsii raises what it likes
        return str(error)
    return None


PAGE = Path(__file__).with_name("errors.md")
HEAD = """# Errors at synth

Written by `docs/keys/catalogue.py`; do not edit. Each is raised before anything is deployed.
`tests/infrastructure/test_public_surface.py` runs each app and its nearest neighbor, which is accepted, and
shows that this message is gone once its check is removed.

The checks read properties as the L1 constructs hold them. An override (`add_property_override`) that changes a key, or
puts a resource under one, is refused when the templates are written: set the property itself (`key.resource.key_spec`).

Whether an immutable property changed can be known where the deployed templates are at hand, such as the `cdk.out` of
the last deployment: `cdk synth -c kms-patterns:deployed=FOLDER` compares with them.
"""


def page() -> str:
    """Return the page's text."""
    return HEAD + "".join(f"\n## {it.title}\n\n```\n{_message(it)}\n```\n\nWhat to do: {_link(it)}\n" for it in ENTRIES)


def _link(entry: Entry) -> str:
    return f"[{entry.how_to}](../how-to.md#{entry.how_to.lower().replace(' ', '-')})"


def _message(entry: Entry) -> str:
    message = outcome(entry.refused) or "accepted"
    found = re.search(r"\[\S*\] (.*)", message, re.DOTALL) if "Validation failed" in message else None
    return (found[1] if found else message).strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
