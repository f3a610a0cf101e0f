"""Public keys of AWS KMS: fetched once, published as a document, used without AWS credentials.

See https://docs.aws.amazon.com/kms/latest/developerguide/download-public-key.html
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.errors import PublicKeyInvalid
from kms_runtime.key_arn import call_kms, check_key_arn
from kms_runtime.public_keys.jwk import (
    OAEP_OVERHEAD,
    AsymmetricKey,
    jose_name,
    key_spec_of,
    parameters,
    rsa_plaintext_limit,
    thumbprint,
)

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


_STRINGS = ("keyArn", "keySpec", "keyUsage", "sha256", "der")


_USAGES = ("ENCRYPT_DECRYPT", "SIGN_VERIFY", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE")


_ALGORITHM_LISTS = ("EncryptionAlgorithms", "SigningAlgorithms", "KeyAgreementAlgorithms", "EncapsulationAlgorithms")
_USE = {"ENCRYPT_DECRYPT": "enc", "SIGN_VERIFY": "sig", "KEY_AGREEMENT": "enc", "ENCAPSULATE_DECAPSULATE": "enc"}


@dataclass(frozen=True)
class PublicKey:
    """The public half of an asymmetric KMS key, with what AWS KMS says about it.

    Args:
        key_arn: ARN of the KMS key.
        key_spec: Such as ``RSA_3072`` or ``ECC_NIST_P256``.
        key_usage: ``ENCRYPT_DECRYPT``, ``SIGN_VERIFY``, ``KEY_AGREEMENT`` or ``ENCAPSULATE_DECAPSULATE``.
        algorithms: AWS KMS's names of the algorithms to use it with.
        der: DER of its SubjectPublicKeyInfo.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.
    """

    key_arn: str
    key_spec: str
    key_usage: str
    algorithms: tuple[str, ...]
    der: bytes

    def __post_init__(self) -> None:
        check_key_arn(self.key_arn)

    @classmethod
    def fetch(cls, key_arn: str, *, kms_client: "KMSClient") -> Self:
        """Return the public key that AWS KMS has for ``key_arn``: one call of GetPublicKey.

        Raises:
            InvalidArnException: ``key_arn`` is not a key ARN.
            UnsupportedOperationException: The key is symmetric.
            IncorrectKeyException: The response is for another key.
            AwsError: AWS KMS refused for another reason; the class name is its error code.
        """
        response = call_kms(kms_client.get_public_key, "GetPublicKey", key_arn)
        algorithms = tuple(name for names in _ALGORITHM_LISTS for name in response.get(names) or ())
        if not algorithms and response["KeyUsage"] == "ENCAPSULATE_DECAPSULATE":
            # A botocore older than these keys drops the list from the response.
            algorithms = ("ML_KEM",)
        return cls(key_arn, response["KeySpec"], response["KeyUsage"], algorithms, bytes(response["PublicKey"]))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the public key of a published ``document``, after checking that its parts agree.

        The checksum finds damage, not forgery: fetch documents over TLS, from an address that you trust.

        Raises:
            PublicKeyInvalid: The document lacks a member, or its key spec, checksum, PEM or JSON Web Key is another
                key's.
            InvalidArnException: ``keyArn`` is not a key ARN.
        """
        der = check_document(document)
        algorithms = tuple(document["algorithms"])
        found = cls(document["keyArn"], document["keySpec"], document["keyUsage"], algorithms, der)
        for name, expected in found.document().items():
            if name in document and document[name] != expected:
                raise PublicKeyInvalid(f"the document's {name} does not agree with its der; fetch it again")
        return found

    def document(self) -> dict[str, Any]:
        """Return what is published: everything an outsider needs to encrypt, verify or agree.

        Raises:
            PublicKeyInvalid: A key that ``cryptography`` does not know (SM2).
        """
        document: dict[str, Any] = {
            "keyArn": self.key_arn,
            "keySpec": self.key_spec,
            "keyUsage": self.key_usage,
            "algorithms": list(self.algorithms),
        }
        limits = {name: self.plaintext_limit(name) for name in self.algorithms if name in OAEP_OVERHEAD}
        if limits:
            document["plaintextLimits"] = limits
        encoded = base64.b64encode(self.der).decode()
        return document | {"sha256": self.sha256, "der": encoded, "pem": self.pem, "jwk": self.jwk()}

    def limited_to(self, *algorithms: str) -> Self:
        """Return the same key, to be used with fewer algorithms.

        Raises:
            InvalidKeyUsageException: The key does not know one of them.
        """
        for name in algorithms:
            self._check_algorithm(name)
        return replace(self, algorithms=tuple(name for name in self.algorithms if name in algorithms))

    @cached_property
    def key(self) -> AsymmetricKey:
        """The key as ``cryptography`` has it.

        Raises:
            PublicKeyInvalid: It is not a key, of a kind that ``cryptography`` does not know, or of another key spec.
        """
        try:
            key = load_der_public_key(self.der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PublicKeyInvalid(f"the public key of {self.key_arn} cannot be read: {error}") from None
        if (found := key_spec_of(key)) != self.key_spec:
            raise PublicKeyInvalid(f"the public key of {self.key_arn} is of {found}, not of {self.key_spec}")
        return cast("AsymmetricKey", key)

    @property
    def pem(self) -> str:
        """The key as PEM text, as OpenSSL reads it."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def sha256(self) -> str:
        """SHA-256 of ``der``, hexadecimal: compare it by another channel to be sure of the key."""
        return hashlib.sha256(self.der).hexdigest()

    def jwk(self, algorithm: str | None = None) -> dict[str, str]:
        """Return the key as a JSON Web Key; ``kid`` is its thumbprint (RFC 7638).

        Args:
            algorithm: AWS KMS's name of the one algorithm to state in ``alg``. Defaults to the key's algorithm if it
                has only one; otherwise ``alg`` is omitted.

        Raises:
            InvalidKeyUsageException: The key does not know ``algorithm``.
        """
        if algorithm is not None:
            self._check_algorithm(algorithm)
        elif len(self.algorithms) == 1:
            (algorithm,) = self.algorithms
        members = parameters(self.key)
        name = jose_name(self.key_spec, algorithm) if algorithm else None
        alg = {"alg": name} if name else {}
        return {**members, "use": _USE[self.key_usage], "kid": thumbprint(members), **alg}

    def plaintext_limit(self, algorithm: str) -> int:
        """Return how many bytes ``algorithm`` encrypts at most with this key.

        Raises:
            InvalidKeyUsageException: The key does not encrypt with ``algorithm``.
        """
        self._check_algorithm(algorithm)
        if algorithm not in OAEP_OVERHEAD or not isinstance(self.key, RSAPublicKey):
            raise InvalidKeyUsageException(f"{algorithm} of {self.key_arn} does not encrypt")
        return rsa_plaintext_limit(self.key.key_size, algorithm)

    def _check_algorithm(self, algorithm: str) -> None:
        if algorithm not in self.algorithms:
            raise InvalidKeyUsageException(
                f"{algorithm} is not an algorithm of {self.key_arn}, which has {', '.join(self.algorithms)}"
            )


def check_document(document: Mapping[str, Any]) -> bytes:
    """Return the DER of ``document``.

    Raises:
        PublicKeyInvalid: A member is missing or of another type, or the checksum is of other bytes.
    """
    wrong = [name for name in _STRINGS if not isinstance(document.get(name), str)]
    algorithms = document.get("algorithms")
    if not isinstance(algorithms, list) or not all(isinstance(name, str) for name in algorithms):
        wrong.append("algorithms")
    if wrong:
        raise PublicKeyInvalid(
            f"this is not the document of a public key: {', '.join(wrong)} missing or of another type"
        )
    if document["keyUsage"] not in _USAGES:
        raise PublicKeyInvalid(f"keyUsage {document['keyUsage']!r} is not one of {', '.join(_USAGES)}")
    try:
        der = base64.b64decode(document["der"], validate=True)
    except (binascii.Error, ValueError):
        raise PublicKeyInvalid("der is not Base64") from None
    if hashlib.sha256(der).hexdigest() != document["sha256"]:
        raise PublicKeyInvalid("sha256 is not that of der: the document is damaged; fetch it again")
    return der
