"""The data plane on each type of key: Encrypt, Decrypt, ReEncrypt, data keys, and imported and rotated material."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kms_patterns import EncryptionKey, KeyAgreementKey, KeyEncapsulationKey, MacKey, RsaEncryptionKey, SigningKey
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_runtime import KmsKeyring, KmsRuntimeError, decrypt_secret, encrypt_bytes, encrypt_secret
from kms_runtime.aws_errors import typed_errors
from kms_runtime.key_agreement.agreement import KmsParty, LocalParty
from kms_runtime.key_pairs.data_key_pairs import make_data_key_pair, make_data_key_pair_with_private_key
from kms_runtime.macs import generate_mac, verify_mac
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.symmetric import Side, re_encrypt
from kms_runtime.signatures.signing import sign, verify_with_kms

CONTEXT = {"tenant": "a", "purpose": "test"}


@pytest.mark.parametrize("length", [1, 32, 4095, 4096])
def test_decrypt_returns_what_encrypt_was_given(root_kms: Any, key: str, length: int) -> None:
    plaintext = bytes(index % 256 for index in range(length))
    sealed = root_kms.encrypt(KeyId=key, Plaintext=plaintext, EncryptionContext=CONTEXT)
    opened = root_kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert (opened["Plaintext"], opened["KeyId"], sealed["KeyId"]) == (plaintext, key, key)
    assert opened["EncryptionAlgorithm"] == sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"


@pytest.mark.parametrize("plaintext", [b"", b"x" * 4097])
def test_encrypt_refuses_empty_and_more_than_4096_bytes(
    root_kms: Any, key: str, code_of: Any, plaintext: bytes
) -> None:
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=plaintext) == "ValidationException"


def test_two_encryptions_of_the_same_differ_and_do_not_contain_it(root_kms: Any, key: str) -> None:
    plaintext = b"a secret that must not be seen"
    first, second = (root_kms.encrypt(KeyId=key, Plaintext=plaintext)["CiphertextBlob"] for _ in range(2))
    assert first != second
    assert plaintext not in first


def test_every_flipped_byte_of_a_ciphertext_is_refused(root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"four", EncryptionContext=CONTEXT)["CiphertextBlob"]
    for position in range(len(blob)):
        flipped = blob[:position] + bytes([blob[position] ^ 1]) + blob[position + 1 :]
        code = code_of(root_kms.decrypt, CiphertextBlob=flipped, KeyId=key, EncryptionContext=CONTEXT)
        assert code == "InvalidCiphertextException", position


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_truncated_ciphertext_is_refused(root_kms: Any, key: str, code_of: Any, cut: int) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"four")["CiphertextBlob"]
    assert code_of(root_kms.decrypt, CiphertextBlob=blob[:-cut], KeyId=key) == "InvalidCiphertextException"


@pytest.mark.parametrize("context", [{}, {"tenant": "a"}, CONTEXT | {"more": "x"}, {"tenant": "A", "purpose": "test"}])
def test_another_encryption_context_is_refused(root_kms: Any, key: str, code_of: Any, context: dict[str, str]) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    code = code_of(root_kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
    assert code == "InvalidCiphertextException"


def test_the_order_of_the_encryption_context_does_not_matter(root_kms: Any, key: str) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    reordered = dict(reversed(CONTEXT.items()))
    assert root_kms.decrypt(CiphertextBlob=blob, EncryptionContext=reordered)["Plaintext"] == b"x"


def test_decrypt_under_another_key_is_incorrect_key(root_kms: Any, key: str, make_key: Any, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert code_of(root_kms.decrypt, CiphertextBlob=blob, KeyId=make_key()) == "IncorrectKeyException"


@pytest.mark.parametrize("garbage", [b"x", b"x" * 200, b"\x01\x02\x03\x78", b"\x01\x02\x03\x78\xff" + b"x" * 60])
def test_garbage_is_an_invalid_ciphertext(root_kms: Any, code_of: Any, garbage: bytes) -> None:
    assert code_of(root_kms.decrypt, CiphertextBlob=garbage) == "InvalidCiphertextException"


def test_re_encrypt_moves_a_ciphertext_to_another_key_and_context(root_kms: Any, key: str, make_key: Any) -> None:
    other = make_key()
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"moved", EncryptionContext=CONTEXT)["CiphertextBlob"]
    moved = root_kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext=CONTEXT,
        DestinationKeyId=other, DestinationEncryptionContext={"to": "b"},
    )  # fmt: skip
    opened = root_kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"to": "b"})
    assert (moved["SourceKeyId"], moved["KeyId"], opened["Plaintext"], opened["KeyId"]) == (key, other, b"moved", other)


def test_re_encrypt_refuses_another_source_context_and_source_key(
    root_kms: Any, key: str, make_key: Any, code_of: Any
) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    other = make_key()
    refused = code_of(root_kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=other)
    assert refused == "InvalidCiphertextException"
    request = {"CiphertextBlob": blob, "SourceEncryptionContext": CONTEXT, "DestinationKeyId": other}
    assert code_of(root_kms.re_encrypt, SourceKeyId=other, **request) == "IncorrectKeyException"


def test_a_symmetric_key_refuses_an_rsa_algorithm(root_kms: Any, key: str, code_of: Any) -> None:
    request = {"KeyId": key, "Plaintext": b"x", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert code_of(root_kms.encrypt, **request) == "InvalidKeyUsageException"


def test_a_disabled_key_refuses_until_it_is_enabled_again(root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    root_kms.disable_key(KeyId=key)
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"
    assert code_of(root_kms.decrypt, CiphertextBlob=blob) == "DisabledException"
    assert code_of(root_kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "DisabledException"
    root_kms.enable_key(KeyId=key)
    assert root_kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_a_key_pending_deletion_is_in_an_invalid_state(root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    root_kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert code_of(root_kms.decrypt, CiphertextBlob=blob) == "KMSInvalidStateException"
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"


@pytest.mark.parametrize("reference", ["00000000-0000-0000-0000-000000000000", "alias/never-made"])
def test_a_key_that_does_not_exist_is_not_found(root_kms: Any, code_of: Any, reference: str) -> None:
    assert code_of(root_kms.encrypt, KeyId=reference, Plaintext=b"x") == "NotFoundException"


def test_a_key_is_found_by_id_arn_alias_and_alias_arn(root_kms: Any, key: str) -> None:
    root_kms.create_alias(AliasName="alias/data-plane", TargetKeyId=key)
    alias_arn = key.rsplit(":", 1)[0] + ":alias/data-plane"
    for reference in (key, key.rsplit("/", 1)[1], "alias/data-plane", alias_arn):
        assert root_kms.encrypt(KeyId=reference, Plaintext=b"x")["KeyId"] == key


def test_a_dry_run_reports_success_and_returns_nothing(root_kms: Any, key: str, code_of: Any) -> None:
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x", DryRun=True) == "DryRunOperationException"


@pytest.mark.parametrize(("request_", "length"), [
    ({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1}, 1),
    ({"NumberOfBytes": 1024}, 1024),
])  # fmt: skip
def test_a_data_key_has_the_requested_length_and_decrypts(
    root_kms: Any, key: str, request_: dict[str, Any], length: int
) -> None:
    made = root_kms.generate_data_key(KeyId=key, EncryptionContext=CONTEXT, **request_)
    opened = root_kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert (len(made["Plaintext"]), opened["Plaintext"], made["KeyId"]) == (length, made["Plaintext"], key)


@pytest.mark.parametrize("request_", [
    {}, {"KeySpec": "AES_256", "NumberOfBytes": 32}, {"NumberOfBytes": 1025}, {"KeySpec": "AES_512"},
])  # fmt: skip
def test_a_data_key_needs_exactly_one_valid_length(root_kms: Any, key: str, code_of: Any, request_: Any) -> None:
    assert code_of(root_kms.generate_data_key, KeyId=key, **request_) == "ValidationException"


def test_a_data_key_without_plaintext_reveals_none(root_kms: Any, key: str) -> None:
    made = root_kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256")
    assert "Plaintext" not in made
    assert len(root_kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"]) == 32


def test_the_private_key_of_a_data_key_pair_decrypts(root_kms: Any, key: str) -> None:
    pair = root_kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256", EncryptionContext=CONTEXT)
    opened = root_kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == pair["PrivateKeyPlaintext"]
    assert load_der_private_key(opened["Plaintext"], password=None) is not None
    hidden = root_kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert "PrivateKeyPlaintext" not in hidden


@pytest.mark.parametrize(("spec", "usage"), [
    ("RSA_2048", "SIGN_VERIFY"), ("ECC_NIST_P256", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC"),
])  # fmt: skip
def test_keys_for_another_use_refuse_encryption(
    root_kms: Any, make_key: Any, code_of: Any, spec: str, usage: str
) -> None:
    key = make_key(KeySpec=spec, KeyUsage=usage)
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "InvalidKeyUsageException"
    assert code_of(root_kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "InvalidKeyUsageException"


def test_an_rsa_encryption_key_encrypts_but_makes_no_data_keys(root_kms: Any, make_key: Any, code_of: Any) -> None:
    key = make_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    request = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = root_kms.encrypt(Plaintext=b"x", **request)["CiphertextBlob"]
    assert root_kms.decrypt(CiphertextBlob=blob, **request)["Plaintext"] == b"x"
    assert code_of(root_kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "InvalidKeyUsageException"
    made = code_of(root_kms.generate_data_key_pair, KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert made == "InvalidKeyUsageException"


MATERIAL, MATERIAL_ID, BOUND = os.urandom(32), os.urandom(16), {"tenant": "a"}


def _sealed() -> bytes:
    return ciphertext.encrypt("key-1", MATERIAL, MATERIAL_ID, b"plaintext", BOUND)


def test_a_blob_opens_under_its_material_and_context() -> None:
    blob = ciphertext.parse(_sealed())
    assert blob is not None
    assert (blob.key_id, blob.material_id) == ("key-1", MATERIAL_ID)
    assert ciphertext.decrypt(blob, MATERIAL, BOUND) == b"plaintext"


@pytest.mark.parametrize("change", [{"key_id": "key-2"}, {"material_id": bytes(16)}, {"nonce": bytes(12)}])
def test_a_blob_that_names_another_key_does_not_open_even_under_the_right_material(change: dict[str, str]) -> None:
    blob = ciphertext.parse(_sealed())
    assert blob is not None
    with pytest.raises(KmsError, check=lambda refused: refused.code == "InvalidCiphertextException"):
        ciphertext.decrypt(replace(blob, **change), MATERIAL, BOUND)  # type: ignore[arg-type]


def test_what_is_too_short_or_begins_otherwise_is_no_blob() -> None:
    sealed = _sealed()
    shortest = len(sealed) - len(b"plaintext")
    assert ciphertext.parse(sealed[:shortest]) is not None
    for raw in (b"", sealed[:4], sealed[: shortest - 1], b"x" + sealed[1:]):
        assert ciphertext.parse(raw) is None


DAY = 86400


@pytest.fixture
def external(root_kms: Any) -> str:
    return str(root_kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"])


@pytest.mark.parametrize(
    ("model", "days"),
    [
        ("KEY_MATERIAL_EXPIRES", -1),
        ("KEY_MATERIAL_EXPIRES", 366),
        ("KEY_MATERIAL_EXPIRES", None),
        ("KEY_MATERIAL_DOES_NOT_EXPIRE", 30),
    ],
)
def test_an_expiry_that_is_past_too_far_missing_or_in_excess_is_refused(
    root_kms: Any, external: str, code_of: Any, model: str, days: int | None
) -> None:
    given: Any = {"ValidTo": time.time() + days * DAY} if days else {}
    request = {"KeyId": external, "ImportToken": b"t", "EncryptedKeyMaterial": b"m", "ExpirationModel": model}
    assert code_of(root_kms.import_key_material, **request, **given) == "ValidationException"


def test_a_key_without_further_material_does_not_rotate_on_demand(root_kms: Any, external: str, code_of: Any) -> None:
    assert code_of(root_kms.rotate_key_on_demand, KeyId=external) == "KMSInvalidStateException"


def test_an_import_type_is_for_symmetric_keys(root_kms: Any, code_of: Any) -> None:
    key = root_kms.create_key(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    request = {"KeyId": key["Arn"], "ImportToken": b"t", "EncryptedKeyMaterial": b"m", "ImportType": "NEW_KEY_MATERIAL"}
    model = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    assert code_of(root_kms.import_key_material, **request, **model) == "ValidationException"


USAGE, UNSUPPORTED = "InvalidKeyUsageException", "UnsupportedOperationException"
TYPES: dict[str, tuple[type[Any], dict[str, str]]] = {
    "symmetric": (EncryptionKey, {}),
    "RSA encryption": (RsaEncryptionKey, {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}),
    "signing": (SigningKey, {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}),
    "HMAC": (MacKey, {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
    "key agreement": (KeyAgreementKey, {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}),
    "ML-KEM": (KeyEncapsulationKey, {"KeySpec": "ML_KEM_768", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}),
}
_ENCRYPT, _ASYMMETRIC = ("symmetric", "RSA encryption"), ("RSA encryption", "signing", "key agreement", "ML-KEM")
SERVED: dict[str, tuple[str, ...]] = {
    "Encrypt": _ENCRYPT,
    "Decrypt": _ENCRYPT,
    "ReEncryptFrom": _ENCRYPT,
    "ReEncryptTo": _ENCRYPT,
    "GenerateDataKey": ("symmetric",),
    "GenerateDataKeyWithoutPlaintext": ("symmetric",),
    "GenerateDataKeyPair": ("symmetric",),
    "GenerateDataKeyPairWithoutPlaintext": ("symmetric",),
    "Sign": ("signing",),
    "Verify": ("signing",),
    "GenerateMac": ("HMAC",),
    "VerifyMac": ("HMAC",),
    "DeriveSharedSecret": ("key agreement",),
    "Encapsulate": ("ML-KEM",),
    "Decapsulate": ("ML-KEM",),
    "GetPublicKey": _ASYMMETRIC,
}
CELLS = [(operation, kind) for operation in SERVED for kind in TYPES]
REFUSED = [(operation, kind) for operation, kind in CELLS if kind not in SERVED[operation]]
ALLOWED = [(operation, kind) for operation, kind in CELLS if kind in SERVED[operation]]
PEER = LocalParty(ec.generate_private_key(ec.SECP256R1())).public_key
BLOB = bytes(200)


def error_of(operation: str) -> str:
    return UNSUPPORTED if operation == "GetPublicKey" else USAGE


@pytest.fixture(scope="module")
def grants() -> dict[str, Callable[[str], object]]:
    """What grants one operation of a key of each type to one role."""
    stack = cdk.Stack(cdk.App(), "Stack")
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    keys = {name: kind(stack, name.replace(" ", "")) for name, (kind, _) in TYPES.items()}

    def of(key: Any) -> Callable[[str], object]:
        return lambda operation: key.grant_operations(role, f"kms:{operation}")

    return {name: of(key) for name, key in keys.items()}


@pytest.fixture(scope="module")
def arns(root_kms: Any) -> dict[str, str]:
    made = {name: root_kms.create_key(**options)["KeyMetadata"]["Arn"] for name, (_, options) in TYPES.items()}
    return {**made, "other": root_kms.create_key()["KeyMetadata"]["Arn"]}


@pytest.fixture(scope="module")
def blob(root_kms: Any, arns: dict[str, str]) -> bytes:
    """A ciphertext of the key that is the other side of a ReEncrypt."""
    return bytes(root_kms.encrypt(KeyId=arns["other"], Plaintext=b"x")["CiphertextBlob"])


@pytest.fixture
def run(root_kms: Any, arns: dict[str, str], blob: bytes) -> Callable[[str, str], object]:
    """What does the same by the functions of the runtime."""

    def do(operation: str, kind: str) -> object:
        key, kms = arns[kind], root_kms
        use: dict[str, Any] = {"key_arn": key, "kms_client": kms}
        bound = {**use, "encryption_context": {"tenant": "a"}}
        calls: dict[str, Callable[[], object]] = {
            "Encrypt": lambda: encrypt_secret(b"x", **bound),
            "Decrypt": lambda: decrypt_secret(BLOB, **bound),
            "ReEncryptFrom": lambda: re_encrypt(BLOB, source=Side(key), destination=_other(arns), kms_client=kms),
            "ReEncryptTo": lambda: re_encrypt(blob, source=_other(arns), destination=Side(key), kms_client=kms),
            "GenerateDataKey": lambda: encrypt_bytes(
                b"x", keyring=KmsKeyring(key, kms_client=kms), encryption_context={"tenant": "a"}
            ),
            "GenerateDataKeyWithoutPlaintext": lambda: kms.generate_data_key_without_plaintext(
                KeyId=key, KeySpec="AES_256"
            ),
            "GenerateDataKeyPair": lambda: make_data_key_pair_with_private_key("ECC_NIST_P256", "SIGN_VERIFY", **bound),
            "GenerateDataKeyPairWithoutPlaintext": lambda: make_data_key_pair("ECC_NIST_P256", "SIGN_VERIFY", **bound),
            "Sign": lambda: sign(b"x", algorithm="ECDSA_SHA_256", **use),
            "Verify": lambda: verify_with_kms(b"x", BLOB, algorithm="ECDSA_SHA_256", **use),
            "GenerateMac": lambda: generate_mac(b"x", algorithm="HMAC_SHA_256", **use),
            "VerifyMac": lambda: verify_mac(b"x", bytes(32), algorithm="HMAC_SHA_256", **use),
            "DeriveSharedSecret": lambda: KmsParty(key, kms).shared_secret(PEER),
            "Encapsulate": lambda: kms.encapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM"),
            "Decapsulate": lambda: kms.decapsulate(
                KeyId=key, EncapsulationAlgorithm="ML_KEM", SharedSecretCiphertextBlob=BLOB
            ),
            "GetPublicKey": lambda: PublicKey.fetch(key, kms_client=kms),
        }
        # The one operation without a function of its own goes through what all of them are made of.
        with typed_errors("AWS KMS"):
            return calls[operation]()

    return do


def _other(arns: dict[str, str]) -> Side:
    return Side(arns["other"])


@pytest.mark.parametrize(("operation", "kind"), REFUSED)
def test_operation_that_the_type_cannot_do_is_not_granted_and_its_error_is_typed(
    *,
    operation: str,
    kind: str,
    grants: dict[str, Callable[[str], object]],
    run: Callable[[str, str], object],
) -> None:
    with pytest.raises(GrantRefused, match=error_of(operation)):
        grants[kind](operation)
    with pytest.raises(KmsRuntimeError) as caught:
        run(operation, kind)
    assert type(caught.value).__name__ == error_of(operation)


def test_operations_that_the_type_can_do_are_granted(grants: dict[str, Callable[[str], object]]) -> None:
    for operation, kind in ALLOWED:
        grants[kind](operation)


def test_table_is_whole() -> None:
    assert (len(REFUSED), len(ALLOWED)) == (73, 23)
