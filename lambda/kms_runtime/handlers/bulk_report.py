"""The report of a bulk run: what Step Functions wrote of each batch, summed up as JSON and as a page.

See https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

import csv
import html
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kms_runtime.errors import ObjectsFailed
from kms_runtime.handlers.settings import required_variable
from kms_runtime.handlers.validation import Response
from kms_runtime.s3 import S3Object, S3Sink, S3Source
from kms_runtime.s3.latest import current_etag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXAMPLES: Final = 20
"""Failures that the report shows; the lists have all. A key of controls takes 6 KiB of what goes to the next call."""
_READ: Final = 1024 * 1024
_LIST_SIZE: Final = 50 * 1024**3
_COUNTS: Final = ("written", "foundWritten", "bytes", "kmsCalls", "seconds")
_REPORTED: Final = (*_COUNTS[:-1], "batches", "failedBatches")


@dataclass
class _Sums:
    """What was read so far; goes through the state machine between two calls, so that it stays small."""

    files: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)

    def fail(self, key: str, code: str, reason: str) -> None:
        """Count one object."""
        self.failures[code] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"key": key, "error": code, "reason": reason})


def run_report(event: Mapping[str, Any], time_left: Callable[[], bool], *, s3_client: "S3Client") -> Response:
    """Read the results of a Map Run, file by file, and write the report after the last.

    Args:
        event: The context object's execution, and the Map state's output, the Map Runs of an execution whose last one
            stopped, or this function's own response.
        time_left: Whether another file may be started.
        s3_client: A ``boto3.client("s3")``.

    Returns:
        The input of the next call, with ``complete`` and the number of failed objects so far.

    Raises:
        ObjectsFailed: The report is complete and tells of failures, and the execution was not redriven since.
    """
    given, execution = event["input"], event["execution"]
    redrives = execution.get("RedriveCount", 0)
    if given.get("complete"):
        if redrives > given["redrives"]:
            return {}
        stopped = ", and the run stopped there" * given["stopped"]
        raise ObjectsFailed(f"{given['failures']} objects failed{stopped}: {given['report']}")
    details = given.get("ResultWriterDetails") or _of_the_last(given["MapRuns"], redrives, s3_client)
    stopped = given.get("stopped", "MapRuns" in given)
    before = given.get("sums", {})
    sums = _Sums(**before | {name: Counter(before.get(name, {})) for name in ("counts", "failures")})
    manifest = json.loads(s3_client.get_object(Bucket=details["Bucket"], Key=details["Key"])["Body"].read())
    files = [(status, it["Key"]) for status, found in sorted(manifest["ResultFiles"].items()) for it in found]
    # The earlier lists of a redriven execution stay as they are.
    key = f"{required_variable('REPORTS_PREFIX')}lists/{execution['Name']}-{redrives}-{sums.files}.csv"
    with _FailedList(S3Object(details["Bucket"], key), s3_client) as failed:
        for _, key in files[sums.files :]:
            for line in _lines(S3Object(details["Bucket"], key), s3_client):
                _add(json.loads(line), sums, failed)
            sums.files += 1
            if not time_left():
                break
    sums.lists += failed.written
    complete = sums.files == len(files)
    response: Response = {
        "ResultWriterDetails": details,
        "complete": complete,
        "failures": sums.failures.total(),
        "stopped": stopped,
        "redrives": redrives,
    }
    if not complete:
        return {**response, "sums": vars(sums)}
    found = _report(execution, sums, stopped=stopped)
    place = f"{required_variable('REPORTS_PREFIX')}reports/{execution['Name']}/report"
    forms = ("json", "application/json", json.dumps(found, indent=2)), ("html", "text/html; charset=utf-8", page(found))
    for suffix, kind, text in forms:
        body = io.BytesIO(text.encode())
        s3_client.put_object(Bucket=details["Bucket"], Key=f"{place}.{suffix}", Body=body, ContentType=kind)
    return {**response, "succeeded": not (stopped or sums.failures), "report": f"s3://{details['Bucket']}/{place}.json"}


def _of_the_last(runs: Sequence[Mapping[str, str]], redrives: int, s3_client: "S3Client") -> dict[str, str]:
    """Return where Step Functions wrote the last results of a Map Run whose state failed, and so has no output."""
    last = max(runs, key=lambda run: datetime.fromisoformat(run["StartDate"]))["MapRunArn"]
    bucket = required_variable("REPORTS_BUCKET")
    folder = f"{required_variable('REPORTS_PREFIX')}results/{last.rpartition(':')[2]}"
    # AWS's page does not say so: a redriven Map Run keeps the earlier results and writes into a folder of its own.
    redriven = (f"{folder}/Redrive-{number}/manifest.json" for number in range(redrives, 0, -1))
    found = (key for key in redriven if current_etag(S3Object(bucket, key), s3_client))
    return {"Bucket": bucket, "Key": next(found, f"{folder}/manifest.json")}


def _lines(place: S3Object, s3_client: "S3Client") -> Iterator[bytes]:
    """Yield the lines of a file of any size, over broken connections."""
    begun = b""
    with S3Source(place, s3_client=s3_client) as source:
        while read := source.read(_READ):
            *lines, begun = (begun + read).split(b"\n")
            yield from filter(None, lines)
    if begun:
        yield begun


def _add(child: Mapping[str, Any], sums: _Sums, failed: "_FailedList") -> None:
    """Add what one child execution did to its batch."""
    sums.counts["batches"] += 1
    if child["Status"] == "SUCCEEDED":
        output = json.loads(child["Output"])
        sums.counts.update({name: output[name] for name in _COUNTS})
        return
    sums.counts["failedBatches"] += 1
    batch = json.loads(child["Input"])
    keys = [item["key"] for item in batch["Items"]]
    for number, code, reason in _failures(child, len(keys), sums):
        sums.fail(keys[number], code, reason)
        failed.add(keys[number], encoded=batch.get("BatchInput", {}).get("encoded", False))


def _failures(child: Mapping[str, Any], many: int, sums: _Sums) -> Iterator[tuple[int, str, str]]:
    code = child.get("Error") or child["Status"]
    try:
        message = json.loads(json.loads(child["Cause"])["errorMessage"]) if code == "ObjectsFailed" else None
    except ValueError:
        # Step Functions kept only a part.
        message = None
    if message is None:
        # Killed, throttled or not started: nothing is known of the single objects, and the next run looks at each.
        yield from ((number, code, "the whole batch") for number in range(many))
        return
    sums.counts.update(message["summary"])
    yield from (tuple(entry) for entry in message["failures"])


class _FailedList:
    """A CSV file of the keys that failed, made when the first one did: the input of another execution.

    Keys of an inventory stay as they are, under another header: only the batch function sees which reading exists.
    """

    def __init__(self, place: S3Object, s3_client: "S3Client") -> None:
        self._place = place
        self._s3 = s3_client
        self._sink: S3Sink | None = None
        self.written: list[str] = []

    def add(self, key: str, *, encoded: bool) -> None:
        """Write one key."""
        if self._sink is None:
            self._sink = S3Sink(self._place, expected_size=_LIST_SIZE, s3_client=self._s3)
            self._sink.write(b"EncodedKey\n" if encoded else b"Key\n")
        self._sink.write(_line(key))

    def __enter__(self) -> "_FailedList":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._sink and kind is None:
            self._sink.complete()
            self.written.append(self._place.key)
        elif self._sink:
            self._sink.abort()


def _line(key: str) -> bytes:
    """Return a line from which Step Functions reads this very key: it removes a backslash that is not repeated.

    See https://docs.aws.amazon.com/step-functions/latest/dg/example-csv-parse-dist-map.html
    """
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow([key.replace("\\", r"\\")])
    return line.getvalue().encode()


def _report(execution: Mapping[str, Any], sums: _Sums, *, stopped: bool) -> dict[str, Any]:
    counts, failed = sums.counts, sums.failures.total()
    return {
        "execution": execution["Name"],
        "startedAt": execution["StartTime"],
        "endedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "stopped": stopped,
        "objects": counts["written"] + counts["foundWritten"] + failed,
        "failed": failed,
        "failures": dict(sums.failures.most_common()),
        "examples": sums.examples,
        "failedLists": sums.lists,
        **{name: counts[name] for name in _REPORTED},
        "functionSeconds": round(counts["seconds"], 3),
        "dollars": _dollars(counts),
    }


def _dollars(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the cost by service, without retries, of S3's storage and of its calls to KMS."""
    prices = json.loads(required_variable("PRICES"))
    memory = int(os.environ.get("BATCH_MEMORY_MIB", "0")) / 1024
    gets = 3 * counts["written"] + 2 * counts["foundWritten"]
    dollars = {
        "AWS KMS": counts["kmsCalls"] * prices["call"],
        "Amazon S3": counts["written"] * prices["put"] + gets * prices["get"],
        "AWS Step Functions": counts["batches"] * prices["child"],
        "AWS Lambda": counts["seconds"] * memory * prices["gibSecond"] + counts["batches"] * prices["invocation"],
    }
    return {**{name: round(value, 6) for name, value in dollars.items()}, "total": round(sum(dollars.values()), 6)}


def page(found: Mapping[str, Any]) -> str:
    """Return a report as a page; names of objects are escaped, and controls and direction marks named."""
    shown = [(name, value) for name, value in found.items() if not isinstance(value, list | dict)]
    shown += [(f"cost: {name}", f"${value}") for name, value in found["dollars"].items()]
    shown += [(f"failed: {name}", value) for name, value in found["failures"].items()]
    examples = [(it["key"], it["error"], it["reason"]) for it in found["examples"]]
    lists = "".join(f"<li>{html.escape(name)}</li>" for name in found["failedLists"])
    written = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Bulk run</title>"
        f"<h1>{html.escape(found['execution'])}</h1><table>{_rows(shown)}</table>"
        f"<h2>Failed objects, the first {EXAMPLES}</h2><table>{_rows(examples)}</table>"
        f"<h2>Lists for another run</h2><ul>{lists}</ul></html>"
    )
    return "".join(letter if letter.isprintable() else f"[U+{ord(letter):04X}]" for letter in written)


def _rows(rows: list[Any]) -> str:
    cells = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows)
    return "".join(f"<tr>{row}</tr>" for row in cells)
