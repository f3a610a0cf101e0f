"""``kms-patterns keys``: what is said of the keys of an account, by a caller who may do nothing but read."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kms_patterns.access.live.key_inventory import ACTIONS, KeyRecord, dead_statements
from kms_patterns.cli.main import main
from kms_patterns.local import LocalAws

TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
NOW = datetime(2026, 11, 26, tzinfo=UTC)
Keys = Callable[..., Result]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def reading(aws: LocalAws, actions: list[str]) -> dict[str, str]:
    """Variables of a role that may do ``actions`` and nothing else."""
    iam, name = aws.client("iam"), f"keys-{uuid.uuid4().hex[:8]}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(TRUST))["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=policy(allowed))
    variables: dict[str, str] = aws.assume(role, "ec2.amazonaws.com").environment()
    return variables


@pytest.fixture
def keys(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Run the command with the permissions that it prints, or without one of them."""

    def run(*words: str, without: str | None = None) -> Result:
        for name, value in reading(aws, [action for action in ACTIONS if action != without]).items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, ["keys", *words], catch_exceptions=False)

    return run


def found(result: Result, arn: str) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return next(record for record in json.loads(result.stdout) if record["arn"] == arn)


def test_list_tells_state_owner_rotation_use_and_cost(aws: LocalAws, keys: Keys) -> None:
    kms = aws.client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/listed", TargetKeyId=arn)
    kms.enable_key_rotation(KeyId=arn)
    before = found(keys("list", "--format", "json"), arn)
    assert (before["last_used"], before["dollars_a_month"]) == (None, 1)
    kms.encrypt(KeyId=arn, Plaintext=b"text")
    for _ in range(3):
        kms.rotate_key_on_demand(KeyId=arn)
    kms.disable_key(KeyId=arn)
    record = found(keys("list", "--format", "json"), arn)
    assert {name: record[name] for name in ("state", "aliases", "rotates", "rotations", "dollars_a_month")} == {
        "state": "Disabled", "aliases": ["alias/listed"], "rotates": True, "rotations": 3, "dollars_a_month": 3,
    }  # fmt: skip
    assert record["last_used"] is not None
    text = keys("list").output
    assert f"{arn}  Disabled  SYMMETRIC_DEFAULT  $3 a month\n    aliases alias/listed\n    last used: 20" in text
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert found(keys("list", "--format", "json"), arn)["dollars_a_month"] == 0


def test_retained_key_of_a_removed_stack_is_told_from_that_of_a_stack_that_is_there(aws: LocalAws, keys: Keys) -> None:
    cloudformation = aws.client("cloudformation")
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    key = {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain", "Properties": {"KeyPolicy": document}}
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}}
    template = json.dumps({"Resources": {"Key": key}, "Outputs": outputs})
    arns = {}
    for name in ("Here", "Removed"):
        cloudformation.create_stack(StackName=name, TemplateBody=template)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        arns[name] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"][0]["OutputValue"]
    cloudformation.delete_stack(StackName="Removed")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="Removed", WaiterConfig={"Delay": 1})
    listed = keys("list", "--format", "json")
    assert {name: found(listed, arn)["stack_gone"] for name, arn in arns.items()} == {"Here": False, "Removed": True}
    assert "stack Removed, which does not exist any more\n" in keys("list").output
    costs = json.loads(keys("cost", "--format", "json").stdout)
    assert (costs["by_stack"]["Here"], costs["by_stack"]["Removed"]) == (1, 1)
    assert "$1 a month  Removed\n" in keys("cost").output


def test_statement_of_a_role_that_was_deleted_is_dead_and_that_of_a_living_one_is_not(
    aws: LocalAws, keys: Keys
) -> None:
    iam, kms = aws.client("iam"), aws.client("kms")
    roles = {
        name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(TRUST))["Role"]["Arn"]
        for name in ("alive", "gone-by-id", "gone-by-name")
    }
    root = {"AWS": f"arn:aws:iam::{aws.account}:root"}
    statements = [{"Sid": "Root", "Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}]
    allowed = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    statements += [{**allowed, "Sid": it, "Principal": {"AWS": roles[it]}} for it in ("alive", "gone-by-id")]
    named = {it: {"ArnEquals": {"aws:PrincipalArn": roles[it]}} for it in ("alive", "gone-by-name")}
    statements += [
        {**allowed, "Sid": f"condition-{it}", "Principal": root, "Condition": when} for it, when in named.items()
    ]
    arn = kms.create_key(Policy=policy(*statements))["KeyMetadata"]["Arn"]
    assert found(keys("list", "--format", "json"), arn)["dead_statements"] == []
    for name in ("gone-by-id", "gone-by-name"):
        iam.delete_role(RoleName=name)
    dead = found(keys("list", "--format", "json"), arn)["dead_statements"]
    assert [text.partition(":")[0] for text in dead] == ["gone-by-id", "condition-gone-by-name"]


def test_principal_of_another_account_or_in_a_pattern_is_never_called_gone() -> None:
    names = ["arn:aws:iam::222222222222:role/other", "arn:aws:iam::111111111111:role/*", "*"]
    statement = {"Effect": "Allow", "Principal": {"AWS": names}, "Action": "kms:Decrypt", "Resource": "*"}
    assert list(dead_statements({"Statement": statement}, lambda _arn: None)) == []
    assert list(dead_statements({"Statement": statement}, lambda arn: arn != names[0])) != []


@pytest.mark.parametrize(
    ("used", "made", "tracked", "expected"),
    [
        (91, 400, 200, "last used 2026-08-27"),
        (89, 400, 200, None),
        (None, 91, 200, "never used since it was made, 2026-08-27"),
        (None, 89, 200, None),
        (None, 400, 200, "no use since 2026-05-10, earlier use unknown"),
        (None, 400, 89, None),
        (None, 400, None, None),
    ],
)
def test_unused_needs_a_record_of_that_many_days(
    used: int | None, made: int, tracked: int | None, expected: str | None
) -> None:
    def ago(days: int | None) -> str | None:
        return None if days is None else (NOW - timedelta(days=days)).isoformat()

    record = KeyRecord("arn", "Enabled", created=ago(made), last_used=ago(used), tracked_since=ago(tracked))
    assert record.unused_for(90, NOW) == expected
    record.state = "PendingDeletion"
    assert record.unused_for(90, NOW) is None


def test_new_key_is_not_listed_as_unused(aws: LocalAws, keys: Keys) -> None:
    arn = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    assert arn not in keys("unused", "--days", "1").output


@pytest.mark.parametrize("action", ["kms:GetKeyLastUsage", "kms:GetKeyPolicy", "kms:ListResourceTags"])
def test_permission_that_lacks_is_said_at_each_key_and_nothing_is_taken_for_unused(
    action: str, aws: LocalAws, keys: Keys
) -> None:
    arn = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    operation = action.partition(":")[2]
    record = found(keys("list", "--format", "json", without=action), arn)
    assert record["not_read"] == [f"{operation}: {action} was refused: AccessDeniedException"]


def test_every_region_is_read_on_request(aws: LocalAws, keys: Keys) -> None:
    arn = aws.client("kms", region_name="eu-west-1").create_key()["KeyMetadata"]["Arn"]
    assert arn not in keys("list").output
    assert arn in keys("list", "--all-regions").output
    assert arn in keys("list", "--region", "eu-west-1").output


def test_permissions_are_those_that_are_asked_for_and_none_writes(keys: Keys) -> None:
    (statement,) = json.loads(keys("permissions").output)["Statement"]
    assert statement["Action"] == list(ACTIONS)
    assert [action for action in ACTIONS if not action.partition(":")[2].startswith(("Get", "List", "Describe"))] == []


@pytest.fixture(autouse=True)
def _region(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", aws.region)
