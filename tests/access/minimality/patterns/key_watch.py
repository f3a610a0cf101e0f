"""A watched key: what its user, the reader of its calls and the two services that publish may do, and no one else."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, administration, assumed, log_groups

STACK = "KmsPatterns-KeyWatch"
FEWEST_REMOVALS = 60
USES_DEPLOYED = 1
# The services that use NoticeKey for themselves are in the scenarios: no role has anything of it.
ACCESS: Access = {"Key": {"UserRole": {"kms:Encrypt": None}}}
RULES = ("Changed", "UsedWhilePendingDeletion", "Deleted", "FoundByConfig")
ALARMS = ("Refusals", "Throttling", "Expiry1")


def scenarios() -> Iterator[Scenario]:
    for key in ("Key", "NoticeKey"):
        yield from administration(f"{STACK}/{key}")
    for who, allowed in ((f"{STACK}/UserRole", True), (f"{STACK}/ResponderRole", False), ("any other role", False)):
        yield Scenario(who, "kms:Encrypt", f"{STACK}/Key", allowed=allowed)
    for name in ("User", "Responder"):
        yield from assumed(f"{STACK}/{name}Role", "ec2.amazonaws.com")
    for who, allowed in ((f"{STACK}/ResponderRole", True), (f"{STACK}/UserRole", False)):
        yield Scenario(who, "logs:FilterLogEvents", f"{STACK}/Watch/Calls", allowed=allowed)
    yield from _publication("events.amazonaws.com", [f"{STACK}/Watch/{name}" for name in RULES])
    yield from _publication("cloudwatch.amazonaws.com", [f"{STACK}/Watch/{name}" for name in ALARMS])
    yield from log_groups(f"{STACK}/NoticeKey")


def _publication(service: str, sources: list[str]) -> Iterator[Scenario]:
    topic, key = f"{STACK}/Watch/Topic", f"{STACK}/NoticeKey"
    secure = {"aws:SecureTransport": "true"}
    for source in sources:
        mine = {"aws:SourceArn": f"<{source}>"}
        yield Scenario(service, "sns:Publish", topic, allowed=True, context={**secure, **mine})
        insecure = {"aws:SecureTransport": "false", **mine}
        yield Scenario(service, "sns:Publish", topic, allowed=False, context=insecure)
    anothers = {**secure, "aws:SourceArn": "arn:aws:events:any-region-1:888877776666:rule/another"}
    yield Scenario(service, "sns:Publish", topic, allowed=False, context=anothers)
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        for account, allowed in (("888877776666", True), ("111111111111", False)):
            context = {"kms:EncryptionContext:aws:sns:topicArn": f"arn:aws:sns:any-region-1:{account}:topic"}
            yield Scenario(service, action, key, allowed=allowed, context=context)
