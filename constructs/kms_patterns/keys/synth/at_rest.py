"""Finds the resources of an app that AWS services encrypt at rest under its keys, and lets them be created."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jsii
from aws_cdk import (
    Annotations,
    CfnResource,
    IAspect,
    Stack,
    Token,
)
from constructs import IConstruct

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.cdk_statements import unbind
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.keys.synth.deliveries import DELIVERING, RECEIVING, Delivery, deliveries, let_in, resolved_by_path
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.services import LAUNCHED, SERVICES, UNBOUND


def _class_of(kind: str) -> str:
    _, service, name = kind.split("::")
    return f"aws-cdk-lib.aws_{service.lower()}.Cfn{name}"


# What a property that names a key for encryption is called, here or above it, and what passes an ARN on as data.
_ENCRYPTION: Final = re.compile(r"kms|encrypt|sse|cmk|keyConfiguration|keyManagement", re.IGNORECASE)
_DATA: Final = re.compile(
    r"environment(Variables)?|variables|tags|parameters|definition(String|Substitutions)?|\w*polic(y|ies)(Document)?",
    re.IGNORECASE,
)
_NEVER_AT_REST: Final = ("aws-cdk-lib.aws_kms.", "aws-cdk-lib.aws_iam.", "aws-cdk-lib.CfnCustomResource")
_ANY_TYPE: Final = "aws-cdk-lib.CfnResource"
_PARTS: Final = 3
_ROWS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    _class_of(kind): {
        path: [name for name, use in SERVICES.items() if path in use.resources.get(kind, ())]
        for path in dict.fromkeys(path for use in SERVICES.values() for path in use.resources.get(kind, ()))
    }
    for kind in dict.fromkeys(kind for use in SERVICES.values() for kind in use.resources)
}
"""L1 class -> path below which a property names the key -> rows of the services that use it."""
_UNBOUND: Final = {_class_of(kind): principal for kind, principal in UNBOUND.items()}
_LAUNCHED: Final = {_class_of(kind): service for kind, service in LAUNCHED.items()}


@jsii.implements(IAspect)
class AtRest:
    """Allows what the resources under the keys of one app or stage need to be created.

    An aspect, so that the key policies are the same whether validations run or not; it visits each resource after the
    aspects of default priority.
    """

    PRIORITY: Final = 900

    def __init__(self) -> None:
        self._keys: dict[str, GrantTarget] = {}
        self._texts: list[str] = []
        self._tokens: dict[str, str] = {}
        self.under: dict[str, GrantTarget] = {}
        """Construct path of a topic, queue or bucket -> its key."""
        self._waiting: dict[str, list[Delivery]] = {}
        self._topics: set[str] = set()
        self.refused: dict[str, list[str]] = {}
        """Construct path of a resource -> why AWS would refuse to create it, or why nothing can be allowed."""

    def add(self, key: GrantTarget, name: str) -> None:
        """Serve ``key``.

        Args:
            key: A key of this app, or of another owner.
            name: What a resource that names the key has in its properties: the construct path of its L1 construct, or
                the resolved ARN of a key of another owner.
        """
        self._keys[name] = key
        resource = getattr(key, "resource", None)
        if resource is None:
            self._texts.append(name)
            return
        self._texts.append(key.stack.get_logical_id(resource))
        own = (key.key_arn, resource.attr_arn, resource.attr_key_id, resource.ref)
        self._tokens |= dict.fromkeys(own, name)

    def visit(self, node: IConstruct) -> None:
        """Allow what ``node`` needs, if it is a resource that names one of the keys."""
        if not isinstance(node, CfnResource):
            return
        kind, stack = _kind(node), node.stack
        if kind.startswith(_NEVER_AT_REST):
            return
        properties = node._cfn_properties  # noqa: SLF001 -- no public way to any resource's properties
        if kind in DELIVERING:
            for delivery in deliveries(kind, node.node.path, properties, stack):
                self._deliver(delivery)
        named = list(self._named(properties, stack))
        if named:
            self._serve_all(node, stack, kind, named)

    def _serve_all(
        self, node: CfnResource, stack: Stack, kind: str, named: Sequence[tuple[tuple[str, ...], str]]
    ) -> None:
        rows, path = _ROWS.get(kind, {}), node.node.path
        messages: list[str] = []
        found = [(where, name, _services(rows, where)) for where, name in named]
        served = dict.fromkeys((name, service) for _, name, services in found for service in services)
        for key in (self._keys[name] for name in dict.fromkeys(name for name, _ in served)):
            messages += _check_region(key, node, stack)
            unbind(key, path)
        for name, service in served:
            messages += _serve(self._keys[name], service, node, stack)
            if service in RECEIVING:
                self._receive(path, self._keys[name], topic=service == "sns")
        self.refused[path] = messages
        for where, name, services in found:
            if kind in _UNBOUND and _encrypts(where):
                messages.append(_unbound(self._keys[name], node, _UNBOUND[kind]))
            elif not services and _encrypts(where):
                _warn_of_unknown(self._keys[name], node, ".".join(where), _LAUNCHED.get(kind), has_row=bool(rows))

    def _receive(self, path: str, key: GrantTarget, *, topic: bool) -> None:
        self.under[path] = key
        if topic:
            self._topics.add(path)
        for delivery in self._waiting.pop(path, ()):
            let_in(key, delivery, topic=topic)

    def _deliver(self, delivery: Delivery) -> None:
        """Let a service use the key of the topic, queue or bucket to which it delivers, once both are known."""
        key = self.under.get(delivery.target)
        if key is None:
            self._waiting.setdefault(delivery.target, []).append(delivery)
        else:
            let_in(key, delivery, topic=delivery.target in self._topics)

    def _named(self, properties: Mapping[str, Any], stack: Stack) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield where properties name a key, and the name of the key."""
        # Each request of the CDK's process counts, and most resources have no token or one of the key's own.
        rest: list[tuple[tuple[str, ...], Any]] = []
        for where, value in _leaves(properties):
            if isinstance(value, str) and value in self._tokens:
                yield where, self._tokens[value]
            elif not isinstance(value, str) or "{Token[" in value or value in self._keys:
                rest.append((where, value))
        # By number, not as a list: what resolves to nothing is missing in the response.
        shown = stack.resolve({str(number): value for number, (_, value) in enumerate(rest)}) if rest else {}
        for number, (where, value) in enumerate(rest):
            text = json.dumps(shown.get(str(number)), sort_keys=True)
            if any(own in text for own in self._texts):
                exact = resolved_by_path(value, stack)
                yield from ((below, name) for below, name in _names(exact, where) if below and name in self._keys)


def _check_region(key: GrantTarget, resource: CfnResource, stack: Stack) -> Iterator[str]:
    home = str(key.env.region)
    known = not Token.is_unresolved(home) and not Token.is_unresolved(stack.region)
    # A global table names the keys of its replicas, each in its own Region.
    if known and stack.region != home and resource.cfn_resource_type != "AWS::DynamoDB::GlobalTable":
        yield (
            f"{resource.node.path} in {stack.region} is encrypted under {key.node.path} in {home}: AWS services take "
            "keys of their own Region only; make the key with multi_region=True and a ReplicaKey there, or another key"
        )


def _services(rows: Mapping[str, Sequence[str]], where: tuple[str, ...]) -> Sequence[str]:
    """Return the rows of the table that are about the property at ``where``."""
    # As an L1 class spells it; a CfnResource has the spelling of the template.
    path = ".".join(name[:1].lower() + name[1:] for name in where)
    return next((found for below, found in rows.items() if f"{path}.".startswith(f"{below}.")), ())


def _unbound(key: GrantTarget, resource: CfnResource, principal: str) -> str:
    return (
        f"{resource.node.path} ({resource.cfn_resource_type}) names {key.node.path}: {principal} uses the key of such "
        "a resource without aws:SourceArn and aws:SourceAccount, so a statement for it would serve every account "
        "(confused deputy), and without one the creation fails (InsufficientEncryptionPolicyException). Give it a "
        "kms.Key of its own, or leave it to the AWS owned key"
    )


def _warn_of_unknown(
    key: GrantTarget, resource: CfnResource, where: str, launched: str | None, *, has_row: bool
) -> None:
    """Say that a resource may be encrypted under a key, and that the table does not list what its service needs."""
    if key.access is not KeyAccess.NAMED or launched in key.services_with_creators:
        return
    what = f"{resource.node.path} ({resource.cfn_resource_type}) names this key at {where}, and "
    if launched is not None:
        what += (
            "what is launched from it is created by another role than the one that deploys: nothing was allowed. Call "
            f"allow_use_through({launched!r}, role, create=True) with the role that launches; that of Auto Scaling is "
            "its service-linked role, with key_policy_only=True"
        )
    else:
        unknown = "has no row for this property" if has_row else "has no row for it"
        what += (
            f"kms_patterns.policy.services {unknown}: nothing was allowed for its creation or use. If it encrypts "
            "under the key, allow that with grant_operations(role, …, via_service=…), or make the key with "
            "access=KeyAccess.DELEGATED; then acknowledge this warning"
        )
    Annotations.of(key).add_warning_v2(f"kms-patterns:UnknownService:{resource.node.path}", what)


def _kind(resource: CfnResource) -> str:
    """Return the L1 class of a resource, also of one that the app wrote as a ``CfnResource`` of some type."""
    kind = str(getattr(type(resource), "__jsii_type__", ""))
    if kind != _ANY_TYPE:
        return kind
    title = resource.cfn_resource_type
    known = title.startswith("AWS::") and len(title.split("::")) == _PARTS
    return _class_of(title) if known else "aws-cdk-lib.CfnCustomResource"


def _encrypts(where: tuple[str, ...]) -> bool:
    return any(_ENCRYPTION.search(name) for name in where) and not any(_DATA.fullmatch(name) for name in where)


def _serve(key: GrantTarget, service: str, resource: CfnResource, stack: Stack) -> Iterator[str]:
    if GENERATE_DATA_KEY not in key.operations:
        yield (
            f"{resource.node.path} is encrypted under {key.node.path}, a {type(key).__name__}: {service}, like all AWS "
            "services that encrypt at rest, takes symmetric keys only; give it an EncryptionKey"
        )
        return
    try:
        key.serve_resources_of(service, stack)
    except GrantRefused as error:
        yield str(error)


def _leaves(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _leaves(member, (*where, name))
    elif isinstance(value, list) and not any(str(member).startswith("#{Token[") for member in value):
        for member in value:
            yield from _leaves(member, where)
    elif value is not None and not isinstance(value, bool | int | float):
        yield where, value


def _names(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        if len(value) == 1:
            yield where, json.dumps(value, sort_keys=True)
        for name, member in value.items():
            yield from _names(member, (*where, name))
    elif isinstance(value, list):
        for member in value:
            yield from _names(member, where)
