import pytest

from kms_runtime.errors import DestinationNotWritable, ObjectTooLarge
from kms_runtime.s3 import S3Object, S3Sink
from kms_runtime.s3.parts import MAX_OBJECT_SIZE, MEBIBYTE, part_size_for

PLACE = S3Object("vault", "a.bin")
WHERE = {"Bucket": "vault", "Key": "a.bin"}


def write(s3, *chunks):
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        for chunk in chunks:
            assert sink.write(chunk) == len(chunk)
        return sink.complete()


def write_and_fail(s3, size, error):
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(size))
        raise error


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
@pytest.mark.usefixtures("small_parts")
def test_object_that_fits_into_one_part_is_one_put(size, s3):
    assert write(s3, b"x" * size) == S3Object("vault", "a.bin", "v1")
    assert s3.calls == [("PutObject", WHERE | {"ChecksumAlgorithm": "CRC32"})]
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
        *[("UploadPart", upload | {"PartNumber": n, "ChecksumAlgorithm": "CRC32"}) for n in (1, 2, 3)],
        ("CompleteMultipartUpload", upload | {"MultipartUpload": {"Parts": parts}}),
    ]
    assert s3.latest("vault", "a.bin") == data


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
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        sink.write(bytes(2500))
    assert (s3.objects, s3.uploads) == ({}, {})


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [10, 1500])
@pytest.mark.parametrize("end", [S3Sink.complete, S3Sink.abort])
def test_sink_that_ended_takes_nothing_more(end, size, s3):
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
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
        S3Sink(PLACE, expected_size=MAX_OBJECT_SIZE + 1, s3_client=s3)
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
    with S3Sink(PLACE, expected_size=0, s3_client=s3) as sink:
        s3.failures[operation] = (403, "AccessDenied")
        with pytest.raises(DestinationNotWritable):
            sink.write(bytes(5000))
        s3.failures.clear()
        with pytest.raises(ValueError, match="takes nothing more"):
            sink.complete()
    assert (s3.objects, s3.uploads) == ({}, {})
