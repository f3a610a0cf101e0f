"""Objects read by several ranged requests at a time: the same bytes in order, of one object, in bounded memory."""

import threading

import pytest

from kms_runtime import RawAesKeyring
from kms_runtime.errors import InvalidRequest, SourceChanged, SourceInterrupted, SourceNotReadable
from kms_runtime.s3 import S3Concurrency, S3Object, decrypt_object, encrypt_object
from kms_runtime.s3 import ranged_reads as module
from kms_runtime.s3.ranged_reads import opened

PLACE = S3Object("inbox", "a.bin")
DATA = bytes(range(251)) * 400


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(module, "RANGE", 10_000)
    monkeypatch.setattr(module, "RANGE_OF_A_CALL", 40_000)


@pytest.fixture
def stored(s3):
    s3.put("inbox", "a.bin", DATA)
    return s3


def read(s3, downloads=4):
    with opened(PLACE, s3_client=s3, concurrency=S3Concurrency(downloads=downloads)) as (source, stream):
        out = bytearray()
        while piece := stream.read(3_333):
            out += piece
        return source, bytes(out)


@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, 10_001, 20_000, 100_400])
@pytest.mark.parametrize("downloads", [2, 8])
def test_bytes_are_those_of_the_object_whatever_its_size(size, downloads, s3):
    s3.put("inbox", "a.bin", DATA[:size])
    source, data = read(s3, downloads)
    assert data == DATA[:size]
    assert source.size == size


def test_each_byte_is_asked_for_once_and_bound_to_the_first_etag(stored):
    source, _ = read(stored)
    assert all(operation == "GetObject" for operation in stored.operations)
    first, *others = [request for _, request in stored.calls]
    assert first == {"Bucket": "inbox", "Key": "a.bin", "Range": "bytes=0-9999"}
    asked = sorted(int(request["Range"][6:].split("-")[0]) for request in others)
    assert asked == list(range(10_000, len(DATA), 10_000))
    assert {request["IfMatch"] for request in others} == {source.etag}
    assert all(body.closed for body in stored.bodies)


def test_range_of_an_object_whose_every_request_calls_kms_is_larger(stored, monkeypatch):
    answer = stored.get_object
    monkeypatch.setattr(
        stored, "get_object", lambda **request: {**answer(**request), "ServerSideEncryption": "aws:kms"}
    )
    assert read(stored)[1] == DATA
    assert len(stored.calls) == 1 + -(-(len(DATA) - 10_000) // 40_000)


def test_range_that_breaks_is_resumed(stored):
    stored.breaks = [4_000, 500, 7_000]
    assert read(stored)[1] == DATA


def test_object_replaced_while_it_is_read_is_an_error_and_no_mixture(stored):
    with opened(PLACE, s3_client=stored, concurrency=S3Concurrency(downloads=2)) as (_, stream):
        assert stream.read(10) == DATA[:10]
        stored.put("inbox", "a.bin", DATA[::-1])
        with pytest.raises(SourceChanged, match="replaced"):
            list(iter(lambda: stream.read(5_000), b""))


def test_what_goes_wrong_is_raised_where_the_bytes_are_asked_for(stored):
    stored.breaks = [0] * 60
    with pytest.raises(SourceInterrupted):
        read(stored)


def test_missing_object_is_told_at_once(s3):
    with pytest.raises(SourceNotReadable, match="NoSuchKey"):
        read(s3)


def test_no_thread_and_no_buffer_with_plaintext_is_left(stored):
    with opened(PLACE, s3_client=stored, concurrency=S3Concurrency(downloads=4)) as (_, stream):
        stream.read(100)
        buffers = stream._buffers
    assert not any(any(buffer) for buffer in buffers)
    assert len(buffers) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ranged-read")]


def test_object_is_encrypted_and_decrypted_through_many_ranges_and_parts(stored):
    keyring = RawAesKeyring(namespace="test", name="key", wrapping_key=bytes(32))
    many = S3Concurrency(downloads=8, uploads=8)
    options = {"keyring": keyring, "encryption_context": {"tenant": "a"}, "s3_client": stored, "concurrency": many}
    vault, back = S3Object("vault", "a"), S3Object("back", "a")
    assert encrypt_object(PLACE, vault, **options).message.plaintext_bytes == len(DATA)
    assert decrypt_object(vault, back, **options).message.plaintext_bytes == len(DATA)
    assert stored.latest("back", "a") == DATA


@pytest.mark.parametrize("numbers", [{"downloads": 0}, {"uploads": 33}])
def test_concurrency_out_of_range_is_refused(numbers):
    with pytest.raises(InvalidRequest, match="give 1 to 32"):
        S3Concurrency(**numbers)


@pytest.mark.parametrize("came", ["bytes 10000-14999/100400", "bytes 0-9999/100400", None], ids=str)
def test_other_bytes_than_were_asked_for_are_refused(came, stored, monkeypatch):
    answer = stored.get_object

    def shifted(**request):
        found = dict(answer(**request))
        return found if request["Range"] == "bytes=0-9999" else found | {"ContentRange": came}

    monkeypatch.setattr(stored, "get_object", shifted)
    with pytest.raises(SourceInterrupted, match="were asked for"):
        read(stored)


def test_close_ends_the_reads_that_are_under_way(stored):
    with opened(PLACE, s3_client=stored, concurrency=S3Concurrency(downloads=4)) as (first, stream):
        stream.read(1)
        sources = {first, *stream._sources}
        stream.close()
        assert all(source._closed for source in sources)
