"""Cloud assemblies and templates as stacks: templates, accounts, regions and construct paths."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kms_patterns.access.templates.reading import Given, read_template
from kms_patterns.access.templates.template_text import NotATemplate, document_of, inside, mapping, nested_template

UNKNOWN_ACCOUNT = "888877776666"
"""Stands for the account of an environment-agnostic stack; printed as ``<account>``."""

_ISOLATED = {"eu-isoe-": "aws-iso-e", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b", "us-isof-": "aws-iso-f"}
_PARTITIONS = {"cn-": "aws-cn", "eusc-": "aws-eusc", "us-gov-": "aws-us-gov"} | _ISOLATED
NESTED_STACK = "AWS::CloudFormation::Stack"
_SUFFIXES = {".json", ".yaml", ".yml", ".template"}
_PASSED_OVER = re.compile(r"(^|/)(\.|node_modules(/|$))")

UNKNOWN_REGION = "any-region-1"
"""Stands for the region of an environment-agnostic stack; printed as ``<region>``."""


class NotAnAssembly(ValueError):
    """A path is neither a cloud assembly nor a template; the message says what was looked for."""


@dataclass(frozen=True, eq=False)
class Stack:
    """One CloudFormation stack of an assembly.

    Attributes:
        id: Its construct path, unique in the assembly.
        name: Its CloudFormation stack name.
        named: Whether it has this name on AWS: a stack of a template file may be given any.
        account: Twelve digits, ``UNKNOWN_ACCOUNT`` if the stack is environment-agnostic.
        region: A region, ``UNKNOWN_REGION`` if the stack is environment-agnostic.
        template: The synthesized template.
        file: Where the template was read.
        paths: Construct paths, relative to the stack, by logical id.
        twin: Whether another stack of the assembly has the same name, in another region, account or stage.
        parent: For a nested stack: the stack that holds it, and its logical id there.
        given: Parameter values that the caller gave.
        notes: What of the template was not read: logical id (empty for the whole template), what, and why.
        physical: Of a live account: names that AWS made up, by logical id.
    """

    id: str
    name: str
    account: str
    region: str
    template: Mapping[str, Any]
    file: Path
    paths: Mapping[str, str]
    twin: bool = False
    named: bool = True
    parent: "tuple[Stack, str] | None" = None
    given: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[tuple[str, str, str]] = ()
    physical: Mapping[str, str] = field(default_factory=dict)

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
        return next((name for prefix, name in _PARTITIONS.items() if self.region.startswith(prefix)), "aws")

    def path(self, logical_id: str) -> str:
        """Return the construct path of a resource inside its stack, without the CDK's trailing ``Resource``."""
        path = self._path(logical_id)
        return f"{path} ({logical_id})" if self._paths[path] > 1 else path

    @cached_property
    def _paths(self) -> Counter[str]:
        return Counter(map(self._path, self.resources))

    def _path(self, logical_id: str) -> str:
        metadata = self.resources.get(logical_id, {}).get("Metadata", {}).get("aws:cdk:path")
        given = metadata if isinstance(metadata, str) else ""
        path: str = self.paths.get(logical_id) or given.removeprefix(f"{self.id}/") or logical_id
        return path.removesuffix("/Resource")


def load_assembly(path: Path | Sequence[Path], given: Given | None = None) -> list[Stack]:
    """Read every stack of assemblies and templates, those of nested assemblies (stages) and nested stacks included.

    Args:
        path: ``cdk.out``, a folder of templates, or one template in JSON or YAML; or several of these, read together.
        given: Parameter values, and the account and Region of environment-agnostic stacks.

    Raises:
        NotAnAssembly: A path is none of these, or a parameter is given that no template declares.
        NotATemplate: A template cannot be read.
    """
    said = given or Given()
    stacks = [stack for item in ([path] if isinstance(path, Path) else path) for stack in _read(item, said)]
    if not said.partly:
        check_declared(said, stacks)
    apart = _told_apart(stacks)
    counted = Counter(f"{stack.id}/{stack.path(name)}" for stack in apart for name in stack.resources)
    if twice := [place for place, count in counted.items() if count > 1]:
        raise NotAnAssembly(f"{twice[0]} is the construct path of two resources: take the aws:cdk:path of one away")
    return sorted(apart, key=lambda stack: stack.id)


def _read(path: Path, given: Given) -> Iterator[Stack]:
    if path.is_file() or path.is_fifo():
        yield from _with_nested(_template_file(path, given), path.parent, given)
    elif (path / "manifest.json").is_file():
        yield from _assembly(path, given)
    else:
        yield from _folder(path, given)


def _folder(path: Path, given: Given) -> Iterator[Stack]:
    """Yield the stacks of a folder's templates, subfolders included; one that another nests is read there."""
    found = sorted(item for item in path.glob("**/*") if not _PASSED_OVER.search(f"{item.relative_to(path)}"))
    templates = [it for it in found if it.suffix.lower() in _SUFFIXES and not it.is_dir() and _is_template(it)]
    if not templates:
        raise NotAnAssembly(
            f"{path} is not a cloud assembly: it has no manifest.json (run `cdk synth` first), and no template"
        )
    links = (f"link {item.relative_to(path)}" for item in found if item.is_symlink() and item.is_dir())
    notes = [("", link, "templates in a linked folder are not read") for link in links]
    groups = [list(_with_nested(_template_file(item, given, notes), item.parent, given)) for item in templates]
    nested = {stack.file.resolve() for group in groups for stack in group if stack.parent}
    yield from (stack for group in groups if group[0].file.resolve() not in nested for stack in group)


def _is_template(path: Path) -> bool:
    return not {"AWSTemplateFormatVersion", "Resources"}.isdisjoint(mapping(document_of(path)))


def _template_file(path: Path, given: Given, notes: Sequence[tuple[str, str, str]] = ()) -> Stack:
    name = path.name.split(".", maxsplit=1)[0]
    account, region = given.account or UNKNOWN_ACCOUNT, given.region or UNKNOWN_REGION
    read = read_template(path, given.of_stack(name), region=region)
    notes = [*read.notes, *notes]
    return Stack(name, name, account, region, read.template, path, {}, given=read.given, notes=notes, named=False)


def _told_apart(stacks: Sequence[Stack]) -> list[Stack]:
    """Give templates of one file name, read together, ids of their own, and mark stacks of one name."""
    names, ids = Counter(stack.name for stack in stacks), Counter(stack.id for stack in stacks)
    made: dict[int, Stack] = {}
    for stack in stacks:
        parent = (made[id(stack.parent[0])], stack.parent[1]) if stack.parent else None
        identifier = stack.id if ids[stack.id] == 1 else f"{stack.file.parent.name}/{stack.file.name}"
        if stack.parent and parent:
            identifier = parent[0].id + stack.id.removeprefix(stack.parent[0].id)
        made[id(stack)] = replace(stack, id=identifier, twin=names[stack.name] > 1, parent=parent)
    if twice := [name for name, count in Counter(stack.id for stack in made.values()).items() if count > 1]:
        raise NotAnAssembly(f"the stack {twice[0]} is given twice")
    return list(made.values())


def check_declared(given: Given, stacks: Sequence[Stack]) -> None:
    """Raise ``NotAnAssembly`` for a given parameter that none of ``stacks`` declares."""
    own = [(stack.name, name) for stack in stacks for name in stack.template["Parameters"]]
    declared = {word for stack, name in own for word in (name, f"{stack}:{name}")}
    if unknown := sorted({*given.parameters} - declared):
        raise NotAnAssembly(f"no template declares the parameter {unknown[0]}; declared: {', '.join(sorted(declared))}")


def _assembly(top: Path, given: Given) -> list[Stack]:
    try:
        return list(_stacks(top, top, given))
    except (NotAnAssembly, NotATemplate):
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise NotAnAssembly(f"{top} is not as the CDK writes it: {type(error).__name__}: {error}") from error


def _stacks(top: Path, folder: Path, given: Given) -> Iterator[Stack]:
    for name, artifact in document_of(folder / "manifest.json").get("artifacts", {}).items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            yield from _stacks(top, inside(top, folder / properties["directoryName"]), given)
        elif artifact["type"] == "aws:cloudformation:stack":
            yield from _with_nested(_stack(top, folder, name, artifact, given), folder, given, top)


def _stack(top: Path, folder: Path, name: str, artifact: Mapping[str, Any], given: Given) -> Stack:
    properties = artifact["properties"]
    account, region = artifact["environment"].removeprefix("aws://").split("/")
    account = given.account or UNKNOWN_ACCOUNT if account == "unknown-account" else account
    region = given.region or UNKNOWN_REGION if region == "unknown-region" else region
    metadata = {**(artifact.get("metadata") or {})}
    if (beside := folder / artifact.get("additionalMetadataFile", "none")).is_file():  # names that it may lack
        metadata |= json.loads(inside(top, beside).read_text(encoding="utf-8"))
    identifier, stack_name = artifact.get("displayName", name).split(" ")[0], properties.get("stackName", name)
    file = inside(top, folder / properties["templateFile"])
    read = read_template(file, given.of_stack(stack_name), region=region, synthesized=True)
    return Stack(
        id=identifier,
        name=stack_name,
        account=account,
        region=region,
        template=read.template,
        file=file,
        paths=_construct_paths(identifier, metadata),
        given=read.given,
        notes=read.notes,
    )


def _construct_paths(stack_id: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    named = [(path.removeprefix("/"), item) for path, found in metadata.items() for item in found]
    own = ((path.removeprefix(f"{stack_id}/"), item) for path, item in named if item["type"] == "aws:cdk:logicalId")
    return {item["data"]: path for path, item in own}


def _with_nested(stack: Stack, folder: Path, given: Given, top: Path | None = None) -> Iterator[Stack]:
    yield stack
    for logical_id, resource in stack.resources.items():
        template = nested_template(resource, folder, top) if resource["Type"] == NESTED_STACK else None
        if template and template.resolve() not in _files_around(stack):
            path = nested_path(stack, logical_id)
            read = read_template(template, {}, region=stack.region)
            nested = Stack(
                id=f"{stack.id}/{path}",
                name=f"{stack.name}-{logical_id}",
                account=stack.account,
                region=stack.region,
                template=read.template,
                file=template,
                paths={
                    name: place.removeprefix(f"{path}/")
                    for name, place in stack.paths.items()
                    if place.startswith(f"{path}/")
                },
                parent=(stack, logical_id),
                named=False,
                notes=read.notes,
            )
            yield from _with_nested(nested, folder, given, top)


def nested_path(stack: Stack, logical_id: str) -> str:
    """Return the construct path of a nested stack inside the stack that holds it."""
    return stack.path(logical_id).partition(".NestedStack/")[0]


def _files_around(stack: Stack) -> set[Path]:
    """Return the files of a stack and of those that it is nested in: a template that nests itself ends here."""
    return {stack.file.resolve()} | (_files_around(stack.parent[0]) if stack.parent else set())
