"""What services refuse for the content of a request, beyond botocore's models, where the emulator accepts it.

Names, sizes, quotas and members that exclude each other, of the services that the patterns of this project use.

AWS: the page of each operation, such as
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

from kms_patterns.local.server.authorization.resource_policies import TOPIC_ACTIONS
from kms_patterns.local.server.emulator.acting import NotPermitted
from kms_patterns.local.server.emulator.emulator import EVENTS, RESPONSES, SSM, reach
from kms_patterns.local.server.requests.iam_rules import RULES as IAM_RULES
from kms_patterns.local.server.requests.iam_rules import Params, Refusal
from kms_patterns.local.server.services.event_targets import require_own_policy
from kms_patterns.local.server.services.step_functions import input_refusals, machine_refusals


def _parameter(params: Params) -> Iterator[Refusal]:
    name, value = str(params.get("Name", "")), str(params.get("Value", ""))
    kind, stored = params.get("Type"), reach(SSM, "_parameters").get(name) or {}
    if not re.fullmatch(r"(arn:[\w:-]+:parameter)?[\w./-]+", name, re.ASCII):
        allowed = "Only a mix of letters, numbers and the following 4 symbols .-_/ are allowed."
        yield "ValidationException", f"Parameter name: {allowed}"
    if name.count("/") > _MOST_LEVELS:
        yield "HierarchyLevelLimitExceededException", f"A parameter name has at most {_MOST_LEVELS} levels."
    if not value:
        failed = "failed to satisfy constraint: Member must have length greater than or equal to 1."
        yield "ValidationException", f"1 validation error detected: Value '' at 'value' {failed}"
    if params.get("KeyId") and (kind or stored.get("Type")) != "SecureString":
        yield "ValidationException", "KeyId is required for SecureString type parameter only."
    # The type of a name outside a hierarchy may change.
    if kind and stored and params.get("Overwrite") and "/" in name and kind != stored.get("Type"):
        yield "HierarchyTypeMismatchException", f"The parameter type cannot be changed from {stored.get('Type')}."
    advanced = params.get("Tier") in {"Advanced", "Intelligent-Tiering"} or stored.get("Tier") == "Advanced"
    most = 8192 if advanced else 4096
    if len(value.encode()) > most:
        tier = "Advanced" if advanced else "Standard"
        yield "ValidationException", f"{tier} tier parameters support a maximum parameter value of {most} characters."
    pattern = str(params.get("AllowedPattern") or "")
    try:
        matched = not pattern or re.search(pattern, value) is not None
    except re.error:
        yield "InvalidAllowedPatternException", f"AllowedPattern {pattern} is not a regular expression."
        return
    if not matched:
        said = f"Parameter value, cannot be validated against allowedPattern: {pattern}"
        yield "ParameterPatternMismatchException", said


_MOST_LEVELS = 15


def _secret(params: Params) -> Iterator[Refusal]:
    if params.get("SecretString") is not None and params.get("SecretBinary") is not None:
        said = "You can't specify both a binary secret value and a string secret value in the same secret."
        yield "InvalidParameterException", said
    name = str(params.get("Name") or "x")
    if not re.fullmatch(r"[-/_+=.@!\w]+", name, re.ASCII):
        said = "Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
        yield "ValidationException", f"Invalid name. {said}"


def _secret_policy(params: Params) -> Iterator[Refusal]:
    if not params.get("BlockPublicPolicy"):
        return
    found = json.loads(params.get("ResourcePolicy") or "{}").get("Statement") or []
    for statement in found if isinstance(found, list) else [found]:
        everyone = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        if everyone and statement.get("Effect") == "Allow" and not statement.get("Condition"):
            said = "You can't put a resource policy that allows public access to the secret."
            yield "PublicPolicyException", said


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
    if "QueueName" in params and not re.fullmatch(r"[\w-]{1,80}|[\w-]{1,75}\.fifo", str(params["QueueName"]), re.ASCII):
        said = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        yield "InvalidParameterValue", said


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


def _message(params: Params) -> Iterator[Refusal]:
    text, subject = str(params.get("Message") or ""), params.get("Subject")
    if not text:
        yield "InvalidParameter", "Invalid parameter: Empty message"
    if subject is not None and not re.fullmatch(r"[^\x00-\x1f\x7f]{1,100}", str(subject)):
        yield "InvalidParameter", "Invalid parameter: Subject"
    if params.get("MessageStructure") == "json" and '"default"' not in text:
        yield "InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body"


def _topic_permission(params: Params) -> Iterator[Refusal]:
    named = [str(value) for name, value in params.items() if name.startswith("ActionName.member.")]
    if any(name not in TOPIC_ACTIONS for name in named):
        yield "InvalidParameter", "Invalid parameter: Policy statement action out of service scope!"


_SCHEDULE = re.compile(r"cron\([^()]+\)|rate\((1 (minute|hour|day)|(?!1 )[1-9]\d* (minutes|hours|days))\)")


def _rule(params: Params) -> Iterator[Refusal]:
    schedule, bus = params.get("ScheduleExpression"), params.get("EventBusName") or "default"
    if not schedule and not params.get("EventPattern"):
        yield "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."
    if schedule and not _SCHEDULE.fullmatch(str(schedule)):
        yield "ValidationException", "Parameter ScheduleExpression is not valid."
    if schedule and str(bus).rpartition("/")[2] != "default":
        yield "ValidationException", "ScheduleExpression is supported only on the default event bus."


def _rule_deletion(params: Params) -> Iterator[Refusal]:
    bus = str(params.get("EventBusName") or "default").rpartition("/")[2]
    key = reach(EVENTS, "_rule_key")(str(params.get("Name", "")), bus)
    if reach(EVENTS, "_targets").get(key):
        yield "ValidationException", "Rule can't be deleted since it has targets."


def _log_events(params: Params) -> Iterator[Refusal]:
    times = [event.get("timestamp", 0) for event in params.get("logEvents") or []]
    if times != sorted(times):
        said = "Log events in a single PutLogEvents request must be in chronological order."
        yield "InvalidParameterException", said


def _subscription_filter(params: Params) -> Iterator[Refusal]:
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    group = f"arn:aws:logs:{here}:log-group:{params.get('logGroupName')}:*"
    function = str(params.get("destinationArn") or "")
    regional = f"logs.{reach(RESPONSES, 'get_region')()}.amazonaws.com"
    if not any(_lets(function, principal, group) for principal in ("logs.amazonaws.com", regional)):
        said = "Make sure you have given CloudWatch Logs permission to execute your function."
        yield "InvalidParameterException", f"Could not execute the lambda function. {said}"


def _rotation(params: Params) -> Iterator[Refusal]:
    function = str(params.get("RotationLambdaARN") or "")
    if not _lets(function, "secretsmanager.amazonaws.com", str(params.get("SecretId"))):
        said = "Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."
        yield "AccessDeniedException", f"Secrets Manager cannot invoke the specified Lambda function. {said}"


def _lets(function: str, principal: str, source: str) -> bool:
    if ":function:" not in function:
        return True
    try:
        require_own_policy("lambda", function, principal, source)
    except NotPermitted:
        return False
    return True


_MOST_TARGETS = 5


def _targets(params: Params) -> Iterator[Refusal]:
    bus = str(params.get("EventBusName") or "default").rpartition("/")[2]
    stored = reach(EVENTS, "_targets").get(reach(EVENTS, "_rule_key")(str(params.get("Rule", "")), bus)) or []
    named = {it.get("Id") for it in (*stored, *(params.get("Targets") or []))}
    if len(named) > _MOST_TARGETS:
        yield "LimitExceededException", "The requested resource exceeds the maximum number allowed."


def _table(params: Params) -> Iterator[Refusal]:
    encryption = params.get("SSESpecification") or {}
    if encryption.get("SSEType", "KMS") != "KMS":
        yield "ValidationException", f"One or more parameter values were invalid: SSEType {encryption['SSEType']}"
    if "KMSMasterKeyId" in json.dumps(params.get("ReplicaUpdates")):
        yield "ValidationException", "The embedded AWS makes no replica of a table under a key."
    if encryption.get("KMSMasterKeyId") and not encryption.get("Enabled"):
        said = "One or more parameter values were invalid: KMSMasterKeyId needs SSESpecification to be enabled"
        yield "ValidationException", said


_RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    "ssm:PutParameter": (_parameter,),
    **dict.fromkeys(
        ("secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret"), (_secret,)
    ),
    "secretsmanager:PutResourcePolicy": (_secret_policy,),
    "sqs:CreateQueue": (_queue,),
    "sqs:SetQueueAttributes": (_queue,),
    "sqs:AddPermission": (_queue_permission,),
    "sns:CreateTopic": (_topic,),
    "sns:SetTopicAttributes": (_topic,),
    "sns:Subscribe": (_subscription,),
    "sns:Publish": (_message,),
    "sns:AddPermission": (_topic_permission,),
    "events:PutRule": (_rule,),
    "events:DeleteRule": (_rule_deletion,),
    "events:PutTargets": (_targets,),
    "logs:PutSubscriptionFilter": (_subscription_filter,),
    "secretsmanager:RotateSecret": (_rotation,),
    "logs:PutLogEvents": (_log_events,),
    "dynamodb:CreateTable": (_table,),
    "dynamodb:UpdateTable": (_table,),
    **IAM_RULES,
    "states:CreateStateMachine": (machine_refusals,),
    "states:UpdateStateMachine": (machine_refusals,),
    "states:StartExecution": (input_refusals,),
    "states:StartSyncExecution": (input_refusals,),
}


def refused_content(action: str, params: Params) -> Refusal | None:
    """Return code and message of the refusal of a request for its content; None if the service takes it."""
    return next((refusal for rule in _RULES.get(action, ()) for refusal in rule(params)), None)
