"""Finds the resources of an app that AWS services encrypt at rest under its keys, and lets them be created."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

import jsii
from aws_cdk import CfnResource, IAspect, Stack
from constructs import IConstruct

from kms_patterns.keys.environment import arn_of, home_of, stack_of
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.cdk_statements import unbind
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.synth.deliveries import RECEIVING, Delivery, deliveries, let_in
from kms_patterns.keys.synth.visited_resource import (
    VisitedResource,
    at,
    check_region,
    class_of,
    class_of_resource,
    imported,
    is_granted_to_its_role,
    leaves,
    names,
    resolved_by_path,
    warn_of_role,
    warn_of_unknown,
)
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.services import BY_ROLE, LAUNCHED, SERVICES, UNBOUND

# What a property that names a key for encryption is called, here or above it, and what passes an ARN on as data.
_ENCRYPTION: Final = re.compile(
    r"kms|encrypt|sse|cmk|customerManagedKey|keyConfiguration|keyManagement|signKey", re.IGNORECASE
)
_DATA: Final = re.compile(
    r"environment(Variables)?|variables|tags|parameters|definition(String|Substitutions)?|\w*polic(y|ies)(Document)?",
    re.IGNORECASE,
)
_NEVER_AT_REST: Final = ("aws-cdk-lib.aws_kms.", "aws-cdk-lib.aws_iam.", "aws-cdk-lib.CfnCustomResource")
_ROWS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    class_of(kind): {
        path.lower(): [name for name, use in SERVICES.items() if path in use.resources.get(kind, ())]
        for path in dict.fromkeys(path for use in SERVICES.values() for path in use.resources.get(kind, ()))
    }
    for kind in dict.fromkeys(kind for use in SERVICES.values() for kind in use.resources)
}
"""L1 class -> path below which a property names the key -> rows of the services that use it."""
_UNBOUND: Final = {class_of(kind): principal for kind, principal in UNBOUND.items()}
_LAUNCHED: Final = {class_of(kind): service for kind, service in LAUNCHED.items()}
_BY_ROLE: Final = {class_of(kind): properties for kind, properties in BY_ROLE.items()}


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
        self._unasked: list[tuple[Stack, CfnResource]] = []
        self._tokens: dict[str, str] = {}
        self._aliases: dict[tuple[str, str, str], GrantTarget] = {}
        self.under: dict[str, GrantTarget] = {}
        """Construct path of a topic, queue or bucket -> its key."""
        self.encrypted: list[tuple[CfnResource | str, GrantTarget, str]] = []
        """A resource under a key, or the ARN of one that the app imports, the key, and the row of its service."""
        self.seen: list[tuple[CfnResource, str, str]] = []
        """A resource, a property in lower case, and the key that it names, as :meth:`add` has it."""
        self._regions: dict[str, str] = {}
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
            self._tokens.setdefault(arn_of(key), name)
            return
        self._unasked.append((stack_of(key), resource))
        # The ARN as nearly all resources name it; any other reference is found by the logical id.
        self._tokens[arn_of(key)] = name

    def add_alias(self, key: GrantTarget, alias: str) -> None:
        """Note a name by which resources of the key's account and Region may name it."""
        self._aliases[*_place(stack_of(key)), alias] = key

    def visit(self, node: IConstruct) -> None:
        """Allow what ``node`` needs, if it is a resource that names one of the keys."""
        if not isinstance(node, CfnResource):
            service, target, given, name = imported(node) or ("", "", "", "")
            key = self._keys.get(self._tokens.get(given, name))
            if key is not None:
                self.encrypted.append((target, key, service))
                self._receive(target, key, topic=service == "sns")
            return
        if (kind := class_of_resource(node)).startswith(_NEVER_AT_REST):
            return
        visited = VisitedResource(node, kind)
        for delivery in deliveries(visited):
            self._deliver(delivery)
        named = list(self._named(visited))
        self.seen += [(node, _property(where).lower(), name) for where, name in named]
        if named:
            self._serve_all(visited, named)

    def _serve_all(self, visited: VisitedResource, named: Sequence[tuple[tuple[str, ...], str]]) -> None:
        rows, path, kind = _ROWS.get(visited.kind, {}), visited.path, visited.kind
        messages: list[str] = []
        found = [(where, name, _services(rows, where)) for where, name in named]
        served = dict.fromkeys((name, service) for _, name, services in found for service in services)
        for name in dict.fromkeys(name for name, _ in served):
            messages += check_region(self._keys[name], self._home(name), visited)
            unbind(self._keys[name], path)
        for name, service in served:
            messages += _serve(self._keys[name], service, visited)
            self.encrypted.append((visited.node, self._keys[name], service))
            if service in RECEIVING:
                self._receive(path, self._keys[name], topic=service == "sns")
            if SERVICES[service].assumes and not is_granted_to_its_role(self._keys[name], visited):
                warn_of_role(self._keys[name], service, path)
        self.refused[path] = messages
        for where, name, services in found:
            if kind in _UNBOUND and _encrypts(where):
                messages.append(_unbound(self._keys[name], visited, _UNBOUND[kind]))
            elif where[0] in _BY_ROLE.get(kind, ()) and is_granted_to_its_role(self._keys[name], visited):
                continue
            elif not services and _encrypts(where):
                warn_of_unknown(self._keys[name], visited, ".".join(where), _LAUNCHED.get(kind), has_row=bool(rows))

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

    def _named(self, visited: VisitedResource) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield where properties name a key, and the name of the key."""
        # Each request of the CDK's process counts, and most resources have no token or one of the key's own.
        for where, value in leaves(visited.given):
            if any(_DATA.fullmatch(name) for name in where):
                continue
            if isinstance(value, str) and value in self._tokens:
                yield where, self._tokens[value]
            elif isinstance(value, str) and "alias/" in value and (key := self._by_alias(visited.stack, value)):
                yield where, self._tokens[arn_of(key)]
            elif not isinstance(value, str) or "{Token[" in value or value in self._keys:
                text = json.dumps(at(visited.resolved, where), sort_keys=True)
                if any(own in text for own in self._own_texts()):
                    exact = resolved_by_path(value, visited.stack)
                    yield from ((below, name) for below, name in names(exact, where) if below and name in self._keys)

    def _by_alias(self, stack: Stack, value: str) -> GrantTarget | None:
        return self._aliases.get((*_place(stack), value.rpartition(":")[2]))

    def _own_texts(self) -> Sequence[str]:
        # Asked for when the first resource needs them: most apps have none that does.
        for stack in dict.fromkeys(stack for stack, _ in self._unasked):
            self._texts += stack.resolve([resource.logical_id for at, resource in self._unasked if at is stack])
        self._unasked.clear()
        return self._texts

    def encrypting(self, properties: Any, name_of: Callable[[Any], str]) -> Iterator[tuple[str, str, GrantTarget]]:
        """Yield where the template of a resource names a key for encryption, the name of the key, and the key.

        Args:
            properties: The properties of the resource in its template.
            name_of: Gives what a part of the template refers to, as :meth:`add` has the keys.
        """
        for where, text in names(properties):
            if _encrypts(where) and not any(_DATA.fullmatch(name) for name in where):
                name = name_of(json.loads(text) if text.startswith("{") else text)
                if name in self._keys:
                    yield _property(where), name, self._keys[name]

    def _home(self, name: str) -> str:
        if name not in self._regions:
            self._regions[name] = str(self._keys[name].env.region)
        return self._regions[name]


def _property(where: Sequence[str]) -> str:
    """Return the property at ``where``, whichever functions make its value of the key."""
    return ".".join(takewhile(lambda name: not name.startswith("Fn::"), where))


def _place(stack: Stack) -> tuple[str, str]:
    return home_of(stack).account, home_of(stack).region


def _services(rows: Mapping[str, Sequence[str]], where: tuple[str, ...]) -> Sequence[str]:
    """Return the rows of the table that are about the property at ``where``."""
    # A CfnResource has the spelling of the template: SSESpecification where the L1 class has sseSpecification.
    path = ".".join(where).lower()
    return next((found for below, found in rows.items() if f"{path}.".startswith(f"{below}.")), ())


def _unbound(key: GrantTarget, resource: VisitedResource, principal: str) -> str:
    return (
        f"{resource.path} ({resource.type}) names {key.node.path}: {principal} uses the key of such "
        "a resource without aws:SourceArn and aws:SourceAccount, so a statement for it would serve every account "
        "(confused deputy), and without one the creation fails (InsufficientEncryptionPolicyException). Give it a "
        "kms.Key of its own, or leave it to the AWS owned key"
    )


def _encrypts(where: tuple[str, ...]) -> bool:
    return any(_ENCRYPTION.search(name) for name in where)


def _serve(key: GrantTarget, service: str, resource: VisitedResource) -> Iterator[str]:
    if GENERATE_DATA_KEY not in key.operations:
        yield (
            f"{resource.path} is encrypted under {key.node.path}, a {type(key).__name__}: {service}, like all AWS "
            "services that encrypt at rest, takes symmetric keys only; give it an EncryptionKey"
        )
        return
    try:
        key.serve_resources_of(service, resource.stack)
    except GrantRefused as error:
        yield str(error)
