"""KeyWatch: its statements, and each event that it is for, made to happen on the embedded AWS, with its silent twin."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_kms
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_patterns import EncryptionKey, KeyLifecycle, KeyWatch, ReplicaKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.local import LocalAws
from kms_patterns.patterns.parts.key_monitoring import CHANGES

Synth = Callable[[cdk.Stack], dict[str, Any]]
Template = dict[str, Any]


@pytest.fixture
def watch(stack: cdk.Stack) -> KeyWatch:
    key, notices = EncryptionKey(stack, "Key"), EncryptionKey(stack, "Notices")
    return KeyWatch(stack, "Watch", keys=[key], encryption_key=notices)


def test_key_of_the_topic_is_used_for_topics_of_the_account_only(
    stack: cdk.Stack, synth: Synth, watch: KeyWatch, key_statements: Callable[..., list[Template]]
) -> None:
    logical = stack.get_logical_id(watch.topic.master_key.node.default_child)  # type: ignore[union-attr,arg-type]
    found = [it for it in key_statements(synth(stack), logical) if "Notifications" in it["Sid"]]
    (statement,) = found
    assert statement["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]}
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    (topics,) = statement["Condition"]["ArnLike"].values()
    assert topics == {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sns:eu-west-1:111122223333:*"]]}


def test_reader_of_calls_is_granted_the_log_group_alone(
    stack: cdk.Stack,
    synth: Synth,
    watch: KeyWatch,
    role: Callable[..., aws_iam.Role],
    role_statements: Callable[..., list[Template]],
) -> None:
    responder = role("Responder")
    assert watch.grant_read_calls(responder).success
    group = stack.resolve(watch.calls.log_group_arn)
    assert role_statements(synth(stack), stack, responder) == [
        {"Action": "logs:FilterLogEvents", "Effect": "Allow", "Resource": group}
    ]


def test_template_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, watch: KeyWatch, snapshot_of: Callable[[Template], None]
) -> None:
    template = synth(stack)
    assert watch.dashboard
    assert not [item for item in template["Resources"].values() if item["Type"].startswith("AWS::IAM::")]
    snapshot_of(template)


def test_keys_whose_events_arrive_elsewhere_are_refused_with_the_way_out(stack: cdk.Stack) -> None:
    notices = EncryptionKey(stack, "Notices")
    arns = {
        "Region us-east-1": "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "account 444455556666": "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    }
    for place, arn in arns.items():
        key = aws_kms.Key.from_key_arn(stack, f"Of {place}", arn)
        with pytest.raises(KeyConfigurationError, match=f"is a key of {place} and its events arrive there alone"):
            KeyWatch(stack, f"Watch {place}", keys=[key], encryption_key=notices)
    for keys in ([], [notices] * 9):
        with pytest.raises(KeyConfigurationError, match="a KeyWatch takes 1 to 8"):
            KeyWatch(stack, f"Watch {len(keys)}", keys=keys, encryption_key=notices)


def test_replica_is_watched_in_its_region(app: cdk.App, stack: cdk.Stack, synth: Synth) -> None:
    primary = EncryptionKey(stack, "Primary", multi_region=True)
    away = cdk.Stack(app, "Away", env=cdk.Environment(account="111122223333", region="eu-central-1"))
    replica = ReplicaKey(away, "Replica", primary_key=primary)
    KeyWatch(away, "Watch", keys=[replica], encryption_key=EncryptionKey(away, "Notices"))
    rules = [item for item in synth(away)["Resources"].values() if item["Type"] == "AWS::Events::Rule"]
    changed = next(rule for rule in rules if "PutKeyPolicy" in str(rule))
    assert changed["Properties"]["EventPattern"]["detail"]["resources"]["ARN"] == [away.resolve(replica.key_arn)]


@dataclass
class Watched:
    """Keys of the embedded AWS, watched by a deployed stack, and the queue that gets its notices."""

    aws: LocalAws
    key: str
    twin: str
    imported: str
    outputs: dict[str, str]

    def notices(self) -> list[str]:
        """What was published since the last call; EventBridge and SNS of the embedded AWS deliver at once."""
        client, found = self.aws.client("sqs"), []
        while messages := client.receive_message(QueueUrl=self.outputs["Inbox"], MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                found.append(json.loads(message["Body"])["Message"].strip('"'))
                client.delete_message(QueueUrl=self.outputs["Inbox"], ReceiptHandle=message["ReceiptHandle"])
        return found

    def calls(self) -> list[dict[str, Any]]:
        """The calls in the log group."""
        found = self.aws.client("logs").filter_log_events(logGroupName=self.outputs["Calls"])["events"]
        return [json.loads(event["message"])["detail"] for event in found]


@pytest.fixture(scope="module")
def watched(aws: LocalAws) -> Iterator[Watched]:
    kms = aws.client("kms")
    key, twin = (kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"] for _ in range(2))
    imported = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    app = cdk.App(context={"aws:cdk:bundling-stacks": []})
    environment = cdk.Environment(account=aws.account, region=aws.region)
    stack = cdk.Stack(app, "KeyWatchTest", env=environment, synthesizer=cdk.LegacyStackSynthesizer())
    notices = EncryptionKey(stack, "Notices", lifecycle=KeyLifecycle.EPHEMERAL)
    keys = [aws_kms.Key.from_key_arn(stack, name, arn) for name, arn in (("Key", key), ("Imported", imported))]
    watch = KeyWatch(stack, "Watch", keys=keys, encryption_key=notices, refusals=3, throttled=2)
    inbox = sqs.Queue(stack, "InboxQueue")
    watch.topic.add_subscription(subscriptions.SqsSubscription(inbox))
    outputs = {
        "Inbox": inbox.queue_url, "Dashboard": watch.dashboard.dashboard_name, "Calls": watch.calls.log_group_name,
        "Topic": watch.topic.topic_arn, "NoticesKey": notices.key_arn,
    }  # fmt: skip
    for name, value in outputs.items():
        cdk.CfnOutput(stack, name, value=value)
    template = app.synth().get_stack_artifact(stack.artifact_id).template
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(
        StackName="KeyWatchTest", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="KeyWatchTest", WaiterConfig={"Delay": 1})
    found = cloudformation.describe_stacks(StackName="KeyWatchTest")["Stacks"][0]["Outputs"]
    yield Watched(aws, key, twin, imported, {item["OutputKey"]: item["OutputValue"] for item in found})
    cloudformation.delete_stack(StackName="KeyWatchTest")


def stranger_of(aws: LocalAws) -> Any:
    """A client of KMS of a role that no policy allows anything."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName="stranger", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    return aws.assume(role, "ec2.amazonaws.com").client("kms")


def _policy(kms: Any, key: str) -> None:
    kms.put_key_policy(KeyId=key, Policy=kms.get_key_policy(KeyId=key)["Policy"])


def _grant(kms: Any, key: str) -> None:
    principal = f"arn:aws:iam::{key.split(':')[4]}:root"
    kms.create_grant(KeyId=key, GranteePrincipal=principal, Operations=["Decrypt"])


def _primary(kms: Any, key: str) -> None:
    with suppress(kms.exceptions.AlreadyExistsException):
        kms.replicate_key(KeyId=key, ReplicaRegion="eu-north-1")
    kms.update_primary_region(KeyId=key, PrimaryRegion="eu-north-1")


MADE: dict[str, Callable[[Any, str], object]] = {
    "DisableKey": lambda kms, key: kms.disable_key(KeyId=key),
    "PutKeyPolicy": _policy,
    "CreateGrant": _grant,
    "DisableKeyRotation": lambda kms, key: kms.disable_key_rotation(KeyId=key),
    "ReplicateKey": lambda kms, key: kms.replicate_key(KeyId=key, ReplicaRegion="eu-north-1"),
    "UpdatePrimaryRegion": _primary,
}


@pytest.mark.parametrize("call", MADE)
def test_change_is_notified_of_and_that_of_another_key_is_not(call: str, watched: Watched) -> None:
    kms = watched.aws.client("kms")
    for key in (watched.key, watched.twin):
        kms.enable_key(KeyId=key)
    assert watched.notices() == []
    MADE[call](kms, watched.twin)
    assert watched.notices() == []
    MADE[call](kms, watched.key)
    *before, notice = watched.notices()
    assert [it for it in before if not it.startswith("Changed: ReplicateKey on")] == []
    assert notice.startswith(f"Changed: {call} on {watched.key} by arn:aws:iam::{watched.aws.account}:root at ")


def test_every_change_was_made_here_or_below() -> None:
    assert MADE.keys() | {"ScheduleKeyDeletion", "DeleteImportedKeyMaterial"} == {*CHANGES}


def test_reads_and_refused_changes_are_not_notified_of_but_are_recorded(watched: Watched) -> None:
    kms = watched.aws.client("kms")
    kms.enable_key(KeyId=watched.key)
    before = len(watched.calls())
    kms.describe_key(KeyId=watched.key)
    kms.encrypt(KeyId=watched.key, Plaintext=b"text")
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        kms.put_key_policy(KeyId=watched.key, Policy="{}")
    assert watched.notices() == []
    assert [call["eventName"] for call in watched.calls()[before:]] == ["DescribeKey", "Encrypt"]


def test_refusals_raise_the_alarm_at_the_threshold_and_name_their_caller(watched: Watched) -> None:
    stranger = stranger_of(watched.aws)
    for key, notices in ((watched.twin, 0), (watched.key, 1)):
        for _ in range(2):
            with pytest.raises(ClientError, match="AccessDenied"):
                stranger.encrypt(KeyId=key, Plaintext=b"text")
        assert watched.notices() == []
        with pytest.raises(ClientError, match="AccessDenied"):
            stranger.encrypt(KeyId=key, Plaintext=b"text")
        found = [json.loads(notice) for notice in watched.notices()]
        assert [(it["NewStateValue"], it["Trigger"]["MetricName"]) for it in found] == [
            ("ALARM", "Invocations")
        ] * notices
    refused = [call for call in watched.calls() if call.get("errorCode") == "AccessDenied"]
    assert {call["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"] for call in refused} == {"stranger"}


def test_use_while_pending_deletion_is_notified_of(watched: Watched) -> None:
    kms = watched.aws.client("kms")
    kms.enable_key(KeyId=watched.key)
    for key in (watched.twin, watched.key):
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    (scheduled,) = watched.notices()
    assert scheduled.startswith(f"Changed: ScheduleKeyDeletion on {watched.key}")
    for key in (watched.twin, watched.key):
        with pytest.raises(ClientError, match="is pending deletion"):
            kms.encrypt(KeyId=key, Plaintext=b"text")
    (used,) = watched.notices()
    assert used.startswith(f"UsedWhilePendingDeletion: Encrypt on {watched.key}")
    for key in (watched.twin, watched.key):
        kms.cancel_key_deletion(KeyId=key)
        kms.disable_key(KeyId=key)
    watched.notices()
    with pytest.raises(ClientError, match="is disabled"):
        kms.encrypt(KeyId=watched.key, Plaintext=b"text")
    assert watched.notices() == []


def test_throttling_raises_the_alarm_at_the_threshold(watched: Watched) -> None:
    kms = watched.aws.client("kms", config=Config(retries={"total_max_attempts": 1}))
    watched.aws.inject_faults({"kind": "throttle", "service": "kms", "times": 2})
    for published in (0, 1):
        with pytest.raises(ClientError, match="ThrottlingException"):
            kms.list_keys()
        found = [json.loads(notice) for notice in watched.notices()]
        assert [it["NewStateValue"] for it in found] == ["ALARM"] * published
    watched.aws.inject_faults()


def test_material_about_to_expire_raises_the_alarm_and_its_end_is_notified_of(watched: Watched) -> None:
    kms = watched.aws.client("kms")
    twin = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    for key, days in ((watched.imported, 31), (twin, 1)):
        _import(kms, key, time.time() + days * 86400)
    assert _states(watched.aws) == {"Expiry1": "OK", "Expiry2": "OK"}
    assert watched.notices() == []
    _import(kms, watched.imported, time.time() + 2)
    assert _states(watched.aws) == {"Expiry1": "OK", "Expiry2": "ALARM"}
    (raised,) = watched.notices()
    assert json.loads(raised)["Trigger"]["MetricName"] == "SecondsUntilKeyMaterialExpiration"
    time.sleep(2.1)
    kms.describe_key(KeyId=watched.imported)
    (ended,) = watched.notices()
    assert ended.startswith(f"Deleted: KMS Imported Key Material Expiration: {watched.imported} at ")
    _import(kms, watched.imported, None)
    kms.delete_imported_key_material(KeyId=watched.imported)
    (deleted,) = watched.notices()
    assert deleted.startswith(f"Changed: DeleteImportedKeyMaterial on {watched.imported}")


def _import(kms: Any, key: str, until: float | None) -> None:
    given = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    public: Any = load_der_public_key(given["PublicKey"])
    wrapped = public.encrypt(bytes(32), padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    model = {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": until}
    expiry = model if until else {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    kms.import_key_material(KeyId=key, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped, **expiry)


def _states(aws: LocalAws) -> dict[str, str]:
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="KeyWatchTest")["MetricAlarms"]
    names = {
        re.sub(r"KeyWatchTest-Watch(\w+)[0-9A-F]{8}-.*", r"\1", it["AlarmName"]): it["StateValue"] for it in alarms
    }
    return {name: state for name, state in names.items() if name.startswith("Expiry")}


# As AWS's pages show them: https://docs.aws.amazon.com/kms/latest/developerguide/kms-events.html
# https://docs.aws.amazon.com/config/latest/developerguide/monitor-config-with-cloudwatchevents.html
def _direct(watched: Watched, key: str) -> dict[str, dict[str, Any]]:
    frame = {
        "version": "0", "id": "e9ce3425-7d22-412a-a699-e7a5fc3fbc9a", "account": watched.aws.account,
        "time": "2026-11-26T01:00:00Z", "region": watched.aws.region,
    }  # fmt: skip
    key_id = key.rpartition("/")[2]
    compliance = {
        "resourceId": key_id, "resourceType": "AWS::KMS::Key", "configRuleName": "cmk-backing-key-rotation-enabled",
        "messageType": "ComplianceChangeNotification", "newEvaluationResult": {"complianceType": "NON_COMPLIANT"},
    }  # fmt: skip
    compliant = {**compliance, "newEvaluationResult": {"complianceType": "COMPLIANT"}}
    kms = {**frame, "source": "aws.kms", "resources": [key], "detail": {"key-id": key_id}}
    config = {**frame, "source": "aws.config", "detail-type": "Config Rules Compliance Change", "resources": []}
    return {
        "key deleted": {**kms, "detail-type": "KMS CMK Deletion"},
        "key rotated": {**kms, "detail-type": "KMS CMK Rotation"},
        "rotation missing": {**config, "detail": compliance},
        "rotation as it must be": {**config, "detail": compliant},
    }


@pytest.mark.parametrize("event", ["key deleted", "rotation missing", "key rotated", "rotation as it must be"])
def test_event_that_aws_alone_can_send_matches_the_rule_that_notifies(event: str, watched: Watched) -> None:
    client = watched.aws.client("events")
    rules = [rule for rule in client.list_rules(NamePrefix="KeyWatchTest")["Rules"] if "EventPattern" in rule]
    wanted = event in {"key deleted", "rotation missing"}
    for key, matching in ((watched.key, int(wanted)), (watched.twin, 0)):
        sent = json.dumps(_direct(watched, key)[event])
        found = [client.test_event_pattern(EventPattern=rule["EventPattern"], Event=sent)["Result"] for rule in rules]
        assert sum(found) == matching


@pytest.mark.parametrize(("event", "rule", "text"), [
    ("key deleted", "Deleted", "Deleted: KMS CMK Deletion: "),
    ("rotation missing", "FoundByConfig", "FoundByConfig: Config Rules Compliance Change: "),
])  # fmt: skip
def test_event_that_aws_alone_can_send_is_notified_of(event: str, rule: str, text: str, watched: Watched) -> None:
    """The deployed rule listens to a source that we may send from, and keeps the rest of its pattern and its target."""
    client = watched.aws.client("events")
    (deployed,) = client.list_rules(NamePrefix=f"KeyWatchTest-Watch{rule}")["Rules"]
    ours = {**json.loads(deployed["EventPattern"]), "source": ["test.sender"]}
    client.put_rule(Name=deployed["Name"], EventPattern=json.dumps(ours))
    for key, told in ((watched.twin, 0), (watched.key, 1)):
        sent, key_id = _direct(watched, key)[event], key.rpartition("/")[2]
        parts = {"DetailType": sent["detail-type"], "Detail": json.dumps(sent["detail"])}
        client.put_events(Entries=[{"Source": "test.sender", "Resources": sent["resources"], **parts}])
        assert [it.startswith(text) and key_id in it for it in watched.notices()] == [True] * told
    client.put_rule(Name=deployed["Name"], EventPattern=deployed["EventPattern"])


def test_topic_without_its_key_publishes_nothing(watched: Watched) -> None:
    kms = watched.aws.client("kms")
    kms.enable_key(KeyId=watched.key)
    policy = kms.get_key_policy(KeyId=watched.outputs["NoticesKey"])["Policy"]
    parts = json.loads(policy)
    parts["Statement"] = [item for item in parts["Statement"] if "Notifications" not in item["Sid"]]
    kms.put_key_policy(KeyId=watched.outputs["NoticesKey"], Policy=json.dumps(parts))
    kms.disable_key(KeyId=watched.key)
    assert watched.notices() == []
    kms.put_key_policy(KeyId=watched.outputs["NoticesKey"], Policy=policy)
    kms.enable_key(KeyId=watched.key)
    kms.disable_key(KeyId=watched.key)
    assert len(watched.notices()) == 1


def faults_of(widget: dict[str, Any], existing: set[str]) -> list[str]:
    """What CloudWatch would refuse, or show nothing for.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    properties, kind = widget["properties"], widget["type"]
    needed = {"alarm": {"alarms"}, "log": {"query", "region", "view"}, "metric": {"metrics", "region"}, "text": set()}
    found = [f"no {name}" for name in {*needed[kind], *({"markdown"} if kind == "text" else {"title"})} - {*properties}]
    if not (widget["x"] >= 0 and 1 <= widget["width"] <= 24 - widget["x"] and 1 <= widget["height"] <= 1000):
        found.append("outside the grid of 24 columns")
    named = [*properties.get("alarms", []), *re.findall("SOURCE '([^']+)'", properties.get("query", ""))]
    named += [metric[3] for metric in properties.get("metrics", [])]
    return [*found, *(f"{name} does not exist" for name in named if name not in existing)] + (
        ["names nothing"] if kind != "text" and not named else []
    )


def test_dashboard_is_valid_and_shows_calls_refusals_and_cost(watched: Watched) -> None:
    cloudwatch, events = watched.aws.client("cloudwatch"), watched.aws.client("events")
    body = cloudwatch.get_dashboard(DashboardName=watched.outputs["Dashboard"])["DashboardBody"]
    widgets = json.loads(body)["widgets"]
    existing = {it["AlarmArn"] for it in cloudwatch.describe_alarms()["MetricAlarms"]} | {watched.outputs["Calls"]}
    existing |= {rule["Name"] for rule in events.list_rules()["Rules"]}
    assert [faults_of(widget, existing) for widget in widgets] == [[]] * len(widgets)
    for broken, fault in (({"x": 20}, "outside the grid of 24 columns"), ({"properties": {}}, "names nothing")):
        assert fault in faults_of({**widgets[0], **broken}, existing)
    assert faults_of(widgets[0], set())
    assert {(it["type"], it["properties"].get("title")) for it in widgets} == {
        ("alarm", "Alarms"), ("log", "Calls by operation"), ("log", "Cost of the calls in dollars an hour"),
        ("log", "Calls by caller"), ("log", "Refused and throttled calls"),
        ("metric", "Events not delivered"), ("text", None),
    }  # fmt: skip
    cost = next(it for it in widgets if "Cost" in it["properties"].get("title", ""))
    assert cost["properties"]["query"].endswith("| stats count(*) as calls, calls * 0.000003 as dollars by bin(1h)")


def whole(item: Mapping[str, Any]) -> str:
    """A statement as text without its Sid, so that statements compare whole; the order in lists means nothing."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(inner) for name, inner in value.items()}
        return sorted([value] if isinstance(value, str) else value)

    return json.dumps({name: plain(value) for name, value in item.items() if name != "Sid"}, sort_keys=True)


def stated(watched: Watched) -> list[str]:
    """Every statement of the deployed topic and log group, and those of the topic's key but what every key has."""
    sns, logs, kms = (watched.aws.client(name) for name in ("sns", "logs", "kms"))
    topic, key = watched.outputs["Topic"], watched.outputs["NoticesKey"]
    found = json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])["Statement"]
    for policy in logs.describe_resource_policies()["resourcePolicies"]:
        found += json.loads(policy["policyDocument"])["Statement"]
    of_key = json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Statement"]
    assert [it["Sid"] for it in of_key[: len(EVERY_KEY)]] == EVERY_KEY
    return sorted(map(whole, [*found, *of_key[len(EVERY_KEY) :]]))


EVERY_KEY = ["AccountAdministration", "DenyCreateGrantExceptForAwsServices", "DenyPolicyLockoutSafetyBypass"]


def allowed(service: str | list[str], actions: str | list[str], resource: str, **condition: Any) -> dict[str, Any]:
    names = service if isinstance(service, list) else [service]
    found = {"Principal": {"Service": [f"{it}.amazonaws.com" for it in names]}, "Resource": resource}
    return {"Effect": "Allow", "Action": actions, **found, **({"Condition": condition} if condition else {})}


def test_deployed_watch_gives_exactly_these_permissions(watched: Watched) -> None:
    events, sns = watched.aws.client("events"), watched.aws.client("sns")
    rules = {rule["Name"]: rule["Arn"] for rule in events.list_rules(NamePrefix="KeyWatchTest")["Rules"]}
    targets = {arn: events.list_targets_by_rule(Rule=name)["Targets"][0]["Arn"] for name, arn in rules.items()}
    topic, calls = watched.outputs["Topic"], watched.outputs["Calls"]
    account, region = watched.aws.account, watched.aws.region
    alarms = watched.aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="KeyWatchTest")["MetricAlarms"]
    publishing = {arn for arn, target in targets.items() if target == topic}
    group, source = f"arn:aws:logs:{region}:{account}:log-group:{calls}:*", "aws:SourceArn"
    context, of_topics = "kms:EncryptionContext:aws:{}:{}", f"arn:aws:sns:{region}:{account}:*"
    uses = ["Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"]
    insecure = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic}
    wanted = [
        {**insecure, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        allowed("events", "sns:Publish", topic, ArnEquals={source: publishing}),
        allowed("cloudwatch", "sns:Publish", topic, ArnEquals={source: {it["AlarmArn"] for it in alarms}}),
        allowed("events", "logs:CreateLogStream", group),
        allowed("events", "logs:PutLogEvents", group, ArnEquals={source: {*targets} - publishing}),
        allowed(
            ["cloudwatch", "events"], ["kms:Decrypt", "kms:GenerateDataKey"], "*",
            ArnLike={context.format("sns", "topicArn"): of_topics},
        ),
        allowed(
            f"logs.{region}", [f"kms:{use}" for use in uses], "*",
            ArnLike={context.format("logs", "arn"): f"arn:aws:logs:{region}:{account}:log-group:*"},
        ),
    ]  # fmt: skip
    assert stated(watched) == sorted(map(whole, wanted))
    before = sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    first, publish, *others = json.loads(before)["Statement"]
    arns = publish["Condition"]["ArnEquals"]
    for other in (
        {"Condition": {"ArnNotEquals": arns}},
        {"Condition": {"ArnEquals": {"aws:PrincipalArn": arns["aws:SourceArn"]}}},
        {"Effect": "Deny"}, {"Principal": "*"}, {"Principal": {"AWS": f"arn:aws:iam::{account}:root"}},
    ):  # fmt: skip
        more = {**publish, **other}
        for statements in ([first, more, *others], [first, publish, *others, {**more, "Sid": "More"}]):
            changed = json.dumps({"Version": "2012-10-17", "Statement": statements})
            sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=changed)
            assert stated(watched) != sorted(map(whole, wanted)), other
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=before)
