"""Finds the resources of an app that AWS services encrypt at rest under our keys, and lets them be created."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aws_cdk import CfnResource, Stack

from kms_patterns.keys.cdk_statements import unbind
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.references import References
from kms_patterns.keys.template_view import TemplateView
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.services import SERVICES

if TYPE_CHECKING:
    from kms_patterns.keys.customer_managed_key import CustomerManagedKey
    from kms_patterns.keys.imported_key import ImportedKeyBase

    Key: TypeAlias = CustomerManagedKey | ImportedKeyBase


def _class_of(kind: str) -> str:
    _, service, name = kind.split("::")
    return f"aws-cdk-lib.aws_{service.lower()}.Cfn{name}"


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
            continue
        service, member = row
        stack = view.stack_of(resource)
        for name in _names(view.properties(resource).get(member), stack, references):
            if name in keys:
                yield from _serve(keys[name], service, resource, stack)
                unbind(keys[name], view.logical_id(resource))


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
