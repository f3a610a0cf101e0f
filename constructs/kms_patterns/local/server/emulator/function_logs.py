"""Logs of Lambda functions in the format that their LoggingConfig names: text, or JSON as Lambda writes it.

A Python function's ``logging`` has the handler of Lambda's runtime; ``print`` stays as it is printed, as there.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.emulator import LOGS, EmulatorMismatch, reach

_FORMAT, _LEVEL = "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"
_INVOKED = "result = handler_fn(event, context)"
# The source of another process. What a record carries besides these is what ``extra`` added to it.
_HANDLER = f"""
import json as _json, logging as _logging, os as _os, sys as _sys, time as _time, traceback as _traceback
_own = set(vars(_logging.makeLogRecord(dict()))) | {{"message", "asctime"}}
class _LambdaFormatter(_logging.Formatter):
    converter = _time.gmtime
    request_id = None
    def format(self, record):
        if _os.environ.get({_FORMAT!r}) != "JSON":
            at = _time.strftime("%Y-%m-%dT%H:%M:%S", _time.gmtime(record.created))
            given = (record.levelname, at, record.msecs, self.request_id, record.getMessage())
            text = "[%s]\\t%s.%03dZ\\t%s\\t%s" % given
            return text + ("\\n" + self.formatException(record.exc_info) if record.exc_info else "")
        line = {{"timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"), "level": record.levelname}}
        line |= {{"message": record.getMessage(), "logger": record.name}}
        if record.exc_info and record.exc_info[0]:
            kind, error, trace = record.exc_info
            line |= {{"stackTrace": [it.rstrip() for it in _traceback.format_tb(trace)], "errorType": kind.__name__}}
            line |= {{"errorMessage": str(error)}}
            line |= {{"location": "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)}}
        line |= {{"requestId": self.request_id}} if self.request_id else {{}}
        line |= {{name: value for name, value in vars(record).items() if name not in _own and name not in line}}
        return _json.dumps(line, default=str)
_lambda_handler = _logging.StreamHandler(_sys.stderr)
_lambda_handler.setFormatter(_LambdaFormatter())
_logging.getLogger().addHandler(_lambda_handler)
_json_level = {{"TRACE": "DEBUG", "FATAL": "CRITICAL"}}.get(_os.environ.get({_LEVEL!r}), _os.environ.get({_LEVEL!r}))
_logging.getLogger().setLevel(_json_level or "WARNING")
"""


def log_handler(script: str) -> str:
    """Return the Python worker's source with the log handler of Lambda's runtime.

    Raises:
        EmulatorMismatch: The source does not call the function in the form that we extend.
    """
    if script.count(_INVOKED) != 1:
        raise EmulatorMismatch("the emulator's Python worker calls its function in another form than expected")
    named = "_LambdaFormatter.request_id = context.aws_request_id; " + _INVOKED
    return _HANDLER + script.replace(_INVOKED, named)


def execution_environment(original: Callable[[Mapping[str, Any]], dict[str, str]]) -> Callable[..., dict[str, str]]:
    """Add the format and level of a function's logs to the variables that its process is started with."""

    def variables(config: Mapping[str, Any]) -> dict[str, str]:
        logging = config.get("LoggingConfig") or {}
        if logging.get("LogFormat") != "JSON":
            return original(config)
        return original(config) | {_FORMAT: "JSON", _LEVEL: logging.get("ApplicationLogLevel", "INFO")}

    return variables


def emitting(original: Callable[..., None]) -> Callable[..., None]:
    """Write the logs of an invocation whose function has the format JSON; leave the others to the emulator."""

    def emit(func: Mapping[str, Any], request_id: str, log_text: str, *ended: Any, **more: Any) -> None:
        config = func.get("config") or func
        logging = config.get("LoggingConfig") or {}
        if logging.get("LogFormat") != "JSON":
            original(func, request_id, log_text, *ended, **more)
            return
        error, duration_ms = ended
        group = logging.get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
        day, version = datetime.now(UTC).strftime("%Y/%m/%d"), config.get("Version", "$LATEST")
        place = {"logGroupName": group, "logStreamName": f"{day}/[{version}]{uuid4().hex}"}
        if group not in reach(LOGS, "_log_groups"):
            reach(LOGS, "_create_log_group")({"logGroupName": group})
        reach(LOGS, "_create_log_stream")(place)
        now, level = int(time.time() * 1000), logging.get("SystemLogLevel", "INFO")
        lines = [*_platform(config, request_id, duration_ms, level=level, error=error, text=log_text)]
        events = [{"timestamp": now, "message": line} for line in lines]
        if events:
            reach(LOGS, "_put_log_events")({**place, "logEvents": events})

    return emit


def _platform(
    config: Mapping[str, Any], request_id: str, duration_ms: int, *, level: str, error: bool, text: str
) -> Iterator[str]:
    if level != "WARN":
        yield _line("platform.start", {"requestId": request_id, "version": config.get("Version", "$LATEST")})
    yield from text.splitlines()
    if level == "DEBUG" or error:
        done = {"requestId": request_id, "status": "error" if error else "success"}
        yield _line("platform.runtimeDone", done | {"metrics": {"durationMs": duration_ms}})
    if level != "WARN" or error:
        memory = config.get("MemorySize", 128)
        metrics = {"durationMs": duration_ms, "billedDurationMs": duration_ms, "memorySizeMB": memory}
        status = "error" if error else "success"
        yield _line("platform.report", {"requestId": request_id, "metrics": metrics, "status": status})


def _line(kind: str, record: Mapping[str, Any]) -> str:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": at, "type": kind, "record": record})
