"""The customer managed keys of an account: state, owner, last use, cost, and statements whose principal is gone.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyLastUsage.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from botocore.exceptions import ClientError

from kms_patterns.access.live.asking import Notes, ask, is_unreadable, pages
from kms_patterns.policy.prices import DOLLARS_A_KEY, PAID_ROTATIONS

ACTIONS: Final = (
    "cloudformation:DescribeStacks", "ec2:DescribeRegions", "iam:GetRole", "iam:GetUser", "kms:DescribeKey",
    "kms:GetKeyLastUsage", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListKeyRotations",
    "kms:ListKeys", "kms:ListResourceTags", "sts:GetCallerIdentity",
)  # fmt: skip
"""Every action that ``kms-patterns keys`` asks for; none writes. A key policy may have to allow those of KMS."""

_GONE = ("NotFoundException", "NoSuchEntity", "UnsupportedOperationException")
_LEAVING = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_UNIQUE_ID = re.compile(r"(AROA|AIDA)[A-Z0-9]{12,}")
_PRINCIPAL = re.compile(r"arn:[a-z-]+:iam::(\d{12}):(role|user)/(?:[^*?$]*/)?([\w+=,.@-]+)")
_STACK, _STACK_ID = "aws:cloudformation:stack-name", "aws:cloudformation:stack-id"


@dataclass
class KeyRecord:
    """One key.

    Attributes:
        arn: The key.
        state: Such as ``Enabled``.
        spec: Such as ``SYMMETRIC_DEFAULT``.
        created: When it was made, ISO 8601.
        aliases: Its aliases.
        stack: The stack that made it, by its tags; empty if it has none.
        stack_gone: Whether that stack does not exist any more: the key was retained.
        rotates: Whether it rotates automatically; None if it cannot, or was not read.
        rotations: How many rotations there were; None if it was not read.
        last_used: When it was last used, ISO 8601; None if no use is recorded, or it was not read.
        tracked_since: Since when KMS records uses of it; None if it was not read.
        dead_statements: Statements of its key policy that name a role or user that does not exist.
        not_read: What could not be read, and why.
    """

    arn: str
    state: str = "unknown"
    spec: str = "unknown"
    created: str | None = None
    aliases: list[str] = field(default_factory=list)
    stack: str = ""
    stack_gone: bool = False
    rotates: bool | None = None
    rotations: int | None = None
    last_used: str | None = None
    tracked_since: str | None = None
    dead_statements: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)

    @property
    def dollars(self) -> float:
        """The least that it costs a month: the first and second rotation each add the price of a key."""
        if self.state in _LEAVING:
            return 0
        return DOLLARS_A_KEY * (1 + min(self.rotations or 0, PAID_ROTATIONS))

    def unused_for(self, days: int, now: datetime) -> str | None:
        """Say why the key counts as unused for ``days``; None if it may have been used, or is leaving."""
        since = now - timedelta(days=days)
        if self.state in _LEAVING or self.tracked_since is None:
            return None
        if self.last_used is not None:
            return f"last used {self.last_used[:10]}" if _moment(self.last_used) < since else None
        created, tracked = _moment(self.created or self.tracked_since), _moment(self.tracked_since)
        if created >= tracked:
            return f"never used since it was made, {str(created)[:10]}" if created < since else None
        # Before KMS kept records it may have been used: CloudTrail's logs would tell.
        return f"no use since {str(tracked)[:10]}, earlier use unknown" if tracked < since else None

    def as_json(self) -> dict[str, Any]:
        """Return the record for JSON, with its cost."""
        return {**asdict(self), "dollars_a_month": self.dollars}


def inventory(session: Any, region: str, account: str, notes: Notes) -> Iterator[KeyRecord]:
    """Yield the customer managed keys of one Region, as they are read.

    Args:
        session: A boto3 session.
        region: The Region.
        account: The account's id; principals of other accounts are not judged.
        notes: Where a refusal of a whole list is noted.

    Raises:
        AccountNotRead: A request failed for another reason than a refusal.
    """
    client = session.client("kms", region_name=region)
    exists = _existence(session, account)
    stack_exists = _stacks(session.client("cloudformation", region_name=region))
    listed = ask("kms:ListKeys", pages(client, "list_keys", "Keys"), notes.add, what=f"keys of {region}")
    aliases = ask("kms:ListAliases", pages(client, "list_aliases", "Aliases"), notes.add, what=f"aliases of {region}")
    for entry in [] if is_unreadable(listed) else listed:
        record = KeyRecord(entry["KeyArn"])
        described = _read(record, "DescribeKey", client.describe_key)
        data = (described or {}).get("KeyMetadata", {})
        if data.get("KeyManager") == "AWS":
            continue
        record.state, record.spec = data.get("KeyState", "unknown"), data.get("KeySpec", "unknown")
        record.created = _text(data.get("CreationDate"))
        named = [] if is_unreadable(aliases) else aliases
        record.aliases = [it["AliasName"] for it in named if it.get("TargetKeyId") == entry["KeyId"]]
        _owner(record, client, stack_exists)
        _rotation(record, client)
        used = _read(record, "GetKeyLastUsage", client.get_key_last_usage) or {}
        record.last_used = _text(used.get("KeyLastUsage", {}).get("Timestamp"))
        record.tracked_since = _text(used.get("TrackingStartDate"))
        policy = _read(record, "GetKeyPolicy", client.get_key_policy)
        if policy:
            record.dead_statements = list(dead_statements(json.loads(policy["Policy"]), exists))
        yield record


def dead_statements(policy: Mapping[str, Any], exists: Callable[[str], bool | None]) -> Iterator[str]:
    """Yield a text for each statement that names a principal that is gone.

    Args:
        policy: A key policy.
        exists: Tells whether the role or user of an ARN exists; None if it cannot tell.
    """
    statements = policy.get("Statement", [])
    for place, statement in enumerate(statements if isinstance(statements, list) else [statements], 1):
        gone = [name for name in _named(statement) if _UNIQUE_ID.fullmatch(name) or exists(name) is False]
        if gone:
            yield f"{statement.get('Sid') or f'statement {place}'}: {', '.join(gone)} does not exist"


def _named(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal", {})
    named = _texts(principal.get("AWS", [])) if isinstance(principal, dict) else []
    for operator, keys in statement.get("Condition", {}).items():
        # A negated operator names who is excepted: that one who is gone opens nothing, but says as much.
        if "Not" not in operator:
            named += [
                text for key, values in keys.items() if key.lower() == "aws:principalarn" for text in _texts(values)
            ]
    return named


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _existence(session: Any, account: str) -> Callable[[str], bool | None]:
    iam = session.client("iam")

    @cache
    def exists(arn: str) -> bool | None:
        found = _PRINCIPAL.fullmatch(arn)
        if found is None or found[1] != account:
            return None
        try:
            kind, name = found[2].capitalize(), found[3]
            held = iam.get_role(RoleName=name) if found[2] == "role" else iam.get_user(UserName=name)
        except ClientError as error:
            return False if error.response["Error"]["Code"] == "NoSuchEntity" else None
        # IAM looks a name up without its path; a key policy names the path.
        return bool(held[kind]["Arn"] == arn)

    return exists


def _stacks(client: Any) -> Callable[[str], bool | None]:
    @cache
    def exists(stack_id: str) -> bool | None:
        try:
            found = client.describe_stacks(StackName=stack_id)["Stacks"]
        except ClientError as error:
            return False if error.response["Error"]["Code"] == "ValidationError" else None
        return all(stack["StackStatus"] != "DELETE_COMPLETE" for stack in found)

    return exists


def _owner(record: KeyRecord, client: Any, stack_exists: Callable[[str], bool | None]) -> None:
    found = _read(record, "ListResourceTags", client.list_resource_tags) or {}
    tags = {tag["TagKey"]: tag["TagValue"] for tag in found.get("Tags", [])}
    record.stack = tags.get(_STACK, "")
    record.stack_gone = _STACK_ID in tags and stack_exists(tags[_STACK_ID]) is False


def _rotation(record: KeyRecord, client: Any) -> None:
    if record.spec != "SYMMETRIC_DEFAULT":
        return
    status = _read(record, "GetKeyRotationStatus", client.get_key_rotation_status)
    if status:
        record.rotates = status["KeyRotationEnabled"]
    made = _read(record, "ListKeyRotations", client.list_key_rotations)
    if made:
        record.rotations = len(made.get("Rotations", []))


def _read(record: KeyRecord, operation: str, call: Callable[..., Any]) -> Any:
    def refused(what: str, why: str) -> None:
        record.not_read.append(f"{what}: {why}")

    found = ask(f"kms:{operation}", lambda: call(KeyId=record.arn), refused, what=operation, absent=_GONE)
    return None if is_unreadable(found) else found


def _text(moment: Any) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
