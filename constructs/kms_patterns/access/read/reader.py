"""Reads an assembly's templates into one model, all stacks together."""

from collections.abc import Sequence
from pathlib import Path

from kms_patterns.access.model import Model, Principal, ResourceKind
from kms_patterns.access.read.assembly import Stack, load_assembly
from kms_patterns.access.read.identities import Identities
from kms_patterns.access.read.named_principals import SYNTHETIC, named_principals, not_evaluated
from kms_patterns.access.read.not_read import not_asked
from kms_patterns.access.read.protected_resources import ProtectedResources
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.reading import Given


def read_model(path: Path | Sequence[Path], given: Given | None = None) -> Model:
    """Return who and what is in an assembly, with every policy resolved.

    Args:
        path: What ``load_assembly`` takes: ``cdk.out``, templates, or several of these.
        given: Parameter values, account and Region that only a deployment decides.

    Raises:
        NotAnAssembly: ``path`` is none of these.
        NotATemplate: A template cannot be read.
    """
    return model_of(load_assembly(path, given))


def model_of(stacks: list[Stack]) -> Model:
    """Return who and what is in ``stacks``, with every policy resolved."""
    template = Template(stacks)
    template.list_not_read()
    principals = list(Identities(template).principals())
    resources = list(ProtectedResources(template).resources())
    named = named_principals(principals, resources)
    for where, who in not_evaluated(resources):
        template.unresolved(
            where, f"principal {who}", "what an id or a provider without an ARN stands for is not known"
        )
    functions = [resource for resource in resources if resource.kind is ResourceKind.FUNCTION]
    template.resolver.unresolved.update(not_asked(principals, functions))
    return Model(
        stacks=[stack.id for stack in stacks],
        files={stack.id: stack.file for stack in stacks},
        principals=_unique([*principals, *named, *SYNTHETIC]),
        resources=resources,
        unresolved=sorted(template.resolver.unresolved),
        names=template.names(),
    )


def _unique(principals: list[Principal]) -> list[Principal]:
    return list({principal.id: principal for principal in principals}.values())
