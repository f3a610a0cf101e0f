"""A file to an S3 object and back, as ratios to the Amazon S3 Encryption Client: time and peak memory, no network.

Run ``python benchmarks/bench_s3_encryption_client.py --peer PYTHON [--kibibytes 1 1024 65536 1048576]``. The client
needs an older ``cryptography`` than this project, so it cannot be installed beside it: PYTHON is the interpreter of a
virtual environment of its own, made with ``python -m venv FOLDER`` and
``FOLDER/bin/pip install amazon-s3-encryption-client-python==4.0.0``. Without --peer only this package is measured.
Both sides run on that interpreter, with the same boto3 (an awscrt beside only one of them would cost it up to half a
millisecond per request); requests are answered inside the process. At 1 GiB the peer takes 4 GiB of memory.
"""

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from bench_envelope_memory import peak_mebibytes
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config

ROOT = Path(__file__).parent.parent
KIB = 1024
LARGE = 64 * 1024 * KIB
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


PLACE = {"Bucket": "bucket", "Key": "key"}
CONTEXT = {"tenant": "benchmark"}


def ours(folder: Path) -> tuple[Callable[[], None], Callable[[], None], Callable[[], None]]:
    """Return what stores a message to decrypt, what encrypts the file, and what decrypts the message."""
    import kms_runtime  # noqa: PLC0415
    from kms_runtime.s3 import S3Object, S3Sink, S3Source  # noqa: PLC0415

    plain, stored, place = folder / "plain", folder / "ours", S3Object("bucket", "key")
    common = {"keyring": kms_runtime.KmsKeyring(KEY_ARN, kms_client=kms_client()), "encryption_context": CONTEXT}
    s3 = s3_client(stored, {})

    def store() -> None:
        with plain.open("rb") as source, stored.open("wb") as sink:
            kms_runtime.encrypt(source, sink, **common)

    def encrypt() -> None:
        expected = int(plain.stat().st_size * 1.001) + 128 * 1024
        with plain.open("rb", buffering=0) as source, S3Sink(place, expected_size=expected, s3_client=s3) as sink:
            kms_runtime.encrypt(source, sink, **common)
            sink.complete()

    def decrypt() -> None:
        with S3Source(place, s3_client=s3) as source, Path(os.devnull).open("wb", buffering=0) as sink:
            kms_runtime.decrypt(source, sink, **common)

    return store, encrypt, decrypt


def official(folder: Path) -> tuple[Callable[[], None], Callable[[], None], Callable[[], None]]:
    """Return the same for the Amazon S3 Encryption Client with its defaults."""
    from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig  # noqa: PLC0415
    from s3_encryption.materials.kms_keyring import KmsKeyring  # noqa: PLC0415

    plain, stored, facts = folder / "plain", folder / "official", folder / "official.json"
    metadata: dict[str, str] = json.loads(facts.read_text()) if facts.exists() else {}

    def client(**options: Any) -> Any:
        config = S3EncryptionClientConfig(keyring=KmsKeyring(kms_client(), KEY_ARN))
        return S3EncryptionClient(s3_client(stored, metadata, **options), config)

    s3 = client()

    def put(s3: Any) -> None:
        with plain.open("rb") as source:
            s3.put_object(**PLACE, Body=source, EncryptionContext=CONTEXT)

    def store() -> None:
        put(client(keep=True))
        facts.write_text(json.dumps(metadata))

    def decrypt() -> None:
        body = s3.get_object(**PLACE, EncryptionContext=CONTEXT)["Body"]
        with Path(os.devnull).open("wb", buffering=0) as sink:
            while chunk := body.read(CHUNK):
                sink.write(chunk)

    return store, lambda: put(s3), decrypt


def work(contender: str, action: str, folder: Path, repeats: int) -> None:
    """Run one contender and print its fastest run and this process's peak as JSON."""
    store, encrypt, decrypt = {"ours": ours, "official": official}[contender](folder)
    call = {"store": store, "encrypt": encrypt, "decrypt": decrypt}[action]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(seconds), "peakMiB": peak_mebibytes()}))


def run(python: str, contender: str, action: str, folder: Path, repeats: int) -> dict[str, float]:
    """Run one contender in a fresh process and return its fastest object in seconds and its peak."""
    command = [python, __file__, "--work", contender, action, str(folder), str(repeats)]
    environment = {"PYTHONPATH": str(ROOT / "lambda")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def measure(size: int, rounds: int, contenders: dict[str, str]) -> None:
    """Measure one size in turns and print the medians; up to 1 MiB nearly all of the time is boto3's own."""
    repeats = 100 if size <= KIB * KIB else 1 if size > LARGE else 3
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "plain").open("wb") as file:
            for _ in range(-(-size // (KIB * KIB))):
                file.write(bytes(range(256)) * (min(size, KIB * KIB) // 256))
        for contender, python in contenders.items():
            run(python, contender, "store", folder, 1)
        for _ in range(rounds):
            for action in ("encrypt", "decrypt"):
                for contender, python in contenders.items():
                    found.setdefault((action, contender), []).append(run(python, contender, action, folder, repeats))
    for action in ("encrypt", "decrypt"):
        mine = found[action, "ours"]
        seconds, peak = (statistics.median(one[what] for one in mine) for what in ("seconds", "peakMiB"))
        print(f"{size // KIB:>8} KiB {action}: {seconds * 1000:9.2f} ms, peak {peak:5.1f} MiB", end="")
        if theirs := found.get((action, "official")):
            ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(mine, theirs, strict=True))
            theirs_peak = statistics.median(one["peakMiB"] for one in theirs)
            print(f"; the S3 Encryption Client takes {ratio:5.2f} x, peak {theirs_peak:6.1f} MiB", end="")
        print(flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        contender, action, folder, repeats = sys.argv[2:]
        work(contender, action, Path(folder), int(repeats))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", help="interpreter that has amazon-s3-encryption-client-python")
    parser.add_argument("--kibibytes", type=int, nargs="+", default=[1, 1024, 65536], help="default: 1 1024 65536")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not options.peer:
        print("the S3 Encryption Client is not measured: see --help for --peer")
    contenders = {"ours": options.peer, "official": options.peer} if options.peer else {"ours": sys.executable}
    for kibibytes in options.kibibytes:
        measure(kibibytes * KIB, options.rounds, contenders)


if __name__ == "__main__":
    main()
