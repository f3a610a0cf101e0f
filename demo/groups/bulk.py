"""Whole prefixes: a state machine encrypts what is there, once; its functions reach one prefix and one key."""

import json
import time
from typing import Any

from demo.principals import client, function_client
from demo.scenario import Group, Stage

STACK = "Bulk"
CONTEXT = {"department": "archive"}
_LOOK = 0.1
_NAMES = ("a", "b c", "deep/ä")

bulk = Group("Bulk runs: every object below a prefix by a Distributed Map", order=45)


def _run(stage: Stage) -> dict[str, Any]:
    """Return the report of an execution that the operator starts and waits for."""
    states = client(stage, "stepfunctions", STACK, "OperatorRoleArn")
    machine = stage.output(STACK, "StateMachineArn")
    arn = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(_LOOK)
    s3, key = client(stage, "s3", STACK, "OperatorRoleArn"), f"bulk/reports/{found['name']}/report.json"
    report = json.loads(s3.get_object(Bucket=stage.output(STACK, "ReportsName"), Key=key)["Body"].read())
    return {"status": found["status"], **report}


def _shown(report: dict[str, Any]) -> str:
    counts = {"written": report["written"], "found written": report["foundWritten"], "failed": report["failed"]}
    said = ", ".join(f"{many} {what}" for what, many in counts.items())
    return f"{report['status']}: {said}, {report['kmsCalls']} KMS calls"


@bulk.scenario(
    who="operator",
    what="starts a run over the prefix of three objects",
    expected="SUCCEEDED: 3 written, 0 found written, 0 failed, 3 KMS calls",
)
def prefix_is_encrypted(stage: Stage) -> str:
    s3, inbox = stage.aws.session().client("s3"), stage.output(STACK, "InboxName")
    for name in _NAMES:
        s3.put_object(Bucket=inbox, Key=f"in/{name}", Body=name.encode())
    s3.put_object(Bucket=inbox, Key="elsewhere", Body=b"not in the prefix")
    return _shown(_run(stage))


@bulk.scenario(
    who="operator",
    what="starts it again after one of them was overwritten",
    expected="SUCCEEDED: 1 written, 2 found written, 0 failed, 1 KMS calls",
)
def only_what_is_missing_is_done(stage: Stage) -> str:
    s3 = stage.aws.session().client("s3")
    s3.put_object(Bucket=stage.output(STACK, "InboxName"), Key="in/a", Body=b"another content")
    return _shown(_run(stage))


@bulk.scenario(
    who="batch function's role",
    what="reads an object outside of the prefix",
    expected="refused: AccessDenied (s3:GetObject)",
)
def batch_role_reads_one_prefix(stage: Stage) -> str:
    s3 = function_client(stage, "s3", STACK, "BatchRoleArn")
    s3.get_object(Bucket=stage.output(STACK, "InboxName"), Key="elsewhere")
    return "read"


@bulk.scenario(
    who="batch function's role",
    what="generates a data key under another context",
    expected="refused: AccessDeniedException (kms:GenerateDataKey)",
)
def batch_role_is_bound_to_the_context(stage: Stage) -> str:
    kms, key = function_client(stage, "kms", STACK, "BatchRoleArn"), stage.output(STACK, "ContentKeyArn")
    kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext={"department": "sales"})
    return "got a data key"


@bulk.scenario(
    who="operator",
    what="invokes the batch function past the state machine",
    expected="refused: AccessDeniedException (lambda:InvokeFunction)",
)
def operator_may_not_invoke_the_function(stage: Stage) -> str:
    functions = client(stage, "lambda", STACK, "OperatorRoleArn")
    functions.invoke(FunctionName=stage.output(STACK, "BatchFunctionName"), Payload=b'{"Items": [{"key": "in/a"}]}')
    return "invoked"
