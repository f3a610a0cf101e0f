"""Keys with their grants, buckets and functions of a live account, as resources of a template."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kms_patterns.access.live.asking import UNREADABLE, Item, Notes, ask, is_unreadable, pages
from kms_patterns.access.read.sdk_calls import grant_statements

_GONE = ("NotFoundException",)


def keys(client: Any, notes: Notes) -> Iterator[Item]:
    """Yield the customer managed keys of the client's Region, each with its grants as statements of its policy.

    A grant gives its operations beside the key policy, so it stands there as an Allow, under its constraints; see
    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html.

    Args:
        client: A client of KMS.
        notes: Where a refusal of the whole list is noted.
    """
    listed = ask("kms:ListKeys", pages(client, "list_keys", "Keys"), notes.add, what="keys")
    aliases = ask("kms:ListAliases", pages(client, "list_aliases", "Aliases"), notes.add, what="aliases of keys")
    for entry in [] if is_unreadable(listed) else listed:
        item = Item("AWS::KMS::Key", entry["KeyId"], {})
        described = ask(
            "kms:DescribeKey", _call(client.describe_key, entry), _noting(item), what="what it is", absent=_GONE
        )
        data = {} if described is None or is_unreadable(described) else described["KeyMetadata"]
        if described is None or data.get("KeyManager") == "AWS":
            continue
        multi = data.get("MultiRegionConfiguration", {})
        if multi.get("MultiRegionKeyType") == "REPLICA":
            item.kind = "AWS::KMS::ReplicaKey"
            item.properties["PrimaryKeyArn"] = multi["PrimaryKey"]["Arn"]
        else:
            item.properties |= {name: data.get(name, {UNREADABLE: f"its {name}"}) for name in ("KeySpec", "KeyUsage")}
        item.properties["KeyPolicy"] = _policy(client, entry, item)
        named = [] if is_unreadable(aliases) else aliases
        item.companions += [
            ("AWS::KMS::Alias", {"AliasName": alias["AliasName"], "TargetKeyId": entry["KeyId"]})
            for alias in named
            if alias.get("TargetKeyId") == entry["KeyId"]
        ]
        yield item


def _call(operation: Any, entry: Mapping[str, str]) -> Any:
    return lambda: operation(KeyId=entry["KeyId"])


def _noting(item: Item) -> Any:
    return lambda what, why: item.notes.append((what, why))


def _policy(client: Any, entry: Mapping[str, str], item: Item) -> dict[str, Any]:
    found = ask("kms:GetKeyPolicy", _call(client.get_key_policy, entry), _noting(item), what="its key policy")
    grants = ask(
        "kms:ListGrants", pages(client, "list_grants", "Grants", KeyId=entry["KeyId"]), _noting(item), what="its grants"
    )
    document = {"Version": "2012-10-17", "Statement": [found]} if is_unreadable(found) else json.loads(found["Policy"])
    statements = document.get("Statement", [])
    given = statements if isinstance(statements, list) else [statements]
    added = (
        [{UNREADABLE: "its grants"}]
        if is_unreadable(grants)
        else [item for each in grants for item in grant_statements(each)]
    )
    return {**document, "Statement": [*given, *added]}


_NOTHING = (
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
)
_HOME = {"EU": "eu-west-1", None: "us-east-1", "": "us-east-1"}


def buckets(client: Any, control: Any, account: str, regions: Sequence[str], notes: Notes) -> Iterator[Item]:
    """Yield the account's buckets in some Regions.

    Args:
        client: A client of S3.
        control: A client of S3 Control, which knows the account's public-access block.
        account: The account's id.
        regions: The Regions; a bucket of which it cannot be told is taken to be in the first.
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
        home = regions[0] if place is None or is_unreadable(place) else place.get("LocationConstraint")
        item.region = _HOME.get(home, home)
        if item.region not in regions:
            elsewhere += 1
            continue
        _fill(client, item, everywhere)
        yield item
    if elsewhere:
        notes.add(f"{elsewhere} buckets of other Regions", f"only those of {', '.join(regions)} are read")


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
    if is_unreadable(acl) or any(
        grant.get("Grantee", {}).get("ID") != owner for grant in (acl or {}).get("Grants", [])
    ):
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


_PROPERTIES = {
    "aws:sourcearn": "SourceArn",
    "aws:sourceaccount": "SourceAccount",
    "aws:principalorgid": "PrincipalOrgID",
    "lambda:functionurlauthtype": "FunctionUrlAuthType",
    "lambda:invokedviafunctionurl": "InvokedViaFunctionUrl",
    "lambda:eventsourcetoken": "EventSourceToken",
}


def functions(client: Any, notes: Notes) -> Iterator[Item]:
    """Yield the functions of the client's Region, each with its own policy and those of its versions and aliases.

    https://docs.aws.amazon.com/lambda/latest/dg/versioning-aliases-permissions.html

    Args:
        client: A client of Lambda.
        notes: Where a refusal of the whole list is noted.
    """
    listed = ask("lambda:ListFunctions", pages(client, "list_functions", "Functions"), notes.add, what="functions")
    for entry in [] if is_unreadable(listed) else listed:
        name = entry["FunctionName"]
        item = Item("AWS::Lambda::Function", name, {"FunctionName": name, "Role": entry["Role"]})
        arn = entry["FunctionArn"]
        for place in [{}, *({"Qualifier": qualifier} for qualifier in _qualifiers(client, item))]:
            item.companions += [("AWS::Lambda::Permission", each) for each in _permissions(client, item, arn, place)]
        yield item


_QUALIFIERS = (
    ("lambda:ListVersionsByFunction", "list_versions_by_function", "Versions", "Version"),
    ("lambda:ListAliases", "list_aliases", "Aliases", "Name"),
)
_UNKNOWN = "*"


def _qualifiers(client: Any, item: Item) -> Iterator[str]:
    """Yield the versions and aliases of a function; one that stands for any where they cannot be listed."""
    for action, operation, member, name in _QUALIFIERS:
        call = pages(client, operation, member, FunctionName=item.name)
        listed = ask(action, call, _noting(item), what=f"its {member.lower()}", absent=("ResourceNotFoundException",))
        if is_unreadable(listed):
            yield _UNKNOWN
        else:
            yield from (each[name] for each in listed or () if each[name] != "$LATEST")


def _permissions(client: Any, item: Item, arn: str, place: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the statements of a function's policy, or of a version's or alias's; the widest if it cannot be read."""
    qualifier = place.get("Qualifier")
    what = f"the function policy of {qualifier}" if qualifier else "its function policy"
    found: Any = {UNREADABLE: what}
    if qualifier != _UNKNOWN:
        found = ask(
            "lambda:GetPolicy",
            lambda: client.get_policy(FunctionName=item.name, **place),
            _noting(item),
            what=what,
            absent=("ResourceNotFoundException",),
        )
    named = f"{arn}:{qualifier}" if qualifier else arn
    if is_unreadable(found):
        yield _anyone(named)
    elif found is not None:
        for statement in json.loads(found["Policy"])["Statement"]:
            yield _permission(statement.get("Resource", named), statement, item)


def _anyone(name: str) -> dict[str, Any]:
    """Return the widest permission, for a policy that could not be read: whatever it says, it says no more."""
    return {"FunctionName": name, "Action": "lambda:*", "Principal": "*"}


def _permission(name: str, statement: Mapping[str, Any], item: Item) -> dict[str, Any]:
    """Return a statement of a function policy as CloudFormation states it; a condition not known there is left out."""
    principal = statement.get("Principal", "*")
    value = principal if isinstance(principal, str) else next(iter(principal.values()))
    found = {"FunctionName": name, "Action": statement["Action"], "Principal": value}
    for keys in statement.get("Condition", {}).values():
        for key, wanted in keys.items():
            if key.lower() in _PROPERTIES:
                found[_PROPERTIES[key.lower()]] = wanted
            else:
                item.notes.append((f"condition {key} of its function policy", "it is taken as met"))
    return found
