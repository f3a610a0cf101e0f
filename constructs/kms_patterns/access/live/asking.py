"""Read-only requests to AWS: with retries, what is refused noted instead of raised, and the permissions for all."""

import json
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

UNREADABLE: Final = "Fn::Unreadable"
"""Stands in a template for what could not be read: no function of CloudFormation, so the reader takes it as unknown."""

RETRIES: Final = Config(retries={"mode": "standard", "max_attempts": 10}, user_agent_extra="kms-patterns-access")
FEW_RETRIES: Final = Config(retries={"mode": "standard", "max_attempts": 2}, user_agent_extra="kms-patterns-access")
"""For services that not every account or endpoint has."""
_REFUSALS = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "Forbidden",
    "InvalidAction",
    "KMSInvalidStateException",
    "MethodNotAllowed",
    "NoSuchBucket",
    "NotFoundException",
    "OptInRequired",
    "UnauthorizedOperation",
    "UnsupportedAPIEndpointException",
    "UnsupportedOperationException",
    "ValidationError",
}
"""Codes of what is not told of one thing, or of one that is gone since it was listed: it counts as unknown."""


class AccountNotRead(RuntimeError):
    """The account cannot be read: no credentials, no network, or throttled to the end; the message says which call."""


@dataclass
class Item:
    """One resource of the account, as a template would define it.

    Attributes:
        kind: Its CloudFormation type.
        name: Its physical id, as CloudFormation lists it.
        properties: Its properties.
        region: Its Region; empty for one that belongs to none.
        notes: What of it could not be read, with the reason.
        companions: Resources that are part of it: a bucket's policy, a key's aliases, a function's permissions.
    """

    kind: str
    name: str
    properties: dict[str, Any]
    region: str = ""
    notes: list[tuple[str, str]] = field(default_factory=list)
    companions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def ask(self, action: str, what: str, operation: Callable[..., Any], **given: Any) -> Any:
        """Return the response about the resource; see ``ask``: what is refused is noted here.

        Args:
            action: The IAM action.
            what: What is asked for.
            operation: Makes the request.
            given: ``absent``, and the arguments of the request.
        """
        absent = given.pop("absent", ())
        return ask(action, partial(operation, **given), self.note, what=what, absent=absent)

    def note(self, what: str, why: str) -> None:
        """Note what could not be read of the resource, and why."""
        self.notes.append((what, why))


@dataclass
class Notes:
    """What could not be read of the account as a whole.

    Attributes:
        found: What may give access.
        beside: What only takes access, or is about other resources: a comparison need not know it.
    """

    found: list[tuple[str, str]] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, why: str) -> None:
        """Note what could not be read, and why."""
        self.found.append((what, why))

    def add_beside(self, what: str, why: str) -> None:
        """Note what a comparison need not know."""
        self.beside.append((what, why))


def ask(
    action: str,
    call: Callable[[], Any],
    refused: Callable[[str, str], Any],
    *,
    what: str,
    absent: Container[str] = (),
    optional: bool = False,
) -> Any:
    """Return the response of a read-only call; None if there is nothing, ``{UNREADABLE: what}`` if it is refused.

    Args:
        action: The IAM action, for messages.
        call: Makes the request.
        refused: Notes what could not be read, and why.
        what: What is asked for.
        absent: Error codes that mean that there is nothing.
        optional: Whether a service that cannot be reached is noted as a refusal is.

    Raises:
        AccountNotRead: The request failed for another reason.
    """
    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in absent:
            return None
        if code in _REFUSALS:
            refused(what, f"{action} was refused: {code}")
            return {UNREADABLE: what}
        raise AccountNotRead(f"{action} failed: {' '.join(str(error).split())}") from error
    except BotoCoreError as error:
        if optional:
            refused(what, f"{action} failed: {type(error).__name__}")
            return {UNREADABLE: what}
        raise AccountNotRead(f"{action} failed: {' '.join(str(error).split())}") from error


def is_unreadable(value: object) -> bool:
    """Return whether ``value`` stands for what could not be read."""
    return isinstance(value, dict) and UNREADABLE in value


def parsed(text: str, what: str) -> Any:
    """Return the JSON of a policy or template.

    Raises:
        AccountNotRead: It is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise AccountNotRead(f"{what} is not JSON: {error}") from error


def pages(client: Any, operation: str, member: str, **arguments: Any) -> Callable[[], list[Any]]:
    """Return a call that collects the members of all pages; botocore has no paginator for some operations."""

    def call() -> list[Any]:
        if client.can_paginate(operation):
            found = client.get_paginator(operation).paginate(**arguments)
            return [item for page in found for item in page.get(member, [])]
        page = getattr(client, operation)(**arguments)
        items = [*page.get(member, [])]
        while page.get("NextToken"):
            page = getattr(client, operation)(**arguments, NextToken=page["NextToken"])
            items += page.get(member, [])
        return items

    return call


ACTIONS: Final = (
    "cloudformation:DescribeStacks",
    "cloudformation:GetTemplate",
    "cloudformation:ListStackResources",
    "iam:GetAccountAuthorizationDetails",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeys",
    "lambda:GetPolicy",
    "lambda:ListAliases",
    "lambda:ListFunctions",
    "lambda:ListVersionsByFunction",
    "organizations:ListPolicies",
    "s3:GetAccountPublicAccessBlock",
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetEncryptionConfiguration",
    "s3:ListAccessGrants",
    "s3:ListAllMyBuckets",
    "sts:GetCallerIdentity",
)
"""Every action that ``kms-patterns access --live`` asks for; none writes."""


def permissions() -> str:
    """Return the permissions as an identity policy in JSON. A key policy may have to allow the four of KMS as well."""
    statement: dict[str, Any] = {"Sid": "ReadAccess", "Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2) + "\n"
