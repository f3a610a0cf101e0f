"""Documents of S3 Control's REST API, read and written by botocore's model of it.

What the model does not describe is refused: an element that is not read would look obeyed.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_AWS_S3_Control.html
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote
from xml.etree.ElementTree import Element, SubElement, tostring

from kms_patterns.local.server.emulator.emulator import S3, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.kms.service_model import Shape, violations
from kms_patterns.local.server.requests.request_members import Served, local_name, parsed_xml
from kms_patterns.local.server.requests.request_shapes import modelled
from kms_patterns.local.server.s3.s3_operations import S3Refusal

_NAMESPACE: Final = "http://awss3control.amazonaws.com/doc/2018-08-20/"
_BOOLEANS: Final = {"true": True, "false": False}


def error_response(refused: S3Refusal) -> Response:
    """Return the HTTP response of a refusal by S3 Control."""
    answer: Response = reach(S3, "s3control_error")(refused.code, refused.message, refused.status)
    return answer


def request_members(name: str, request: Served) -> dict[str, Any]:
    """Return the members of a request: of its body, its query and its path; without the account, a header.

    Raises:
        S3Refusal: MalformedXML: it has an element or a text that the model does not. InvalidRequest: a member is
            missing or breaks a constraint.
    """
    shape = _operation(name).input_shape
    members: dict[str, Any] = {}
    for member, of_member in shape.members.items():
        place, wire = of_member.serialization.get("location"), str(of_member.serialization.get("name", member))
        if place == "uri":
            members[member] = unquote(request.path.split("/")[3])
        elif place == "querystring" and wire in request.query:
            value = request.query[wire]
            given = value if isinstance(value, list) else [value]
            members[member] = given if of_member.type_name == "list" else _leaf(of_member, str(given[0]))
    root = parsed_xml(request.body.decode("utf-8", "replace")) if request.body else None
    if request.body and (root is None or local_name(root) != f"{name}Request"):
        raise _malformed()
    if root is not None:
        members |= _read(shape, root)
    found = [it for it in violations(shape, members) if "'accountId'" not in it]
    if found:
        raise S3Refusal("InvalidRequest", "; ".join(found))
    return members


def response(name: str, members: Mapping[str, Any]) -> Response:
    """Return the HTTP response of an operation, with the members that are not None."""
    root = Element(f"{name}Result", xmlns=_NAMESPACE)
    _write(_operation(name).output_shape, root, members)
    content: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return 200, {"Content-Type": "application/xml"}, content


def _operation(name: str) -> Any:
    return modelled("s3control").operation_model(name)


def _malformed() -> S3Refusal:
    return S3Refusal("MalformedXML", reach(S3, "_MALFORMED_XML"))


def _read(shape: Shape, element: Element) -> Any:
    if shape.type_name == "structure":
        named = {str(member.serialization.get("name", name)): name for name, member in shape.members.items()}
        found = [(named.get(local_name(child)), child) for child in element]
        if any(name is None for name, _ in found) or len({name for name, _ in found}) < len(found):
            raise _malformed()
        return {name: _read(shape.members[name], child) for name, child in found if name}
    if shape.type_name == "list":
        wire = shape.member.serialization.get("name", "member")
        if any(local_name(child) != wire for child in element):
            raise _malformed()
        return [_read(shape.member, child) for child in element]
    if shape.type_name == "map":
        raise _malformed()
    return _leaf(shape, (element.text or "").strip() if shape.type_name != "string" else element.text or "")


def _leaf(shape: Shape, text: str) -> Any:
    try:
        if shape.type_name == "boolean":
            return _BOOLEANS[text]
        if shape.type_name in {"integer", "long"}:
            return int(text)
        if shape.type_name == "timestamp":
            return datetime.fromisoformat(text).astimezone(UTC)
    except (KeyError, ValueError) as unread:
        raise _malformed() from unread
    return text


def _write(shape: Shape, element: Element, value: Any) -> None:
    if shape.type_name == "structure":
        for name, item in value.items():
            if item is not None:
                member = shape.members[name]
                _write(member, SubElement(element, str(member.serialization.get("name", name))), item)
    elif shape.type_name == "list":
        for item in value:
            _write(shape.member, SubElement(element, str(shape.member.serialization.get("name", "member"))), item)
    elif isinstance(value, datetime):
        element.text = value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    else:
        element.text = str(value).lower() if isinstance(value, bool) else str(value)
