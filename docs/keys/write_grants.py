"""Writes grants.md: what each grant allows, counted by the policy simulator over all actions of KMS and S3."""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from kms_patterns import (
    EncryptedBucket,
    EncryptionKey,
    KeyAgreementKey,
    KeyEncapsulationKey,
    MacKey,
    RsaEncryptionKey,
    SigningKey,
)
from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.model import PrincipalKind, ResourceKind

PAGE = Path(__file__).with_name("grants.md")
HEAD = """# What each grant allows

Written by `docs/keys/write_grants.py`; do not edit. For each grant: a role that got nothing else, and every action of
KMS on keys and of S3 on buckets and objects, decided by an independent policy simulator. *Needed* is what the task
takes, *excess* is what is allowed besides. Conditions do not count as a limit: an action that is allowed under one is
allowed here.

| Grant | allowed | needed | excess | Nearest of aws-cdk-lib {version} | allowed | excess |
|---|--:|--:|--:|---|--:|--:|
"""
Use = Callable[[Construct, iam.Role], object]
SYMMETRIC = (kms.KeySpec.SYMMETRIC_DEFAULT, kms.KeyUsage.ENCRYPT_DECRYPT)
RSA = (kms.KeySpec.RSA_3072, kms.KeyUsage.ENCRYPT_DECRYPT)
ECC_SIGN = (kms.KeySpec.ECC_NIST_P256, kms.KeyUsage.SIGN_VERIFY)
HMAC = (kms.KeySpec.HMAC_256, kms.KeyUsage.GENERATE_VERIFY_MAC)
ECC_AGREE = (kms.KeySpec.ECC_NIST_P256, kms.KeyUsage.KEY_AGREEMENT)


@dataclass(frozen=True)
class Row:
    """One grant of ours, what the task behind it needs, and the nearest grant of aws-cdk-lib."""

    ours: str
    needed: Sequence[str]
    use_ours: Use
    theirs: str
    use_theirs: Use


def key_row(kind: type, method: str, needed: str, plain: tuple[kms.KeySpec, kms.KeyUsage], nearest: str) -> Row:
    """Return the row of a grant on a key; ``nearest`` is a method of ``kms.Key``, or actions for ``Key.grant``."""
    actions = [f"kms:{name}" for name in needed.split()]

    def theirs(scope: Construct, role: iam.Role) -> object:
        key = kms.Key(scope, "Key", key_spec=plain[0], key_usage=plain[1])
        return key.grant(role, *actions) if nearest == "grant" else getattr(key, nearest)(role)

    label = "Key.grant(…exact actions)" if nearest == "grant" else f"Key.{nearest}"
    return Row(
        f"{kind.__name__}.{method}", actions, lambda at, role: getattr(kind(at, "Key"), method)(role), label, theirs
    )


def ours_at_rest(make: Callable[[Construct, kms.IKey], object], method: str) -> Use:
    """Return the use of an AWS CDK resource under a key of ours."""
    return lambda at, role: getattr(make(at, EncryptionKey(at, "Key")), method)(role)


def theirs_at_rest(make: Callable[[Construct, kms.IKey], object], method: str) -> Use:
    """Return the use of an AWS CDK resource under a key of aws-cdk-lib."""
    return lambda at, role: getattr(make(at, kms.Key(at, "Key")), method)(role)


def bucket(at: Construct, key: kms.IKey) -> s3.Bucket:
    """Return a plain bucket."""
    return s3.Bucket(at, "Bucket", encryption_key=key, bucket_key_enabled=True)


CONSTRUCTS_OF_THE_CDK = (
    "s3:GetObject s3:GetObjectVersion s3:ListBucket s3:GetBucketLocation s3:GetBucketVersioning "
    "s3:PutObject s3:AbortMultipartUpload s3:ListMultipartUploadParts s3:ListBucketMultipartUploads s3:DeleteObject "
    "kms:Decrypt kms:GenerateDataKey"
)
"""What BucketDeployment, Firehose, CodePipeline and CodeBuild need of a bucket that they are given."""


def bucket_row(method: str, needed: str, nearest: str) -> Row:
    """Return the row of a grant on an EncryptedBucket."""

    def ours(at: Construct, role: iam.Role) -> object:
        return getattr(EncryptedBucket(at, "Bucket", encryption_key=EncryptionKey(at, "Key")), method)(role)

    return Row(f"EncryptedBucket.{method}", needed.split(), ours, f"Bucket.{nearest}", theirs_at_rest(bucket, nearest))


def queue(at: Construct, key: kms.IKey) -> sqs.Queue:
    """Return a queue."""
    return sqs.Queue(at, "Queue", encryption_master_key=key)


def stream(at: Construct, key: kms.IKey) -> kinesis.Stream:
    """Return a stream."""
    return kinesis.Stream(at, "Stream", encryption_key=key)


def secret(at: Construct, key: kms.IKey) -> secretsmanager.Secret:
    """Return a secret."""
    return secretsmanager.Secret(at, "Secret", encryption_key=key)


def table(at: Construct, key: kms.IKey) -> dynamodb.Table:
    """Return a table."""
    name = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return dynamodb.Table(at, "Table", partition_key=name, encryption_key=key)


def at_rest_row(make: Callable[[Construct, kms.IKey], object], method: str, needed: str) -> Row:
    """Return the row of the AWS CDK's own grant, under our key and under a plain one."""
    label = f"{make.__name__.capitalize()}.{method}"
    return Row(
        f"{label} under EncryptionKey", needed.split(), ours_at_rest(make, method), label, theirs_at_rest(make, method)
    )


ROWS = [
    key_row(EncryptionKey, "grant_encrypt", "Encrypt", SYMMETRIC, "grant_encrypt"),
    key_row(EncryptionKey, "grant_decrypt", "Decrypt", SYMMETRIC, "grant_decrypt"),
    key_row(EncryptionKey, "grant_encrypt_decrypt", "Encrypt Decrypt", SYMMETRIC, "grant_encrypt_decrypt"),
    key_row(EncryptionKey, "grant_generate_data_key", "GenerateDataKey", SYMMETRIC, "grant_encrypt"),
    key_row(
        EncryptionKey,
        "grant_generate_data_key_without_plaintext",
        "GenerateDataKeyWithoutPlaintext",
        SYMMETRIC,
        "grant_encrypt",
    ),
    key_row(EncryptionKey, "grant_generate_data_key_pair", "GenerateDataKeyPair", SYMMETRIC, "grant_encrypt"),
    key_row(
        EncryptionKey,
        "grant_generate_data_key_pair_without_plaintext",
        "GenerateDataKeyPairWithoutPlaintext",
        SYMMETRIC,
        "grant_encrypt",
    ),
    key_row(EncryptionKey, "grant_re_encrypt_from", "ReEncryptFrom", SYMMETRIC, "grant_encrypt"),
    key_row(EncryptionKey, "grant_re_encrypt_to", "ReEncryptTo", SYMMETRIC, "grant_encrypt"),
    key_row(RsaEncryptionKey, "grant_encrypt", "Encrypt", RSA, "grant_encrypt"),
    key_row(RsaEncryptionKey, "grant_decrypt", "Decrypt", RSA, "grant_decrypt"),
    key_row(RsaEncryptionKey, "grant_encrypt_decrypt", "Encrypt Decrypt", RSA, "grant_encrypt_decrypt"),
    key_row(RsaEncryptionKey, "grant_re_encrypt_from", "ReEncryptFrom", RSA, "grant_encrypt"),
    key_row(RsaEncryptionKey, "grant_re_encrypt_to", "ReEncryptTo", RSA, "grant_encrypt"),
    key_row(RsaEncryptionKey, "grant_public_key", "GetPublicKey", RSA, "grant"),
    key_row(SigningKey, "grant_sign", "Sign", ECC_SIGN, "grant_sign"),
    key_row(SigningKey, "grant_verify", "Verify", ECC_SIGN, "grant_verify"),
    key_row(SigningKey, "grant_sign_verify", "Sign Verify", ECC_SIGN, "grant_sign_verify"),
    key_row(SigningKey, "grant_public_key", "GetPublicKey", ECC_SIGN, "grant"),
    key_row(MacKey, "grant_generate_mac", "GenerateMac", HMAC, "grant_generate_mac"),
    key_row(MacKey, "grant_verify_mac", "VerifyMac", HMAC, "grant_verify_mac"),
    key_row(KeyAgreementKey, "grant_derive_shared_secret", "DeriveSharedSecret", ECC_AGREE, "grant"),
    key_row(KeyAgreementKey, "grant_public_key", "GetPublicKey", ECC_AGREE, "grant"),
    # aws-cdk-lib has no ML-KEM keys: its key agreement key is the nearest.
    key_row(KeyEncapsulationKey, "grant_encapsulate", "Encapsulate", ECC_AGREE, "grant"),
    key_row(KeyEncapsulationKey, "grant_decapsulate", "Decapsulate", ECC_AGREE, "grant"),
    key_row(KeyEncapsulationKey, "grant_public_key", "GetPublicKey", ECC_AGREE, "grant"),
    bucket_row("grant_upload", "s3:PutObject kms:GenerateDataKey", "grant_put"),
    bucket_row("grant_download", "s3:GetObject kms:Decrypt", "grant_read"),
    bucket_row("grant_read_write", CONSTRUCTS_OF_THE_CDK, "grant_read_write"),
    bucket_row("grant_delete", "s3:DeleteObject", "grant_delete"),
    at_rest_row(queue, "grant_send_messages", "kms:Decrypt kms:GenerateDataKey"),
    at_rest_row(queue, "grant_consume_messages", "kms:Decrypt"),
    at_rest_row(stream, "grant_read", "kms:Decrypt"),
    at_rest_row(secret, "grant_read", "kms:Decrypt"),
]


def build(app: cdk.App) -> None:
    """Add two stacks, ``Ours`` and ``Theirs``, with one scope per row."""
    env = cdk.Environment(account="111122223333", region="eu-west-1")
    for side in ("Ours", "Theirs"):
        stack = cdk.Stack(app, side, env=env)
        for number, row in enumerate(ROWS):
            scope = Construct(stack, f"Row{number}")
            role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
            (row.use_ours if side == "Ours" else row.use_theirs)(scope, role)


def page() -> str:
    """Return the page's text."""
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(outdir=folder)
        build(app)
        app.synth()
        matrix = AccessMatrix.from_assembly(folder, project=Path(__file__).parents[2])
    allowed: dict[str, set[str]] = defaultdict(set)
    kinds = {resource.id: resource.kind for resource in matrix.resources}
    for entry in matrix.entries:
        if kinds[entry.resource] in {ResourceKind.KEY, ResourceKind.BUCKET}:
            allowed[entry.principal].add(entry.action)
    return HEAD.format(version=_version()) + "".join(_lines(allowed)) + _administrators(matrix)


def _lines(allowed: dict[str, set[str]]) -> list[str]:
    lines = []
    for number, row in enumerate(ROWS):
        ours, theirs = (allowed[f"{side}/Row{number}/Role"] for side in ("Ours", "Theirs"))
        needed = set(row.needed)
        missing = needed - ours
        if missing:
            sys.exit(f"{row.ours} lacks {sorted(missing)}")
        cells = [
            f"`{row.ours}`",
            len(ours),
            len(needed),
            len(ours - needed),
            f"`{row.theirs}`",
            len(theirs),
            len(theirs - needed),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |\n")
    return lines


def _administrators(matrix: AccessMatrix) -> str:
    uses = {action.name for action in matrix.actions[ResourceKind.KEY] if action.group == "use"}
    administrators = {who.id for who in matrix.principals if who.kind is PrincipalKind.ADMINISTRATOR}
    keys = {resource.id: resource.stack for resource in matrix.resources if resource.kind is ResourceKind.KEY}
    counted: dict[str, set[str]] = {"Ours": set(), "Theirs": set()}
    for entry in matrix.entries:
        if entry.principal in administrators and entry.resource in keys and entry.action in uses:
            counted[keys[entry.resource]].add(entry.action)
    return (
        f"\nAn administrator of the account with `*:*` may use the keys of this library by {len(counted['Ours'])} of "
        f"{len(uses)} cryptographic actions, those of aws-cdk-lib by {len(counted['Theirs'])}.\n"
    )


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return version("aws-cdk-lib")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
