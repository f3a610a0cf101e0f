"""What a bulk run does to each object, and what its function may do: these prefixes, these keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal, get_args

from aws_cdk import aws_iam, aws_s3
from constructs import Construct

from kms_patterns.functions.context_requirement import required_context
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts.key_uses import DATA_KEYS, fixed_pairs, use_key
from kms_patterns.patterns.parts.object_grants import grant_role_objects
from kms_patterns.policy.actions import DOWNLOAD, UPLOAD_ONCE

Operation = Literal["encrypt", "decrypt", "re_encrypt"]
_VERBS: Final[Mapping[str, str]] = {
    "encrypt": "Encrypts",
    "decrypt": "Decrypts",
    "re_encrypt": "Brings under another key",
}


def check_prefix(name: str, prefix: str) -> None:
    """Refuse a prefix in which IAM would read a wildcard or a policy variable, and so allow more than it says.

    Raises:
        ValueError: It has ``*``, ``?`` or ``${``.
    """
    if any(part in prefix for part in ("*", "?", "${")):
        raise ValueError(
            f"{name} {prefix!r} has a wildcard of IAM policies (*, ?, ${{): permissions would reach further"
        )


@dataclass(frozen=True, kw_only=True)
class BulkWork:
    """One operation on the objects below a prefix: the arguments of ``BulkEnvelope``, each bucket with its prefix.

    Raises:
        ValueError: A key or context does not go with the operation, or the run would read what it writes.
    """

    operation: Operation
    encryption_key: EncryptionKey
    encryption_context: Mapping[str, str] | None
    source: tuple[aws_s3.IBucket, str]
    destination: tuple[aws_s3.IBucket, str]
    reports: tuple[aws_s3.IBucket, str]
    source_key: EncryptionKey | None
    source_context: Mapping[str, str] | None

    def __post_init__(self) -> None:
        """Check what AWS would accept and what would then go wrong."""
        operations = get_args(Operation)
        if self.operation not in operations:
            raise ValueError(f"operation is {self.operation!r}: give one of {', '.join(operations)}")
        if (self.operation == "re_encrypt") != (self.source_key is not None) or (
            self.source_context and not self.source_key
        ):
            raise ValueError(
                "source_key and source_context are those of the messages that re_encrypt reads: give source_key with "
                "it, and neither with another operation"
            )
        written = {
            "prefix": (self.source, [""]),
            "destination_prefix": (self.destination, [""]),
            "reports_prefix": (self.reports, ["lists/", "reports/", "results/"]),
        }
        places = []
        for name, ((bucket, below), parts) in written.items():
            check_prefix(name, below)
            places.append((name, bucket.bucket_arn, [below + part for part in parts]))
        for (one, first, its), (other, second, ours) in combinations(places, 2):
            if first == second and any(it.startswith(our) or our.startswith(it) for it in its for our in ours):
                raise ValueError(
                    f"{one} and {other} overlap in one bucket, so that the run would read or replace what it writes: "
                    f"give another bucket, or a prefix of which neither begins the other"
                )

    @property
    def calls(self) -> int:
        """Calls of AWS KMS for one object."""
        return 2 if self.operation == "re_encrypt" else 1

    @property
    def description(self) -> str:
        """What the function does."""
        return f"{_VERBS[self.operation]} batches of S3 objects"

    @property
    def variables(self) -> dict[str, str]:
        """The function's environment."""
        context = required_context(self.encryption_context, ())
        found = {"KEY_ARN": self.encryption_key.key_arn, **context.environment}
        for side, (bucket, prefix) in (("SOURCE", self.source), ("DESTINATION", self.destination)):
            found |= {f"{side}_BUCKET": bucket.bucket_name, f"{side}_PREFIX": prefix}
        if self.source_key:
            old = {"KEY_ARN": self.source_key.key_arn, **required_context(self.source_context, ()).environment}
            found |= {f"SOURCE_{name}": value for name, value in old.items()}
        return found

    def claim_keys(self, user: Construct) -> None:
        """Note that ``user`` has data keys of messages under its keys, which no other pattern may decrypt or make."""
        use_key(self.encryption_key, DATA_KEYS, user, fixed=fixed_pairs(self.encryption_context or {}))
        if self.source_key:
            use_key(self.source_key, DATA_KEYS, user, fixed=fixed_pairs(self.source_context or {}))

    def grant(self, role: aws_iam.Role) -> None:
        """Allow the function's role what it needs."""
        for (bucket, prefix), use in ((self.source, DOWNLOAD), (self.destination, UPLOAD_ONCE)):
            grant_role_objects(role, bucket, use, f"{prefix}*")
        key, context = self.encryption_key, dict(self.encryption_context or {})
        if self.source_key:
            self.source_key.grant_decrypt(role, encryption_context=dict(self.source_context or {})).assert_success()
            key.grant_encrypt(role, encryption_context=context).assert_success()
        elif self.operation == "encrypt":
            key.grant_generate_data_key(role, encryption_context=context).assert_success()
        else:
            key.grant_decrypt(role, encryption_context=context).assert_success()
