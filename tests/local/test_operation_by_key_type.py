"""Which key type serves which operation, the same at three ends: the grant at synth, the runtime, the embedded AWS.

https://docs.aws.amazon.com/kms/latest/developerguide/key-types.html#symm-asymm-compare
"""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from cryptography.hazmat.primitives.asymmetric import ec

from kms_patterns import EncryptionKey, KeyAgreementKey, MacKey, RsaEncryptionKey, SigningKey
from kms_patterns.keys.errors import GrantRefused
from kms_runtime import KmsKeyring, KmsRuntimeError, decrypt_secret, encrypt_bytes, encrypt_secret
from kms_runtime.aws_errors import typed_errors
from kms_runtime.key_agreement.agreement import KmsParty, LocalParty
from kms_runtime.key_pairs.data_key_pairs import make_data_key_pair, make_data_key_pair_with_private_key
from kms_runtime.macs import generate_mac, verify_mac
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.re_encryption import Side, re_encrypt
from kms_runtime.signatures.signing import sign, verify_with_kms

USAGE, UNSUPPORTED = "InvalidKeyUsageException", "UnsupportedOperationException"
TYPES: dict[str, tuple[type[Any], dict[str, str]]] = {
    "symmetric": (EncryptionKey, {}),
    "RSA encryption": (RsaEncryptionKey, {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}),
    "signing": (SigningKey, {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}),
    "HMAC": (MacKey, {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
    "key agreement": (KeyAgreementKey, {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}),
}
_ENCRYPT, _ASYMMETRIC = ("symmetric", "RSA encryption"), ("RSA encryption", "signing", "key agreement")
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
def called(root_kms: Any, arns: dict[str, str], blob: bytes) -> Callable[[str, str], Any]:
    """What makes the call to KMS by boto3."""
    requests: dict[str, dict[str, Any]] = {
        "Encrypt": {"Plaintext": b"x"},
        "Decrypt": {"CiphertextBlob": BLOB},
        "GenerateDataKey": {"KeySpec": "AES_256"},
        "GenerateDataKeyWithoutPlaintext": {"KeySpec": "AES_256"},
        "GenerateDataKeyPair": {"KeyPairSpec": "ECC_NIST_P256"},
        "GenerateDataKeyPairWithoutPlaintext": {"KeyPairSpec": "ECC_NIST_P256"},
        "Sign": {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"},
        "Verify": {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": BLOB},
        "GenerateMac": {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256"},
        "VerifyMac": {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256", "Mac": bytes(32)},
        "DeriveSharedSecret": {"KeyAgreementAlgorithm": "ECDH", "PublicKey": PEER},
        "GetPublicKey": {},
    }

    def call(operation: str, kind: str) -> Any:
        key = arns[kind]
        oaep = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"} if kind == "RSA encryption" else {}
        if operation == "ReEncryptFrom":
            source = {f"Source{name}": value for name, value in oaep.items()}
            return root_kms.re_encrypt(CiphertextBlob=BLOB, SourceKeyId=key, DestinationKeyId=arns["other"], **source)
        if operation == "ReEncryptTo":
            destination = {f"Destination{name}": value for name, value in oaep.items()}
            return root_kms.re_encrypt(
                CiphertextBlob=blob, SourceKeyId=arns["other"], DestinationKeyId=key, **destination
            )
        algorithm = oaep if operation in ("Encrypt", "Decrypt") else {}
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
        return getattr(root_kms, name)(KeyId=key, **requests[operation], **algorithm)

    return call


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
            "GetPublicKey": lambda: PublicKey.fetch(key, kms_client=kms),
        }
        # The one operation without a function of its own goes through what all of them are made of.
        with typed_errors("AWS KMS"):
            return calls[operation]()

    return do


def _other(arns: dict[str, str]) -> Side:
    return Side(arns["other"])


@pytest.mark.parametrize(("operation", "kind"), REFUSED)
def test_operation_that_the_type_cannot_do_is_refused_at_every_end(
    *,
    operation: str,
    kind: str,
    grants: dict[str, Callable[[str], object]],
    called: Callable[[str, str], Any],
    run: Callable[[str, str], object],
    code_of: Callable[..., str],
) -> None:
    with pytest.raises(GrantRefused, match=error_of(operation)):
        grants[kind](operation)
    assert code_of(lambda: called(operation, kind)) == error_of(operation)
    with pytest.raises(KmsRuntimeError) as caught:
        run(operation, kind)
    assert type(caught.value).__name__ == error_of(operation)


@pytest.mark.parametrize(("operation", "kind"), ALLOWED)
def test_operation_that_the_type_can_do_is_granted_and_served(
    operation: str,
    kind: str,
    grants: dict[str, Callable[[str], object]],
    called: Callable[[str, str], Any],
) -> None:
    grants[kind](operation)
    try:
        called(operation, kind)
    except Exception as error:  # noqa: BLE001 - what was sent is junk; the key type must not be the reason
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        assert code in {"InvalidCiphertextException", "KMSInvalidSignatureException", "KMSInvalidMacException"}


def test_table_is_whole() -> None:
    assert (len(REFUSED), len(ALLOWED)) == (50, 20)
