"""A file to an S3 object and back, as ratios to the Amazon S3 Encryption Client: time and peak memory, no network.

Run ``python benchmarks/bench_s3_encryption_client.py --peer PYTHON [--kibibytes 1 1024 65536 1048576]``. The client
needs an older ``cryptography`` than this project, so it cannot be installed beside it: PYTHON is the interpreter of a
virtual environment of its own, made with ``python -m venv FOLDER`` and
``FOLDER/bin/pip install amazon-s3-encryption-client-python==4.0.0``. Without --peer only this package is measured.
Both sides run on that interpreter, with the same boto3 (an awscrt beside only one of them would cost it up to half a
millisecond per request); requests are answered inside the process. At 1 GiB the peer takes 4 GiB of memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORKER = Path(__file__).with_name("s3_client_worker.py")
KIB = 1024
LARGE = 64 * 1024 * KIB


def run(python: str, contender: str, action: str, folder: Path, repeats: int) -> dict[str, float]:
    """Run one contender in a fresh process and return its fastest object in seconds and its peak."""
    command = [python, str(WORKER), contender, action, str(folder), str(repeats)]
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
