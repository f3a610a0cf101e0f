"""The bad days: which requests of the functions fail, and how; and what happens to the keys in the meantime."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kms_patterns.local import LocalAws

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
