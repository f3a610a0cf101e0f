"""Encrypts and decrypts values of up to 4096 bytes directly in KMS, behind two functions with one permission each."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, aws_lambda, aws_logs
from constructs import Construct

from kms_patterns.functions.data_plane_function import DataPlaneFunction
from kms_patterns.functions.required_context import RequiredContext, required_context
from kms_patterns.keys.encryption_key import EncryptionKey
from kms_patterns.patterns.cipher_functions import CipherFunctions

_HANDLERS = "kms_runtime.handlers.secret_cipher"


class SecretCipher(CipherFunctions):
    """Two Lambda functions: one may only ``kms:Encrypt``, the other only ``kms:Decrypt``, both under a named context.

    Both the functions' roles and the key policy demand that every required name stands in the encryption context, so
    a value that was encrypted for one tenant, say, cannot be decrypted without naming that tenant. Callers need no
    permission on the key: grant them a function with :meth:`grant_encrypt` or :meth:`grant_decrypt`.

    Invoke synchronously. The event of a *failed asynchronous* call to the encrypt function, which contains the
    plaintext, is kept in that function's dead-letter queue.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: Symmetric key.
        required_context: Names that every caller must give a value for, such as ``["tenant"]``.
        encryption_context: Pairs that every value is bound to besides; the functions add them. Left out, there are
            none. At least one name or pair is needed.
        memory_size: Memory in MiB, 128 to 10,240.
        timeout: At most 15 minutes; 10 seconds if left out.
        log_retention: How long the functions' logs are kept. They contain neither plaintext nor ciphertext.
        retry_attempts: How often Lambda repeats a failed asynchronous invocation, 0 to 2.
        tracing: X-Ray tracing; needs two actions on every resource.

    Raises:
        ValueError: No context is required, or a name cannot be one.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: EncryptionKey,
        required_context: Sequence[str],
        encryption_context: Mapping[str, str] | None = None,
        memory_size: int = 256,
        timeout: Duration | None = None,
        log_retention: aws_logs.RetentionDays = aws_logs.RetentionDays.ONE_YEAR,
        retry_attempts: int = 2,
        tracing: aws_lambda.Tracing = aws_lambda.Tracing.DISABLED,
    ) -> None:
        super().__init__(scope, construct_id)
        context = _context(encryption_context, required_context)

        def function(name: str) -> DataPlaneFunction:
            return DataPlaneFunction(
                self,
                name,
                handler=f"{_HANDLERS}.{name.lower()}",
                description=f"{name}s a value of up to 4096 bytes with KMS",
                environment={"KEY_ARN": encryption_key.key_arn, **context.environment},
                memory_size=memory_size,
                timeout=timeout or Duration.seconds(10),
                log_retention=log_retention,
                retry_attempts=retry_attempts,
                tracing=tracing,
            )

        self._encrypt, self._decrypt = function("Encrypt"), function("Decrypt")
        encryption_key.grant_encrypt(
            self.encrypt_role, encryption_context=context.fixed, required_context=context.names
        ).assert_success()
        encryption_key.grant_decrypt(
            self.decrypt_role, encryption_context=context.fixed, required_context=context.names
        ).assert_success()


def _context(fixed: Mapping[str, str] | None, names: Sequence[str]) -> RequiredContext:
    context = required_context(fixed, names)
    if not context.fixed and not context.names:
        raise ValueError(
            "SecretCipher needs an encryption context: required_context is empty and encryption_context is missing. "
            'Name at least one, such as required_context=["tenant"]; without it any ciphertext of the key decrypts.'
        )
    return context
