"""Rotation, multi-Region keys, imported material, key policies and aliases that KMS refuses.

https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
"""

import json
import time
from typing import Any

import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key


def test_old_ciphertext_is_readable_after_rotation_and_names_its_material(root_kms: Any, key: str) -> None:
    blobs = [root_kms.encrypt(KeyId=key, Plaintext=b"0")["CiphertextBlob"]]
    for turn in (b"1", b"2"):
        assert root_kms.rotate_key_on_demand(KeyId=key)["KeyId"] == key
        blobs.append(root_kms.encrypt(KeyId=key, Plaintext=turn)["CiphertextBlob"])
    opened = [root_kms.decrypt(CiphertextBlob=blob) for blob in blobs]
    assert [answer["Plaintext"] for answer in opened] == [b"0", b"1", b"2"]
    rotations = root_kms.list_key_rotations(KeyId=key)["Rotations"]
    assert [rotation["RotationType"] for rotation in rotations] == ["ON_DEMAND"] * 2
    assert [answer["KeyMaterialId"] for answer in opened[1:]] == [r["KeyMaterialId"] for r in rotations]
    assert len({answer["KeyMaterialId"] for answer in opened}) == 3
    assert root_kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"] == opened[2]["KeyMaterialId"]


def test_a_key_is_rotated_on_demand_25_times(root_kms: Any, key: str, code_of: Any) -> None:
    for _ in range(25):
        root_kms.rotate_key_on_demand(KeyId=key)
    assert code_of(root_kms.rotate_key_on_demand, KeyId=key) == "LimitExceededException"


def test_a_rotation_period_has_limits(aws: Any, root_kms: Any, key: str, code_of: Any) -> None:
    unchecked = aws.client("kms", config=Config(parameter_validation=False))
    for days in (89, 2561):
        assert code_of(unchecked.enable_key_rotation, KeyId=key, RotationPeriodInDays=days) == "ValidationException"
    root_kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    status = root_kms.get_key_rotation_status(KeyId=key)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 90)
    assert 89 < (status["NextRotationDate"].timestamp() - time.time()) / 86400 <= 90


def test_a_disabled_key_does_not_rotate(root_kms: Any, key: str, code_of: Any) -> None:
    root_kms.disable_key(KeyId=key)
    assert code_of(root_kms.rotate_key_on_demand, KeyId=key) == "DisabledException"


def test_a_replica_decrypts_in_the_other_region_also_what_came_before_a_rotation(
    aws: Any, root_kms: Any, code_of: Any
) -> None:
    there = aws.client("kms", region_name="eu-west-1")
    key_id = root_kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    before = root_kms.encrypt(KeyId=key_id, Plaintext=b"before")["CiphertextBlob"]
    replica = root_kms.replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")["ReplicaKeyMetadata"]
    assert replica["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
    root_kms.rotate_key_on_demand(KeyId=key_id)
    after = root_kms.encrypt(KeyId=key_id, Plaintext=b"after")["CiphertextBlob"]
    assert [there.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in (before, after)] == [b"before", b"after"]
    assert code_of(there.rotate_key_on_demand, KeyId=key_id) == "UnsupportedOperationException"


def test_a_single_region_key_is_unknown_elsewhere(aws: Any, root_kms: Any, key: str, code_of: Any) -> None:
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert (
        code_of(aws.client("kms", region_name="eu-west-1").decrypt, CiphertextBlob=blob) == "InvalidCiphertextException"
    )


def test_imported_material_expires_and_can_be_imported_again(root_kms: Any, code_of: Any) -> None:
    key = root_kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    assert code_of(root_kms.encrypt, KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"
    material = b"m" * 32
    _import(root_kms, key, material, time.time() + 1)
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    time.sleep(1.1)
    assert root_kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    assert code_of(root_kms.decrypt, CiphertextBlob=blob) == "KMSInvalidStateException"
    _import(root_kms, key, material, None)
    assert root_kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def _import(kms: Any, key: str, material: bytes, until: float | None) -> None:
    given = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    public: Any = load_der_public_key(given["PublicKey"])
    wrapped = public.encrypt(material, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    model = {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": until}
    expiry = model if until else {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    kms.import_key_material(KeyId=key, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped, **expiry)


@pytest.mark.parametrize("statement", [
    None, {"Action": "kms:DescribeKey"}, {"Principal": {"AWS": "arn:aws:iam::111122223333:root"}},
    {"Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}}, {"Effect": "Deny"},
    {"Effect": "Maybe"}, {"Principal": None},
])  # fmt: skip
def test_a_key_policy_that_is_malformed_or_locks_everyone_out_is_refused(
    root_kms: Any, key: str, root_statement: Any, code_of: Any, statement: Any
) -> None:
    broken = {name: value for name, value in (root_statement | (statement or {})).items() if value is not None}
    policy = json.dumps({"Statement": [broken]}) if statement else "{"
    assert code_of(root_kms.put_key_policy, KeyId=key, Policy=policy) == "MalformedPolicyDocumentException"
    assert code_of(root_kms.create_key, Policy=policy) == "MalformedPolicyDocumentException"
    if statement in ({"Action": "kms:DescribeKey"}, {"Effect": "Deny"}):
        assert root_kms.create_key(Policy=policy, BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["Arn"]


@pytest.mark.parametrize(("name", "code"), [
    ("alias/aws/own", "NotAuthorizedException"), ("own", "ValidationException"), ("alias/a b", "ValidationException"),
])  # fmt: skip
def test_a_reserved_or_malformed_alias_is_refused(root_kms: Any, key: str, code_of: Any, name: str, code: str) -> None:
    assert code_of(root_kms.create_alias, AliasName=name, TargetKeyId=key) == code
