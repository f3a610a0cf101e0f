"""What SQS and SNS refuse for the content of a request: names, attributes, sizes, and what stands there already.

AWS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping

from kms_patterns.local.server.authorization.resource_policies import TOPIC_ACTIONS
from kms_patterns.local.server.emulator.emulator import RESPONSES, SNS, SQS, reach
from kms_patterns.local.server.requests.iam_rules import Params, Refusal

_SQS_ACTIONS = frozenset({
    "*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues",
    "PurgeQueue", "ReceiveMessage", "SendMessage",
})  # fmt: skip
_QUEUE_ATTRIBUTES = frozenset({
    "ContentBasedDeduplication", "DeduplicationScope", "DelaySeconds", "FifoQueue", "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "MaximumMessageSize", "MessageRetentionPeriod", "Policy",
    "ReceiveMessageWaitTimeSeconds", "RedriveAllowPolicy", "RedrivePolicy", "SqsManagedSseEnabled",
    "VisibilityTimeout",
})  # fmt: skip


def _queue(params: Params) -> Iterator[Refusal]:
    attributes = params.get("Attributes") or {}
    for name in attributes:
        if name not in _QUEUE_ATTRIBUTES:
            yield "InvalidAttributeName", f"Unknown Attribute {name}."
    if attributes.get("KmsMasterKeyId") and str(attributes.get("SqsManagedSseEnabled", "")).lower() == "true":
        said = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS"
        yield "InvalidAttributeValue", f"{said} SSE."
    yield from _dead_letters(attributes, str(params.get("QueueName") or params.get("QueueUrl") or ""))
    if _recently("DeleteQueue", str(params.get("QueueName"))):
        said = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
        yield "AWS.SimpleQueueService.QueueDeletedRecently", said
    if "QueueName" in params and not re.fullmatch(r"[\w-]{1,80}|[\w-]{1,75}\.fifo", str(params["QueueName"]), re.ASCII):
        said = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        yield "InvalidParameterValue", said


_PAUSE = 60
# When queues were deleted and purged, by operation, Region and name.
_ended: dict[tuple[str, str, str], float] = {}


def _recently(operation: str, queue: str) -> bool:
    return time.monotonic() - _ended.get((operation, reach(RESPONSES, "get_region")(), queue), -_PAUSE) < _PAUSE


def _ending(operation: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        queue = _held(params)
        if operation == "PurgeQueue" and _recently(operation, queue.get("name", "")):
            said = f"Only one PurgeQueue operation on {params.get('QueueUrl')} is allowed every 60 seconds."
            yield "AWS.SimpleQueueService.PurgeQueueInProgress", said
        if queue:
            _ended[operation, reach(RESPONSES, "get_region")(), queue["name"]] = time.monotonic()

    return check


def _held(params: Params) -> Params:
    """Return the queue that a request names, without members if there is not one: SQS itself refuses that."""
    try:
        return dict(reach(SQS, "_get_q")(str(params.get("QueueUrl"))))
    except reach(SQS, "_Err"):
        return {}


def _dead_letters(attributes: Params, queue: str) -> Iterator[Refusal]:
    try:
        target = str(json.loads(attributes.get("RedrivePolicy") or "{}").get("deadLetterTargetArn") or "")
    except (ValueError, AttributeError):
        return
    found = target and reach(SQS, "_queue_by_arn")(target)
    if not found:
        return
    fifo = queue.endswith(".fifo") or str(attributes.get("FifoQueue", "")).lower() == "true"
    if target.endswith(".fifo") != fifo:
        yield _bad("RedrivePolicy", "Dead letter target owner and source must be of one type")
    allowed = json.loads(found["attributes"].get("RedriveAllowPolicy") or "{}")
    own = f"{target.rpartition(':')[0]}:{queue.rpartition('/')[2]}"
    by_name = allowed.get("redrivePermission") == "byQueue" and own not in allowed.get("sourceQueueArns", ())
    if by_name or allowed.get("redrivePermission") == "denyAll":
        yield _bad("RedrivePolicy", "the RedriveAllowPolicy of the dead-letter queue does not allow it")


def _bad(member: str, reason: str) -> Refusal:
    return "InvalidParameterValue", f"Value for parameter {member} is invalid. Reason: {reason}."


_RANGES = {
    "DelaySeconds": (0, 900), "VisibilityTimeout": (0, 43200), "WaitTimeSeconds": (0, 20),
}  # fmt: skip
_MOST_ATTRIBUTES, _MOST_TAGS = 10, 50


def _messages(params: Params) -> Iterator[Refusal]:
    for entry in (params, *(params.get("Entries") or ())):
        for member, (least, most) in _RANGES.items():
            if not least <= int(entry.get(member) or 0) <= most:
                yield _bad(member, f"Must be between {least} and {most}")
        named = entry.get("MessageAttributes") or {}
        if len(named) > _MOST_ATTRIBUTES or any(it.lower().startswith(("aws.", "amazon.")) for it in named):
            yield _bad("MessageAttributes", f"at most {_MOST_ATTRIBUTES}, none of which begins with AWS. or Amazon.")


def _queue_tags(params: Params) -> Iterator[Refusal]:
    held = _held(params).get("tags") or {}
    if len({*held, *(params.get("Tags") or ())}) > _MOST_TAGS:
        yield _bad("Tags", f"a queue has at most {_MOST_TAGS}")


def _label(params: Params) -> Iterator[Refusal]:
    queue = _held(params)
    statements = json.loads(queue.get("attributes", {}).get("Policy") or "{}").get("Statement") or []
    listed = statements if isinstance(statements, list) else [statements]
    if queue and params.get("Label") not in {it.get("Sid") for it in listed}:
        yield _bad("Label", "can't find label")


def _queue_permission(params: Params) -> Iterator[Refusal]:
    for action in params.get("Actions") or []:
        if action not in _SQS_ACTIONS:
            said = (
                f"Value SQS:{action} for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL"
            )
            yield "InvalidParameterValue", f"{said} for a list of valid actions."


_PROTOCOLS = frozenset({"application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"})
_TOPIC_ATTRIBUTES = re.compile(
    r"ArchivePolicy|ContentBasedDeduplication|DeliveryPolicy|DisplayName|FifoThroughputScope|FifoTopic|KmsMasterKeyId"
    r"|Policy|SignatureVersion|TracingConfig|(Application|Firehose|HTTP|Lambda|SQS)(Success|Failure)Feedback\w+"
)


def _topic(params: Params) -> Iterator[Refusal]:
    if "Name" in params and not re.fullmatch(r"[\w-]{1,256}|[\w-]{1,251}\.fifo", str(params["Name"]), re.ASCII):
        yield "InvalidParameter", "Invalid parameter: Topic Name"
    named = [str(params.get("AttributeName") or "")]
    named += [str(value) for name, value in params.items() if re.fullmatch(r"Attributes\.entry\.\d+\.key", name)]
    if any(name and not _TOPIC_ATTRIBUTES.fullmatch(name) for name in named):
        yield "InvalidParameter", "Invalid parameter: AttributeName"


def _subscription(params: Params) -> Iterator[Refusal]:
    if params.get("Protocol") not in _PROTOCOLS:
        said = f"Amazon SNS does not support this protocol string: {params.get('Protocol')}"
        yield "InvalidParameter", f"Invalid parameter: {said}"
        return
    protocol, endpoint = str(params["Protocol"]), str(params.get("Endpoint") or "")
    if not re.fullmatch(_ENDPOINTS.get(protocol, rf"arn:[\w-]+:{protocol}:.+"), endpoint):
        yield "InvalidParameter", f"Invalid parameter: {protocol.upper()} endpoint {endpoint}"
    if str(params.get("TopicArn", "")).endswith(".fifo") and protocol != "sqs":
        yield "InvalidParameter", f"Invalid parameter: Invalid protocol type: {protocol}"


_ENDPOINTS = {
    "application": "arn:.+", "email": ".+@.+", "email-json": ".+@.+", "http": "http://.+", "https": "https://.+",
    "sms": r"\+?[\d ().-]+",
}  # fmt: skip
_SUBSCRIPTION_ATTRIBUTES = frozenset({
    "DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "ReplayPolicy",
    "SubscriptionRoleArn",
})  # fmt: skip


def _subscription_attribute(params: Params) -> Iterator[Refusal]:
    if params.get("AttributeName") not in _SUBSCRIPTION_ATTRIBUTES:
        yield "InvalidParameter", "Invalid parameter: AttributeName"


def _topic_again(params: Params) -> Iterator[Refusal]:
    topics = reach(SNS, "_topics")
    found = next((it for arn, it in topics.items() if arn.endswith(f":{params.get('Name')}")), None)
    pairs = {
        kind: {params[name]: params.get(re.sub("[kK]ey$", last, name)) for name in params if re.fullmatch(form, name)}
        for kind, form, last in (
            ("attributes", r"Attributes\.entry\.\d+\.key", "value"),
            ("tags", r"Tags\.member\.\d+\.Key", "Value"),
        )
    }
    for kind, given in pairs.items() if found else ():
        held = (found or {}).get(kind) or {}
        held = {it["Key"]: it["Value"] for it in held} if isinstance(held, list) else held
        if any(str(held.get(name)) != value for name, value in given.items()):
            yield (
                "InvalidParameter",
                f"Invalid parameter: {kind.title()} Reason: Topic already exists with different {kind}",
            )


def _message(params: Params) -> Iterator[Refusal]:
    # PublishBatch needs the permission of Publish, and has the members of each entry.
    batch = re.compile(r"PublishBatchRequestEntries\.member\.\d+\.(?=Id$)")
    for entry in [found[0] for found in map(batch.match, params) if found] or [""]:
        text, subject = str(params.get(f"{entry}Message") or ""), params.get(f"{entry}Subject")
        if not text:
            yield "InvalidParameter", "Invalid parameter: Empty message"
        if subject is not None and not re.fullmatch(r"[^\x00-\x1f\x7f]{1,100}", str(subject)):
            yield "InvalidParameter", "Invalid parameter: Subject"
        if params.get(f"{entry}MessageStructure") == "json" and '"default"' not in text:
            yield "InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body"


def _topic_permission(params: Params) -> Iterator[Refusal]:
    named = [str(value) for name, value in params.items() if name.startswith("ActionName.member.")]
    if any(name not in TOPIC_ACTIONS for name in named):
        yield "InvalidParameter", "Invalid parameter: Policy statement action out of service scope!"


MESSAGE_RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    "sqs:CreateQueue": (_queue,),
    "sqs:SetQueueAttributes": (_queue,),
    "sqs:AddPermission": (_queue_permission,),
    "sqs:RemovePermission": (_label,),
    "sqs:TagQueue": (_queue_tags,),
    **{f"sqs:{name}": (_ending(name),) for name in ("DeleteQueue", "PurgeQueue")},
    **{f"sqs:{name}": (_messages,) for name in ("ChangeMessageVisibility", "ReceiveMessage", "SendMessage")},
    "sns:CreateTopic": (_topic, _topic_again),
    "sns:SetSubscriptionAttributes": (_subscription_attribute,),
    "sns:SetTopicAttributes": (_topic,),
    "sns:Subscribe": (_subscription,),
    "sns:Publish": (_message,),
    "sns:AddPermission": (_topic_permission,),
}
"""By action, what yields the refusals of a request."""
