"""Runs the objects of an event through the data plane: one, or all records of a notification."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kms_runtime.errors import InvalidRequest, KmsRuntimeError, RecordsFailed
from kms_runtime.handlers.clients import kms_client, s3_client
from kms_runtime.handlers.envelope_batch import is_batch, run_batch
from kms_runtime.handlers.envelope_inline import Inline
from kms_runtime.handlers.envelope_requests import EnvelopeRequest, is_notification, parse_notification, parse_request
from kms_runtime.handlers.outcome import LOG, defect, loggable
from kms_runtime.handlers.settings import Settings, required_variable
from kms_runtime.handlers.validation import Answer
from kms_runtime.keyrings import Keyring, KmsKeyring
from kms_runtime.required_context import effective_context
from kms_runtime.s3 import ObjectResult, S3Object
from kms_runtime.s3.latest import transfer_latest


def _kms_keyring(settings: Settings) -> Keyring:
    return KmsKeyring(settings.key_arn, kms_client=kms_client())


@dataclass(frozen=True, slots=True)
class EnvelopeWork:
    """One direction of the cipher.

    Args:
        transfer: ``encrypt_object`` or ``decrypt_object``.
        default_key: Makes the destination key from the source key if the request gives none.
        read_range: Answers a request for a byte range; None if this direction has no such thing.
        keyring: Makes the keyring of a message from the function's settings; left out, one of a symmetric KMS key.
        inline: Processes payloads that the event itself brings; None if this function only takes objects.
    """

    transfer: Callable[..., ObjectResult]
    default_key: Callable[[str], str]
    read_range: Callable[..., Answer] | None = None
    keyring: Callable[[Settings], Keyring] = _kms_keyring
    inline: Inline | None = None

    def run(self, event: Any) -> Answer:
        """Process ``event`` and return its answer.

        Raises:
            RecordsFailed: At least one record of a notification failed, after all were tried.
            KmsRuntimeError: The one object of a request was refused.
        """
        if is_batch(event):
            return run_batch(event, self._run_queued)
        if self.inline and self.inline.is_for(event):
            return self._run_inline(self.inline, event)
        return self._run_objects(event)

    def _run_inline(self, inline: Inline, event: Any) -> Answer:
        valid = inline.validate(event)
        settings, context = _settings_and_context(valid.get("encryptionContext", {}))
        return inline.run(valid, keyring=self.keyring(settings), encryption_context=context)

    def _run_queued(self, event: Any) -> Answer:
        if isinstance(event, dict) and "range" in event:
            raise InvalidRequest("event.range: nobody receives what the message of a queue is answered")
        return self._run_objects(event)

    def _run_objects(self, event: Any) -> Answer:
        if not is_notification(event):
            return self._process(parse_request(event))
        bucket = required_variable(os.environ, "SOURCE_BUCKET")
        return {"objects": self._process_all(parse_notification(event, bucket=bucket))}

    def _process_all(self, requests: list[EnvelopeRequest]) -> list[Answer]:
        answers, failures = [], []
        for request in requests:
            try:
                answers.append(self._process(request))
                LOG.info("record done", extra=loggable(answers[-1]))
            except KmsRuntimeError as error:
                failures.append(f"{request.source_key} ({error.code}: {error})")
            except Exception as error:  # noqa: BLE001 - a defect met in one record must not keep the others from running
                LOG.error("record failed", extra={"sourceKey": request.source_key} | defect(error))
                failures.append(f"{request.source_key} ({type(error).__name__})")
        if failures:
            raise RecordsFailed(f"{len(failures)} of {len(requests)} objects failed: {'; '.join(failures)}")
        return answers

    def _process(self, request: EnvelopeRequest) -> Answer:
        settings, context = _settings_and_context(request.encryption_context)
        source = S3Object(required_variable(os.environ, "SOURCE_BUCKET"), request.source_key, request.source_version_id)
        common: dict[str, Any] = {
            "keyring": self.keyring(settings),
            "encryption_context": context,
            "s3_client": s3_client(),
        }
        if request.byte_range:
            if self.read_range is None:
                raise InvalidRequest("event.range: this function encrypts whole objects")
            return self.read_range(source, request.byte_range, **common)
        destination_key = request.destination_key or self.default_key(request.source_key)
        destination = S3Object(required_variable(os.environ, "DESTINATION_BUCKET"), destination_key)
        return _answer(transfer_latest(self.transfer, source, destination, **common))


def _settings_and_context(given: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    settings = Settings.read(os.environ)
    return settings, effective_context(given, fixed=settings.fixed_context, required=settings.required_names)


def _answer(result: ObjectResult) -> Answer:
    return {
        "source": result.source.as_answer(),
        "destination": result.destination.as_answer(),
        "plaintextBytes": result.message.plaintext_bytes,
        "ciphertextBytes": result.message.ciphertext_bytes,
        "algorithmSuite": f"0x{result.message.algorithm_suite:04X}",
        "encryptionContext": dict(result.message.encryption_context),
    }
