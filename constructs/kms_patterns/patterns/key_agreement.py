"""Payloads encrypted between an ECC KMS key and outsiders, behind a function that encrypts and one that decrypts."""

import re
from collections.abc import Sequence
from typing import Final

from aws_cdk import Token
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import KeyAgreementKey
from kms_patterns.patterns.parts.function_pattern import CipherFunctions
from kms_patterns.patterns.parts.key_uses import check_key_of_app

_FINGERPRINT: Final = re.compile("[0-9a-f]{64}")
# Environment variables of a function have 4 KB together.
_MOST_PEERS: Final = 40


class KeyAgreement(CipherFunctions):
    """Two Lambda functions that may only ``kms:DeriveSharedSecret``: one encrypts, one decrypts.

    The peer has a key pair of its own, on the curve of the key, and needs no AWS: ECDH with the key's public half gives
    both the same secret, HKDF-SHA256 makes a key of it that is bound to both public keys, the direction and
    ``purpose``, and AES-256-GCM encrypts (``kms_runtime.key_agreement``). The functions return payloads and messages,
    never the secret. The same private key decrypts and encrypts, so both roles have the same permission on it; what a
    caller may do is decided by the function that it may invoke.

    Invoke synchronously. The event of a *failed asynchronous* call to the encrypt function, which contains the payload,
    is kept in that function's dead-letter queue.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        agreement_key: Key on P-256, P-384 or P-521.
        purpose: Bound to every key, so that a message for one construct is not decrypted in another; peers name the
            same.
        allowed_peers: SHA-256 of the DER public keys that the functions agree with, in hexadecimal, at most 40.
            Defaults to any: then anyone who has the key's public half may encrypt, and the decrypt function returns
            whose key it was.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 512 MiB and 10 seconds.
            The logs contain no payloads, messages or secrets.

    Raises:
        ValueError: The purpose is empty, a fingerprint is none, there are too many, or the key is on SM2.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_DeriveSharedSecret.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        agreement_key: KeyAgreementKey,
        purpose: str,
        allowed_peers: Sequence[str] = (),
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="key_agreement", memory_size=512)
        check_key_of_app(self.node.path, "agreement_key", agreement_key, KeyAgreementKey)
        _check(purpose, allowed_peers, agreement_key)

        environment = {
            "KEY_ARN": agreement_key.key_arn,
            "PURPOSE": purpose,
            "ALLOWED_PEERS": " ".join(allowed_peers),
        }
        self._made_of(
            self._function(name, f"{name}s payloads under keys that KMS agrees on with a peer", environment)
            for name in ("Encrypt", "Decrypt")
        )
        for role in (self.encrypt_role, self.decrypt_role):
            agreement_key.grant_derive_shared_secret(role, algorithms=["ECDH"]).assert_success()


def _check(purpose: str, allowed_peers: Sequence[str], agreement_key: KeyAgreementKey) -> None:
    if not purpose.strip():
        raise ValueError(
            f"purpose {purpose!r} is empty: say what the keys are for, such as 'orders'; peers say the same"
        )
    if isinstance(allowed_peers, str):
        raise TypeError("allowed_peers is a string: give a list of fingerprints")
    for peer in allowed_peers:
        if not Token.is_unresolved(peer) and not _FINGERPRINT.fullmatch(peer):
            raise ValueError(f"allowed_peers: {peer!r} is not the SHA-256 of a public key, 64 lower-case hex digits")
    if len(allowed_peers) > _MOST_PEERS:
        raise ValueError(f"allowed_peers has {len(allowed_peers)} fingerprints; the environment holds {_MOST_PEERS}")
    if agreement_key.key_spec.value == "SM2":
        raise ValueError("agreement_key is on SM2, which the functions do not know: take ECC_NIST_P256 or larger")
