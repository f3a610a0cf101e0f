"""Keys with their grants, buckets and functions of a live account, as resources of a template."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from kms_patterns.access.live.asking import UNREADABLE, Item, Notes, ask, is_unreadable, pages, parsed
from kms_patterns.access.read.sdk_calls import grant_statements
from kms_patterns.access.templates.template_text import items

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
        described = item.ask("kms:DescribeKey", "what it is", client.describe_key, KeyId=item.name, absent=_GONE)
        data = {} if described is None or is_unreadable(described) else described["KeyMetadata"]
        if described is None or data.get("KeyManager") == "AWS":
            continue
        multi = data.get("MultiRegionConfiguration", {})
        if multi.get("MultiRegionKeyType") == "REPLICA":
            item.kind = "AWS::KMS::ReplicaKey"
            item.properties["PrimaryKeyArn"] = multi["PrimaryKey"]["Arn"]
        else:
            facts = ("KeySpec", "KeyUsage", "Origin")
            item.properties |= {name: data.get(name, {UNREADABLE: f"its {name}"}) for name in facts}
        item.properties["KeyPolicy"] = _policy(client, item)
        named = [] if is_unreadable(aliases) else aliases
        item.companions += [
            ("AWS::KMS::Alias", {"AliasName": alias["AliasName"], "TargetKeyId": entry["KeyId"]})
            for alias in named
            if alias.get("TargetKeyId") == entry["KeyId"]
        ]
        yield item


def _policy(client: Any, item: Item) -> dict[str, Any]:
    found = item.ask("kms:GetKeyPolicy", "its key policy", client.get_key_policy, KeyId=item.name)
    grants = item.ask("kms:ListGrants", "its grants", pages(client, "list_grants", "Grants", KeyId=item.name))
    unknown = {"Version": "2012-10-17", "Statement": [found]}
    document = unknown if is_unreadable(found) else parsed(found["Policy"], f"the policy of key {item.name}")
    added = [grants] if is_unreadable(grants) else [each for grant in grants for each in grant_statements(grant)]
    return {**document, "Statement": [*items(document.get("Statement")), *added]}


_NOTHING = (
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
)
_HOME = {"EU": "eu-west-1", None: "us-east-1", "": "us-east-1"}
_NOT_SERVED = "InvalidURI"
"""An endpoint other than AWS's own has nothing of what it does not serve."""


def access_grants(control: Any, account: str, notes: Notes) -> Iterator[Item]:
    """Yield the S3 Access Grants of the client's Region; one to any principal on any bucket if they cannot be listed.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListAccessGrants.html

    Args:
        control: A client of S3 Control.
        account: The account's id.
        notes: Where a refusal is noted.
    """
    listed = ask(
        "s3:ListAccessGrants",
        pages(control, "list_access_grants", "AccessGrantsList", AccountId=account),
        notes.add,
        what="S3 Access Grants",
        absent=("AccessGrantsInstanceNotExistsError", _NOT_SERVED),
        optional=True,
    )
    for grant in [{"AccessGrantId": "not-read"}] if is_unreadable(listed) else listed or []:
        given = {name: grant.get(name, "") for name in ("Grantee", "GrantScope", "Permission")}
        yield Item("AWS::S3::AccessGrant", grant["AccessGrantId"], given)


def buckets(client: Any, control: Any, account: str, regions: Sequence[str], notes: Notes) -> Iterator[Item]:
    """Yield the account's buckets in some Regions.

    Args:
        client: A client of S3.
        control: A client of S3 Control, which knows the account's public-access block.
        account: The account's id.
        regions: The Regions; a bucket of which it cannot be told is read as well.
        notes: Where a refusal of the whole list is noted.
    """
    listed = ask("s3:ListAllMyBuckets", pages(client, "list_buckets", "Buckets"), notes.add, what="buckets")
    if is_unreadable(listed):
        return
    everywhere = ask(
        "s3:GetAccountPublicAccessBlock",
        lambda: control.get_public_access_block(AccountId=account),
        notes.add,
        what="the account's public-access block (taken as off)",
        absent=(*_NOTHING, _NOT_SERVED),
        optional=True,
    )
    elsewhere = 0
    for entry in listed:
        item = Item("AWS::S3::Bucket", entry["Name"], {"BucketName": entry["Name"]})
        place = item.ask("s3:GetBucketLocation", "its Region", client.get_bucket_location, Bucket=item.name)
        if not is_unreadable(place):
            home = place.get("LocationConstraint")
            item.region = _HOME.get(home, home)
        if item.region in {"", *regions}:
            _fill(client, item, everywhere)
            yield item
        else:
            elsewhere += 1
    if elsewhere:
        what = "1 bucket" if elsewhere == 1 else f"{elsewhere} buckets"
        notes.add_beside(f"{what} of other Regions", f"only those of {', '.join(regions)} are read")


def _fill(client: Any, item: Item, everywhere: Any) -> None:
    name = item.name

    def asked(action: str, what: str, operation: Any) -> Any:
        return item.ask(action, what, operation, Bucket=name, absent=_NOTHING)

    block = asked("s3:GetBucketPublicAccessBlock", "its public-access block", client.get_public_access_block)
    restricted = any(
        isinstance(found, dict) and found.get("PublicAccessBlockConfiguration", {}).get("RestrictPublicBuckets")
        for found in (block, everywhere)
    )
    item.properties["PublicAccessBlockConfiguration"] = {"RestrictPublicBuckets": restricted}
    encryption = asked("s3:GetEncryptionConfiguration", "its default encryption", client.get_bucket_encryption)
    if is_unreadable(encryption):
        item.properties["BucketEncryption"] = encryption
    elif encryption:
        rules = encryption["ServerSideEncryptionConfiguration"]["Rules"]
        member = "ApplyServerSideEncryptionByDefault"
        shaped = [{member.removeprefix("Apply"): dict(rule.get(member, {}))} for rule in rules]
        item.properties["BucketEncryption"] = {"ServerSideEncryptionConfiguration": shaped}
    acl = asked("s3:GetBucketAcl", "its ACL", client.get_bucket_acl)
    owner = (acl or {}).get("Owner", {}).get("ID")
    if is_unreadable(acl) or any(
        grant.get("Grantee", {}).get("ID") != owner for grant in (acl or {}).get("Grants", [])
    ):
        item.properties["AccessControl"] = "with grants to others"
    policy = asked("s3:GetBucketPolicy", "its bucket policy", client.get_bucket_policy)
    if policy is not None:
        document = policy if is_unreadable(policy) else parsed(policy["Policy"], f"the policy of bucket {name}")
        item.companions.append(("AWS::S3::BucketPolicy", {"Bucket": name, "PolicyDocument": document}))


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
_NO_POLICY = ("ResourceNotFoundException",)


def _qualifiers(client: Any, item: Item) -> Iterator[str]:
    """Yield the versions and aliases of a function; one that stands for any where they cannot be listed."""
    for action, operation, member, name in _QUALIFIERS:
        call = pages(client, operation, member, FunctionName=item.name)
        listed = item.ask(action, f"its {member.lower()}", call, absent=_NO_POLICY)
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
        found = item.ask(
            "lambda:GetPolicy", what, client.get_policy, FunctionName=item.name, absent=_NO_POLICY, **place
        )
    named = f"{arn}:{qualifier}" if qualifier else arn
    if is_unreadable(found):  # whatever it says, it says no more
        yield {"FunctionName": named, "Action": "lambda:*", "Principal": "*"}
    elif found is not None:
        for statement in items(parsed(found["Policy"], f"{what} {named}").get("Statement")):
            if statement.get("Effect") == "Allow":
                yield from _stated(statement.get("Resource", named), statement, item)
            else:
                item.note(f"a Deny of {what}", "it is taken as absent")


def _stated(name: str, statement: Mapping[str, Any], item: Item) -> Iterator[dict[str, Any]]:
    """Yield a statement of a function policy as permissions: one for each principal, action and value of a condition.

    A condition that CloudFormation does not know there is left out.
    """
    principal = statement.get("Principal", "*")
    members = {
        "FunctionName": items(name),
        "Action": items(statement.get("Action", "lambda:*")),
        "Principal": items([*principal.values()] if isinstance(principal, Mapping) else principal),
    }
    for keys in statement.get("Condition", {}).values():
        for key, wanted in keys.items():
            if key.lower() in _PROPERTIES:
                members[_PROPERTIES[key.lower()]] = items(wanted)
            else:
                item.note(f"condition {key} of its function policy", "it is taken as met")
    for values in product(*members.values()):
        yield dict(zip(members, values, strict=True))
