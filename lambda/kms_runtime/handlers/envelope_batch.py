"""A batch of an SQS queue: each message succeeds or fails by itself.

See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
from collections.abc import Callable
from typing import Any

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.handlers.outcome import LOG, defect
from kms_runtime.handlers.validation import Answer, validator

_batch = validator("sqs_batch")


def is_batch(event: object) -> bool:
    """Tell whether ``event`` comes from Amazon SQS."""
    records = event.get("Records") if isinstance(event, dict) else None
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


def run_batch(event: Any, run: Callable[[Any], Answer]) -> Answer:
    """Run each message and name those that the queue must deliver again.

    Raises:
        InvalidRequest: ``event`` is not valid by ``schemas/sqs_batch.json``.
    """
    failed = [record["messageId"] for record in _batch(event)["Records"] if not _succeeds(record, run)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _succeeds(record: Any, run: Callable[[Any], Answer]) -> bool:
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
