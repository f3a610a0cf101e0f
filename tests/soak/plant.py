"""The deployed EnvelopeCipher with the queue that feeds it, and the bad weather: which requests fail and how."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

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
    # Where none hangs, one upload is given up in its middle, whatever the chances: it must be aborted.
    given_up: Fault = {"name": "refused part", "kind": "access denied", "times": 1, **_PART}
    return [*([*silent, hanging] if patience else [given_up]), slow, *_random()]


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
KIBIBYTES_PER_MEBIBYTE = 1024


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

    def forget_peaks(self) -> None:
        """Have the kernel measure the peak memory of the functions' processes anew."""
        for process in self._processes():
            with suppress(OSError):
                (process / "clear_refs").write_text("5")

    def peak_mebibytes(self) -> float:
        """Return the largest peak of resident memory among the functions' processes."""
        return max((_peak(process) for process in self._processes()), default=0) / KIBIBYTES_PER_MEBIBYTE

    def _processes(self) -> list[Path]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(self.aws.folder / "tmp"):
                    found.append(process)
        return found


def _peak(process: Path) -> int:
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
