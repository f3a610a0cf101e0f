import io

import pytest
from botocore.exceptions import EndpointConnectionError, FlexibleChecksumError

from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import (
    ServiceUnreachable,
    SourceChanged,
    SourceCorrupted,
    SourceInterrupted,
    SourceNotReadable,
)
from kms_runtime.s3 import S3Object, S3Source

DATA = bytes(range(256)) * 20
PLACE = S3Object("inbox", "a.bin")


@pytest.fixture
def stored(s3):
    s3.put("inbox", "a.bin", DATA)
    return s3


def read_all(source):
    out, buffer = io.BytesIO(), bytearray(700)
    while got := source.readinto(memoryview(buffer)):
        out.write(buffer[:got])
    return out.getvalue()


def test_reads_the_object_in_one_request_and_gives_the_connection_back(stored):
    with S3Source(PLACE, s3_client=stored) as source:
        assert read_all(source) == DATA
        assert source.location == S3Object("inbox", "a.bin", "v1")
    assert stored.calls == [("GetObject", {"Bucket": "inbox", "Key": "a.bin"})]
    assert stored.bodies[0].closed


def test_read_returns_what_is_asked_for_and_the_rest_without_a_size(stored):
    source = S3Source(PLACE, s3_client=stored)
    assert source.read(10) == DATA[:10]
    assert source.read() == DATA[10:]


def test_asks_for_the_named_version(stored):
    stored.put("inbox", "a.bin", b"newer")
    assert read_all(S3Source(S3Object("inbox", "a.bin", "v1"), s3_client=stored)) == DATA
    assert stored.calls[0][1]["VersionId"] == "v1"


def test_resumes_a_broken_stream_at_the_byte_where_it_broke_of_the_same_object(stored):
    stored.breaks = [1500, 100]
    with S3Source(PLACE, s3_client=stored) as source:
        assert read_all(source) == DATA
    etag = stored.calls[1][1]["IfMatch"]
    pinned = {"Bucket": "inbox", "Key": "a.bin", "IfMatch": etag}
    assert stored.calls[1:] == [
        ("GetObject", pinned | {"Range": "bytes=1500-"}),
        ("GetObject", pinned | {"Range": "bytes=1600-"}),
    ]
    assert all(body.closed for body in stored.bodies)


def test_object_replaced_between_break_and_resume_is_noticed(stored):
    stored.breaks = [1500]
    with S3Source(PLACE, s3_client=stored) as source:
        stored.put("inbox", "a.bin", DATA[::-1])
        with pytest.raises(SourceChanged, match="replaced"):
            read_all(source)


def test_resumes_the_named_version_whatever_was_written_after_it(stored):
    stored.put("inbox", "a.bin", b"newer")
    stored.breaks = [1500]
    assert read_all(S3Source(S3Object("inbox", "a.bin", "v1"), s3_client=stored)) == DATA
    assert stored.calls[1][1]["VersionId"] == "v1"


def test_resumes_a_stream_that_ends_early_without_an_error(stored, monkeypatch):
    source = S3Source(PLACE, s3_client=stored)
    source._body = io.BytesIO(DATA[:99])
    assert read_all(source) == DATA


def test_gives_up_when_the_stream_breaks_too_often_in_a_row(stored):
    stored.breaks = [0] * 10
    source = S3Source(PLACE, s3_client=stored, resume_limit=3)
    with pytest.raises(SourceInterrupted, match=r"inbox/a\.bin\?versionId=v1 at byte 0 of 5120: .* 4 times in a row"):
        read_all(source)
    assert len(stored.calls) == 4


def test_progress_resets_the_count_of_breaks(stored):
    stored.breaks = [1] * 50
    assert read_all(S3Source(PLACE, s3_client=stored, resume_limit=1)) == DATA


@pytest.mark.parametrize("failure", [(412, "PreconditionFailed"), (416, "InvalidRange")])
def test_refuses_to_go_on_when_the_object_was_replaced(failure, stored):
    stored.breaks = [1500]
    source = S3Source(PLACE, s3_client=stored)
    stored.failures["GetObject"] = failure
    with pytest.raises(SourceChanged, match="replaced"):
        read_all(source)


@pytest.mark.parametrize("change", [{"ETag": '"other"'}, {"ContentRange": "bytes 0-5119/5120"}, {"ContentRange": None}])
def test_refuses_an_endpoint_that_ignores_the_precondition_or_the_range(change, stored, monkeypatch):
    stored.breaks = [1500]
    source = S3Source(PLACE, s3_client=stored)
    genuine = stored.get_object
    monkeypatch.setattr(stored, "get_object", lambda **request: {**genuine(**request), **change})
    with pytest.raises(SourceChanged):
        read_all(source)


@pytest.mark.parametrize("failure", [(403, "AccessDenied"), (404, "NoSuchKey")])
def test_403_and_404_are_source_not_readable(failure, s3):
    s3.failures["GetObject"] = failure
    with pytest.raises(SourceNotReadable, match=f"s3://inbox/a.bin: {failure[1]}: from the fake") as caught:
        S3Source(PLACE, s3_client=s3)
    assert caught.value.operation == "GetObject"


def test_another_error_keeps_the_code_of_aws(s3):
    s3.failures["GetObject"] = (503, "SlowDown")
    with pytest.raises(AwsError) as caught:
        S3Source(PLACE, s3_client=s3)
    assert caught.value.code == type(caught.value).__name__ == "SlowDown"


def test_no_connection_is_service_unreachable(s3):
    s3.failures["GetObject"] = EndpointConnectionError(endpoint_url="https://s3.example")
    with pytest.raises(ServiceUnreachable, match="Amazon S3"):
        S3Source(PLACE, s3_client=s3)


def test_wrong_checksum_is_final_and_not_a_reason_to_resume(stored, monkeypatch):
    source = S3Source(PLACE, s3_client=stored)

    def mismatch(_):
        raise FlexibleChecksumError(error_msg="Expected checksum x did not match")

    monkeypatch.setattr(source._body, "readinto", mismatch)
    with pytest.raises(SourceCorrupted, match="did not match"):
        read_all(source)
    assert len(stored.calls) == 1


def test_closed_source_asks_for_nothing_more(stored):
    """A thread that reads ahead may still be in a read when its source is closed: urllib3 then tells it of an end."""
    source = S3Source(PLACE, s3_client=stored)
    source.close()
    source._body = io.BytesIO()
    with pytest.raises(SourceInterrupted, match=r"at byte 0 of 5120: it is closed"):
        source.readinto(memoryview(bytearray(10)))
    assert len(stored.calls) == 1


def test_connection_that_is_made_while_the_source_is_closed_is_given_back(stored, monkeypatch):
    stored.breaks = [1500]
    source = S3Source(PLACE, s3_client=stored)
    monkeypatch.setattr("kms_runtime.s3.source.time.sleep", lambda _: setattr(source, "_closed", True))
    with pytest.raises(ValueError, match="closed"):
        read_all(source)
    assert [body.closed for body in stored.bodies] == [True, True]
