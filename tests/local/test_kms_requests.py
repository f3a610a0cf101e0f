"""Requests that KMS refuses or answers by its model, and the lives of keys."""

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from ministack.core.responses import request_scope

from kms_patterns.local.server.kms import kms_service
from kms_patterns.local.server.kms.key_records import find_key, managed_key
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.service_model import operation_of, parsed, validated
from kms_patterns.policy.guardrails import no_end_within
from tests.local.conftest import ACCOUNT, ROOT, KmsInProcess, allow, caller, deny, kms_in_process, policy

KEY = "11111111-2222-3333-4444-555555555555"
FAILED = "1 validation error detected: Value{} at '{}' failed to satisfy constraint: Member must {}"
ALL = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsInProcess]:
    with kms_in_process(tmp_path_factory.mktemp("kms") / "calls") as running:
        yield running


@pytest.mark.parametrize(("operation", "request_", "message"), [
    ("DescribeKey", {}, FAILED.format(" null", "keyId", "not be null")),
    ("DescribeKey", {"KeyId": None}, FAILED.format(" null", "keyId", "not be null")),
    ("DescribeKey", {"KeyId": ""}, FAILED.format(" ''", "keyId", "have length greater than or equal to 1")),
    ("CreateKey", {"Description": "x" * 8193},
     FAILED.format(f" '{'x' * 8193}'", "description", "have length less than or equal to 8192")),
    ("Encrypt", {"KeyId": KEY, "Plaintext": base64.b64encode(b"x" * 4097).decode()},
     FAILED.format("", "plaintext", "have length less than or equal to 4096")),
    ("ListKeys", {"Limit": 0}, FAILED.format(" '0'", "limit", "have value greater than or equal to 1")),
    ("DeriveSharedSecret", {"KeyId": KEY, "KeyAgreementAlgorithm": "X", "PublicKey": "eA=="},
     FAILED.format(" 'X'", "keyAgreementAlgorithm", "satisfy enum value set: [ECDH]")),
    ("CreateGrant", {"KeyId": KEY, "GranteePrincipal": ROOT, "Operations": ["Decrypt"], "Name": "a b"},
     FAILED.format(" 'a b'", "name", "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$")),
    ("TagResource", {"KeyId": KEY, "Tags": [{"TagKey": "a"}]},
     FAILED.format(" null", "tags.1.member.tagValue", "not be null")),
    ("Encrypt", {"KeyId": KEY, "Plaintext": "eA==", "GrantTokens": ["t"] * 11},
     FAILED.format("", "grantTokens", "have length less than or equal to 10")),
    # Java counts UTF-16 code units: 129 of these characters are 258.
    ("TagResource", {"KeyId": KEY, "Tags": [{"TagKey": "a", "TagValue": "\U0001f511" * 129}]},
     FAILED.format(f" '{chr(0x1F511) * 129}'", "tags.1.member.tagValue", "have length less than or equal to 256")),
])  # fmt: skip
def test_a_member_that_breaks_its_constraint_is_refused_in_the_words_of_aws(
    operation: str, request_: Any, message: str
) -> None:
    with pytest.raises(KmsError) as refused:
        validated(operation, request_)
    assert (refused.value.code, refused.value.message) == ("ValidationException", message)


def test_all_members_that_break_their_constraints_are_named_at_once() -> None:
    with pytest.raises(
        KmsError, match=r"^2 validation errors detected: Value null at 'keyId' .*; Value null at 'tags' "
    ):
        validated("TagResource", {})


@pytest.mark.parametrize(("operation", "request_"), [
    ("Encrypt", {"KeyId": [KEY], "Plaintext": "eA=="}), ("Encrypt", {"KeyId": KEY, "Plaintext": "not base64"}),
    ("Encrypt", {"KeyId": KEY, "Plaintext": "eA==", "EncryptionContext": {"a": 1}}), ("ListKeys", {"Limit": "7"}),
    ("ListKeys", {"Limit": True}), ("ListKeys", {"Limit": 1.5}), ("CreateKey", {"MultiRegion": "true"}),
    ("CreateKey", {"Tags": {"a": "b"}}), ("CreateKey", {"Tags": [None]}), ("DescribeKey", {"KeyId": "\ud800"}),
    ("ImportKeyMaterial", {"KeyId": KEY, "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==", "ValidTo": "soon"}),
])  # fmt: skip
def test_a_member_of_another_type_is_refused(operation: str, request_: Any) -> None:
    with pytest.raises(KmsError) as refused:
        validated(operation, request_)
    assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("request_", [{"keyId": KEY}, {"KeyId": KEY, "New": 1}, {"KeyId": KEY, "": None}])
def test_a_member_that_the_service_model_does_not_have_is_refused(request_: Any) -> None:
    with pytest.raises(KmsError, match="has no member") as refused:
        validated("DescribeKey", request_)
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{", b'{"Limit": NaN}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(KmsError) as refused:
        parsed(body)
    assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("target", ["", "ListKeys", "TrentService.", "TrentService.Nothing", "Other.ListKeys"])
def test_an_operation_that_does_not_exist_is_unknown(target: str) -> None:
    with pytest.raises(KmsError) as refused:
        operation_of(target)
    assert (refused.value.code, operation_of("TrentService.ListKeys")) == ("UnknownOperationException", "ListKeys")


@pytest.mark.parametrize(("reference", "code"), [
    ("alias/x", "NotFoundException"), (f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/x", "InvalidArnException"),
    ("fake", "NotFoundException"), (KEY, "NotFoundException"), (KEY.replace("-", ""), "NotFoundException"),
    (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{KEY}", "NotFoundException"), ("arn:aws:s3:::x", "InvalidArnException"),
    (f"arn:aws:kms:us-east-1:999999999999:key/{KEY}", "AccessDeniedException"),
])  # fmt: skip
def test_the_control_plane_takes_the_id_or_arn_of_a_key_that_exists_only(
    kms: KmsInProcess, reference: str, code: str
) -> None:
    if reference == "alias/x" and kms.code("ListAliases") == "OK":
        kms.code("CreateAlias", AliasName="alias/x", TargetKeyId=kms.key())
    for operation in ("EnableKey", "GetKeyPolicy", "ListGrants", "ScheduleKeyDeletion", "GetKeyRotationStatus"):
        assert kms.code(operation, KeyId=reference) == code
    assert kms.code("CreateAlias", AliasName="alias/y", TargetKeyId=reference) == code
    assert kms.code("ListAliases", KeyId=reference) == code


def test_tags_need_a_permission_of_their_own_on_a_new_key_and_on_a_replica(kms: KmsInProcess) -> None:
    tags, primary = {"Tags": [{"TagKey": "a", "TagValue": "b"}]}, kms.key(MultiRegion=True)
    creator = caller(allow("kms:CreateKey"))
    assert kms.code("CreateKey", creator) == "OK"
    assert kms.code("CreateKey", creator, **tags) == "AccessDeniedException"
    tagger = caller(allow("kms:CreateKey"), allow("kms:TagResource", f"arn:aws:kms:*:{ACCOUNT}:key/*"))
    assert kms.code("CreateKey", tagger, **tags) == "OK"
    replica = {"KeyId": primary, "ReplicaRegion": "eu-west-1"}
    assert kms.code("ReplicateKey", caller(allow("kms:ReplicateKey")), **replica) == "AccessDeniedException"
    both = allow(["kms:ReplicateKey", "kms:CreateKey"])
    assert kms.code("ReplicateKey", caller(both), **replica, **tags) == "AccessDeniedException"
    # The replica is made in its Region, so a policy for that Region decides.
    elsewhere = caller(both, deny("kms:CreateKey", StringEquals={"aws:RequestedRegion": "eu-west-1"}))
    assert kms.code("ReplicateKey", elsewhere, **replica) == "AccessDeniedException"
    assert kms.code("ReplicateKey", caller(both), **replica) == "OK"


@pytest.mark.parametrize("member", ["KeySpec", "CustomerMasterKeySpec"])
@pytest.mark.parametrize("key", ["kms:KeySpec", "kms:CustomerMasterKeySpec"])
def test_the_spec_of_a_new_key_is_known_by_its_old_and_its_new_name(kms: KmsInProcess, member: str, key: str) -> None:
    request = {member: "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}
    assert kms.code("CreateKey", caller(allow(), deny(StringEquals={key: "HMAC_256"})), **request) != "OK"
    assert kms.code("CreateKey", caller(allow(StringEquals={key: "SYMMETRIC_DEFAULT"})), **request) != "OK"
    assert kms.code("CreateKey", caller(allow(StringEquals={key: "HMAC_256"})), **request) == "OK"
    assert kms.code("CreateKey", KeySpec="HMAC_256", CustomerMasterKeySpec="HMAC_256") == "ValidationException"


@pytest.mark.parametrize(("tags", "code"), [
    ([("a", "1"), ("a", "2")], "TagException"), ([("aws:x", "1")], "TagException"), ([("AWS:x", "1")], "TagException"),
    ([(f"k{number}", "1") for number in range(51)], "TagException"), ([("a", "<")], "TagException"),
    ([("", "1")], "ValidationException"), ([("a", "v" * 257)], "ValidationException"), ([("a b", "ä: 1")], "OK"),
])  # fmt: skip
def test_tags_follow_the_rules_of_kms(kms: KmsInProcess, tags: list[tuple[str, str]], code: str) -> None:
    given = [{"TagKey": name, "TagValue": value} for name, value in tags]
    key = kms.key()
    assert kms.code("CreateKey", Tags=given) == kms.code("TagResource", KeyId=key, Tags=given) == code


def test_the_fifty_first_tag_is_refused_and_a_new_value_is_not(kms: KmsInProcess) -> None:
    key = kms.key(Tags=[{"TagKey": f"k{number}", "TagValue": "1"} for number in range(50)])
    assert kms.code("TagResource", KeyId=key, Tags=[{"TagKey": "k1", "TagValue": "2"}]) == "OK"
    assert kms.code("TagResource", KeyId=key, Tags=[{"TagKey": "more", "TagValue": "2"}]) == "TagException"


@pytest.mark.parametrize("change", [
    {"Version": "2020-10-17"}, {"Extra": 1}, {"Statement": []}, {"Statement": [ALL | {"Foo": 1}]},
    {"Statement": [ALL | {"Condition": {"StringFoo": {"a": "b"}}}]}, {"Statement": [ALL | {"Effect": "Maybe"}]},
    {"Statement": [ALL | {"Condition": {"NullIfExists": {"a": "true"}}}]}, {"Statement": [ALL | {"Action": []}]},
    {"Statement": [ALL | {"Sid": "a"}, ALL | {"Sid": "a"}]}, {"Statement": [ALL | {"NotAction": "kms:Decrypt"}]},
    *({"Statement": [ALL, ALL | {"Principal": one}]} for one in (
        {"AWS": f"arn:aws:iam::{ACCOUNT}:user/nosuch"}, {"AWS": f"arn:aws:iam::{ACCOUNT}:role/nosuch"}, {"AWS": "x"},
        {"AWS": []}, {}, "me", {"Service": "s3"}, {"Other": "x"},
    )),
])  # fmt: skip
def test_a_malformed_key_policy_is_not_stored(kms: KmsInProcess, change: dict[str, Any]) -> None:
    key = kms.key()
    stored = kms.answer("GetKeyPolicy", KeyId=key)["Policy"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [ALL]} | change)
    assert kms.code("PutKeyPolicy", KeyId=key, Policy=document) == "MalformedPolicyDocumentException"
    assert kms.code("CreateKey", Policy=document) == "MalformedPolicyDocumentException"
    assert kms.answer("GetKeyPolicy", KeyId=key)["Policy"] == stored


def test_a_key_has_the_policy_default_and_no_element_of_it_twice(kms: KmsInProcess) -> None:
    key, twice = kms.key(), policy(ALL).replace('"Effect"', '"Effect": "Deny", "Effect"')
    assert kms.code("PutKeyPolicy", KeyId=key, Policy=policy(ALL), PolicyName="mine") == "NotFoundException"
    assert kms.code("GetKeyPolicy", KeyId=key, PolicyName="mine") == "NotFoundException"
    assert kms.code("PutKeyPolicy", KeyId=key, Policy=twice) == "MalformedPolicyDocumentException"


@pytest.mark.parametrize(("operation", "member", "most"), [
    ("ListKeys", "Keys", 1000), ("ListAliases", "Aliases", 100), ("ListGrants", "Grants", 100),
    ("ListRetirableGrants", "Grants", 100), ("ListResourceTags", "Tags", 50),
])  # fmt: skip
def test_lists_come_in_pages(kms: KmsInProcess, operation: str, member: str, most: int) -> None:
    key = kms.key(Tags=[{"TagKey": f"k{number}", "TagValue": "1"} for number in range(3)])
    for number in range(3):
        kms.code("CreateAlias", AliasName=f"alias/page-{operation}-{number}", TargetKeyId=key)
        kms.answer("CreateGrant", KeyId=key, GranteePrincipal=ROOT, RetiringPrincipal=ROOT, Operations=["Decrypt"])
    request = (
        {"RetiringPrincipal": ROOT} if "Retirable" in operation else {} if operation == "ListKeys" else {"KeyId": key}
    )
    whole, pages, marker = kms.answer(operation, **request)[member], [], {}
    while True:
        answer = kms.answer(operation, **request, Limit=2, **marker)
        pages += answer[member]
        if not answer["Truncated"]:
            break
        assert len(answer[member]) == 2
        marker = {"Marker": answer["NextMarker"]}
    assert pages == whole
    assert kms.code(operation, **request, Limit=most + 1) == "ValidationException"
    assert kms.code(operation, **request, Marker="zzz") == "InvalidMarkerException"


def imported(kms: KmsInProcess, key: str, secret: bytes | None = None, **more: Any) -> str:
    """Import key material, random by default and without an end, and return its id."""
    wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    given = kms.answer("GetParametersForImport", KeyId=key, **wrapping)
    public = load_der_public_key(base64.b64decode(given["PublicKey"]))
    assert isinstance(public, RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = base64.b64encode(public.encrypt(secret or os.urandom(32), oaep)).decode()
    request = {"KeyId": key, "ImportToken": given["ImportToken"], "EncryptedKeyMaterial": wrapped}
    model = {} if "ValidTo" in more else {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    return str(kms.answer("ImportKeyMaterial", **request, **model, **more)["KeyMaterialId"])


def test_material_that_is_given_again_does_not_change_when_the_current_one_expires(kms: KmsInProcess) -> None:
    key, first, second, until = kms.key(Origin="EXTERNAL"), b"1" * 32, b"2" * 32, int(time.time()) + 3600
    expiry = lambda: kms.answer("DescribeKey", KeyId=key)["KeyMetadata"].get("ValidTo")  # noqa: E731
    imported(kms, key, first, ValidTo=until)
    imported(kms, key, second, ImportType="NEW_KEY_MATERIAL", ValidTo=until + 60)
    imported(kms, key, second)
    assert expiry() == until
    kms.answer("RotateKeyOnDemand", KeyId=key)
    imported(kms, key, first)
    assert expiry() == until


def test_managed_key_that_another_request_used_meanwhile_outlives_a_refusal(
    kms: KmsInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, used = kms_service.decide_target, []

    def meanwhile(*asked: Any) -> Any:
        used.append(managed_key("s3")["Arn"])
        return decide(*asked)

    monkeypatch.setattr(kms_service, "decide_target", meanwhile)
    assert kms.code("DescribeKey", caller(deny()), KeyId="alias/aws/s3") == "AccessDeniedException"
    monkeypatch.undo()
    assert used == [kms.answer("DescribeKey", KeyId="alias/aws/s3")["KeyMetadata"]["Arn"]]
    assert kms.code("DescribeKey", caller(deny()), KeyId="alias/aws/sns") == "AccessDeniedException"
    assert find_key("alias/aws/sns") is None


def test_a_second_material_waits_for_the_rotation_and_a_third_is_refused(kms: KmsInProcess) -> None:
    key = kms.key(Origin="EXTERNAL")
    current = lambda: kms.answer("DescribeKey", KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]  # noqa: E731
    first = imported(kms, key)
    kms.answer("DisableKey", KeyId=key)
    second = imported(kms, key, ImportType="NEW_KEY_MATERIAL")
    # Importing does not enable a key that was disabled.
    assert kms.code("Encrypt", KeyId=key, Plaintext="eA==") == "DisabledException"
    kms.answer("EnableKey", KeyId=key)
    assert first == current() != second
    with pytest.raises(KmsError, match=f"because another key material .id: {second}. is pending rotation") as refused:
        imported(kms, key, ImportType="NEW_KEY_MATERIAL")
    assert refused.value.code == "KMSInvalidStateException"

    def listed() -> list[tuple[str, str]]:
        rotations = kms.answer("ListKeyRotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        return [(it["KeyMaterialId"], it["KeyMaterialState"]) for it in rotations]

    assert listed() == [(first, "CURRENT"), (second, "PENDING_ROTATION")]
    kms.answer("RotateKeyOnDemand", KeyId=key)
    assert current() == second
    assert listed() == [(first, "NON_CURRENT"), (second, "CURRENT")]


@pytest.mark.parametrize("operation", ["DisableKey", "ScheduleKeyDeletion"])
def test_a_key_that_was_used_lately_or_may_have_been_is_kept(kms: KmsInProcess, operation: str) -> None:
    by = caller(allow(), deny(NumericLessThanEquals={"kms:TrailingDaysWithoutKeyUsage": "30"}))
    key = kms.key()
    assert kms.code(operation, by, KeyId=key) == "AccessDeniedException"
    assert kms.code("Encrypt", by, KeyId=key, Plaintext="eA==") == "OK"
    assert kms.code(operation, by, KeyId=key) == "AccessDeniedException"
    assert kms.answer("GetKeyLastUsage", KeyId=key)["KeyLastUsage"]["Operation"] == "Encrypt"
    find_key(key)["_last_usage"]["Timestamp"] -= 32 * 86400  # type: ignore[index]
    assert kms.code(operation, by, KeyId=key) == "OK"


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


def test_what_only_a_primary_that_is_enabled_does(tmp_path: Path) -> None:
    with kms_in_process(tmp_path / "calls") as kms:
        key = kms.key(MultiRegion=True)
        name, abroad = key.rpartition("/")[2], "eu-west-1"
        kms.answer("ReplicateKey", KeyId=key, ReplicaRegion=abroad)
        with request_scope(ACCOUNT, abroad):
            for operation in ("EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"):
                assert kms.code(operation, KeyId=name) == "UnsupportedOperationException"
            kms.answer("DisableKey", KeyId=name)
        assert kms.code("UpdatePrimaryRegion", KeyId=key, PrimaryRegion=abroad) == "DisabledException"
        kms.answer("DisableKey", KeyId=key)
        assert kms.code("ReplicateKey", KeyId=key, ReplicaRegion="eu-west-2") == "DisabledException"
        wrapping = {"WrappingAlgorithm": "RSAES_PKCS1_V1_5", "WrappingKeySpec": "RSA_2048"}
        external = kms.key(Origin="EXTERNAL")
        assert kms.code("GetParametersForImport", KeyId=external, **wrapping) == "UnsupportedOperationException"


@pytest.mark.parametrize(("named", "code"), [
    ("id", "OK"), ("other", "NotFoundException"), ("own", "OK"),
])  # fmt: skip
def test_grant_is_retired_by_its_own_key_only(tmp_path: Path, named: str, code: str) -> None:
    """The page says ARN; LocalStack's test, run on AWS, gives the id."""
    with kms_in_process(tmp_path / "calls") as kms:
        own, other = kms.key(), kms.key()
        grant = kms.answer("CreateGrant", KeyId=own, GranteePrincipal=ROOT, Operations=["Decrypt"])["GrantId"]
        keys = {"id": own.rpartition("/")[2], "other": other, "own": own}
        assert kms.code("RetireGrant", KeyId=keys[named], GrantId=grant) == code
        if named == "other":
            assert kms.code("RevokeGrant", KeyId=other, GrantId=grant) == "NotFoundException"


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
    key = make_key(root_statement, no_end_within(30))
    administrator = session_of(allow("kms:*", "*")).client("kms")
    end = getattr(administrator, operation)
    root_kms.encrypt(KeyId=key, Plaintext=b"x")

    with pytest.raises(administrator.exceptions.ClientError, match="explicit deny"):
        end(KeyId=key)

    policy = json.dumps({"Version": "2012-10-17", "Statement": [root_statement]})
    root_kms.put_key_policy(KeyId=key, Policy=policy)
    end(KeyId=key)
