"""Lambda reports an exception by its class name as ``errorType``; the emulator's warm workers do not.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
"""

from collections.abc import Callable
from threading import local
from typing import Any

from kms_patterns.local.server.emulator import EmulatorMismatch

_REPORTED = '"error": str(e), "trace": traceback.format_exc()'
_UNTYPED = "Runtime.HandlerError"
_last = local()


def worker_script(original: str) -> str:
    """Return the Python worker's source, reporting the exception's class as well.

    Raises:
        EmulatorMismatch: The source does not report exceptions in the form that we extend.
    """
    if original.count(_REPORTED) != 1:
        raise EmulatorMismatch("the emulator's Python worker reports exceptions in another form than expected")
    return original.replace(_REPORTED, f'"type": type(e).__name__, {_REPORTED}')


def worker_invoke(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Keep the exception's class of the last invocation on this thread."""

    def invoke(*args: object, **named: object) -> dict[str, Any]:
        _last.type = None
        result = original(*args, **named)
        _last.type = result.get("type")
        return result

    return invoke


def execute_warm(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Put the exception's class into the payload that the caller of the function gets."""

    def execute(func: object, event: object, request_id: str) -> dict[str, Any]:
        _last.type = None
        result = original(func, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and body.get("errorType") == _UNTYPED and _last.type:
            body["errorType"] = _last.type
        return result

    return execute
