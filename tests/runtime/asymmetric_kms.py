"""The KMS in memory of these tests, with the operations of data key pairs, key agreement and ReEncrypt added."""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

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
        return {"KeyId": self.base.answer_as or request["KeyId"], "SharedSecret": secret}

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
