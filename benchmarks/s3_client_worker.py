"""One contender of the S3 benchmark in a process of its own: prints its fastest run and its peak memory as JSON."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envelope_peak import peak_mebibytes
from s3_client_stub import CHUNK, KEY_ARN, kms_client, s3_client

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


def main() -> None:
    contender, action, folder, repeats = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    store, encrypt, decrypt = {"ours": ours, "official": official}[contender](folder)
    work = {"store": store, "encrypt": encrypt, "decrypt": decrypt}[action]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(seconds), "peakMiB": peak_mebibytes()}))


if __name__ == "__main__":
    main()
