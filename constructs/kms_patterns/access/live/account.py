"""A live account as stacks: what CloudFormation manages under its stack and construct path, the rest apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from kms_patterns.access.live.account_resources import access_grants, buckets, functions, keys
from kms_patterns.access.live.asking import FEW_RETRIES, RETRIES, AccountNotRead, Item, Notes, ask, is_unreadable, pages
from kms_patterns.access.live.placement import Place, Placement
from kms_patterns.access.read.assembly import Stack


def identities(client: Any, notes: Notes) -> Iterator[Item]:
    """Yield the account's roles, users, groups and its own managed policies.

    Args:
        client: A client of IAM.
        notes: Where a refusal is noted.
    """

    def call() -> list[Mapping[str, Any]]:
        return list(client.get_paginator("get_account_authorization_details").paginate())

    found = ask("iam:GetAccountAuthorizationDetails", call, notes.add, what="roles, users and their policies")
    if is_unreadable(found):
        return
    documents = {
        policy["Arn"]: version["Document"]
        for page in found
        for policy in page.get("Policies", [])
        for version in policy.get("PolicyVersionList", [])
        if version.get("IsDefaultVersion")
    }
    for page in found:
        for policy in page.get("Policies", []):
            if ":iam::aws:policy/" not in policy["Arn"] and policy["Arn"] in documents:
                properties = {"ManagedPolicyName": policy["PolicyName"], "Path": policy.get("Path", "/")}
                document = {"PolicyDocument": documents[policy["Arn"]]}
                yield Item("AWS::IAM::ManagedPolicy", policy["Arn"], properties | document)
        for role in page.get("RoleDetailList", []):
            trust = {"RoleName": role["RoleName"], "AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"]}
            properties = _of_principal(role, "RolePolicyList", documents) | trust
            yield Item("AWS::IAM::Role", role["RoleName"], properties)
        for user in page.get("UserDetailList", []):
            properties = _of_principal(user, "UserPolicyList", documents)
            properties |= {"UserName": user["UserName"], "Groups": user.get("GroupList", [])}
            yield Item("AWS::IAM::User", user["UserName"], properties)
        for group in page.get("GroupDetailList", []):
            properties = _of_principal(group, "GroupPolicyList", documents) | {"GroupName": group["GroupName"]}
            yield Item("AWS::IAM::Group", group["GroupName"], properties)


def _of_principal(detail: Mapping[str, Any], inline: str, documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return what roles, users and groups have in common; AWS managed policies as the account has them, by document."""
    attached = [policy["PolicyArn"] for policy in detail.get("AttachedManagedPolicies", [])]
    of_aws = [arn for arn in attached if ":iam::aws:policy/" in arn and arn in documents]
    policies = [
        {"PolicyName": policy["PolicyName"], "PolicyDocument": policy["PolicyDocument"]}
        for policy in detail.get(inline, [])
    ]
    policies += [{"PolicyName": arn, "PolicyDocument": documents[arn]} for arn in of_aws]
    found: dict[str, Any] = {
        "Path": detail.get("Path", "/"),
        "Policies": policies,
        "ManagedPolicyArns": [arn for arn in attached if arn not in of_aws],
    }
    boundary = detail.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if boundary:
        found["PermissionsBoundary"] = boundary
    if detail.get("Tags"):
        found["Tags"] = detail["Tags"]
    return found


def _home(item: Item, places: Sequence[Place]) -> Place:
    """Return the stack that manages a resource, or where those of its Region stand that none manages."""
    near = [place for place in places if item.region in {"", place.region}]
    manager = next((place for place in near if (item.kind, item.name) in place.logical_ids), None)
    return manager or next(place for place in near if not place.name)


_SECTIONS: Mapping[str, Any] = {"Parameters": {}, "Mappings": {}, "Conditions": {}, "Outputs": {}}


class Account:
    """Reads one account in some Regions. It writes nothing; ``asking.ACTIONS`` are all that it asks for.

    Attributes:
        account: Its id.
        region: The first Region.
        session: Its credentials, for other read-only questions.
    """

    def __init__(self, profile: str | None = None, regions: Sequence[str] = ()) -> None:
        """Find credentials and ask whose they are.

        Args:
            profile: A profile of the AWS configuration; defaults to the environment's credentials.
            regions: Regions; default to the profile's.

        Raises:
            AccountNotRead: Credentials or Region are missing, or AWS refuses them.
        """
        try:
            self.session = boto3.session.Session(profile_name=profile, region_name=next(iter(regions), None))
        except BotoCoreError as error:
            raise AccountNotRead(str(error)) from error
        if not self.session.region_name:
            raise AccountNotRead("no Region: give --region, or set it in the profile or AWS_REGION")
        self.region: str = self.session.region_name
        self._regions = {self.region, *regions}
        refused: list[str] = []
        caller = ask(
            "sts:GetCallerIdentity",
            self._client("sts", FEW_RETRIES).get_caller_identity,
            lambda _, why: refused.append(why),
            what="the caller",
        )
        if refused:
            raise AccountNotRead(refused[0])
        self.account: str = caller["Account"]

    def _client(self, service: str, config: Config = RETRIES, region: str | None = None) -> Any:
        try:
            return self.session.client(service, region, config=config)  # type: ignore[call-overload]
        except ValueError as error:  # of an endpoint or Region in the environment or profile
            raise AccountNotRead(f"no client of {service}: {error}") from error

    def stacks(self, like: Sequence[Stack] = ()) -> list[Stack]:
        """Return the account's resources as stacks: those of each Region, and what belongs to none.

        Args:
            like: Stacks of an assembly: theirs are named alike, so that both can be compared, and their Regions are
                read as well.

        Raises:
            AccountNotRead: A request failed for another reason than a refusal.
        """
        own = [stack for stack in like if stack.account == self.account]
        regions = sorted(self._regions | {stack.region for stack in own}, key=lambda name: (name != self.region, name))
        notes, everywhere = Notes(), list[Place]()
        for region in regions:
            others = f" in {region}" if len(regions) > 1 else ""
            placement = Placement(self._client("cloudformation", region=region), notes, region, own)
            home = Place(f"account {self.account}{others}", "", region)
            everywhere += [*placement.places(others), home]
        for item in self._items(regions, notes):
            placement.put(_home(item, everywhere), item)
        self._organization(notes)
        for place in everywhere:
            placement.name_others(place)
        found = notes.found if like else [*notes.found, *notes.beside]
        _home(Item("", "", {}), everywhere).notes += [("", what, why) for what, why in found]
        return sorted((self._stack(place) for place in everywhere), key=lambda stack: stack.id)

    def _items(self, regions: Sequence[str], notes: Notes) -> Iterator[Item]:
        for region in regions:
            for item in keys(self._client("kms", region=region), notes):
                yield replace(item, region=region)
            for item in functions(self._client("lambda", region=region), notes):
                yield replace(item, region=region)
            for item in access_grants(self._client("s3control", FEW_RETRIES, region), self.account, notes):
                yield replace(item, region=region)
        control = self._client("s3control", FEW_RETRIES)
        yield from buckets(self._client("s3"), control, self.account, regions, notes)
        yield from identities(self._client("iam"), notes)

    def _organization(self, notes: Notes) -> None:
        client = self._client("organizations", FEW_RETRIES)
        for kind in ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"):
            words = kind.lower().replace("_", " ").replace("policy", "policies")
            found = ask(
                "organizations:ListPolicies",
                pages(client, "list_policies", "Policies", Filter=kind),
                notes.add_beside,
                what=f"{words} of the organization",
                absent=("AWSOrganizationsNotInUseException",),
                optional=True,
            )
            listed = [] if is_unreadable(found) else found or []
            others = sorted(item["Name"] for item in listed if not item.get("AwsManaged"))
            if others:
                notes.add_beside(f"{words} {', '.join(others)}", "what an organization denies is not evaluated")

    def _stack(self, place: Place) -> Stack:
        return Stack(
            id=place.identifier,
            name=place.name or place.identifier,
            account=self.account,
            region=place.region,
            template={**_SECTIONS, "Resources": place.resources},
            file=Path(f"account-{self.account}"),
            paths=place.paths,
            notes=place.notes,
            physical=place.physical,
        )
