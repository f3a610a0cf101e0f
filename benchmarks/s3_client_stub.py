"""boto3 clients whose requests are answered in this process: all of the AWS SDK's own work, and no network.

Runs in the interpreter of either contender, so it depends on boto3 alone.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config

KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/" + "1" * 36
CHUNK = 256 * 1024
_CREDENTIALS = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "eu-west-1"}
_DATA_KEY = {
    "KeyId": KEY_ARN,
    "Plaintext": base64.b64encode(bytes(32)).decode(),
    "CiphertextBlob": base64.b64encode(bytes(184)).decode(),
}


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def kms_client() -> Any:
    """Return a client that answers every call with one data key."""
    client = boto3.client("kms", **_CREDENTIALS)
    client.meta.events.register("before-send.kms", lambda request, **_: _answer(request, json.dumps(_DATA_KEY)))
    return client


def s3_client(stored: Path, metadata: dict[str, str], *, keep: bool = False) -> Any:
    """Return a client that reads what it is given to write, and gives out ``stored`` with its ``metadata``.

    Args:
        stored: The object.
        metadata: The object's user-defined metadata; filled if ``keep``.
        keep: Whether what is written becomes ``stored``.
    """
    config = Config(request_checksum_calculation="when_required") if keep else None
    client = boto3.client("s3", config=config, **_CREDENTIALS)

    def respond(request: Any, **_: Any) -> AWSResponse:
        if request.method == "GET":
            headers = {"ETag": '"1"', "Content-Length": str(stored.stat().st_size)}
            headers |= {f"x-amz-meta-{name}": value for name, value in metadata.items()}
            return AWSResponse(request.url, 200, HeadersDict(headers), stored.open("rb", buffering=0))
        if request.method == "POST":
            return _answer(request, "<Answer><UploadId>1</UploadId><ETag>1</ETag></Answer>")
        with Path("/dev/null" if not keep else stored).open("wb", buffering=0) as sink:
            _drain(request.body, sink)
        if keep:
            found = {name.lower(): value for name, value in request.headers.items()}
            prefix = "x-amz-meta-"
            for name in filter(lambda name: name.startswith(prefix), found):
                value = found[name]
                metadata[name.removeprefix(prefix)] = value.decode() if isinstance(value, bytes) else value
        return _answer(request, "")

    client.meta.events.register("before-send.s3", respond)
    return client


def _drain(body: Any, sink: Any) -> None:
    if isinstance(body, (bytes, bytearray)):
        sink.write(body)
        return
    while chunk := body.read(CHUNK):
        sink.write(chunk)


def _answer(request: Any, text: str) -> AWSResponse:
    return AWSResponse(request.url, 200, HeadersDict({"ETag": '"1"'}), _Raw(text.encode()))
