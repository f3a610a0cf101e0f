"""Every KMS and S3 action that this package writes into a policy: exact names without wildcards.

KMS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
S3: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

ENCRYPT: Final = "kms:Encrypt"
DECRYPT: Final = "kms:Decrypt"
RE_ENCRYPT_FROM: Final = "kms:ReEncryptFrom"
RE_ENCRYPT_TO: Final = "kms:ReEncryptTo"
GENERATE_DATA_KEY: Final = "kms:GenerateDataKey"
GENERATE_DATA_KEY_WITHOUT_PLAINTEXT: Final = "kms:GenerateDataKeyWithoutPlaintext"
GENERATE_DATA_KEY_PAIR: Final = "kms:GenerateDataKeyPair"
GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT: Final = "kms:GenerateDataKeyPairWithoutPlaintext"
SIGN: Final = "kms:Sign"
VERIFY: Final = "kms:Verify"
GENERATE_MAC: Final = "kms:GenerateMac"
VERIFY_MAC: Final = "kms:VerifyMac"
DERIVE_SHARED_SECRET: Final = "kms:DeriveSharedSecret"  # noqa: S105
ENCAPSULATE: Final = "kms:Encapsulate"
DECAPSULATE: Final = "kms:Decapsulate"
GET_PUBLIC_KEY: Final = "kms:GetPublicKey"
GENERATE_RANDOM: Final = "kms:GenerateRandom"
CREATE_GRANT: Final = "kms:CreateGrant"
DESCRIBE_KEY: Final = "kms:DescribeKey"
RETIRE_GRANT: Final = "kms:RetireGrant"

SYMMETRIC_OPERATIONS: Final = (
    ENCRYPT,
    DECRYPT,
    RE_ENCRYPT_FROM,
    RE_ENCRYPT_TO,
    GENERATE_DATA_KEY,
    GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
    GENERATE_DATA_KEY_PAIR,
    GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
)
"""What a symmetric encryption key can do."""

RSA_ENCRYPTION_OPERATIONS: Final = (ENCRYPT, DECRYPT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO, GET_PUBLIC_KEY)
SIGNING_OPERATIONS: Final = (SIGN, VERIFY, GET_PUBLIC_KEY)
MAC_OPERATIONS: Final = (GENERATE_MAC, VERIFY_MAC)
KEY_AGREEMENT_OPERATIONS: Final = (DERIVE_SHARED_SECRET, GET_PUBLIC_KEY)
KEY_ENCAPSULATION_OPERATIONS: Final = (ENCAPSULATE, DECAPSULATE, GET_PUBLIC_KEY)
"""What keys of the other types can do."""

NEUTRAL_OPERATIONS: Final = ("DescribeKey", "RetireGrant")
"""What KMS grants on keys of every type may hold."""

CRYPTOGRAPHIC_OPERATIONS: Final = (
    *SYMMETRIC_OPERATIONS,
    SIGN,
    VERIFY,
    GENERATE_MAC,
    VERIFY_MAC,
    DERIVE_SHARED_SECRET,
    ENCAPSULATE,
    DECAPSULATE,
    GET_PUBLIC_KEY,
)
"""What some KMS key can do: the uses of a key, which no administrator gets."""

ADMINISTRATION: Final = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    DESCRIBE_KEY,
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
"""What key administrators do: manage the key, never use it, and create no KMS grant (which would be use by proxy)."""

ROTATE_ON_DEMAND: Final = ("kms:RotateKeyOnDemand",)
REPLICATE_KEY: Final = "kms:ReplicateKey"
MULTI_REGION_ADMINISTRATION: Final = (REPLICATE_KEY, "kms:UpdatePrimaryRegion")
IMPORT_ADMINISTRATION: Final = (
    "kms:DeleteImportedKeyMaterial",
    "kms:GetParametersForImport",
    "kms:ImportKeyMaterial",
)
"""What administrators do with some keys only: those that rotate on demand, have replicas, or hold imported material."""

EVERY_ADMINISTRATION: Final = (
    *ADMINISTRATION,
    *ROTATE_ON_DEMAND,
    *MULTI_REGION_ADMINISTRATION,
    *IMPORT_ADMINISTRATION,
)

REFUSAL_OF_KMS: Final[Mapping[str, str]] = {GET_PUBLIC_KEY: "UnsupportedOperationException"}
"""The error of KMS for an operation that the key cannot do, where it is not InvalidKeyUsageException."""

LOGS_FILTER_LOG_EVENTS: Final = "logs:FilterLogEvents"

S3_PUT_OBJECT: Final = "s3:PutObject"
S3_REPLICATE_OBJECT: Final = "s3:ReplicateObject"
S3_UPDATE_OBJECT_ENCRYPTION: Final = "s3:UpdateObjectEncryption"
S3_GET_OBJECT: Final = "s3:GetObject"
S3_GET_OBJECT_VERSION: Final = "s3:GetObjectVersion"
S3_DELETE_OBJECT: Final = "s3:DeleteObject"
S3_DELETE_OBJECT_VERSION: Final = "s3:DeleteObjectVersion"
S3_ABORT_MULTIPART_UPLOAD: Final = "s3:AbortMultipartUpload"
S3_LIST_BUCKET: Final = "s3:ListBucket"
S3_CONFIGURATION: Final = (
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:PutEncryptionConfiguration",
    "s3:PutReplicationConfiguration",
)
"""What decides under which key the later objects of a bucket are, and where else their content goes."""
S3_TAGS_READ: Final = ("s3:GetObjectTagging", "s3:GetObjectVersionTagging")
S3_TAGS_WRITTEN: Final = ("s3:PutObjectTagging",)

_EXACT: Final[Mapping[str, Sequence[str]]] = {
    # https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html: delivery of a state machine's logs.
    "kms:decrypt*": [DECRYPT],
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    "kms:describe*": [DESCRIBE_KEY],
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html: it re-encrypts as well.
    "kms:encrypt*": [ENCRYPT, RE_ENCRYPT_FROM, RE_ENCRYPT_TO],
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html, and the pages of SQS and SNS.
    "kms:generatedatakey*": [GENERATE_DATA_KEY],
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html: no upload or download re-encrypts.
    "kms:reencrypt*": [],
}
"""Wildcard of a construct of the AWS CDK, in lower case -> the exact actions behind it, by the page above it."""
_CANONICAL: Final = {
    action.lower(): action for action in (*CRYPTOGRAPHIC_OPERATIONS, *EVERY_ADMINISTRATION, CREATE_GRANT, RETIRE_GRANT)
}


def narrow(actions: Sequence[str]) -> list[str]:
    """Return the exact actions behind a list as the AWS CDK's constructs pass it to ``key.grant``.

    A construct that asks for ``kms:GenerateDataKey*`` encrypts at rest: it calls GenerateDataKey, and neither Encrypt
    nor ReEncrypt, which such lists name beside it. A list without a wildcard is returned as it is, spelled as in
    KMS.

    Raises:
        ValueError: A wildcard whose exact actions are not known.
    """
    unknown = [action for action in actions if "*" in action and action.lower() not in _EXACT]
    if unknown:
        raise ValueError(f"wildcard {', '.join(unknown)}: name the exact actions, for example {GENERATE_DATA_KEY}")
    broad = any("*" in action for action in actions)
    named = [action for action in actions if not (broad and canonical(action) == ENCRYPT)]
    return list(dict.fromkeys(name for action in named for name in _EXACT.get(action.lower(), [canonical(action)])))


def meant(actions: Sequence[str]) -> list[str]:
    """Return what an identity policy must have allowed: ``kms:GenerateDataKey*``, as AWS's pages ask, is one action."""
    return [GENERATE_DATA_KEY if act.lower() == "kms:generatedatakey*" else act for act in actions]


def used(actions: Sequence[str]) -> list[str]:
    """Return what users of a resource need of the actions that a construct of the AWS CDK asks for them.

    ``s3.Bucket`` and ``dynamodb.Table`` ask for DescribeKey beside Decrypt: no service calls it for a reader, only for
    the creator of a resource, who creates a KMS grant as well.
    """
    looks_up = DECRYPT not in actions or CREATE_GRANT in actions
    return [action for action in actions if looks_up or action != DESCRIBE_KEY]


def canonical(action: str) -> str:
    """Return ``action`` in the spelling of KMS: IAM ignores case, and the AWS CDK does not always spell alike."""
    return _CANONICAL.get(action.lower(), action)


@dataclass(frozen=True)
class ObjectUse:
    """What one use of the objects of a bucket needs.

    Attributes:
        objects: Actions of S3 on the objects.
        kms: Actions on the bucket's KMS key, through S3.
        bucket: Actions of S3 on the bucket itself.
    """

    objects: tuple[str, ...]
    kms: tuple[str, ...]
    bucket: tuple[str, ...] = ()

    def and_also(self, objects: Sequence[str]) -> "ObjectUse":
        """Return this use with more actions on the objects."""
        return replace(self, objects=(*self.objects, *objects))


DOWNLOAD: Final = ObjectUse((S3_GET_OBJECT,), (DECRYPT,))
DOWNLOAD_VERSIONS: Final = ObjectUse((S3_GET_OBJECT, S3_GET_OBJECT_VERSION), (DECRYPT,))
"""Reads what was deleted or overwritten as well."""
UPLOAD: Final = ObjectUse((S3_PUT_OBJECT,), (GENERATE_DATA_KEY,))
UPLOAD_IN_PARTS: Final = ObjectUse((S3_PUT_OBJECT, S3_ABORT_MULTIPART_UPLOAD), (GENERATE_DATA_KEY, DECRYPT))
"""S3 decrypts the parts when it joins them: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html"""

UPLOAD_ONCE: Final = ObjectUse((S3_PUT_OBJECT, S3_GET_OBJECT, S3_ABORT_MULTIPART_UPLOAD), UPLOAD_IN_PARTS.kms)
"""Writes on a condition on the present object, which it reads: see conditional-writes.html in the guide of S3."""
RESULTS_WRITTEN: Final = UPLOAD_ONCE.and_also(["s3:ListMultipartUploadParts"])
"""https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html; S3 calls no kms:Encrypt."""
RE_ENCRYPTED: Final = ObjectUse(
    (S3_GET_OBJECT, S3_GET_OBJECT_VERSION, S3_PUT_OBJECT, S3_UPDATE_OBJECT_ENCRYPTION),
    (DECRYPT, ENCRYPT, GENERATE_DATA_KEY, RE_ENCRYPT_FROM, RE_ENCRYPT_TO),
    ("s3:PutInventoryConfiguration",),
)
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-iam-role-policies.html, Update object encryption."""
MANIFESTS: Final = ObjectUse((S3_PUT_OBJECT, S3_GET_OBJECT, S3_GET_OBJECT_VERSION), ())
"""What such a job does with the manifest that it generates, by the same page; under SSE-S3."""
JOB_OPERATION: Final = "S3UpdateObjectEncryption"
S3_JOBS: Final[Mapping[str, str | None]] = {
    "s3:CreateJob": "s3:RequestJobOperation",
    "s3:UpdateJobStatus": "s3:ExistingJobOperation",
    "s3:DescribeJob": None,
}
"""What runs jobs, by the condition key of its operation: a job that copies would use the same role to read objects."""
STATES_RUN: Final[Mapping[str, Sequence[str]]] = {
    "machine": ("states:StartExecution",),
    "execution": ("states:DescribeExecution", "states:ListMapRuns", "states:RedriveExecution", "states:StopExecution"),
    "map_run": ("states:DescribeMapRun",),
}
"""What runs a state machine with Distributed Maps, by the resource that it names.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
"""

# What ``s3.Bucket`` promises under its own names, by the actions that constructs of the AWS CDK need of them.
_LOOK: Final = (S3_LIST_BUCKET, "s3:GetBucketLocation", "s3:GetBucketVersioning")
CDK_READ: Final = ObjectUse(DOWNLOAD_VERSIONS.objects, (DECRYPT,), _LOOK)
"""https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html"""
CDK_PUT: Final = ObjectUse(
    (*UPLOAD_IN_PARTS.objects, "s3:ListMultipartUploadParts"), UPLOAD_IN_PARTS.kms, ("s3:ListBucketMultipartUploads",)
)
"""https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3"""
CDK_WRITE: Final = CDK_PUT.and_also([S3_DELETE_OBJECT])
