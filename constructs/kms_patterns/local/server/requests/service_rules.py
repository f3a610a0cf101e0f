"""What services refuse for the content of a request, beyond botocore's models, where the emulator accepts it.

Names, sizes, quotas and members that exclude each other, of the services that the patterns of this project use.

AWS: the page of each operation, such as
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kms_patterns.local.inspection import lookup_refusals
from kms_patterns.local.server.emulator.acting import NotAssumable, NotPermitted, service_role
from kms_patterns.local.server.emulator.emulator import EVENTS, LAMBDA, LOGS, RESPONSES, SQS, reach
from kms_patterns.local.server.requests.iam_rules import RULES as IAM_RULES
from kms_patterns.local.server.requests.iam_rules import Params, Refusal
from kms_patterns.local.server.requests.message_rules import MESSAGE_RULES
from kms_patterns.local.server.services.event_targets import require_own_policy
from kms_patterns.local.server.services.secret_versions import STORED_RULES
from kms_patterns.local.server.services.state_machine_fields import input_refusals, machine_refusals

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

    held = (reach(LOGS, "_log_groups").get(params.get("logGroupName")) or {}).get("subscriptionFilters") or {}
    if params.get("filterName") not in held and len(held) >= _MOST_FILTERS:
        yield "LimitExceededException", "Resource limit exceeded."


def _unprotected(params: Params) -> Iterator[Refusal]:
    if params.get("deletionProtectionEnabled"):
        yield "ValidationException", "The embedded AWS does not protect log groups against deletion: leave it out here."


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


_MOST_TARGETS, _MOST_FILTERS = 5, 2


def _targets(params: Params) -> Iterator[Refusal]:
    bus = str(params.get("EventBusName") or "default").rpartition("/")[2]
    stored = reach(EVENTS, "_targets").get(reach(EVENTS, "_rule_key")(str(params.get("Rule", "")), bus)) or []
    named = {it.get("Id") for it in (*stored, *(params.get("Targets") or []))}
    if len(named) > _MOST_TARGETS:
        yield "LimitExceededException", "The requested resource exceeds the maximum number allowed."
    yield from (refusal for it in params.get("Targets") or () for refusal in _target(it))


_WITH_ROLE = re.compile(r"arn:[\w-]+:(ecs|execute-api|firehose|kinesis|redshift|ssm|states):")
_INPUTS = ("Input", "InputPath", "InputTransformer")


def _target(target: Params) -> Iterator[Refusal]:
    arn, name = str(target.get("Arn")), target.get("Id")
    if arn.endswith(".fifo") and ":sqs:" in arn and not (target.get("SqsParameters") or {}).get("MessageGroupId"):
        yield "ValidationException", f"Parameter(s) MessageGroupId must be specified for target: {name}."
    if _WITH_ROLE.match(arn) and not target.get("RoleArn"):
        yield "ValidationException", f"RoleArn is required for target {arn}."
    if sum(it in target for it in _INPUTS) > 1:
        yield "ValidationException", f"Only one of Input, InputPath, or InputTransformer must be provided for {name}."
    if target.get("Input") is not None and not _is_json(target["Input"]):
        yield "ValidationException", f"JSON syntax error in input for target {name}"


def _is_json(text: Any) -> bool:
    try:
        json.loads(text)
    except (TypeError, ValueError):
        return False
    return True


_MOST_BYTES = 1 << 20


def _entries(params: Params) -> Iterator[Refusal]:
    entries = params.get("Entries") or []
    if len(json.dumps(entries).encode()) > _MOST_BYTES:
        yield "ValidationException", "Total size of the entries in the request is over the limit."
    for entry in entries:
        # AWS would fail this entry alone; here the whole request, so that no one takes it for sent.
        if not _is_json(entry.get("Detail")):
            yield "MalformedDetail", "Detail is malformed."
        for member in ("DetailType", "Source"):
            if not entry.get(member):
                yield "InvalidArgument", f"Parameter {member} is not valid. Reason: {member} is a required argument."


def _table(params: Params) -> Iterator[Refusal]:
    encryption = params.get("SSESpecification") or {}
    if encryption.get("SSEType", "KMS") != "KMS":
        yield "ValidationException", f"One or more parameter values were invalid: SSEType {encryption['SSEType']}"
    if "KMSMasterKeyId" in json.dumps(params.get("ReplicaUpdates")):
        yield "ValidationException", "The embedded AWS makes no replica of a table under a key."
    if encryption.get("KMSMasterKeyId") and not encryption.get("Enabled"):
        said = "One or more parameter values were invalid: KMSMasterKeyId needs SSESpecification to be enabled"
        yield "ValidationException", said


# By service of an event source: the actions that the function's role needs, the first of which the refusal names.
_POLLING = {
    "dynamodb": ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"),
    "kinesis": ("GetRecords", "GetShardIterator", "DescribeStream", "ListShards"),
    "sqs": ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"),
}
_NAMES = {"dynamodb": "DynamoDB", "kinesis": "Kinesis", "sns": "SNS", "sqs": "SQS"}
_SENDING = {
    "events": "PutEvents",
    "lambda": "InvokeFunction",
    "s3": "PutObject",
    "sns": "Publish",
    "sqs": "SendMessage",
}


def _event_source(params: Params) -> Iterator[Refusal]:
    source, function = str(params.get("EventSourceArn") or ""), str(params.get("FunctionName", ""))
    key = params.get("KMSKeyArn") or params.get("KmsKeyArn")
    if key:
        said = f"The embedded AWS asks KMS for no filter criteria, so it refuses the key {key}: leave it out here."
        yield "InvalidParameterValueException", said
    if ":sqs:" in source:
        yield from _polled(params, source, function)
    named = (source, function.rpartition(":function:")[2] or function)
    for it in reach(LAMBDA, "_esms").values():
        if (it.get("EventSourceArn"), it["FunctionArn"].rpartition(":function:")[2]) == named:
            said = "The event source arn and function name already have a mapping. Please update or delete the mapping"
            yield "ResourceConflictException", f"{said} with UUID {it['UUID']}"
    yield from _role_may(_role_of(str(params.get("FunctionName", ""))), source, _POLLING)


def _polled(params: Params, source: str, function: str) -> Iterator[Refusal]:
    queue = reach(SQS, "_queue_by_arn")(source)
    if queue is None:
        yield "InvalidParameterValueException", f"Error occurred while ReceiveMessage. {source} does not exist."
        return
    hidden, timeout = int(queue["attributes"].get("VisibilityTimeout") or 30), _config_of(function).get("Timeout") or 3
    if hidden < timeout:
        said = f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds"
        yield "InvalidParameterValueException", said
    if int(params.get("BatchSize") or 10) > _LARGEST_BATCH and not params.get("MaximumBatchingWindowInSeconds"):
        said = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        yield "InvalidParameterValueException", said


_LARGEST_BATCH = 10


def _destinations(params: Params) -> Iterator[Refusal]:
    role = params.get("Role") or _role_of(str(params.get("FunctionName", "")))
    to = [(params.get("DeadLetterConfig") or {}).get("TargetArn")]
    to += [it.get("Destination") for it in (params.get("DestinationConfig") or {}).values() if it]
    sending = {service: (action,) for service, action in _SENDING.items()}
    yield from (refusal for arn in to if arn for refusal in _role_may(role, str(arn), sending))


def _role_of(function: str) -> str | None:
    return _config_of(function).get("Role")


def _config_of(function: str) -> dict[str, Any]:
    name = function.partition(":function:")[2].partition(":")[0] or function.rpartition(":")[2] or function
    return (reach(LAMBDA, "_functions").get(name) or {}).get("config") or {}


def _role_may(role: str | None, arn: str, needed: Mapping[str, tuple[str, ...]]) -> Iterator[Refusal]:
    service = arn.split(":")[2] if arn.startswith("arn:") else ""
    if role is None or service not in needed:
        return
    try:
        session = service_role(role, "lambda.amazonaws.com", "lambda")
        for action in needed[service]:
            resource = "*" if action.startswith("List") else arn
            session.require(f"{service}:{action}", resource)
    except (NotAssumable, NotPermitted):
        said = f"does not have permissions to call {needed[service][0]} on {_NAMES.get(service, service.title())}"
        yield "InvalidParameterValueException", f"The provided execution role {said}"


_RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    **STORED_RULES,
    **MESSAGE_RULES,
    "events:PutRule": (_rule,),
    "events:DeleteRule": (_rule_deletion,),
    "events:PutTargets": (_targets,),
    "events:PutEvents": (_entries,),
    "logs:CreateLogGroup": (_unprotected,),
    "cloudtrail:LookupEvents": (lookup_refusals,),
    "logs:PutSubscriptionFilter": (_subscription_filter,),
    "secretsmanager:RotateSecret": (_rotation,),
    "logs:PutLogEvents": (_log_events,),
    "dynamodb:CreateTable": (_table,),
    "dynamodb:UpdateTable": (_table,),
    **IAM_RULES,
    "lambda:CreateFunction": (*IAM_RULES["lambda:CreateFunction"], _destinations),
    "lambda:UpdateFunctionConfiguration": (*IAM_RULES["lambda:UpdateFunctionConfiguration"], _destinations),
    "lambda:CreateEventSourceMapping": (_event_source,),
    "lambda:PutFunctionEventInvokeConfig": (_destinations,),
    "lambda:UpdateFunctionEventInvokeConfig": (_destinations,),
    "states:CreateStateMachine": (machine_refusals,),
    "states:UpdateStateMachine": (machine_refusals,),
    "states:StartExecution": (input_refusals,),
    "states:StartSyncExecution": (input_refusals,),
}


def refused_content(action: str, params: Params) -> Refusal | None:
    """Return code and message of the refusal of a request for its content; None if the service takes it."""
    return next((refusal for rule in _RULES.get(action, ()) for refusal in rule(params)), None)
