import io
import os

import pytest

from kms_runtime import encrypt_bytes
from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import MessageAuthenticationFailed, RangeNotSatisfiable, SourceChanged, SourceNotReadable
from kms_runtime.s3 import S3Object, S3Range, decrypt_object_range

CONTEXT = {"tenant": "a"}
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
