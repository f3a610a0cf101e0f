"""Peak memory of encrypting and decrypting little and 16 times as much, each in a fresh process.

Run ``python benchmarks/bench_envelope_memory.py``. First streams without the AWS SDK: it exits with 1 if a peak exceeds
32 MiB or grows by more than 1 MiB. Then it starts an embedded AWS, lets the real Lambda handlers encrypt and decrypt
64 MiB and 1 GiB from S3 to S3, and prints the peak resident memory of each process and its growth: it exits with 1 if
the growth exceeds 10 %, if a peak exceeds 96 MiB, or if an object does not come back byte-identical.

``handler DIRECTION EVENT`` and ``stream DIRECTION SIZE`` are what it runs in processes of their own; each prints its
peak resident memory.
"""

import argparse
import hashlib
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kms_patterns.local import LocalAws

MIB = 1024 * 1024
ROOT = Path(__file__).parent.parent
INBOX, VAULT, RESTORED = "memory-inbox", "memory-vault", "memory-restored"
ALLOWED_GROWTH = 1.10
HANDLER_PEAK = 96.0  # MiB
GIB = 1024**3
STREAM_PEAK, STREAM_GROWTH = 32.0, 1.0  # MiB


def peak_mebibytes() -> float:
    """Return the peak resident memory of this process.

    On Linux not from getrusage: its figure outlives exec, so it starts at the size of the process that forked.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    units = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units


class Zeros(io.RawIOBase):
    """Gives so many bytes that are zero, and takes any number."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # noqa: D102
        taken = min(len(buffer), self._left)
        self._left -= taken
        return taken

    def write(self, data: memoryview) -> int:  # type: ignore[override] # noqa: D102
        return len(data)


def stream(direction: str, size: int) -> None:
    """Encrypt, or encrypt into a pipe and decrypt from it, and print this process's peak in MiB."""
    import kms_runtime  # noqa: PLC0415 - the handlers load more, which would count here

    common = {"keyring": kms_runtime.RawAesKeyring("b", "k", wrapping_key=bytes(32)), "encryption_context": {}}
    if direction == "encrypt":
        kms_runtime.encrypt(Zeros(size), Zeros(0), **common)
    elif direction == "write":
        kms_runtime.encrypt(Zeros(size), sys.stdout.buffer, **common)
        return
    else:
        kms_runtime.decrypt(sys.stdin.buffer.raw, Zeros(0), **common)
    print(peak_mebibytes())


def handler(direction: str, event: str) -> None:
    """Call one envelope handler and print this process's peak and the time."""
    from kms_runtime.handlers import envelope_cipher  # noqa: PLC0415 - loads the AWS SDK, which would count above

    call = {"encrypt": envelope_cipher.encrypt, "decrypt": envelope_cipher.decrypt}[direction]
    start = time.perf_counter()
    call(json.loads(event), None)
    seconds = time.perf_counter() - start
    print(json.dumps({"peakMiB": round(peak_mebibytes(), 1), "seconds": round(seconds, 2)}))


def blocks(mebibytes: int) -> Iterator[bytes]:
    """Give data that is the same in every run and does not repeat."""
    for number in range(mebibytes):
        yield hashlib.shake_128(number.to_bytes(4)).digest(MIB)


def upload(s3: Any, key: str, mebibytes: int) -> str:
    """Store an object in 64 MiB parts and return its SHA-256."""
    digest, parts, data = hashlib.sha256(), [], bytearray()
    upload_id = s3.create_multipart_upload(Bucket=INBOX, Key=key)["UploadId"]
    common = {"Bucket": INBOX, "Key": key, "UploadId": upload_id}
    for number, block in enumerate(blocks(mebibytes), start=1):
        digest.update(block)
        data += block
        if len(data) == 64 * MIB or number == mebibytes:
            made = s3.upload_part(**common, PartNumber=len(parts) + 1, Body=bytes(data))
            parts.append({"PartNumber": len(parts) + 1, "ETag": made["ETag"]})
            data.clear()
    s3.complete_multipart_upload(**common, MultipartUpload={"Parts": parts})
    return digest.hexdigest()


def digest_of(s3: Any, key: str) -> str:
    """Return the SHA-256 of a restored object."""
    digest = hashlib.sha256()
    for chunk in s3.get_object(Bucket=RESTORED, Key=key)["Body"].iter_chunks(MIB):
        digest.update(chunk)
    return digest.hexdigest()


def run_worker(
    environment: Mapping[str, str], direction: str, source: str, destination: str, key: str
) -> dict[str, Any]:
    """Run one handler in a process of its own and return what it measured."""
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **environment,
        "PYTHONPATH": str(ROOT / "lambda"),
        "SOURCE_BUCKET": source,
        "DESTINATION_BUCKET": destination,
    }
    event = json.dumps({"sourceKey": key, "encryptionContext": {"tenant": "benchmark"}})
    command = [sys.executable, __file__, "handler", direction, event]
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def measure(aws: "LocalAws", sizes: list[int]) -> dict[str, list[float]]:
    """Encrypt and decrypt an object of each size; return each direction's peaks in MiB."""
    s3, kms = aws.client("s3"), aws.client("kms")
    for bucket in (INBOX, VAULT, RESTORED):
        s3.create_bucket(Bucket=bucket)
    environment = {**aws.environment(), "KEY_ARN": kms.create_key()["KeyMetadata"]["Arn"]}
    peaks: dict[str, list[float]] = {"encrypt": [], "decrypt": []}
    for size in sizes:
        key = f"{size}-mib"
        expected = upload(s3, key, size)
        for direction, source, destination, name in (
            ("encrypt", INBOX, VAULT, key),
            ("decrypt", VAULT, RESTORED, f"{key}.encrypted"),
        ):
            measured = run_worker(environment, direction, source, destination, name)
            peaks[direction].append(measured["peakMiB"])
            rate = size * MIB / 1e6 / measured["seconds"]
            print(f"{direction} {size:>6} MiB  peak {measured['peakMiB']:7.1f} MiB  {rate:7.1f} MB/s", flush=True)
        if digest_of(s3, key) != expected:
            sys.exit(f"{key} did not come back byte-identical")
        for bucket, name in ((INBOX, key), (VAULT, f"{key}.encrypted"), (RESTORED, key)):
            s3.delete_object(Bucket=bucket, Key=name)
    return peaks


def stream_peak(direction: str, size: int) -> float:
    """Run one direction in a fresh process and return its peak."""
    environment = {"PYTHONPATH": str(ROOT / "lambda")}

    def command(part: str) -> list[str]:
        return [sys.executable, __file__, "stream", part, str(size)]

    if direction == "encrypt":
        return float(subprocess.run(command(direction), env=environment, stdout=subprocess.PIPE, check=True).stdout)
    with subprocess.Popen(command("write"), env=environment, stdout=subprocess.PIPE) as writer:
        reader = subprocess.run(
            command(direction), env=environment, stdin=writer.stdout, stdout=subprocess.PIPE, check=True
        )
    return float(reader.stdout)


def streams(size: int) -> Iterator[bool]:
    """Print the peaks of both directions; yield whether each met its aim."""
    for direction in ("encrypt", "decrypt"):
        small, large = stream_peak(direction, size), stream_peak(direction, 16 * size)
        print(f"stream {direction}: peak {small:.1f} MiB; at 16 times the size {large - small:+.2f} MiB", flush=True)
        yield large <= STREAM_PEAK and large - small <= STREAM_GROWTH


def main() -> None:
    from kms_patterns.local import LocalAws  # noqa: PLC0415 -- its memory would count in the processes that are measured

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=[64, 1024], metavar="MIB", help="default: 64 1024")
    parser.add_argument("--gibibytes", type=float, default=0.25, help="smaller stream; default: 0.25")
    options = parser.parse_args()
    sizes = options.sizes
    met = all(list(streams(int(options.gibibytes * GIB))))
    with LocalAws.start() as aws:
        peaks = measure(aws, sizes)
    growth = {direction: large / small for direction, (small, large) in peaks.items()}
    for direction, ratio in growth.items():
        print(f"{direction}: peak at {sizes[1]} MiB is {ratio:.3f} times the peak at {sizes[0]} MiB (at most 1.10)")
    most = max(peak for each in peaks.values() for peak in each)
    verdict = "met" if most <= HANDLER_PEAK else "NOT met"
    print(f"peak of the functions: {most:.1f} MiB (aim: {HANDLER_PEAK:.0f}, {verdict})")
    sys.exit(not met or max(growth.values()) > ALLOWED_GROWTH or most > HANDLER_PEAK)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["handler", direction, event]:
            handler(direction, event)
        case ["stream", direction, size]:
            stream(direction, int(size))
        case _:
            main()
