"""Which stack of a live account manages a resource, and what it is called there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.access.live.asking import Item, Notes, ask, is_unreadable, pages, parsed
from kms_patterns.access.read.assembly import NESTED_STACK, Stack

_EXPLICIT = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::S3::Bucket": "BucketName",
}


@dataclass
class Place:
    """Where CloudFormation manages resources, or where those stand that it does not manage.

    Attributes:
        identifier: The stack's id.
        name: Its name; empty if it is not a stack.
        region: Its Region.
        logical_ids: Logical ids of its resources by type and physical id.
        paths: Construct paths by logical id.
        resources: Its resources as a template would define them.
        physical: Names that AWS made up, by logical id.
        notes: What of it could not be read: logical id, what, and why.
    """

    identifier: str
    name: str
    region: str
    logical_ids: dict[tuple[str, str], str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    physical: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str, str]] = field(default_factory=list)


class Placement:
    """Finds the stacks of an account in a Region and puts resources into them."""

    def __init__(self, client: Any, notes: Notes, region: str, like: Sequence[Stack] = ()) -> None:
        """Take what is needed.

        Args:
            client: A client of CloudFormation.
            notes: Where refusals are noted.
            region: The client's Region.
            like: Stacks of an assembly, of this account: theirs are named alike.
        """
        self._client = client
        self._notes = notes
        self._region = region
        self._like = like
        self._explicit = set(_named_by_template(like))
        self._attached = dict(_attached_by_template(like))

    def places(self, suffix: str = "") -> list[Place]:
        """Return the stacks of the Region, nested ones included; ``suffix`` ends the id of one without a twin."""
        stacks = pages(self._client, "describe_stacks", "Stacks")
        listed = ask("cloudformation:DescribeStacks", stacks, self._notes.add, what="stacks")
        entries = [] if is_unreadable(listed) else [item for item in listed if not item.get("ParentId")]
        made: list[Place] = []
        for entry in entries:
            if entry["StackStatus"] != "DELETE_COMPLETE":
                name = entry["StackName"]
                near = (stack for stack in self._like if stack.region == self._region and not stack.parent)
                twin = next((stack for stack in near if stack.name == name), None)
                made += self._place(name, f"{name}{suffix}", twin)
        return made

    def _place(self, name: str, identifier: str, twin: Stack | None) -> list[Place]:
        summaries = pages(self._client, "list_stack_resources", "StackResourceSummaries", StackName=name)
        what = f"resources of stack {name}"
        listed = ask("cloudformation:ListStackResources", summaries, self._notes.add, what=what)
        if is_unreadable(listed):
            return []
        place = Place(twin.id if twin else identifier, twin.name if twin else name, self._region)
        place.paths = dict(twin.paths) if twin else self._paths(name)
        found = [place]
        for item in listed:
            physical, logical = item.get("PhysicalResourceId"), item["LogicalResourceId"]
            if physical and item["ResourceType"] == NESTED_STACK:
                found += self._place(physical, f"{place.identifier}/{logical}", self._inner(twin, logical))
            elif physical:
                place.logical_ids[item["ResourceType"], physical] = logical
        return found

    def _inner(self, outer: Stack | None, logical: str) -> Stack | None:
        parents = ((stack, stack.parent) for stack in self._like if stack.parent and outer)
        return next((s for s, parent in parents if outer and (parent[0].id, parent[1]) == (outer.id, logical)), None)

    def _paths(self, name: str) -> dict[str, str]:
        """Return construct paths by logical id, as the CDK left them in the deployed template."""

        def call() -> Any:
            return self._client.get_template(StackName=name)

        found = ask("cloudformation:GetTemplate", call, self._notes.add, what=f"template of {name}")
        body = {} if is_unreadable(found) else found.get("TemplateBody", {})
        if isinstance(body, str):
            body = parsed(body, f"the template of {name}") if body.lstrip().startswith("{") else {}
        paths = {}
        for logical, resource in body.get("Resources", {}).items() if isinstance(body, Mapping) else ():
            path = resource.get("Metadata", {}).get("aws:cdk:path") if isinstance(resource, Mapping) else None
            if path:
                paths[logical] = path.partition("/")[2]
        return paths

    def put(self, place: Place, item: Item) -> None:
        """Add a resource and what belongs to it to a place, under its logical id or one made of its name."""
        logical = place.logical_ids.get((item.kind, item.name))
        if logical is None:
            kind = item.kind.rpartition("::")[2].lower()
            logical = f"{kind}.{item.name}"
            place.paths[logical] = f"{kind}/{item.name.rpartition(':policy/')[2] or item.name}"
        made_up = bool(place.name) and item.name.lower().startswith(f"{place.name}-".lower())
        if "KMS" in item.kind or (made_up and (place.identifier, logical) not in self._explicit):
            place.physical[logical] = re.sub(r"^.*:policy(/.*)?/", "", item.name)
        self._put_policies(place, item, logical)
        place.resources[logical] = {"Type": item.kind, "Properties": item.properties}
        for number, (kind, companion) in enumerate(item.companions):
            own = (place.logical_ids.get((kind, physical)) for physical in (item.name, f"{item.name}-policy"))
            name = next(filter(None, own), f"{logical}.{number}")
            place.resources[name] = {"Type": kind, "Properties": companion}
            place.paths.setdefault(name, f"{place.paths.get(logical, logical)}/{kind.rpartition('::')[2]}{number}")
        place.notes += [(logical, what, why) for what, why in item.notes]

    def name_others(self, place: Place) -> None:
        """Add what is not read but named by policies: rules, queues, topics, each under the name that AWS made up."""
        for (kind, physical), logical in place.logical_ids.items():
            name = re.split(r"[/:|]", physical)[-1]
            ours = kind.startswith(_READ) or logical in place.resources
            if not ours and name.lower().startswith(f"{place.name}-".lower()):
                place.resources[logical] = {"Type": kind, "Properties": {}}
                place.physical[logical] = name

    def _put_policies(self, place: Place, item: Item, logical: str) -> None:
        """Move inline policies that the template holds as resources of their own to where the template has them."""
        member = _MEMBERS.get(item.kind)
        for policy in list(item.properties.get("Policies", ())) if member else ():
            name = self._attached.get((place.identifier, logical, policy["PolicyName"]))
            if name:
                made = {"Type": "AWS::IAM::Policy", "Properties": {**policy, "Roles": [], "Users": [], "Groups": []}}
                found = place.resources.setdefault(name, made)["Properties"]
                if found["PolicyDocument"] == policy["PolicyDocument"]:
                    found[member].append(item.name)
                    item.properties["Policies"].remove(policy)


_READ = ("AWS::IAM::", "AWS::KMS::", "AWS::Lambda::", "AWS::S3::Bucket")
_MEMBERS = {"AWS::IAM::Role": "Roles", "AWS::IAM::User": "Users", "AWS::IAM::Group": "Groups"}


def _attached_by_template(like: Iterable[Stack]) -> Iterable[tuple[tuple[str, str, str], str]]:
    """Yield stack, logical id of a principal and policy name of every ``AWS::IAM::Policy``, with its logical id."""
    for stack in like:
        for logical, resource in stack.resources.items():
            properties = resource.get("Properties", {}) if resource["Type"] == "AWS::IAM::Policy" else {}
            for member in _MEMBERS.values():
                given = properties.get(member)
                for holder in given if isinstance(given, list) else ():
                    if isinstance(holder, dict) and isinstance(holder.get("Ref"), str):
                        yield (stack.id, holder["Ref"], str(properties.get("PolicyName"))), logical


def _named_by_template(like: Iterable[Stack]) -> Iterable[tuple[str, str]]:
    """Yield which resources of an assembly have a name of their own: it is printed, and stays as it is."""
    for stack in like:
        for logical, resource in stack.resources.items():
            if _EXPLICIT.get(resource["Type"], "") in resource.get("Properties", {}):
                yield stack.id, logical
