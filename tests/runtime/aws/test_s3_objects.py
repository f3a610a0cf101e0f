"""S3 objects as sources and sinks of streams, in memory and over HTTP."""

import base64
import hashlib
import io
import socket
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError, FlexibleChecksumError
from urllib3 import HTTPResponse

from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import (
    DestinationNotWritable,
    ObjectTooLarge,
    ServiceUnreachable,
    SourceChanged,
    SourceCorrupted,
    SourceInterrupted,
    SourceNotReadable,
)
from kms_runtime.handlers import settings
from kms_runtime.s3 import S3Object, S3Sink, S3Source
from kms_runtime.s3.parts import MAX_OBJECT_SIZE, MEBIBYTE, part_size_for, sign_no_payload_over_tls

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


SINK_PLACE = S3Object("vault", "a.bin")
WHERE = {"Bucket": "vault", "Key": "a.bin"}


def write(s3, *chunks):
    with S3Sink(SINK_PLACE, expected_size=0, s3_client=s3) as sink:
        for chunk in chunks:
            assert sink.write(chunk) == len(chunk)
        return sink.complete()


def crc32_of(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


def write_and_fail(s3, size, error):
    with S3Sink(SINK_PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(size))
        raise error


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
@pytest.mark.usefixtures("small_parts")
def test_object_that_fits_into_one_part_is_one_put(size, s3):
    assert write(s3, b"x" * size) == S3Object("vault", "a.bin", "v1")
    assert s3.calls == [("PutObject", WHERE | {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32_of(b"x" * size)})]
    assert s3.latest("vault", "a.bin") == b"x" * size


@pytest.mark.usefixtures("small_parts")
def test_larger_object_is_one_multipart_upload_with_exact_calls(s3):
    data = bytes(range(251)) * 9
    assert write(s3, data[:999], data[999:1001], memoryview(data)[1001:]) == S3Object("vault", "a.bin", "v1")
    upload = WHERE | {"UploadId": "upload-1"}
    parts = [{"PartNumber": n, "ETag": f'"part-{n}"', "ChecksumCRC32": f"crc-{n}"} for n in (1, 2, 3)]
    first, *sent, last = s3.calls
    assert [first, *sorted(sent, key=lambda call: call[1]["PartNumber"]), last] == [
        ("CreateMultipartUpload", WHERE | {"ChecksumAlgorithm": "CRC32"}),
        *[
            ("UploadPart", upload | {"PartNumber": n, "ChecksumCRC32": crc32_of(data[1000 * (n - 1) : 1000 * n])})
            for n in (1, 2, 3)
        ],
        ("CompleteMultipartUpload", upload | {"MultipartUpload": {"Parts": parts}}),
    ]
    assert s3.latest("vault", "a.bin") == data


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(("scheme", "signed"), [("https", "UNSIGNED-PAYLOAD"), ("http", None)])
def test_part_is_sent_from_its_memory_in_one_piece_and_again_after_a_failure(scheme, signed):
    s3 = boto3.client(
        "s3", endpoint_url=f"{scheme}://s3.example", region_name="us-east-1",
        aws_access_key_id="unused", aws_secret_access_key="unused",
    )  # fmt: skip
    s3 = sign_no_payload_over_tls(s3)
    sent = []

    def answer(request, **_):
        sent.append((list(map(bytes, request.body)), dict(request.headers)))
        return AWSResponse(
            request.url, 503 if len(sent) == 1 else 200, {}, HTTPResponse(io.BytesIO(), preload_content=False)
        )

    with S3Sink(SINK_PLACE, expected_size=0, s3_client=s3) as sink:
        s3.meta.events.register_last("before-send.s3", answer)
        sink.write(b"x" * 999)
        sink.complete()
    assert [pieces for pieces, _ in sent] == [[b"x" * 999]] * 2
    expected = (signed or hashlib.sha256(b"x" * 999).hexdigest()).encode()
    assert {headers["x-amz-content-sha256"] for _, headers in sent} == {expected}
    assert {headers["x-amz-checksum-crc32"] for _, headers in sent} == {crc32_of(b"x" * 999).encode()}
    assert not any({name.lower() for name in headers} & {"expect", "transfer-encoding"} for _, headers in sent)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [2000, 2001])
def test_last_part_has_exactly_the_rest(size, s3):
    data = bytes(i % 256 for i in range(size))
    write(s3, data)
    assert s3.latest("vault", "a.bin") == data


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt(), SystemExit(1)])
def test_any_exception_aborts_the_upload_and_nothing_appears(error, s3):
    with pytest.raises(type(error)):
        write_and_fail(s3, 2500, error)
    assert s3.calls[-1] == ("AbortMultipartUpload", WHERE | {"UploadId": "upload-1"})
    assert (s3.objects, s3.uploads) == ({}, {})


@pytest.mark.usefixtures("small_parts")
def test_leaving_without_complete_aborts(s3):
    with S3Sink(SINK_PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(2500))
    assert (s3.objects, s3.uploads) == ({}, {})


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [10, 1500])
@pytest.mark.parametrize("end", [S3Sink.complete, S3Sink.abort])
def test_sink_that_ended_takes_nothing_more(end, size, s3):
    with S3Sink(SINK_PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(size))
        end(sink)
        calls = list(s3.calls)
        for again in (sink.complete, lambda: sink.write(b"x")):
            with pytest.raises(ValueError, match="completed or aborted"):
                again()
    assert s3.calls == calls


def test_small_object_that_is_not_completed_makes_no_call(s3):
    with pytest.raises(ValueError, match="boom"):
        write_and_fail(s3, 10, ValueError("boom"))
    assert s3.calls == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_failed_upload_is_aborted_and_named(operation, s3):
    s3.failures[operation] = (403, "AccessDenied")
    with pytest.raises(DestinationNotWritable, match=r"s3://vault/a\.bin: AccessDenied") as caught:
        write(s3, bytes(2500))
    assert caught.value.operation == operation
    assert s3.operations[-1] == "AbortMultipartUpload"
    assert (s3.objects, s3.uploads) == ({}, {})


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
@pytest.mark.usefixtures("small_parts")
def test_refused_destination_is_destination_not_writable(operation, s3):
    s3.failures[operation] = (404, "NoSuchBucket")
    with pytest.raises(DestinationNotWritable, match="NoSuchBucket"):
        write(s3, bytes(10 if operation == "PutObject" else 2500))


@pytest.mark.usefixtures("small_parts")
def test_failed_abort_is_logged_and_does_not_hide_the_first_error(s3, caplog):
    s3.failures["AbortMultipartUpload"] = (403, "AccessDenied")
    with pytest.raises(ValueError, match="boom"):
        write_and_fail(s3, 2500, ValueError("boom"))
    assert [(record.message, record.errorCode) for record in caplog.records] == [
        ("upload not aborted", "DestinationNotWritable")
    ]


@pytest.mark.parametrize(
    ("size", "mebibytes"),
    [(0, 6), (60_000 * MEBIBYTE, 6), (60_000 * MEBIBYTE + 1, 7), (MAX_OBJECT_SIZE, 525)],
)
def test_part_size_grows_so_that_ten_thousand_parts_suffice(size, mebibytes):
    assert part_size_for(size) == mebibytes * MEBIBYTE
    assert part_size_for(size) * 10_000 >= size


def test_more_than_five_tebibytes_is_refused_before_any_call(s3):
    with pytest.raises(ObjectTooLarge, match="5 TiB"):
        S3Sink(SINK_PLACE, expected_size=MAX_OBJECT_SIZE + 1, s3_client=s3)
    assert s3.calls == []


@pytest.mark.usefixtures("small_parts")
def test_more_parts_than_s3_takes_is_refused_and_aborted(s3, monkeypatch):
    monkeypatch.setattr("kms_runtime.s3.sink.MAX_PARTS", 2)
    with pytest.raises(ObjectTooLarge, match="more than 2 parts"):
        write(s3, bytes(2001))
    assert s3.uploads == {}
    write(s3, bytes(2000))
    assert s3.latest("vault", "a.bin") == bytes(2000)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_object_that_lacks_a_piece_cannot_be_completed(operation, s3):
    """A caller that goes on after a failed write must not store the first part as if it were the whole object."""
    with S3Sink(SINK_PLACE, expected_size=0, s3_client=s3) as sink:
        s3.failures[operation] = (403, "AccessDenied")
        with pytest.raises(DestinationNotWritable):
            sink.write(bytes(5000))
        s3.failures.clear()
        with pytest.raises(ValueError, match="takes nothing more"):
            sink.complete()
    assert (s3.objects, s3.uploads) == ({}, {})


HTTP_DATA = bytes(range(251)) * 4000
HTTP_PLACE = S3Object("bucket", "key")


class Handler(BaseHTTPRequestHandler):
    """Serves DATA in responses that break off, and takes parts of which each is refused once."""

    protocol_version = "HTTP/1.1"
    break_after = 300_000
    breaks = 2
    etag = '"first"'
    ranges: list[str]
    parts: dict[str, list[bytes]]

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.ranges.append(self.headers.get("Range", ""))
        if self.headers.get("If-Match", self.etag) != self.etag:
            self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self.send_from(int(self.headers.get("Range", "bytes=0-")[6:-1]))

    def send_from(self, start):
        self.send_response(206 if start else 200)
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(len(HTTP_DATA) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(HTTP_DATA) - 1}/{len(HTTP_DATA)}")
        self.end_headers()
        if len(self.ranges) > self.breaks:
            self.wfile.write(HTTP_DATA[start:])
            return
        self.wfile.write(HTTP_DATA[start : start + self.break_after])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("?uploads"):
            return self.answer(
                200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        return self.answer(200, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")

    def do_PUT(self):
        received = self.parts.setdefault(self.path, [])
        received.append(self.rfile.read(int(self.headers["Content-Length"])))
        if len(received) == 1:
            return self.answer(503, b"<Error><Code>SlowDown</Code></Error>")
        return self.answer(200, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def handler():
    return type("Fresh", (Handler,), {"ranges": [], "parts": {}})


@pytest.fixture
def client(handler, monkeypatch):
    monkeypatch.setattr("botocore.retries.standard.time.sleep", lambda _: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="eu-west-1",
        aws_access_key_id="unused",
        aws_secret_access_key="unused",
        config=Config(s3={"addressing_style": "path"}, proxies={}, retries={"mode": "standard"}),
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_lost_connections_are_resumed_without_losing_or_repeating_a_byte(client, handler):
    with S3Source(HTTP_PLACE, s3_client=client) as source:
        assert source.read() == HTTP_DATA
    assert handler.ranges == ["", "bytes=300000-", "bytes=600000-"]


def test_object_replaced_while_the_connection_was_lost_is_noticed(client, handler):
    with S3Source(HTTP_PLACE, s3_client=client) as source:
        handler.etag = '"second"'
        with pytest.raises(SourceChanged):
            source.read()


def test_connection_that_is_lost_for_good_is_given_up(client, handler):
    handler.breaks = 1000
    with S3Source(HTTP_PLACE, s3_client=client, resume_limit=2) as source:
        source.read(300_000)
        handler.break_after = 0
        with pytest.raises(SourceInterrupted):
            source.read()


@pytest.mark.usefixtures("small_parts")
def test_retried_part_is_sent_again_from_its_first_byte(client, handler):
    with S3Sink(HTTP_PLACE, expected_size=0, s3_client=client) as sink:
        sink.write(HTTP_DATA[:2500])
        sink.complete()
    assert [bodies for _, bodies in sorted(handler.parts.items())] == [
        [HTTP_DATA[0:1000]] * 2,
        [HTTP_DATA[1000:2000]] * 2,
        [HTTP_DATA[2000:2500]] * 2,
    ]


@pytest.fixture(autouse=True)
def region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made = (settings.kms_client, settings.kms_client_without_retries, settings.s3_client)
    yield
    for client in made:
        client.cache_clear()


@pytest.mark.parametrize(
    ("name", "attempts", "read_timeout"),
    [("kms_client", 5, 10), ("kms_client_without_retries", 1, 10), ("s3_client", 5, 60)],
)
def test_client_is_bounded_and_made_once(name, attempts, read_timeout):
    make = getattr(settings, name)
    config = make().meta.config
    assert config.retries["total_max_attempts"] == attempts
    assert (config.connect_timeout, config.read_timeout) == (3, read_timeout)
    assert make() is make()
