"""Rotation, multi-Region keys, imported material, key policies, aliases; which key a request is authorized on.

https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
"""

import json
import time
from typing import Any

import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_patterns.policy.guardrails import no_end_within


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


Refused = "AccessDeniedException"


def test_an_alias_is_authorized_as_its_key(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    root_kms.create_alias(AliasName="alias/authorized", TargetKeyId=key)
    alias_arn = key.rsplit(":", 1)[0] + ":alias/authorized"
    by_key, by_alias = session_of(allow("kms:Encrypt", key)), session_of(allow("kms:Encrypt", alias_arn))
    for reference in ("alias/authorized", alias_arn):
        assert by_key.client("kms").encrypt(KeyId=reference, Plaintext=b"x")["KeyId"] == key
        assert code_of(by_alias.client("kms").encrypt, KeyId=reference, Plaintext=b"x") == Refused


def test_decrypt_without_a_key_id_is_authorized_on_the_key_in_the_ciphertext(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, other = make_key(), make_key()
    session = session_of(allow("kms:Decrypt", key)).client("kms")
    for plaintext in (b"x", b"x" * 4096):
        mine, theirs = (root_kms.encrypt(KeyId=k, Plaintext=plaintext)["CiphertextBlob"] for k in (key, other))
        assert session.decrypt(CiphertextBlob=mine)["Plaintext"] == plaintext
        assert code_of(session.decrypt, CiphertextBlob=theirs) == Refused


@pytest.mark.parametrize("garbage", [b"x", b"x" * 68, b"x" * 69, b"x" * 500])
def test_a_ciphertext_whose_key_cannot_be_determined_is_denied(
    session_of: Any, allow: Any, code_of: Any, garbage: bytes
) -> None:
    session = session_of(allow("*", "*")).client("kms")
    assert code_of(session.decrypt, CiphertextBlob=garbage) == Refused
    assert code_of(session.re_encrypt, CiphertextBlob=garbage, DestinationKeyId="alias/x") == Refused


def test_naming_an_allowed_key_does_not_open_another_keys_ciphertext(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, other = make_key(), make_key()
    theirs = root_kms.encrypt(KeyId=other, Plaintext=b"x")["CiphertextBlob"]
    session = session_of(allow("kms:Decrypt", key)).client("kms")
    assert code_of(session.decrypt, CiphertextBlob=theirs, KeyId=key) == "IncorrectKeyException"


@pytest.mark.parametrize(("granted", "allowed"), [
    (("kms:ReEncryptFrom", "kms:ReEncryptTo"), True), (("kms:ReEncryptFrom", None), False),
    ((None, "kms:ReEncryptTo"), False), (("kms:ReEncryptTo", "kms:ReEncryptFrom"), False),
    (("kms:Decrypt", "kms:Encrypt"), False),
])  # fmt: skip
def test_re_encrypt_needs_from_on_the_source_and_to_on_the_destination(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any, granted: Any, allowed: bool
) -> None:
    source, destination = make_key(), make_key()
    blob = root_kms.encrypt(KeyId=source, Plaintext=b"x")["CiphertextBlob"]
    statements = [allow(action, key) for action, key in zip(granted, (source, destination), strict=True) if action]
    session = session_of(*statements).client("kms")
    if allowed:
        assert session.re_encrypt(CiphertextBlob=blob, DestinationKeyId=destination)["KeyId"] == destination
    else:
        assert code_of(session.re_encrypt, CiphertextBlob=blob, DestinationKeyId=destination) == Refused


def test_an_alias_needs_permission_on_the_alias_and_on_the_key(
    make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    alias_arn = key.rsplit(":", 1)[0] + ":alias/of-a-role"
    request = {"AliasName": "alias/of-a-role", "TargetKeyId": key}
    for resource in (key, alias_arn):
        assert code_of(session_of(allow("kms:CreateAlias", resource)).client("kms").create_alias, **request) == Refused
    session_of(allow("kms:CreateAlias", [key, alias_arn])).client("kms").create_alias(**request)


def test_a_missing_key_is_not_found_only_for_who_might_use_it(
    session_of: Any, allow: Any, code_of: Any, make_key: Any
) -> None:
    missing = make_key().rsplit("/", 1)[0] + "/00000000-0000-0000-0000-000000000000"
    allowed, bare = session_of(allow("kms:Encrypt", "*")).client("kms"), session_of().client("kms")
    assert code_of(allowed.encrypt, KeyId=missing, Plaintext=b"x") == "NotFoundException"
    assert code_of(bare.encrypt, KeyId=missing, Plaintext=b"x") == Refused


@pytest.mark.parametrize("operation", ["disable_key", "schedule_key_deletion"])
def test_key_that_its_policy_protects_while_in_use_is_ended_only_after_a_change_of_the_policy(
    root_kms: Any, root_statement: Any, make_key: Any, session_of: Any, allow: Any, operation: str
) -> None:
    key = make_key(root_statement, no_end_within(30).to_statement_json())
    administrator = session_of(allow("kms:*", "*")).client("kms")
    end = getattr(administrator, operation)
    root_kms.encrypt(KeyId=key, Plaintext=b"x")

    with pytest.raises(administrator.exceptions.ClientError, match="explicit deny"):
        end(KeyId=key)

    policy = json.dumps({"Version": "2012-10-17", "Statement": [root_statement]})
    root_kms.put_key_policy(KeyId=key, Policy=policy)
    end(KeyId=key)
