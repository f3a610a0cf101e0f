"""Customer managed keys of a live account: key policy, grants, aliases."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.live.asking import UNREADABLE, Item, Notes, ask, is_unreadable, pages
from kms_patterns.access.read.kms_grants import statement_of

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
    added = [{UNREADABLE: "its grants"}] if is_unreadable(grants) else [statement_of(each) for each in grants]
    return {**document, "Statement": [*given, *added]}
