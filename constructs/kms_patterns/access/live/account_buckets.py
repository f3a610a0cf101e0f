"""Buckets of a live account: bucket policy, public-access blocks, default encryption, ACL."""

import json
from collections.abc import Iterator
from typing import Any

from kms_patterns.access.live.asking import Item, Notes, ask, is_unreadable

_NOTHING = (
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
)
_HOME = {"EU": "eu-west-1", None: "us-east-1", "": "us-east-1"}


def buckets(client: Any, control: Any, account: str, region: str, notes: Notes) -> Iterator[Item]:
    """Yield the account's buckets in a Region.

    Args:
        client: A client of S3.
        control: A client of S3 Control, which knows the account's public-access block.
        account: The account's id.
        region: The Region.
        notes: Where a refusal of the whole list is noted.
    """
    listed = ask("s3:ListAllMyBuckets", client.list_buckets, notes.add, what="buckets")
    if is_unreadable(listed):
        return
    everywhere = ask(
        "s3:GetAccountPublicAccessBlock",
        lambda: control.get_public_access_block(AccountId=account),
        notes.add,
        what="the account's public-access block (taken as off)",
        absent=_NOTHING,
        optional=True,
    )
    elsewhere = 0
    for entry in listed.get("Buckets", []):
        item = Item("AWS::S3::Bucket", entry["Name"], {"BucketName": entry["Name"]})
        place = _asked(client.get_bucket_location, "s3:GetBucketLocation", item, "its Region")
        home = region if place is None or is_unreadable(place) else place.get("LocationConstraint")
        if _HOME.get(home, home) != region:
            elsewhere += 1
            continue
        _fill(client, item, everywhere)
        yield item
    if elsewhere:
        notes.add(f"{elsewhere} buckets of other Regions", f"only those of {region} are read")


def _fill(client: Any, item: Item, everywhere: Any) -> None:
    name = item.name
    block = _asked(client.get_public_access_block, "s3:GetBucketPublicAccessBlock", item, "its public-access block")
    restricted = any(
        isinstance(found, dict) and found.get("PublicAccessBlockConfiguration", {}).get("RestrictPublicBuckets")
        for found in (block, everywhere)
    )
    item.properties["PublicAccessBlockConfiguration"] = {"RestrictPublicBuckets": restricted}
    encryption = _asked(client.get_bucket_encryption, "s3:GetEncryptionConfiguration", item, "its default encryption")
    if encryption and not is_unreadable(encryption):
        rules = encryption["ServerSideEncryptionConfiguration"]["Rules"]
        shaped = [{"ServerSideEncryptionByDefault": _default(rule)} for rule in rules]
        item.properties["BucketEncryption"] = {"ServerSideEncryptionConfiguration": shaped}
    acl = _asked(client.get_bucket_acl, "s3:GetBucketAcl", item, "its ACL")
    owner = (acl or {}).get("Owner", {}).get("ID")
    if any(grant.get("Grantee", {}).get("ID") != owner for grant in (acl or {}).get("Grants", [])):
        item.properties["AccessControl"] = "with grants to others"
    policy = _asked(client.get_bucket_policy, "s3:GetBucketPolicy", item, "its bucket policy")
    if policy is not None:
        document = policy if is_unreadable(policy) else json.loads(policy["Policy"])
        item.companions.append(("AWS::S3::BucketPolicy", {"Bucket": name, "PolicyDocument": document}))


def _default(rule: dict[str, Any]) -> dict[str, Any]:
    return dict(rule.get("ApplyServerSideEncryptionByDefault", {}))


def _asked(operation: Any, action: str, item: Item, what: str) -> Any:
    note = item.notes.append
    return ask(
        action,
        lambda: operation(Bucket=item.name),
        lambda thing, why: note((thing, why)),
        what=what,
        absent=_NOTHING,
    )
