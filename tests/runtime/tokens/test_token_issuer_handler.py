"""The functions of TokenIssuer and MacTokenIssuer: events, answers, refusals, configuration, caching."""

import base64
import json
import logging
import time

import fastjsonschema
import pytest

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.handlers import http, token_issuer
from kms_runtime.handlers.validation import schema
from kms_runtime.tokens import Jwks, key_set, verify_token

ISSUER = "https://issuer.example"


@pytest.fixture(autouse=True)
def function(monkeypatch, kms, arns):
    for client in ("kms_client", "kms_client_for_strangers"):
        monkeypatch.setattr(token_issuer, client, lambda: kms)
    token_issuer._publication.cache_clear()
    settings = {
        "KEY_ARN": arns("ES256"), "TOKEN_ALGORITHM": "ES256", "ISSUER": ISSUER, "AUDIENCES": '["orders", "invoices"]',
        "TOKEN_LIFETIME": "900", "REQUIRED_CLAIMS": '["tenant"]', "TOKEN_TYPE": "JWT", "CLOCK_SKEW": "30",
        "MAX_AGE": "300", "TOKEN_KEYS": json.dumps({arns("ES256"): "ES256", arns("RS256"): "RS256"}),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def request(**fields):
    return {"subject": "customer-1", "audience": "orders", "claims": {"tenant": "a"}, **fields}


def get(path="/.well-known/jwks.json", method="GET", **headers):
    return {"rawPath": path, "headers": headers, "requestContext": {"http": {"method": method}}}


def test_keys_are_not_told_without_tls():
    assert token_issuer.jwks(get(**{"x-forwarded-proto": "http"}), None)["statusCode"] == 403


def code_of(handler, event):
    with pytest.raises(KmsRuntimeError) as caught:
        handler(event, None)
    assert type(caught.value).__name__ == caught.value.code
    return caught.value.code


def body(answer):
    return base64.b64decode(answer["body"])


def test_token_is_issued_published_and_verified(kms):
    made = token_issuer.issue(request(lifetimeSeconds=60), None)
    fastjsonschema.compile(schema("token_issuer/issue_response"))(made)
    keys = Jwks.parse(body(token_issuer.jwks(get(), None)))
    found = verify_token(made["token"], keys=keys, issuer=ISSUER, audience="orders", required_claims=["tenant"])
    assert (found.claims["sub"], found.claims["tenant"], found.claims["jti"]) == ("customer-1", "a", made["tokenId"])
    assert made["expiresAt"] == found.claims["exp"] == found.claims["iat"] + 60
    assert (made["keyId"], made["algorithm"]) == ("es256-1", "ES256")
    assert kms.operations == ["Sign", "GetPublicKey", "GetPublicKey"]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (request(subject=""), "InvalidRequest"),
        (request(subject=7), "InvalidRequest"),
        (request(audience="others"), "InvalidRequest"),
        ({"subject": "s", "claims": {"tenant": "a"}}, "InvalidRequest"),
        (request(lifetimeSeconds=901), "InvalidRequest"),
        (request(lifetimeSeconds=0), "InvalidRequest"),
        (request(lifetimeSeconds=1.5), "InvalidRequest"),
        (request(lifetimeSeconds=60.5), "InvalidRequest"),
        (request(lifetimeSeconds=True), "InvalidRequest"),
        (request(claims={"tenant": "a", "exp": 1}), "InvalidRequest"),
        (request(claims=["tenant"]), "InvalidRequest"),
        (request(issuer="https://forger.example"), "InvalidRequest"),
        (request(claims={}), "TokenClaimMissing"),
        (request(claims={"tenant": "a" * 3100}), "TokenTooLarge"),
        ({}, "InvalidRequest"),
        ([], "InvalidRequest"),
    ],
)
def test_request_is_refused_before_any_call(event, code, kms):
    assert code_of(token_issuer.issue, event) == code
    assert kms.calls == []


def test_only_audience_need_not_be_named(monkeypatch):
    monkeypatch.setenv("AUDIENCES", '["orders"]')
    event = request()
    del event["audience"]
    assert token_issuer.issue(event, None)["token"]


@pytest.mark.parametrize("path", ["/", "/.well-known/jwks.json"])
def test_key_set_is_cacheable_and_not_sent_twice(path):
    first = token_issuer.jwks(get(path), None)
    assert first["statusCode"] == 200
    headers = first["headers"]
    assert (headers["content-type"], headers["cache-control"]) == ("application/jwk-set+json", "public, max-age=300")
    assert [key["kid"] for key in json.loads(body(first))["keys"]] == ["es256-1", "rs256-1"]
    again = token_issuer.jwks(get(path, **{"if-none-match": headers["etag"]}), None)
    assert (again["statusCode"], body(again), again["headers"]["etag"]) == (304, b"", headers["etag"])
    changed = token_issuer.jwks(get(path, **{"if-none-match": '"other"'}), None)
    assert (changed["statusCode"], body(changed)) == (200, body(first))


@pytest.mark.parametrize(
    ("event", "status"),
    [(get("/jwks"), 404), (get("/.well-known"), 404), (get(method="POST"), 405), (get(method="HEAD"), 200)],
)
def test_other_requests_are_answered_as_http_has_it(event, status):
    answer = token_issuer.jwks(event, None)
    assert answer["statusCode"] == status
    assert b"keys" not in body(answer) or status == 404


def test_keys_are_fetched_once_per_period(kms, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: now[0])
    for now[0] in (1.0, 2.0, 300.0):
        token_issuer.jwks(get(), None)
    assert kms.operations == ["GetPublicKey"] * 2
    now[0] = 301.0
    token_issuer.jwks(get(), None)
    assert kms.operations == ["GetPublicKey"] * 4


@pytest.mark.parametrize("code", ["DisabledException", "KMSInvalidStateException", "NotFoundException"])
def test_key_that_is_gone_leaves_the_set_and_the_other_stays(code, kms, arns, caplog):
    kms.failures[arns("RS256")] = code
    answer = token_issuer.jwks(get(), None)
    assert [key["kid"] for key in json.loads(body(answer))["keys"]] == ["es256-1"]
    assert [(r.message, r.errorCode) for r in caplog.records if r.levelno == logging.WARNING] == [
        ("key is not published", code)
    ]


def test_when_every_key_is_gone_nothing_old_is_served(kms, monkeypatch):
    now = [1.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: now[0])
    assert token_issuer.jwks(get(), None)["statusCode"] == 200
    kms.failures["GetPublicKey"], now[0] = "DisabledException", 500.0
    answer = token_issuer.jwks(get(), None)
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (503, "no-store")


@pytest.mark.parametrize("code", ["DisabledException", "ThrottlingException", "AccessDeniedException"])
def test_failure_is_kept_so_that_strangers_cause_no_calls(code, kms, monkeypatch):
    now = [1.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: now[0])
    kms.failures["GetPublicKey"] = code
    assert token_issuer.jwks(get(), None)["statusCode"] == 503
    asked = len(kms.operations)
    assert {token_issuer.jwks(get(), None)["statusCode"] for _ in range(10)} == {503}
    assert len(kms.operations) == asked
    kms.failures.clear()
    now[0] += http.FAILURE_KEPT
    assert token_issuer.jwks(get(), None)["statusCode"] == 200


def test_kms_that_is_slow_is_not_asked_for_the_further_keys(kms, monkeypatch):
    ticks = iter([1.0, 1.0, 1.1, 1.1 + key_set.FETCHED_WITHIN])
    monkeypatch.setattr(http.time, "monotonic", lambda: next(ticks, 9.0))
    answer = token_issuer.jwks(get(), None)
    assert (answer["statusCode"], kms.operations) == (503, ["GetPublicKey"])


@pytest.mark.parametrize("code", ["ThrottlingException", "KMSInternalException", "AccessDeniedException"])
def test_while_kms_cannot_be_asked_the_last_set_is_served(code, kms, monkeypatch):
    now = [1.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: now[0])
    kms.failures["GetPublicKey"] = code
    answer = token_issuer.jwks(get(), None)
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "10")
    kms.failures.clear()
    now[0] += http.FAILURE_KEPT
    good = token_issuer.jwks(get(), None)
    kms.failures["GetPublicKey"], now[0] = code, 500.0
    assert token_issuer.jwks(get(), None) == good


@pytest.fixture
def hmac_keys(monkeypatch, arns):
    monkeypatch.setenv("KEY_ARN", arns("HS256"))
    monkeypatch.setenv("TOKEN_ALGORITHM", "HS256")
    monkeypatch.setenv("TOKEN_KEYS", json.dumps({arns("HS256"): "HS256", arns("HS512"): "HS512"}))


def test_mac_token_is_verified_by_the_function(hmac_keys, kms, monkeypatch):
    token = token_issuer.issue(request(), None)["token"]
    answer = token_issuer.verify({"token": token, "audience": "orders"}, None)
    fastjsonschema.compile(schema("token_issuer/verify_response"))(answer)
    assert (answer["claims"]["sub"], answer["keyId"], answer["algorithm"]) == ("customer-1", "hs256-1", "HS256")
    assert kms.operations == ["GenerateMac", "VerifyMac"]
    for event, code in (
        ({"token": token, "audience": "invoices"}, "TokenAudienceMismatch"),
        ({"token": token}, "InvalidRequest"),
        ({"token": token + "=", "audience": "orders"}, "TokenMalformed"),
        ({"token": token, "audience": "orders", "leeway": 300}, "InvalidRequest"),
        ({"audience": "orders"}, "InvalidRequest"),
    ):
        assert code_of(token_issuer.verify, event) == code
    later = time.time() + 931
    monkeypatch.setattr("kms_runtime.tokens.verifying.time.time", lambda: later)
    assert code_of(token_issuer.verify, {"token": token, "audience": "orders"}) == "TokenExpired"


def test_token_of_a_signing_key_is_unknown_to_the_verify_function(hmac_keys, issued):
    token = issued("ES256", claims={"tenant": "a"}, now=time.time())
    assert code_of(token_issuer.verify, {"token": token, "audience": "orders"}) == "TokenKeyUnknown"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEY_ARN", ""), ("TOKEN_ALGORITHM", "none"), ("TOKEN_LIFETIME", "-1"), ("TOKEN_LIFETIME", "fifteen"),
        ("AUDIENCES", '"orders"'), ("ISSUER", ""), ("REQUIRED_CLAIMS", "{"), ("TOKEN_TYPE", ""),
    ],
)  # fmt: skip
def test_misconfigured_function_says_which_variable(name, value, monkeypatch, kms):
    monkeypatch.setenv(name, value)
    with pytest.raises(KmsRuntimeError, match=name) as caught:
        token_issuer.issue(request(), None)
    assert caught.value.code == "FunctionMisconfigured"
    assert kms.calls == []


@pytest.mark.parametrize("value", ["", "[]", "{}", "{", '{"a": 1}', '{"a": "none"}'])
def test_misconfigured_keys_are_said(value, monkeypatch):
    monkeypatch.setenv("TOKEN_KEYS", value)
    with pytest.raises(KmsRuntimeError, match="TOKEN_KEYS"):
        token_issuer.verify({"token": "x", "audience": "orders"}, None)


def test_log_holds_no_token_and_no_claim(caplog, hmac_keys):
    caplog.set_level(logging.DEBUG)
    made = token_issuer.issue(request(claims={"tenant": "hush-hush"}), None)
    token_issuer.verify({"token": made["token"], "audience": "orders"}, None)
    assert code_of(token_issuer.verify, {"token": made["token"], "audience": "invoices"})
    outcomes = [(record.message, record.operation) for record in caplog.records]
    assert outcomes == [("done", "TokenIssue"), ("done", "TokenVerify"), ("refused", "TokenVerify")]
    everything = json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert "hush" not in everything
    assert made["token"][40:60] not in everything
