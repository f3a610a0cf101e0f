"""Finds the resources of an app that AWS services encrypt at rest under our keys, and lets them be created."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aws_cdk import Annotations, CfnResource, Stack, Token

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.cdk_statements import unbind
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.keys.synth.references import References
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.services import SERVICES

if TYPE_CHECKING:
    from kms_patterns.keys.customer_managed_key import CustomerManagedKey
    from kms_patterns.keys.imported.imported_key import ImportedKeyBase

    Key: TypeAlias = CustomerManagedKey | ImportedKeyBase


def _class_of(kind: str) -> str:
    _, service, name = kind.split("::")
    return f"aws-cdk-lib.aws_{service.lower()}.Cfn{name}"


_ENCRYPTION: Final = re.compile(r"^(?!attr_|_).*(kms|encrypt|sse_)")
_ROWS: Final[Mapping[str, tuple[str, str]]] = {
    _class_of(kind): (service, path) for service, use in SERVICES.items() for kind, path in use.resources.items()
}


def serve_at_rest(keys: "Mapping[str, Key]", view: TemplateView, references: References) -> Iterator[str]:
    """Allow what the resources under ``keys`` need to be created; yield one message for each that cannot be.

    Args:
        keys: Name in ``view`` -> key.
        view: The app's resources.
        references: Follows what they refer to.
    """
    for resource in view.every(CfnResource):
        row = _ROWS.get(str(getattr(type(resource), "__jsii_type__", "")))
        if row is None:
            _warn_of_unknown(keys, resource, view, references)
            continue
        service, member = row
        stack = view.stack_of(resource)
        for name in _names(view.properties(resource).get(member), stack, references):
            if name in keys:
                yield from _check_region(keys[name], resource, stack)
                yield from _serve(keys[name], service, resource, stack)
                unbind(keys[name], view.logical_id(resource))


def _check_region(key: "Key", resource: CfnResource, stack: Stack) -> Iterator[str]:
    home = str(key.env.region)
    known = not Token.is_unresolved(home) and not Token.is_unresolved(stack.region)
    # A global table names the keys of its replicas, each in its own Region.
    if known and stack.region != home and resource.cfn_resource_type != "AWS::DynamoDB::GlobalTable":
        yield (
            f"{resource.node.path} in {stack.region} is encrypted under {key.node.path} in {home}: AWS services take "
            "keys of their own Region only; make the key with multi_region=True and a ReplicaKey there, or another key"
        )


def _warn_of_unknown(
    keys: "Mapping[str, Key]", resource: CfnResource, view: TemplateView, references: References
) -> None:
    """Say that a resource may be encrypted under a key, and that the table does not know what its service needs."""
    for attribute in _encrypting(type(resource)):
        stack = view.stack_of(resource)
        found = set(_names(view.properties(resource).get(attribute), stack, references)) & keys.keys()
        for key in (keys[name] for name in sorted(found) if keys[name].access is KeyAccess.NAMED):
            Annotations.of(key).add_warning_v2(
                f"kms-patterns:UnknownService:{resource.node.path}",
                f"{resource.node.path} ({resource.cfn_resource_type}) names this key, and kms_patterns.policy.services "
                "has no row for it: nothing was allowed for its creation or use. If it encrypts under the key, allow "
                "that with grant_operations(role, …, via_service=…), or make the key with access=KeyAccess.DELEGATED; "
                "then acknowledge this warning",
            )


@cache
def _encrypting(kind: type[CfnResource]) -> tuple[str, ...]:
    """Names, as in the properties, of what a type of resource says about encryption."""
    if str(getattr(kind, "__jsii_type__", "")).startswith("aws-cdk-lib.aws_kms."):
        return ()
    named = (name for name in dir(kind) if _ENCRYPTION.search(name) and isinstance(getattr(kind, name), property))
    return tuple(re.sub(r"_(.)", lambda part: part[1].upper(), name) for name in named)


def _serve(key: "Key", service: str, resource: CfnResource, stack: Stack) -> Iterator[str]:
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


def _names(value: Any, stack: Stack, references: References) -> Iterator[str]:
    if isinstance(value, str) or (isinstance(value, dict) and len(value) == 1):
        yield references.name(stack, value)
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        yield from _names(member, stack, references)
