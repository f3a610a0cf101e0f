"""Peak memory of encrypting and decrypting a stream without the AWS SDK, at one size and at 16 times that.

Run ``python benchmarks/bench_envelope_file_memory.py``. Each direction is a process of its own. Exits with
1 if a peak exceeds 32 MiB or grows by more than 1 MiB.
"""

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

GIB = 1024**3
PEAK_AIM, GROWTH_AIM = 32.0, 1.0
ROOT = Path(__file__).parent.parent


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


def work(direction: str, size: int) -> None:
    """Encrypt, or encrypt into a pipe and decrypt from it, and print this process's peak in MiB."""
    from envelope_peak import peak_mebibytes  # noqa: PLC0415

    import kms_runtime  # noqa: PLC0415 - the parent must not have it in its memory

    common = {"keyring": kms_runtime.RawAesKeyring("b", "k", wrapping_key=bytes(32)), "encryption_context": {}}
    if direction == "encrypt":
        kms_runtime.encrypt(Zeros(size), Zeros(0), **common)
    elif direction == "write":
        kms_runtime.encrypt(Zeros(size), sys.stdout.buffer, **common)
        return
    else:
        kms_runtime.decrypt(sys.stdin.buffer.raw, Zeros(0), **common)
    print(peak_mebibytes())


def peak(direction: str, size: int) -> float:
    """Run one direction in a fresh process and return its peak."""
    environment = {"PYTHONPATH": f"{ROOT / 'lambda'}:{ROOT / 'benchmarks'}"}
    command = [sys.executable, __file__, "--size", str(size), "--work"]
    if direction == "encrypt":
        return float(subprocess.run([*command, direction], env=environment, stdout=subprocess.PIPE, check=True).stdout)
    with subprocess.Popen([*command, "write"], env=environment, stdout=subprocess.PIPE) as writer:
        reader = subprocess.run(
            [*command, direction], env=environment, stdin=writer.stdout, stdout=subprocess.PIPE, check=True
        )
    return float(reader.stdout)


def rows(size: int) -> Iterator[bool]:
    """Print the peaks of both directions; yield whether each met its aim."""
    for direction in ("encrypt", "decrypt"):
        small, large = peak(direction, size), peak(direction, 16 * size)
        print(f"{direction}: peak {small:.1f} MiB; at 16 times the size {large - small:+.2f} MiB", flush=True)
        yield large <= PEAK_AIM and large - small <= GROWTH_AIM


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gibibytes", type=float, default=0.25, help="smaller size; default: 0.25")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.size)
        return
    sys.exit(not all(list(rows(int(options.gibibytes * GIB)))))


if __name__ == "__main__":
    main()
