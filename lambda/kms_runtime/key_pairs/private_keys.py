"""What a private key does here, outside of AWS KMS, as AWS KMS would do it."""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from kms_runtime.key_pairs.pair_specs import PairKey
from kms_runtime.signing_algorithms import ALGORITHMS

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def sign_locally(key: PairKey, message: bytes, algorithm: str) -> bytes:
    """Return the signature of ``message`` in the form of AWS KMS: ECDSA in DER, a salt of the digest's length with PSS.

    Args:
        key: A private key that serves ``algorithm``; see ``kms_runtime.key_pairs.pair_specs.check_serves``.
        message: Any length.
        algorithm: AWS KMS's name of the signing algorithm.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    known = ALGORITHMS[algorithm]
    digest = _HASHES[str(known.digest)]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(digest))
    if known.scheme == "RSASSA_PSS":
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(message, padding.PKCS1v15(), digest)


def oaep(algorithm: str) -> padding.OAEP:
    """Return the padding of ``RSAES_OAEP_SHA_256`` or ``RSAES_OAEP_SHA_1``."""
    digest = hashes.SHA256() if algorithm == "RSAES_OAEP_SHA_256" else hashes.SHA1()  # noqa: S303 - an algorithm of KMS
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
