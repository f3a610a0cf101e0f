"""An AWS KMS in memory: real AES-GCM with the encryption context authenticated, AWS's error codes, calls recorded."""

import base64
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import aws_encryption_sdk
import botocore.session
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.operations import public_keys
from kms_runtime import KmsKeyring, KmsRsaKeyring, KmsRuntimeError
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signing_algorithms import ALGORITHMS_OF

KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MRK_ARN = "arn:aws:kms:{}:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
RSA_KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/00000000-12ab-34cd-56ef-1234567890ab"
OTHER_KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/ffffffff-12ab-34cd-56ef-1234567890ab"


class FakeKms:
    """Stands for ``boto3.client("kms")``. A CiphertextBlob is the key ARN, a NUL, a nonce and AES-GCM output."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answer_as: str | None = None
        self.failure: Exception | None = None
        self.data_key_length = 32
        self._keys = {arn: AESGCM(AESGCM.generate_key(256)) for arn in (KEY_ARN, OTHER_KEY_ARN)}
        multi_region = AESGCM(AESGCM.generate_key(256))
        self._keys |= {MRK_ARN.format(region): multi_region for region in ("eu-west-1", "us-east-1")}
        self.rsa: rsa.RSAPrivateKey | None = None

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def generate_data_key(self, **request: Any) -> Mapping[str, Any]:
        self._record("GenerateDataKey", request)
        plaintext = os.urandom(request.get("NumberOfBytes", self.data_key_length))
        blob = self._wrap(request["KeyId"], plaintext, request.get("EncryptionContext", {}))
        return {"KeyId": self.answer_as or request["KeyId"], "Plaintext": plaintext, "CiphertextBlob": blob}

    def encrypt(self, **request: Any) -> Mapping[str, Any]:
        self._record("Encrypt", request)
        blob = self._wrap(request["KeyId"], request["Plaintext"], request.get("EncryptionContext", {}))
        return {
            "KeyId": self.answer_as or request["KeyId"],
            "CiphertextBlob": blob,
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }

    def decrypt(self, **request: Any) -> Mapping[str, Any]:
        self._record("Decrypt", request)
        if request["KeyId"] == RSA_KEY_ARN:
            return self._decrypt_rsa(request)
        arn, _, rest = request["CiphertextBlob"].partition(b"\0")
        if self._keys.get(arn.decode(errors="replace")) is not self._keys[request["KeyId"]]:
            raise self.error("IncorrectKeyException", "Decrypt")
        try:
            plaintext = self._keys[request["KeyId"]].decrypt(
                rest[:12], rest[12:], repr(sorted(request.get("EncryptionContext", {}).items())).encode()
            )
        except InvalidTag:
            raise self.error("InvalidCiphertextException", "Decrypt") from None
        return {
            "KeyId": self.answer_as or request["KeyId"],
            "Plaintext": plaintext,
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }

    def _decrypt_rsa(self, request: dict[str, Any]) -> Mapping[str, Any]:
        assert self.rsa
        digest = {"RSAES_OAEP_SHA_256": hashes.SHA256(), "RSAES_OAEP_SHA_1": hashes.SHA1()}
        chosen = digest[request["EncryptionAlgorithm"]]
        try:
            plaintext = self.rsa.decrypt(
                request["CiphertextBlob"], padding.OAEP(padding.MGF1(chosen), chosen, label=None)
            )
        except ValueError:
            raise self.error("InvalidCiphertextException", "Decrypt") from None
        return {"KeyId": self.answer_as or RSA_KEY_ARN, "Plaintext": plaintext}

    @staticmethod
    def error(code: str, operation: str) -> ClientError:
        return ClientError({"Error": {"Code": code, "Message": f"{code} from the fake"}}, operation)

    def _wrap(self, arn: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        nonce = os.urandom(12)
        sealed = self._keys[arn].encrypt(nonce, plaintext, repr(sorted(context.items())).encode())
        return arn.encode() + b"\0" + nonce + sealed

    def _record(self, operation: str, request: dict[str, Any]) -> None:
        self.calls.append((operation, request))
        if self.failure:
            raise self.failure


@pytest.fixture
def key_arn() -> str:
    return KEY_ARN


@pytest.fixture
def other_key_arn() -> str:
    return OTHER_KEY_ARN


@pytest.fixture
def mrk_arns() -> tuple[str, str]:
    """A multi-Region key and its replica."""
    return MRK_ARN.format("eu-west-1"), MRK_ARN.format("us-east-1")


@pytest.fixture
def kms() -> FakeKms:
    return FakeKms()


@pytest.fixture(scope="session")
def rsa_pair() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def rsa_keyring(kms: FakeKms, rsa_pair: rsa.RSAPrivateKey) -> KmsRsaKeyring:
    kms.rsa = rsa_pair
    return KmsRsaKeyring(RSA_KEY_ARN, public_key=der(rsa_pair), kms_client=kms)


def der(pair: rsa.RSAPrivateKey) -> bytes:
    return pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def keyring(kms: FakeKms) -> KmsKeyring:
    return KmsKeyring(KEY_ARN, kms_client=kms)


@pytest.fixture
def kms_error() -> Callable[[str, str], ClientError]:
    return FakeKms.error


@pytest.fixture(scope="session")
def session():
    session = botocore.session.Session()
    session.set_credentials("unused", "unused")
    return session


@pytest.fixture
def in_memory(kms, session):
    """A genuine botocore client, as AWS's SDKs insist on one, whose calls go to the KMS in memory."""
    operations = {"GenerateDataKey": kms.generate_data_key, "Encrypt": kms.encrypt, "Decrypt": kms.decrypt}

    def route(client=None, region="eu-west-1"):
        client = client or session.create_client("kms", region_name=region)
        client._make_api_call = lambda operation, request: operations[operation](**request)
        return client

    return route


@pytest.fixture
def official(request, session, in_memory, mpl):
    """What the official SDK needs to use KEY_ARN: a legacy provider, or a keyring of the material providers."""
    if request.param == "legacy":
        provider = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=[KEY_ARN], botocore_session=session)
        in_memory(provider._regional_clients["eu-west-1"])
        return {"key_provider": provider}
    created = mpl.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=KEY_ARN, kms_client=in_memory()))
    return {"keyring": created}


@pytest.fixture(scope="session")
def mpl():
    return AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


@pytest.fixture
def client():
    policy = aws_encryption_sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)


@pytest.fixture
def forbidding_client():
    policy = aws_encryption_sdk.CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)


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


@pytest.fixture
def arn_of() -> Callable[..., str]:
    """The ARN of the key of a key spec that signs; of another one for another name."""
    return lambda spec, name="": ARN.format(spec.replace("_", "-") + name)


@pytest.fixture
def public_key(arn_of: Callable[..., str]) -> Callable[..., PublicKey]:
    """The public half, fetched from a KMS of its own, so that no call is counted."""
    return lambda spec, name="": PublicKey.fetch(arn_of(spec, name), kms_client=SigningKms())


@pytest.fixture(name="private_key")
def _private_half(arn_of: Callable[..., str]) -> Callable[..., Any]:
    return lambda spec, name="": record_of(arn_of(spec, name))["_private_key"]


@pytest.fixture
def refused() -> Callable[..., KmsRuntimeError]:
    """Call what must refuse, and return its error."""

    def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> KmsRuntimeError:
        with pytest.raises(KmsRuntimeError) as caught:
            function(*arguments, **options)
        return caught.value

    return call
