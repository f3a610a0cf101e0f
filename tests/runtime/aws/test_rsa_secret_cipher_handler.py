"""SecretCipher on an RSA key: sizes by key and algorithm, no context, and AWS's refusals under AWS's names."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import KmsRuntimeError, PublicKey, encrypt_with_public_key
from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.errors import PlaintextEmpty, PlaintextTooLarge
from kms_runtime.handlers import rsa_secret_cipher
from kms_runtime.handlers.validation import schema
from kms_runtime.secrets.rsa_secrets import check_plaintext, encrypt_rsa_secret

ARN = "arn:aws:kms:eu-west-1:111122223333:key/00000000-12ab-34cd-56ef-1234567890ab"
SHA_1, SHA_256 = "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"
HASHES = {SHA_1: hashes.SHA1(), SHA_256: hashes.SHA256()}
LIMITS = [
    ("RSA_2048", SHA_256, 190),
    ("RSA_3072", SHA_256, 318),
    ("RSA_4096", SHA_256, 446),
    ("RSA_2048", SHA_1, 214),
    ("RSA_3072", SHA_1, 342),
    ("RSA_4096", SHA_1, 470),
]


class RsaKms:
    """Encrypts and decrypts with one RSA key, and records what it is asked."""

    def __init__(self, pair: rsa.RSAPrivateKey) -> None:
        self.pair, self.calls, self.answer_as = pair, [], ARN

    def encrypt(self, **request: Any) -> Mapping[str, Any]:
        self.calls.append(("Encrypt", request))
        blob = self.pair.public_key().encrypt(request["Plaintext"], self._padding(request))
        return {"CiphertextBlob": blob, **self._facts(request)}

    def decrypt(self, **request: Any) -> Mapping[str, Any]:
        self.calls.append(("Decrypt", request))
        try:
            plaintext = self.pair.decrypt(request["CiphertextBlob"], self._padding(request))
        except ValueError:
            raise ClientError({"Error": {"Code": "InvalidCiphertextException"}}, "Decrypt") from None
        return {"Plaintext": plaintext, **self._facts(request)}

    def _facts(self, request: Mapping[str, Any]) -> dict[str, str]:
        return {"KeyId": self.answer_as, "EncryptionAlgorithm": request["EncryptionAlgorithm"]}

    @staticmethod
    def _padding(request: Mapping[str, Any]) -> padding.OAEP:
        chosen = HASHES[request["EncryptionAlgorithm"]]
        return padding.OAEP(padding.MGF1(chosen), chosen, None)


@pytest.fixture
def rsa_kms(rsa_pair: rsa.RSAPrivateKey) -> RsaKms:
    return RsaKms(rsa_pair)


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, rsa_kms: RsaKms) -> None:
    monkeypatch.setattr(rsa_secret_cipher, "kms_client", lambda: rsa_kms)
    monkeypatch.setenv("KEY_ARN", ARN)
    monkeypatch.setenv("KEY_SPEC", "RSA_2048")
    monkeypatch.setenv("ENCRYPTION_ALGORITHM", SHA_256)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_secret_comes_back_and_answers_follow_their_schemas(rsa_kms: RsaKms) -> None:
    made = rsa_secret_cipher.encrypt({"plaintext": text(b"hush")}, None)
    found = rsa_secret_cipher.decrypt({"ciphertext": made["ciphertext"]}, None)
    assert found == {"plaintext": text(b"hush"), "keyArn": ARN, "encryptionAlgorithm": SHA_256}
    fastjsonschema.compile(schema("rsa_secret_cipher/encrypt_response"))(made)
    fastjsonschema.compile(schema("rsa_secret_cipher/decrypt_response"))(found)
    assert [sorted(request) for _, request in rsa_kms.calls] == [
        ["EncryptionAlgorithm", "KeyId", "Plaintext"],
        ["CiphertextBlob", "EncryptionAlgorithm", "KeyId"],
    ]


def test_what_an_outsider_encrypted_comes_back(rsa_pair: rsa.RSAPrivateKey) -> None:
    der = rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = PublicKey(ARN, "RSA_2048", "ENCRYPT_DECRYPT", (SHA_256,), der)
    ciphertext = encrypt_with_public_key(bytes(190), public_key=key)
    assert rsa_secret_cipher.decrypt({"ciphertext": text(ciphertext)}, None)["plaintext"] == text(bytes(190))


@pytest.mark.parametrize(("spec", "algorithm", "limit"), LIMITS)
def test_limit_is_the_keys_own(spec: str, algorithm: str, limit: int) -> None:
    check_plaintext(bytes(limit), spec, algorithm)
    with pytest.raises(PlaintextTooLarge) as caught:
        check_plaintext(bytes(limit + 1), spec, algorithm)
    assert str(caught.value) == (
        f"the plaintext has {limit + 1} bytes and {algorithm} with {spec} takes at most {limit}; "
        "for larger data use envelope encryption (KmsRsaKeyring, or the RsaEnvelopeCipher construct)"
    )
    with pytest.raises(PlaintextEmpty, match=f"1 to {limit} bytes"):
        check_plaintext(b"", spec, algorithm)


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        ({"plaintext": text(bytes(191))}, "PlaintextTooLarge", "takes at most 190"),
        ({"plaintext": ""}, "PlaintextEmpty", "takes 1 to 190 bytes"),
        ({"plaintext": "not base64!"}, "InvalidRequest", "event.plaintext must be encoded by base64"),
        ({}, "InvalidRequest", "event must contain ['plaintext'] properties"),
        ({"plaintext": text(b"x"), "encryptionContext": {"tenant": "a"}}, "InvalidRequest", "RSA keys have no"),
        ({"plaintext": text(b"x"), "encryptionContext": {}}, "InvalidRequest", "RSA keys have no"),
    ],
)
def test_refusal_is_a_typed_error_before_any_call(
    event: dict[str, Any], code: str, reason: str, rsa_kms: RsaKms, refused: Callable[..., KmsRuntimeError]
) -> None:
    error = refused(rsa_secret_cipher.encrypt, event)
    assert (error.code, rsa_kms.calls) == (code, [])
    assert reason in str(error)


@pytest.mark.parametrize("length", [0, 255, 257])
def test_ciphertext_of_another_length_is_refused_before_any_call(
    length: int, rsa_kms: RsaKms, refused: Callable[..., KmsRuntimeError]
) -> None:
    error = refused(rsa_secret_cipher.decrypt, {"ciphertext": text(bytes(length))})
    assert str(error) == f"the ciphertext has {length} bytes; a ciphertext of RSA_2048 has 256"
    assert rsa_kms.calls == []


def test_tampered_ciphertext_and_other_algorithm_are_refused_by_kms(
    rsa_kms: RsaKms, refused: Callable[..., KmsRuntimeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = bytearray(base64.b64decode(rsa_secret_cipher.encrypt({"plaintext": text(b"x")}, None)["ciphertext"]))
    blob[7] ^= 1
    assert refused(rsa_secret_cipher.decrypt, {"ciphertext": text(bytes(blob))}).code == "InvalidCiphertextException"
    blob[7] ^= 1
    monkeypatch.setenv("ENCRYPTION_ALGORITHM", SHA_1)
    assert refused(rsa_secret_cipher.decrypt, {"ciphertext": text(bytes(blob))}).code == "InvalidCiphertextException"


def test_answer_about_another_key_is_refused(rsa_kms: RsaKms, refused: Callable[..., KmsRuntimeError]) -> None:
    rsa_kms.answer_as = ARN[:-1] + "c"
    assert refused(rsa_secret_cipher.encrypt, {"plaintext": text(b"x")}).code == "IncorrectKeyException"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("KEY_SPEC", "RSA_1024", "InvalidKeyUsageException"),
        ("ENCRYPTION_ALGORITHM", "SYMMETRIC_DEFAULT", "InvalidKeyUsageException"),
        ("KEY_ARN", "", "FunctionMisconfigured"),
    ],
)
def test_misconfigured_function_says_so(
    *, name: str, value: str, code: str, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., KmsRuntimeError]
) -> None:
    monkeypatch.setenv(name, value)
    assert refused(rsa_secret_cipher.encrypt, {"plaintext": text(b"x")}).code == code


def test_signing_key_does_not_encrypt(rsa_pair: rsa.RSAPrivateKey) -> None:
    der = rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = PublicKey(ARN, "RSA_2048", "SIGN_VERIFY", ("RSASSA_PSS_SHA_256",), der)
    with pytest.raises(InvalidKeyUsageException, match="RSAES_OAEP_SHA_256 is not an algorithm of"):
        encrypt_with_public_key(b"x", public_key=key)


def test_symmetric_spec_is_refused(rsa_kms: RsaKms) -> None:
    with pytest.raises(InvalidKeyUsageException, match="RSA encryption takes RSA_2048"):
        encrypt_rsa_secret(b"x", key_arn=ARN, key_spec="SYMMETRIC_DEFAULT", algorithm=SHA_256, kms_client=rsa_kms)
