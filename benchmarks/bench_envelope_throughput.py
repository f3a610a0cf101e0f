"""Throughput of encrypting and decrypting a file, as ratios to the limits of one core and to the official SDK.

Run ``python benchmarks/bench_envelope_throughput.py [--mebibytes 1 64 1024]``. In every round each contender runs once,
one after the other, and the ratios are taken within the round; printed are their medians. An input is read once before
the clock starts, so that it is in memory whatever the system has evicted meanwhile. Compare ratios only: how fast
anything is depends on what else the machine does. The second ratio is that of processor time, which a busy machine
disturbs less; a signed message uses two processors at once, so that it has none.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import envelope_contenders as who

import kms_runtime

MIB = 1024 * 1024
TARGETS = {
    ("encrypt", "one GCM message"): 0.95,
    ("encrypt", "official encrypt, 4 KiB frames"): 15,
    ("encrypt", "official encrypt, best"): 1.6,
    ("decrypt", "one GCM message"): 0.85,
    ("decrypt", "official decrypt, 4 KiB frames"): 12,
    ("decrypt", "official decrypt, best"): 1.3,
    ("signed encrypt", "SHA-384 alone"): 0.9,
    ("signed decrypt", "SHA-384 alone"): 0.9,
    ("signed encrypt", "official signed encrypt, 4 KiB frames"): 3,
}


def contenders(folder: Path, mebibytes: int) -> dict[str, tuple[who.Run, Path]]:
    """Return each contender with its input file."""
    plain = folder / "plain"
    block = bytes(range(256)) * 4096
    with plain.open("wb") as file:
        for _ in range(mebibytes):
            file.write(block)

    def message(name: str, suite: kms_runtime.message.AlgorithmSuite, frame_length: int) -> Path:
        return who.write_message(plain, folder / name, algorithm_suite=suite, frame_length=frame_length)

    small, best = who.DOCUMENTED_FRAME, who.BEST_FRAME
    unsigned, signed = who.UNSIGNED.suite_id, who.SIGNED.suite_id
    return {
        "one GCM message": (who.one_gcm_message, plain),
        "encrypt": (who.ours_encrypt(who.UNSIGNED), plain),
        "decrypt": (who.ours_decrypt, message("unsigned", who.UNSIGNED, 256 * 1024)),
        "SHA-384 alone": (who.sha384_alone, plain),
        "signed encrypt": (who.ours_encrypt(who.SIGNED), plain),
        "signed decrypt": (who.ours_decrypt, message("signed", who.SIGNED, 256 * 1024)),
        "official encrypt, best": (who.official_encrypt(unsigned, frame_length=best, read=best), plain),
        "official decrypt, best": (who.official_decrypt(read=best), message("best", who.UNSIGNED, best)),
        "official encrypt, 4 KiB frames": (who.official_encrypt(unsigned, frame_length=small, read=None), plain),
        "official decrypt, 4 KiB frames": (who.official_decrypt(read=None), message("small", who.UNSIGNED, small)),
        "official signed encrypt, 4 KiB frames": (
            who.official_encrypt(signed, frame_length=small, read=None),
            plain,
        ),
    }


def measure(mebibytes: int, rounds: int) -> None:
    """Run all rounds for one size and print the medians."""
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        field = contenders(Path(folder), mebibytes)
        for number in range(rounds + 1):
            for name, (run, path) in field.items():
                who.read_through(path)
                start, processor = time.perf_counter(), time.process_time()
                run(path)
                if number:  # the first round fills caches
                    taken = time.perf_counter() - start, time.process_time() - processor
                    times.setdefault(name, []).append(taken)
    print(f"\n{mebibytes} MiB, median of {rounds} rounds")
    for (mine, peer), target in TARGETS.items():
        wall, processor = (
            statistics.median(b[kind] / a[kind] for a, b in zip(times[mine], times[peer], strict=True))
            for kind in (0, 1)
        )
        other = "" if mine.startswith("signed") else f", by processor time {processor:6.2f}"
        print(f"  {mine:14} is {wall:6.2f} x {peer:38} (aim at 1 GiB: {target}){other}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, nargs="+", default=[1, 64], help="file sizes; default: 1 64")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for size in options.mebibytes:
        measure(size, options.rounds)


if __name__ == "__main__":
    main()
