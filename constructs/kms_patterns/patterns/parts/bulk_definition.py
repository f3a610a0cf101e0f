"""The Amazon States Language definition of a bulk run, and how many functions may work at a time.

See https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OBJECTS, LISTED, INVENTORIED = "Objects", "Listed", "Inventoried"
"""The Map states, by where the names of the objects come from; also their labels."""
MOST_CHILDREN: Final = 10_000
"""Child executions at a time: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
MOST_INPUT: Final = 262_144
"""Bytes of input of an execution."""
CALLS_A_SECOND: Final = 30
"""Objects a second of one function with objects of up to about 1 MiB: 3 at a time, 5 requests of 20 ms each."""
_SHARE: Final = 2


def concurrency_within(kms_requests_per_second: int, function_concurrency: int, calls: int) -> int:
    """Return how many functions stay within half of the account's quotas, so that others keep the other half.

    Args:
        kms_requests_per_second: Quota of the Region for cryptographic operations with symmetric keys.
        function_concurrency: Quota of the account for functions that run at a time.
        calls: Calls of KMS for one object.
    """
    by_kms = kms_requests_per_second // _SHARE // (CALLS_A_SECOND * calls)
    return max(1, min(by_kms, function_concurrency // _SHARE, MOST_CHILDREN))


@dataclass(frozen=True, kw_only=True)
class BulkDefinition:
    """What the definition is made of.

    Attributes:
        partition: Partition of the ARNs.
        batch_function, report_function: ARNs.
        source_bucket, reports_bucket, inventory_bucket: Names.
        prefix: What the keys of the objects start with.
        reports_prefix: Below which results, lists and reports are.
        objects_per_batch, concurrency, tolerated_failure_percentage: Of each Map state.

    Raises:
        ValueError: A number is out of range.
    """

    partition: str
    batch_function: str
    report_function: str
    source_bucket: str
    reports_bucket: str
    inventory_bucket: str | None
    prefix: str
    reports_prefix: str
    objects_per_batch: int
    concurrency: int
    tolerated_failure_percentage: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, least, most in (
            ("objects_per_batch", 1, 1_000),
            ("concurrency", 1, MOST_CHILDREN),
            ("tolerated_failure_percentage", 0, 100),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}: give {least} to {most}")

    def render(self) -> dict[str, Any]:
        """Return the definition, in JSONPath."""
        maps = {OBJECTS: self._map(OBJECTS, self._listing()), LISTED: self._map(LISTED, self._file("CSV", "$.list"))}
        sources = [_source("$.list", LISTED)]
        if self.inventory_bucket:
            maps[INVENTORIED] = self._map(INVENTORIED, self._file("MANIFEST", "$.manifest"))
            sources.append(_source("$.manifest", INVENTORIED))
        return {
            "Comment": "Objects in batches through a function of the data plane, then a report",
            "StartAt": "Source",
            "States": {
                "Source": {"Type": "Choice", "Choices": sources, "Default": OBJECTS},
                **maps,
                "Report": self._report(),
                "Outcome": {
                    "Type": "Choice",
                    "Choices": [
                        {"Variable": "$.complete", "BooleanEquals": False, "Next": "Report"},
                        {"Variable": "$.failures", "NumericEquals": 0, "Next": "Done"},
                    ],
                    "Default": "SomeFailed",
                },
                "Done": {"Type": "Succeed"},
                "SomeFailed": {
                    "Type": "Fail",
                    "Error": "ObjectsFailed",
                    "Cause": "The report has each failed object; start an execution with one of its lists.",
                },
            },
        }

    def _map(self, label: str, reader: Mapping[str, Any]) -> dict[str, Any]:
        batcher: dict[str, Any] = {
            "MaxItemsPerBatch": self.objects_per_batch,
            "MaxInputBytesPerBatch": MOST_INPUT,
        }
        if label == INVENTORIED:
            batcher["BatchInput"] = {"encoded": True}
        return {
            "Type": "Map",
            "Label": label,
            "ItemReader": dict(reader),
            "ItemSelector": {"key.$": "$$.Map.Item.Value.Key"},
            "ItemBatcher": batcher,
            "MaxConcurrency": self.concurrency,
            "ToleratedFailurePercentage": self.tolerated_failure_percentage,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": f"{label}Batch",
                "States": {f"{label}Batch": self._invoke(self.batch_function, {"Payload.$": "$"}, End=True)},
            },
            "ResultWriter": {
                "Resource": self._integration("s3:putObject"),
                "Parameters": {"Bucket": self.reports_bucket, "Prefix": f"{self.reports_prefix}results"},
                "WriterConfig": {"OutputType": "JSONL", "Transformation": "NONE"},
            },
            "Next": "Report",
        }

    def _listing(self) -> dict[str, Any]:
        parameters = {"Bucket": self.source_bucket, **({"Prefix": self.prefix} if self.prefix else {})}
        return {"Resource": self._integration("s3:listObjectsV2"), "Parameters": parameters}

    def _file(self, kind: str, path: str) -> dict[str, Any]:
        config = {"InputType": kind, **({"CSVHeaderLocation": "FIRST_ROW"} if kind == "CSV" else {})}
        bucket = self.reports_bucket if kind == "CSV" else self.inventory_bucket
        return {
            "Resource": self._integration("s3:getObject"),
            "ReaderConfig": config,
            "Parameters": {"Bucket": bucket, "Key.$": path},
        }

    def _report(self) -> dict[str, Any]:
        payload = {"input.$": "$", "execution.$": "$$.Execution.Name", "startedAt.$": "$$.Execution.StartTime"}
        return self._invoke(self.report_function, {"Payload": payload}, Next="Outcome")

    def _invoke(self, function: str, payload: Mapping[str, Any], **after: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": self._integration("lambda:invoke"),
            "Parameters": {"FunctionName": function, **payload},
            "OutputPath": "$.Payload",
            # Whatever failed, what was done is found done: killed, throttled, refused or out of time alike.
            "Retry": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "IntervalSeconds": 2,
                    "MaxAttempts": 4,
                    "BackoffRate": 2,
                    "MaxDelaySeconds": 60,
                    "JitterStrategy": "FULL",
                }
            ],
            **after,
        }

    def _integration(self, name: str) -> str:
        return f"arn:{self.partition}:states:::{name}"


def _source(path: str, state: str) -> dict[str, Any]:
    return {"Variable": path, "IsPresent": True, "Next": state}
