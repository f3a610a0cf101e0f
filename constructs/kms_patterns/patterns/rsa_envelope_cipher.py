"""Decrypts files of any size that outsiders encrypted with the public key of an RSA key, in one function."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, aws_iam, aws_s3
from constructs import Construct

from kms_patterns.functions.context_requirement import required_context as check_context
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import RsaEncryptionKey
from kms_patterns.patterns.parts.event_rules import ObjectCreatedRule, refuse_unknown_context
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import DATA_KEYS, use_key
from kms_patterns.patterns.parts.secret_modes import RSA_ALGORITHM, check_rsa


class RsaEnvelopeCipher(FunctionPattern):
    """A Lambda function that decrypts S3 objects which anyone with the public key may have written, in constant memory.

    Outsiders encrypt with the public key (see ``PublicKeyExport``) and AES-256-GCM, without AWS and without a call to
    KMS: the objects are AWS Encryption SDK messages of the RSA keyring, which ``kms_runtime`` and the official SDKs
    write. The function may ``kms:Decrypt`` with one algorithm, read ``source`` and write ``destination``: one call to
    KMS per object. A destination object appears only after its last frame was verified.

    The public key does not prove who wrote a message: any principal that can put an object into ``source`` can have it
    decrypted. Have messages signed inside, or authenticate the upload, where that matters.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: RSA key, whose public half the outsiders have.
        source: Bucket of the encrypted objects, the inbox.
        destination: Bucket of the decrypted objects.
        encryption_algorithm: ``RSAES_OAEP_SHA_256``, the default, or ``RSAES_OAEP_SHA_1``; pinned in the
            role's policy and in the key policy.
        required_context: Names that every call must give a value for. RSA has no encryption context in KMS: the
            function compares it with that of the message, and no policy can demand it.
        encryption_context: Pairs that every message must have besides.
        decrypt_on_create: Whether every object created in ``source`` is decrypted by itself; then no caller names a
            context, so ``required_context`` must be empty. ``source`` gets EventBridge switched on.
        read_versions: Whether a call may name the version it wants; adds ``s3:GetObjectVersion``.
        options: Memory, timeout, network, logs and the like of the function. Defaults to 1769 MiB, one virtual CPU,
            and 15 minutes, in which one connection to S3 carries some 71 GiB. The logs contain names of objects, no
            content.

    Attributes:
        decrypt_function: Decrypts objects, and can do nothing else with the key.
        decrypt_role: Its role.

    Raises:
        ValueError: Source and destination are one bucket, ``decrypt_on_create`` could not name the context, or the key
            does not have the algorithm.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-kms-keyring.html#kms-keyring-rsa
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: RsaEncryptionKey,
        source: aws_s3.IBucket,
        destination: aws_s3.IBucket,
        encryption_algorithm: str = RSA_ALGORITHM,
        required_context: Sequence[str] = (),
        encryption_context: Mapping[str, str] | None = None,
        decrypt_on_create: bool = False,
        read_versions: bool = False,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(
            scope, construct_id, options, handlers="rsa_envelope_cipher", memory_size=1769, timeout=Duration.minutes(15)
        )
        context = check_context(encryption_context, required_context)
        # Outsiders write into the source: they could replace a decrypted object there.
        if source.bucket_arn == destination.bucket_arn:
            raise ValueError("destination == source: outsiders could replace decrypted objects; give it its own bucket")
        if decrypt_on_create:
            refuse_unknown_context("decrypt_on_create", context.names)
        algorithm = check_rsa(encryption_key, encryption_algorithm)
        use_key(encryption_key, DATA_KEYS, self)
        made = self._object_function(
            "Decrypt",
            "Opens S3 objects that were encrypted with the public key of an RSA key of KMS",
            {"KEY_ARN": encryption_key.key_arn, "ENCRYPTION_ALGORITHM": algorithm, **context.environment},
            source=source,
            destination=destination,
            read_versions=read_versions,
        )
        self.decrypt_function, self.decrypt_role = made.function, made.role
        encryption_key.grant_decrypt(made.role, algorithms=[algorithm]).assert_success()
        if decrypt_on_create:
            ObjectCreatedRule(
                self, "ObjectCreated", bucket=source, function=made.function, dead_letters=made.dead_letters
            )

    def grant_decrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the function; it needs no permission on the key."""
        return self.decrypt_function.grant_invoke(grantee)
