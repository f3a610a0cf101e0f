"""Moves ciphertexts from one key or encryption context to another, inside KMS, behind one function."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Token, aws_iam
from constructs import Construct

from kms_patterns.functions.context_requirement import RequiredContext, required_context
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import RsaEncryptionKey
from kms_patterns.keys.imported.imported_types import ImportedRsaEncryptionKey
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import check_key_of_app

_SYMMETRIC: Final = "SYMMETRIC_DEFAULT"


class ReEncryptor(FunctionPattern):
    """A Lambda function that may ``kms:ReEncryptFrom`` one key and ``kms:ReEncryptTo`` another, and reads nothing.

    For values, data keys and private keys of data key pairs that AWS KMS encrypted itself: to leave a key that is to be
    retired, to change the encryption context, to bring what outsiders encrypted under an RSA public key under a
    symmetric key with a context. Both sides' contexts are demanded by role and key policies. AWS Encryption SDK
    messages cannot be moved so, as their header covers their encrypted data keys: encrypt those again.

    The callers of the function choose the values of required names: name in ``kept_context`` those that must stay,
    or one tenant's ciphertext can be moved to another tenant.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        source_key: Key that ciphertexts are under.
        destination_key: Symmetric key that they are moved to; may be the same, to change the context.
        required_source_context: Names that the context of each ciphertext has.
        source_context: Pairs that it has besides; the function adds them.
        any_source_context: True lets the function move any ciphertext of the source key, for those that were made
            without a context. Defaults to False: a symmetric source needs a name or a pair.
        required_destination_context: Names that a caller must give a value for.
        destination_context: Pairs that every new ciphertext is bound to. At least one name or pair is needed.
        kept_context: Names, required on both sides, whose values must be the same on both.
        source_algorithm: Of an RSA source: ``RSAES_OAEP_SHA_256``, the default, or ``RSAES_OAEP_SHA_1``.
        options: Memory, timeout, network, logs and the like of the function. Defaults to 256 MiB and 10 seconds.
            The logs contain no ciphertexts.

    Attributes:
        function: Moves ciphertexts, and sees no plaintext.
        role: Its role.

    Raises:
        ValueError: A context is missing, an RSA source is given one, or the keys are in two Regions.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        source_key: EncryptionKey | RsaEncryptionKey,
        destination_key: EncryptionKey,
        required_source_context: Sequence[str] = (),
        source_context: Mapping[str, str] | None = None,
        any_source_context: bool = False,
        required_destination_context: Sequence[str] = (),
        destination_context: Mapping[str, str] | None = None,
        kept_context: Sequence[str] = (),
        source_algorithm: str | None = None,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="re_encryptor")
        if isinstance(source_key, ImportedRsaEncryptionKey):
            check_key_of_app(self.node.path, "source_key", source_key)
        if isinstance(kept_context, str):
            raise TypeError(f"kept_context is the string {kept_context!r}: give a list of names")
        source = required_context(source_context, (*required_source_context, *kept_context))
        destination = required_context(destination_context, (*required_destination_context, *kept_context))
        _check_source(source_key, source, any_context=any_source_context)
        if not destination.fixed and not destination.names:
            raise ValueError(
                "ReEncryptor needs an encryption context of the destination: name at least one, such as "
                'required_destination_context=["tenant"]; without it any ciphertext of the key would decrypt alike'
            )
        regions = [source_key.stack.region, destination_key.stack.region]
        if not any(map(Token.is_unresolved, regions)) and regions[0] != regions[1]:
            raise ValueError(
                f"source_key is in {regions[0]}, destination_key in {regions[1]}: ReEncrypt stays in one Region"
            )
        algorithm = _algorithm(source_key, source_algorithm)
        made = self._function(
            "ReEncrypt",
            "Moves ciphertexts to another key or context with KMS",
            {
                **_side("SOURCE_", source_key.key_arn, source, algorithm),
                **_side("DESTINATION_", destination_key.key_arn, destination, _SYMMETRIC),
                "KEPT_CONTEXT_KEYS": json.dumps(list(kept_context)),
            },
            handler="re_encrypt",
        )
        self.function, self.role = made.function, made.role
        if isinstance(source_key, RsaEncryptionKey):
            leaving = source_key.grant_re_encrypt_from(self.role, algorithms=[algorithm])
        else:
            leaving = source_key.grant_re_encrypt_from(
                self.role, encryption_context=source.fixed, required_context=source.names
            )
        leaving.assert_success()
        destination_key.grant_re_encrypt_to(
            self.role, encryption_context=destination.fixed, required_context=destination.names
        ).assert_success()

    def grant_re_encrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the function; it needs no permission on either key."""
        return self.function.grant_invoke(grantee)


def _check_source(key: EncryptionKey | RsaEncryptionKey, context: RequiredContext, *, any_context: bool) -> None:
    given = bool(context.fixed or context.names)
    if isinstance(key, RsaEncryptionKey):
        if given:
            raise ValueError("an RSA source key has no encryption context: leave source and kept context out")
    elif not given and not any_context:
        raise ValueError(
            "ReEncryptor needs the encryption context of the source: name at least one, such as "
            'required_source_context=["tenant"], or set any_source_context=True for ciphertexts without one'
        )
    elif given and any_context:
        raise ValueError("any_source_context=True contradicts a source context: leave one of them out")


def _algorithm(key: EncryptionKey | RsaEncryptionKey, algorithm: str | None) -> str:
    if isinstance(key, RsaEncryptionKey):
        return algorithm or "RSAES_OAEP_SHA_256"
    if algorithm not in (None, _SYMMETRIC):
        raise ValueError(f"source_algorithm {algorithm!r}: a symmetric source key has {_SYMMETRIC} only")
    return _SYMMETRIC


def _side(prefix: str, key_arn: str, context: RequiredContext, algorithm: str) -> dict[str, str]:
    variables = {"KEY_ARN": key_arn, "ALGORITHM": algorithm, **context.environment}
    return {f"{prefix}{name}": value for name, value in variables.items()}
