"""The Distributed Map: what it reads, its batches, results and failures, its role, redrive; and refused definitions."""

import gzip
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kms_patterns.local import LocalAws
from kms_patterns.local.server.services.distributed_map import MapRun
from kms_patterns.local.server.services.state_machine_fields import problems
from kms_patterns.local.server.stacks.stack_refusals import creation
from tests.local.test_acting import STATES_TRUST, deployed, finished, unique

ECHO = {"StartAt": "Same", "States": {"Same": {"Type": "Pass", "End": True}}}
LIST, GET, PUT = (f"arn:aws:states:::s3:{name}" for name in ("listObjectsV2", "getObject", "putObject"))
Run = Callable[..., dict[str, Any]]


def distributed(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return {"Type": "Map", "Label": "Work", "ItemProcessor": {**mode, **processor}, "End": True, **fields}


@pytest.fixture
def run(aws: LocalAws, make_role: Any, allow: Any) -> Run:
    """Run a machine, or one of one state, as a role that may read, write and start children, or has others."""

    def once(state: dict[str, Any], given: Any = None, statements: list[Any] | None = None) -> dict[str, Any]:
        role = make_role(*([allow("*", "*")] if statements is None else statements), trust=STATES_TRUST)
        states = aws.client("stepfunctions")
        definition = json.dumps(state if "States" in state else {"StartAt": "Map", "States": {"Map": state}})
        machine = states.create_state_machine(name=unique(), roleArn=role, definition=definition)["stateMachineArn"]
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(given or {}))
        return finished(aws, started["executionArn"])

    return once


@pytest.fixture
def bucket(aws: LocalAws) -> str:
    name = f"map-{uuid.uuid4().hex[:10]}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def put(aws: LocalAws, bucket: str) -> Callable[[str, bytes], object]:
    return lambda key, body: aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def reader(resource: str, bucket: str, config: dict[str, Any] | None = None, **parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = {"Resource": resource, "Parameters": {"Bucket": bucket, **parameters}}
    return found | ({"ReaderConfig": config} if config else {})


def test_items_of_every_source_are_the_items(run: Run, bucket: str, put: Callable[[str, bytes], object]) -> None:
    rows = [{"Key": "a,b", "n": "1"}, {"Key": "c", "n": ""}]
    put("in/1", b"x")
    put("in/2 +%2F&\x01", b"yy")
    put("rows.csv", b'Key,n\r\n"a,b",1\r\nc\r\n')
    put("escaped.csv", rb"Key,n" + b"\n" + rb'"a\\b""\\",\x' + b"\n")
    put("rows.jsonl", b"\n".join(json.dumps(row).encode() for row in rows) + b"\n\n")
    put("rows.json", json.dumps({"deep": [rows]}).encode())
    put("inventory/data.csv.gz", gzip.compress(b'"b","in/a%20b","3"\n'))
    files = [{"key": "inventory/data.csv.gz", "size": 1, "MD5checksum": ""}]
    manifest = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, Size", "files": files}
    put("manifest.json", json.dumps({**manifest, "destinationBucket": f"arn:aws:s3:::{bucket}"}).encode())
    listed = run(distributed(ECHO, ItemReader=reader(LIST, bucket, Prefix="in/")))
    assert [(it["Key"], it["Size"]) for it in json.loads(listed["output"])] == [("in/1", 1), ("in/2 +%2F&\x01", 2)]
    for key, config, expected in (
        ("rows.csv", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, rows),
        ("escaped.csv", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, [{"Key": 'a\\b"\\', "n": "x"}]),
        ("rows.jsonl", {"InputType": "JSONL", "MaxItems": 1}, rows[:1]),
        ("rows.json", {"InputType": "JSON", "ItemsPointer": "/deep/0"}, rows),
        ("manifest.json", {"InputType": "MANIFEST"}, [{"Bucket": "b", "Key": "in/a%20b", "Size": "3"}]),
        ("manifest.json", {"ManifestType": "S3_INVENTORY"}, [{"Bucket": "b", "Key": "in/a%20b", "Size": "3"}]),
    ):
        found = run(distributed(ECHO, ItemReader=reader(GET, bucket, config, Key=key)))
        assert json.loads(found["output"]) == expected, found
    for config, more in (
        ({"ManifestType": "ATHENA_DATA", "InputType": "CSV"}, {}),
        ({"InputType": "PARQUET"}, {}),
        ({"InputType": "JSONL"}, {}),
        ({"InputType": "CSV"}, {"VersionId": "none-such"}),
        ({"InputType": "CSV"}, {"ExpectedBucketOwner": "111111111111"}),
    ):
        found = run(distributed(ECHO, ItemReader=reader(GET, bucket, config, Key="rows.csv", **more)))
        assert found.get("error") == "States.ItemReaderFailed", (config, more, found)
    assert json.loads(run(distributed(ECHO, ItemsPath="$.n"), {"n": [1, 2]})["output"]) == [1, 2]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"ItemSelector": {"key.$": "$$.Map.Item.Value.Key"}}, "States.ParameterPathFailure"),
        ({"ItemSelector": {"a": [{"b": {"key.$": "$$.Map.Item.Value.Name.No"}}]}}, "States.ParameterPathFailure"),
        ({"ItemSelector": {"key.$": "$$.Map.Item.Value.No[0]"}}, "States.ParameterPathFailure"),
        ({"MaxConcurrencyPath": "$.less"}, "States.Runtime"),
        ({"ToleratedFailureCountPath": "$.text"}, "States.Runtime"),
    ],
)
def test_map_without_what_it_names_fails_and_runs_no_item(
    aws: LocalAws, run: Run, fields: dict[str, Any], error: str
) -> None:
    found = run(distributed(ECHO, ItemsPath="$.n", **fields), {"n": [{"Name": "a"}], "less": -1, "text": "5"})
    assert (found["status"], found.get("error")) == ("FAILED", error)
    runs = aws.client("stepfunctions").list_map_runs(executionArn=found["executionArn"])["mapRuns"]
    assert len(runs) == (error == "States.ParameterPathFailure")
    assert all("stopDate" in it for it in runs), runs


def test_selector_takes_all_members_and_what_looks_like_a_path(run: Run) -> None:
    selector = {
        "all.$": "$$.Map.Item.Value.*",
        "text": "$$.Map.Item.Value.No",
        "in": [{"name.$": "$$.Map.Item.Value.n"}],
    }
    found = run(distributed(ECHO, ItemsPath="$.n", ItemSelector=selector), {"n": [{"n": "a"}]})
    assert found["status"] == "SUCCEEDED", found
    (output,) = json.loads(found["output"])
    assert output == {"all": ["a"], "text": selector["text"], "in": [{"name": "a"}]}


def test_batches_have_as_many_items_and_bytes_as_they_may(run: Run) -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"shared.$": "$.name"}}
    selector = {"v.$": "$$.Map.Item.Value", "at.$": "$$.Map.Item.Index"}
    state = distributed(ECHO, ItemsPath="$.n", ItemBatcher=batcher, ItemSelector=selector)
    found = json.loads(run(state, {"n": [5, 6, 7], "name": "x"})["output"])
    assert found == [
        {"BatchInput": {"shared": "x"}, "Items": [{"v": 5, "at": 0}, {"v": 6, "at": 1}]},
        {"BatchInput": {"shared": "x"}, "Items": [{"v": 7, "at": 2}]},
    ]
    texts = ["a" * 40] * 5
    state = distributed(ECHO, ItemsPath="$.n", ItemBatcher={"MaxInputBytesPerBatch": 120})
    sizes = [len(it["Items"]) for it in json.loads(run(state, {"n": texts})["output"])]
    assert sizes == [2, 2, 1]


ODD_FAILS = {
    "StartAt": "Odd",
    "States": {
        "Odd": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.bad", "BooleanEquals": True, "Next": "No"}],
            "Default": "Yes",
        },
        "Yes": {"Type": "Pass", "End": True},
        "No": {"Type": "Fail", "Error": "Odd", "Cause": "it is"},
    },
}
NUMBERS = {"n": [{"bad": number % 4 == 3} for number in range(8)]}


@pytest.mark.parametrize(
    ("tolerated", "status"),
    [
        ({}, "FAILED"),
        ({"ToleratedFailureCount": 1}, "FAILED"),
        ({"ToleratedFailureCount": 2}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 24}, "FAILED"),
        ({"ToleratedFailurePercentagePath": "$.most"}, "SUCCEEDED"),
        ({"ToleratedFailureCount": 8, "ToleratedFailurePercentage": 24}, "FAILED"),
    ],
)
def test_failures_beyond_the_tolerated_ones_fail_the_map(run: Run, tolerated: dict[str, Any], status: str) -> None:
    found = run(distributed(ODD_FAILS, ItemsPath="$.n", MaxConcurrency=1, **tolerated), {**NUMBERS, "most": 25})
    assert (found["status"], found.get("error")) == (
        status,
        None if status == "SUCCEEDED" else "States.ExceedToleratedFailureThreshold",
    )


def test_tolerated_failures_can_be_changed_while_a_map_runs() -> None:
    run = object.__new__(MapRun)
    counts = {"failed": 2, "timedOut": 0, "total": 4}
    run.record = {"itemCounts": counts, "toleratedFailureCount": 0, "toleratedFailurePercentage": 0}
    run._given = set()
    assert run._exceeded()
    run.record["toleratedFailureCount"] = 2
    assert not run._exceeded(at_the_end=True)
    run.record |= {"toleratedFailurePercentage": 40}
    assert (run._exceeded(), run._exceeded(at_the_end=True)) == (False, True)


def test_results_that_are_not_exported_are_outputs_and_what_became_of_failed_children(run: Run) -> None:
    state = distributed(ODD_FAILS, ItemsPath="$.n", MaxConcurrency=1, ToleratedFailureCount=1)
    given = {"n": [[{"a": 1}], {"bad": True}]}
    child = ODD_FAILS["States"] | {"Odd": {**ODD_FAILS["States"]["Odd"], "Default": "Yes"}}  # type: ignore[operator]
    shapes = {
        "COMPACT": lambda it: it == [{"a": 1}],
        "FLATTEN": lambda it: it == {"a": 1},
        "NONE": lambda it: (it["Status"], it["Output"]) == ("SUCCEEDED", '[{"a": 1}]'),
    }
    child["Odd"]["Choices"] = [{"Variable": "$.bad", "IsPresent": True, "Next": "No"}]  # type: ignore[index]
    state["ItemProcessor"]["States"] = child
    for transformation, holds in shapes.items():
        config = {"Transformation": transformation, "OutputType": "JSON"}
        good, bad = json.loads(run({**state, "ResultWriter": {"WriterConfig": config}}, given)["output"])
        assert holds(good), good
        assert (bad["Status"], bad["Error"], bad["Input"]) == ("FAILED", "Odd", '{"bad": true}')


@pytest.mark.parametrize(("kind", "times"), [("STANDARD", 1), ("EXPRESS", 2)])
def test_redriven_child_goes_on_where_it_failed_if_it_is_standard(
    aws: LocalAws, run: Run, bucket: str, put: Callable[[str, bytes], object], kind: str, times: int
) -> None:
    s3, states = aws.client("s3"), aws.client("stepfunctions")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    task = {"Type": "Task", "ResultPath": None, "Parameters": {"Bucket": bucket, "Key": "gate"}}
    note = {**task, "Resource": "arn:aws:states:::aws-sdk:s3:deleteObject", "Next": "Gate"}
    note["Parameters"] = {"Bucket": bucket, "Key": "noted"}
    gate = {**task, "Resource": "arn:aws:states:::aws-sdk:s3:headObject", "End": True}
    state = distributed({"StartAt": "Note", "States": {"Note": note, "Gate": gate}}, ItemsPath="$.n")
    state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = kind
    arn = run(state, {"n": [1]})["executionArn"]
    put("gate", b"")
    states.redrive_execution(executionArn=arn)
    assert finished(aws, arn)["status"] == "SUCCEEDED"
    assert len(s3.list_object_versions(Bucket=bucket, Prefix="noted")["DeleteMarkers"]) == times
    (named,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    (child,) = states.list_executions(mapRunArn=named["mapRunArn"])["executions"]
    told = states.get_execution_history(executionArn=child["executionArn"])["events"]
    assert [it["type"] for it in told].count("TaskStateEntered") == 2 + times


@pytest.mark.parametrize("distributes", [False, True])
def test_redrive_goes_on_with_the_variables_that_were_assigned(
    aws: LocalAws, bucket: str, put: Callable[[str, bytes], object], make_role: Any, allow: Any, *, distributes: bool
) -> None:  # fmt: skip
    gate = {"Bucket": bucket, "Key": "gate"}
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 5}, "Next": "B"},
        "B": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:headObject", "Arguments": gate, "Next": "C"},
        "C": {"Type": "Pass", "Output": "{% $x %}", "End": True},
    }
    machine = {"QueryLanguage": "JSONata", "StartAt": "A", "States": states}
    if distributes:
        state = distributed({"StartAt": "A", "States": states}, Items=[1])
        machine = {"QueryLanguage": "JSONata", "StartAt": "Map", "States": {"Map": state}}
    client, role = aws.client("stepfunctions"), make_role(allow("*", "*"), trust=STATES_TRUST)
    made = client.create_state_machine(name=unique(), roleArn=role, definition=json.dumps(machine))
    arn = client.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"]
    assert finished(aws, arn)["status"] == "FAILED"
    put("gate", b"")
    client.redrive_execution(executionArn=arn)
    found = finished(aws, arn)
    assert (found["status"], json.loads(found.get("output", "0"))) == ("SUCCEEDED", [5] if distributes else 5), found


def test_results_are_written_by_status_and_a_redrive_does_the_rest(
    aws: LocalAws, run: Run, bucket: str, put: Callable[[str, bytes], object]
) -> None:
    states, s3 = aws.client("stepfunctions"), aws.client("s3")
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:headObject",
        "Parameters": {"Bucket": bucket, "Key.$": "$.key"},
        "ResultPath": None,
        "End": True,
    }
    writer = {"Resource": PUT, "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    writer["WriterConfig"] = {"OutputType": "JSONL", "Transformation": "NONE"}
    put("0", b"")
    put("3", b"")
    state = distributed(
        {"StartAt": "Head", "States": {"Head": task}}, ItemsPath="$.n", MaxConcurrency=1, ResultWriter=writer
    )
    first = run(state, {"n": [{"key": str(number)} for number in range(4)]})
    assert (first["status"], first["redriveStatus"]) == ("FAILED", "REDRIVABLE")

    def results() -> dict[str, list[dict[str, Any]]]:
        listed = [it["Key"] for it in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        manifest = next(key for key in listed if key.endswith("manifest.json"))
        read = lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()  # noqa: E731
        files = json.loads(read(manifest))["ResultFiles"]
        return {
            status: [json.loads(line) for file in found for line in read(file["Key"]).splitlines()]
            for status, found in files.items()
        }

    found = results()
    assert {status: len(told) for status, told in found.items()} == {"SUCCEEDED": 1, "FAILED": 1, "PENDING": 2}
    assert (json.loads(found["FAILED"][0]["Input"]), found["SUCCEEDED"][0]["Status"]) == ({"key": "1"}, "SUCCEEDED")
    (map_run,) = states.list_map_runs(executionArn=first["executionArn"])["mapRuns"]
    counts = states.describe_map_run(mapRunArn=map_run["mapRunArn"])["itemCounts"]
    assert (counts["total"], counts["pending"], counts["failed"], counts["succeeded"]) == (4, 2, 1, 1)

    put("1", b"")
    put("2", b"")
    states.redrive_execution(executionArn=first["executionArn"])
    second = finished(aws, first["executionArn"])
    assert (second["status"], second["redriveCount"], second["redriveStatus"]) == ("SUCCEEDED", 1, "NOT_REDRIVABLE")
    details = json.loads(second["output"])["ResultWriterDetails"]
    folder = f"results/{map_run['mapRunArn'].rpartition(':')[2]}"
    assert details == {"Bucket": bucket, "Key": f"{folder}/Redrive-1/manifest.json"}
    before = found
    found = results()
    assert found["SUCCEEDED"][0] == before["SUCCEEDED"][0]
    assert {
        it["Key"].rpartition("/")[2] for it in s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/F")["Contents"]
    } == {"FAILED_0.jsonl"}
    assert {status: len(told) for status, told in found.items()} == {"SUCCEEDED": 4, "FAILED": 0, "PENDING": 0}
    assert sorted(it["RedriveCount"] for it in found["SUCCEEDED"]) == [0, 0, 0, 1]
    assert len(states.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]) == 4
    with pytest.raises(states.exceptions.ClientError, match="cannot be redriven"):
        states.redrive_execution(executionArn=first["executionArn"])


def test_redrive_that_is_stopped_leaves_the_rest_to_the_next_one_and_runs_no_item_twice(
    aws: LocalAws, run: Run, bucket: str, put: Callable[[str, bytes], object]
) -> None:
    states, names = aws.client("stepfunctions"), ("gated", "1", "2", "3")
    head = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:headObject", "ResultPath": None}
    at_the_gate = [{"Variable": "$.key", "StringEquals": "gated", "Next": "Gate"}]
    again = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 99}]
    child = {
        "Which": {"Type": "Choice", "Choices": at_the_gate, "Default": "Head"},
        "Gate": {**head, "Parameters": {"Bucket": bucket, "Key": "gate"}, "Retry": again, "Next": "Head"},
        "Head": {**head, "Parameters": {"Bucket": bucket, "Key.$": "$.key"}, "End": True},
    }
    one_by_one = {"MaxConcurrency": 1, "ToleratedFailurePercentage": 0, "ItemsPath": "$.n"}
    state = distributed({"StartAt": "Which", "States": child}, **one_by_one)
    # Redriven from its first state, and so through the gate.
    state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "EXPRESS"
    put("gate", b"")
    arn = run(state, {"n": [{"key": name} for name in names]})["executionArn"]
    (named,) = states.list_map_runs(executionArn=arn)["mapRuns"]

    def counts(until: Callable[[dict[str, Any]], bool]) -> dict[str, int]:
        while not until(found := states.describe_map_run(mapRunArn=named["mapRunArn"])):
            time.sleep(0.05)
        assert found["itemCounts"] == found["executionCounts"]
        return {name: many for name, many in found["itemCounts"].items() if many and name != "resultsWritten"}

    assert counts(lambda it: it["status"] == "FAILED") == {"failed": 4, "total": 4}
    aws.client("s3").delete_object(Bucket=bucket, Key="gate")
    for name in names:
        put(name, b"")
    states.redrive_execution(executionArn=arn)
    assert counts(lambda it: it["itemCounts"]["running"]) == {"running": 1, "pendingRedrive": 3, "total": 4}
    states.stop_execution(executionArn=arn)
    put("gate", b"")
    assert counts(lambda it: it["status"] == "ABORTED") == {"succeeded": 1, "failed": 3, "total": 4}
    states.redrive_execution(executionArn=arn)
    assert counts(lambda it: it["status"] == "SUCCEEDED") == {"succeeded": 4, "total": 4}
    assert len(states.list_executions(mapRunArn=named["mapRunArn"])["executions"]) == 4


def test_results_whose_bucket_is_missing_are_written_by_a_redrive(aws: LocalAws, run: Run) -> None:
    states, s3, name = aws.client("stepfunctions"), aws.client("s3"), unique()
    writer = {"Resource": PUT, "Parameters": {"Bucket": name}}
    first = run(distributed(ECHO, ItemsPath="$.n", ResultWriter=writer), {"n": [1]})
    assert (first["status"], first["error"]) == ("FAILED", "States.ResultWriterFailed")
    s3.create_bucket(Bucket=name)
    states.redrive_execution(executionArn=first["executionArn"])
    details = json.loads(finished(aws, first["executionArn"])["output"])["ResultWriterDetails"]
    manifest = json.loads(s3.get_object(**details)["Body"].read())["ResultFiles"]
    assert [len(manifest[status]) for status in ("SUCCEEDED", "FAILED", "PENDING")] == [1, 0, 0]


def test_list_that_is_missing_is_read_by_a_redrive(
    aws: LocalAws, run: Run, bucket: str, put: Callable[[str, bytes], object]
) -> None:
    first = run(distributed(ECHO, ItemReader=reader(GET, bucket, {"InputType": "JSON"}, Key="list")))
    assert first["error"] == "States.ItemReaderFailed"
    put("list", b"[1, 2]")
    aws.client("stepfunctions").redrive_execution(executionArn=first["executionArn"])
    assert finished(aws, first["executionArn"])["output"] == "[1, 2]"


@pytest.mark.parametrize("missing", ["states:StartExecution", "s3:ListBucket", "s3:PutObject", "kms:GenerateDataKey"])
def test_map_whose_role_lacks_a_permission_fails(
    aws: LocalAws, run: Run, allow: Any, bucket: str, put: Callable[[str, bytes], object], key: str, missing: str
) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    aws.client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    put("in/1", b"")
    listing = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}") | {"Condition": {"StringEquals": {"s3:prefix": "in/"}}}
    statements = {
        "states:StartExecution": allow("states:StartExecution", "*"),
        "s3:ListBucket": listing,
        "s3:PutObject": allow("s3:PutObject", f"arn:aws:s3:::{bucket}/out/*"),
        "kms:GenerateDataKey": allow(["kms:GenerateDataKey", "kms:Decrypt"], key),
    }
    writer = {"Resource": PUT, "Parameters": {"Bucket": bucket, "Prefix": "out"}}
    state = distributed(ECHO, ItemReader=reader(LIST, bucket, Prefix="in/"), ResultWriter=writer)
    assert run(state, statements=list(statements.values()))["status"] == "SUCCEEDED"
    found = run(state, statements=[it for name, it in statements.items() if name != missing])
    assert (found["status"], missing in found["cause"]) == ("FAILED", True), found
    runs = aws.client("stepfunctions").list_map_runs(executionArn=found["executionArn"])["mapRuns"]
    assert all("stopDate" in it for it in runs), runs


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"MaxConcurency": 1}, "MaxConcurency"),
        ({"ItemBatcher": {"MaxItems": 1}}, "/States/Map/ItemBatcher"),
        ({"ItemReader": {"Resource": LIST, "ReaderConfig": {"Type": "CSV"}}}, "/States/Map/ItemReader/ReaderConfig"),
        ({"ResultWriter": {"Resource": PUT, "Bucket": "b"}}, "/States/Map/ResultWriter"),
        ({"Retry": [{"ErrorEquals": ["States.ALL"], "Attempts": 2}]}, "Retry"),
        ({"End": False, "Next": "Gone"}, "MISSING_TRANSITION_TARGET"),
        ({"ItemProcessor": ECHO}, "'Label' is not supported"),
        ({"ItemProcessor": "x"}, "/States/Map/ItemProcessor"),
        ({"ItemProcessor": {**ECHO, "ProcessorConfig": "x"}}, "/States/Map/ItemProcessor/ProcessorConfig"),
        ({"Catch": 1}, "of a type"),
        ({"End": False, "Next": []}, "of a type"),
        ({"Label": "L" * 41}, "/States/Map/Label"),
        ({"MaxConcurrency": 1, "MaxConcurrencyPath": "$.n"}, "/States/Map/MaxConcurrency"),
        ({"ToleratedFailurePercentage": 101}, "ToleratedFailurePercentage"),
        ({"ItemBatcher": {"MaxInputBytesPerBatch": 262_145}}, "MaxInputBytesPerBatch"),
        ({"ItemReader": {"Resource": LIST, "ReaderConfig": {"InputType": "XML"}}}, "ReaderConfig/InputType"),
    ],
)
def test_definition_with_a_field_that_the_language_has_not_is_refused(
    aws: LocalAws, make_role: Any, change: dict[str, Any], place: str
) -> None:
    states = aws.client("stepfunctions")
    definition = json.dumps({"StartAt": "Map", "States": {"Map": distributed(ECHO, **change)}})
    with pytest.raises(ClientError) as refused:
        states.create_state_machine(name=unique(), roleArn=make_role(trust=STATES_TRUST), definition=definition)
    assert refused.value.response["Error"]["Code"] == "InvalidDefinition"
    assert place in refused.value.response["Error"]["Message"]
    template = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": "r", "DefinitionString": definition},
    }
    assert place in str(creation(template["Type"], template["Properties"]))
    told = states.validate_state_machine_definition(definition=definition)
    assert (told["result"], len(told["diagnostics"])) == ("FAIL", 1)


def test_value_that_a_state_may_return_is_not_taken_for_a_limit() -> None:
    states = {"P": {"Type": "Pass", "Result": -1, "ResultPath": "$.a", "End": True}}
    assert list(problems(json.dumps({"StartAt": "P", "States": states}))) == []


def test_execution_that_runs_is_started_once_and_its_name_is_not_used_again(
    aws: LocalAws, make_role: Any, code_of: Any
) -> None:
    states, waits = aws.client("stepfunctions"), {"W": {"Type": "Wait", "Seconds": 60, "End": True}}
    machine = {"name": unique(), "roleArn": make_role(trust=STATES_TRUST)}
    definition = json.dumps({"StartAt": "W", "States": waits})
    arn = states.create_state_machine(**machine, definition=definition)["stateMachineArn"]
    named = {"stateMachineArn": arn, "name": "one"}
    first = states.start_execution(**named, input='{"a": 1}')
    again = states.start_execution(**named, input='{"a":1}')
    assert [again[it] for it in ("executionArn", "startDate")] == [first[it] for it in ("executionArn", "startDate")]
    assert code_of(states.start_execution, **named) == "ExecutionAlreadyExists"
    states.stop_execution(executionArn=first["executionArn"])
    assert code_of(states.start_execution, **named, input='{"a": 1}') == "ExecutionAlreadyExists"
    assert code_of(states.start_execution, stateMachineArn=arn, name="a b") == "InvalidName"


def _state_machine_use(key: str, arn: str, *operations: str) -> dict[str, Any]:
    context = {"StringEquals": {"kms:EncryptionContext:aws:states:stateMachineArn": arn}}
    actions = [f"kms:{it}" for it in operations]
    return {"Effect": "Allow", "Action": actions, "Resource": key, "Condition": context}


def test_state_machine_under_a_key_asks_its_callers_and_the_role_of_an_execution(
    aws: LocalAws, make_role: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any, run: Run
) -> None:
    name, key, both = unique(), make_key(), ("Decrypt", "GenerateDataKey")
    arn = f"arn:aws:states:{aws.region}:{aws.account}:stateMachine:{name}"
    role, everything = make_role(trust=STATES_TRUST), allow(["states:*", "iam:PassRole"], "*")
    under = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": key}
    machine = {"name": name, "roleArn": role, "definition": json.dumps(ECHO), "encryptionConfiguration": under}
    bare = session_of(everything).client("stepfunctions")
    assert code_of(bare.create_state_machine, **machine) == "KmsAccessDeniedException"
    using = _state_machine_use(key, arn, *both)
    user = session_of(everything, allow("kms:DescribeKey", key), using).client("stepfunctions")
    named = {"stateMachineArn": user.create_state_machine(**machine)["stateMachineArn"]}
    assert named["stateMachineArn"] == arn
    for refused in (bare.describe_state_machine, bare.update_state_machine):
        more = {"definition": json.dumps(ECHO)} if refused == bare.update_state_machine else {}
        assert code_of(refused, **named, **more) == "KmsAccessDeniedException"
    told = bare.describe_state_machine(**named, includedData="METADATA_ONLY")
    assert (told["name"], "definition" in told) == (name, False)
    # An execution is started by who may not use the key, and refused for a role that may not.
    for started in (arn, f"{arn}#case"):
        assert code_of(user.start_execution, stateMachineArn=started) == "KmsAccessDeniedException"
    start = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "Parameters": {
        "StateMachineArn": arn,
    }, "End": True}  # fmt: skip
    nested = {"Type": "Parallel", "Branches": [{"StartAt": "S", "States": {"S": start}}], "End": True}
    assert run(nested, statements=[allow("states:*", "*")])["error"] == "KmsAccessDeniedException"
    iam, of_role = aws.client("iam"), {"RoleName": role.rsplit("/", 1)[1], "PolicyName": "key"}
    iam.put_role_policy(**of_role, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [using]}))
    assert run(nested, statements=[allow("states:*", "*")])["status"] == "SUCCEEDED"
    made = bare.start_execution(**named)["executionArn"]
    assert finished(aws, made)["status"] == "SUCCEEDED"
    # What was run stays under its key when the state machine has none any more.
    version = user.publish_state_machine_version(**named)["stateMachineVersionArn"]
    owned = {"encryptionConfiguration": {"type": "AWS_OWNED_KEY"}, "definition": json.dumps(ECHO)}
    user.update_state_machine(**named, **owned)
    assert bare.describe_state_machine(**named)["name"] == name
    for refused in (bare.get_execution_history, bare.describe_execution, bare.describe_state_machine_for_execution):
        assert code_of(refused, executionArn=made) == "KmsAccessDeniedException"
    assert user.describe_execution(executionArn=made)["input"] == "{}"
    assert "input" not in bare.describe_execution(executionArn=made, includedData="METADATA_ONLY")
    assert code_of(bare.describe_state_machine, stateMachineArn=version) == "KmsAccessDeniedException"
    aws.client("kms").disable_key(KeyId=key)
    assert code_of(user.start_execution, stateMachineArn=version) == "KmsInvalidStateException"


def test_what_is_told_of_an_execution_is_encrypted_as_the_role_of_its_machine(
    aws: LocalAws, make_role: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    name, key = unique(), make_key()
    arn = f"arn:aws:states:{aws.region}:{aws.account}:stateMachine:{name}"
    role = make_role(_state_machine_use(key, arn, "Decrypt", "GenerateDataKey"), trust=STATES_TRUST)
    told = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
    waiting = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "Next": "T"}, "T": told}}
    under = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": key}
    machine = {"name": name, "roleArn": role, "definition": json.dumps(waiting), "encryptionConfiguration": under}
    aws.client("stepfunctions").create_state_machine(**machine)
    bare = session_of(allow("states:*", "*")).client("stepfunctions")
    running = [{"executionArn": bare.start_execution(stateMachineArn=arn)["executionArn"]} for _ in range(2)]
    assert bare.stop_execution(**running[0], cause="c")["stopDate"]
    ended = {"taskToken": "x", "output": "{}"}
    assert code_of(bare.send_task_success, **ended) in {"InvalidToken", "TaskDoesNotExist", "TaskTimedOut"}
    aws.client("iam").delete_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyName="policy")
    assert code_of(bare.stop_execution, **running[1], cause="c") == "KmsAccessDeniedException"
    assert code_of(bare.send_task_success, **ended) == "KmsAccessDeniedException"
    assert code_of(bare.send_task_failure, taskToken="x", cause="c") == "KmsAccessDeniedException"
    assert bare.stop_execution(**running[1])["stopDate"]


def test_stack_makes_a_state_machine_under_a_key_for_who_may_use_it(
    aws: LocalAws, make_role: Any, make_key: Any, session_of: Any, allow: Any
) -> None:
    key, role = make_key(), make_role(trust=STATES_TRUST)
    under = {"Type": "CUSTOMER_MANAGED_KMS_KEY", "KmsKeyId": key}
    machine = {"RoleArn": role, "Definition": ECHO, "EncryptionConfiguration": under}
    resources = {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}}
    everything = allow(["cloudformation:*", "states:*", "iam:PassRole"], "*")
    use = allow(["kms:DescribeKey", "kms:GenerateDataKey"], key)
    name = unique()
    assert "kms:DescribeKey" in deployed(session_of(everything), resources)
    assert deployed(session_of(everything, use), resources, name) == ""
    (made,) = aws.client("cloudformation").describe_stack_resources(StackName=name)["StackResources"]
    described = aws.client("stepfunctions").describe_state_machine(stateMachineArn=made["PhysicalResourceId"])
    assert described["encryptionConfiguration"]["kmsKeyId"] == key


ASSIGNING = {"StartAt": "C", "States": {"C": {"Type": "Pass", "Assign": {"y": "inner"}, "End": True}}}
IN_MAP = {"Items": [1], "ItemProcessor": {**ASSIGNING, "ProcessorConfig": {"Mode": "INLINE"}}}


@pytest.mark.parametrize("inner", [{"Type": "Parallel", "Branches": [ASSIGNING]}, {"Type": "Map", **IN_MAP}])
def test_variables_stay_in_their_scope_and_shadow_no_outer_one(run: Run, inner: dict[str, Any]) -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"x": "outer"}, "Next": "B"},
        "B": {**inner, "Next": "D"},
        "D": {"Type": "Pass", "Output": "{% [$exists($y), $x] %}", "End": True},
    }
    machine = {"QueryLanguage": "JSONata", "StartAt": "A", "States": states}
    assert json.loads(run(machine)["output"]) == [False, "outer"]
    shadowed = json.loads(json.dumps(machine).replace('"x": "outer"', '"y": "outer"'))
    assert [text for text in problems(json.dumps(shadowed)) if "'y'" in text]
    assert not list(problems(json.dumps(machine)))
