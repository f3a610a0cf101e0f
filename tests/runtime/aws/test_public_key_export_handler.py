"""PublicKeyExport's functions: what is stored, what is served, what is cached, and every refusal."""

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import fastjsonschema
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import KmsRuntimeError, PublicKey
from kms_runtime.errors import ServiceUnreachable, SourceNotReadable
from kms_runtime.handlers import http, public_key_export, settings
from kms_runtime.handlers.validation import schema

ARN = "arn:aws:kms:eu-west-1:111122223333:key/00000000-12ab-34cd-56ef-1234567890ab"
OTHER = ARN[:-1] + "c"
OAEP = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]


class Kms:
    """Answers GetPublicKey, except for keys that fail."""

    def __init__(self, der: bytes) -> None:
        self.der, self.failing = der, set[str]()

    def get_public_key(self, *, KeyId: str) -> Mapping[str, Any]:  # noqa: N803
        if KeyId in self.failing:
            raise ClientError({"Error": {"Code": "DisabledException", "Message": "it is disabled"}}, "GetPublicKey")
        return {
            "KeyId": KeyId,
            "KeySpec": "RSA_2048",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "EncryptionAlgorithms": OAEP,
            "PublicKey": self.der,
        }


class Store:
    """An Amazon S3 that keeps what is put and how."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.put: list[dict[str, Any]] = []
        self.reads = 0
        self.failure = "AccessDenied", 403

    def put_object(self, **request: Any) -> Mapping[str, Any]:
        self.put.append(request)
        self.objects[request["Key"]] = request["Body"]
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]:  # noqa: N803
        self.reads += 1
        if Key not in self.objects:
            code, status = self.failure
            answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, "GetObject")
        return {"Body": BytesIO(self.objects[Key])}


@pytest.fixture
def kms(rsa_pair: rsa.RSAPrivateKey) -> Kms:
    return Kms(rsa_pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, kms: Kms, store: Store) -> None:
    monkeypatch.setattr(public_key_export, "kms_client", lambda: kms)
    for name in ("s3_client", "s3_client_for_strangers"):
        monkeypatch.setattr(public_key_export, name, lambda: store)
    public_key_export._publication.cache_clear()
    keys = {"partners": {"keyArn": ARN, "algorithms": OAEP[1:]}, "mail": {"keyArn": OTHER, "algorithms": []}}
    settings = {"BUCKET": "site", "PREFIX": "keys/", "MAX_AGE": "300", "PUBLIC_KEYS": json.dumps(keys)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def request(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"version": "2.0", "rawPath": path, "headers": named, "requestContext": {"http": {"method": method}}}


def serve(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    return public_key_export.serve(request(path, method, **headers), None)


def content(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["body"])


@pytest.fixture
def published() -> dict[str, Any]:
    return public_key_export.publish({}, None)


def test_four_files_of_each_key_are_stored_to_be_cached(published: dict[str, Any], store: Store) -> None:
    fastjsonschema.compile(schema("public_key_export/publish_response"))(published)
    assert [entry["name"] for entry in published["published"]] == ["partners", "mail"]
    assert published["published"][0]["objects"] == [f"keys/partners.{form}" for form in ("json", "pem", "der", "jwk")]
    assert [(item["Key"], item["ContentType"]) for item in store.put[:4]] == [
        ("keys/partners.json", "application/json"),
        ("keys/partners.pem", "application/x-pem-file"),
        ("keys/partners.der", "application/octet-stream"),
        ("keys/partners.jwk", "application/jwk+json"),
    ]
    assert {(item["Bucket"], item["CacheControl"]) for item in store.put} == {("site", "public, max-age=300")}


def test_files_are_of_the_same_key_and_name_the_chosen_algorithms(
    published: dict[str, Any], store: Store, kms: Kms
) -> None:
    document = json.loads(store.objects["keys/partners.json"])
    key = PublicKey.from_document(document)
    assert (key.key_arn, key.algorithms, key.der) == (ARN, ("RSAES_OAEP_SHA_256",), kms.der)
    assert published["published"][0]["sha256"] == hashlib.sha256(kms.der).hexdigest() == document["sha256"]
    assert store.objects["keys/partners.der"] == kms.der
    assert store.objects["keys/partners.pem"].decode() == key.pem
    assert json.loads(store.objects["keys/partners.jwk"]) == key.jwk()
    assert json.loads(store.objects["keys/mail.json"])["algorithms"] == OAEP


def test_key_that_fails_does_not_keep_the_others_from_being_published(
    kms: Kms, store: Store, refused: Callable[..., KmsRuntimeError]
) -> None:
    kms.failing = {ARN}
    error = refused(public_key_export.publish, {})
    assert error.code == "PublicKeysNotPublished"
    assert str(error) == "1 of 2 keys failed: partners (DisabledException: GetPublicKey: it is disabled)"
    assert sorted(store.objects) == [f"keys/mail.{form}" for form in ("der", "json", "jwk", "pem")]


def test_algorithm_that_the_key_does_not_know_is_not_published(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[..., KmsRuntimeError], store: Store
) -> None:
    monkeypatch.setenv("PUBLIC_KEYS", json.dumps({"a": {"keyArn": ARN, "algorithms": ["ECDSA_SHA_256"]}}))
    assert "InvalidKeyUsageException: ECDSA_SHA_256 is not an algorithm of" in str(
        refused(public_key_export.publish, {})
    )
    assert store.objects == {}


def test_publication_takes_no_orders(refused: Callable[..., KmsRuntimeError]) -> None:
    assert refused(public_key_export.publish, {"keys": {"x": "y"}}).code == "InvalidRequest"


@pytest.mark.usefixtures("published")
def test_file_is_served_with_what_caches_need(store: Store) -> None:
    answer = serve("/partners.json")
    assert content(answer) == store.objects["keys/partners.json"]
    assert answer["statusCode"] == 200
    assert answer["headers"] == {
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "etag",
        "strict-transport-security": "max-age=63072000",
        "x-content-type-options": "nosniff",
        "content-type": "application/json",
        "cache-control": "public, max-age=300",
        "etag": answer["headers"]["etag"],
    }
    assert serve("/partners.json", "HEAD") == answer | {"body": ""}


@pytest.mark.usefixtures("published")
def test_log_tells_requests_that_were_served_from_others(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for path in ("/partners.json", "/other"):
            serve(path)
    assert [(record.operation, record.statusCode) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("PublicKeyServe", 200),
        ("PublicKeyServe", 404),
    ]


@pytest.mark.usefixtures("published")
def test_who_has_the_file_is_not_sent_it_again() -> None:
    etag = serve("/partners.pem")["headers"]["etag"]
    for named in (etag, f'W/{etag}, "another"', "*"):
        answer = serve("/partners.pem", if_none_match=named)
        assert (answer["statusCode"], answer["body"], answer["headers"]["etag"]) == (304, "", etag)
        assert answer["headers"]["cache-control"] == "public, max-age=300"
    assert serve("/partners.pem", if_none_match='"another"')["statusCode"] == 200


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1.0]
    monkeypatch.setattr(http.time, "monotonic", lambda: clock[0])
    return clock


@pytest.mark.usefixtures("published")
def test_file_is_read_once_a_minute_however_many_ask(store: Store, now: list[float]) -> None:
    for now[0] in (1.0, 1.0, 60.9):
        assert {serve("/partners.json", method)["statusCode"] for method in ("GET", "HEAD")} == {200}
    assert store.reads == 1
    now[0] = 61.0
    serve("/partners.json")
    assert store.reads == 2
    for path in ("/x.json", "/partners.txt"):
        serve(path)
    assert store.reads == 2


@pytest.mark.parametrize("failure", [("AccessDenied", 403), ("NoSuchKey", 404), ("SlowDown", 503)])
def test_failure_is_kept_so_that_strangers_cause_no_reads(
    failure: tuple[str, int], store: Store, now: list[float]
) -> None:
    store.failure = failure
    assert {serve("/partners.json")["statusCode"] for _ in range(10)} == {503}
    assert store.reads == 1
    public_key_export.publish({}, None)
    now[0] += http.FAILURE_KEPT
    assert serve("/partners.json")["statusCode"] == 200


@pytest.mark.usefixtures("published")
def test_file_that_was_deleted_is_not_served_after_a_minute(store: Store, now: list[float]) -> None:
    assert serve("/partners.json")["statusCode"] == 200
    store.objects.clear()
    now[0] += 60
    assert serve("/partners.json")["statusCode"] == 503


def test_content_that_is_gone_comes_back_soon_after_its_source_whatever_failed_meanwhile(now: list[float]) -> None:
    answers: list[bytes | Exception] = [b"keys", SourceNotReadable("gone"), ServiceUnreachable("down"), b"keys"]

    def fetch() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    publication = http.Publication(fetch, refresh_after=3600, gone=(SourceNotReadable,))
    assert publication.content() == b"keys"
    for later, error in ((3600, SourceNotReadable), (http.FAILURE_KEPT, ServiceUnreachable)):
        now[0] += later
        with pytest.raises(error):
            publication.content()
    now[0] += http.FAILURE_KEPT
    assert publication.content() == b"keys"


@pytest.mark.usefixtures("published")
def test_file_is_kept_for_its_max_age_if_that_is_shorter(
    store: Store, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_AGE", "5")
    for now[0] in (1.0, 5.9, 6.0):
        serve("/partners.json")
    assert store.reads == 2


def test_calls_on_behalf_of_strangers_end_before_the_function_that_serves_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for made in (settings.s3_client_for_strangers, settings.kms_client_for_strangers):
        config = made.__wrapped__().meta.config
        assert config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) <= 6


def test_etag_changes_with_the_key_and_not_with_its_publication(
    published: dict[str, Any], kms: Kms, now: list[float]
) -> None:
    etag = serve("/partners.json")["headers"]["etag"]
    public_key_export.publish({}, None)
    now[0] += 60
    assert serve("/partners.json")["headers"]["etag"] == etag
    pair = rsa.generate_private_key(65537, 2048)
    kms.der = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public_key_export.publish({}, None)
    now[0] += 60
    assert serve("/partners.json")["headers"]["etag"] != etag


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "path", ["/", "/partners", "/partners.txt", "/other.json", "/keys/partners.json", "/../partners.json", "//x"]
)
def test_nothing_else_is_served(path: str) -> None:
    answer = serve(path)
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(method: str) -> None:
    answer = serve("/partners.json", method)
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "GET, HEAD")


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_request_without_tls_is_refused_with_nothing_to_believe(method: str) -> None:
    answer = serve("/partners.json", method, x_forwarded_proto="http")
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (403, "no-store")
    assert content(answer) == b"this address is served over HTTPS only\n"
    assert serve("/partners.json", method, x_forwarded_proto="https")["statusCode"] == 200


def test_key_that_is_not_published_yet_is_to_be_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        answer = serve("/partners.json")
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "10")
    assert answer["headers"]["cache-control"] == "no-store"
    assert content(answer) == b"this public key is not published yet; try again\n"
    assert "AccessDenied" in caplog.records[0].reason  # type: ignore[attr-defined]


def test_event_that_is_no_request_is_refused(refused: Callable[..., KmsRuntimeError]) -> None:
    assert refused(public_key_export.serve, {}).code == "InvalidRequest"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("BUCKET", "", "BUCKET is not set"),
        ("MAX_AGE", "soon", "MAX_AGE is 'soon'"),
        ("PUBLIC_KEYS", "{", "PUBLIC_KEYS is not JSON"),
        ("PUBLIC_KEYS", '{"a": "b"}', "not a JSON object of"),
    ],
)
def test_misconfigured_function_says_so(
    *, name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., KmsRuntimeError]
) -> None:
    monkeypatch.setenv(name, value)
    error = refused(public_key_export.publish, {})
    assert error.code == "FunctionMisconfigured"
    assert reason in str(error)
