"""What the memory benchmarks run in processes of their own; each prints its peak resident memory.

``handler DIRECTION EVENT``: one call of an envelope handler; prints JSON with the time as well.
``stream DIRECTION SIZE``: encrypt or decrypt a stream of so many bytes without the AWS SDK; prints MiB.
"""

import io
import json
import re
import resource
import sys
import time
from pathlib import Path


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


if __name__ == "__main__":
    if sys.argv[1] == "handler":
        handler(*sys.argv[2:])
    else:
        stream(sys.argv[2], int(sys.argv[3]))
