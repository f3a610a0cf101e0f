"""Keys that tokens are verified with: read from JSON Web Keys, found by the key id that a token names.

See https://www.rfc-editor.org/rfc/rfc7517#section-5, https://www.rfc-editor.org/rfc/rfc7518#section-6,
https://www.rfc-editor.org/rfc/rfc8037#section-2 and https://www.rfc-editor.org/rfc/rfc9964
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from kms_runtime.aws_errors import AwsError, DisabledException, KMSInvalidStateException, NotFoundException
from kms_runtime.errors import ServiceUnreachable, TokenKeySetInvalid, TokenKeyUnknown, TokenMalformed
from kms_runtime.key_arn import check_key_arn, parse_key_arn
from kms_runtime.public_keys.jwk import AsymmetricKey
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.tokens.algorithms import ALGORITHMS, Check, checker, token_algorithm
from kms_runtime.tokens.compact import decode_segment, parse_object

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_ML_DSA: Final[Mapping[str, type[MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey]]] = {
    "ML-DSA-44": MLDSA44PublicKey,
    "ML-DSA-65": MLDSA65PublicKey,
    "ML-DSA-87": MLDSA87PublicKey,
}


def read_jwk(jwk: Mapping[str, Any]) -> AsymmetricKey:
    """Return the public key in a JSON Web Key of type RSA, EC, OKP or AKP.

    Raises:
        TokenKeySetInvalid: A member is missing or not canonical Base64url, or the numbers are not a key.
    """
    try:
        match jwk.get("kty"), jwk.get("alg" if jwk.get("kty") == "AKP" else "crv"):
            case "RSA", None:
                return RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
            case "EC", str(name) if name in _CURVES:
                return _point(jwk, _CURVES[name])
            case "OKP", "Ed25519":
                return Ed25519PublicKey.from_public_bytes(_octets(jwk, "x"))
            case "AKP", str(name) if name in _ML_DSA:
                return _ML_DSA[name].from_public_bytes(_octets(jwk, "pub"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenKeySetInvalid(f"the key set contains an invalid key: {error}") from None
    raise TokenKeySetInvalid(f"a key of the key set is of type {jwk.get('kty')!r}, curve {jwk.get('crv')!r}")


def _point(jwk: Mapping[str, Any], curve: ec.EllipticCurve) -> AsymmetricKey:
    x, y, length = _octets(jwk, "x"), _octets(jwk, "y"), (curve.key_size + 7) // 8
    if len(x) != length or len(y) != length:
        raise TokenKeySetInvalid(f"a coordinate of curve {jwk['crv']} has another length than {length} bytes")
    return ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve).public_key()


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(jwk, name), "big")


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise TokenKeySetInvalid(f"a key of the key set has no {name}")
    try:
        return decode_segment(value.encode())
    except TokenMalformed as error:
        raise TokenKeySetInvalid(f"{name} of a key: {error}") from None


LOG = logging.getLogger("kms_runtime")
LARGEST_DOCUMENT = 65_536
KEY_GONE: Final = (DisabledException, KMSInvalidStateException, NotFoundException)
"""A key that is disabled, pending deletion or deleted."""
FETCHED_WITHIN: Final = 2.0
"""Seconds after which no further key is asked for: a request to the address ends before its function does."""
_WHITE_SPACE = b" \t\r\n"  # what RFC 8259, section 2, allows around a document
# Of RSA, EC and OKP, of HMAC keys, and of ML-DSA.
_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One key: its id, the only algorithm of its tokens, and what checks their signatures."""

    key_id: str
    algorithm: str
    check: Check


class KeySet(Protocol):
    """Finds keys for ``verify_token``."""

    def find(self, key_id: str) -> TokenKey:
        """Return the key; raise TokenKeyUnknown if there is none."""


class Jwks:
    """The keys of a JSON Web Key Set, as the JWKS address of a TokenIssuer publishes it.

    Args:
        keys: At least one; each key id once.

    Raises:
        TokenKeySetInvalid: No key, or two with one key id.
    """

    def __init__(self, keys: Iterable[TokenKey]) -> None:
        found = list(keys)
        self._keys = {key.key_id: key for key in found}
        if not found or len(self._keys) != len(found):
            raise TokenKeySetInvalid(f"the key set has {len(found)} keys with {len(self._keys)} key ids")

    @classmethod
    def parse(cls, document: str | bytes) -> Self:
        """Read a document.

        Keys that this package does not verify tokens with are ignored, as RFC 7517, section 5, asks for: an unknown
        ``kty`` or ``alg``, a missing member, a curve or a length that is not supported. Tokens that name such a key
        are refused. A secret member of any key is an alarm.

        Raises:
            TokenKeySetInvalid: It is not a JSON Web Key Set, holds a private key, or has no key to verify tokens with.
        """
        try:
            raw = document.encode() if isinstance(document, str) else document
        except UnicodeEncodeError:
            raise TokenKeySetInvalid("the key set is not Unicode text: it holds a lone surrogate") from None
        if len(raw) > LARGEST_DOCUMENT:
            raise TokenKeySetInvalid(f"the key set has {len(raw)} bytes; at most {LARGEST_DOCUMENT} are read")
        try:
            entries = parse_object(raw.strip(_WHITE_SPACE), "key set").get("keys")
        except TokenMalformed as error:
            raise TokenKeySetInvalid(str(error)) from None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TokenKeySetInvalid("the key set has no list of keys")
        for entry in entries:
            if secret := sorted(entry.keys() & _SECRET):
                found = ", ".join(secret)
                raise TokenKeySetInvalid(f"the key set holds a private key ({found}); it must not be published")
        keys, refusals = [], []
        for entry in filter(_is_ours, entries):
            try:
                keys.append(_token_key(entry))
            except TokenKeySetInvalid as error:
                refusals.append(str(error))
        if refusals and not keys:
            raise TokenKeySetInvalid(f"the key set has no key to verify tokens with: {'; '.join(refusals)}")
        return cls(keys)

    @classmethod
    def of(cls, keys: Iterable[tuple[PublicKey, str]]) -> Self:
        """Return the set of public keys of AWS KMS, each with JOSE's name of its algorithm.

        Raises:
            TokenAlgorithmRefused: Tokens may not have the algorithm.
            TokenKeySetInvalid: Keys of this kind do not have the algorithm.
        """
        return cls(TokenKey(key_id(key.key_arn), algorithm, checker(key.key, algorithm)) for key, algorithm in keys)

    def find(self, key_id: str) -> TokenKey:
        """Return the key with this id.

        Raises:
            TokenKeyUnknown: There is none.
        """
        found = self._keys.get(key_id)
        if found is None:
            raise TokenKeyUnknown(f"no key of the key set has the id {key_id!r}")
        return found


def key_id(key_arn: str) -> str:
    """Return the ``kid`` of a KMS key's tokens: its key id, which a function knows without asking for the public key.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.
    """
    parts = parse_key_arn(check_key_arn(key_arn))
    assert parts  # noqa: S101 - checked in the line above
    return parts.key_id


def jwks_document(keys: Iterable[tuple[PublicKey, str]]) -> bytes:
    """Return the JSON Web Key Set of public keys of AWS KMS, each with JOSE's name of its algorithm.

    The same keys give the same bytes, so that a checksum of them tells whether anything changed.
    """
    entries = [
        {**key.jwk(token_algorithm(algorithm).kms_name), "kid": key_id(key.key_arn), "alg": algorithm}
        for key, algorithm in keys
    ]
    return json.dumps({"keys": entries}, sort_keys=True, separators=(",", ":")).encode()


def fetch_jwks(keys: Sequence[tuple[str, str]], *, kms_client: "KMSClient") -> bytes:
    """Return the JSON Web Key Set of an issuer's keys, by one GetPublicKey each.

    A key of ``KEY_GONE`` is omitted, so disabling a key in AWS KMS takes it from the address within the period.

    Args:
        keys: ARN of each key and JOSE's name of its algorithm, the current key first.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        AwsError: AWS KMS refused, or no key is left.
        ServiceUnreachable: No response of AWS KMS, or not of all keys in time.
    """
    found: list[tuple[PublicKey, str]] = []
    gone: AwsError | None = None
    end = time.monotonic() + FETCHED_WITHIN
    for arn, algorithm in keys:
        if time.monotonic() > end:
            raise ServiceUnreachable(
                f"AWS KMS took more than {FETCHED_WITHIN:g} s for {len(found)} of {len(keys)} keys"
            )
        try:
            found.append((PublicKey.fetch(arn, kms_client=kms_client), algorithm))
        except KEY_GONE as error:
            gone = error
            LOG.warning("key is not published", extra={"keyArn": arn, "errorCode": error.code})
    if not found:
        raise gone or AwsError("no key is configured")
    return jwks_document(found)


def _is_ours(entry: Mapping[str, Any]) -> bool:
    algorithm, operations = ALGORITHMS.get(str(entry.get("alg"))), entry.get("key_ops", ["verify"])
    verifies = entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    return verifies and algorithm is not None and not algorithm.is_mac


def _token_key(entry: Mapping[str, Any]) -> TokenKey:
    if not isinstance(entry.get("kid"), str):
        raise TokenKeySetInvalid("a key of the key set has no kid")
    return TokenKey(entry["kid"], entry["alg"], checker(read_jwk(entry), entry["alg"]))
