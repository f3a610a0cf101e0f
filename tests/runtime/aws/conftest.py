"""An Amazon S3 in memory: versions, ranges, multipart uploads; every call recorded, failures on demand."""

import hashlib
import io
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError

from kms_runtime import KmsRuntimeError
from kms_runtime.handlers import envelope_work
from kms_runtime.s3.source import ATTRIBUTES


class Body(io.BytesIO):
    """A response stream; ``breaks_after`` bytes it fails like a lost connection."""

    def __init__(self, data: bytes, breaks_after: int | None = None) -> None:
        super().__init__(data)
        self.breaks_after = breaks_after

    def readinto(self, buffer: Any) -> int:
        if self.breaks_after is not None:
            if self.tell() >= self.breaks_after:
                raise ResponseStreamingError(error="connection lost")
            buffer = buffer[: self.breaks_after - self.tell()]
        return super().readinto(buffer)


class FakeS3:
    """Stands for ``boto3.client("s3")``; ``failures`` maps an operation to (HTTP status, code) or an exception."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], list[bytes]] = {}
        self.attributes: dict[tuple[str, str], dict[str, Any]] = {}
        self.tags: dict[tuple[str, str], list[dict[str, str]]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, tuple[int, str] | BaseException] = {}
        self.breaks: list[int] = []
        self.bodies: list[Body] = []
        self.meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None))

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.objects.setdefault((bucket, key), []).append(data)

    def latest(self, bucket: str, key: str) -> bytes:
        return self.objects[bucket, key][-1]

    def get_object(self, **request: Any) -> Mapping[str, Any]:
        self._record("GetObject", request)
        versions = self.objects.get((request["Bucket"], request["Key"]))
        if not versions:
            raise self._error(404, "NoSuchKey", "GetObject")
        number = int(request.get("VersionId", f"v{len(versions)}")[1:])
        data = versions[number - 1]
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        if request.get("IfMatch", etag) != etag:
            raise self._error(412, "PreconditionFailed", "GetObject")
        first, _, last = request.get("Range", "bytes=0-")[6:].partition("-")
        start, end = int(first), min(int(last or len(data)) + 1, len(data))
        if "Range" in request and start >= len(data):
            raise self._error(416, "InvalidRange", "GetObject")
        body = Body(data[start:end], self.breaks.pop(0) if self.breaks else None)
        self.bodies.append(body)
        answer = {"Body": body, "ETag": etag, "ContentLength": end - start, "VersionId": f"v{number}"}
        found = request["Bucket"], request["Key"]
        answer |= self.attributes.get(found, {})
        answer |= {"TagCount": len(self.tags[found])} if found in self.tags else {}
        return answer | {"ContentRange": f"bytes {start}-{end - 1}/{len(data)}"}

    def get_object_tagging(self, **request: Any) -> Mapping[str, Any]:
        self._record("GetObjectTagging", request)
        return {"TagSet": self.tags.get((request["Bucket"], request["Key"]), [])}

    def head_object(self, **request: Any) -> Mapping[str, Any]:
        self._record("HeadObject", request)
        versions = self.objects.get((request["Bucket"], request["Key"]))
        if not versions:
            raise self._error(404, "NotFound", "HeadObject")
        return {"ETag": f'"{hashlib.md5(versions[-1]).hexdigest()}"'}

    def put_object(self, **request: Any) -> Mapping[str, Any]:
        self._record("PutObject", request)
        self._describe(request)
        return self._store(request, request["Body"].read())

    def create_multipart_upload(self, **request: Any) -> Mapping[str, Any]:
        self._record("CreateMultipartUpload", request)
        self._describe(request)
        upload_id = f"upload-{len(self.uploads) + 1}"
        self.uploads[upload_id] = {}
        return {"UploadId": upload_id}

    def upload_part(self, **request: Any) -> Mapping[str, Any]:
        self._record("UploadPart", request)
        self.uploads[request["UploadId"]][request["PartNumber"]] = request["Body"].read()
        return {"ETag": f'"part-{request["PartNumber"]}"', "ChecksumCRC32": f"crc-{request['PartNumber']}"}

    def complete_multipart_upload(self, **request: Any) -> Mapping[str, Any]:
        self._record("CompleteMultipartUpload", request)
        parts = self.uploads.pop(request["UploadId"])
        return self._store(request, b"".join(parts[part["PartNumber"]] for part in request["MultipartUpload"]["Parts"]))

    def abort_multipart_upload(self, **request: Any) -> Mapping[str, Any]:
        self._record("AbortMultipartUpload", request)
        del self.uploads[request["UploadId"]]
        return {}

    def _describe(self, request: dict[str, Any]) -> None:
        known = {name: value for name, value in request.items() if name in ATTRIBUTES}
        self.attributes[request["Bucket"], request["Key"]] = known
        tags = [{"Key": name, "Value": value} for name, value in parse_qsl(request.get("Tagging", ""))]
        if tags:
            self.tags[request["Bucket"], request["Key"]] = tags

    def _store(self, request: dict[str, Any], data: bytes) -> Mapping[str, Any]:
        self.put(request["Bucket"], request["Key"], data)
        return {"VersionId": f"v{len(self.objects[request['Bucket'], request['Key']])}"}

    def _record(self, operation: str, request: dict[str, Any]) -> None:
        self.calls.append((operation, {name: value for name, value in request.items() if name != "Body"}))
        failure = self.failures.get(operation)
        if isinstance(failure, BaseException):
            raise failure
        if failure:
            raise self._error(*failure, operation)

    @staticmethod
    def _error(status: int, code: str, operation: str) -> ClientError:
        details = {"Error": {"Code": code, "Message": "from the fake"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(details, operation)


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("kms_runtime.s3.source.time.sleep", lambda _: None)


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 1000 bytes, so that small objects take several."""
    monkeypatch.setattr("kms_runtime.s3.sink.part_size_for", lambda _: 1000)


@pytest.fixture
def envelope_function(monkeypatch, kms, s3, key_arn):
    """The environment of an EnvelopeCipher function that encrypts, with its clients in memory."""
    monkeypatch.setattr(envelope_work, "kms_client", lambda: kms)
    monkeypatch.setattr(envelope_work, "s3_client", lambda: s3)
    monkeypatch.setenv("KEY_ARN", key_arn)
    monkeypatch.setenv("ENCRYPTION_CONTEXT", json.dumps({"tenant": "a", "app": "orders"}))
    monkeypatch.setenv("SOURCE_BUCKET", "inbox")
    monkeypatch.setenv("DESTINATION_BUCKET", "vault")


@pytest.fixture
def refused():
    """Call a handler that must refuse, and return its error."""

    def call(handler, event):
        with pytest.raises(KmsRuntimeError) as caught:
            handler(event, None)
        assert type(caught.value).__name__ == caught.value.code
        return caught.value

    return call
