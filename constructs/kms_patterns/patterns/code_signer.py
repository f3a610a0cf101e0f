"""Signs S3 objects with a key that never leaves KMS: releases, packages, firmware."""

from aws_cdk import Duration, aws_iam, aws_s3
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge_objects
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import SigningKey
from kms_patterns.patterns.parts.event_rules import ObjectCreatedRule
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import RELEASES, chosen_algorithm, use_key
from kms_patterns.patterns.parts.object_grants import grant_objects, grant_role_objects
from kms_patterns.policy.actions import DOWNLOAD, UPLOAD
from kms_patterns.policy.key_specs import SIGNED_BY_DIGEST

STATEMENT_SUFFIX = ".dsse.json"
SUFFIXES = (".sig", STATEMENT_SUFFIX)
"""What the keys of signatures end in: the detached signature, and the statement in its envelope."""


class CodeSigner(FunctionPattern):
    """A Lambda function that signs objects of a bucket: ``KEY.sig`` and ``KEY.dsse.json`` for the object ``KEY``.

    The first is the Base64 of a detached signature, as cosign writes and reads it; the second a DSSE envelope around an
    in-toto statement with the object's key, SHA-256 and SHA-512. ``kms-patterns verify`` checks both without AWS.

    The function may ``kms:Sign`` digests with one algorithm, read ``artifacts``, write objects of these two kinds into
    ``signatures``, and read statements there, to do nothing for an event that comes twice. With
    ``sign_on_create`` any principal that may put an object into ``artifacts`` gets it signed: keep the bucket to the
    build.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        signing_key: Key that signs.
        artifacts: Bucket of what is signed, an ``EncryptedBucket`` or any other.
        signatures: Bucket of the signatures. Defaults to ``artifacts``, where they stand beside the artifacts.
        algorithm: The only one, such as ``RSASSA_PSS_SHA_256``. Defaults to the key's, if only one
            accepts digests.
        sign_on_create: Whether every object created in ``artifacts`` is signed by itself. ``artifacts`` gets
            EventBridge switched on (see :class:`~kms_patterns.patterns.parts.event_rules.ObjectCreatedRule`).
        options: Memory, timeout, network, logs and the like of the function. Defaults to 1769 MiB and 15 minutes.
            The logs contain names of objects, no content.

    Attributes:
        function: Signs objects, and can do nothing else with the key.
        role: Its role.

    Raises:
        ValueError: The key does not have the algorithm, or has several and none is named.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        signing_key: SigningKey,
        artifacts: aws_s3.IBucket,
        signatures: aws_s3.IBucket | None = None,
        algorithm: str | None = None,
        sign_on_create: bool = True,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(
            scope, construct_id, options, handlers="code_signer", memory_size=1769, timeout=Duration.minutes(15)
        )
        self.algorithm = chosen_algorithm(signing_key, algorithm, usable=SIGNED_BY_DIGEST)
        use_key(signing_key, RELEASES, self)
        signatures = artifacts if signatures is None else signatures
        made = self._function(
            "Sign",
            "Signs S3 objects with KMS",
            {
                "KEY_ARN": signing_key.key_arn,
                "SIGNING_ALGORITHM": self.algorithm,
                "SOURCE_BUCKET": artifacts.bucket_name,
                "DESTINATION_BUCKET": signatures.bucket_name,
            },
        )
        self.function, self.role = made.function, made.role
        types = ["EXTERNAL_MU" if self.algorithm.startswith("ML_DSA") else "DIGEST"]
        signing_key.grant_sign(self.role, algorithms=[self.algorithm], message_types=types).assert_success()
        # It verifies what is there before it does nothing; ML-DSA also signs a digest that depends on the public key.
        signing_key.grant_public_key(self.role).assert_success()
        beside = signatures.bucket_arn == artifacts.bucket_arn
        written = [f"*{suffix}" for suffix in SUFFIXES]
        grant_role_objects(self.role, artifacts, DOWNLOAD)
        if not beside:
            grant_objects(signatures, self.role, DOWNLOAD, written)
        grant_objects(signatures, self.role, UPLOAD, written)
        for pattern in written:
            acknowledge_objects(self.role, signatures, pattern)
        if sign_on_create:
            ObjectCreatedRule(
                self,
                "ObjectCreated",
                bucket=artifacts,
                function=self.function,
                dead_letters=made.dead_letters,
                except_suffixes=SUFFIXES if beside else (),
            )

    def grant_sign(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the function, so to have any object of ``artifacts`` signed."""
        return self.function.grant_invoke(grantee)
