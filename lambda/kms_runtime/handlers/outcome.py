"""One structured log record per invocation: what was asked, how it ended, and nothing secret.

The fields are attributes of the record, which Lambda's JSON log format writes as JSON.
See https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

import logging
import os
import time
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import PurePath
from typing import Any

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.handlers.validation import Response, validator

LOG = logging.getLogger("kms_runtime")
# Lambda knows a level, TRACE, that Python does not.
LOG.setLevel(logging.getLevelNamesMapping().get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"), logging.DEBUG))

# At DEBUG the SDK logs the bodies of requests, and so plaintext: the log level of the function must not cause that.
for _sdk in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_sdk).setLevel(logging.INFO)

# Plaintext and ciphertext of a response are not in this list, and nothing else is ever logged.
_LOGGED = ("source", "destination", "plaintextBytes", "ciphertextBytes", "algorithmSuite", "keyArn", "statusCode")

Handler = Callable[[Any, Any], Response]


def logged(operation: str, schema: str | None = None) -> Callable[[Handler], Handler]:
    """Log the outcome of each call of the decorated handler, and let its error through.

    Args:
        operation: What the log calls it.
        schema: What an event must be valid by: see ``validator``. Defaults to any event.
    """
    check = validator(schema) if schema else None

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def call(event: Any, context: Any) -> Response:
            start = time.perf_counter()
            facts: dict[str, Any] = {"operation": operation}
            try:
                response = handler(check(event) if check else event, context)
            except KmsRuntimeError as error:
                LOG.warning("refused", extra=facts | _duration(start) | {"errorCode": error.code, "reason": str(error)})
                raise
            except Exception as error:
                LOG.error("failed", extra=facts | _duration(start) | defect(error))  # noqa: TRY400
                raise
            LOG.info("done", extra=facts | _duration(start) | loggable(response))
            return response

        return call

    return decorate


def loggable(response: Response) -> dict[str, Any]:
    """Return the fields of ``response`` that may be logged."""
    return {name: response[name] for name in _LOGGED if name in response}


def defect(error: Exception) -> dict[str, Any]:
    """Return what may be logged of an unexpected error: its class and where it was raised, not its message."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"errorCode": type(error).__name__, "raisedAt": [f"{PurePath(f.filename).name}:{f.lineno}" for f in frames]}


def _duration(start: float) -> dict[str, Any]:
    return {"durationMs": round((time.perf_counter() - start) * 1000, 1)}
