"""What issue_token writes, and what it refuses before AWS KMS is asked."""

import base64
import json

import pytest

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.tokens import ALGORITHMS, MacKeys, issue_token, key_id, verify_token

NOW = 1_800_000_000
MACS = [name for name, known in ALGORITHMS.items() if known.is_mac]


def segment(token, number):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_call_signs_the_message_as_it_is(algorithm, issued, kms, arns):
    token = issued(algorithm, claims={"tenant": "a"}, audience=["orders", "invoices"])
    ((operation, request),) = kms.calls
    known = ALGORITHMS[algorithm]
    assert request["KeyId"] == arns(algorithm)
    assert request["Message"] == token.rpartition(".")[0].encode()
    if known.is_mac:
        assert (operation, request["MacAlgorithm"]) == ("GenerateMac", known.kms_name)
    else:
        found = operation, request["SigningAlgorithm"], request["MessageType"]
        assert found == ("Sign", known.kms_name, "RAW")
    assert segment(token, 0) == {"alg": algorithm, "kid": f"{algorithm.lower()}-1", "typ": "JWT"}
    claims = segment(token, 1)
    assert claims["aud"] == ["orders", "invoices"]
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (NOW, NOW, NOW + 900)


def test_every_token_has_an_id_of_its_own(issued):
    assert len({segment(issued(), 1)["jti"] for _ in range(50)}) == 50


def test_key_id_of_the_token_is_that_of_the_kms_key():
    assert key_id("arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd") == "mrk-1234abcd"


REFUSALS = [
    ({"subject": ""}, "InvalidRequest", "subject is empty"),
    ({"subject": 7}, "InvalidRequest", "subject is empty or not a string"),
    ({"issuer": ""}, "InvalidRequest", "issuer is empty"),
    ({"token_type": ""}, "InvalidRequest", "type is empty"),
    ({"audience": ""}, "InvalidRequest", "audience is empty"),
    ({"audience": []}, "InvalidRequest", "audience is empty"),
    ({"audience": ["orders", 7]}, "InvalidRequest", "something else than names"),
    ({"lifetime": 1.5}, "InvalidRequest", "lifetime of 1.5 s"),
    ({"lifetime": True}, "InvalidRequest", "lifetime of True s"),
    ({"claims": {1: "a", "1": "b"}}, "InvalidRequest", "a member is given twice"),
    ({"claims": {"a": [{1: "a", "1": "b"}]}}, "InvalidRequest", "a member is given twice"),
    ({"lifetime": 0}, "InvalidRequest", "lifetime of 0 s"),
    ({"lifetime": 86_401}, "InvalidRequest", "1 to 86400"),
    ({"claims": {"exp": 1, "tenant": "a"}}, "InvalidRequest", "may not hold exp"),
    ({"claims": {"iss": "x", "aud": "y"}}, "InvalidRequest", "may not hold aud, iss"),
    ({"claims": {"a": float("nan")}}, "InvalidRequest", "no form for"),
    ({"claims": {"a": "\ud800"}}, "InvalidRequest", "no form for"),
    ({"claims": {"a": b"bytes"}}, "InvalidRequest", "no form for"),
    ({"required_claims": ["tenant"]}, "TokenClaimMissing", "no tenant"),
    ({"required_claims": ["tenant"], "claims": {"tenant": None}}, "TokenClaimMissing", "no tenant"),
    ({"claims": {"a": "a" * 3100}}, "TokenTooLarge", "at most 4096"),
]


@pytest.mark.parametrize(("given", "code", "reason"), REFUSALS)
def test_refusal_comes_before_any_call(given, code, reason, issued, kms):
    with pytest.raises(KmsRuntimeError, match=reason) as caught:
        issued(**given)
    assert caught.value.code == code
    assert kms.calls == []


def test_4096_bytes_are_signed(issued, kms, key_set, expected):
    sizes = {}
    for length in range(2800, 3072):
        try:
            issued(claims={"a": "a" * length})
        except KmsRuntimeError:
            continue
        sizes[length] = len(kms.calls[-1][1]["Message"])
    largest = max(sizes)
    assert 4093 <= sizes[largest] <= 4096
    assert verify_token(issued(claims={"a": "a" * largest}), keys=key_set, **expected)


def test_unknown_algorithm_and_alias_are_refused(kms, arns):
    common = {"issuer": "i", "subject": "s", "audience": "a", "lifetime": 1, "kms_client": kms}
    with pytest.raises(KmsRuntimeError) as caught:
        issue_token({}, key_arn=arns("ES256"), algorithm="none", **common)
    assert caught.value.code == "TokenAlgorithmRefused"
    with pytest.raises(KmsRuntimeError) as caught:
        issue_token({}, key_arn="alias/tokens", algorithm="ES256", **common)
    assert caught.value.code == "InvalidArnException"
    assert kms.calls == []


def test_refusal_of_kms_keeps_its_name(issued, kms):
    kms.failures["Sign"] = "DisabledException"
    with pytest.raises(KmsRuntimeError) as caught:
        issued()
    assert type(caught.value).__name__ == "DisabledException"


@pytest.mark.parametrize("algorithm", MACS)
def test_mac_token_is_verified_by_one_call_and_by_its_own_key_only(algorithm, issued, kms, arns, expected):
    token = issued(algorithm)
    keys = MacKeys({arns(algorithm): algorithm, arns(algorithm, 2): algorithm}, kms_client=kms)
    assert verify_token(token, keys=keys, **expected).key_id == f"{algorithm.lower()}-1"
    assert kms.operations == ["GenerateMac", "VerifyMac"]
    assert verify_token(issued(algorithm, 2), keys=keys, **expected).key_id == f"{algorithm.lower()}-2"
    message = token.rpartition(".")[0]
    for forged, refusal in {
        f"{message}.{issued(algorithm, 2).rpartition('.')[2]}": "TokenSignatureInvalid",
        issued(algorithm, 3): "TokenKeyUnknown",
        issued(next(name for name in MACS if name != algorithm)): "TokenKeyUnknown",
    }.items():
        with pytest.raises(KmsRuntimeError) as caught:
            verify_token(forged, keys=keys, **expected)
        assert caught.value.code == refusal


def test_mac_keys_are_no_signing_keys(kms, arns):
    with pytest.raises(KmsRuntimeError, match="ES256 is of signing keys") as caught:
        MacKeys({arns("ES256"): "ES256"}, kms_client=kms)
    assert caught.value.code == "TokenAlgorithmRefused"


def test_mac_of_another_length_is_refused_without_a_call(issued, kms, arns, expected):
    message = issued("HS256").rpartition(".")[0]
    kms.calls.clear()
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(f"{message}.AAAA", keys=MacKeys({arns("HS256"): "HS256"}, kms_client=kms), **expected)
    assert caught.value.code == "TokenSignatureInvalid"
    assert kms.calls == []


def test_failure_of_kms_is_not_a_bad_token(issued, kms, arns, expected):
    token = issued("HS256")
    kms.failures["VerifyMac"] = "ThrottlingException"
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(token, keys=MacKeys({arns("HS256"): "HS256"}, kms_client=kms), **expected)
    assert caught.value.code == "ThrottlingException"
