"""The Distributed Map of Step Functions: a Map Run with a few children at a time, its results in S3, and its redrive.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html
"""

import contextvars
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import chain, islice
from threading import Condition
from typing import Any, Final
from uuid import uuid4

from kms_patterns.local.server.emulator.emulator import STEP_FUNCTIONS, reach
from kms_patterns.local.server.services.execution_results import check_length, gathered, state_output, write
from kms_patterns.local.server.services.map_items import Batch, MapState, batches, items
from kms_patterns.local.server.services.step_functions import failed, last_state, now, require, walk

WORKERS: Final = 16
"""Child executions at a time on this machine; AWS runs up to 10,000."""
EXCEEDED: Final = "States.ExceedToleratedFailureThreshold"
_DENIED: Final = "StepFunctions.AccessDeniedException"
_COUNTS: Final = (
    *("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten"),
    *("failuresNotRedrivable", "pendingRedrive"),
)
_LEFT: Final = "pendingRedrive"
_COUNT, _PERCENTAGE = "toleratedFailureCount", "toleratedFailurePercentage"
_UNSUCCESSFUL: Final = ("FAILED", "TIMED_OUT", "ABORTED")

Record = dict[str, Any]


def running(_original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what runs a Map state whose ItemProcessor is distributed: its output, and the next state."""

    def run(*given: Any) -> tuple[Any, str | None]:
        definition, raw_input, effective, processor, execution, context = given
        state = MapState(definition, raw_input, effective, context)
        name = str(context["State"]["Name"])
        known = reach(STEP_FUNCTIONS, "_map_runs").get(execution.setdefault("_mapRuns", {}).get(name))
        if known and execution.get("_redriving"):
            made = MapRun(state, processor, execution, known)
            result = made.redrive()
        else:
            made = MapRun(state, processor, execution, _new(definition, execution))
            execution["_mapRuns"][name] = made.record["mapRunArn"]
            result = made.start()
        return state_output(state, result), reach(STEP_FUNCTIONS, "_next_or_end")(definition)

    return run


def _new(definition: Mapping[str, Any], execution: Mapping[str, Any]) -> Record:
    parent = execution["stateMachineArn"].split(":")
    label = definition.get("Label") or str(uuid4())
    identifier = str(uuid4())
    counts = dict.fromkeys(_COUNTS, 0)
    arn = ":".join([*parent[:5], "mapRun", f"{parent[6]}/{label}", identifier])
    return {
        "mapRunArn": arn,
        "executionArn": execution["executionArn"],
        "status": "RUNNING",
        "startDate": now(),
        "itemCounts": dict(counts),
        "executionCounts": dict(counts),
        "redriveCount": 0,
        "_id": identifier,
        "_stateMachineArn": ":".join([*parent[:5], "stateMachine", f"{parent[6]}/{label}"]),
        "_children": [],
        "_waiting": [],
        "_read": 0,
        "_succeeded": [],
    }


class MapRun:
    """One Map Run: children for the batches of a Map state; ``record`` is what DescribeMapRun tells, and ours."""

    def __init__(self, state: MapState, processor: Mapping[str, Any], execution: Record, record: Record) -> None:
        self.state, self.processor, self.execution, self.record = state, processor, execution, record
        self._changed, self._running = Condition(), 0
        record["maxConcurrency"] = int(state.number(state.state, "MaxConcurrency") or 0)
        limits = {name: state.number(state.state, f"{name[0].upper()}{name[1:]}") for name in (_COUNT, _PERCENTAGE)}
        record |= {_COUNT: int(limits[_COUNT] or 0), _PERCENTAGE: limits[_PERCENTAGE] or 0.0}
        self._given = {name for name, value in limits.items() if value is not None}

    def start(self) -> Any:
        """Run a child for each batch, and return the result of the state."""
        require(_DENIED, "states:StartExecution", self.execution["stateMachineArn"])
        # What fails before, such as a limit that is not a number, leaves no Map Run that would never end.
        reach(STEP_FUNCTIONS, "_map_runs")[self.record["mapRunArn"]] = self.record
        self._event("MapRunStarted")
        return self._finish(self._unread())

    def _unread(self) -> Iterator[tuple[None, Batch]]:
        """Yield the batches that were not read yet: all, those after the one where reading failed, or none."""
        if self.record["_read"] is None:
            return
        for batch in islice(batches(self.state, items(self.state)), self.record["_read"], None):
            self.record["_read"] += 1
            yield None, batch
        self.record["_read"] = None

    def redrive(self) -> Any:
        """Run the children again that did not succeed, and those that had not started."""
        again = [child for child in self._children() if child["status"] in _UNSUCCESSFUL]
        for child in again[:1]:
            require(_DENIED, "states:RedriveExecution", child["executionArn"])
        waiting, self.record["_waiting"] = self.record["_waiting"], []
        self.record |= {"status": "RUNNING", "redriveCount": self.record["redriveCount"] + 1, "redriveDate": now()}
        self.record.pop("stopDate", None)
        for child in again:
            self._count_child(child["status"], child["_items"], -1)
            self._count_child(_LEFT, child["_items"], 1)
        self._count_child("pending", sum(number for _input, number in waiting), -1, children=len(waiting))
        self._event("MapRunRedriven")
        first = ((child, (json.loads(child["input"]), child["_items"])) for child in again)
        return self._finish(chain(first, ((None, (given, number)) for given, number in waiting), self._unread()))

    def _finish(self, work: Iterator[tuple[Record | None, Batch]]) -> Any:
        try:
            self._run_all(work)
            exceeded = self._exceeded(at_the_end=True)
            exported = "Resource" in (self.state.state.get("ResultWriter") or {})
            written = write(self.state, self.record, self._children()) if exported else None
            aborted = self.execution["status"] != "RUNNING"
        except Exception as error:
            self._end("FAILED", error)
            raise
        if exceeded and not aborted:
            too_many = failed(EXCEEDED, "The specified tolerated failure threshold was exceeded")
            self._end("FAILED", too_many)
            raise too_many
        self._end("ABORTED" if aborted else "SUCCEEDED")
        if written:
            return {"MapRunArn": self.record["mapRunArn"], "ResultWriterDetails": written}
        return gathered(self.state, self._children())

    def _run_all(self, work: Iterator[tuple[Record | None, Batch]]) -> None:
        try:
            with ThreadPoolExecutor(WORKERS) as pool:
                for known, (given, number) in work:
                    if not self._begin():
                        self._leave(chain([(known, (given, number))], work))
                        break
                    if known:
                        self._count_child(_LEFT, number, -1)
                        known["redriveCount"] += 1
                    child = known or self._child(given, number)
                    child |= {"status": "RUNNING", "stopDate": None}
                    self._count_child("running", number, 1)
                    pool.submit(contextvars.copy_context().run, self._run_child, child, given)
        finally:
            waiting = self.record["_waiting"]
            self._count_child("pending", sum(number for _input, number in waiting), 1, children=len(waiting))

    def _begin(self) -> bool:
        """Wait until another child may run; return False if none may, as the execution or the Map Run is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < min(self.record["maxConcurrency"] or WORKERS, WORKERS))
            begins = self.execution["status"] == "RUNNING" and not self._exceeded()
            self._running += begins
        return begins

    def _leave(self, work: Iterator[tuple[Record | None, Batch]]) -> None:
        """Leave to the next redrive what was not started: a child as it ended before, and the input of any other."""
        for child, (given, number) in work:
            if child:
                self._count_child(_LEFT, number, -1)
                self._count_child(child["status"], number, 1)
            else:
                self.record["_waiting"].append([given, number])

    def _child(self, given: Any, number: int) -> Record:
        name = str(uuid4())
        machine = self.record["_stateMachineArn"]
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        child: Record = {
            "executionArn": arn,
            "stateMachineArn": machine,
            "name": name,
            "startDate": now(),
            "input": json.dumps(given),
            "output": None,
            "mapRunArn": self.record["mapRunArn"],
            "events": [],
            **{name: self.execution.get(name) for name in ("testCase", "encryptionConfiguration")},
            "redriveCount": 0,
            "_items": number,
        }
        reach(STEP_FUNCTIONS, "_executions")[arn] = child
        self.record["_children"].append(arn)
        return child

    def _run_child(self, child: Record, given: Any) -> None:
        own = {"Id": child["executionArn"], "Input": given, "Name": child["name"], "StartTime": child["startDate"]}
        context = {**self.state.context, "Execution": own, "State": {}, "variables": {}}
        for stale in ("error", "cause"):
            child.pop(stale, None)
        try:
            check_length("input", child["input"])
            standard = self.processor["ProcessorConfig"].get("ExecutionType") == "STANDARD"
            name, start = self.processor["StartAt"], given
            if child["events"] and standard:
                (name, start), context["variables"] = last_state(child), deepcopy(child.get("_variables", {}))
            output = json.dumps(walk(self.processor["States"], name, start, child, context))
            check_length("output", output)
            outcome: Record = {"status": "SUCCEEDED", "output": output}
        except Exception as error:  # noqa: BLE001 - whatever ends a child ends only that child
            known = {"error": getattr(error, "error", "States.Runtime"), "cause": getattr(error, "cause", str(error))}
            outcome = {"status": "FAILED", **known}
        with self._changed:
            child |= outcome | {"stopDate": now()}
            self._running -= 1
            self._count_child("running", child["_items"], -1)
            self._count_child(child["status"], child["_items"], 1)
            self._changed.notify()

    def _count_child(self, status: str, number: int, sign: int, *, children: int = 1) -> None:
        name = {"TIMED_OUT": "timedOut", _LEFT: _LEFT}.get(status, status.lower())
        for counts, many in ((self.record["itemCounts"], number), (self.record["executionCounts"], children)):
            counts[name] += sign * many
            counts["total"] += sign * many

    def _exceeded(self, *, at_the_end: bool = False) -> bool:
        counts = self.record["itemCounts"]
        bad = int(counts["failed"] + counts["timedOut"])
        # UpdateMapRun changes the record meanwhile, also from a limit that the definition does not have.
        limits = {name for name in (_COUNT, _PERCENTAGE) if name in self._given or self.record[name]} or {_COUNT}
        if _COUNT in limits and bad > self.record[_COUNT]:
            return True
        # The share is that of all items, which are known once the last is read.
        return at_the_end and _PERCENTAGE in limits and bad * 100 > self.record[_PERCENTAGE] * int(counts["total"])

    def _children(self) -> list[Record]:
        executions = reach(STEP_FUNCTIONS, "_executions")
        return [executions[arn] for arn in self.record["_children"]]

    def _end(self, status: str, error: Exception | None = None) -> None:
        self.record |= {"status": status, "stopDate": now()}
        named = {"error": getattr(error, "error", ""), "cause": getattr(error, "cause", "")} if error else {}
        self._event(f"MapRun{status.capitalize()}", **named)

    def _event(self, kind: str, **details: str) -> None:
        name = f"{kind[0].lower()}{kind[1:]}EventDetails"
        with_arn = {"mapRunArn": self.record["mapRunArn"]} if kind in {"MapRunStarted", "MapRunRedriven"} else {}
        told = {**with_arn, **details}
        reach(STEP_FUNCTIONS, "_add_event")(self.execution, kind, {name: told} if told else None)
