"""Throughput of encrypting and decrypting a file, as ratios to the limits of one core and to the official SDK.

Run ``python benchmarks/bench_envelope_throughput.py [--mebibytes 1 64 1024]``. In every round each contender runs once,
one after the other, and the ratios are taken within the round; printed are their medians. An input is read once before
the clock starts, so that it is in memory whatever the system has evicted meanwhile. Compare ratios only: how fast
anything is depends on what else the machine does. The second ratio is that of processor time, which a busy machine
disturbs less; a signed message uses two processors at once, so that it has none.

Afterwards it sweeps the official SDK's configurations, frame length by read size (``--sweep 1024``). Each runs next to
this package at its default frame length; its processor time is printed as a multiple of this package's, and the
smallest is its best. Both run on one thread, so that on an idle machine this is the ratio of their speeds.

Last comes the local work per 1 KiB message: the keyring hands out one data key and its encrypted copy, so that what is
measured is the message format alone; printed are medians of processor time.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import envelope_contenders as who

import kms_runtime
from kms_runtime.keyrings.keyring import DataKey
from kms_runtime.message import EncryptedDataKey

MIB = 1024 * 1024
KIB = 1024
FRAMES = (4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB)
READS = (None, 4 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB)
TARGETS = {
    ("encrypt", "one GCM message"): 0.95,
    ("encrypt", "official encrypt, 4 KiB frames"): 15,
    ("encrypt", "official encrypt, best"): 1.6,
    ("decrypt", "one GCM message"): 0.95,
    ("decrypt", "official decrypt, 4 KiB frames"): 12,
    ("decrypt", "official decrypt, best"): 1.3,
    ("signed encrypt", "SHA-384 alone"): 0.9,
    ("signed decrypt", "SHA-384 alone"): 0.9,
    ("signed encrypt", "official signed encrypt, 4 KiB frames"): 3,
}

PLAINTEXT = os.urandom(1024)
CALLS = 1000
AIM_MICROSECONDS = 30


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


def measure(mebibytes: int, rounds: int, *, limit_only: bool) -> None:
    """Run all rounds for one size and print the medians; without the official SDK, which takes long, if asked for."""
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        field = {
            name: each
            for name, each in contenders(Path(folder), mebibytes).items()
            if not (limit_only and name.startswith("official"))
        }
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
        if peer not in times:
            continue
        wall, processor = (
            statistics.median(b[kind] / a[kind] for a, b in zip(times[mine], times[peer], strict=True))
            for kind in (0, 1)
        )
        verdict = "met" if wall >= target else "NOT met"
        other = "" if mine.startswith("signed") else f", by processor time {processor:6.2f}"
        print(f"  {mine:14} is {wall:6.2f} x {peer:38} (aim at 1 GiB: {target}, {verdict}){other}", flush=True)


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


def print_sweep(mebibytes: int, rounds: int) -> None:
    """Print the processor time of every configuration of the official SDK, as a multiple of this package's."""
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(Path(folder), mebibytes, rounds)
    for direction, multiples in found.items():
        print(f"{direction}, {mebibytes} MiB: processor time of the official SDK, as a multiple of this package's")
        print("  frame \\ read " + "".join(f"{name(read):>10}" for read in READS))
        for frame in FRAMES:
            print(f"  {name(frame):>12} " + "".join(f"{multiples[frame, read]:>10.2f}" for read in READS))
        frame, read = min(multiples, key=lambda at: multiples[at])
        print(f"  its best: frames of {name(frame)}, read {name(read)}: {multiples[frame, read]:.2f} x", flush=True)


class FixedKeyring:
    """Stands for AWS KMS without any time of its own."""

    encrypted = (EncryptedDataKey("aws-kms", b"arn:aws:kms:eu-west-1:111122223333:key/" + b"1" * 36, bytes(184)),)

    def generate_data_key(  # noqa: D102
        self, _context: Mapping[str, str], _suite: Any, /
    ) -> DataKey:
        return DataKey(bytearray(32), self.encrypted, "key")

    def decrypt_data_key(  # noqa: D102
        self, _encrypted: Sequence[EncryptedDataKey], _context: Mapping[str, str], _suite: Any, /
    ) -> DataKey:
        return DataKey(bytearray(32), self.encrypted, "key")


def small_contenders() -> dict[str, tuple[Callable[[], Any], int]]:
    """Return each contender with the number of calls per round."""
    fixed = FixedKeyring()
    ours = {"keyring": fixed, "encryption_context": who.CONTEXT}
    message = kms_runtime.encrypt_bytes(PLAINTEXT, **ours)
    client, keyring = who.make_official()
    theirs, _ = client.encrypt(source=PLAINTEXT, keyring=keyring, encryption_context=who.CONTEXT)
    return {
        "encrypt": (lambda: kms_runtime.encrypt_bytes(PLAINTEXT, **ours), CALLS),
        "decrypt": (lambda: kms_runtime.decrypt_bytes(message, **ours), CALLS),
        "official encrypt": (
            lambda: client.encrypt(source=PLAINTEXT, keyring=keyring, encryption_context=who.CONTEXT),
            CALLS // 50,
        ),
        "official decrypt": (lambda: client.decrypt(source=theirs, keyring=keyring), CALLS // 50),
    }


def print_small(rounds: int) -> None:
    """Print the local work per 1 KiB message, as a ratio to the official SDK."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (call, calls) in small_contenders().items():
            for _ in range(calls // 10):  # the contender before has taken the processor's caches
                call()
            start = time.process_time()
            for _ in range(calls):
                call()
            times.setdefault(name, []).append((time.process_time() - start) / calls * 1e6)
    for name in ("encrypt", "decrypt"):
        mine, theirs = times[name], times[f"official {name}"]
        ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
        print(
            f"{name}: {statistics.median(mine):.1f} µs, at best {min(mine):.1f} (aim: {AIM_MICROSECONDS}); "
            f"the official SDK takes {ratio:.0f} x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, nargs="+", default=[1, 64], help="file sizes; default: 1 64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sweep", type=int, default=16, metavar="MEBIBYTES", help="size in the sweep; default: 16")
    parser.add_argument("--limit-only", action="store_true", help="against the limit of one core alone")
    options = parser.parse_args()
    for size in options.mebibytes:
        measure(size, options.rounds, limit_only=options.limit_only)
    if options.limit_only:
        return
    print_sweep(options.sweep, rounds=1)
    print_small(rounds=15)


if __name__ == "__main__":
    main()
