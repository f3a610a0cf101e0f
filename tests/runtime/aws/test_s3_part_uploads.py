"""Parts travel while the next is written: how many, what a failure or SIGKILL leaves behind."""

import mmap
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import kms_runtime
from kms_runtime.errors import DestinationNotWritable
from kms_runtime.s3 import S3Object, S3Sink
from kms_runtime.s3.part_uploads import IN_FLIGHT, PartUploads
from kms_runtime.s3.parts import PartBuffer

PLACE = S3Object("vault", "a.bin")

pytestmark = [pytest.mark.usefixtures("small_parts"), pytest.mark.timeout(30)]


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
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        for chunk in chunks:
            sink.write(chunk)
        sink.complete()


@pytest.fixture
def road(s3, monkeypatch):
    return Road(s3, monkeypatch)


def test_next_part_is_written_while_two_are_on_their_way(s3, road):
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(3000))
        for _ in range(IN_FLIGHT):
            assert road.arrived.acquire(timeout=20)
        road.open.set()
        sink.write(bytes(5000))
        sink.complete()
    assert road.most == IN_FLIGHT == 2
    assert s3.latest("vault", "a.bin") == bytes(8000)


def test_abort_waits_for_the_parts_on_their_way_so_that_none_stays(s3, road):
    def fail():
        with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
            sink.write(bytes(2500))
            assert road.arrived.acquire(timeout=20)
            threading.Timer(0.05, road.open.set).start()
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert road.travelling == 0
    assert s3.operations[-1] == "AbortMultipartUpload"
    assert (s3.objects, s3.uploads) == ({}, {})


def test_part_that_fails_late_stops_the_upload_at_the_next_chance(s3):
    s3.failures["UploadPart"] = (403, "AccessDenied")
    chunks = iter([bytes(1000)] * 100)
    with pytest.raises(DestinationNotWritable):
        write_all(s3, chunks)
    assert len(list(chunks)) >= 100 - (IN_FLIGHT + 2)
    assert s3.operations[-1] == "AbortMultipartUpload"
    assert s3.operations.count("UploadPart") <= IN_FLIGHT + 1


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


@pytest.mark.parametrize("size", [10, 2500, 9999])
def test_no_buffer_holds_data_afterwards(size, s3):
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(b"secret" * size)
        sink.complete()
        memories = [part._memory.obj for part in sink._uploads._buffers]
    assert 1 <= len(memories) <= IN_FLIGHT + 1
    assert {bytes(memory) for memory in memories} == {bytes(1000)}


def test_no_buffer_holds_memory_afterwards(s3):
    """A warm function would otherwise hold the parts of many objects: 297 MiB after 84 of them instead of 92."""
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(b"secret" * 2500)
        sink.complete()
    assert {len(part._memory) for part in sink._uploads._buffers} == {0}


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


def test_unused_uploads_start_no_thread():
    uploads = PartUploads(lambda number, part: {}, 10)
    uploads.spare()
    uploads.close()
    assert uploads._threads is None


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


def test_small_object_takes_no_fresh_pages():
    assert isinstance(PartBuffer(6_000_000, expected=2_000_000)._memory.obj, bytearray)
    assert isinstance(PartBuffer(6_000_000, expected=3_000_000)._memory.obj, mmap.mmap)
    assert isinstance(PartBuffer(6_000_000)._memory.obj, mmap.mmap)


PLAINTEXT = os.urandom(1024) * 20 * 1024
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


@pytest.mark.timeout(600)
def test_killed_transfer_shows_nothing_and_the_next_one_works(aws, run):
    s3 = aws.session().client("s3")
    for bucket in ("inbox", "vault"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="inbox", Key="f", Body=PLAINTEXT)
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
    assert kms_runtime.decrypt_bytes(message, keyring=keyring, encryption_context={}) == PLAINTEXT
