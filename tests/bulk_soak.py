"""``python -m tests.bulk_soak --objects 20000``: a BulkEnvelope in bad weather, and beside direct invocations.

Objects of 0 bytes to 64 MiB go through the state machine of the Bulk stack on an embedded AWS while requests are
throttled, refused and cut, functions are killed and sources are overwritten. Executions follow until the report names
no failure; then every destination is decrypted and compared. ``--ratio`` measures the throughput beside direct
invocations of the same function with the same batches and concurrency, in the same run.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner

from demo.runner import Deployment, default_input
from demo.scenario import Stage
from kms_patterns.cli.main import main as main_command
from kms_patterns.local import LocalAws
from kms_runtime import KmsKeyring, decrypt_bytes
from tests.cli.test_keys import bucket_of, role_of_jobs, words
from tests.soak import Source, peak_mebibytes, processes

ROOT = Path(__file__).parents[1]
CONTEXT = {"department": "archive"}
SIZES = {0: 80, 1: 80, 1000: 700, 20_000: 120, 262_143: 7, 262_144: 6, 700_000: 5, 6 * 1024**2: 1.8, 64 * 1024**2: 0.2}
"""Sizes in bytes and how often each occurs, of 1,000."""
OVERWRITTEN = 0.05
BATCH, AT_ONCE = 100, 16
BATCHES_A_KILL = 5
SECONDS_A_LOOK = 2
THROTTLED_AT = 0.1
"""Share of the objects after which KMS throttles every request for a while."""
MOST_A_RECORD = 6 / 1024
"""MiB of the server for what it keeps of a version besides its bytes; one of no bytes takes 2.6 KiB."""
FEWEST_TO_WEIGH = 1_000
LEAST_RATIO = 0.85
MOST_AGAIN = 1.1
"""How much more memory the server may have after a run that wrote nothing."""
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 20}, max_pool_connections=AT_ONCE, read_timeout=900)
FAULTS: list[dict[str, Any]] = [
    {"kind": kind, "service": service, "probability": probability}
    for kind, of_kms, of_s3 in (
        ("throttle", 0.03, 0.02), ("error", 0.02, 0.01), ("unavailable", 0.01, 0.01), ("reset", 0.02, 0.01),
        ("lost answer", 0.02, 0.01), ("access denied", 0.01, 0.002),
    )
    for service, probability in (("kms", of_kms), ("s3", of_s3))
]  # fmt: skip

ABSORBED = [fault for fault in FAULTS if fault["kind"] in {"throttle", "lost answer"}]
"""What the AWS SDK takes care of by itself: no batch is tried again."""


@dataclass
class Tally:
    """What a soak counts; ``lost``, ``corrupted`` and ``twice`` must stay empty."""

    objects: int = 0
    seed: int = 0
    overwritten: int = 0
    killed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    runs: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    corrupted: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unreported: list[str] = field(default_factory=list)
    function_peaks: list[float] = field(default_factory=list)
    server: list[tuple[str, float, float, int]] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    throttled: float = 0
    stormed: float = 0
    memory: list[str] = field(default_factory=list)

    @property
    def defects(self) -> dict[str, list[str]]:
        """What must not be, with what was found."""
        names = ("lost", "corrupted", "twice", "unreported", "grown", "calm")
        return {name: found for name in names if (found := getattr(self, name))}

    @property
    def calm(self) -> list[str]:
        """What was shorter of the throttling than asked for; a run of few objects may end before it does."""
        short = self.stormed < self.throttled
        return [f"the run was too short: {self.stormed:.0f} of {self.throttled:.0f} s, use more --objects"] * short


class BulkPlant:
    """The Bulk stack of the reference app, with its operator's clients."""

    def __init__(self, stage: Stage) -> None:
        self.aws = stage.aws
        names = ("InboxName", "VaultName", "ReportsName", "StateMachineArn", "BatchFunctionName", "ContentKeyArn")
        self.inbox, self.vault, self.reports, self.machine, self.function, self.key = (
            stage.output("Bulk", name) for name in names
        )
        self.s3, self.kms, self.states, self.functions = (
            self.aws.client(name, config=PATIENT) for name in ("s3", "kms", "stepfunctions", "lambda")
        )
        # Step Functions tells an administrator, who may not use the key of the state machine, of no execution.
        operator = self.aws.assume(stage.output("Bulk", "OperatorRoleArn"), service="ec2.amazonaws.com")
        self.operated = operator.client("stepfunctions", config=PATIENT)

    def run(self, given: dict[str, str], *, until: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Start an execution and return it when it ended; ``until`` is called meanwhile."""
        arn = self.states.start_execution(stateMachineArn=self.machine, input=json.dumps(given))["executionArn"]
        return self.ended(arn, until=until)

    def ended(self, arn: str, *, until: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Return the execution when it ended."""
        while (found := self.operated.describe_execution(executionArn=arn))["status"] == "RUNNING":
            until()
            time.sleep(0.2)
        return dict(found)

    def report(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Return the report of an execution that came so far."""
        key = f"bulk/reports/{execution['name']}/report.json"
        found: dict[str, Any] = json.loads(self.s3.get_object(Bucket=self.reports, Key=key)["Body"].read())
        return found

    def seconds(self, execution: dict[str, Any]) -> float:
        """Return how long the last Map Run of an execution took."""
        runs = self.states.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
        run = max(runs, key=lambda it: it["startDate"])
        found = self.states.describe_map_run(mapRunArn=run["mapRunArn"])
        return float((found["stopDate"] - found["startDate"]).total_seconds())

    def put_all(self, sources: Sequence[Source]) -> None:
        """Store the sources."""
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda it: self.put(it.key, it.content(0)), sources))

    def put(self, key: str, content: bytes) -> None:
        """Store one source."""
        self.s3.put_object(Bucket=self.inbox, Key=key, Body=content)

    def versions(self, prefix: str) -> Counter[str]:
        """Return how many versions each destination has."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.vault, Prefix=f"out/{prefix}")
        return Counter(version["Key"] for page in pages for version in page.get("Versions", []))

    def opened(self, key: str) -> bytes:
        """Return the plaintext of a destination, not read by the functions."""
        message = self.s3.get_object(Bucket=self.vault, Key=key)["Body"].read()
        return decrypt_bytes(message, keyring=KmsKeyring(self.key, kms_client=self.kms), encryption_context=CONTEXT)


def destination(source: Source) -> str:
    """Return the key of what becomes of a source."""
    return f"out/{source.key.removeprefix('in/')}.encrypted"


def sources(seed: int, name: str, many: int, *, largest: int = 64 * 1024**2) -> list[Source]:
    """Return sources below ``in/NAME``."""
    found = []
    for number in range(many):
        rng = random.Random(f"{seed}:{name}:{number}")
        versions = 2 if rng.random() < OVERWRITTEN else 1
        sizes = [size for size in SIZES if size <= largest]
        chosen = rng.choices(sizes, [SIZES[size] for size in sizes], k=versions)
        found.append(Source(f"in/{name}/{number:06d} ä+&", tuple(chosen)))
    return found


def soak(
    plant: BulkPlant,
    *,
    objects: int,
    seed: int,
    largest: int = 64 * 1024**2,
    faults: Sequence[dict[str, Any]] = FAULTS,
    kills: bool = True,
    throttled: float = 0,
) -> Tally:
    """Run until the report names no failure, and judge every destination; KMS throttles all for some seconds."""
    tally, rng = Tally(objects=objects, seed=seed, throttled=throttled), random.Random(seed)
    made = sources(seed, f"soak-{seed}", objects, largest=largest)
    plant.put_all(made)
    _weigh(plant, tally, "sources stored")
    late = [source for source in made if len(source.sizes) > 1]
    tally.overwritten = len(late)
    first = [{"kind": kind, "service": "s3", "times": 1} for kind in dict.fromkeys(fault["kind"] for fault in faults)]
    _change(plant, tally, *first, *faults)
    with disturbed(plant, late, rng, tally, kills=kills, faults=faults) as look:
        execution = plant.run({}, until=look)
    _change(plant, tally)
    _note(plant, tally, execution, "in bad weather")
    if execution["status"] != "SUCCEEDED" and plant.report(execution)["stopped"]:
        plant.states.redrive_execution(executionArn=execution["executionArn"])
        execution = plant.ended(execution["executionArn"])
        _note(plant, tally, execution, "redriven")
    if execution["status"] != "SUCCEEDED":
        for listed in plant.report(execution)["failedLists"]:
            _note(plant, tally, plant.run({"list": listed}), f"of {listed}")
    _weigh(plant, tally, "destinations stored")
    last = plant.run({})
    _note(plant, tally, last, "the same again")
    _weigh(plant, tally, "after the run that wrote nothing")
    _judge_memory(tally)
    report = plant.report(last)
    if (report["failed"], last["status"]) != (0, "SUCCEEDED"):
        tally.unreported.append(f"{report['failed']} failed at last")
    if report["objects"] != len(list(_keys(plant))):
        tally.unreported.append(f"{report['objects']} objects in the report")
    _judge(plant, tally, made, f"soak-{seed}/")
    return tally


def _change(plant: BulkPlant, tally: Tally, *faults: dict[str, Any]) -> None:
    """Replace the faults, and count those that came."""
    tally.injected += Counter(plant.aws.injected_faults())
    plant.aws.inject_faults(*faults, seed=tally.seed)


def _keys(plant: BulkPlant) -> Iterator[str]:
    for page in plant.s3.get_paginator("list_objects_v2").paginate(Bucket=plant.inbox, Prefix="in/"):
        yield from (entry["Key"] for entry in page.get("Contents", []))


def _note(plant: BulkPlant, tally: Tally, execution: dict[str, Any], what: str) -> None:
    found, names = plant.report(execution), ("objects", "written", "foundWritten", "failed", "kmsCalls", "failures")
    text = f"{what}: {execution['status']}, {plant.seconds(execution):.1f} s"
    tally.runs.append(text + "".join(f", {name} {found[name]}" for name in names))
    print(tally.runs[-1], flush=True)


def _weigh(plant: BulkPlant, tally: Tally, what: str) -> None:
    # The embedded AWS keeps objects in memory: what is beside them must not grow, but for a record of each version.
    sizes = []
    for bucket in (plant.inbox, plant.vault, plant.reports):
        pages = plant.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        sizes += [version["Size"] for page in pages for version in page.get("Versions", [])]
    named = (b"kms_patterns.local.server", str(plant.aws.folder).encode())
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if all(it in (process / "cmdline").read_bytes().split(b"\0") for it in named):
                status = (process / "status").read_text()
                resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
                tally.server.append((what, resident / 1024, sum(sizes) / 1024**2, len(sizes)))


def _judge_memory(tally: Tally) -> None:
    """Compare the second half of the run, whose code is loaded, with its records; and a run that wrote nothing."""
    if tally.objects < FEWEST_TO_WEIGH:
        return
    (_, half, held_then, few), (_, written, held, many), (what, after, *_) = tally.server[-3:]
    grown, records = (written - held) - (half - held_then), (many - few) * MOST_A_RECORD
    tally.memory += [f"{grown:.0f} MiB more in the second half, of which {records:.0f} for its records"]
    tally.memory += [f"{what}: {after:.0f} MiB, {written:.0f} before it"]
    tally.grown += tally.memory[:1] * (grown > records + written * (MOST_AGAIN - 1))
    tally.grown += tally.memory[1:] * (after > written * MOST_AGAIN)


def storm(plant: BulkPlant, tally: Tally, faults: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Have KMS throttle every request from the first step on, until a step that many seconds later."""
    if not tally.throttled:
        return
    _change(plant, tally, {"kind": "throttle", "service": "kms"})
    began = time.monotonic()
    while tally.stormed < tally.throttled:
        yield
        tally.stormed = time.monotonic() - began
    _change(plant, tally, *faults)


@contextmanager
def disturbed(
    plant: BulkPlant,
    late: list[Source],
    rng: random.Random,
    tally: Tally,
    *,
    kills: bool,
    faults: Sequence[dict[str, Any]],
) -> Iterator[Callable[[], None]]:
    """Overwrite sources until the block ends, all of them by then; yield what kills functions when it is called.

    One function dies for every few batches that end, so that a slow machine does not only die.
    """
    ended, looked, shares = threading.Event(), [0.0], [0.25, 0.5]
    weather = storm(plant, tally, faults)

    def overwrite() -> None:
        for source in late:
            ended.wait(rng.random() * 0.1)
            for _ in range(50):
                with suppress(ClientError):
                    plant.put(source.key, source.content(1))
                    break

    def look() -> None:
        if time.monotonic() - looked[0] < SECONDS_A_LOOK:
            return
        looked[0] = time.monotonic()
        tally.function_peaks.append(peak_mebibytes(plant.aws))
        running = next(iter(plant.states.list_executions(stateMachineArn=plant.machine)["executions"]))
        runs = plant.states.list_map_runs(executionArn=running["executionArn"])["mapRuns"]
        if not runs:
            return
        counts = plant.states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["executionCounts"]
        done, found = counts["succeeded"] + counts["failed"], processes(plant.aws)
        if shares and done * BATCH >= shares[0] * tally.objects:
            _weigh(plant, tally, f"{shares.pop(0):.0%} of the batches ended")
        if done * BATCH >= THROTTLED_AT * tally.objects:
            next(weather, None)
        if kills and found and done >= tally.killed * BATCHES_A_KILL:
            with suppress(OSError):
                os.kill(int(rng.choice(found).name), signal.SIGKILL)
                tally.killed += 1

    thread = threading.Thread(target=overwrite)
    thread.start()
    try:
        yield look
    finally:
        ended.set()
        thread.join()


def _judge(plant: BulkPlant, tally: Tally, made: list[Source], prefix: str) -> None:
    versions = plant.versions(prefix)
    tally.twice += [key for key in versions if key not in {destination(source) for source in made}]

    def judge(source: Source) -> None:
        many = versions[destination(source)]
        if not many:
            tally.lost.append(source.key)
        elif many > len(source.sizes):
            tally.twice.append(source.key)
        elif plant.opened(destination(source)) != source.content(len(source.sizes) - 1):
            tally.corrupted.append(source.key)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(judge, made))


def ratio(plant: BulkPlant, *, objects: int, seed: int, rounds: int = 5) -> list[float]:
    """Return the throughput of the state machine over that of direct invocations, by rounds in turns."""
    found = []
    _warm(plant, seed)
    for number in range(rounds):
        seconds = {}
        for way in ("machine", "direct") if number % 2 else ("direct", "machine"):
            made = sources(seed, f"{way}-{number}", objects, largest=20_000)
            plant.put_all(made)
            seconds[way] = (_by_machine if way == "machine" else _directly)(plant, [it.key for it in made])
        found.append(seconds["direct"] / seconds["machine"])
        print(f"round {number}: {seconds} ratio {found[-1]:.3f}", flush=True)
    return found


def _warm(plant: BulkPlant, seed: int) -> None:
    """Have as many functions running as batches run at a time."""
    made = sources(seed, "warm", BATCH * AT_ONCE, largest=1)
    plant.put_all(made)
    _directly(plant, [it.key for it in made])


def measured(plant: BulkPlant, few: int, many: int, *, seed: int) -> str:
    """Return ``OBJECTS:SECONDS OBJECTS:SECONDS``: the median of three runs of ``few``, and one of ``many``."""
    _warm(plant, seed)
    seconds = []
    for number in range(4):
        made = sources(seed, f"measured-{number}", many if number == 3 else few, largest=20_000)
        plant.put_all(made)
        seconds.append(_by_machine(plant, [it.key for it in made]))
    return f"{few}:{statistics.median(seconds[:3]):.2f} {many}:{seconds[3]:.2f}"


def _by_machine(plant: BulkPlant, keys: list[str]) -> float:
    listed = f"bulk/lists/{time.time()}.csv"
    plant.s3.put_object(Bucket=plant.reports, Key=listed, Body="\n".join(["Key", *keys]).encode())
    execution = plant.run({"list": listed})
    assert execution["status"] == "SUCCEEDED", execution
    return plant.seconds(execution)


def _directly(plant: BulkPlant, keys: list[str]) -> float:
    events = [[{"key": key} for key in keys[start : start + BATCH]] for start in range(0, len(keys), BATCH)]

    def invoke(items: list[dict[str, str]]) -> None:
        answer = plant.functions.invoke(FunctionName=plant.function, Payload=json.dumps({"Items": items}).encode())
        assert "FunctionError" not in answer, answer["Payload"].read()

    start = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(invoke, events))
    return time.monotonic() - start


def lines(tally: Tally) -> Iterator[str]:
    """Yield the table, a line each."""
    yield f"objects            {tally.objects} ({tally.overwritten} overwritten during the run)"
    yield f"faults injected    {tally.injected.total()} {dict(tally.injected)}"
    yield f"functions killed   {tally.killed}"
    yield f"KMS throttled      every request for {tally.stormed:.0f} s, {tally.throttled:.0f} asked"
    yield from (f"run                {text}" for text in tally.runs)
    peaks = tally.function_peaks or [0.0]
    half = len(peaks) // 2 or 1
    for what, resident, held, many in tally.server:
        yield f"server             {what}: {resident - held:.0f} MiB beside {held:.0f} of {many} versions"
    yield from (f"server memory      {text}" for text in tally.memory)
    yield f"function peak, MiB {max(peaks[:half]):.0f} in the first half, {max(peaks[half:] or peaks):.0f} later"
    for name in ("lost", "corrupted", "twice", "unreported", "grown", "calm"):
        found = getattr(tally, name)
        yield f"{name:18} {len(found)} {found[:5] or ''}"
    yield f"verdict            {'FAILED' if tally.defects else 'passed'}"


def re_encrypted(aws: LocalAws, objects: int) -> Iterator[str]:
    """Bring a bucket of many objects under a new key by the command; yield what became of it, a line each."""
    bucket = bucket_of(aws, objects)
    environment = {**os.environ, **aws.environment()}
    start = time.monotonic()
    result = CliRunner().invoke(main_command, words(bucket, role_of_jobs(aws, bucket), "--yes"), env=environment)
    yield f"re-encryption      {result.output.splitlines()[-1]}, {time.monotonic() - start:.0f} s"
    heads = {key: bucket.s3.head_object(Bucket=bucket.name, Key=key) for key in bucket.etags}
    moved = sum(head.get("SSEKMSKeyId") == bucket.new for head in heads.values())
    same = sum(heads[key]["ETag"] == etag for key, etag in bucket.etags.items())
    for key in bucket.old:
        bucket.kms.disable_key(KeyId=key)
    bodies = (bucket.s3.get_object(Bucket=bucket.name, Key=key)["Body"].read() == key.encode() for key in bucket.etags)
    read = sum(bodies)
    yield f"under the new key  {moved} of {objects}, ETag as before {same}, read without the old keys {read}"
    assert {moved, same, read} == {objects}, "not every object came under the new key"


@contextmanager
def bulk_stage() -> Iterator[Stage]:
    """Yield the Bulk stack alone, deployed to an embedded AWS."""
    with LocalAws.start() as aws:
        deployment = Deployment(ROOT, ROOT / "build" / f"bulk-{os.getpid()}", aws)
        for step in (deployment.synthesize(), deployment.bootstrap(), deployment.deploy("KmsPatterns-Bulk")):
            list(step)
        yield Stage(aws, deployment.outputs(), default_input())


def main() -> int:
    """Print the table; the status is 1 if anything was lost, corrupted or done twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.bulk_soak", description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000, help="how many objects (20,000)")
    parser.add_argument("--seed", type=int, default=18, help="makes a run repeatable (18)")
    parser.add_argument("--throttled", type=float, default=180, help="seconds of KMS throttling every request (180)")
    parser.add_argument("--ratio", type=int, default=0, help="also measure the throughput with so many objects a round")
    parser.add_argument("--measure", type=int, nargs=2, help="only time runs of so many objects, for model_bulk.py")
    parser.add_argument("--re-encrypt", type=int, default=0, help="only re-encrypt a bucket of so many objects")
    arguments = parser.parse_args()
    if arguments.re_encrypt:
        with LocalAws.start() as aws:
            for line in re_encrypted(aws, arguments.re_encrypt):
                print(line, flush=True)
        return 0
    with bulk_stage() as stage:
        plant = BulkPlant(stage)
        if arguments.measure:
            print(measured(plant, *arguments.measure, seed=arguments.seed))
            return 0
        ratios = ratio(plant, objects=arguments.ratio, seed=arguments.seed) if arguments.ratio else []
        more = {"objects": arguments.objects, "seed": arguments.seed, "throttled": arguments.throttled}
        tally = soak(plant, **more) if arguments.objects else Tally()
    if arguments.objects:
        print("\n".join(lines(tally)))
    if ratios:
        found, slow = statistics.median(ratios), statistics.median(ratios) < LEAST_RATIO
        print(f"throughput         {found:.3f} of direct invocations, median of {len(ratios)} rounds")
        print(f"verdict            {'FAILED' if slow else 'passed'} ({LEAST_RATIO} asked)")
    return 1 if tally.defects or (ratios and slow) else 0


if __name__ == "__main__":
    sys.exit(main())
