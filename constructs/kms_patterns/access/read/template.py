"""The resolved view of an assembly's templates, all stacks together, and the values in them.

What only a deployment can tell becomes a symbol, and is listed with the place that uses it. ``alternatives`` follows
both ways of a condition that only a deployment decides.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read import identifiers
from kms_patterns.access.read.assembly import NESTED_STACK, Stack
from kms_patterns.access.read.documents import read_document
from kms_patterns.access.read.intrinsics import ABSENT, Json, Scope
from kms_patterns.access.read.template_conditions import World, only_near
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import TRUE, Proposition, symbol

_MOST_WAYS = 64
_FALSE = "false"


@dataclass
class Resolver:
    """Resolves values of an assembly's templates to what a deployment would make of them.

    Attributes:
        stacks: Every stack of the assembly.
        unresolved: What could not be resolved, filled by ``resolve``.
    """

    stacks: Sequence[Stack]
    unresolved: set[Unresolved] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exports = [
            (json.dumps(output["Export"]["Name"], sort_keys=True), stack, output["Value"])
            for stack in self.stacks
            for output in stack.template.get("Outputs", {}).values()
            if "Export" in output
        ]

    def resolve(self, stack: Stack, value: Json, where: str) -> Json:
        """Return ``value`` with every intrinsic function replaced by its result.

        Args:
            stack: The stack whose template holds ``value``.
            value: Any JSON value of the template.
            where: The place that needs it, for the list of what could not be resolved.
        """
        result = Scope(self, stack, where).value(value)
        return None if result is ABSENT else result

    def alternatives(self, stack: Stack, value: Json, where: str) -> list[tuple[tuple[Proposition, ...], Json]]:
        """Return every way in which ``value`` may resolve, with the propositions under which it does.

        Args:
            stack: The stack whose template holds ``value``.
            value: Any JSON value of the template.
            where: The place that needs it.
        """
        found: list[tuple[tuple[Proposition, ...], Json]] = []
        pending: list[dict[str, bool]] = [{}]
        while pending:
            if len(found) + len(pending) > _MOST_WAYS:
                self.unresolved.add(Unresolved(where, "its conditions", "there are too many ways to follow each"))
                return [((), symbol(f"value of {where}"))]
            world = World(pending.pop())
            result = Scope(self, stack, where, world).value(value)
            if world.asked:
                pending += [{**world.assumed, world.asked[0]: way} for way in (False, True)]
            else:
                given = ((name, TRUE if way else _FALSE) for name, way in sorted(world.assumed.items()))
                found.append((tuple(given), None if result is ABSENT else result))
        return found

    def holds(self, stack: Stack, condition: str | None, where: str) -> bool:
        """Return whether a template condition holds; one that cannot be decided counts as true, and is listed."""
        return condition is None or Scope(self, stack, where).condition(condition)

    def existence(self, stack: Stack, condition: str | None, where: str) -> tuple[Proposition, ...]:
        """Return under which propositions a resource exists that has this template condition, if only some hold."""
        if condition is None:
            return ()
        ways = self.alternatives(stack, {"Fn::If": [condition, True, False]}, where)
        return next((given for given, exists in ways if exists), ())

    def exported(self, stack: Stack, name: Json) -> tuple[Stack, Json] | None:
        """Return stack and value of an export, by its unresolved or resolved name: of the same account and region.

        An environment-agnostic stack may meet an export of any, if there is only one.
        """
        wanted = json.dumps(name, sort_keys=True)
        return only_near(stack, [(exporter, value) for key, exporter, value in self._exports if key == wanted])


_RELEVANT: Mapping[str, Container[str]] = {
    "AWS::IAM::Role": {
        *(
            "AssumeRolePolicyDocument",
            "ManagedPolicyArns",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        ),
    },
    "AWS::KMS::Key": {"KeyPolicy", "KeySpec", "KeyUsage", "MultiRegion", "Origin"},
    "AWS::Lambda::Function": {"FunctionName", "Role"},
    "AWS::S3::Bucket": {
        *("AccessControl", "BucketEncryption", "BucketName", "OwnershipControls", "PublicAccessBlockConfiguration"),
    },
}
"""What of a resource says anything of access; a Lambda function's runtime, say, is not even resolved."""


_PROVIDERS = ("AWS::Lambda::Function", "AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::SNS::Topic")
_MAKING = (NESTED_STACK, "AWS::CloudFormation::StackSet", "AWS::ServiceCatalog::CloudFormationProvisionedProduct")


class Template:
    """The resolved view of all templates, shared by the readers of identities and of resources."""

    def __init__(self, stacks: list[Stack]) -> None:
        self.stacks = stacks
        self.resolver = Resolver(stacks)
        self._identifiers: dict[tuple[str, str, str], str] = {}

    def list_not_read(self) -> None:
        """List nested stacks whose template is not in the assembly."""
        for stack, logical_id, _ in self.unread():
            if stack.resources[logical_id]["Type"] == NESTED_STACK:
                self.unresolved(self.where(stack, logical_id), "nested stack", "its template is not in the assembly")

    def of_type(self, *types: str) -> Iterator[tuple[Stack, str, Mapping[str, Any]]]:
        """Yield stack, logical id and resolved properties of every resource of these types that may exist."""
        for stack in self.stacks:
            for logical_id, resource in stack.resources.items():
                where = self.where(stack, logical_id)
                if resource["Type"] in types and self._may_exist(stack, logical_id):
                    given = mapping(resource.get("Properties"))
                    names = _RELEVANT.get(resource["Type"], given)
                    relevant = {
                        name: value for name, value in given.items() if name in names or name.startswith("Fn::")
                    }
                    yield stack, logical_id, mapping(self.resolver.resolve(stack, relevant, where))

    def unread(self) -> Iterator[tuple[Stack, str, Mapping[str, Any]]]:
        """Yield stack, logical id and resolved properties of what makes resources that no template here shows."""
        read = {(stack.parent[0].id, stack.parent[1]) for stack in self.stacks if stack.parent}
        types = {item["Type"] for stack in self.stacks for item in stack.resources.values()}
        foreign = {name for name in types if "::" in name and not name.startswith(("AWS::", "Custom::"))}
        for stack, logical_id, properties in self.of_type(*foreign, *_MAKING):
            if (stack.id, logical_id) not in read:
                yield stack, logical_id, properties
        providers = {self.arn(stack, logical_id) for stack, logical_id, _ in self.of_type(*_PROVIDERS)}
        for stack, logical_id, properties in self.of_kind(identifiers.CUSTOM):
            own = str(mapping(self.raw(stack, logical_id, "ServiceToken")).get("Fn::GetAtt", "Outputs"))
            if "Outputs" in own and text(properties.get("ServiceToken", "")) not in {*providers, ""}:
                yield stack, logical_id, properties

    def of_kind(self, prefixes: tuple[str, ...]) -> Iterator[tuple[Stack, str, Mapping[str, Any]]]:
        """Yield stack, logical id and resolved properties of every resource whose type starts so, and may exist."""
        types = {item["Type"] for stack in self.stacks for item in stack.resources.values()}
        return self.of_type(*(name for name in types if str(name).startswith(prefixes)))

    def raw(self, stack: Stack, logical_id: str, name: str) -> Any:
        """Return a property as the template holds it, None if it has none."""
        return mapping(stack.resources[logical_id].get("Properties")).get(name)

    def existence(self, stack: Stack, logical_id: str) -> tuple[Proposition, ...]:
        """Return under which propositions a resource exists, if only some deployments make it."""
        condition = stack.resources[logical_id].get("Condition")
        around = self.existence(*stack.parent) if stack.parent else ()
        return (*around, *self.resolver.existence(stack, condition, self.where(stack, logical_id)))

    def _may_exist(self, stack: Stack, logical_id: str) -> bool:
        """Return whether a resource may exist: the nested stack that makes it, and those around, as well."""
        here = self.resolver.holds(stack, stack.resources[logical_id].get("Condition"), self.where(stack, logical_id))
        return here and (stack.parent is None or self._may_exist(*stack.parent))

    def ways(self, stack: Stack, value: Any, where: str) -> list[tuple[tuple[Proposition, ...], Any]]:
        """Return every way in which a value may resolve, with the propositions under which it does."""
        return self.resolver.alternatives(stack, value, where)

    def several(self, stack: Stack, value: Any, where: str) -> list[tuple[tuple[Proposition, ...], Any]]:
        """Return the items of a list, each in every way in which it may resolve."""
        given = value if isinstance(value, list) else [value]
        return [(guard, part) for raw in given for guard, way in self.ways(stack, raw, where) for part in items(way)]

    def document(
        self,
        stack: Stack,
        where: str,
        raw: Any,
        given: Sequence[Proposition] = (),
        default: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a policy document with every statement; what cannot be told is a symbol in it, and is listed."""
        return read_document(
            raw,
            lambda value: self.ways(stack, value, where),
            lambda what, why: self.unresolved(where, what, why),
            given,
            default,
        )

    def unresolved(self, where: str, what: str, why: str) -> None:
        """List what synthesized output cannot tell."""
        self.resolver.unresolved.add(Unresolved(where, what, why))

    def partition(self, account: str) -> str:
        """Return the partition of an account of the assembly."""
        return next((stack.partition for stack in self.stacks if stack.account == account), "aws")

    @property
    def only_account(self) -> str | None:
        """The account of all stacks, None if there are several."""
        accounts = {stack.account for stack in self.stacks}
        return accounts.pop() if len(accounts) == 1 else None

    def where(self, stack: Stack, logical_id: str) -> str:
        """Return the readable, unique place of a resource."""
        return f"{stack.id}/{stack.path(logical_id)}"

    def name(self, stack: Stack, logical_id: str) -> str:
        """Return the resource's physical name; a symbol if a condition decides between several."""
        return self._identified(identifiers.physical_name, stack, logical_id)

    def arn(self, stack: Stack, logical_id: str) -> str:
        """Return the resource's ARN."""
        return self._identified(identifiers.arn, stack, logical_id)

    def _identified(self, kind: Callable[..., str], stack: Stack, logical_id: str) -> str:
        place = kind.__name__, stack.id, logical_id
        if place not in self._identifiers:
            # A name that differs between the ways of a condition is replaced by one symbol, wherever it stands.
            def resolve(value: Any) -> Any:
                ways = {text(way) for _, way in self.ways(stack, value, stack.id)}
                only = self.resolver.resolve(stack, value, stack.id)
                return only if len(ways) == 1 else symbol(f"name of {logical_id}")

            self._identifiers[place] = kind(stack, logical_id, resolve)
        return self._identifiers[place]

    def names(self) -> dict[str, str]:
        """Return readable names by made-up name."""
        found: dict[str, str] = {}
        for stack in self.stacks:
            for logical_id in stack.resources:
                name = self.name(stack, logical_id)
                kind = stack.resources[logical_id]["Type"]
                key = kind in {"AWS::KMS::Key", "AWS::KMS::ReplicaKey"}
                made_up = (logical_id in stack.physical and kind != "AWS::KMS::Alias") or key
                if made_up or name.lower().startswith(f"{stack.prefix}-".lower()):
                    found.setdefault(name, self.where(stack, logical_id))
        return found
