"""A discrete-event model of bulk runs: how long, how much, and which limit binds, from a million to 2x10^10 objects.

Run ``python benchmarks/model_bulk.py``: it writes the table of docs/bulk-model.md and docs/bulk-model.svg. With
``--calibrate OBJECTS:SECONDS OBJECTS:SECONDS`` it predicts the second of two measured runs from the first.
"""

import argparse
import heapq
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import log10
from pathlib import Path

from kms_patterns.policy.prices import OF_A_BATCH_JOB, OF_A_BULK_RUN

PAGE = Path(__file__).parents[1] / "docs" / "bulk-model.md"
PLOT = PAGE.with_suffix(".svg")
SIZES = (10**6, 10**7, 10**8, 10**9, 10**10, 2 * 10**10)
SIMULATED = 2_000
"""Batches that are simulated; what more there are run at the rate of the second half of these."""
HOUR = 3600
MOST_HOURS = 1_000
TOLERATED = 0.15
"""How far a prediction may be from the measured run."""
GETS = 2
"""Of the source, for each object: GetObject, and HeadObject afterwards."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The limits of a run and how long things take.

    Attributes:
        objects_per_batch: Of the ItemBatcher.
        concurrency: Batches at a time: the smallest of MaxConcurrency, Lambda's and Step Functions' limits.
        at_once: Objects of a batch at a time.
        seconds_an_object: Time of one object in a function, without waiting for a quota.
        kms_calls: Calls for one object.
        kms_a_second: Quota of KMS.
        puts_a_second: Rate of S3 for the prefixes of the destination together.
        gets_a_second: Rate of S3 for the prefixes of the source together; two for an object.
        transitions_a_second: Quota of Step Functions; three for a batch.
        children_a_second: Rate at which a Map Run starts standard child executions, a hard quota; one for a batch.
        start_seconds: From the start of a batch to its first object.
        lambda_gib: Memory of the function.
    """

    objects_per_batch: int = 100
    concurrency: int = 166
    at_once: int = 3
    seconds_an_object: float = 0.1
    kms_calls: int = 1
    kms_a_second: float = 10_000
    puts_a_second: float = 3_500
    gets_a_second: float = 5_500
    transitions_a_second: float = 5_000
    children_a_second: float = 100
    start_seconds: float = 0.2
    lambda_gib: float = 1769 / 1024

    @property
    def limits(self) -> Mapping[str, float]:
        """Objects a second that each limit allows."""
        batch = self.start_seconds + self.objects_per_batch / self.at_once * self.seconds_an_object
        return {
            "functions": self.concurrency * self.objects_per_batch / batch,
            "KMS": self.kms_a_second / self.kms_calls,
            "S3 PUT": self.puts_a_second,
            "S3 GET": self.gets_a_second / GETS,
            "transitions": self.transitions_a_second / 3 * self.objects_per_batch,
            "children": self.children_a_second * self.objects_per_batch,
        }

    @property
    def binding(self) -> str:
        """The limit that allows the fewest objects a second."""
        return min(self.limits, key=lambda name: self.limits[name])


@cache
def simulated(run: Run, objects: int) -> float:
    """Return the seconds of a run, event by event: batches start, their objects wait for tokens of KMS and S3."""
    batches = -(-objects // run.objects_per_batch)
    many = min(batches, max(SIMULATED, 4 * run.concurrency))
    tokens = {
        "kms": [0.0, 1 / run.kms_a_second],
        "put": [0.0, 1 / run.puts_a_second],
        "get": [0.0, 1 / run.gets_a_second],
        "transition": [0.0, 1 / run.transitions_a_second],
        "child": [0.0, 1 / run.children_a_second],
    }

    def take(name: str, now: float, amount: int = 1) -> float:
        bucket = tokens[name]
        bucket[0] = max(bucket[0], now) + amount * bucket[1]
        return max(now, bucket[0] - bucket[1])

    events: list[tuple[float, int, int, int]] = []
    left, started = many, 0
    ends: list[float] = []

    def start(now: float) -> None:
        nonlocal started
        size = min(run.objects_per_batch, objects - started * run.objects_per_batch)
        begin = take("transition", take("child", now), 3) + run.start_seconds
        lanes = min(run.at_once, size)
        for lane in range(lanes):
            heapq.heappush(events, (begin, started, lane, size // lanes + (lane < size % lanes)))
        open_lanes[started] = lanes
        started += 1

    open_lanes: dict[int, int] = {}
    for _ in range(min(run.concurrency, many)):
        start(0.0)
    while events:
        now, batch, lane, todo = heapq.heappop(events)
        if todo:
            ready = take("put", take("kms", take("get", now, GETS), run.kms_calls))
            heapq.heappush(events, (ready + run.seconds_an_object, batch, lane, todo - 1))
            continue
        open_lanes[batch] -= 1
        if open_lanes[batch] == 0:
            ends.append(now)
            left -= 1
            if started < many:
                start(now)
    if many == batches:
        return max(ends)
    half = len(ends) // 2
    rate = (len(ends) - 1 - half - run.concurrency // 2) / (ends[-1 - run.concurrency // 2] - ends[half])
    # Waves of batches that began together must not look faster than the limit itself.
    return ends[-1] + (batches - many) / min(rate, run.limits[run.binding] / run.objects_per_batch)


def dollars(run: Run, objects: int) -> Mapping[str, float]:
    """Return the cost of a run by service, of objects that each is written once."""
    prices, batches = OF_A_BULK_RUN, -(-objects // run.objects_per_batch)
    busy = batches * run.start_seconds + objects / run.at_once * run.seconds_an_object
    return {
        "KMS": objects * run.kms_calls * prices["call"],
        "S3": objects * (prices["put"] + 3 * prices["get"]),
        "Step Functions": batches * prices["child"],
        "Lambda": busy * run.lambda_gib * prices["gibSecond"] + batches * prices["invocation"],
    }


def job_dollars(objects: int) -> float:
    """Return the cost of re-encrypting as many objects by S3 Batch Operations: one job for 2x10^10 at most."""
    each = OF_A_BATCH_JOB["object"] + OF_A_BATCH_JOB["listed"] + OF_A_BULK_RUN["put"]
    return OF_A_BATCH_JOB["job"] + objects * each


DEFAULT = Run()
_TEN_PREFIXES = {"puts_a_second": 35_000, "gets_a_second": 55_000}
RAISED = Run(objects_per_batch=300, concurrency=1_000, kms_a_second=100_000, **_TEN_PREFIXES)
"""As after AWS raised the quotas: 100,000 KMS requests, ten prefixes of S3; all functions, in batches of 300."""


def rows() -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for objects in SIZES:
        default, raised = simulated(DEFAULT, objects), simulated(RAISED, objects)
        cost = sum(dollars(DEFAULT, objects).values())
        yield [
            f"{objects:,}",
            _hours(default),
            DEFAULT.binding,
            _hours(raised),
            RAISED.binding,
            f"${cost:,.0f}",
            f"${job_dollars(objects):,.0f}",
        ]


def _hours(seconds: float) -> str:
    return f"{seconds / HOUR:,.1f} h" if seconds < MOST_HOURS * HOUR else f"{seconds / HOUR / 24:,.0f} days"


def table() -> str:
    """Return the table in Markdown."""
    head = ["objects", "defaults", "binds", "raised", "binds", "BulkEnvelope", "BucketReEncryption"]
    lines = [head, ["---:"] * len(head), *rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(width: int = 640, height: int = 360) -> str:
    """Return hours over objects, both on logarithmic scales, as SVG."""
    series = {"defaults": (DEFAULT, "#b42318"), "raised quotas": (RAISED, "#175cd3")}

    def place(objects: float, hours: float) -> tuple[float, float]:
        return 60 + (log10(objects) - 6) / 4.4 * (width - 90), height - 40 - (log10(hours) + 2) / 6 * (height - 70)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12" role="img"><title>Hours of a bulk run by number of objects</title>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
    ]
    for power in range(6, 11):
        x, _ = place(10**power, 0.01)
        parts.append(f'<text x="{x:.0f}" y="{height - 18}" text-anchor="middle">10^{power}</text>')
    for power in range(-2, 5):
        _, y = place(10**6, 10.0**power)
        parts.append(
            f'<line x1="60" x2="{width - 30}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>'
            f'<text x="54" y="{y + 4:.0f}" text-anchor="end">{10.0**power:g} h</text>'
        )
    for number, (name, (run, color)) in enumerate(series.items()):
        points = [place(objects, simulated(run, objects) / HOUR) for objects in SIZES]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="80" y="{40 + 18 * number}" fill="{color}">{name}: {run.binding} binds</text>')
    return "".join([*parts, "</svg>\n"])


def predicted(first: tuple[int, float], objects: int, run: Run) -> float:
    """Return the seconds of a run of ``objects``, with the rate of S3 that explains the ``first`` run.

    On one machine the embedded AWS binds, which serves a number of requests a second however many functions wait.
    """
    low, high = 1e-2, 1e6
    for _ in range(60):
        middle = (low * high) ** 0.5
        longer = simulated(replace(run, puts_a_second=middle), first[0]) > first[1]
        low, high = (middle, high) if longer else (low, middle)
    return simulated(replace(run, puts_a_second=high), objects)


def main(arguments: Sequence[str]) -> None:
    """Write page and plot, or compare a prediction with a measured run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrate", nargs=2, help="OBJECTS:SECONDS of two measured runs")
    parser.add_argument("--concurrency", type=int, default=16, help="batches at a time in those runs (16)")
    parser.add_argument("--batch", type=int, default=100, help="objects of a batch in those runs (100)")
    given = parser.parse_args(arguments)
    if given.calibrate:
        (few, seconds), (many, measured) = (tuple(map(float, it.split(":"))) for it in given.calibrate)
        run = Run(
            concurrency=given.concurrency,
            objects_per_batch=given.batch,
            kms_a_second=1e9,
            gets_a_second=1e9,
            children_a_second=1e9,
            seconds_an_object=1e-3,
        )
        found = predicted((int(few), seconds), int(many), run)
        off = found / measured - 1
        verdict = "passed" if abs(off) <= TOLERATED else "FAILED"
        print(f"predicted {found:.1f} s, measured {measured:.1f} s: {off:+.1%}, {verdict} ({TOLERATED:.0%} tolerated)")
        sys.exit(verdict == "FAILED")
    text, found = PAGE.read_text(), table()
    PAGE.write_text(re.sub(r"(<!-- model -->\n).*?(<!-- /model -->)", rf"\g<1>{found}\n\g<2>", text, flags=re.DOTALL))
    PLOT.write_text(plot())
    print(found)


if __name__ == "__main__":
    main(sys.argv[1:])
