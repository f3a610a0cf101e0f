"""Services that take a KMS key and do not ask KMS for it here: the key is refused, so that nothing looks protected.

The list is the sweep of ``tests/local/test_side_doors.py`` over the models of all services of the emulator.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/service-integration.html
"""

import re
from typing import Any

from kms_patterns.local.server.requests.request_members import Members, Served, members_of

# A member that names a KMS key in the models of AWS's services; an algorithm, a type or a flag does not.
_KEY_MEMBER = re.compile(
    r"kms.*(key|arn|id)|^(encryption|customer|default|server|volume)\w*key\w*$|^kms\w*$|keymanagementservicearn$",
    re.IGNORECASE,
)
_NOT_A_KEY = re.compile(r"(enabled|algorithm|seconds|type|context|grantid|status|mode|spec|rolearn)$", re.IGNORECASE)
# Members that say so only in the services named.
_OF_SERVICE = {
    "eks": {"keyArn"}, "kinesis": {"KeyId"}, "kinesisanalyticsv2": {"KeyId", "KeyIdUpdate"},
}  # fmt: skip
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]*:\d{12}:(key|alias)/\S+")
_READS = ("BatchGet", "Describe", "Get", "List", "Lookup", "Search")
ASKING = frozenset({
    "cloudformation", "dynamodb", "iam", "kms", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts",
    "tagging",
})  # fmt: skip
"""Services that ask KMS here, or take no key of their own."""
_AWS_OWNED = ("alias/aws/", "AWS_OWNED", "AWS_MANAGED", "NONE", "DISABLED")


def unasked_by(service: str, action: str, request: Served) -> str | None:
    """Return why a request that names a key is refused; None if it names none, only reads, or KMS is asked."""
    if service in ASKING or action.partition(":")[2].startswith(_READS):
        return None
    return _refusal(service, request.members())


def unasked_key(service: str, properties: Any) -> str | None:
    """Return the same for the properties of a CloudFormation resource."""
    return None if service in ASKING else _refusal(service, members_of(properties))


def _refusal(service: str, members: Members) -> str | None:
    for name, value in members:
        named = is_key_member(service, name) or ("key" in name.lower() and _KEY_ARN.fullmatch(value))
        if named and value and not value.startswith(_AWS_OWNED):
            return (
                f"The embedded AWS does not ask KMS for {service}, so it refuses {name} {value}: leave it out, "
                "or test this in an account (docs/embedded-aws.md lists the services that ask)"
            )
    return None


def is_key_member(service: str, name: str) -> bool:
    """Return whether a member's name says that it names a KMS key."""
    if name in _OF_SERVICE.get(service, ()):
        return True
    return _KEY_MEMBER.search(name) is not None and _NOT_A_KEY.search(name) is None
