"""The demo: no drift after its deployment, its rows as expected, objects in bad weather; and the report of it."""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from demo import report, runner
from demo.groups import SCENARIOS
from demo.groups.signed_releases import STACK
from demo.principals import client, invoke
from demo.scenario import Row, Scenario, Stage, play
from kms_patterns.cli.main import main
from stacks import discovered
from tests import bulk_soak
from tests.soak import Plant, faults, lines, soak

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]
ASSEMBLY = ROOT / "build" / "demo" / "cdk.out"
NOT_OF_THE_ASSEMBLY = ("CDKToolkit/", "account ")


def drift(stage: Stage) -> tuple[dict[str, Any], int]:
    """Compare the assembly with the account; return the difference, and the exit code of ``--fail``."""
    words = ["access", "diff", str(ASSEMBLY), "live", "--format", "json", "--fail"]
    environment = {**stage.aws.environment(), "KMS_PATTERNS_NODE_MODULES": str(ROOT / "node_modules")}
    done = CliRunner(env=environment).invoke(main, words, catch_exceptions=False)
    return json.loads(done.output), done.exit_code


def added(found: dict[str, Any]) -> set[str]:
    """Return what a difference shows beside what a deployment adds: the roles of the CDK's bootstrap stack."""
    assert (found["newResources"], found["removedResources"], found["otherKeys"]) == ([], [], [])
    assert [text for text in found["newlyUnresolved"] if not text.startswith(NOT_OF_THE_ASSEMBLY)] == []
    steps = [step for step in found["steps"] if not step["principal"].startswith("CDKToolkit/")]
    texts = [text for listed in found["besides"].values() for text in listed if not text.startswith("+ CDKToolkit/")]
    shown = {f"{it['kind']}: {it['principal']} {it['action']} {it['resource']}" for it in steps}
    return shown | {text.partition(": ")[0] for text in texts}


STRANGER = "arn:aws:iam::222222222222:role/stranger"


def _granted(stage: Stage) -> Callable[[], object]:
    kms, key = stage.aws.client("kms"), stage.output("Envelope", "KeyArn")
    grant = kms.create_grant(KeyId=key, GranteePrincipal=STRANGER, Operations=["Decrypt"])["GrantId"]
    return lambda: kms.revoke_grant(KeyId=key, GrantId=grant)


def _in_key_policy(stack: str, change: Callable[[list[Any]], object]) -> Callable[[Stage], Callable[[], object]]:
    def make(stage: Stage) -> Callable[[], object]:
        kms, key = stage.aws.client("kms"), stage.output(stack, "KeyArn")
        before = kms.get_key_policy(KeyId=key)["Policy"]
        policy = json.loads(before)
        change(policy["Statement"])
        kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
        return lambda: kms.put_key_policy(KeyId=key, Policy=before)

    return make


def _for_every_context(statements: list[Any]) -> None:
    for statement in statements:
        statement.get("Condition", {}).pop("ForAnyValue:StringEquals", None)


def _allow(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def _document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _attached(stage: Stage) -> Callable[[], object]:
    iam, role = stage.aws.client("iam"), stage.output("S3", "UploaderRoleArn").rpartition("/")[2]
    allow = _allow("s3:DeleteObject", f"arn:aws:s3:::{stage.output('S3', 'BucketName')}/*")
    arn = iam.create_policy(PolicyName="by-hand", PolicyDocument=_document(allow))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)

    def undo() -> None:
        iam.detach_role_policy(RoleName=role, PolicyArn=arn)
        iam.delete_policy(PolicyArn=arn)

    return undo


def _in_bucket_policy(stage: Stage) -> Callable[[], object]:
    s3, bucket = stage.aws.client("s3"), stage.output("Envelope", "InboxName")
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    policy = json.loads(before)
    principal = {"AWS": STRANGER}
    policy["Statement"].append(_allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal=principal))
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return lambda: s3.put_bucket_policy(Bucket=bucket, Policy=before)


def _permitted(stage: Stage) -> Callable[[], object]:
    functions, name = stage.aws.client("lambda"), stage.output("Secrets", "DecryptFunctionName")
    how = {"StatementId": "by-hand", "Action": "lambda:InvokeFunction", "Principal": STRANGER}
    functions.add_permission(FunctionName=name, **how)
    return lambda: functions.remove_permission(FunctionName=name, StatementId="by-hand")


def _trusted(stage: Stage) -> Callable[[], object]:
    iam, role = stage.aws.client("iam"), stage.output("S3", "DownloaderRoleArn").rpartition("/")[2]
    before = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    trust = {"Effect": "Allow", "Principal": {"AWS": STRANGER}, "Action": "sts:AssumeRole"}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=_document(*before["Statement"], trust))
    return lambda: iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(before))


def _in_a_group(stage: Stage) -> Callable[[], object]:
    iam, name = stage.aws.client("iam"), {"GroupName": "by-hand", "UserName": "clerk"}
    group, user = {"GroupName": "by-hand"}, {"UserName": "clerk"}
    allow = _allow("s3:GetObject", f"arn:aws:s3:::{stage.output('CodeSigning', 'ArtifactsName')}/*")
    iam.create_group(**group)
    iam.put_group_policy(**group, PolicyName="read", PolicyDocument=_document(allow))
    iam.create_user(**user)
    iam.add_user_to_group(**name)

    def undo() -> None:
        iam.remove_user_from_group(**name)
        iam.delete_group_policy(**group, PolicyName="read")
        iam.delete_group(**group)
        iam.delete_user(**user)

    return undo


BY_HAND: Mapping[str, tuple[Callable[[Stage], Callable[[], object]], set[str]]] = {
    "a KMS grant": (_granted, {f"gained: {STRANGER} kms:Decrypt KmsPatterns-Envelope/Key"}),
    "a key policy's statement": (
        _in_key_policy("Mac", lambda given: given.append(_allow("kms:GenerateMac", "*", Principal={"AWS": STRANGER}))),
        {f"gained: {STRANGER} kms:GenerateMac KmsPatterns-Mac/Key"},
    ),
    "a key policy's condition": (
        _in_key_policy("Secrets", _for_every_context),
        {"+ KmsPatterns-Secrets/Key key policy"},  # its users' own policies have the same condition
    ),
    "an attached policy": (_attached, {"gained: KmsPatterns-S3/UploaderRole s3:DeleteObject KmsPatterns-S3/Bucket"}),
    "a bucket policy": (_in_bucket_policy, {f"gained: {STRANGER} s3:GetObject KmsPatterns-Envelope/Inbox"}),
    "a permission of a function": (
        _permitted,
        {f"gained: {STRANGER} lambda:InvokeFunction KmsPatterns-Secrets/Cipher/Decrypt/Function"},
    ),
    "a trust policy": (
        _trusted,
        {
            f"gained: {STRANGER} sts:AssumeRole KmsPatterns-S3/DownloaderRole",
            f"+ {STRANGER} on key KmsPatterns-S3/Key",
        },
    ),
    "a member of a group": (
        _in_a_group,
        {"gained: account 000000000000/user/clerk s3:GetObject KmsPatterns-CodeSigning/Artifacts"},
    ),
}
"""Changes by hand: a function that makes one and returns what undoes it, and what the difference then shows."""


def test_drift_is_what_deployment_adds_and_what_was_changed_by_hand(stage: Stage) -> None:
    with ExitStack() as undone:
        for make, _ in BY_HAND.values():
            undone.callback(make(stage))
        found, code = drift(stage)
    assert {step["kind"] for step in found["steps"] if step["principal"].startswith("CDKToolkit/")} == {"gained"}
    assert (added(found), code) == ({text for _, shown in BY_HAND.values() for text in shown}, 1)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, stage: Stage) -> None:
    row = play(scenario, stage)
    assert row.observed == scenario.expected, row.kms_calls


def test_scenario_names_are_unique() -> None:
    names = [(scenario.group, scenario.name) for scenario in SCENARIOS]
    assert len(set(names)) == len(SCENARIOS)


@pytest.mark.parametrize("stack", [stack.NAME.removeprefix("KmsPatterns-") for stack in discovered()])
def test_every_stack_has_scenarios_and_one_of_them_is_refused(stack: str) -> None:
    modules = {scenario.act.__code__.co_filename for scenario in SCENARIOS}
    of_stack = {module for module in modules if f'"{stack}"' in Path(module).read_text()}
    expected = [scenario.expected for scenario in SCENARIOS if scenario.act.__code__.co_filename in of_stack]
    assert any(text.startswith("refused") for text in expected)
    assert not all(text.startswith("refused") for text in expected)


SEED = 9


def test_nothing_is_lost_corrupted_doubled_or_orphaned(stage: Stage) -> None:
    tally = soak(Plant(stage), objects=30, chunk=30, seed=SEED)
    print("\n".join(lines(tally)))
    assert tally.defects == {}
    once = {fault.get("name", fault["kind"]) for patience in (True, False) for fault in faults(patience=patience)}
    assert once <= set(tally.injected)
    assert tally.retries > tally.objects / 4
    assert sum(tally.failures.values()) < tally.objects / 2


def test_pass_of_the_first_five_minutes_signs_what_started_nothing_and_may_be_repeated(stage: Stage) -> None:
    """As docs/deployment.md says: list, leave out signatures, invoke for each; here while the rule matches nothing."""
    resources = stage.aws.client("cloudformation").describe_stack_resources(StackName="KmsPatterns-CodeSigning")
    held = [
        (it["LogicalResourceId"], it["PhysicalResourceId"], it["ResourceType"]) for it in resources["StackResources"]
    ]
    rules = [name for logical, name, kind in held if kind == "AWS::Events::Rule" and logical.startswith("Signer")]
    events, s3 = stage.aws.client("events"), stage.aws.client("s3")
    bucket, wanted = stage.output(STACK, "ArtifactsName"), {f"early-{number}.bin" for number in range(2)}
    for rule in rules:
        events.disable_rule(Name=rule)
    builder = client(stage, "s3", STACK, "BuilderRoleArn")
    for name in wanted:
        builder.put_object(Bucket=bucket, Key=name, Body=name.encode())
    for rule in rules:
        events.enable_rule(Name=rule)

    def passed() -> dict[str, Any]:
        keys = [it["Key"] for it in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        chosen = [key for key in keys if not key.endswith((".sig", ".dsse.json")) and key in wanted]
        publisher = client(stage, "lambda", STACK, "PublisherRoleArn")
        return {key: invoke(publisher, stage.output(STACK, "SignFunctionName"), {"sourceKey": key}) for key in chosen}

    def signatures() -> set[str]:
        found = s3.list_objects_v2(Bucket=stage.output(STACK, "SignaturesName"), Prefix="early-").get("Contents", [])
        return {it["Key"] for it in found}

    assert (len(rules), signatures()) == (1, set())
    assert {key: it["signed"] for key, it in passed().items()} == dict.fromkeys(wanted, True)
    assert signatures() == {f"{name}{suffix}" for name in wanted for suffix in (".sig", ".dsse.json")}
    assert {key: it["signed"] for key, it in passed().items()} == dict.fromkeys(wanted, False)


def test_bulk_run_writes_each_destination_once_while_sources_are_overwritten(stage: Stage) -> None:
    tally = bulk_soak.soak(
        bulk_soak.BulkPlant(stage), objects=30, seed=SEED, largest=20_000, faults=bulk_soak.ABSORBED, kills=False
    )
    print("\n".join(bulk_soak.lines(tally)))
    assert tally.defects == {}
    assert (set(tally.injected), tally.overwritten > 0) == ({"throttle", "lost answer"}, True)


def test_soak_fails_if_kms_throttled_for_less_time_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, clock = bulk_soak.Tally(throttled=180), iter([0.0, 100.0, 181.0])
    monkeypatch.setattr(bulk_soak, "_change", lambda *_: None)
    monkeypatch.setattr(bulk_soak.time, "monotonic", lambda: next(clock))
    weather, short = bulk_soak.storm(None, tally, []), "the run was too short: {} of 180 s, use more --objects"  # type: ignore[arg-type]
    assert tally.defects == {"calm": [short.format(0)]}
    next(weather)
    next(weather)
    assert tally.defects == {"calm": [short.format(100)]}
    assert "FAILED" in [*bulk_soak.lines(tally)][-1]
    next(weather, None)
    assert (tally.defects, "for 181 s, 180 asked" in "".join(bulk_soak.lines(tally))) == ({}, True)


def test_run_beyond_its_tolerated_failures_is_reported_and_redriven(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stage.aws.environment().items():
        monkeypatch.setenv(name, value)
    plant = bulk_soak.BulkPlant(stage)
    call = lambda *words: CliRunner().invoke(main, ["bulk", *words], catch_exceptions=False)  # noqa: E731
    definition = plant.states.describe_state_machine(stateMachineArn=plant.machine)["definition"]
    impatient = definition.replace('"MaxAttempts":4', '"MaxAttempts":0')
    assert impatient != definition
    plant.states.update_state_machine(stateMachineArn=plant.machine, definition=impatient)
    plant.put("in/there", b"there")
    plant.s3.put_object(Bucket=plant.reports, Key="bulk/lists/two.csv", Body=b"Key\nin/there\nin/late\n")
    try:
        arn = call("start", plant.machine, "--list", "bulk/lists/two.csv").output.strip()
        assert call("status", arn, "--follow", "--every", "0.1").exit_code == 1
        failed = plant.ended(arn)
        place = f"s3://{plant.reports}/bulk/reports/{failed['name']}/report.json"
        assert failed["error"] == "ObjectsFailed"
        assert f"1 objects failed, and the run stopped there: {place}" in failed["cause"]
        report = plant.report(failed)
        assert (report["stopped"], report["written"], report["failures"]) == (True, 1, {"SourceNotReadable": 1})
        assert call("redrive", arn).exit_code == 0
        assert (plant.ended(arn)["status"], plant.report(failed)["stopped"]) == ("FAILED", True)
        plant.put("in/late", b"late")
        assert call("redrive", arn).exit_code == 0
        assert call("status", arn, "--follow", "--every", "0.1").exit_code == 0
        report = plant.report(plant.ended(arn))
        assert (report["written"], report["foundWritten"], report["failed"]) == (1, 1, 0)
    finally:
        plant.states.update_state_machine(stateMachineArn=plant.machine, definition=definition)
        for key in ("in/there", "in/late"):
            plant.s3.delete_object(Bucket=plant.inbox, Key=key)


CALL = {
    "action": "kms:Decrypt",
    "keyArn": "arn:aws:kms:us-east-1:111122223333:key/1",
    "principal": "arn:aws:sts::111122223333:assumed-role/reader/1",
    "encryptionContext": {"tenant": "<b>"},
    "viaService": "s3.us-east-1.amazonaws.com",
    "decision": "deny",
    "reason": "no resource-based policy allows it",
    "statement": {"policy": "key policy", "sid": "DenyAll", "position": 1, "effect": "Deny"},
}


def row(observed: str, expected: str = "refused") -> Row:
    return Row(Scenario("1. Group", "reader", "reads <script>", expected, lambda _: observed), observed, [CALL])


def text(*rows: Row, width: int) -> str:
    console = Console(width=width, record=True)
    console.print(report.table("Group", rows, narrow=width < runner.WIDE))
    return console.export_text()


def test_page_has_each_call_with_the_statement_that_decided_and_no_markup_of_others(tmp_path: Path) -> None:
    page = report.write([row("refused"), row("<img src=x>")], tmp_path).read_text()
    assert "1 of 2 rows as expected" in page
    assert page.count("no resource-based policy allows it (key policy DenyAll)") == 2
    assert "<script>" not in page
    assert "<img" not in page
    assert "{&quot;tenant&quot;: &quot;&lt;b&gt;&quot;}" in page
    assert "| ✗ | reader | reads <script> | refused | <img src=x> |" in (tmp_path / "report.md").read_text()


def test_at_80_columns_what_was_expected_is_said_where_it_was_not_observed() -> None:
    narrow = " ".join(text(row("refused"), row("read"), width=80).split())
    assert "Expected" not in narrow
    assert "read, not:" in narrow
    assert "Expected" in text(row("refused"), width=170)


def test_groups_are_chosen_by_module_or_title_with_those_that_they_build_on() -> None:
    chosen = runner.chosen(["without each permission"])
    assert {scenario.act.__module__ for scenario in chosen} == {"demo.groups.documents"}
    assert len({scenario.group for scenario in chosen}) > 1
    assert len(runner.chosen([])) > len(runner.chosen(["documents", "macs"])) > len(chosen)


def test_group_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(runner.UnknownGroup, match=r"'nosuch'.*documents, .*tokens"):
        runner.chosen(["nosuch"])
