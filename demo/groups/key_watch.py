"""A watched key: what is done to it is published, who was refused is recorded, and the watch has no role."""

import json
from typing import Any

from demo.principals import administrator, client, other_role
from demo.scenario import Group, Stage

STACK = "KeyWatch"
_QUEUE = "kms-patterns-demo-notices"

watching = Group("Watched keys: changes and refusals reach an encrypted topic", order=165)


def _notices(stage: Stage) -> list[str]:
    """Return what was published since the last call; the queue subscribes when it is first asked for."""
    queues = stage.aws.client("sqs")
    if _QUEUE not in stage.notes:
        topic, url = stage.output(STACK, "TopicArn"), queues.create_queue(QueueName=_QUEUE)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns = {"Service": "sns.amazonaws.com"}
        allowed = {"Effect": "Allow", "Principal": sns, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        stage.aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        stage.notes[_QUEUE] = url
    found: list[str] = []
    while messages := queues.receive_message(QueueUrl=stage.notes[_QUEUE], MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"])["Message"].strip('"'))
            queues.delete_message(QueueUrl=stage.notes[_QUEUE], ReceiptHandle=message["ReceiptHandle"])
    return found


def _shown(notices: list[str]) -> str:
    """Return kind and call of each notice, or the alarm's metric and state."""
    words = [json.loads(notice) if notice.startswith("{") else notice.split(" on ")[0] for notice in notices]
    return "; ".join(it if isinstance(it, str) else it["NewStateValue"] for it in words) or "no notice"


@watching.scenario("administrator", "disables the key", "Changed: DisableKey")
def disabled_key_is_notified_of(stage: Stage) -> str:
    _notices(stage)
    administrator(stage, "kms").disable_key(KeyId=stage.output(STACK, "KeyArn"))
    return _shown(_notices(stage))


@watching.scenario("administrator", "enables the key and describes it", "no notice")
def enabled_key_is_not_notified_of(stage: Stage) -> str:
    kms = administrator(stage, "kms")
    kms.enable_key(KeyId=stage.output(STACK, "KeyArn"))
    kms.describe_key(KeyId=stage.output(STACK, "KeyArn"))
    return _shown(_notices(stage))


@watching.scenario("administrator", "puts the key policy again", "Changed: PutKeyPolicy")
def changed_key_policy_is_notified_of(stage: Stage) -> str:
    kms, key = administrator(stage, "kms"), stage.output(STACK, "KeyArn")
    kms.put_key_policy(KeyId=key, Policy=kms.get_key_policy(KeyId=key)["Policy"])
    return _shown(_notices(stage))


@watching.scenario(
    "user, then another role three times",
    "encrypts",
    "one encrypted; AccessDeniedException: no notice, no notice, ALARM",
)
def refusals_raise_the_alarm(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    client(stage, "kms", STACK, "UserRoleArn").encrypt(KeyId=key, Plaintext=b"text")
    stranger = other_role(stage, "kms", "kms-patterns-demo-stranger", [("kms:Encrypt", "*")])
    codes: set[str] = set()
    seen: list[str] = []
    for _ in range(3):
        try:
            stranger.encrypt(KeyId=key, Plaintext=b"text")
        except stranger.exceptions.ClientError as refused:
            codes.add(refused.response["Error"]["Code"])
            seen.append(_shown(_notices(stage)))
    return f"one encrypted; {', '.join(codes)}: {', '.join(seen)}"


@watching.scenario("responder", "reads who was refused", "kms-patterns-demo-stranger: 3 refused; kms: refused")
def responder_reads_calls_and_uses_no_key(stage: Stage) -> str:
    calls = _calls(client(stage, "logs", STACK, "ResponderRoleArn"), stage)
    refused = [
        call["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"]
        for call in calls
        if call.get("errorCode") == "AccessDenied"
    ]
    kms: Any = client(stage, "kms", STACK, "ResponderRoleArn")
    try:
        kms.encrypt(KeyId=stage.output(STACK, "KeyArn"), Plaintext=b"text")
        own = "encrypted"
    except kms.exceptions.ClientError:
        own = "refused"
    return f"{', '.join(sorted(set(refused)))}: {len(refused)} refused; kms: {own}"


def _calls(logs: Any, stage: Stage) -> list[dict[str, Any]]:
    found = logs.filter_log_events(logGroupName=stage.output(STACK, "CallsLogGroupName"))["events"]
    return [json.loads(event["message"])["detail"] for event in found]


@watching.refused("user", "reads the recorded calls", "AccessDeniedException")
def user_may_not_read_calls(stage: Stage) -> str:
    return f"{len(_calls(client(stage, 'logs', STACK, 'UserRoleArn'), stage))} calls"


@watching.scenario(
    "administrator",
    "schedules the key's deletion, the user encrypts, the deletion is cancelled",
    "Changed: ScheduleKeyDeletion; UsedWhilePendingDeletion: Encrypt",
)
def use_while_pending_deletion_is_notified_of(stage: Stage) -> str:
    kms, key = administrator(stage, "kms"), stage.output(STACK, "KeyArn")
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)
    user = client(stage, "kms", STACK, "UserRoleArn")
    try:
        user.encrypt(KeyId=key, Plaintext=b"text")
    except user.exceptions.KMSInvalidStateException:
        return _shown(_notices(stage))
    finally:
        kms.cancel_key_deletion(KeyId=key)
        kms.enable_key(KeyId=key)
    return "encrypted"
