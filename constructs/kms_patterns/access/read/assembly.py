"""A cloud assembly as its stacks: templates, accounts, regions and construct paths."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

UNKNOWN_ACCOUNT = "888877776666"
"""Stands for the account of an environment-agnostic stack; printed as ``<account>``."""

NESTED_STACK = "AWS::CloudFormation::Stack"

UNKNOWN_REGION = "any-region-1"
"""Stands for the region of an environment-agnostic stack; printed as ``<region>``."""


class NotAnAssembly(ValueError):
    """The folder or file is neither a cloud assembly nor a template; the message says what was looked for."""


@dataclass(frozen=True, eq=False)
class Stack:
    """One CloudFormation stack of an assembly.

    Attributes:
        id: Its construct path, unique in the assembly.
        name: Its CloudFormation stack name.
        account: Twelve digits, ``UNKNOWN_ACCOUNT`` if the stack is environment-agnostic.
        region: A region, ``UNKNOWN_REGION`` if the stack is environment-agnostic.
        template: The synthesized template.
        file: Where the template was read.
        paths: Construct paths, relative to the stack, by logical id.
        twin: Whether another stack of the assembly has the same name, in another region, account or stage.
        parent: For a nested stack: the stack that holds it, and its logical id there.
    """

    id: str
    name: str
    account: str
    region: str
    template: Mapping[str, Any]
    file: Path
    paths: Mapping[str, str]
    twin: bool = False
    parent: "tuple[Stack, str] | None" = None

    @cached_property
    def resources(self) -> Mapping[str, Mapping[str, Any]]:
        """The template's resources by logical id; without loops, which a transform unrolls at deployment."""
        resources: Mapping[str, Any] = self.template.get("Resources", {})
        return {name: item for name, item in resources.items() if isinstance(item, dict) and "Type" in item}

    @property
    def prefix(self) -> str:
        """What made-up names of its resources start with, unique in the assembly."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.id) if self.twin else self.name

    @property
    def partition(self) -> str:
        """The partition of the stack's region."""
        prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
        return next((name for prefix, name in prefixes.items() if self.region.startswith(prefix)), "aws")

    def path(self, logical_id: str) -> str:
        """Return the construct path of a resource inside its stack, without the CDK's trailing ``Resource``."""
        metadata = self.resources.get(logical_id, {}).get("Metadata", {}).get("aws:cdk:path")
        path: str = self.paths.get(logical_id) or (metadata or "").removeprefix(f"{self.id}/") or logical_id
        return path.removesuffix("/Resource")


def load_assembly(path: Path) -> list[Stack]:
    """Read every stack of an assembly, those of nested assemblies (stages) and nested stacks included.

    Args:
        path: A folder with a ``manifest.json`` (``cdk.out``), or one template file in JSON.

    Raises:
        NotAnAssembly: ``path`` is neither.
    """
    if path.is_file():
        return [*_with_nested(_template_file(path), path.parent)]
    if not (path / "manifest.json").is_file():
        raise NotAnAssembly(f"{path} is no cloud assembly: it has no manifest.json (run `cdk synth` first)")
    stacks = list(_stacks(path))
    counts = Counter(stack.name for stack in stacks)
    return sorted((replace(stack, twin=counts[stack.name] > 1) for stack in stacks), key=lambda stack: stack.id)


def _template_file(path: Path) -> Stack:
    try:
        template = json.loads(path.read_text())
    except ValueError as error:
        raise NotAnAssembly(f"{path} is no CloudFormation template in JSON: {error}") from error
    if not isinstance(template, dict) or "Resources" not in template:
        raise NotAnAssembly(f"{path} is no CloudFormation template: it has no Resources")
    name = path.name.split(".", maxsplit=1)[0]
    return Stack(name, name, UNKNOWN_ACCOUNT, UNKNOWN_REGION, template, path, {})


def _stacks(folder: Path) -> Iterator[Stack]:
    artifacts = json.loads((folder / "manifest.json").read_text()).get("artifacts", {})
    for name, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(folder / properties["directoryName"])
        elif artifact["type"] == "aws:cloudformation:stack":
            yield from _with_nested(_stack(folder, name, artifact), folder)


def _stack(folder: Path, name: str, artifact: Mapping[str, Any]) -> Stack:
    properties = artifact["properties"]
    account, region = artifact["environment"].removeprefix("aws://").split("/")
    metadata = dict(artifact.get("metadata") or {})
    if "additionalMetadataFile" in artifact:
        metadata |= json.loads((folder / artifact["additionalMetadataFile"]).read_text())
    identifier = artifact.get("displayName", name).split(" ")[0]
    return Stack(
        id=identifier,
        name=properties.get("stackName", name),
        account=UNKNOWN_ACCOUNT if account == "unknown-account" else account,
        region=UNKNOWN_REGION if region == "unknown-region" else region,
        template=json.loads((folder / properties["templateFile"]).read_text()),
        file=folder / properties["templateFile"],
        paths=_construct_paths(identifier, metadata),
    )


def _construct_paths(stack_id: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    return {
        entry["data"]: path.removeprefix("/").removeprefix(f"{stack_id}/")
        for path, entries in metadata.items()
        for entry in entries
        if entry["type"] == "aws:cdk:logicalId"
    }


def _with_nested(stack: Stack, folder: Path) -> Iterator[Stack]:
    yield stack
    for logical_id, resource in stack.resources.items():
        template = _nested_template(resource, folder) if resource["Type"] == NESTED_STACK else None
        if template:
            path = stack.path(logical_id).partition(".NestedStack/")[0]
            nested = Stack(
                id=f"{stack.id}/{path}",
                name=f"{stack.name}-{logical_id}",
                account=stack.account,
                region=stack.region,
                template=json.loads(template.read_text()),
                file=template,
                paths={
                    name: place.removeprefix(f"{path}/")
                    for name, place in stack.paths.items()
                    if place.startswith(f"{path}/")
                },
                parent=(stack, logical_id),
            )
            yield from _with_nested(nested, folder)


def _nested_template(resource: Mapping[str, Any], folder: Path) -> Path | None:
    """Find a nested stack's template by the asset that its URL names, or by the path that the CDK's CLI leaves."""
    asset = resource.get("Metadata", {}).get("aws:asset:path")
    digests = re.findall(r"[0-9a-f]{64}", json.dumps(resource.get("Properties", {}).get("TemplateURL", "")))
    manifests = [json.loads(manifest.read_text()).get("files", {}) for manifest in folder.glob("*.assets.json")]
    named = [files[digest]["source"]["path"] for files in manifests for digest in digests if digest in files]
    candidates = [folder / name for name in [asset, *named] if name]
    return next((path for path in candidates if path.is_file()), None)
