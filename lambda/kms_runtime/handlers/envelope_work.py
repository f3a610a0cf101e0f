"""Runs the objects of an event through the data plane: one, or all records of a notification."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kms_runtime.errors import FunctionMisconfigured, InvalidRequest, KmsRuntimeError, RecordsFailed
from kms_runtime.handlers.envelope_requests import (
    EnvelopeRequest,
    Inline,
    facts,
    is_notification,
    parse_notification,
    parse_request,
    read_range,
)
from kms_runtime.handlers.outcome import LOG, defect, loggable
from kms_runtime.handlers.settings import Settings, kms_client, required_variable, s3_client, settings_and_context
from kms_runtime.handlers.validation import Response, validator
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.keyrings.kms import KmsKeyring
from kms_runtime.s3 import ObjectResult, S3Object
from kms_runtime.s3.latest import transfer_latest

if TYPE_CHECKING:
    from kms_runtime.s3.transfer import Tags

_batch = validator("envelope_cipher/batch")


def _kms_keyring(settings: Settings) -> Keyring:
    return KmsKeyring(settings.key_arn, kms_client=kms_client())


@dataclass(frozen=True, slots=True)
class EnvelopeWork:
    """One direction of the cipher.

    Args:
        transfer: ``encrypt_object`` or ``decrypt_object``.
        default_key: Makes the destination key from the source key if the request gives none.
        ranges: Whether a request may ask for a byte range.
        keyring: Makes the keyring of a message from the function's settings. Defaults to one of a symmetric KMS key.
        inline: Processes payloads that the event itself brings; None if this function only takes objects.
    """

    transfer: Callable[..., ObjectResult]
    default_key: Callable[[str], str]
    ranges: bool = False
    keyring: Callable[[Settings], Keyring] = _kms_keyring
    inline: Inline | None = None

    def run(self, event: Any) -> Response:
        """Process ``event`` and return its response.

        Raises:
            RecordsFailed: At least one record of a notification failed, after all were tried.
            KmsRuntimeError: The one object of a request was refused.
        """
        if is_batch(event):
            return run_batch(event, self._run_queued)
        if self.inline and self.inline.is_for(event):
            valid = self.inline.validate(event)
            settings, context = settings_and_context(valid.get("encryptionContext", {}))
            return self.inline.run(valid, keyring=self.keyring(settings), encryption_context=context)
        return self._run_objects(event)

    def _run_queued(self, event: Any) -> Response:
        if isinstance(event, dict) and "range" in event:
            raise InvalidRequest("event.range: the response to a queue's message is discarded; invoke the function")
        return self._run_objects(event)

    def _run_objects(self, event: Any) -> Response:
        if not is_notification(event):
            return self._process(parse_request(event))
        bucket = required_variable("SOURCE_BUCKET")
        return {"objects": self._process_all(parse_notification(event, bucket=bucket))}

    def _process_all(self, requests: list[EnvelopeRequest]) -> list[Response]:
        responses: list[Response] = []
        failures = []
        for request in requests:
            try:
                responses.append(self._process(request))
                LOG.info("record done", extra=loggable(responses[-1]))
            except KmsRuntimeError as error:
                failures.append(f"{request.source_key} ({error.code}: {error})")
            except Exception as error:  # noqa: BLE001 - a defect met in one record must not keep the others from running
                LOG.error("record failed", extra={"sourceKey": request.source_key} | defect(error))
                failures.append(f"{request.source_key} ({type(error).__name__})")
        if failures:
            raise RecordsFailed(f"{len(failures)} of {len(requests)} objects failed: {'; '.join(failures)}")
        return responses

    def _process(self, request: EnvelopeRequest) -> Response:
        settings, context = settings_and_context(request.encryption_context)
        source = S3Object(required_variable("SOURCE_BUCKET"), request.source_key, request.source_version_id)
        keyring = self.keyring(settings)
        if request.byte_range:
            if not self.ranges:
                raise InvalidRequest("event.range: this function encrypts whole objects")
            return read_range(
                source, request.byte_range, keyring=keyring, encryption_context=context, s3_client=s3_client()
            )
        destination_key = request.destination_key or self.default_key(request.source_key)
        destination = S3Object(required_variable("DESTINATION_BUCKET"), destination_key)
        common = {"keyring": keyring, "encryption_context": context, "s3_client": s3_client(), "tags": _tags()}
        done = transfer_latest(source, partial(self.transfer, source, destination, **common), s3_client())
        places = {"source": done.source.as_response(), "destination": done.destination.as_response()}
        return places | facts(done.message)


def _tags() -> "Tags":
    """Return ``OBJECT_TAGS``: what happens to the tags of a source object."""
    found = os.environ.get("OBJECT_TAGS", "refuse")
    if found not in {"refuse", "carry", "drop"}:
        raise FunctionMisconfigured(f"OBJECT_TAGS is {found!r}: refuse, carry or drop is expected")
    return cast("Tags", found)


def is_batch(event: object) -> bool:
    """Tell whether ``event`` comes from Amazon SQS."""
    records = event.get("Records") if isinstance(event, dict) else None
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


def run_batch(event: Any, run: Callable[[Any], Response]) -> Response:
    """Run each message and name those that the queue must deliver again.

    Raises:
        InvalidRequest: ``event`` is not valid by ``batch`` in ``schemas/envelope_cipher.json``.
    """
    failed = [record["messageId"] for record in _batch(event)["Records"] if not _succeeds(record, run)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _succeeds(record: Any, run: Callable[[Any], Response]) -> bool:
    facts = {"messageId": record["messageId"]}
    try:
        run(json.loads(record["body"]))
    except KmsRuntimeError as error:
        LOG.warning("message failed", extra=facts | {"errorCode": error.code, "reason": str(error)})
        return False
    except Exception as error:  # noqa: BLE001 - a defect met in one message must not keep the others from running
        LOG.error("message failed", extra=facts | defect(error))
        return False
    return True
