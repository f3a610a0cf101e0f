"""Finds the resources of an app that AWS services encrypt at rest under its keys, and lets them be created."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jsii
from aws_cdk import CfnResource, IAspect
from constructs import IConstruct

from kms_patterns.keys.environment import home_of
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.cdk_statements import unbind
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.synth.deliveries import RECEIVING, Delivery, deliveries, let_in
from kms_patterns.keys.synth.key_names import KeyNames, Place, encrypts
from kms_patterns.keys.synth.visited_resource import (
    CUSTOM,
    VisitedResource,
    at,
    check_region,
    class_of,
    class_of_resource,
    imported,
    is_granted_to_its_role,
    policy_of,
    resolved_by_path,
    warn_of_role,
    warn_of_unknown,
)
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.conditions import as_list
from kms_patterns.policy.services import BY_ROLE, LAUNCHED, SERVICES, UNBOUND

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
_BY_ROLE: Final = {class_of(kind): [name.lower() for name in properties] for kind, properties in BY_ROLE.items()}

_LET_IN_BY_CONSTRUCT: Final = ("events",)
"""Rows whose construct of the AWS CDK lets the service in, for one resource, and whose L1 class does not."""
_NAMES: Final = {"kinesis": "name", "s3": "bucketName", "sns": "topicName", "sqs": "queueName"}
_ARN: Final = re.compile(r"arn:[^:]*:((?:s3|sns|sqs):[^:]*:[^:]*:[^/]+)")
_QUEUE_URL: Final = re.compile(r"https://sqs\.([^.]+)\.[^/]+/([^/]+)/(.+)")


@jsii.implements(IAspect)
class AtRest:
    """Allows what the resources under the keys of one app or stage need to be created.

    An aspect, so that the key policies are the same whether validations run or not; it visits each resource after the
    aspects of default priority.
    """

    PRIORITY: Final = 900

    def __init__(self) -> None:
        self.keys = KeyNames()
        self.under: dict[str, GrantTarget] = {}
        """Construct path of a topic, queue or bucket, or its name as :func:`known_as` has it -> its key."""
        self.encrypted: list[tuple[CfnResource | str, GrantTarget, str]] = []
        """A resource under a key, or the ARN of one that the app imports, the key, and the row of its service."""
        self.seen: list[tuple[CfnResource, str, str]] = []
        """A resource, a property with dots, and the name of the key that it names."""
        self.delivered: list[tuple[CfnResource, str]] = []
        """A resource, and the topic, queue or bucket to which it makes a service deliver."""
        self._regions: dict[str, str] = {}
        self._waiting: dict[str, list[Delivery]] = {}
        self._topics: set[str] = set()
        self._unnamed: list[tuple[VisitedResource, str, GrantTarget]] = []
        self._by_name = False
        self.refused: dict[str, list[str]] = {}
        """Construct path of a resource -> why AWS would refuse to create it, or why nothing can be allowed."""

    def visit(self, node: IConstruct) -> None:
        """Allow what ``node`` needs, if it is a resource that names one of the keys."""
        if not isinstance(node, CfnResource):
            service, target, given, name = imported(node) or ("", "", "", "")
            key = self.keys.of_arn(given, name)
            if key is not None:
                self.encrypted.append((target, key, service))
                self._receive(target, key, topic=service == "sns")
            return
        kind = class_of_resource(node)
        if kind.startswith(_NEVER_AT_REST) or ("::" in kind and kind not in CUSTOM):
            return
        visited = VisitedResource(node, kind)
        for delivery in deliveries(visited):
            self.delivered.append((node, delivery.target))
            self._deliver(delivery)
        named = list(dict.fromkeys(self.keys.named(visited)))
        self.seen += [(node, ".".join(where), name) for where, name in named if encrypts(where)]
        if named:
            self._serve_all(visited, named)

    def _serve_all(self, visited: VisitedResource, named: Sequence[tuple[Place, str]]) -> None:
        path, kind = visited.path, visited.kind
        messages: list[str] = []
        found = [(where, name, services_of(kind, ".".join(where))) for where, name in named]
        served = dict.fromkeys((name, service) for _, name, services in found for service in services)
        for name in dict.fromkeys(name for name, _ in served):
            messages += check_region(self.keys[name], self._home(name), visited)
            unbind(self.keys[name], path)
        for name, service in served:
            messages += _serve(self.keys[name], service, visited)
            self.encrypted.append((visited.node, self.keys[name], service))
            if service in _LET_IN_BY_CONSTRUCT and hasattr(self.keys[name], "allow_service"):
                _let_in_resource(self.keys[name], service, visited)
            if service in RECEIVING:
                self._receive(path, self.keys[name], topic=service == "sns")
                self._unnamed.append((visited, service, self.keys[name]))
                self._know_names()
            if (SERVICES[service].assumes or SERVICES[service].by_role) and not is_granted_to_its_role(
                self.keys[name], visited
            ):
                warn_of_role(self.keys[name], service, path)
        self.refused[path] = messages
        for where, name, services in found:
            if kind in _UNBOUND and encrypts(where):
                messages.append(_unbound(self.keys[name], visited, _UNBOUND[kind]))
            elif where[0].lower() in _BY_ROLE.get(kind, ()) and is_granted_to_its_role(self.keys[name], visited):
                continue
            elif not services and encrypts(where):
                place = ".".join(where)
                warn_of_unknown(self.keys[name], visited, place, _LAUNCHED.get(kind), has_row=kind in _ROWS)

    def _receive(self, target: str, key: GrantTarget, *, topic: bool) -> None:
        path = known_as(target)
        self.under[path] = key
        if topic:
            self._topics.add(path)
        for delivery in self._waiting.pop(path, ()):
            let_in(key, delivery, topic=topic)

    def _deliver(self, delivery: Delivery) -> None:
        """Let a service use the key of the topic, queue or bucket to which it delivers, once both are known."""
        target = known_as(delivery.target)
        self._by_name = self._by_name or ":" in target
        self._know_names()
        key = self.under.get(target)
        if key is None:
            self._waiting.setdefault(target, []).append(delivery)
        else:
            let_in(key, delivery, topic=target in self._topics)

    def receiving(self, name: str) -> GrantTarget | None:
        """Return the key of a topic, queue or bucket of the app, by the literal ARN or queue URL of its name."""
        self._by_name = self._by_name or known_as(name) != name
        self._know_names()
        return self.under.get(known_as(name))

    def _know_names(self) -> None:
        # Asked for when the first delivery goes to a resource by its name.
        while self._by_name and self._unnamed:
            visited, service, key = self._unnamed.pop()
            for title in given_name(visited, service):
                self._receive(title, key, topic=service == "sns")

    def _home(self, name: str) -> str:
        if name not in self._regions:
            self._regions[name] = str(self.keys[name].env.region)
        return self._regions[name]


def known_as(target: str) -> str:
    """Return the one name by which a target is known: the end of an ARN or queue URL from its service on, or a path."""
    arn, url = _ARN.match(target), _QUEUE_URL.match(target)
    return arn[1] if arn else f"sqs:{url[1]}:{url[2]}:{url[3]}" if url else target


def given_name(visited: VisitedResource, service: str) -> Iterator[str]:
    """Yield the name that the app gave a topic, queue or bucket, as :func:`known_as` has it."""
    home = home_of(visited.stack)
    given = {"region": home.region, "account": home.account, "name": at(visited.given, [_NAMES[service]])}
    found = resolved_by_path(given, visited.stack)
    if found.get("name"):
        place = ":" if service == "s3" else f"{found['region']}:{found['account']}"
        yield f"{service}:{place}:{found['name']}"


def services_of(kind: str, where: str) -> Sequence[str]:
    """Return the rows of the table that are about a property of an L1 class, at ``where`` with dots."""
    # A CfnResource has the spelling of the template: SSESpecification where the L1 class has sseSpecification.
    rows, path = _ROWS.get(kind, {}), f"{where}.".lower()
    return next((found for below, found in rows.items() if path.startswith(f"{below}.")), ())


def _let_in_resource(key: Any, service: str, visited: VisitedResource) -> None:
    """Allow the service for every resource, unless a statement allows it all that it needs for this one."""
    principal, needed = str(SERVICES[service].principal), set(SERVICES[service].principal_actions)
    name = json.dumps(resolved_by_path({"name": at(visited.given, ["name"])}, visited.stack).get("name", ""))[1:]

    def serves(statement: Mapping[str, Any]) -> bool:
        source = json.dumps(statement.get("Condition"))
        whole = statement["Principal"] == {"Service": principal} and needed <= {*as_list(statement["Action"])}
        return whole and statement["Effect"] == "Allow" and ("SourceArn" not in source or f"/{name}" in source)

    if not any(serves(it) for it in policy_of(key) if "Principal" in it and "Action" in it):
        key.allow_service(service)


def _unbound(key: GrantTarget, resource: VisitedResource, principal: str) -> str:
    return (
        f"{resource.path} ({resource.type}) names {key.node.path}: {principal} uses the key of such "
        "a resource without aws:SourceArn and aws:SourceAccount, so a statement for it would serve every account "
        "(confused deputy), and without one the creation fails (InsufficientEncryptionPolicyException). Give it a "
        "kms.Key of its own, or leave it to the AWS owned key"
    )


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
