"""Which configuration of the official SDK is its fastest: frame length by read size, and how this package compares.

Run ``python benchmarks/bench_official_sdk_sweep.py [--mebibytes 1024]``. Each configuration runs next to this package,
at its default frame length, and its processor time is printed as a multiple of this package's; the smallest one is its
best. Both run on one thread, so that on an idle machine this is the ratio of their speeds.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import envelope_contenders as who

KIB = 1024
FRAMES = (4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB)
READS = (None, 4 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB)


def seconds(run: who.Run, path: Path) -> float:
    start = time.process_time()
    run(path)
    return time.process_time() - start


def multiple(theirs: who.Run, their_path: Path, ours: who.Run, our_path: Path, rounds: int) -> float:
    """Return how many times longer they take, as the median of rounds."""
    return statistics.median(seconds(theirs, their_path) / seconds(ours, our_path) for _ in range(rounds))


def sweep(folder: Path, mebibytes: int, rounds: int) -> dict[str, dict[tuple[int, int | None], float]]:
    """Return the multiples of every configuration, for both directions."""
    plain, message, own = folder / "plain", folder / "message", folder / "own"
    with plain.open("wb") as file:
        for _ in range(mebibytes):
            file.write(bytes(range(256)) * 4096)
    who.write_message(plain, own)
    found: dict[str, dict[tuple[int, int | None], float]] = {"encrypt": {}, "decrypt": {}}
    for frame in FRAMES:
        who.write_message(plain, message, frame_length=frame)
        for read in READS:
            theirs = who.official_encrypt(who.UNSIGNED.suite_id, frame_length=frame, read=read)
            found["encrypt"][frame, read] = multiple(theirs, plain, who.ours_encrypt(who.UNSIGNED), plain, rounds)
            theirs = who.official_decrypt(read=read)
            found["decrypt"][frame, read] = multiple(theirs, message, who.ours_decrypt, own, rounds)
    return found


def name(read: int | None) -> str:
    return "iterated" if read is None else f"{read // KIB} KiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=16, help="file size; default: 16")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(Path(folder), options.mebibytes, options.rounds)
    for direction, multiples in found.items():
        print(
            f"{direction}, {options.mebibytes} MiB: processor time of the official SDK, as a multiple of this package's"
        )
        print("  frame \\ read " + "".join(f"{name(read):>10}" for read in READS))
        for frame in FRAMES:
            print(f"  {name(frame):>12} " + "".join(f"{multiples[frame, read]:>10.2f}" for read in READS))
        frame, read = min(multiples, key=lambda at: multiples[at])
        print(f"  its best: frames of {name(frame)}, read {name(read)}: {multiples[frame, read]:.2f} x", flush=True)


if __name__ == "__main__":
    main()
