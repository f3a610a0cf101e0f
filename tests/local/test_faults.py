"""Faults on demand, and what boto3 makes of them. What the functions make of them, the soak shows."""

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError

from kms_patterns.local import LocalAws
from kms_runtime import KmsKeyring, encrypt
from kms_runtime.aws_errors import ThrottlingException

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=1)
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 10})


@pytest.fixture
def faulty(aws: LocalAws) -> Iterator[LocalAws]:
    yield aws
    aws.inject_faults()


def keys_of(aws: LocalAws) -> int:
    pages = aws.client("kms").get_paginator("list_keys").paginate()
    return sum(len(page["Keys"]) for page in pages)


@pytest.mark.parametrize(("kind", "code", "s3_code"), [
    ("throttle", "ThrottlingException", "SlowDown"), ("error", "KMSInternalException", "InternalError"),
    ("unavailable", "DependencyTimeoutException", "ServiceUnavailable"),
    ("expired credentials", "ExpiredTokenException", "ExpiredToken"),
    ("clock skew", "RequestExpired", "RequestTimeTooSkewed"),
    ("access denied", "AccessDeniedException", "AccessDenied"),
    ("disabled key", "DisabledException", "KMS.DisabledException"),
])  # fmt: skip
def test_a_fault_looks_like_aws(faulty: LocalAws, code_of: Any, kind: str, code: str, s3_code: str) -> None:
    faulty.inject_faults({"kind": kind})
    assert code_of(faulty.client("kms", config=ONCE).list_keys) == code
    assert code_of(faulty.client("s3", config=ONCE).list_buckets) == s3_code
    assert faulty.injected_faults() == {kind: 2}


def test_a_fault_is_about_its_operation_and_ends(faulty: LocalAws, code_of: Any) -> None:
    kms = faulty.client("kms", config=ONCE)
    faulty.inject_faults({"kind": "throttle", "service": "kms", "operation": "ListKeys", "times": 2})
    assert kms.list_aliases()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert faulty.client("s3", config=ONCE).list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert [code_of(kms.list_keys) for _ in range(2)] == ["ThrottlingException"] * 2
    assert kms.list_keys()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_quota_throttles_what_is_above_its_rate(faulty: LocalAws) -> None:
    kms = faulty.client("kms", config=ONCE)
    faulty.inject_faults({"kind": "quota", "service": "kms", "rate": 3})
    outcomes = Counter(_outcome(kms.list_keys) for _ in range(12))
    assert outcomes["ThrottlingException"] >= 3
    assert outcomes["ok"] >= 3


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "delay", "seconds": 1.5}])
def test_a_cut_or_slow_connection_is_an_error_once_and_retried(faulty: LocalAws, fault: dict[str, Any]) -> None:
    faulty.inject_faults(fault | {"times": 1})
    with pytest.raises((HTTPClientError, ResponseStreamingError)):
        faulty.client("kms", config=ONCE).list_keys()
    faulty.inject_faults(fault | {"times": 1})
    patient = faulty.client("kms", config=PATIENT.merge(Config(read_timeout=1)))
    assert patient.list_keys()["ResponseMetadata"]["RetryAttempts"] == 1


def test_giving_up_says_after_how_many_attempts(faulty: LocalAws, key: str) -> None:
    faulty.inject_faults({"kind": "throttle", "service": "kms"})
    thrice = faulty.client("kms", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))
    with pytest.raises(ThrottlingException, match=r"^GenerateDataKey: fault \(given up after 3 attempts\)$"):
        encrypt(io.BytesIO(), io.BytesIO(), keyring=KmsKeyring(key, kms_client=thrice), encryption_context={})
    assert (faulty.injected_faults(), faulty.retries()) == ({"throttle": 3}, 2)


def test_a_lost_answer_is_that_of_a_request_that_was_served(faulty: LocalAws) -> None:
    before = keys_of(faulty)
    faulty.inject_faults({"kind": "lost answer", "operation": "CreateKey", "times": 1, "name": "lost"})
    faulty.client("kms", config=PATIENT).create_key()
    assert keys_of(faulty) == before + 2
    assert (faulty.injected_faults(), faulty.retries()) == ({"lost": 1}, 1)


def test_faults_tell_what_they_came_to(faulty: LocalAws, root_s3: Any, make_bucket: Any, code_of: Any) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    upload = {**place, "UploadId": root_s3.create_multipart_upload(**place)["UploadId"]}
    once = faulty.client("s3", config=ONCE)
    faulty.inject_faults({"kind": "access denied", "service": "s3"})
    for call, request in (
        (once.create_multipart_upload, place), (once.upload_part, {**upload, "PartNumber": 1, "Body": b""}),
        (once.abort_multipart_upload, upload), (once.list_parts, upload),
    ):  # fmt: skip
        assert code_of(call, **request) == "AccessDenied"
    found = [(request["kind"], request["operations"], request["path"]) for request in faulty.faulted_requests()]
    path = f"/{place['Bucket']}/k"
    operations = [["POST", "CreateMultipartUpload"], ["PUT", "UploadPart"], ["DELETE", "AbortMultipartUpload"], ["GET"]]
    assert found == [("access denied", sorted(["", *names]), path) for names in operations]


def test_a_refusal_of_a_large_part_is_seen_as_what_it_is(
    faulty: LocalAws, root_s3: Any, make_bucket: Any, code_of: Any
) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    part = {**place, "UploadId": root_s3.create_multipart_upload(**place)["UploadId"], "PartNumber": 1}
    faulty.inject_faults({"kind": "access denied", "operation": "UploadPart", "times": 1})
    assert code_of(faulty.client("s3", config=PATIENT).upload_part, **part, Body=bytes(6 << 20)) == "AccessDenied"


def test_an_unknown_kind_is_refused(faulty: LocalAws) -> None:
    with pytest.raises(ValueError, match="no kind of fault: \\['earthquake'\\]"):
        faulty.inject_faults({"kind": "earthquake"})


def _outcome(call: Any) -> str:
    try:
        call()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return "ok"
