"""Objects through encryption and decryption in bad weather: which requests fail, and what became of each object."""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console

from demo.runner import default_input, deployed_stage
from demo.scenario import Stage
from kms_patterns.local import LocalAws
from kms_runtime import KmsKeyring, decrypt_bytes

RECEIVES = 3
LARGEST_BATCH = 4
CONSUMERS = 4
VISIBLE_AGAIN_SECONDS = 2.0
LOOK_SECONDS = 0.2


@dataclass(eq=False)
class Message:
    """``body`` for the function, about ``subject``; ``before`` happens just before the first delivery."""

    subject: str
    body: str = ""
    before: Callable[[], None] | None = None
    receives: int = 0
    visible_from: float = 0.0


Consume = Callable[[Sequence[Message]], Iterable[Message]]


@dataclass
class Deliveries:
    """Hands messages to ``consume``, which returns those of a batch that failed."""

    consume: Consume
    rng: random.Random
    pending: list[Message]
    dead: list[Message] = field(default_factory=list)
    redelivered: int = 0
    _in_flight: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _defects: list[BaseException] = field(default_factory=list)

    def drain(self) -> None:
        """Deliver until nothing is pending; a defect of ``consume`` itself is raised."""
        consumers = [threading.Thread(target=self._work) for _ in range(CONSUMERS)]
        for consumer in consumers:
            consumer.start()
        for consumer in consumers:
            consumer.join()
        if self._defects:
            raise self._defects[0]

    def _work(self) -> None:
        while batch := self._take():
            failed: list[Message] = []
            try:
                for message in batch:
                    if message.before:
                        message.before()
                        message.before = None
                failed = list(self.consume([message for message in batch if message.body]))
            except BaseException as defect:  # noqa: BLE001 - raised by drain
                self._defects.append(defect)
            self._settle(len(batch), failed)

    def _take(self) -> list[Message]:
        with self._changed:
            while not (visible := [m for m in self.pending if m.visible_from <= time.monotonic()]):
                if not self.pending and not self._in_flight:
                    return []
                self._changed.wait(LOOK_SECONDS)
            batch = self.rng.sample(visible, min(len(visible), self.rng.randint(1, LARGEST_BATCH)))
            self.pending = [message for message in self.pending if message not in batch]
            self._in_flight += len(batch)
            return batch

    def _settle(self, delivered: int, failed: list[Message]) -> None:
        with self._changed:
            self._in_flight -= delivered
            for message in failed:
                message.receives += 1
                message.visible_from = time.monotonic() + VISIBLE_AGAIN_SECONDS
                again = message.receives < RECEIVES
                (self.pending if again else self.dead).append(message)
                self.redelivered += again
            self._changed.notify_all()


FUNCTION_SECONDS = 12
"""Time limit of the functions: longer than they wait for an answer of KMS, shorter than ``HANGING``."""
KMS_SILENT, HANGING = 10.5, 14
DISTURBED_SECONDS = 0.6

Fault = Mapping[str, Any]
# Per kind: the probability for a request to KMS and for one to S3.
_PROBABILITIES = {
    "throttle": (0.05, 0.03), "error": (0.03, 0.02), "unavailable": (0.02, 0.02), "reset": (0.03, 0.02),
    "lost answer": (0.03, 0.02), "expired credentials": (0.02, 0.004), "clock skew": (0.02, 0.004),
    "access denied": (0.02, 0.004), "disabled key": (0.01, 0.002),
}  # fmt: skip
# The driver's own calls must not fail: faults are about what the functions call.
_OF_KMS = ("GenerateDataKey", "Decrypt")
_PART = {"service": "s3", "operation": "UploadPart"}


def faults(*, patience: bool) -> list[Fault]:
    """Return the faults of one pass; with ``patience`` also a KMS that is silent and a part that hangs, once each.

    The function whose part hangs is killed at its time limit.
    """
    slow: Fault = {"name": "slow part", "kind": "delay", "seconds": 0.4, "probability": 0.2, **_PART}
    hanging: Fault = {"name": "hanging part", "kind": "delay", "seconds": HANGING, "times": 1, **_PART}
    silent = [
        {"name": "time-out", "kind": "delay", "seconds": KMS_SILENT, "times": 1, "service": "kms", "operation": name}
        for name in _OF_KMS
    ]
    # Where none hangs, one upload is given up in its middle: it must be aborted.
    given_up: Fault = {"name": "refused part", "kind": "access denied", "times": 1, **_PART}
    # The first requests to KMS meet each kind once, whatever the chances.
    first = [
        {"kind": kind, "service": "kms", "operation": name, "times": 1} for name in _OF_KMS for kind in _PROBABILITIES
    ]
    return [*([*silent, hanging] if patience else [given_up]), slow, *first, *_random()]


def _random() -> Iterator[Fault]:
    for kind, (of_kms, of_s3) in _PROBABILITIES.items():
        for operation in _OF_KMS:
            yield {"kind": kind, "service": "kms", "operation": operation, "probability": of_kms}
        yield {"kind": kind, "service": "s3", "probability": of_s3}


def disturbances(aws: LocalAws, content_key: str, storage_key: str) -> list[Callable[[], None]]:
    """Return what happens to the keys mid-run: each is disabled for a moment; S3 is denied the buckets' key."""
    kms = aws.client("kms")

    @contextmanager
    def disabled(key: str) -> Iterator[None]:
        kms.disable_key(KeyId=key)
        yield
        kms.enable_key(KeyId=key)

    @contextmanager
    def denied(key: str) -> Iterator[None]:
        policy = kms.get_key_policy(KeyId=key)["Policy"]
        actions = ["kms:GenerateDataKey", "kms:Decrypt"]
        deny = {"Sid": "Storm", "Effect": "Deny", "Principal": "*", "Action": actions, "Resource": "*"}
        document = json.loads(policy)
        kms.put_key_policy(KeyId=key, Policy=json.dumps(document | {"Statement": [*document["Statement"], deny]}))
        yield
        kms.put_key_policy(KeyId=key, Policy=policy)

    def lasting(disturbance: Any) -> Callable[[], None]:
        def run() -> None:
            with disturbance:
                time.sleep(DISTURBED_SECONDS)

        return run

    return [lasting(disabled(content_key)), lasting(disabled(storage_key)), lasting(denied(storage_key))]


CONTEXT = {"tenant": "soak"}
SUFFIX = ".encrypted"
# The driver must get through; an invocation is delivered again by the queue, not by the SDK.
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 20})
UNDISTURBED = Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20)
ATTEMPTS = 50


class Plant:
    """The Envelope stack of the reference app, driven as an event source would drive it."""

    def __init__(self, stage: Stage) -> None:
        self.aws = stage.aws
        names = ("InboxName", "VaultName", "RestoredName")
        self.inbox, self.vault, self.restored = (stage.output("Envelope", name) for name in names)
        self.encrypt, self.decrypt = (
            stage.output("Envelope", f"{verb}FunctionName") for verb in ("Encrypt", "Decrypt")
        )
        self.content_key = stage.output("Envelope", "KeyArn")
        self.s3, self.kms = self.aws.client("s3", config=PATIENT), self.aws.client("kms", config=PATIENT)
        self.functions = self.aws.client("lambda", config=UNDISTURBED)
        rules = self.s3.get_bucket_encryption(Bucket=self.vault)["ServerSideEncryptionConfiguration"]["Rules"]
        self.storage_key: str = rules[0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
        self.killed = 0
        self.killed_with: set[str] = set()

    @contextmanager
    def limited_to(self, seconds: int) -> Iterator[None]:
        """Give the functions a time limit, and the encryption context that an event of S3 cannot name."""
        before = [self.functions.get_function_configuration(FunctionName=name) for name in (self.encrypt, self.decrypt)]
        for found in before:
            variables = found["Environment"]["Variables"] | {"ENCRYPTION_CONTEXT": json.dumps(CONTEXT)}
            self._configure(found, seconds, variables)
        try:
            yield
        finally:
            for found in before:
                self._configure(found, found["Timeout"], found["Environment"]["Variables"])

    def _configure(self, found: Any, seconds: int, variables: dict[str, str]) -> None:
        name = found["FunctionName"]
        self.functions.update_function_configuration(
            FunctionName=name, Timeout=seconds, Environment={"Variables": variables}
        )
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    def put(self, key: str, content: bytes) -> None:
        """Store a source object, as a writer that does not give up."""
        for _ in range(ATTEMPTS):
            with suppress(ClientError):
                self.s3.put_object(Bucket=self.inbox, Key=key, Body=content)
                return
            time.sleep(DISTURBED_SECONDS / 2)
        raise TimeoutError(f"{key} could not be stored in {ATTEMPTS} attempts")

    def created(self, key: str) -> str:
        """Return S3's notification about a source object."""
        about = {"bucket": {"name": self.inbox}, "object": {"key": key}}
        return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}]})

    def wanted(self, key: str) -> str:
        """Return the request to decrypt what became of a source object."""
        return json.dumps({"sourceKey": key + SUFFIX, "encryptionContext": CONTEXT})

    def deliver(self, function: str, messages: Sequence[Message]) -> list[Message]:
        """Invoke a function with a batch; return the messages that it did not take care of."""
        if not messages:
            return []
        named = {str(number): message for number, message in enumerate(messages)}
        records = [{"messageId": n, "body": m.body, "eventSource": "aws:sqs"} for n, m in named.items()]
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps({"Records": records}).encode())
        content = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            assert content["errorType"] == "Sandbox.Timedout", content
            self.killed += 1
            self.killed_with |= {message.subject for message in messages}
            return list(messages)
        return [named[failure["itemIdentifier"]] for failure in content["batchItemFailures"]]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return the keys of a bucket's objects."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def stored(self, bucket: str, key: str) -> bytes:
        """Return an object's content."""
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def opened(self, key: str) -> bytes:
        """Return the plaintext of an encrypted object, not read by the functions."""
        keyring = KmsKeyring(self.content_key, kms_client=self.kms)
        return decrypt_bytes(self.stored(self.vault, key), keyring=keyring, encryption_context=CONTEXT)

    def abort_uploads(self) -> Iterator[tuple[str, bool]]:
        """Do what the lifecycle rules do to unfinished uploads; yield each path, and whether a rule covers it."""
        for bucket in (self.vault, self.restored):
            rules = self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
            covered = any("AbortIncompleteMultipartUpload" in rule and rule["Status"] == "Enabled" for rule in rules)
            for upload in self.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                self.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                yield f"/{bucket}/{upload['Key']}", covered

    def remove(self, prefix: str) -> None:
        """Remove every version of the objects below ``prefix``: the embedded AWS keeps them in memory."""
        for bucket in (self.inbox, self.vault, self.restored):
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
                for version in page.get("Versions", []):
                    self.s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def processes(aws: LocalAws) -> list[Path]:
    """Return the processes of the functions."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(aws.folder / "tmp"):
                found.append(process)
    return found


def peak_mebibytes(aws: LocalAws) -> float:
    """Return the largest peak of resident memory among the functions, and have the kernel measure it anew."""
    peaks = [0.0]
    for process in processes(aws):
        with suppress(OSError):
            text = (process / "status").read_text()
            peaks += [int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM:")]
            (process / "clear_refs").write_text("5")
    return max(peaks)


MEBIBYTE = 1 << 20
SIZES = {
    0: 6, 1: 6, 1000: 30, 262_143: 6, 262_144: 6, 262_145: 6, 700_000: 20, MEBIBYTE: 8,
    6 * MEBIBYTE - 1: 3, 6 * MEBIBYTE: 3, 13 * MEBIBYTE: 4, 20 * MEBIBYTE: 2,
}  # fmt: skip
"""Sizes in bytes and how often each occurs, of 100; an upload has parts of 6 MiB."""
LARGEST_FUNCTION = 120
"""MiB: the interpreter with the AWS SDK takes 70, three parts of an upload 18."""
REPEATED, OVERWRITTEN = 0.1, 0.2
SEVERAL_PARTS = 13 * MEBIBYTE
"""Size of the first object of each chunk: the faults of parts have something to come to."""


@dataclass
class Tally:
    """What a soak counts."""

    seed: int
    objects: int = 0
    overwritten: int = 0
    repeated: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    redelivered: int = 0
    redriven: int = 0
    killed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    corrupted: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    uploads_by_rule: int = 0
    unexplained: list[str] = field(default_factory=list)
    orphan_uploads: int = 0
    peaks: list[float] = field(default_factory=list)

    @property
    def defects(self) -> dict[str, object]:
        """What must not be, with what was found; empty if the soak passed."""
        found: dict[str, object] = {
            "lost": self.lost, "corrupted": self.corrupted, "duplicates": self.duplicates,
            "unexplained uploads": self.unexplained, "orphan uploads": self.orphan_uploads,
            "memory": [peak for peak in self.peaks if peak >= LARGEST_FUNCTION],
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Source:
    """One source object; with two sizes it is overwritten mid-run."""

    key: str
    sizes: tuple[int, ...]

    def content(self, version: int) -> bytes:
        """Return the bytes of a version, the same at every call."""
        return random.Random(f"{self.key}:{version}").randbytes(self.sizes[version])

    @property
    def contents(self) -> list[bytes]:
        """Every version's bytes, the last one that which must arrive."""
        return [self.content(version) for version in range(len(self.sizes))]


def soak(plant: Plant, *, objects: int, chunk: int, seed: int) -> Tally:
    """Encrypt and decrypt ``objects`` objects, ``chunk`` at a time, and return what became of them."""
    tally, before = Tally(seed), len(plant.aws.kms_calls())
    with plant.limited_to(FUNCTION_SECONDS):
        for number, first in enumerate(range(0, objects, chunk)):
            sources = list(_sources(seed, range(first, min(first + chunk, objects))))
            _Chunk(plant, tally, random.Random(seed + number), sources, number).run()
    tally.killed = plant.killed
    refused = Counter(call["errorCode"] for call in plant.aws.kms_calls()[before:] if call["errorCode"])
    tally.injected |= {f"mid-run: {code}": count for code, count in refused.items()}
    return tally


def _sources(seed: int, numbers: range) -> Iterator[Source]:
    for number in numbers:
        rng = random.Random(f"{seed}:{number}")
        versions = 2 if rng.random() < OVERWRITTEN else 1
        sizes = rng.choices(list(SIZES), list(SIZES.values()), k=versions)
        if number == numbers[0]:
            sizes = [SEVERAL_PARTS]
        yield Source(f"soak/{seed}/{number:06d}", tuple(sizes))


@dataclass
class _Chunk:
    plant: Plant
    tally: Tally
    rng: random.Random
    sources: list[Source]
    number: int

    def run(self) -> None:
        plant = self.plant
        peak_mebibytes(plant.aws)
        for source in self.sources:
            plant.put(source.key, source.content(0))
        self.tally.objects += len(self.sources)
        failed = self._through("encrypt", plant.encrypt, [*self._created()])
        arrived = self._judge(failed, plant.vault, SUFFIX, plant.opened)
        messages = [Message(source.key, plant.wanted(source.key)) for source in arrived]
        failed = self._through("decrypt", plant.decrypt, messages)
        self.sources = arrived
        self._judge(failed, plant.restored, "", lambda key: plant.stored(plant.restored, key))
        self.tally.peaks.append(peak_mebibytes(plant.aws))
        plant.remove(f"soak/{self.tally.seed}/")

    def _created(self) -> Iterator[Message]:
        for source in self.sources:
            yield Message(source.key, self.plant.created(source.key))
            if len(source.sizes) > 1:
                self.tally.overwritten += 1
                yield Message(source.key, self.plant.created(source.key), self._overwrite(source))

    def _overwrite(self, source: Source) -> Callable[[], None]:
        return lambda: self.plant.put(source.key, source.content(1))

    def _through(self, verb: str, function: str, messages: list[Message]) -> set[str]:
        """Deliver the messages and some of them twice; return the sources whose failure was reported."""
        plant, tally = self.plant, self.tally
        plant.killed_with.clear()
        again = [Message(message.subject, message.body) for message in messages if self.rng.random() < REPEATED]
        tally.repeated += len(again)
        storms = [Message("", before=storm) for storm in disturbances(plant.aws, plant.content_key, plant.storage_key)]
        # One pass of each chunk waits for what hangs, in turns: both would double the time.
        patience = (self.number % 2 == 0) == (verb == "encrypt")
        plant.aws.inject_faults(*faults(patience=patience), seed=self.rng.randrange(1 << 30))
        queue = Deliveries(lambda batch: plant.deliver(function, batch), self.rng, [*messages, *again, *storms])
        queue.drain()
        for _ in range(ATTEMPTS):
            if {"hanging part" if patience else "refused part"} <= plant.aws.injected_faults().keys():
                break
            # The object of several parts never came as far as its parts: its event arrives once more.
            plant.deliver(function, [messages[0]])
        tally.injected += Counter(plant.aws.injected_faults())
        faulted = plant.aws.faulted_requests()
        tally.retries += plant.aws.retries()
        plant.aws.inject_faults()
        tally.redelivered += queue.redelivered
        failed = {message.subject for message in queue.dead}
        tally.failures[verb] += len(failed)
        left = list(plant.abort_uploads())
        tally.uploads_by_rule += sum(covered for _path, covered in left)
        tally.orphan_uploads += sum(not covered for _path, covered in left)
        unreachable = _beyond_abort(faulted)
        tally.unexplained += [
            path for path, _covered in left
            if path not in unreachable and not any(subject in path for subject in plant.killed_with)
        ]  # fmt: skip
        return failed - self._redriven(function, queue.dead)

    def _redriven(self, function: str, dead: list[Message]) -> set[str]:
        """Deliver in fair weather what ended in the dead-letter queue; return the sources that now got through."""
        again = {message.subject: message for message in dead}
        failed = {message.subject for one in again.values() for message in self.plant.deliver(function, [one])}
        self.tally.redriven += len(again)
        return set(again) - failed

    def _judge(self, failed: set[str], bucket: str, suffix: str, read: Callable[[str], bytes]) -> list[Source]:
        """Compare every destination byte by byte; return the sources whose destination is correct."""
        tally, arrived = self.tally, []
        stored = self.plant.keys(bucket, f"soak/{tally.seed}/")
        expected = {source.key + suffix for source in self.sources}
        tally.duplicates += [key for key in stored if key not in expected]
        for source in self.sources:
            key = source.key + suffix
            if key not in stored:
                tally.lost += [] if source.key in failed else [key]
                continue
            *older, current = source.contents
            content = read(key)
            if content == current:
                arrived.append(source)
            elif content not in older:
                tally.corrupted.append(key)
            elif source.key not in failed:
                # An older version is where the current one should be, and no one was told.
                tally.lost.append(key)
        return arrived


def _beyond_abort(faulted: list[dict[str, Any]]) -> set[str]:
    """Return where a function may leave an upload: it was never told of it, or not let abort it."""
    return {
        request["path"] for request in faulted
        if "AbortMultipartUpload" in request["operations"]
        or (request["kind"] == "lost answer" and "CreateMultipartUpload" in request["operations"])
    }  # fmt: skip


def lines(tally: Tally) -> Iterator[str]:
    """Yield the report, a line each."""
    yield f"seed                          {tally.seed}"
    yield f"objects                       {tally.objects} ({tally.overwritten} overwritten mid-run)"
    yield f"events delivered twice        {tally.repeated}"
    yield f"faults injected               {sum(tally.injected.values())}"
    for kind, count in sorted(tally.injected.items()):
        yield f"  {kind:27} {count}"
    yield f"functions killed at time-out  {tally.killed}"
    yield f"retries by the SDK            {tally.retries}"
    yield f"redelivered by the queue      {tally.redelivered}"
    yield f"failures reported             {tally.failures['encrypt']} encrypt, {tally.failures['decrypt']} decrypt"
    yield f"redriven in fair weather      {tally.redriven}"
    yield f"lost                          {len(tally.lost)} {tally.lost or ''}"
    yield f"corrupted                     {len(tally.corrupted)} {tally.corrupted or ''}"
    yield f"duplicates                    {len(tally.duplicates)} {tally.duplicates or ''}"
    yield f"uploads for lifecycle rule    {tally.uploads_by_rule}"
    yield f"unexplained uploads           {len(tally.unexplained)} {tally.unexplained or ''}"
    yield f"orphan uploads                {tally.orphan_uploads}"
    peaks = [f"{peak:.0f}" for peak in tally.peaks]
    yield f"peak memory of a function     {peaks[0]} MiB in the first chunk, {peaks[-1]} in the last: {' '.join(peaks)}"
    yield f"defects                       {tally.defects or 'none'}"


ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the table; the status is 1 if anything was lost, corrupted, doubled or left, or memory grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--objects", type=int, default=3000, help="how many objects (3000)")
    parser.add_argument("--chunk", type=int, default=250, help="how many of them at a time (250)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="makes a run repeatable; printed")
    arguments = parser.parse_args()
    with deployed_stage(ROOT, default_input(), Console(stderr=True)) as stage:
        tally = soak(Plant(stage), objects=arguments.objects, chunk=arguments.chunk, seed=arguments.seed)
    print("\n".join(lines(tally)))
    return 1 if tally.defects else 0


if __name__ == "__main__":
    sys.exit(main())
