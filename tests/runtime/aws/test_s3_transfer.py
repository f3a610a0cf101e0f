"""Transfers from and to S3, and reads of a range."""

import io
import os
from datetime import UTC, datetime

import pytest

from kms_runtime import decrypt_bytes, encrypt_bytes
from kms_runtime.aws_errors import AwsError
from kms_runtime.errors import (
    EncryptionContextMismatch,
    InvalidRequest,
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
    RangeNotSatisfiable,
    SourceChanged,
    SourceNotReadable,
)
from kms_runtime.s3 import S3Object, S3Range, decrypt_object, decrypt_object_range, encrypt_object

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


@pytest.mark.parametrize("name", ["bucket", "key"])
def test_name_that_is_not_unicode_is_refused(name):
    with pytest.raises(InvalidRequest, match="Unicode"):
        S3Object(**{"bucket": "b", "key": "k", name: "\ud800"})
