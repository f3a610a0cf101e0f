"""Requests of the JSON and query protocols: checked by botocore's model of their service before anything reads them.

The emulator reads members without looking at their types: a string where AWS wants an object was an internal error,
at times after a part of it had been stored. KMS has rules of its own.

AWS: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from kms_patterns.local.server.emulator.emulator import S3, reach
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, error_response

# By the prefix of X-Amz-Target: botocore's name of the service.
_MODELS = {
    "AWSEvents": "events", "AWSStepFunctions": "stepfunctions", "AmazonSQS": "sqs", "AmazonSSM": "ssm",
    "DynamoDBStreams_20120810": "dynamodbstreams", "DynamoDB_20120810": "dynamodb", "Kinesis_20131202": "kinesis",
    "Logs_20140328": "logs", "secretsmanager": "secretsmanager",
}  # fmt: skip
# AWS ignores members that it does not know; lengths and ranges the services check themselves.
_JUDGED = frozenset({"invalid type", "missing required field"})
# What Python says of a value of the wrong type or form.
_MISREAD = re.compile(
    r"object has no attribute|object is not|unhashable|indices must be|codec can't|must be str|not supported between"
    r"|out of range|argument must be|could not convert|invalid literal|expected string|can only concatenate"
    r"|not iterable|unsupported"
)

_OF_FORM = (KeyError, UnicodeError, RecursionError, ArithmeticError)


def malformed(headers: Mapping[str, str], body: bytes) -> Response | None:
    """Return AWS's error for a body whose members have wrong types, or lack required ones; None for a good one."""
    prefix, _, operation = headers.get("x-amz-target", "").rpartition(".")
    if prefix not in _MODELS or headers.get("content-encoding"):
        return None
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return _error("SerializationException", "the request is not JSON")
    if not isinstance(content, dict):
        return _error("SerializationException", "Start of structure or map found where not expected.")
    model = _model(_MODELS[prefix])
    shape = model.operation_model(operation).input_shape if operation in model.operation_names else None
    if shape is None:
        return None
    report = ParamValidator().validate(_without_nulls(content), shape)
    for reason, name, about in report._errors:  # noqa: SLF001 - the only way to tell what is wrong from what is unknown
        if reason in _JUDGED:
            code = "SerializationException" if reason == "invalid type" else "ValidationException"
            return _error(code, f"{reason}: {about.get('required_name') or name}")
    return None


def misread(error: Exception, headers: Mapping[str, str]) -> Response | None:
    """Return the error of a request that the emulator failed on for its form; None for any other failure."""
    if not _MISREAD.search(str(error)) and not isinstance(error, _OF_FORM):
        return None
    message = f"The request is malformed: {error}"
    if "x-www-form-urlencoded" in headers.get("content-type", "") and "x-amz-target" not in headers:
        return query_error("cloudformation", "ValidationError", message)
    if "/s3/aws4_request" in headers.get("authorization", ""):
        refused: Response = reach(S3, "_error")("InvalidRequest", message, 400)
        return refused
    return _error("ValidationException", message)


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _error(code: str, message: str) -> Response:
    return error_response(KmsError(code, message))


Params = Mapping[str, str]
_NAMESPACES = {
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "cloudformation": "http://cloudformation.amazonaws.com/doc/2010-05-15/",
}


def params_of(method: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Params:
    """Return a request's parameters, with its Action, as the emulator reads them."""
    found = {name: str(values[0] if isinstance(values, list) and values else values) for name, values in query.items()}
    target = headers.get("x-amz-target", "")
    if "amz-json" in headers.get("content-type", "") and target:
        try:
            sent = json.loads(body or b"{}")
        except ValueError:
            sent = {}
        members = sent.items() if isinstance(sent, dict) else ()
        return found | {name: str(value) for name, value in members} | {"Action": target.rpartition(".")[2]}
    if method == "POST":
        found |= {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    return found


def query_error(service: str, code: str, message: str, status: int = 400) -> Response:
    """Return an error as ``service`` answers it, in XML."""
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACES[service]}"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{escape(message)}</Message></Error></ErrorResponse>"
    )
    return status, {"Content-Type": "text/xml"}, body.encode()
