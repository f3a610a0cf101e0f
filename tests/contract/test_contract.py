"""Every row of the contract, which docs/embedded-aws.md lists, and every operation with a key on every type of key."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kms_runtime.kms_model import ml_kem_session
from tests.conftest import users_settings
from tests.contract.conftest import MESSAGE, ROWS, TAG, Bench, Row, foreign_public_key, imported

DOCUMENT = Path(__file__).parents[2] / "docs" / "embedded-aws.md"


def shown(expected: object) -> str:
    return f"`{expected}`" if isinstance(expected, str) else "as sent" if isinstance(expected, bytes) else f"{expected}"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.operation}: {row.case}" for row in ROWS])
def test_row(bench: Bench, row: Row) -> None:
    try:
        outcome = row.call(bench)
    except ClientError as refused:
        outcome = refused.response["Error"]["Code"]
    bench.outcomes.append((row.operation, row.case, shown(row.expected), shown(outcome)))
    assert outcome == row.expected, row.page


# Key specs and what each may be used for: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
ENCRYPT, SIGN, AGREE = "ENCRYPT_DECRYPT", "SIGN_VERIFY", "KEY_AGREEMENT"
MAC, KEM = "GENERATE_VERIFY_MAC", "ENCAPSULATE_DECAPSULATE"
SYMMETRIC = "SYMMETRIC_DEFAULT"
USAGES: dict[str, tuple[str, ...]] = {
    SYMMETRIC: (ENCRYPT,),
    **dict.fromkeys(("HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"), (MAC,)),
    **dict.fromkeys(("RSA_2048", "RSA_3072", "RSA_4096"), (ENCRYPT, SIGN)),
    **dict.fromkeys(("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"), (SIGN, AGREE)),
    **dict.fromkeys(("ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87"), (SIGN,)),
    **dict.fromkeys(("ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"), (KEM,)),
}
# SM2 is of the Regions of China; the embedded AWS refuses ML_KEM_512, which no library here implements.
ELSEWHERE = {"SM2", "ML_KEM_512"}
_IMPORTED = [(SYMMETRIC, ENCRYPT, "EXTERNAL"), ("HMAC_256", MAC, "EXTERNAL"), ("ECC_NIST_P256", SIGN, "EXTERNAL")]
KEYS = [
    *((spec, usage, "AWS_KMS") for spec, usages in USAGES.items() if spec not in ELSEWHERE for usage in usages),
    *_IMPORTED,
]
# One key of each column of AWS's table, and the imported ones: the suite's share of what `make contract` runs.
_SPECS = {SYMMETRIC, "HMAC_256", "RSA_2048", "ECC_NIST_P256", "ML_DSA_65", "ML_KEM_768"}

# Which type of key each operation is for: https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-compare.html
# "symmetric" is ENCRYPT_DECRYPT of SYMMETRIC_DEFAULT. The error for any other key is of the operation's own page.
_NO_USE, _UNSUPPORTED = "InvalidKeyUsageException", "UnsupportedOperationException"
FOR: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(("Encrypt", "Decrypt", "ReEncrypt"), ((ENCRYPT,), _NO_USE)),
    **dict.fromkeys(("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"), (("symmetric",), _NO_USE)),
    **dict.fromkeys(("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"), (("symmetric",), _NO_USE)),
    **dict.fromkeys(("Sign", "Verify"), ((SIGN,), _NO_USE)),
    **dict.fromkeys(("GenerateMac", "VerifyMac"), ((MAC,), _NO_USE)),
    "DeriveSharedSecret": ((AGREE,), _NO_USE),
    **dict.fromkeys(("Encapsulate", "Decapsulate"), ((KEM,), _NO_USE)),
    "GetPublicKey": (("asymmetric",), _UNSUPPORTED),
    **dict.fromkeys(("EnableKeyRotation", "DisableKeyRotation"), (("symmetric AWS_KMS",), _UNSUPPORTED)),
    **dict.fromkeys(("RotateKeyOnDemand", "ListKeyRotations"), (("symmetric",), _UNSUPPORTED)),
    **dict.fromkeys(("GetParametersForImport", "ImportKeyMaterial"), (("EXTERNAL",), _UNSUPPORTED)),
    **dict.fromkeys(("ReplicateKey", "UpdatePrimaryRegion"), ((), _UNSUPPORTED)),  # these keys are of one Region
    **dict.fromkeys((
        "DescribeKey", "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "GetKeyRotationStatus", "GetKeyLastUsage",
        "ListResourceTags", "TagResource", "UntagResource", "UpdateKeyDescription", "CreateGrant", "ListGrants",
        "RevokeGrant", "RetireGrant", "CreateAlias", "UpdateAlias", "ListAliases", "DeleteAlias", "DisableKey",
        "ScheduleKeyDeletion", "CancelKeyDeletion", "EnableKey",
    ), (("any",), "")),
    "DeleteImportedKeyMaterial": (("EXTERNAL",), _UNSUPPORTED),
}  # fmt: skip
# The imported keys have one key material, and the token of the call is not one of GetParametersForImport.
_IMPORTED_ERRORS = {"RotateKeyOnDemand": "KMSInvalidStateException", "ImportKeyMaterial": "InvalidImportTokenException"}


def wanted(operation: str, spec: str, usage: str, origin: str) -> str:
    """Return ``served``, or AWS's error."""
    kind = "symmetric" if spec == SYMMETRIC else "HMAC" if usage == MAC else "asymmetric"
    served, error = FOR[operation]
    if not {"any", usage, kind, origin, f"{kind} {origin}"} & {*served}:
        return error
    return _IMPORTED_ERRORS.get(operation, "served") if origin == "EXTERNAL" else "served"


def _with_material(bench: Bench, spec: str, usage: str) -> str:
    key = bench.new(KeySpec=spec, KeyUsage=usage, Origin="EXTERNAL")
    private = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    imported(bench.kms, key, pkcs8 if usage == SIGN else None)
    return key


class OneKey:
    """Calls each operation with one key, in the order of ``FOR``: a later one uses what an earlier one returned."""

    def __init__(self, bench: Bench, spec: str, usage: str, origin: str) -> None:
        self.kms = bench.kms
        self.key = bench.key(spec, usage) if origin == "AWS_KMS" else _with_material(bench, spec, usage)
        self.found = self.kms.describe_key(KeyId=self.key)["KeyMetadata"]
        self.spec, self.other = spec, bench.other
        self.alias = f"alias/kms-patterns-contract-{self.key.rpartition('/')[2]}"
        self.kept: dict[str, Any] = {
            "CiphertextBlob": b"x" * 200, "Signature": b"x", "Mac": b"x", "SharedSecretCiphertextBlob": b"x" * 1088
        }  # fmt: skip

    def _one(self, members: str, default: str) -> str:
        return str(self.found.get(members, [default])[0])

    def requests(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Return what each operation is asked besides the key, read when its turn comes."""
        kept = self.kept
        cipher = self._one("EncryptionAlgorithms", SYMMETRIC)
        pair: dict[str, Any] = {"KeyPairSpec": "ECC_NIST_P256"}
        signing = {"SigningAlgorithm": self._one("SigningAlgorithms", "ECDSA_SHA_256"), "Message": MESSAGE}
        mac = {"MacAlgorithm": self._one("MacAlgorithms", "HMAC_SHA_256"), "Message": MESSAGE}
        curve = {"ECC_NIST_P384": ec.SECP384R1, "ECC_NIST_P521": ec.SECP521R1}.get(self.spec, ec.SECP256R1)
        wrap = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
        expires = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        account = self.key.split(":")[4]
        grant = {"GranteePrincipal": f"arn:aws:iam::{account}:root", "Operations": ["DescribeKey"]}
        return {
            "Encrypt": lambda: {"Plaintext": MESSAGE, "EncryptionAlgorithm": cipher},
            "Decrypt": lambda: {"CiphertextBlob": kept["CiphertextBlob"], "EncryptionAlgorithm": cipher},
            "ReEncrypt": lambda: {
                "CiphertextBlob": kept["CiphertextBlob"], "SourceKeyId": self.key,
                "SourceEncryptionAlgorithm": cipher, "DestinationKeyId": self.other,
            },
            "GenerateDataKey": lambda: {"KeySpec": "AES_256"},
            "GenerateDataKeyWithoutPlaintext": lambda: {"KeySpec": "AES_256"},
            "GenerateDataKeyPair": lambda: pair,
            "GenerateDataKeyPairWithoutPlaintext": lambda: pair,
            "Sign": lambda: signing,
            "Verify": lambda: {**signing, "Signature": kept["Signature"]},
            "GenerateMac": lambda: mac,
            "VerifyMac": lambda: {**mac, "Mac": kept["Mac"]},
            "DeriveSharedSecret": lambda: {"KeyAgreementAlgorithm": "ECDH", "PublicKey": foreign_public_key(curve())},
            "Encapsulate": lambda: {"EncapsulationAlgorithm": "ML_KEM"},
            "Decapsulate": lambda: {
                "EncapsulationAlgorithm": "ML_KEM",
                "SharedSecretCiphertextBlob": kept["SharedSecretCiphertextBlob"],
            },
            "GetParametersForImport": lambda: wrap,
            "ImportKeyMaterial": lambda: {**expires, "ImportToken": b"t", "EncryptedKeyMaterial": b"m"},
            "ReplicateKey": lambda: {"ReplicaRegion": "eu-north-1"},
            "UpdatePrimaryRegion": lambda: {"PrimaryRegion": "eu-north-1"},
            "PutKeyPolicy": lambda: {"Policy": kept["Policy"]},
            "TagResource": lambda: {"Tags": [TAG]},
            "UntagResource": lambda: {"TagKeys": ["kms-patterns-other"]},
            "UpdateKeyDescription": lambda: {"Description": "kms-patterns contract test"},
            "CreateGrant": lambda: grant,
            "RevokeGrant": lambda: {"GrantId": kept["GrantId"]},
            "RetireGrant": lambda: {"GrantId": self.kms.create_grant(KeyId=self.key, **grant)["GrantId"]},
            "CreateAlias": lambda: {"AliasName": self.alias, "TargetKeyId": self.key},
            "UpdateAlias": lambda: {"AliasName": self.alias, "TargetKeyId": self.key},
            "DeleteAlias": lambda: {"AliasName": self.alias},
            "ScheduleKeyDeletion": lambda: {"PendingWindowInDays": 7},
        }  # fmt: skip

    def outcome(self, operation: str, request: dict[str, Any]) -> str:
        """Call one operation, and return ``served`` or the error."""
        shape = self.kms.meta.service_model.operation_model(operation).input_shape
        named = {"KeyId": self.key} if shape and "KeyId" in shape.members else {}
        try:
            self.kept |= self.kms._make_api_call(operation, named | request)
        except ClientError as refused:
            return str(refused.response["Error"]["Code"])
        return "served"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "origin" in metafunc.fixturenames and "spec" in metafunc.fixturenames:
        every = metafunc.config.getoption("contract_every_key")
        chosen = [key for key in KEYS if every or key[0] in _SPECS]
        metafunc.parametrize(("spec", "usage", "origin"), chosen)


def test_each_operation_serves_or_refuses_the_type_of_key(bench: Bench, spec: str, usage: str, origin: str) -> None:
    one = OneKey(bench, spec, usage, origin)
    requests = one.requests()
    expected = {operation: wanted(operation, spec, usage, origin) for operation in FOR}
    found = {operation: one.outcome(operation, requests.get(operation, dict)()) for operation in FOR}
    bench.cells += [(operation, f"{spec} {usage} {origin}", expected[operation], found[operation]) for operation in FOR]
    assert found == expected


@pytest.mark.parametrize("spec", sorted({*USAGES} - ELSEWHERE))
def test_a_key_is_made_for_a_usage_of_its_spec_alone(bench: Bench, spec: str) -> None:
    refused, found = "ValidationException", {}
    for usage in {ENCRYPT, SIGN, AGREE, MAC, KEM} - {*USAGES[spec]}:
        try:
            found[usage] = bench.new(KeySpec=spec, KeyUsage=usage)
        except ClientError as error:
            found[usage] = error.response["Error"]["Code"]
        bench.cells.append(("CreateKey", f"{spec} {usage}", refused, found[usage]))
    assert found == dict.fromkeys(found, refused)


def test_a_key_of_china_is_refused_elsewhere(bench: Bench) -> None:
    with pytest.raises(ClientError, match="UnsupportedOperationException"):
        bench.new(KeySpec="SM2", KeyUsage=SIGN)


@pytest.mark.parametrize("store", ["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"])
def test_a_key_of_a_custom_key_store_needs_the_store(bench: Bench, store: str) -> None:
    with pytest.raises(ClientError, match="CustomKeyStoreNotFoundException"):
        bench.new(Origin=store, CustomKeyStoreId="cks-1234567890abcdef0")


def test_every_operation_with_a_key_has_its_cells() -> None:
    model = ml_kem_session().get_service_model("kms")
    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names}
    members = {name: {*shape.members} if shape else set() for name, shape in shapes.items()}
    named = {name for name, its in members.items() if its & {"KeyId", "TargetKeyId", "SourceKeyId", "AliasName"}}
    assert named == {*FOR}
    assert {*model.shape_for("KeySpec").enum} <= {*USAGES} | ELSEWHERE


def test_every_row_has_its_own_name() -> None:
    names = [(row.operation, row.case) for row in ROWS]
    assert len(names) == len(set(names))


def test_the_document_lists_every_row() -> None:
    lines = [f"| [{row.operation}]({row.page}) | {row.case} | {shown(row.expected)} |" for row in ROWS]
    document = DOCUMENT.read_text(encoding="utf-8")
    assert [line for line in lines if line not in document] == []


def test_a_profile_of_identity_center_finds_the_token_of_its_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = {"startUrl": "https://example.awsapps.com/start", "region": "us-east-1"}
    token = session | {"accessToken": "of-the-user", "expiresAt": "2999-01-01T00:00:00Z"}
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    (cache / f"{hashlib.sha1(b'team').hexdigest()}.json").write_text(json.dumps(token))
    (tmp_path / ".aws" / "config").write_text(
        "[profile team]\nsso_session = team\nsso_account_id = 111122223333\nsso_role_name = r\nregion = us-east-1\n"
        "[sso-session team]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n"
    )
    monkeypatch.setenv("USERS_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    users_settings(monkeypatch)

    profile = boto3.Session(profile_name="team")
    found = profile._session.get_component("token_provider").load_token()
    assert found.get_frozen_token().token == "of-the-user"
    assert profile.client("sts")._endpoint.http_session._proxy_config.proxy_url_for("https://a") == "http://127.0.0.1:9"
