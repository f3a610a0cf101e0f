"""What the emulator's S3 does not know is refused, not served as something else; what it knows still works."""

import ssl
import urllib.request
from typing import Any

import pytest
from botocore.config import Config

from kms_patterns.local.server.s3.s3_operations import unknown

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.mark.parametrize(("operation", "request_"), [
    ("update_object_encryption", {"ObjectEncryption": {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:1:key/x"}}}),
    ("rename_object", {"RenameSource": "other"}),
    ("get_object_torrent", {}),
    ("put_object", {"Body": b"y", "WriteOffsetBytes": 1}),
])  # fmt: skip
def test_unknown_operation_on_an_object_leaves_it_as_it_was(
    root_s3: Any, aws: Any, make_bucket: Any, code_of: Any, operation: str, request_: Any
) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    root_s3.put_object(**place, Body=b"content")
    call = getattr(aws.client("s3", config=ONCE), operation)
    assert code_of(call, **place, **request_) == "NotImplemented"
    assert root_s3.get_object(**place)["Body"].read() == b"content"


@pytest.mark.parametrize("operation", ["get_bucket_policy_status", "list_bucket_metrics_configurations"])
def test_unknown_operation_on_a_bucket_is_no_list_of_its_objects(
    aws: Any, make_bucket: Any, code_of: Any, operation: str
) -> None:
    assert code_of(getattr(aws.client("s3", config=ONCE), operation), Bucket=make_bucket()) == "NotImplemented"


def test_presigned_request_with_an_overridden_header_is_known(root_s3: Any, aws: Any, make_bucket: Any) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    root_s3.put_object(**place, Body=b"content")
    signing = aws.client("s3", config=Config(signature_version="s3v4"))
    url = signing.generate_presigned_url("get_object", {**place, "ResponseContentType": "text/plain"})
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    assert opener.open(url, timeout=10).read() == b"content"


@pytest.mark.parametrize("name", ["X-Amz-Signature", "response-content-type", "x-id", "x-own", "AWSAccessKeyId"])
def test_parameter_that_names_no_operation_is_known(name: str) -> None:
    assert unknown("GET", "k", {}, [name]) is None
