"""What a Distributed Map works on: items of a listing, a file, an inventory or the input, and their batches.

Everything is read an item at a time, in the name of the state machine's role.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from kms_patterns.local.server.emulator.emulator import APP, STEP_FUNCTIONS, reach
from kms_patterns.local.server.services.step_functions import failed

MOST_INPUT: Final = 262_144
"""Bytes of the input or output of an execution."""
READER_FAILED: Final = "States.ItemReaderFailed"
_AS_ROLE: Final = {"host": "127.0.0.1", "authorization": "AWS4-HMAC-SHA256 Credential=of/the/acting/s3/principal"}
_DELIMITERS: Final = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_GZIP: Final = b"\x1f\x8b"
_MEMBERS: Final = re.compile(r"\$\$\.Map\.Item\.Value((?:\.[\w-]+)+)(?![\w(-])")
_UNREADABLE: Final = (ValueError, TypeError, AttributeError, EOFError, OSError, zlib.error, csv.Error)
_S3: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"

Batch = tuple[Any, int]
"""Input of a child execution, and how many items are in it."""


@dataclass(frozen=True)
class MapState:
    """A Map state at work: its definition, its input, the same after ``InputPath``, and the execution's context."""

    state: Mapping[str, Any]
    raw_input: Any
    effective: Any
    context: dict[str, Any]

    @property
    def is_jsonata(self) -> bool:
        """Whether its query language is JSONata."""
        return bool(reach(STEP_FUNCTIONS, "_state_query_language")(self.state, self.context) == "JSONata")

    def template(self, value: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Return a payload template filled in."""
        given = self.context if context is None else context
        if self.is_jsonata:
            return reach(STEP_FUNCTIONS, "_apply_jsonata_template")(value, self.raw_input, given)
        return reach(STEP_FUNCTIONS, "_resolve_params_obj")(value, self.effective, given)

    def number(self, fields: Mapping[str, Any], name: str) -> float | None:
        """Return the number that ``fields`` have by name, by its ``Path`` form or by an expression, or None."""
        path, resolve = fields.get(f"{name}Path"), reach(STEP_FUNCTIONS, "_resolve_path_or_ctx")
        if path is None and name not in fields:
            return None
        told = resolve(path, self.effective, self.context) if path else self.template({"value": fields[name]})["value"]
        if isinstance(told, bool) or not isinstance(told, int | float) or told < 0:
            raise failed("States.Runtime", f"{name} is {told}, and not a number of at least 0")
        return float(told)


def as_role(method: str, path: str, query: Mapping[str, str], body: bytes = b"", owner: str = "") -> bytes:
    """Return the body of S3's response to a request of the acting role, of a bucket of ``owner`` if that is given.

    Raises:
        PermissionError: S3 or KMS denies it.
        LookupError: No such bucket or object exists, or S3 refuses the request; the text is the response.
    """
    send = reach(APP, "call_service_handler_sync")
    headers = _AS_ROLE | ({"x-amz-expected-bucket-owner": owner} if owner else {})
    status, _headers, content = send(None, method, path, headers, body, {name: [it] for name, it in query.items()})
    raw = content if isinstance(content, bytes | bytearray) else str(content).encode()
    if status == HTTPStatus.FORBIDDEN:
        raise PermissionError(raw.decode())
    if status >= HTTPStatus.BAD_REQUEST:
        raise LookupError(raw.decode())
    return bytes(raw)


def items(state: MapState) -> Iterator[Any]:
    """Yield the items of a Map state: of its ItemReader, or of its input.

    Raises:
        Exception: ``States.ItemReaderFailed``: what the reader names does not exist, may not be read, or is malformed.
    """
    reader = state.state.get("ItemReader")
    if not reader:
        yield from _of_input(state)
        return
    parameters = state.template(reader.get("Parameters") or reader.get("Arguments") or {})
    config = reader.get("ReaderConfig") or {}
    most = state.number(config, "MaxItems")
    try:
        if str(reader.get("Resource", "")).endswith(":s3:listObjectsV2"):
            found = _listing(parameters, config)
        else:
            found = _content(parameters, config)
        yield from islice(found, int(most)) if most else found
    except (PermissionError, LookupError) as refused:
        raise failed(READER_FAILED, f"{refused} ({parameters})") from refused
    except _UNREADABLE as unreadable:
        raise failed(READER_FAILED, f"The items could not be read: {unreadable} ({parameters})") from unreadable


def _of_input(state: MapState) -> Iterator[Any]:
    if state.is_jsonata:
        found = state.template(state.state["Items"]) if "Items" in state.state else state.effective
    else:
        path = state.state.get("ItemsPath", "$")
        found = reach(STEP_FUNCTIONS, "_resolve_path_or_ctx")(path, state.effective, state.context)
    if isinstance(found, Mapping):
        yield from ({"Key": name, "Value": value} for name, value in found.items())
    elif isinstance(found, list):
        yield from found
    else:
        raise failed("States.Runtime", "The items of the Map state are neither an array nor an object")


def _listing(parameters: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Any]:
    bucket = str(parameters.get("Bucket"))
    more: dict[str, str] = {}
    while True:
        # Encoded: a key may have characters that XML does not have.
        query = {"list-type": "2", "encoding-type": "url", "prefix": str(parameters.get("Prefix", "")), **more}
        page = ET.fromstring(as_role("GET", f"/{bucket}", query))  # noqa: S314 - our own server's response
        for entry in page.iter(f"{_S3}Contents"):
            told = {part.tag.removeprefix(_S3): part.text or "" for part in entry}
            told["Key"] = unquote_plus(told["Key"])
            if config.get("Transformation") == "LOAD_AND_FLATTEN":
                yield from _content({**parameters, "Key": told["Key"]}, config)
                continue
            modified = datetime.fromisoformat(told["LastModified"].replace("Z", "+00:00")).timestamp()
            yield {
                "Etag": told["ETag"],
                "Key": told["Key"],
                "LastModified": int(modified),
                "Size": int(told["Size"]),
                "StorageClass": told["StorageClass"],
            }
        token = page.findtext(f"{_S3}NextContinuationToken")
        if not token:
            return
        more = {"continuation-token": token}


def _content(parameters: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Any]:
    version, owner = parameters.get("VersionId"), str(parameters.get("ExpectedBucketOwner", ""))
    path = f"/{parameters.get('Bucket')}/{parameters.get('Key')}"
    raw = as_role("GET", path, {"versionId": str(version)} if version else {}, owner=owner)
    text = (gzip.decompress(raw) if raw.startswith(_GZIP) else raw).decode()
    manifest = config.get("ManifestType")
    kind = {"S3_INVENTORY": "MANIFEST", None: config.get("InputType", "JSON")}.get(manifest, manifest)
    match kind:
        case "JSONL":
            yield from (json.loads(line) for line in io.StringIO(text) if line.strip())
        case "CSV":
            yield from _rows(text, config)
        case "MANIFEST":
            yield from _inventory(json.loads(text))
        case "JSON":
            found = json.loads(text)
            for part in str(config.get("ItemsPointer", "")).strip("/").split("/") if config.get("ItemsPointer") else ():
                found = found[int(part)] if isinstance(found, list) else found[part]
            if not isinstance(found, list | Mapping):
                raise TypeError("the file holds neither an array nor an object")
            yield from found if isinstance(found, list) else ({"Key": name, "Value": it} for name, it in found.items())
        case other:
            raise ValueError(f"InputType {other} is not served by the embedded AWS")


def _rows(text: str, config: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    delimiter = _DELIMITERS[config.get("CSVDelimiter", "COMMA")]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, escapechar="\\")
    given = config.get("CSVHeaderLocation") == "GIVEN"
    headers = list(config.get("CSVHeaders") or []) if given else next(rows, [])
    # Missing fields are empty, and there is nothing for those beyond the headers.
    yield from ({name: row[n] if n < len(row) else "" for n, name in enumerate(headers)} for row in rows if row)


def _inventory(manifest: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the rows of every file of an S3 inventory, whose keys are URL-encoded, as AWS leaves them."""
    if manifest.get("fileFormat") != "CSV":
        raise ValueError(f"an inventory of {manifest.get('fileFormat')} is not served by the embedded AWS")
    bucket = str(manifest["destinationBucket"]).rpartition(":")[2]
    headers = [name.strip() for name in str(manifest["fileSchema"]).split(",")]
    for file in manifest["files"]:
        config = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": headers}
        yield from _content({"Bucket": bucket, "Key": file["key"]}, config)


def batches(state: MapState, found: Iterable[Any]) -> Iterator[Batch]:
    """Yield the input of each child execution, by ItemSelector and ItemBatcher."""
    selector = state.state.get("ItemSelector") or state.state.get("Parameters")
    selected = (_selected(state, selector, number, item) for number, item in enumerate(found))
    batcher = state.state.get("ItemBatcher")
    if not batcher:
        yield from ((item, 1) for item in selected)
        return
    most = state.number(batcher, "MaxItemsPerBatch")
    most_bytes = min(state.number(batcher, "MaxInputBytesPerBatch") or MOST_INPUT, MOST_INPUT)
    shared = {"BatchInput": state.template(batcher["BatchInput"])} if "BatchInput" in batcher else {}
    empty = len(json.dumps({**shared, "Items": []}))
    batch: list[Any] = []
    size = empty
    for item in selected:
        length = len(json.dumps(item).encode()) + 2
        if batch and (size + length > most_bytes or (most and len(batch) >= most)):
            yield {**shared, "Items": batch}, len(batch)
            batch, size = [], empty
        batch.append(item)
        size += length
    if batch:
        yield {**shared, "Items": batch}, len(batch)


def _selected(state: MapState, selector: Any, number: int, item: Any) -> Any:
    if not selector:
        return item
    if missing := [] if state.is_jsonata else list(_missing(selector, item)):
        raise failed("States.ParameterPathFailure", f"ItemSelector names what an item does not have: {missing}")
    return state.template(selector, {**state.context, "Map": {"Item": {"Index": number, "Value": item}}})


def _missing(selector: Any, item: Any) -> Iterator[str]:
    for name, value in selector.items() if isinstance(selector, Mapping) else ():
        for inner in value if isinstance(value, list) else [value]:
            yield from _missing(inner, item)
        found, here = _MEMBERS.match(str(value)) if name.endswith(".$") else None, item
        for member in found[1].split(".")[1:] if found else ():
            if not isinstance(here, Mapping) or member not in here:
                yield str(value)
                break
            here = here[member]
