"""The Amazon States Language definition of a bulk run, and how many functions may work at a time.

See https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OBJECTS, LISTED, INVENTORIED, ENCODED = "Objects", "Listed", "Inventoried", "Encoded"
"""The Map states, by where the names of the objects come from; also their labels. The last takes what failed of one."""
MOST_CHILDREN: Final = 10_000
"""Child executions at a time: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
MOST_INPUT: Final = 262_144
"""Bytes of input of an execution."""
CALLS_A_SECOND: Final = 30
"""Objects a second of one function with objects of up to about 1 MiB: 3 at a time, 5 requests of 20 ms each."""
_SHARE: Final = 2
# Whatever failed, what was done is found done: killed, throttled, refused or out of time alike.
_RETRIER: Final[Mapping[str, Any]] = {
    "ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 4, "BackoffRate": 2, "MaxDelaySeconds": 60,
    "JitterStrategy": "FULL",
}  # fmt: skip


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
    """What the definition is made of: ARNs of the functions, names of the buckets, arguments of ``BulkEnvelope``.

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
        inputs = {LISTED: ("CSV", "list")}
        if self.inventory_bucket:
            inputs |= {INVENTORIED: ("MANIFEST", "manifest"), ENCODED: ("CSV", "encodedList")}
        # Not of the state's own input: after a redrive it is the report's output.
        paths = {label: (kind, f"$$.Execution.Input.{name}") for label, (kind, name) in inputs.items()}
        maps = {label: self._map(label, self._file(*of)) for label, of in paths.items()}
        sources = [{"Variable": path, "IsPresent": True, "Next": label} for label, (_kind, path) in paths.items()]
        if not self.inventory_bucket:
            # Not taken for a listing.
            unread = (f"$$.Execution.Input.{name}" for name in ("manifest", "encodedList"))
            sources += [{"Variable": path, "IsPresent": True, "Next": "NoInventory"} for path in unread]
            maps["NoInventory"] = {"Type": "Fail", "Error": "NoInventory", "Cause": "BulkEnvelope was given none."}
        listed = {"Bucket": self.source_bucket, **({"Prefix": self.prefix} if self.prefix else {})}
        listing = {"Resource": self._integration("s3:listObjectsV2"), "Parameters": listed}
        return {
            "Comment": "Objects in batches through a function of the data plane, then a report",
            "StartAt": "Source",
            "States": {
                "Source": {"Type": "Choice", "Choices": sources, "Default": OBJECTS},
                OBJECTS: self._map(OBJECTS, listing),
                **maps,
                "Stopped": {
                    "Type": "Task",
                    "Resource": self._integration("aws-sdk:sfn:listMapRuns"),
                    "Parameters": {"ExecutionArn.$": "$$.Execution.Id", "MaxResults": 1_000},
                    "Retry": [_RETRIER],
                    "Next": "Report",
                },
                "Report": self._report("Outcome", _RETRIER),
                "Outcome": {
                    "Type": "Choice",
                    "Choices": [
                        {"Variable": "$.complete", "BooleanEquals": False, "Next": "Report"},
                        {"Variable": "$.succeeded", "BooleanEquals": True, "Next": "Done"},
                    ],
                    "Default": "SomeFailed",
                },
                "Done": {"Type": "Succeed"},
                # A redrive enters the state that failed: a Fail state would fail again, and a caught Map Run is over.
                "SomeFailed": self._report("Source", {"ErrorEquals": ["ObjectsFailed"], "MaxAttempts": 0}, _RETRIER),
            },
        }

    def _map(self, label: str, reader: Mapping[str, Any]) -> dict[str, Any]:
        batcher: dict[str, Any] = {"MaxItemsPerBatch": self.objects_per_batch, "MaxInputBytesPerBatch": MOST_INPUT}
        if label in {INVENTORIED, ENCODED}:
            batcher["BatchInput"] = {"encoded": True}
        return {
            "Type": "Map",
            "Label": label,
            "ItemReader": dict(reader),
            # Another column, as a list of encoded keys must not be taken for one of keys.
            "ItemSelector": {"key.$": f"$$.Map.Item.Value.{'EncodedKey' if label == ENCODED else 'Key'}"},
            "ItemBatcher": batcher,
            "MaxConcurrency": self.concurrency,
            "ToleratedFailurePercentage": self.tolerated_failure_percentage,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": f"{label}Batch",
                "States": {
                    f"{label}Batch": self._invoke(self.batch_function, {"Payload.$": "$"}, _RETRIER, End=True),
                },
            },
            "ResultWriter": {
                "Resource": self._integration("s3:putObject"),
                "Parameters": {"Bucket": self.reports_bucket, "Prefix": f"{self.reports_prefix}results"},
                "WriterConfig": {"OutputType": "JSONL", "Transformation": "NONE"},
            },
            "Catch": [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "Stopped"}],
            "Next": "Report",
        }

    def _file(self, kind: str, path: str) -> dict[str, Any]:
        config = {"InputType": kind, **({"CSVHeaderLocation": "FIRST_ROW"} if kind == "CSV" else {})}
        bucket = self.reports_bucket if kind == "CSV" else self.inventory_bucket
        return {
            "Resource": self._integration("s3:getObject"),
            "ReaderConfig": config,
            "Parameters": {"Bucket": bucket, "Key.$": path},
        }

    def _report(self, then: str, *retriers: Mapping[str, Any]) -> dict[str, Any]:
        payload = {"input.$": "$", "execution.$": "$$.Execution"}
        return self._invoke(self.report_function, {"Payload": payload}, *retriers, Next=then)

    def _invoke(
        self, function: str, payload: Mapping[str, Any], *retriers: Mapping[str, Any], **after: Any
    ) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": self._integration("lambda:invoke"),
            "Parameters": {"FunctionName": function, **payload},
            "OutputPath": "$.Payload",
            "Retry": list(retriers),
            **after,
        }

    def _integration(self, name: str) -> str:
        return f"arn:{self.partition}:states:::{name}"


def for_machines(arns: list[str]) -> dict[str, Any]:
    """Return the condition that a key is used for these state machines alone."""
    return {"StringEquals": {"kms:EncryptionContext:aws:states:stateMachineArn": arns}}


def under_key(arn: str) -> dict[str, Any]:
    """Return the encryption configuration of a state machine under a customer key."""
    return {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": arn, "kmsDataKeyReusePeriodSeconds": 300}
