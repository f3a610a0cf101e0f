"""Data key pairs: one function makes them, two use their private keys, each with its own permission."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration, aws_iam
from constructs import Construct

from kms_patterns.functions.context_requirement import needed_context
from kms_patterns.functions.data_plane_function import DataPlaneFunction, ExactFunction
from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import PRIVATE_KEYS, fixed_pairs, use_key
from kms_patterns.policy.conditions import CONTEXT_PREFIX
from kms_patterns.policy.key_specs import pinned

_USAGE_NAME: Final = "key-usage"
_SIGN: Final = "SIGN_VERIFY"
_DECRYPT: Final = "ENCRYPT_DECRYPT"
# One request takes the client's connect and read time at most, 13 seconds; the rest is the function's own start.
_ONE_REQUEST: Final = 15


class DataKeyPairs(FunctionPattern):
    """Functions that make key pairs, sign with them and decrypt with them; the private keys are encrypted under a key.

    Pairs are stored by the caller: the public key as it is, the private key encrypted under ``encryption_key`` and
    bound to an encryption context. AWS KMS makes them and decrypts their private keys; signatures and decryption are
    the functions' own work, so they cost no further call. What a pair is for is part of its context (``key-usage``):
    the sign function's role cannot use a pair that decrypts, nor the other way round, and the generate function's role
    can decrypt none. Verifying and encrypting with the public key needs no function: see ``kms_runtime.key_pairs``.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encryption_key: Symmetric key.
        required_context: Names that every caller must give a value for, such as ``["tenant"]``.
        encryption_context: Pairs that every private key is bound to besides; the functions add them. Defaults to
            none. At least one name or pair is needed.
        pair_specs: What may be made, demanded by role and key policy. Quotas a second, for the whole account in a
            Region: ECC 100, RSA_2048 20, RSA_3072 4, RSA_4096 1. Defaults to ``ECC_NIST_P256``.
        private_key_returned: Whether the generate function also returns the private key itself, for devices that are to
            have it (kms:GenerateDataKeyPair). Defaults to False: no function sees it
            (kms:GenerateDataKeyPairWithoutPlaintext).
        retry_time: How long the generate function tries again when the quota is exceeded, with jitter; then it raises
            ThrottlingException. Defaults to 10 seconds.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 10 seconds;
            the generate function has ``retry_time`` and 15 seconds. The logs contain no keys and no messages.

    Attributes:
        generate_function: Makes pairs, and cannot use any.
        generate_role: Its role.
        sign_function: Signs with pairs of the usage SIGN_VERIFY.
        sign_role: Its role.

    Raises:
        ValueError: No context is required, a name is not valid, or a time is too long.
        GrantRefused: AWS KMS does not make pairs of such a spec.

    See https://docs.aws.amazon.com/kms/latest/developerguide/data-key-pairs.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encryption_key: EncryptionKey,
        required_context: Sequence[str],
        encryption_context: Mapping[str, str] | None = None,
        pair_specs: Sequence[str] = ("ECC_NIST_P256",),
        private_key_returned: bool = False,
        retry_time: Duration | None = None,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="data_key_pairs")
        risk = "any private key decrypts"
        context = needed_context("DataKeyPairs", encryption_context, required_context, risk)
        taken = [name for name in (*context.fixed, *context.names) if name.lower() == _USAGE_NAME]
        if taken:
            raise ValueError(f"encryption context name {taken[0]!r} is set by DataKeyPairs itself: choose another name")
        if isinstance(pair_specs, str):
            raise TypeError(f"pair_specs is the string {pair_specs!r}: give a list of specs")
        if "SM2" in pair_specs:
            raise ValueError("pair_specs: the functions cannot sign or decrypt with SM2; leave it out")
        use_key(
            encryption_key,
            PRIVATE_KEYS,
            self,
            fixed={**fixed_pairs(context.fixed), _USAGE_NAME: _usages(pair_specs)},
        )
        retry, longest = retry_time or Duration.seconds(10), 15 * 60 - _ONE_REQUEST
        if retry.to_seconds() > longest:
            raise ValueError(
                f"retry_time of {retry.to_seconds():.0f} seconds: a Lambda function has time for {longest}"
            )

        environment = {"KEY_ARN": encryption_key.key_arn, **context.environment}
        generate = self._function(
            "Generate",
            "Makes data key pairs with KMS",
            {
                **environment,
                "KEY_PAIR_SPECS": " ".join(pair_specs),
                "RETRY_SECONDS": json.dumps(retry.to_seconds()),
                "PRIVATE_KEY_RETURNED": json.dumps(private_key_returned),
            },
            timeout=retry.plus(Duration.seconds(_ONE_REQUEST)),
        )
        sign = self._function("Sign", "Signs with data key pairs that KMS opens", environment)
        self.generate_function, self.generate_role = generate.function, generate.role
        self.sign_function, self.sign_role = sign.function, sign.role
        self._decrypt: DataPlaneFunction | None = None
        if _DECRYPT in _usages(pair_specs):
            self._decrypt = self._function("Decrypt", "Decrypts with data key pairs that KMS opens", environment)
        grant = (
            encryption_key.grant_generate_data_key_pair
            if private_key_returned
            else encryption_key.grant_generate_data_key_pair_without_plaintext
        )
        grant(
            self.generate_role,
            pair_specs=pair_specs,
            encryption_context=context.fixed,
            required_context=(_USAGE_NAME, *context.names),
            conditions=pinned(f"{CONTEXT_PREFIX}{_USAGE_NAME}", _usages(pair_specs)),
        ).assert_success()
        for using, usage in ((sign, _SIGN), (self._decrypt, _DECRYPT)):
            if using is not None:
                encryption_key.grant_decrypt(
                    using.role, encryption_context={**context.fixed, _USAGE_NAME: usage}, required_context=context.names
                ).assert_success()

    @property
    def decrypt_function(self) -> ExactFunction:
        """The function that decrypts with pairs of the usage ENCRYPT_DECRYPT; there is one if ``pair_specs`` has RSA.

        Raises:
            ValueError: There is none: ECC pairs do not encrypt.
        """
        return self._decrypting.function

    @property
    def decrypt_role(self) -> aws_iam.Role:
        """The role of the decrypt function, where there is one."""
        return self._decrypting.role

    def grant_generate(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the generate function; it needs no permission on the key."""
        return self.generate_function.grant_invoke(grantee)

    def grant_sign(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the sign function: to sign with any pair of which it has the encrypted key."""
        return self.sign_function.grant_invoke(grantee)

    def grant_decrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the decrypt function: for any pair of which it has the encrypted key."""
        return self.decrypt_function.grant_invoke(grantee)

    @property
    def _decrypting(self) -> DataPlaneFunction:
        if self._decrypt is None:
            raise ValueError(f"{self.node.path} makes no pairs that decrypt: add RSA_2048 or larger to pair_specs")
        return self._decrypt


def _usages(pair_specs: Sequence[str]) -> list[str]:
    """Pairs that encrypt are RSA: with ECC specs alone, no pair decrypts."""
    return [_SIGN, _DECRYPT] if any(spec.startswith("RSA_") for spec in pair_specs) else [_SIGN]
