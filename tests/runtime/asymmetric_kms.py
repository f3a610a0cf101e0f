"""KMS in memory for asymmetric keys: encryption, agreement, signatures."""

import base64
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.operations import public_keys
from kms_runtime.signing_algorithms import ALGORITHMS_OF

_CURVES = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}
_RSA: dict[str, rsa.RSAPrivateKey] = {}


class AsymmetricKms:
    """Stands for ``boto3.client("kms")``; what is symmetric, is recorded or fails on demand is the KMS ``base``."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.agreement_key = ec.generate_private_key(ec.SECP256R1())

    def decrypt(self, **request: Any) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.base.decrypt(**request)
        return found

    def generate_data_key_pair(self, **request: Any) -> Mapping[str, Any]:
        return self._pair("GenerateDataKeyPair", request)

    def generate_data_key_pair_without_plaintext(self, **request: Any) -> Mapping[str, Any]:
        pair = dict(self._pair("GenerateDataKeyPairWithoutPlaintext", request))
        del pair["PrivateKeyPlaintext"]
        return pair

    def derive_shared_secret(self, **request: Any) -> Mapping[str, Any]:
        self.base._record("DeriveSharedSecret", request)
        peer = load_der_public_key(request["PublicKey"])
        assert isinstance(peer, ec.EllipticCurvePublicKey)
        secret = self.agreement_key.exchange(ec.ECDH(), peer)
        key_id = self.base.answer_as or request["KeyId"]
        return {"KeyId": key_id, "SharedSecret": secret, "KeyAgreementAlgorithm": "ECDH"}

    def re_encrypt(self, **request: Any) -> Mapping[str, Any]:
        self.base._record("ReEncrypt", request)
        opened = self.base.decrypt(
            KeyId=request["SourceKeyId"],
            CiphertextBlob=request["CiphertextBlob"],
            EncryptionContext=request.get("SourceEncryptionContext", {}),
            EncryptionAlgorithm=request["SourceEncryptionAlgorithm"],
        )
        context = request.get("DestinationEncryptionContext", {})
        return {
            "CiphertextBlob": self.base._wrap(request["DestinationKeyId"], opened["Plaintext"], context),
            "SourceKeyId": request["SourceKeyId"],
            "KeyId": self.base.answer_as or request["DestinationKeyId"],
        }

    def _pair(self, operation: str, request: dict[str, Any]) -> Mapping[str, Any]:
        self.base._record(operation, request)
        key = private_key(request["KeyPairSpec"])
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return {
            "KeyId": self.base.answer_as or request["KeyId"],
            "KeyPairSpec": request["KeyPairSpec"],
            "PublicKey": key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "PrivateKeyPlaintext": der,
            "PrivateKeyCiphertextBlob": self.base._wrap(request["KeyId"], der, request["EncryptionContext"]),
        }


def private_key(spec: str) -> Any:
    """Return a private key of a data key pair spec; RSA keys, which take long to find, are the same each time."""
    if spec == "ECC_NIST_EDWARDS25519":
        return ed25519.Ed25519PrivateKey.generate()
    if spec in _CURVES:
        return ec.generate_private_key(_CURVES[spec]())
    if spec not in _RSA:
        _RSA[spec] = rsa.generate_private_key(65537, int(spec.removeprefix("RSA_")))
    return _RSA[spec]


GENERATORS: dict[str, Callable[[], Any]] = {
    **{f"RSA_{bits}": lambda bits=bits: rsa.generate_private_key(65537, bits) for bits in (2048, 3072, 4096)},
    "ECC_NIST_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ECC_NIST_P384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ECC_NIST_P521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ECC_SECG_P256K1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey.generate,
    "ML_DSA_44": mldsa.MLDSA44PrivateKey.generate,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey.generate,
    "ML_DSA_87": mldsa.MLDSA87PrivateKey.generate,
}
ARN = "arn:aws:kms:eu-west-1:111122223333:key/{}"


class SigningKms:
    """Stands for ``boto3.client("kms")``; one key per key spec (and name), made on first use."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failure: Exception | None = None
        self.answer_as: str | None = None

    def sign(self, **request: Any) -> Mapping[str, Any]:
        answer = self._ask(public_keys.sign, "Sign", request)
        return answer | {"Signature": base64.b64decode(answer["Signature"])}

    def verify(self, **request: Any) -> Mapping[str, Any]:
        return self._ask(public_keys.verify, "Verify", request)

    def get_public_key(self, **request: Any) -> Mapping[str, Any]:
        self.calls.append(("GetPublicKey", request))
        record = record_of(request["KeyId"])
        der = record["_private_key"].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        names = ("KeySpec", "KeyUsage", "SigningAlgorithms")
        return {"KeyId": record["Arn"], "PublicKey": der, **{name: record[name] for name in names}}

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def _ask(self, operation: Any, name: str, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((name, request))
        if self.failure:
            raise self.failure
        sent = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in request.items()}
        try:
            answer: dict[str, Any] = operation(record_of(request["KeyId"]), sent)
        except KmsError as error:
            raise ClientError({"Error": {"Code": error.code, "Message": error.message}}, name) from error
        return answer | {"KeyId": self.answer_as or answer["KeyId"]}


@cache
def record_of(arn: str) -> dict[str, Any]:
    spec = arn.rpartition("/")[2].partition("--")[0].replace("-", "_")
    return {
        "Arn": arn,
        "KeySpec": spec,
        "KeyUsage": "SIGN_VERIFY",
        "KeyState": "Enabled",
        "SigningAlgorithms": list(ALGORITHMS_OF[spec]),
        "_private_key": GENERATORS[spec](),
    }
