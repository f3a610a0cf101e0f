"""Encrypts and decrypts small values directly in KMS, behind two functions with one permission each."""

from collections.abc import Mapping, Sequence

from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import RsaEncryptionKey
from kms_patterns.keys.imported.imported_types import ImportedRsaEncryptionKey
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts.function_pattern import CipherFunctions
from kms_patterns.patterns.parts.key_uses import SECRETS, fixed_pairs, use_key
from kms_patterns.patterns.parts.secret_modes import rsa_mode, symmetric_mode


class SecretCipher(CipherFunctions):
    """Two Lambda functions: one may only ``kms:Encrypt``, the other only ``kms:Decrypt``.

    With a symmetric key, values have up to 4096 bytes, and both the functions' roles and the key policy demand that
    every required name stands in the encryption context: a value that was encrypted for one tenant, say, cannot be
    decrypted without naming that tenant.

    With an RSA key, values have up to 190, 318 or 446 bytes (RSA_2048, RSA_3072, RSA_4096; 24 more with SHA-1), and
    anyone with the public key can encrypt them as well, without AWS: see
    :class:`~kms_patterns.patterns.public_key_export.PublicKeyExport`. RSA has no encryption context; roles and key
    policy pin the algorithm. For more bytes use the ``RsaEnvelopeCipher``.

    Callers need no permission on the key: grant them a function with :meth:`grant_encrypt` or :meth:`grant_decrypt`.

    Invoke synchronously. The event of a *failed asynchronous* call to the encrypt function, which contains the
    plaintext, is kept in that function's dead-letter queue.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: Symmetric key, or RSA key.
        required_context: Names that every caller must give a value for, such as ``["tenant"]``; none with RSA.
        encryption_context: Pairs that every value is bound to besides; the functions add them. Defaults to none.
            With a symmetric key, at least one name or pair is needed.
        encryption_algorithm: With RSA, ``RSAES_OAEP_SHA_256``, the default, or ``RSAES_OAEP_SHA_1``.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 10 seconds.
            The logs contain neither plaintext nor ciphertext.

    Raises:
        ValueError: A symmetric key comes without a required context, or an RSA key with one; a name is not valid; or
            the key does not have the algorithm.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: EncryptionKey | RsaEncryptionKey,
        required_context: Sequence[str] = (),
        encryption_context: Mapping[str, str] | None = None,
        encryption_algorithm: str | None = None,
        options: FunctionOptions | None = None,
    ) -> None:
        if isinstance(encryption_key, RsaEncryptionKey | ImportedRsaEncryptionKey):
            mode = rsa_mode(encryption_key, encryption_context, required_context, encryption_algorithm)
        else:
            mode = symmetric_mode(encryption_key, encryption_context, required_context, encryption_algorithm)
        super().__init__(scope, construct_id, options, handlers=mode.handlers)
        self._made_of(
            self._function(name, f"{name}s a value of up to {mode.limit} with KMS", mode.environment)
            for name in ("Encrypt", "Decrypt")
        )
        use_key(encryption_key, SECRETS, self, fixed=fixed_pairs(encryption_context or {}))
        encryption_key.grant_encrypt(self.encrypt_role, **mode.terms).assert_success()
        encryption_key.grant_decrypt(self.decrypt_role, **mode.terms).assert_success()
