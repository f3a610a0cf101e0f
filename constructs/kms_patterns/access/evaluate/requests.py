"""What is asked of the simulator: one batch per principal and resource ARN, with all that is known of the request.

A pair of principal and resource is left out if no Allow of the principal's own policies may be about the resource, and
no Allow of the resource's policy names the principal itself: then every decision is a denial, whatever else is said.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.access.evaluate.action_catalogue import SERVICES, Action, object_scopes
from kms_patterns.access.model import Policy, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.read.identifiers import may_be_equal
from kms_patterns.access.read.named_principals import ANY_SERVICE
from kms_patterns.access.unknowns.symbols import is_symbolic

_KNOWN_OF_ALL = (
    "aws:PrincipalArn",
    "aws:PrincipalAccount",
    "aws:PrincipalType",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalServiceName",
    "aws:ResourceAccount",
    "aws:username",
)
_TAG = "aws:PrincipalTag/"
_SERVICES = set(SERVICES.values())
_BY_NAME = {PrincipalKind.SERVICE, PrincipalKind.PROVIDER}


@dataclass(frozen=True, eq=False)
class Request:
    """One principal asking for many actions on one ARN.

    Attributes:
        principal: Who asks.
        resource: The key, bucket or role.
        arn: The ARN asked for: the resource's, or one of an object in the bucket.
        scope: For objects: the pattern of object keys that ``arn`` stands for, None for any other object.
        actions: The actions asked for.
        assumed: Request context that ``scope`` presupposes, where it holds a policy variable.
    """

    principal: Principal
    resource: Resource
    arn: str
    scope: str | None
    actions: Sequence[Action]
    assumed: Mapping[str, str] = field(default_factory=dict)


def applies(principal: Principal, resource: Resource) -> bool:
    """Return whether there is anything to ask: a service or an identity provider acts only where a policy names it."""
    if principal.only is not None and resource.id not in principal.only:
        return False
    if principal.kind in {PrincipalKind.SERVICE, PrincipalKind.PROVIDER}:
        text = json.dumps(resource.policy.document, ensure_ascii=False) if resource.policy else ""
        return f'"{principal.arn}"' in text or (
            principal.arn == ANY_SERVICE and "principalisawsservice" in text.lower()
        )
    return principal.id != resource.id


def requests(principal: Principal, resource: Resource, actions: Sequence[Action]) -> Iterator[Request]:
    """Yield the requests that together tell all that ``principal`` can do to ``resource`` and its objects."""
    own = [action for action in actions if action.target != "object"]
    yield Request(principal, resource, resource.arn, None, own)
    if resource.kind is ResourceKind.BUCKET:
        objects = [action for action in actions if action.target == "object"]
        for scope, arn, assumed in object_scopes(principal, resource):
            yield Request(principal, resource, arn, scope, objects, assumed)


def batch(request: Request, table: Mapping[int, int], each: str = "together") -> dict[str, Any]:
    """Return ``request`` as the message that the simulator's driver reads.

    Args:
        request: The request.
        table: Numbers of policies, see ``Simulator.load``, by ``id`` of the policy.
        each: How actions are decided: ``together`` with others that match the same statements, each ``alone``, or each
            ``validated`` by the simulator's front door, which refuses what its data sets lack.
    """
    principal, resource = request.principal, request.resource
    context = _context(request)
    unknown = {key for key, value in principal.attributes.items() if is_symbolic(value)}
    known = [key for key in dict.fromkeys([*_KNOWN_OF_ALL, *context]) if key not in unknown]
    return {
        "principal": principal.arn_at(resource),
        "resource": request.arn,
        "account": resource.account,
        "identity": [table[id(policy)] for policy in principal.identity],
        "boundaries": _places(principal.boundaries, table),
        "resourcePolicy": None if resource.policy is None else table[id(resource.policy)],
        "blockPublicAccess": resource.block_public_access,
        "context": context,
        "known": [{"keyName": key, "presenceIsKnown": True, "valueIsKnown": True} for key in known],
        "mode": "Discovery",
        "actions": [action.name for action in request.actions],
        "each": each,
    }


def _places(policies: Sequence[Policy] | None, table: Mapping[int, int]) -> list[int] | None:
    return None if policies is None else [table[id(policy)] for policy in policies]


def _context(request: Request) -> dict[str, str]:
    principal, resource = request.principal, request.resource
    context = {**request.assumed, "aws:ResourceAccount": resource.account}
    if resource.kind is ResourceKind.BUCKET:
        context["s3:ResourceAccount"] = resource.account
    if principal.kind is PrincipalKind.SERVICE:
        return context | {
            "aws:PrincipalIsAWSService": "true",
            "aws:PrincipalServiceName": principal.arn,
            **principal.attributes,
        }
    if principal.kind is PrincipalKind.PROVIDER:
        return context | {"aws:PrincipalIsAWSService": "false"}
    arn = principal.arn_at(resource)
    account = arn.split(":")[4]
    if resource.kind is ResourceKind.KEY:
        context["kms:CallerAccount"] = account
    attributes = principal.attributes or {"aws:PrincipalType": "AssumedRole"}
    return context | {
        "aws:PrincipalArn": arn,
        "aws:PrincipalAccount": account,
        "aws:PrincipalIsAWSService": "false",
        **{key: value for key, value in attributes.items() if not is_symbolic(value)},
        **{
            f"{_TAG}{name}": value for name, value in (principal.tags or {}).items() if value and not is_symbolic(value)
        },
    }


class Pairs:
    """The pairs of a model's principals and resources.

    Args:
        resources: The resources.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._resources = resources
        self._by_arn: dict[str, list[int]] = defaultdict(list)
        self._open: list[int] = []
        self._naming: dict[str, list[int]] = defaultdict(list)
        self._matched: dict[str, frozenset[int]] = {}
        self._by_policy: dict[int, frozenset[int]] = {}
        for place, resource in enumerate(resources):
            self._by_arn[resource.arn].append(place)
            named = _named(resource.policy)
            if named is None:
                self._open.append(place)
            for arn in named or ():
                self._naming[arn].append(place)

    def of(self, principal: Principal) -> Iterator[Resource]:
        """Yield the resources that ``principal`` may reach, in order."""
        if principal.kind in _BY_NAME:
            places: Iterable[int] = range(len(self._resources))
        else:
            found = {*self._open, *self._naming.get(principal.arn, ())}
            found.update(*(self._of_policy(policy) for policy in principal.identity))
            places = sorted(found)
        for place in places:
            if applies(principal, self._resources[place]):
                yield self._resources[place]

    def _of_policy(self, policy: Policy) -> frozenset[int]:
        if id(policy) not in self._by_policy:
            patterns = {text for statement in _allowing(policy.document) for text in _patterns(statement)}
            self._by_policy[id(policy)] = frozenset(place for text in patterns for place in self._of_pattern(text))
        return self._by_policy[id(policy)]

    def _of_pattern(self, pattern: str) -> frozenset[int]:
        if pattern not in self._matched:
            self._matched[pattern] = frozenset(self._matching(pattern))
        return self._matched[pattern]

    def _matching(self, pattern: str) -> Iterable[int]:
        if pattern == "*" or "${" in pattern:
            return range(len(self._resources))
        named = pattern.partition("/")[0] if ":s3:::" in pattern else pattern
        if not set(named) & {"*", "?"}:
            return self._by_arn.get(named, ())
        arns = [resource.arn for resource in self._resources]
        return [
            place
            for place, arn in enumerate(arns)
            if may_be_equal(pattern, arn) or (":s3:::" in arn and may_be_equal(pattern, f"{arn}/*"))
        ]


def _allowing(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") == "Allow":
            yield statement


def _patterns(statement: Mapping[str, Any]) -> list[str]:
    """Return the resources that a statement may be about; none if it has no action of a service that is asked about."""
    services = {text.partition(":")[0].lower() for text in _texts(statement.get("Action", []))}
    if "NotAction" not in statement and not any(name in _SERVICES or set(name) & {"*", "?"} for name in services):
        return []
    return ["*"] if "NotResource" in statement else _texts(statement.get("Resource", []))


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _named(policy: Policy | None) -> set[str] | None:
    """Return the ARNs that a resource's policy allows something by themselves, None if it may be any principal."""
    found: set[str] = set()
    for statement in _allowing(policy.document) if policy else ():
        principal = statement.get("Principal")
        if not isinstance(principal, Mapping):
            return None
        names = _texts(principal.get("AWS", []))
        if any(set(name) & {"*", "?"} or ":sts::" in name for name in names):
            return None
        found.update(names)
    return found
