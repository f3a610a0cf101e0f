"""Public keys that signatures are verified with, and the check of a signature with one of them.

The check takes no call, no credentials and no boto3. A key was published by this package, or is a bare PEM or DER file
of any origin.
See https://docs.aws.amazon.com/kms/latest/developerguide/offline-public-key.html
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.errors import PublicKeyInvalid
from kms_runtime.public_keys.jwk import key_spec_of
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.elliptic_curves import ed25519ph_verifies
from kms_runtime.signing_algorithms import ALGORITHMS_OF, DIGEST, EXTERNAL_MU, RAW, SigningAlgorithm, signing_algorithm


@dataclass(frozen=True)
class BareKey:
    """A public key without a document: every algorithm of its kind is accepted of it."""

    key_arn: str
    key_spec: str
    algorithms: tuple[str, ...]
    der: bytes
    key_usage: str = "SIGN_VERIFY"

    @cached_property
    def key(self) -> Any:
        """The key as ``cryptography`` has it."""
        return load_der_public_key(self.der)


VerifyingKey: TypeAlias = PublicKey | BareKey
"""What signatures are verified with; errors call it by its ``key_arn``."""


def read_verifying_key(data: bytes, *, called: str) -> VerifyingKey:
    """Return the key of a file: the JSON document of PublicKeyExport, PEM, or DER.

    Args:
        data: The file's content.
        called: What errors call a key without an ARN, such as the file's name.

    Raises:
        PublicKeyInvalid: None of the three, a private key, or a kind of key that AWS KMS does not have.
        InvalidArnException: The document's ``keyArn`` is not a key ARN.
    """
    text = data.strip()
    if text.startswith(b"{"):
        try:
            return PublicKey.from_document(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise PublicKeyInvalid(f"{called} is not JSON: {error}") from None
    try:
        key: Any = load_pem_public_key(text) if text.startswith(b"-----") else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PublicKeyInvalid(
            f"{called} is not a public key: the JSON document of PublicKeyExport, PEM (-----BEGIN PUBLIC KEY-----) or "
            f"DER is expected ({error})"
        ) from None
    spec = key_spec_of(key)
    if spec not in ALGORITHMS_OF:
        raise PublicKeyInvalid(f"{called} is a key of a kind that AWS KMS does not have ({spec})")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return BareKey(called, spec, ALGORITHMS_OF[spec], der)


Check = Callable[[bytes, bytes], None]
"""Takes a signature and a message (or digest); raises ``InvalidSignature``."""

HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@lru_cache(maxsize=256)
def check_for(public_key: "VerifyingKey", algorithm: str, message_type: str = RAW) -> Check:
    """Return the check of signatures by ``public_key`` with ``algorithm``; made once per key and algorithm.

    Raises:
        InvalidRequest: The algorithm is unknown.
        InvalidKeyUsageException: The key does not sign, or not with this algorithm.
    """
    known = signing_algorithm(algorithm)
    # What the key's document lists is not believed alone: another kind of key would be handed the wrong arguments.
    usable = algorithm in public_key.algorithms and algorithm in ALGORITHMS_OF.get(public_key.key_spec, ())
    if public_key.key_usage != "SIGN_VERIFY" or not usable:
        raise InvalidKeyUsageException(
            f"{public_key.key_arn} ({public_key.key_spec}, {public_key.key_usage}) makes no signatures with "
            f"{algorithm}; its algorithms are {', '.join(public_key.algorithms)}"
        )
    return signature_check(public_key.key, known, message_type)


def signature_check(key: Any, known: SigningAlgorithm, message_type: str = RAW) -> Check:
    """Return the check of signatures by ``key``, which must be of a kind that has the algorithm."""
    if known.digest is None:
        verify: Check = key.verify_mu if message_type == EXTERNAL_MU else key.verify
        return verify
    if known.scheme == "ED25519_PH":
        return _prehashed_ed25519(key.public_bytes_raw(), is_digest=message_type == DIGEST)
    digest = HASHES[known.digest]
    hashing = utils.Prehashed(digest) if message_type == DIGEST else digest
    if known.scheme == "ECDSA":
        return partial(key.verify, signature_algorithm=ec.ECDSA(hashing))
    if known.scheme == "RSASSA_PSS":
        # AWS KMS salts with as many bytes as the digest has; any other length is not its signature.
        pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
        return partial(key.verify, padding=pss, algorithm=hashing)
    return partial(key.verify, padding=padding.PKCS1v15(), algorithm=hashing)


def _prehashed_ed25519(public_key: bytes, *, is_digest: bool) -> Check:
    def check(signature: bytes, data: bytes) -> None:
        if is_digest:
            digest = data
        else:
            hasher = hashes.Hash(hashes.SHA512())
            hasher.update(data)
            digest = hasher.finalize()
        if not ed25519ph_verifies(public_key, signature, digest):
            raise InvalidSignature

    return check
