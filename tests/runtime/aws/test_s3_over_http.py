"""The S3 streams on a genuine boto3 client, and how often the functions' clients retry."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config

from kms_runtime.errors import SourceChanged, SourceInterrupted
from kms_runtime.handlers import clients
from kms_runtime.s3 import S3Object, S3Sink, S3Source

DATA = bytes(range(251)) * 4000
PLACE = S3Object("bucket", "key")


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
        self.send_header("Content-Length", str(len(DATA) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        self.end_headers()
        if len(self.ranges) > self.breaks:
            self.wfile.write(DATA[start:])
            return
        self.wfile.write(DATA[start : start + self.break_after])
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
    with S3Source(PLACE, s3_client=client) as source:
        assert source.read() == DATA
    assert handler.ranges == ["", "bytes=300000-", "bytes=600000-"]


def test_object_replaced_while_the_connection_was_lost_is_noticed(client, handler):
    with S3Source(PLACE, s3_client=client) as source:
        handler.etag = '"second"'
        with pytest.raises(SourceChanged):
            source.read()


def test_connection_that_is_lost_for_good_is_given_up(client, handler):
    handler.breaks = 1000
    with S3Source(PLACE, s3_client=client, resume_limit=2) as source:
        source.read(300_000)
        handler.break_after = 0
        with pytest.raises(SourceInterrupted):
            source.read()


@pytest.mark.usefixtures("small_parts")
def test_retried_part_is_sent_again_from_its_first_byte(client, handler):
    with S3Sink(PLACE, expected_size=0, s3_client=client) as sink:
        sink.write(DATA[:2500])
        sink.complete()
    assert [bodies for _, bodies in sorted(handler.parts.items())] == [
        [DATA[0:1000]] * 2,
        [DATA[1000:2000]] * 2,
        [DATA[2000:2500]] * 2,
    ]


@pytest.fixture(autouse=True)
def region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made = (clients.kms_client, clients.kms_client_without_retries, clients.s3_client)
    yield
    for client in made:
        client.cache_clear()


@pytest.mark.parametrize(
    ("name", "attempts", "read_timeout"),
    [("kms_client", 5, 10), ("kms_client_without_retries", 1, 10), ("s3_client", 5, 60)],
)
def test_client_is_bounded_and_made_once(name, attempts, read_timeout):
    make = getattr(clients, name)
    config = make().meta.config
    assert config.retries["total_max_attempts"] == attempts
    assert (config.connect_timeout, config.read_timeout) == (3, read_timeout)
    assert make() is make()
