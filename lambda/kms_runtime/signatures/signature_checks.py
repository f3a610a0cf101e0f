"""Signatures of AWS KMS checked with the public key alone: no call, no credentials, no boto3."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.signatures import ed25519ph
from kms_runtime.signing_algorithms import ALGORITHMS_OF, DIGEST, EXTERNAL_MU, RAW, signing_algorithm

if TYPE_CHECKING:
    from kms_runtime.signatures.verifying_keys import VerifyingKey

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
    key = public_key.key
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
        if not ed25519ph.verifies(public_key, signature, digest):
            raise InvalidSignature

    return check
