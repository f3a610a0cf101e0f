"""Offline verification of tokens per core: ours, PyJWT and joserfc, as ratios to bare ``cryptography``.

Run ``python benchmarks/bench_verify_tokens.py``. Two peers are bare ``cryptography``: *check* is its signature check
alone, over bytes that lie ready; *bare* is the shortest program around it that gets from the same token to the same
claims: it decodes, checks the signature and parses, and looks at nothing else. Ours also reads strictly, finds the key
by its id and checks the claims. Every round measures every contender, one after the other in short turns of processor
time; a ratio is the median over the rounds. Exits with 1 if ours takes more than 1.25 times as long as bare.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import token_contenders as who

AIM = 1.25
CONTENDERS = ("check", "bare", "ours", "PyJWT", "joserfc")
RATIOS = (("ours", "bare"), ("ours", "check"), ("PyJWT", "ours"), ("joserfc", "ours"))

Times = dict[str, list[float]]


def measure(calls: Mapping[str, Callable[[], Any]], rounds: int, seconds: float) -> Times:
    """Return the time per call in microseconds, by contender and round."""
    times: Times = {name: [] for name in calls}
    start = time.process_time()
    for _ in range(20):
        calls["bare"]()
    repeat = max(10, int(20 * seconds / (time.process_time() - start)))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(repeat):
                call()
            times[name].append((time.process_time() - start) / repeat * 1e6)
    return times


def ratio(times: Times, one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.01, help="per contender and round")
    options = parser.parse_args()
    columns = [f"{name}, µs" for name in CONTENDERS] + [f"{one} / {other}" for one, other in RATIOS]
    print(f"| alg | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    missed = []
    for algorithm in who.ALGORITHMS:
        times = measure(who.contenders(algorithm), options.rounds, options.seconds)
        numbers = [f"{min(times[name]):.1f}" for name in CONTENDERS]
        numbers += [f"{ratio(times, one, other):.2f}" for one, other in RATIOS]
        print(f"| {algorithm} | {' | '.join(numbers)} |", flush=True)
        if ratio(times, "ours", "bare") > AIM:
            missed.append(algorithm)
    print(f"aim: ours / bare at most {AIM}; above it: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
