"""Access that canned ACLs and S3 Access Grants give to a bucket, as the policy statements that they amount to.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-concepts.html
"""

import re
from collections.abc import Iterator
from typing import Any

from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import GUARD, TRUE, is_symbolic, shown, symbol

_READ = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")
_WRITE = ("s3:PutObject", "s3:DeleteObject")
_LOGGING = {"Service": "logging.s3.amazonaws.com"}
_CANNED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "PublicRead": ("*", _READ),
    "PublicReadWrite": ("*", (*_READ, *_WRITE)),
    "AuthenticatedRead": ("*", _READ),
    "LogDeliveryWrite": (_LOGGING, ("s3:PutObject", "s3:GetBucketAcl")),
    "AwsExecRead": ({"Service": "ec2.amazonaws.com"}, _READ),
}
"""Principal and actions by canned ACL; S3's log delivery group stands as the service that writes access logs."""
_NOTHING = frozenset({"Private", "BucketOwnerRead", "BucketOwnerFullControl"})
_EVERYTHING = ("*", (*_READ, *_WRITE, "s3:GetBucketAcl", "s3:PutBucketAcl"))
_VIA_ACL = "ACL"


def acl_statements(template: Template, stack: Stack, logical_id: str) -> list[dict[str, Any]]:
    """Return the statements of a bucket's canned ACL, each way of an undecided one under its propositions.

    An ACL counts unless the template turns ACLs off (``BucketOwnerEnforced``): a bucket that existed before S3 turned
    them off by default keeps them. ``IgnorePublicAcls`` leaves the log delivery group alone.
    """
    raw, where = template.raw(stack, logical_id, "AccessControl"), template.where(stack, logical_id)
    if raw is None or _is_off(template, stack, logical_id):
        return []
    ignored = is_surely_blocked(template, stack, logical_id, "IgnorePublicAcls")
    found = []
    for guard, way in template.ways(stack, raw, where):
        name = text(way) if way is not None else "Private"
        if name in _NOTHING:
            continue
        principal, actions = _CANNED.get(name, _EVERYTHING)
        given = [*guard] if name in _CANNED else [*guard, (f"{_VIA_ACL} {shown(name)} allows it", TRUE)]
        if ignored and principal == "*":
            continue
        statement = {"Sid": f"{_VIA_ACL} {shown(name)}", "Effect": "Allow", "Principal": principal}
        found.append({**statement, "Action": list(actions), "Resource": "*", **({GUARD: given} if given else {})})
    return found


def _is_off(template: Template, stack: Stack, logical_id: str) -> bool:
    ways = template.ways(stack, template.raw(stack, logical_id, "OwnershipControls"), template.where(stack, logical_id))
    rules = [items(mapping(way).get("Rules")) for _, way in ways]
    return all(
        any(mapping(rule).get("ObjectOwnership") == "BucketOwnerEnforced" for rule in of_way) for of_way in rules
    )


def is_surely_blocked(template: Template, stack: Stack, logical_id: str, name: str) -> bool:
    """Return whether a member of the bucket's public access block is on however conditions go."""
    raw = template.raw(stack, logical_id, "PublicAccessBlockConfiguration")
    ways = template.ways(stack, raw, template.where(stack, logical_id))
    return all(text(mapping(way).get(name, False)).lower() == "true" for _, way in ways)


_PERMITTED = {
    "READ": ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"),
    "WRITE": ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
}


def access_grants(template: Template) -> list[tuple[str, str, dict[str, Any]]]:
    """Return account, bucket and statement of every S3 Access Grant; ``*`` stands for any bucket."""
    found = []
    for stack, logical_id, properties in template.of_type("AWS::S3::AccessGrant"):
        grantee = mapping(properties.get("Grantee"))
        named = text(grantee.get("GranteeIdentifier", "*"))
        who = named if text(grantee.get("GranteeType")) == "IAM" else symbol(f"directory user {named}")
        permission = text(properties.get("Permission"))
        actions = _PERMITTED.get(permission, (*_PERMITTED["READ"], *_PERMITTED["WRITE"]))
        given = [*template.existence(stack, logical_id), (f"S3 Access Grant {template.where(stack, logical_id)}", TRUE)]
        statement = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": list(actions), "Resource": "*"}
        buckets = _granted_buckets(template, stack, logical_id)
        found += [(stack.account, bucket, {**statement, GUARD: given}) for bucket in buckets]
    return found


def vended_roles(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the ARN of each location's role, and that who is granted its prefix acts as that role there.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-grants-credentials.html
    """
    locations = (properties for _, _, properties in template.of_type("AWS::S3::AccessGrantsLocation"))
    roles = [text(item.get("IAMRoleArn") or item.get("IamRoleArn")) for item in locations]
    for _, _, statement in access_grants(template):
        for role in dict.fromkeys(roles):
            yield role, {**statement, "Action": "sts:AssumeRole"}


def _granted_buckets(template: Template, stack: Stack, logical_id: str) -> set[str]:
    """Return the buckets that a grant's scope or location may name; any, if the stack does not define the location."""
    scope = template.raw(stack, logical_id, "GrantScope")  # of a live account
    raw = mapping(template.raw(stack, logical_id, "AccessGrantsLocationId"))
    named = [*items(raw.get("Ref")), *items(raw.get("Fn::GetAtt")), ""][0]
    named = text(named).partition(".")[0]
    if mapping(stack.resources.get(named)).get("Type") == "AWS::S3::AccessGrantsLocation":
        scope = template.raw(stack, named, "LocationScope")
    if scope is None:
        return {"*"}
    ways = [text(way) for _, way in template.ways(stack, scope, template.where(stack, logical_id))]
    buckets = [re.fullmatch(r"s3://([^/]+)(?:/.*)?", way) for way in ways]
    return {"*" if bucket is None or is_symbolic(bucket[1]) else bucket[1] for bucket in buckets}
