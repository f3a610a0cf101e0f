"""BulkEnvelope and BucketReEncryption: exact statements, the definition by a second validator, what is refused."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3

from kms_patterns import BucketReEncryption, BulkEnvelope, EncryptedBucket, EncryptionKey
from kms_patterns.patterns.parts.bulk_definition import concurrency_within
from kms_patterns.toolchain import node_executable

ROOT = Path(__file__).parents[2]
Template = dict[str, Any]
Synth = Callable[[cdk.Stack], Template]
Statements = list[dict[str, Any]]
Make = Callable[..., BulkEnvelope]
DEPARTMENT = {"department": "archive"}


@pytest.fixture
def keys(stack: cdk.Stack) -> dict[str, EncryptionKey]:
    return {name: EncryptionKey(stack, f"{name}Key") for name in ("Storage", "Content", "Other", "History")}


@pytest.fixture
def buckets(stack: cdk.Stack, keys: dict[str, EncryptionKey]) -> dict[str, EncryptedBucket]:
    names = ("Inbox", "Vault", "Reports")
    return {name: EncryptedBucket(stack, name, encryption_key=keys["Storage"]) for name in names}


@pytest.fixture
def bulk(stack: cdk.Stack, keys: dict[str, EncryptionKey], buckets: dict[str, EncryptedBucket]) -> Make:
    def make(**given: Any) -> BulkEnvelope:
        places = {"source": "Inbox", "destination": "Vault", "reports": "Reports"}
        defaults = {name: buckets[bucket] for name, bucket in places.items()}
        defaults |= {"operation": "encrypt", "encryption_key": keys["Content"], "prefix": "in/"}
        return BulkEnvelope(stack, "Bulk", **{**defaults, **given})

    return make


def ordered(found: Statements) -> Statements:
    return sorted(found, key=lambda statement: json.dumps(statement, sort_keys=True))


def definition(template: Template) -> dict[str, Any]:
    """The definition with names in the place of references."""
    (machine,) = [it for it in template["Resources"].values() if it["Type"] == "AWS::StepFunctions::StateMachine"]

    def text(part: Any) -> str:
        match part:
            case {"Fn::Join": [_, parts]}:
                return "".join(map(text, parts))
            case {"Ref": "AWS::Partition"}:
                return "aws"
            case {"Ref": name} | {"Fn::GetAtt": [name, _]}:
                return str(name)
        return str(part)

    found: dict[str, Any] = json.loads(text(machine["Properties"]["DefinitionString"]))
    return found


@pytest.mark.parametrize(
    ("operation", "own", "given"),
    [
        ("encrypt", [("Content", "kms:GenerateDataKey")], {}),
        ("decrypt", [("Content", "kms:Decrypt")], {}),
        ("re_encrypt", [("Other", "kms:Decrypt"), ("Content", "kms:Encrypt")], {"source_key": "Other"}),
    ],
)
def test_batch_role_reads_one_prefix_writes_another_and_does_one_thing_with_each_key(
    *,
    stack: cdk.Stack,
    synth: Synth,
    keys: dict[str, EncryptionKey],
    buckets: dict[str, EncryptedBucket],
    bulk: Make,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
    operation: str,
    own: list[tuple[str, str]],
    given: dict[str, str],
) -> None:
    more = {name: keys[key] for name, key in given.items()}
    made = bulk(operation=operation, destination_prefix="out/", encryption_context=DEPARTMENT, **more)
    found = role_statements(synth(stack), stack, made.batch_role)[2:]
    storage, inbox, vault = keys["Storage"], buckets["Inbox"], buckets["Vault"]
    context = {
        "StringEquals": {"kms:EncryptionContext:department": "archive"},
        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "department"},
    }
    uses = [
        {"Action": action, "Effect": "Allow", "Resource": stack.resolve(keys[key].key_arn)}
        | ({"Condition": context} if key == "Content" else {})
        for key, action in own
    ]
    written = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    expected = [
        {"Action": "s3:GetObject", "Effect": "Allow", "Resource": stack.resolve(inbox.arn_for_objects("in/*"))},
        through_s3("kms:Decrypt", storage, inbox, "in/*"),
        {"Action": written, "Effect": "Allow", "Resource": stack.resolve(vault.arn_for_objects("out/*"))},
        through_s3(["kms:Decrypt", "kms:GenerateDataKey"], storage, vault, "out/*"),
        *uses,
    ]
    assert ordered(found) == ordered(expected)


def test_state_machine_role_lists_one_prefix_and_starts_its_own_children(
    stack: cdk.Stack, synth: Synth, bulk: Make, role_statements: Callable[..., Statements]
) -> None:
    made = bulk()
    found = role_statements(synth(stack), stack, made.role)
    (listing,) = [it for it in found if it["Action"] == "s3:ListBucket"]
    assert listing["Condition"] == {"StringEquals": {"s3:prefix": "in/"}}
    text = json.dumps([it for it in found if "states:" in str(it["Action"])])
    assert [json.dumps(it["Action"]) for it in json.loads(text)] == [
        '"states:StartExecution"', '["states:DescribeExecution", "states:ListMapRuns"]', '"states:RedriveExecution"',
    ]  # fmt: skip
    assert {"/Objects:*", "/Listed:*"} == {
        part for part in ("/Objects:*", "/Listed:*", "/Inventoried:*") if part in text
    }
    assert [it for it in found if it["Resource"] == "*" or str(it["Action"]).endswith("*")] == []


def test_history_key_is_for_this_state_machine_and_its_children_alone(
    stack: cdk.Stack,
    synth: Synth,
    keys: dict[str, EncryptionKey],
    bulk: Make,
    key_statements: Callable[..., Statements],
) -> None:
    made = bulk(state_machine_key=keys["History"])
    operator = iam.Role(stack, "Operator", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    made.grant_run(operator)
    template = synth(stack)
    use, operated = [
        it
        for it in key_statements(template, stack.resolve(keys["History"].key_arn)["Fn::GetAtt"][0])
        if it["Action"] in (["kms:Decrypt", "kms:GenerateDataKey"], "kms:Decrypt")
    ]
    arn = made.state_machine_arn
    through = {
        "kms:ViaService": stack.resolve(f"states.{stack.region}.amazonaws.com"),
        "kms:EncryptionContext:aws:states:stateMachineArn": stack.resolve([arn]),
    }
    assert operated["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": stack.resolve(operator.role_arn)},
        "StringEquals": through,
    }
    owned = [it for it in template["Resources"].values() if it["Type"] == "AWS::IAM::Policy"]
    halves = [it for policy in owned for it in policy["Properties"]["PolicyDocument"]["Statement"]]
    assert [it["Action"] for it in halves if it.get("Condition") == {"StringEquals": through}] == [operated["Action"]]
    assert use["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": stack.resolve(made.role.role_arn)},
        "StringEquals": {
            "kms:EncryptionContext:aws:states:stateMachineArn": stack.resolve([arn, f"{arn}/Objects", f"{arn}/Listed"])
        },
    }
    (machine,) = [it for it in template["Resources"].values() if it["Type"] == "AWS::StepFunctions::StateMachine"]
    assert machine["Properties"]["EncryptionConfiguration"]["Type"] == "CUSTOMER_MANAGED_KMS_KEY"


@pytest.mark.parametrize("given", [{}, {"inventory": "Reports", "prefix": ""}])
def test_second_validator_accepts_the_definition_and_refuses_a_misspelt_field(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, EncryptedBucket], bulk: Make, given: dict[str, Any]
) -> None:
    bulk(**{name: buckets.get(value, value) for name, value in given.items()})
    found = definition(synth(stack))
    assert ("Inventoried" in found["States"]) is ("inventory" in given)
    assert validated(found) == []
    misspelt = json.loads(json.dumps(found).replace('"ItemReader"', '"ItemsReader"'))
    unreachable = json.loads(json.dumps(found).replace('"Next": "Report"', '"Next": "Repord"'))
    assert validated(misspelt)
    assert validated(unreachable)


def validated(found: dict[str, Any]) -> list[Any]:
    """What asl-validator of npm finds."""
    script = (
        "const v = require('asl-validator'); const check = v.default ?? v;"
        "let t = ''; process.stdin.on('data', d => t += d).on('end', () =>"
        " console.log(JSON.stringify(check(JSON.parse(t)).errors)));"
    )
    done = subprocess.run(
        [node_executable(), "-e", script], input=json.dumps(found), capture_output=True, text=True, check=True, cwd=ROOT
    )
    errors: list[Any] = json.loads(done.stdout)
    return errors


@pytest.mark.parametrize(
    ("kms", "functions", "calls", "most"),
    [
        (10_000, 1_000, 1, 166),
        (100_000, 1_000, 1, 500),
        (100_000, 9_000, 1, 1_666),
        (10_000, 1_000, 2, 83),
        (1, 1, 1, 1),
    ],
)
def test_concurrency_leaves_half_of_the_quotas_to_others(kms: int, functions: int, calls: int, most: int) -> None:
    assert concurrency_within(kms, functions, calls) == most


def test_inventory_that_the_construct_was_not_given_is_refused_and_not_taken_for_a_listing(
    stack: cdk.Stack, synth: Synth, bulk: Make
) -> None:
    bulk()
    states = definition(synth(stack))["States"]
    chosen = {it["Variable"].rpartition(".")[2]: it["Next"] for it in states["Source"]["Choices"]}
    assert chosen == {"list": "Listed", "manifest": "NoInventory", "encodedList": "NoInventory"}
    assert states["NoInventory"]["Type"] == "Fail"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"operation": "seal"}, "operation is 'seal'"),
        ({"operation": "re_encrypt"}, "give source_key with it"),
        ({"source_context": DEPARTMENT}, "neither with another operation"),
        ({"destination": "Inbox", "destination_prefix": "in/out/"}, "prefix and destination_prefix overlap"),
        ({"destination": "Inbox", "destination_prefix": ""}, "prefix and destination_prefix overlap"),
        ({"reports": "Inbox", "prefix": ""}, "prefix and reports_prefix overlap"),
        ({"reports": "Inbox", "reports_prefix": "", "prefix": "lists/"}, "prefix and reports_prefix overlap"),
        ({"reports": "Vault", "destination_prefix": "bulk/"}, "destination_prefix and reports_prefix overlap"),
        ({"concurrency": 0}, "concurrency is 0: give 1 to 10000"),
        ({"prefix": "team-?/"}, "has a wildcard of IAM policies"),
        ({"destination_prefix": "out*/"}, "has a wildcard of IAM policies"),
        ({"reports_prefix": "${aws:username}/"}, "has a wildcard of IAM policies"),
        ({"objects_per_batch": 0}, "objects_per_batch is 0: give 1 to 1000"),
        ({"concurrency": 10_001}, "concurrency is 10001: give 1 to 10000"),
        ({"tolerated_failure_percentage": 101}, "give 0 to 100"),
    ],
)
def test_run_that_could_go_wrong_is_refused(
    buckets: dict[str, EncryptedBucket], bulk: Make, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bulk(**{name: buckets.get(value, value) if isinstance(value, str) else value for name, value in given.items()})


@pytest.fixture
def re_encryption(
    stack: cdk.Stack, keys: dict[str, EncryptionKey], buckets: dict[str, EncryptedBucket]
) -> BucketReEncryption:
    return BucketReEncryption(
        stack,
        "Jobs",
        bucket=buckets["Inbox"],
        encryption_key=keys["Storage"],
        old_keys=[keys["Other"]],
        reports=aws_s3.Bucket(stack, "JobReports"),
    )


def test_job_role_has_what_the_page_of_s3_names_and_only_reads_under_an_old_key(
    *,
    stack: cdk.Stack,
    synth: Synth,
    keys: dict[str, EncryptionKey],
    buckets: dict[str, EncryptedBucket],
    re_encryption: BucketReEncryption,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
) -> None:
    found = role_statements(synth(stack), stack, re_encryption.role)
    storage, inbox, reports = keys["Storage"], buckets["Inbox"], stack.node.find_child("JobReports")
    assert isinstance(reports, aws_s3.Bucket)
    every = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
    manifests, written = (f"re-encryption/{name}/*" for name in ("manifests", "reports"))

    def allow(actions: list[str] | str, arn: str) -> dict[str, Any]:
        return {"Action": actions, "Effect": "Allow", "Resource": stack.resolve(arn)}

    expected = [
        allow(
            ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:UpdateObjectEncryption"],
            inbox.arn_for_objects("*"),
        ),
        allow("s3:PutInventoryConfiguration", inbox.bucket_arn),
        allow(["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], reports.arn_for_objects(manifests)),
        allow("s3:PutObject", reports.arn_for_objects(written)),
        through_s3(every, storage, inbox),
        through_s3(["kms:Decrypt", "kms:ReEncryptFrom"], keys["Other"], inbox),
    ]
    assert ordered(found) == ordered(expected)


def test_operator_of_jobs_passes_that_role_to_batch_operations_alone_and_for_one_operation(
    stack: cdk.Stack,
    synth: Synth,
    re_encryption: BucketReEncryption,
    role: Callable[[str], iam.Role],
    role_statements: Callable[..., Statements],
) -> None:
    operator = role("Operator")
    re_encryption.grant_run(operator)
    found = role_statements(synth(stack), stack, operator)
    (passing,) = [it for it in found if it["Action"] == "iam:PassRole"]
    assert passing["Resource"] == stack.resolve(re_encryption.role.role_arn)
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}}
    conditions = {it["Action"]: it.get("Condition") for it in found if "Job" in str(it["Action"])}
    only = "S3UpdateObjectEncryption"
    assert conditions == {
        "s3:CreateJob": {"StringEquals": {"s3:RequestJobOperation": only}},
        "s3:UpdateJobStatus": {"StringEquals": {"s3:ExistingJobOperation": only}},
        "s3:DescribeJob": None,
    }


@pytest.mark.parametrize(
    ("reports", "old", "message"),
    [
        ("Inbox", "Other", "a bucket of their own"),
        ("Reports", "Other", "under SSE-S3"),
        ("Plain", "Storage", "itself"),
    ],
)
def test_jobs_without_a_place_or_a_change_are_refused(
    stack: cdk.Stack, keys: dict[str, EncryptionKey], buckets: dict[str, EncryptedBucket], *, reports: str, old: str,
    message: str,
) -> None:  # fmt: skip
    places = {**buckets, "Plain": aws_s3.Bucket(stack, "Plain")}
    with pytest.raises(ValueError, match=message):
        BucketReEncryption(
            stack, "Jobs", bucket=buckets["Inbox"], encryption_key=keys["Storage"], old_keys=[keys[old]],
            reports=places[reports],
        )  # fmt: skip


def test_jobs_for_a_bucket_under_another_key_are_refused(
    stack: cdk.Stack, keys: dict[str, EncryptionKey], buckets: dict[str, EncryptedBucket]
) -> None:
    with pytest.raises(ValueError, match="bucket encrypts under another key"):
        BucketReEncryption(
            stack, "Jobs", bucket=buckets["Inbox"], encryption_key=keys["Other"], old_keys=[keys["Storage"]],
            reports=aws_s3.Bucket(stack, "JobReports"),
        )  # fmt: skip
