"""What Lambda, SQS and S3 move by themselves asks the keys of the queues and topics: as the function's role, or as S3.

Lambda polls a queue or a stream with its function's role, and writes a failed event with it; what it may not decrypt
stays there, what it may not write is dropped. A message keeps its encryption when SQS moves it to a dead-letter queue.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.acting import (
    Acting,
    NotAssumable,
    NotPermitted,
    acting,
    acting_as,
    service_role,
)
from kms_patterns.local.server.emulator.emulator import APP, LAMBDA, RESPONSES, reach
from kms_patterns.local.server.kms.kms_errors import KmsError, Response
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.s3.s3_operations import invalid
from kms_patterns.local.server.services.event_targets import require_by_policy, require_key, require_own_policy
from kms_patterns.local.server.services.service_keys import ask, table_uses
from kms_patterns.local.server.services.service_uses import message_uses

_LAMBDA = "lambda.amazonaws.com"
_POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
_WRITING = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}
_READING = ("DescribeStream", "GetRecords", "GetShardIterator")
_PAUSE = 0.5

logger = logging.getLogger("lambda")


def polling(kms: KmsService, original: Callable[..., int]) -> Callable[..., int]:
    """Take no batch from a queue that the function's role may not receive from, or whose key it may not use."""

    def concurrency(mapping: dict[str, Any], func: Any, config: Any, queue: dict[str, Any] | None = None) -> int:
        now = time.time()
        if queue is None or not any(message["visible_at"] <= now for message in queue["messages"]):
            return original(mapping, func, config, queue)
        try:
            role, arn = _role(config), queue["attributes"]["QueueArn"]
            for action in _POLLING:
                role.require(action, arn)
            ask(kms, "sqs", role.caller, message_uses(queue))
        except (KmsError, NotAssumable, NotPermitted) as refused:
            mapping["LastProcessingResult"] = f"PROBLEM: {getattr(refused, 'message', refused)}"
            reach(LAMBDA, "_esm_backoff_until")[mapping["UUID"]] = now + _PAUSE
            return 0
        return original(mapping, func, config, queue)

    return concurrency


_polls: ContextVar[bool] = ContextVar("polls", default=False)


def polling_streams(original: Callable[[], bool]) -> Callable[[], bool]:
    """Let ``reading`` know which invocations come of a stream."""

    def poll() -> bool:
        token = _polls.set(True)
        try:
            return original()
        finally:
            _polls.reset(token)

    return poll


def reading(kms: KmsService, original: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function no records of a stream that its role may not read, or whose table's key it may not use."""

    def execute(func: Mapping[str, Any], event: Any) -> Any:
        if not _polls.get():
            return original(func, event)
        source, token = str(event["Records"][0]["eventSourceARN"]), _polls.set(False)
        try:
            role, service = _role(func.get("config") or func), source.split(":")[2]
            for action in _READING:
                role.require(f"{service}:{action}", source)
            ask(kms, "dynamodb", role.caller, table_uses(source.split("/")[1]) if service == "dynamodb" else ())
            return original(func, event)
        except (KmsError, NotAssumable, NotPermitted) as refused:
            body = {"errorType": "AccessDeniedException", "errorMessage": getattr(refused, "message", str(refused))}
            return {"error": True, "body": body}
        finally:
            _polls.reset(token)

    return execute


def failing(kms: KmsService, original: Callable[..., None]) -> Callable[..., None]:
    """Send a failed event to the destination of its function, as the function's role; otherwise drop it and log why."""

    def route(target: str, name: str, event: Any, result: Any) -> None:
        config = reach(LAMBDA, "_functions").get(name, {}).get("config", {})
        if _may_write(kms, config, target):
            original(target, name, event, result)

    return route


def failing_batch(kms: KmsService, original: Callable[..., None]) -> Callable[..., None]:
    """Send the record of a failed batch to the destination of its mapping, as the function's role."""

    def send(mapping: Mapping[str, Any], func: Mapping[str, Any], *failure: Any) -> None:
        target = ((mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        if target and _may_write(kms, func.get("config") or func, target):
            original(mapping, func, *failure)

    return send


def sweeping(original: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Let a message that is moved to a dead-letter queue keep the key of the queue that it was sent to."""

    def sweep(queue: dict[str, Any]) -> None:
        attributes = queue["attributes"]
        if attributes.get("RedrivePolicy") and attributes.get("KmsMasterKeyId"):
            for message in queue["messages"]:
                message.setdefault("kms", [attributes["KmsMasterKeyId"], attributes["QueueArn"]])
        original(queue)

    return sweep


def notifying(kms: KmsService, original: Callable[..., None], service: str) -> Callable[..., None]:
    """Deliver an event of S3 to a queue, topic or function whose policy and key let S3 use it; otherwise log why."""

    def deliver(arn: str, event: Mapping[str, Any], *rest: Any, **named: Any) -> None:
        # The test event names its bucket at the top.
        bucket = event.get("Bucket") or event["Records"][0]["s3"]["bucket"]["name"]
        refused = _notification_refused(kms, service, arn, str(bucket))
        if refused is None:
            original(arn, event, *rest, **named)
        else:
            logger.warning("S3: %s of bucket %s not reached: %s", arn, bucket, refused)

    return deliver


def validating(kms: KmsService, original: Callable[..., Response]) -> Callable[..., Response]:
    """Refuse the notifications of a bucket to what S3 may not reach.

    AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
    """

    def put(name: str, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
        skipped = (headers or {}).get("x-amz-skip-destination-validation", "").lower() == "true"
        # The emulator refuses what has fewer fields.
        for arn in re.findall(
            r"arn:aws:(?:lambda|sns|sqs)(?::[^:<\s]*){2}:[^<\s]+", "" if skipped else body.decode("utf-8", "replace")
        ):
            if _notification_refused(kms, arn.split(":")[2], arn, name) is not None:
                return invalid("InvalidArgument", "Unable to validate the following destination configurations")
        return original(name, body, headers)

    return put


def _notification_refused(kms: KmsService, service: str, arn: str, bucket: str) -> NotPermitted | None:
    region, account = arn.split(":")[3:5]
    try:
        with reach(RESPONSES, "request_scope")(account, region):
            require_by_policy(kms, service, arn, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}")
    except (NotPermitted, LookupError) as refused:
        return NotPermitted(str(refused))
    return None


def publishing_to_function(original: Callable[..., None]) -> Callable[..., None]:
    """Deliver from a topic to a function whose policy lets SNS invoke it; otherwise drop the message and log why."""

    def deliver(endpoint: str, envelope: str, topic_arn: str, *rest: Any) -> None:
        try:
            require_own_policy("lambda", endpoint, "sns.amazonaws.com", topic_arn)
        except NotPermitted as refused:
            logger.warning("SNS: function %s of topic %s not reached: %s", endpoint, topic_arn, refused)
            return
        original(endpoint, envelope, topic_arn, *rest)

    return deliver


def streaming(original: Callable[..., None]) -> Callable[..., None]:
    """Have Firehose deliver to S3 as the role of its destination; otherwise drop the record and log why."""

    def deliver(stream: Mapping[str, Any], destination: Mapping[str, Any], *record: Any) -> None:
        try:
            principal = service_role(str(destination["config"].get("RoleARN")), "firehose.amazonaws.com", "firehose")
        except NotAssumable as refused:
            logger.warning("Firehose: bucket of stream %s not reached: %s", stream.get("name"), refused)
            return
        with acting_as(principal):
            original(stream, destination, *record)

    return deliver


def putting(_original: Callable[..., None]) -> Callable[..., None]:
    """Return what puts an object as who acts, through the door of clients' requests."""

    def put(bucket: str, key: str, body: bytes) -> None:
        principal = acting()
        headers = {"authorization": principal.credential("s3") if principal else "", "host": "s3.amazonaws.com"}
        sent = reach(APP, "_dispatch_service_request")("PUT", f"/{bucket}/{key}", headers, body, {}, str(uuid4()))
        try:
            asyncio.get_running_loop().create_task(sent)
        except RuntimeError:
            asyncio.run(sent)

    return put


def _may_write(kms: KmsService, config: Mapping[str, Any], target: str) -> bool:
    service = target.split(":")[2] if target.count(":") > 1 else ""
    try:
        role = _role(config)
        role.require(_WRITING.get(service, f"{service}:PutEvents"), target)
        require_key(kms, service, target, role.caller)
    except (KmsError, NotAssumable, NotPermitted) as refused:
        logger.warning("Lambda: destination %s of %s not reached: %s", target, config.get("FunctionName"), refused)
        return False
    return True


def _role(config: Mapping[str, Any]) -> Acting:
    return service_role(str(config.get("Role", "")), _LAMBDA, str(config.get("FunctionName")))
