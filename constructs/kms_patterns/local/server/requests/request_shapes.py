"""Requests of the JSON and query protocols: checked by botocore's model of their service before anything reads them.

The emulator reads members without looking at their types, lengths and patterns: a string where AWS wants an object was
an internal error, at times after a part of it had been stored. KMS checks its own requests.

AWS: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from kms_patterns.local.server.emulator.emulator import S3, reach
from kms_patterns.local.server.kms.kms_errors import KmsError, Response, constraints, error_response
from kms_patterns.local.server.kms.service_model import violations
from kms_patterns.local.server.requests.request_members import json_object, local_name, parsed_xml

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel

Params = Mapping[str, str]
# By the prefix of X-Amz-Target: botocore's name of the service.
_MODELS = {
    "AWSEvents": "events", "AWSStepFunctions": "stepfunctions", "AmazonSQS": "sqs", "AmazonSSM": "ssm",
    "DynamoDBStreams_20120810": "dynamodbstreams", "DynamoDB_20120810": "dynamodb", "Kinesis_20131202": "kinesis",
    "Logs_20140328": "logs", "TrentService": "kms", "secretsmanager": "secretsmanager",
}  # fmt: skip
# By the service in the credential's scope: the model of a service without X-Amz-Target.
_SCOPED = {"cloudformation": "cloudformation", "iam": "iam", "lambda": "lambda"}
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/,]+)/aws4_request")
# AWS ignores members that it does not know.
_JUDGED = frozenset({"invalid type", "missing required field"})
# By model: the code of a broken constraint, where it is another than ValidationException.
_CODES = {
    "cloudformation": "ValidationError", "iam": "ValidationError", "lambda": "ValidationException",
    "logs": "InvalidParameterException",
}  # fmt: skip
# These check lengths and patterns themselves, with codes of their own.
_OWN_CONSTRAINTS = frozenset({"sqs"})
# What Python says of a value of the wrong type or form.
_MISREAD = re.compile(
    r"object has no attribute|object is not|unhashable|indices must be|codec can't|must be str|not supported between"
    r"|out of range|argument must be|could not convert|invalid literal|expected string|can only concatenate"
    r"|not iterable|unsupported"
)

_OF_FORM = (KeyError, UnicodeError, RecursionError, ArithmeticError)


def malformed(
    method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> Response | None:
    """Return AWS's error for members of wrong types, absent ones, or broken constraints; None for a good request."""
    prefix, _, operation = headers.get("x-amz-target", "").rpartition(".")
    scope = _SCOPE.search(headers.get("authorization", ""))
    if prefix in _MODELS:
        service = _MODELS[prefix]
        if scope and scope[1] != (signing := _signing_name(service)):
            return _error("InvalidSignatureException", f"Credential should be scoped to correct service: '{signing}'.")
        known = service != "kms" and not headers.get("content-encoding")
        return _of_json(service, operation, body) if known else None
    if scope is None or scope[1] not in _SCOPED:
        return None
    if scope[1] == "lambda":
        return _of_rest(method, path, body)
    return _of_form(_SCOPED[scope[1]], params_of(method, headers, body, query))


def _of_json(service: str, operation: str, body: bytes) -> Response | None:
    content = _content(body)
    model = modelled(service)
    shape = model.operation_model(operation).input_shape if operation in model.operation_names else None
    if isinstance(content, str):
        return _error("SerializationException", content)
    return _judged(service, shape, content) if shape is not None else None


def _of_rest(method: str, path: str, body: bytes) -> Response | None:
    operation = lambda_operation(method, path)
    shape = operation.input_shape if operation else None
    content = _content(body)
    if shape is None or isinstance(content, str) or not content:
        return None
    # What the path carries is not in the body.
    in_body = {name for name, member in shape.members.items() if not member.serialization.get("location")}
    given = {name: item for name, item in content.items() if name in in_body}
    return _judged("lambda", shape, given, elsewhere=set(shape.members) - in_body)


def _of_form(service: str, params: Params) -> Response | None:
    model, operation = modelled(service), params.get("Action", "")
    shape = model.operation_model(operation).input_shape if operation in model.operation_names else None
    if shape is None:
        return None
    found = [it for name, value in sorted(params.items()) for it in _of_parameter(shape, name.split("."), value)]
    given = {name.partition(".")[0] for name in params}
    # A list may be empty in this protocol: it has no parameters then.
    absent = [name for name in shape.required_members if name not in given and _is_leaf(shape.members[name])]
    found += [
        constraint for name in absent for constraint in violations(shape, {}) if f"'{_lower(name)}'" in constraint
    ]
    return query_error(service, "ValidationError", constraints(found).message) if found else None


def _of_parameter(shape: Any, names: list[str], value: str) -> Iterator[str]:
    path = [_lower(names[0])]
    for name in names:
        if shape.type_name == "structure":
            shape = shape.members.get(name)
        elif shape.type_name == "list" and not name.isdigit():
            shape = shape if name == "member" else None
        elif shape.type_name == "list":
            shape = shape.member
        else:
            return
        path += [name] if name.isdigit() else []
    if shape is not None and shape.type_name == "string":
        yield from violations(shape, value, ".".join(path))
    elif shape is not None and shape.type_name == "integer" and re.fullmatch(r"-?\d{1,12}", value):
        yield from violations(shape, int(value), ".".join(path))


def _judged(service: str, shape: Any, content: Any, elsewhere: AbstractSet[str] = frozenset()) -> Response | None:
    from botocore.validate import ParamValidator  # noqa: PLC0415

    given = _without_nulls(content)
    report = ParamValidator().validate(given, shape)
    for reason, name, about in report._errors:  # noqa: SLF001 - the only way to tell what is wrong from what is unknown
        if reason in _JUDGED and about.get("required_name") not in elsewhere:
            code = "SerializationException" if reason == "invalid type" else _CODES.get(service, "ValidationException")
            return _error(code, f"{reason}: {about.get('required_name') or name}")
    broken = (
        [] if service in _OWN_CONSTRAINTS else [it for it in violations(shape, given) if not _is_about(it, elsewhere)]
    )
    return _error(_CODES.get(service, "ValidationException"), constraints(broken).message) if broken else None


def _is_about(constraint: str, members: AbstractSet[str]) -> bool:
    return any(f" at '{_lower(name)}' " in constraint for name in members)


def _content(body: bytes) -> Any:
    """Return the JSON object of a body, or why it is not one."""
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return "the request is not JSON"
    return content if isinstance(content, dict) else "Start of structure or map found where not expected."


def lambda_operation(method: str, path: str) -> "OperationModel | None":
    """Return the operation of Lambda that a request is for; None if botocore has none."""
    found = (it for it, pattern in _lambda_paths() if it.http["method"] == method and pattern.fullmatch(path))
    return next(found, None)


@cache
def _lambda_paths() -> "list[tuple[OperationModel, re.Pattern[str]]]":
    model = modelled("lambda")
    operations = [model.operation_model(name) for name in model.operation_names]
    return [(it, _path_pattern(it.http["requestUri"])) for it in operations]


def _path_pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+\+?\}", template.partition("?")[0].rstrip("/"))
    return re.compile("[^/]+".join(map(re.escape, parts)) + "/?")


def _signing_name(service: str) -> str:
    return {"stepfunctions": "states", "dynamodbstreams": "dynamodb"}.get(service, service)


def _is_leaf(shape: Any) -> bool:
    return shape.type_name not in {"list", "map", "structure"}


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


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
def modelled(service: str) -> "ServiceModel":
    """Return botocore's model of a service."""
    from botocore.loaders import Loader  # noqa: PLC0415 - as in service_model
    from botocore.model import ServiceModel  # noqa: PLC0415

    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _error(code: str, message: str) -> Response:
    return error_response(KmsError(code, message))


_NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "cloudformation": "http://cloudformation.amazonaws.com/doc/2010-05-15/",
}


def params_of(method: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Params:
    """Return a request's parameters, with its Action, as the emulator reads them."""
    found = {name: str(values[0] if isinstance(values, list) and values else values) for name, values in query.items()}
    target = headers.get("x-amz-target", "")
    if "amz-json" in headers.get("content-type", "") and target:
        return (
            found
            | {name: str(value) for name, value in json_object(body).items()}
            | {"Action": target.rpartition(".")[2]}
        )
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


def is_ambiguous(body: bytes) -> bool:
    """Return whether XML is malformed or names a member twice: who checks and who stores could read another each."""
    root = parsed_xml(body.decode("utf-8", "replace"))
    found = () if root is None else root.iter()
    members = ([name for it in outer if (name := local_name(it)) not in {"Object", "Tag"}] for outer in found)
    return root is None or any(len(names) > len(set(names)) for names in members)
