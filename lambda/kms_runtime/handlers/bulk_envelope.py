"""Lambda functions of the BulkEnvelope construct: batches of objects, and the report of a run.

Events and responses: ``schemas/bulk_envelope.json``.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from urllib.parse import unquote_plus

from kms_runtime.envelope.decrypting import decrypt as decrypt_message
from kms_runtime.envelope.encrypting import encrypt as encrypt_message
from kms_runtime.envelope.rewrapping import rewrap
from kms_runtime.errors import InvalidRequest, KmsRuntimeError, ObjectsFailed
from kms_runtime.handlers.bulk_report import run_report
from kms_runtime.handlers.envelope_requests import ENCRYPTED_SUFFIX
from kms_runtime.handlers.outcome import LOG, defect, logged
from kms_runtime.handlers.settings import Settings, kms_client, required_variable, s3_client
from kms_runtime.handlers.validation import Event, Response
from kms_runtime.keyrings.kms import KmsKeyring
from kms_runtime.message.header import MessageResult
from kms_runtime.s3 import S3Object
from kms_runtime.s3.latest import current_etag
from kms_runtime.s3.marked_objects import Brought, BulkTransfer, bring
from kms_runtime.s3.transfer import message_size

AT_ONCE: Final = 3
"""Objects of a batch under way at a time: each has up to three connections, and the client has ten."""
MARGIN: Final = 60_000
"""Milliseconds before the function's end at which no further object is started."""
MOST_KEY: Final = 1024
"""Bytes of a key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
_REASON: Final = 160
_HEADER: Final = 128 * 1024


class _Context(Protocol):
    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """What one function does to each object: ``renamed`` makes the destination's key, each below its prefix."""

    transfer: Callable[[], BulkTransfer]
    renamed: Callable[[str], str]
    calls: int


@logged("BulkEncrypt", "bulk_envelope/batch")
def encrypt(event: Event, context: _Context) -> Response:
    """Encrypt the objects of a batch; ObjectsFailed, after all were tried, says which failed and why."""
    made = partial(_of_messages, "encrypt", encrypt_message, message_size)
    return _run(event, context, _Operation(made, lambda name: name + ENCRYPTED_SUFFIX, calls=1))


@logged("BulkDecrypt", "bulk_envelope/batch")
def decrypt(event: Event, context: _Context) -> Response:
    """Decrypt the objects of a batch; ObjectsFailed, after all were tried, says which failed and why."""
    made = partial(_of_messages, "decrypt", decrypt_message, int)
    return _run(event, context, _Operation(made, _without_suffix, calls=1))


@logged("BulkReEncrypt", "bulk_envelope/batch")
def re_encrypt(event: Event, context: _Context) -> Response:
    """Give the messages of a batch another key or context; ObjectsFailed says which failed and why."""
    return _run(event, context, _Operation(_re_encryption, str, calls=2))


@logged("BulkReport", "bulk_envelope/results")
def report(event: Event, context: _Context) -> Response:
    """Sum up the results of a run, as far as the time goes, and write the report when all are read."""
    return run_report(event, lambda: context.get_remaining_time_in_millis() > MARGIN, s3_client=s3_client())


def _of_messages(operation: str, run: Callable[..., MessageResult], size: Callable[[int], int]) -> BulkTransfer:
    settings = Settings.read(os.environ)
    keyring = KmsKeyring(settings.key_arn, kms_client=kms_client())
    bound = partial(run, keyring=keyring, encryption_context=settings.fixed_context)
    return BulkTransfer(bound, size, _described(operation, settings))


def _re_encryption() -> BulkTransfer:
    old = {name.removeprefix("SOURCE_"): value for name, value in os.environ.items() if name.startswith("SOURCE_")}
    before, after = Settings.read(old), Settings.read(os.environ)
    run = partial(
        rewrap,
        keyring=KmsKeyring(before.key_arn, kms_client=kms_client()),
        encryption_context=before.fixed_context,
        key_arn=after.key_arn,
        new_context=after.fixed_context,
        kms_client=kms_client(),
    )
    return BulkTransfer(run, lambda size: size + _HEADER, _described("re_encrypt", after))


def _described(operation: str, settings: Settings) -> str:
    return json.dumps([operation, settings.key_arn, sorted(settings.fixed_context.items())])


def _without_suffix(name: str) -> str:
    # Without this rule a and a.encrypted would have one destination.
    if not name.endswith(ENCRYPTED_SUFFIX):
        raise InvalidRequest(f"the key does not end in {ENCRYPTED_SUFFIX}: not an object that a bulk run encrypted")
    return name.removesuffix(ENCRYPTED_SUFFIX)


def _run(event: Event, context: _Context, operation: _Operation) -> Response:
    start = time.perf_counter()
    keys = [item["key"] for item in event["Items"]]
    name: Callable[[str], str] = _decoded if event.get("BatchInput", {}).get("encoded") else str
    transfer = operation.transfer()

    def one(key: str) -> Brought | tuple[str, str]:
        if context.get_remaining_time_in_millis() <= MARGIN:
            return "OutOfTime", "the batch did not end within the function's time; it is tried again"
        try:
            return bring(*_places(name(key), operation.renamed), transfer, s3_client=s3_client())
        except KmsRuntimeError as error:
            # The key is known: without it, AWS's error fits behind a long one.
            return error.code, (str(error).partition(f"/{key}: ")[2] or str(error))[:_REASON]
        except Exception as error:  # noqa: BLE001 - a defect met in one object must not keep the others from running
            LOG.error("object failed", extra={"sourceKey": key} | defect(error))
            return type(error).__name__, "unexpected: see the function's log"

    with ThreadPoolExecutor(AT_ONCE, "bulk") as threads:
        outcomes = list(threads.map(one, keys))
    done = [outcome for outcome in outcomes if isinstance(outcome, Brought)]
    summary = _summary(done, operation.calls, time.perf_counter() - start)
    failures = [[number, *it] for number, it in enumerate(outcomes) if not isinstance(it, Brought)]
    if failures:
        # By place in the batch, as a batch's keys would not fit into what Step Functions keeps of an error.
        raise ObjectsFailed(json.dumps({"summary": summary, "failures": failures}))
    return summary


def _summary(done: list[Brought], calls: int, seconds: float) -> Response:
    outcomes: Mapping[bool, int] = Counter(outcome.written for outcome in done)
    return {
        "written": outcomes[True],
        "foundWritten": outcomes[False],
        "bytes": sum(outcome.source_bytes for outcome in done),
        "kmsCalls": outcomes[True] * calls,
        "seconds": round(seconds, 3),
    }


def _places(key: str, renamed: Callable[[str], str]) -> tuple[S3Object, S3Object]:
    prefix = os.environ.get("SOURCE_PREFIX", "")
    if not key or not key.startswith(prefix):
        raise InvalidRequest(f"the key is empty or does not start with {prefix}: this run may not read it")
    target = os.environ.get("DESTINATION_PREFIX", "") + renamed(key.removeprefix(prefix))
    if (length := len(target.encode())) > MOST_KEY:
        raise InvalidRequest(f"the destination's key would have {length} bytes, S3 takes {MOST_KEY}: copy the object")
    source = S3Object(required_variable("SOURCE_BUCKET"), key)
    destination = S3Object(required_variable("DESTINATION_BUCKET"), target)
    if not target or (source.bucket, source.key) == (destination.bucket, destination.key):
        raise InvalidRequest(f"the destination would be {destination}, which is none, or the source itself")
    return source, destination


def _decoded(key: str) -> str:
    """Return the key that an inventory means, which lists keys URL-encoded.

    AWS does not say whether Step Functions decodes it. Where both readings differ, the one that exists is meant.

    Raises:
        InvalidRequest: Both exist.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    decoded = unquote_plus(key)
    if decoded == key:
        return key
    bucket = required_variable("SOURCE_BUCKET")
    found = [it for it in (decoded, key) if current_etag(S3Object(bucket, it), s3_client()) is not None]
    if len(found) > 1:
        raise InvalidRequest("an object has the key as it is and another has it URL-decoded: name them in a list")
    return found[0] if found else decoded
