"""Encrypts and decrypts S3 objects of any size with data keys of KMS, behind two functions with one KMS action each."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, aws_s3
from constructs import Construct

from kms_patterns.functions.context_requirement import required_context as check_context
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts.event_rules import ObjectCreatedRule, refuse_unknown_context
from kms_patterns.patterns.parts.function_pattern import CipherFunctions
from kms_patterns.patterns.parts.key_uses import DATA_KEYS, fixed_pairs, use_key


class EnvelopeCipher(CipherFunctions):
    """Two Lambda functions that turn an S3 object into an encrypted one and back, in constant memory.

    The encrypt function may ``kms:GenerateDataKey``, read ``source`` and write ``destination``; the decrypt function
    may ``kms:Decrypt``, read ``destination`` and write ``restored``. Neither may do the other's part. The objects are
    AWS Encryption SDK messages, which every official SDK reads. A destination object appears only after its last frame
    was written or verified.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: Symmetric key of the messages; another key than the buckets' keeps storage and content apart.
        source: Bucket of the plain objects, an ``EncryptedBucket`` or any other.
        destination: Bucket of the encrypted objects.
        restored: Bucket of the decrypted objects. Defaults to ``source``.
        required_context: Names that every call must give a value for; both roles and the key policy demand them.
        encryption_context: Pairs that every message is bound to besides; the functions add them.
        encrypt_on_create: Whether every object created in ``source`` is encrypted by itself. No caller names a
            context then, so ``encryption_context`` must have every required name. ``source`` gets EventBridge
            switched on (see :class:`~kms_patterns.patterns.parts.event_rules.ObjectCreatedRule`).
        read_versions: Whether a call may name the version it wants in ``sourceVersionId``; adds
            ``s3:GetObjectVersion``, which also reads what was deleted or overwritten. Defaults to the latest only.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 1769 MiB, one virtual CPU,
            and 15 minutes, in which one connection to S3 carries some 71 GiB. The logs contain names of objects, no
            content.

    Raises:
        ValueError: ``encrypt_on_create`` would loop or could not name the context, or a name cannot be one.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/how-it-works.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: EncryptionKey,
        source: aws_s3.IBucket,
        destination: aws_s3.IBucket,
        restored: aws_s3.IBucket | None = None,
        required_context: Sequence[str] = (),
        encryption_context: Mapping[str, str] | None = None,
        encrypt_on_create: bool = False,
        read_versions: bool = False,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(
            scope, construct_id, options, handlers="envelope_cipher", memory_size=1769, timeout=Duration.minutes(15)
        )
        context = check_context(encryption_context, required_context)
        restored = source if restored is None else restored
        use_key(encryption_key, DATA_KEYS, self, fixed=fixed_pairs(context.fixed))
        if encrypt_on_create:
            for name, bucket in (("destination", destination), ("restored", restored)):
                if bucket.bucket_arn == source.bucket_arn:
                    raise ValueError(
                        f"encrypt_on_create with {name} == source would encrypt its own output for ever: "
                        f"give {name} a bucket of its own"
                    )
            refuse_unknown_context("encrypt_on_create", context.names)

        encrypting, decrypting = (
            self._object_function(
                name,
                f"{name}s S3 objects with data keys of KMS",
                {"KEY_ARN": encryption_key.key_arn, **context.environment},
                source=read,
                destination=written,
                read_versions=read_versions,
            )
            for name, read, written in (("Encrypt", source, destination), ("Decrypt", destination, restored))
        )
        self._made_of([encrypting, decrypting])
        for grant, role in (
            (encryption_key.grant_generate_data_key, self.encrypt_role),
            (encryption_key.grant_decrypt, self.decrypt_role),
        ):
            grant(role, encryption_context=context.fixed, required_context=context.names).assert_success()
        if encrypt_on_create:
            ObjectCreatedRule(
                self,
                "ObjectCreated",
                bucket=source,
                function=self.encrypt_function,
                dead_letters=encrypting.dead_letters,
            )
