"""One S3 object encrypted into another, and back, as ratios to what others do over the same network.

Run ``python benchmarks/bench_s3_transfer.py [--mebibytes 512] [--rounds 3]``. A server on loopback answers like Amazon
S3 over a network: 30 ms until the first byte, at most 60 MB a second on each connection. In every round each contender
runs once, in a process of its own; ratios are taken within the round, printed are their medians and the peak memory.
The peer is what a user of the official SDK writes: boto3's managed download to a temporary file, a message of the
official SDK into a second one, and boto3's managed upload. Memory does not grow with the object, time with its bytes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

MIB = 1024 * 1024
FIRST_BYTE = 0.03
BYTES_PER_SECOND = 60e6
CHUNK = 256 * 1024
AIMS = {"peer": 2, "download": 0.9}
MOST_MEMORY = 256


class Server(BaseHTTPRequestHandler):
    """As much of Amazon S3 as the contenders use: ranged reads of two objects, and uploads that are thrown away."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Answer what an object is."""
        self._head(200, len(self.objects[self.path]), {})

    def do_GET(self) -> None:
        """Answer an object, or a range of it."""
        data = memoryview(self.objects[self.path.partition("?")[0]])
        whole = len(data)
        asked = self.headers.get("Range")
        start, end = 0, whole
        if asked:
            first, _, last = asked[6:].partition("-")
            start, end = int(first), min(int(last or whole) + 1, whole)
        time.sleep(FIRST_BYTE)
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{whole}"} if asked else {}
        self._head(206 if asked else 200, end - start, headers)
        self._paced(end - start, lambda at, size: self.wfile.write(data[start + at : start + at + size]))

    def do_PUT(self) -> None:
        """Take a part, or an object."""
        self._take()
        self._answer(b"")

    def do_POST(self) -> None:
        """Start or end a multipart upload."""
        self._take()
        started = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        ended = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        self._answer(started if self.path.endswith("uploads") else ended)

    def _take(self) -> None:
        time.sleep(FIRST_BYTE)
        buffer = bytearray(CHUNK)
        size = int(self.headers.get("Content-Length", 0))
        self._paced(size, lambda _, most: self.rfile.readinto(memoryview(buffer)[:most]))

    def _paced(self, size: int, move: Callable[[int, int], Any]) -> None:
        began, done = time.monotonic(), 0
        while done < size:
            step = min(CHUNK, size - done)
            move(done, step)
            done += step
            time.sleep(max(0.0, began + done / BYTES_PER_SECOND - time.monotonic()))

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"ETag": '"etag"', "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, body: bytes) -> None:
        self._head(200, len(body), {})
        self.wfile.write(body)


def serve(plain: Path, message: Path) -> None:
    """Serve both objects until standard input ends; print the port first."""
    Server.objects = {"/bucket/plain": plain.read_bytes(), "/bucket/message": message.read_bytes()}
    # The default of 5 drops connections that are opened at once, which the kernel tries again after a second.
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


def client(port: int) -> Any:
    """Return a client of the server, with a connection for every request that is under way."""
    # No SHA-256 of each payload for the signature, as over https.
    s3: Any = {"addressing_style": "path", "payload_signing_enabled": False}
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(max_pool_connections=32, s3=s3),
    )


def ours(direction: str, port: int, _: Path) -> None:
    """Encrypt or decrypt by ranges and parts, with no file."""
    from kms_runtime import RawAesKeyring  # noqa: PLC0415 - each contender loads what it uses
    from kms_runtime.s3 import S3Object, decrypt_object, encrypt_object  # noqa: PLC0415
    from kms_runtime.s3.ranged_reads import HOST  # noqa: PLC0415

    keyring = RawAesKeyring("benchmark", "key", wrapping_key=bytes(32))
    run, name = (encrypt_object, "plain") if direction == "encrypt" else (decrypt_object, "message")
    run(
        S3Object("bucket", name),
        S3Object("bucket", "out"),
        keyring=keyring,
        encryption_context={"tenant": "benchmark"},
        s3_client=client(port),
        concurrency=HOST,
    )


def peer(direction: str, port: int, folder: Path) -> None:
    """Download to a file, encrypt or decrypt it with the official SDK, upload the result."""
    import envelope_contenders as who  # noqa: PLC0415
    from aws_encryption_sdk.identifiers import Algorithm  # noqa: PLC0415

    s3, source, result = client(port), folder / "source", folder / "result"
    s3.download_file("bucket", "plain" if direction == "encrypt" else "message", str(source))
    sdk, keyring = who.make_official()
    more: dict[str, Any] = {"frame_length": who.BEST_FRAME, "encryption_context": who.CONTEXT}
    options = {"mode": "e", "algorithm": Algorithm.get_by_id(who.UNSIGNED.suite_id), **more}
    options = options if direction == "encrypt" else {"mode": "d"}
    with (
        source.open("rb") as reader,
        result.open("wb") as writer,
        sdk.stream(source=reader, keyring=keyring, **options) as stream,
    ):
        while chunk := stream.read(MIB):
            writer.write(chunk)
    s3.upload_file(str(result), "bucket", "out")


def download(direction: str, port: int, folder: Path) -> None:
    """Download alone, managed by boto3: what the network gives."""
    client(port).download_file("bucket", "plain" if direction == "encrypt" else "message", str(folder / "source"))


CONTENDERS = {"ours": ours, "peer": peer, "download": download}


@contextmanager
def served(plain: Path, message: Path) -> Iterator[int]:
    """Yield the port of a server of its own process."""
    command = [sys.executable, __file__, "--serve", str(plain), str(message)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        yield int(server.stdout.readline())
        server.stdin.close()


def timed(name: str, direction: str, port: int) -> tuple[float, float]:
    """Return seconds and peak MiB of one contender in a process of its own."""
    command = [sys.executable, __file__, "--run", name, direction, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak = json.loads(done.stdout)
    return float(seconds), float(peak)


def run(name: str, direction: str, port: int) -> None:
    """Run one contender and print its seconds and peak MiB."""
    from bench_envelope_memory import peak_mebibytes  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        CONTENDERS[name](direction, port, Path(folder))
        print(json.dumps([time.monotonic() - began, peak_mebibytes()]))


def main() -> None:
    """Run every contender in every round, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
    elif options.run:
        run(options.run[0], options.run[1], int(options.run[2]))
    else:
        compare(options.mebibytes, options.rounds)


def compare(mebibytes: int, rounds: int) -> None:
    """Print the medians over ``rounds``."""
    import kms_runtime  # noqa: PLC0415

    keyring = kms_runtime.RawAesKeyring("benchmark", "key", wrapping_key=bytes(32))
    with tempfile.TemporaryDirectory() as folder:
        plain, message = Path(folder, "plain"), Path(folder, "message")
        plain.write_bytes(bytes(range(256)) * 4096 * mebibytes)
        with plain.open("rb") as source, message.open("wb") as sink:
            kms_runtime.encrypt(source, sink, keyring=keyring, encryption_context={"tenant": "benchmark"})
        with served(plain, message) as port:
            for direction in ("encrypt", "decrypt"):
                found = [{name: timed(name, direction, port) for name in CONTENDERS} for _ in range(rounds)]
                rate = statistics.median(mebibytes / each["ours"][0] for each in found)
                peak = max(each["ours"][1] for each in found)
                memory = f"peak {peak:.0f} MiB (aim: {MOST_MEMORY}, {'met' if peak <= MOST_MEMORY else 'NOT met'})"
                print(f"{direction}: {rate:.0f} MiB/s, {memory}; {mebibytes} MiB, median of {rounds}")
                for other, aim in AIMS.items():
                    ratio = statistics.median(each[other][0] / each["ours"][0] for each in found)
                    most = max(each[other][1] for each in found)
                    verdict = "met" if ratio >= aim else "NOT met"
                    print(f"  {ratio:.2f} x {other} (aim: {aim}, {verdict}), whose peak is {most:.0f} MiB")


if __name__ == "__main__":
    main()
