"""Transfers of S3 objects: parts uploaded and read side by side, killed and retried, and what is left behind."""

import io
import mmap
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import kms_runtime
from kms_runtime import decrypt_bytes, encrypt_bytes
from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import (
    DestinationNotWritable,
    EncryptionContextMismatch,
    InvalidRequest,
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
    RangeNotSatisfiable,
    SourceChanged,
    SourceNotReadable,
)
from kms_runtime.s3 import S3Object, S3Range, S3Sink, decrypt_object, decrypt_object_range, encrypt_object
from kms_runtime.s3.parts import IN_FLIGHT, PartBuffer, PartUploads

CONTEXT = {"tenant": "a"}
PLAIN, VAULT, RESTORED = S3Object("inbox", "f"), S3Object("vault", "f.encrypted"), S3Object("restored", "f")


@pytest.fixture
def common(keyring, s3):
    return {"keyring": keyring, "encryption_context": CONTEXT, "s3_client": s3}


@pytest.mark.parametrize("size", [0, 1, 1000, 700_000])
@pytest.mark.usefixtures("small_parts")
def test_object_comes_back_byte_identical(size, common, s3, kms):
    plaintext = os.urandom(size)
    s3.put("inbox", "f", plaintext)
    made = encrypt_object(PLAIN, VAULT, **common)
    back = decrypt_object(VAULT, RESTORED, **common)
    assert s3.latest("restored", "f") == plaintext
    assert (made.source, made.destination) == (S3Object("inbox", "f", "v1"), S3Object("vault", "f.encrypted", "v1"))
    assert made.message.plaintext_bytes == size
    assert made.message.ciphertext_bytes == len(s3.latest("vault", "f.encrypted"))
    assert back.message == made.message
    assert kms.operations == ["GenerateDataKey", "Decrypt"]


def test_message_in_s3_is_an_ordinary_message(common, s3, keyring):
    s3.put("inbox", "f", b"hello")
    encrypt_object(PLAIN, VAULT, **common)
    message = s3.latest("vault", "f.encrypted")
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"hello"


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda message: message[:-1] + bytes([message[-1] ^ 1]), MessageAuthenticationFailed),
        (lambda message: message[:-1], MessageTruncated),
        (lambda message: message[: len(message) // 2], MessageTruncated),
        (lambda message: message + b"\0", MessageFormatError),
    ],
    ids=["bad last frame", "one byte short", "half", "one byte more"],
)
def test_damaged_message_leaves_no_object_and_no_upload(damage, error, common, s3, keyring):
    message = encrypt_bytes(os.urandom(9000), keyring=keyring, encryption_context=CONTEXT, frame_length=512)
    s3.put("vault", "f.encrypted", damage(message))
    with pytest.raises(error):
        decrypt_object(VAULT, RESTORED, **common)
    assert ("restored", "f") not in s3.objects
    assert s3.uploads == {}
    assert s3.operations[-1] == "AbortMultipartUpload"
    assert "CompleteMultipartUpload" not in s3.operations


def test_small_damaged_message_is_never_written(common, s3, keyring):
    message = bytearray(encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT))
    message[-1] ^= 1
    s3.put("vault", "f.encrypted", bytes(message))
    with pytest.raises(MessageAuthenticationFailed):
        decrypt_object(VAULT, RESTORED, **common)
    assert s3.operations == ["GetObject"]


def test_wrong_context_is_refused_before_kms_and_writes_nothing(common, s3, kms, keyring):
    s3.put("vault", "f.encrypted", encrypt_bytes(b"hello", keyring=keyring, encryption_context={"tenant": "b"}))
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch):
        decrypt_object(VAULT, RESTORED, **common)
    assert (kms.calls, s3.operations) == ([], ["GetObject"])


@pytest.mark.parametrize("transfer", [encrypt_object, decrypt_object])
def test_overwriting_the_source_is_refused_before_any_call(transfer, common, s3, kms):
    with pytest.raises(InvalidRequest, match="overwritten"):
        transfer(S3Object("b", "k", "v1"), S3Object("b", "k"), **common)
    assert (s3.calls, kms.calls) == ([], [])


def test_missing_source_costs_no_kms_call(common, kms):
    with pytest.raises(SourceNotReadable):
        encrypt_object(PLAIN, VAULT, **common)
    assert kms.calls == []


@pytest.mark.usefixtures("small_parts")
def test_broken_connections_do_not_show_in_the_result(common, s3, keyring):
    plaintext = os.urandom(5000)
    s3.put("inbox", "f", plaintext)
    s3.breaks = [1234, 1000]
    encrypt_object(PLAIN, VAULT, **common)
    message = s3.latest("vault", "f.encrypted")
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == plaintext


PLACE = S3Object("vault", "f")
PLAINTEXT = os.urandom(100_000)


@pytest.fixture
def read(s3, keyring):
    def call(start, length, place=PLACE):
        sink = io.BytesIO()
        common = {"keyring": keyring, "encryption_context": CONTEXT, "s3_client": s3}
        decrypt_object_range(place, sink, start=start, length=length, **common)
        return sink.getvalue()

    return call


@pytest.fixture
def stored(s3, keyring):
    message = encrypt_bytes(PLAINTEXT, keyring=keyring, encryption_context=CONTEXT, frame_length=1000)
    s3.put("vault", "f", message)
    return message


@pytest.mark.usefixtures("stored")
def test_range_of_an_object_takes_two_bounded_reads_of_one_version(read, s3):
    assert read(50_500, 1000) == PLAINTEXT[50_500:51_500]
    first, second = (request for _, request in s3.calls)
    assert first["Range"] == "bytes=0-16383"
    start, end = (int(each) for each in second["Range"][6:].split("-"))
    assert end - start + 1 == 2 * (1000 + 32)
    assert "IfMatch" in second


@pytest.mark.parametrize(("start", "length"), [(0, 1), (99_999, 1), (99_000, 5000), (0, 100_000)])
@pytest.mark.usefixtures("stored")
def test_range_is_the_slice_over_lost_connections_too(start, length, read, s3):
    s3.breaks = [5000, 700]
    assert read(start, length) == PLAINTEXT[start : start + length]


def test_object_replaced_between_the_reads_is_noticed(s3, stored, read, monkeypatch):
    genuine = s3.get_object

    def replace_afterwards(**request):
        answer = genuine(**request)
        s3.put("vault", "f", s3.latest("vault", "f") + b"x")
        return answer

    monkeypatch.setattr(s3, "get_object", replace_afterwards)
    with pytest.raises(SourceChanged):
        read(50_500, 1, S3Object("vault", "f"))


def test_altered_frame_in_the_range_is_refused_and_one_outside_is_not_read(s3, stored, read):
    altered = bytearray(stored)
    altered[-50_000] ^= 1
    s3.put("vault", "f", bytes(altered))
    assert read(0, 1000) == PLAINTEXT[:1000]
    with pytest.raises(MessageAuthenticationFailed):
        read(0, 100_000)


def test_missing_empty_and_short_objects_have_their_own_errors(s3, stored, read):
    with pytest.raises(SourceNotReadable):
        read(0, 1, S3Object("vault", "missing"))
    with pytest.raises(RangeNotSatisfiable):
        read(100_000, 1)
    s3.put("vault", "empty", b"")
    with pytest.raises(AwsError) as caught:
        read(0, 1, S3Object("vault", "empty"))
    assert caught.value.code == "InvalidRange"


@pytest.mark.usefixtures("stored")
def test_size_is_that_of_the_object_and_a_read_ends_where_asked(s3):
    source = S3Range(PLACE, s3_client=s3)
    with source.open_range(10, 20) as opened:
        assert len(opened.read()) == 10
        assert opened.read() == b""
    assert source.size == len(s3.latest("vault", "f"))
    assert source.location.version_id == "v1"


DESCRIBED = {
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentEncoding": "gzip",
    "ContentLanguage": "de",
    "ContentType": "text/plain",
    "Expires": datetime(2030, 1, 1, tzinfo=UTC),
    "Metadata": {"owner": "billing"},
    "WebsiteRedirectLocation": "/there",
}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [10, 5000])
def test_headers_and_metadata_come_back(size, common, s3):
    s3.put("inbox", "f", bytes(size))
    s3.attributes["inbox", "f"] = DESCRIBED
    encrypt_object(PLAIN, VAULT, **common)
    assert s3.attributes["vault", "f.encrypted"] == DESCRIBED
    decrypt_object(VAULT, RESTORED, **common)
    assert s3.attributes["restored", "f"] == DESCRIBED


TAGS = [{"Key": "a&b", "Value": "c d=ü"}, {"Key": "empty", "Value": "x"}]


def test_tags_are_carried_dropped_or_refused(common, s3):
    s3.put("inbox", "f", b"hello")
    s3.tags["inbox", "f"] = TAGS
    with pytest.raises(InvalidRequest, match='has 2 tags: tags="carry"'):
        encrypt_object(PLAIN, VAULT, **common)
    assert list(s3.objects) == [("inbox", "f")]
    encrypt_object(PLAIN, VAULT, **common, tags="drop")
    assert ("vault", "f.encrypted") not in s3.tags
    encrypt_object(PLAIN, VAULT, **common, tags="carry")
    decrypt_object(VAULT, RESTORED, **common, tags="carry")
    assert s3.tags["restored", "f"] == TAGS


@pytest.mark.parametrize("word", ["Carry", "", None])
def test_another_word_for_tags_is_refused(word, common, s3):
    s3.put("inbox", "f", b"hello")
    with pytest.raises(InvalidRequest, match="refuse, carry, drop"):
        encrypt_object(PLAIN, VAULT, **common, tags=word)


@pytest.mark.parametrize("name", ["bucket", "key", "version_id"])
def test_name_that_is_not_unicode_is_refused(name):
    with pytest.raises(InvalidRequest, match="Unicode"):
        S3Object(**{"bucket": "b", "key": "k", name: "\ud800"})


PARTS_PLACE = S3Object("vault", "a.bin")


class Road:
    """Holds every part until it is let go, and knows how many travel at once."""

    def __init__(self, s3, monkeypatch):
        self.open = threading.Event()
        self.travelling = self.most = 0
        self.arrived = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._genuine = s3.upload_part
        monkeypatch.setattr(s3, "upload_part", self.upload)

    def upload(self, **request):
        with self._lock:
            self.travelling += 1
            self.most = max(self.most, self.travelling)
        self.arrived.release()
        assert self.open.wait(20)
        try:
            return self._genuine(**request)
        finally:
            with self._lock:
                self.travelling -= 1


def write_all(s3, chunks):
    with S3Sink(PARTS_PLACE, expected_size=0, s3_client=s3) as sink:
        for chunk in chunks:
            sink.write(chunk)
        sink.complete()


@pytest.fixture
def road(s3, monkeypatch):
    return Road(s3, monkeypatch)


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_next_part_is_written_while_two_are_on_their_way(s3, road):
    with S3Sink(PARTS_PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(3000))
        for _ in range(IN_FLIGHT):
            assert road.arrived.acquire(timeout=20)
        road.open.set()
        sink.write(bytes(5000))
        sink.complete()
    assert road.most == IN_FLIGHT == 2
    assert s3.latest("vault", "a.bin") == bytes(8000)


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_abort_waits_for_the_parts_on_their_way_so_that_none_stays(s3, road):
    def fail():
        with S3Sink(PARTS_PLACE, expected_size=0, s3_client=s3) as sink:
            sink.write(bytes(2500))
            assert road.arrived.acquire(timeout=20)
            threading.Timer(0.05, road.open.set).start()
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert road.travelling == 0
    assert s3.operations[-1] == "AbortMultipartUpload"
    assert (s3.objects, s3.uploads) == ({}, {})


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_part_that_fails_late_stops_the_upload_at_the_next_chance(s3):
    s3.failures["UploadPart"] = (403, "AccessDenied")
    chunks = iter([bytes(1000)] * 100)
    with pytest.raises(DestinationNotWritable):
        write_all(s3, chunks)
    assert len(list(chunks)) >= 100 - (IN_FLIGHT + 2)
    assert s3.operations[-1] == "AbortMultipartUpload"
    assert s3.operations.count("UploadPart") <= IN_FLIGHT + 1


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_last_part_that_fails_leaves_no_object(s3, monkeypatch):
    genuine = s3.upload_part

    def refuse_the_last(**request):
        if request["PartNumber"] == 3:
            s3.failures["UploadPart"] = (403, "AccessDenied")
        return genuine(**request)

    monkeypatch.setattr(s3, "upload_part", refuse_the_last)
    with pytest.raises(DestinationNotWritable):
        write_all(s3, [bytes(2500)])
    assert (s3.objects, s3.uploads) == ({}, {})


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [10, 2500, 9999])
def test_no_buffer_holds_data_afterwards(size, s3):
    with S3Sink(PARTS_PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(b"secret" * size)
        sink.complete()
        memories = [part._memory.obj for part in sink._uploads._buffers]
    assert 1 <= len(memories) <= IN_FLIGHT + 1
    assert {bytes(memory) for memory in memories} == {bytes(1000)}


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_no_buffer_holds_memory_afterwards(s3):
    """A warm function would otherwise hold the parts of many objects: 297 MiB after 84 of them instead of 92."""
    with S3Sink(PARTS_PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(b"secret" * 2500)
        sink.complete()
    assert {len(part._memory) for part in sink._uploads._buffers} == {0}


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_buffer_is_a_file_that_can_be_read_again():
    part = PartBuffer(10)
    assert (part.fill(memoryview(b"abcdefg")), part.fill(memoryview(b"hijkl")), part.room) == (7, 3, 0)
    assert (part.read(4), part.read(), part.read(), part.tell()) == (b"abcd", b"efghij", b"", 10)
    assert (part.seek(0), part.seek(-3, 2), part.read(2), part.seek(-1, 1)) == (0, 7, b"hi", 8)
    target = bytearray(9)
    assert (part.readinto(target), bytes(target)) == (2, b"ij" + bytes(7))
    part.refill()
    assert (part.fill(memoryview(b"xy")), part.read(), part.room) == (2, b"xy", 8)
    assert part.readable()
    assert part.seekable()


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_unused_uploads_start_no_thread():
    uploads = PartUploads(lambda number, part: {}, 10)
    uploads.spare()
    uploads.close()
    assert uploads._threads is None


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("expected", [None, 0, 7, 10, 11, 3 * 1024 * 1024])
def test_buffer_holds_its_size_whatever_was_expected_and_is_wiped_where_it_was(expected):
    part = PartBuffer(10, expected=expected)
    first = part._memory.obj
    assert (part.fill(memoryview(b"abcde")), part.fill(memoryview(b"fghijkl")), part.room) == (5, 5, 0)
    second = part._memory.obj
    assert part.read() == b"abcdefghij"
    part.wipe()
    assert not any(bytes(first) + bytes(second))
    assert part.room == 0


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
def test_small_object_takes_no_fresh_pages():
    assert isinstance(PartBuffer(6_000_000, expected=2_000_000)._memory.obj, bytearray)
    assert isinstance(PartBuffer(6_000_000, expected=3_000_000)._memory.obj, mmap.mmap)
    assert isinstance(PartBuffer(6_000_000)._memory.obj, mmap.mmap)


PARTS_PLAINTEXT = os.urandom(1024) * 20 * 1024
KILLED = {"Bucket": "vault", "Key": "f.encrypted"}
PROGRAM = """
import sys, time, boto3
import kms_runtime.s3.sink
from kms_runtime import RawAesKeyring
from kms_runtime.s3 import S3Object, encrypt_object

kms_runtime.s3.sink.part_size_for = lambda _: 5 * 1024 * 1024
s3 = boto3.client("s3")
genuine = s3.upload_part

def upload_part(**request):
    if request["PartNumber"] == 3 and sys.argv[1] == "stall":
        print("stalled", flush=True)
        time.sleep(600)
    return genuine(**request)

s3.upload_part = upload_part
keyring = RawAesKeyring("test", "key", wrapping_key=bytes(32))
source, destination = S3Object("inbox", "f"), S3Object("vault", "f.encrypted")
encrypt_object(source, destination, keyring=keyring, encryption_context={}, s3_client=s3)
"""


@pytest.fixture
def run(aws):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= aws.environment() | {"PYTHONPATH": str(Path(kms_runtime.__file__).parents[1])}
    started = []

    def start(how):
        command = [sys.executable, "-c", PROGRAM, how]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("small_parts")
@pytest.mark.timeout(600)
def test_killed_transfer_shows_nothing_and_the_next_one_works(aws, run):
    s3 = aws.session().client("s3")
    for bucket in ("inbox", "vault"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="inbox", Key="f", Body=PARTS_PLAINTEXT)
    process = run("stall")
    assert process.stdout.readline() == b"stalled\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    with pytest.raises(ClientError, match="404"):
        s3.head_object(**KILLED)
    (upload,) = s3.list_multipart_uploads(Bucket="vault")["Uploads"]
    assert upload["Key"] == "f.encrypted"
    assert run("through").wait(60) == 0
    # What the bucket's lifecycle rule does; the finished object is untouched by it.
    s3.abort_multipart_upload(**KILLED, UploadId=upload["UploadId"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="vault")
    message = s3.get_object(**KILLED)["Body"].read()
    keyring = kms_runtime.RawAesKeyring("test", "key", wrapping_key=bytes(32))
    assert kms_runtime.decrypt_bytes(message, keyring=keyring, encryption_context={}) == PARTS_PLAINTEXT
