"""From an assembly to its matrix: read, evaluate, and leave out what says nothing new."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kms_patterns.access.escalation.allowed_methods import concerns
from kms_patterns.access.escalation.paths import escalations
from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.entries import Access, ActionName, Statement, What, Who, statement_text
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding, Names, StatementPlace, evaluate
from kms_patterns.access.evaluate.objects import covers
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import Model, Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import Stack, load_assembly
from kms_patterns.access.read.reader import model_of
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping
from kms_patterns.access.unknowns.symbols import shown


def build(path: Path, *, project: Path | None = None) -> Matrix:
    """Return the matrix of the assembly at ``path``; see ``AccessMatrix.from_assembly``."""
    return build_of(load_assembly(path), project=project)


def build_of(stacks: list[Stack], *, project: Path | None = None) -> Matrix:
    """Return the matrix of stacks that were read already, with the statements that no cell of it rests on."""
    model = model_of(stacks)
    with simulator(project) as running:
        matrix = build_with(model, running)
    names = Names(model.names)
    others = [
        Statement(place, number, names(statement_text(statement)))
        for place, number, statement in other_statements(Template(stacks))
    ]
    return replace(matrix, policies=[*matrix.policies, *others])


def build_with(model: Model, running: Simulator) -> Matrix:
    """Return the matrix of a model, evaluated by a simulator that runs already."""
    return matrix_of(model, evaluate(model, running), running)


def matrix_of(model: Model, evaluation: Evaluation, running: Simulator) -> Matrix:
    """Return the matrix of a model that was evaluated already."""
    places = sorted({place for finding in evaluation.findings for place in finding.statements})
    numbers = {place: index for index, place in enumerate(places)}
    names = Names(model.names)
    return Matrix(
        stacks=model.stacks,
        principals=[Who(who.id, who.kind, names(who.label), who.stack) for who in model.principals],
        resources=_resources(model),
        actions={
            kind: [ActionName(action.name, action.target, action.group) for action in actions]
            for kind, actions in evaluation.catalogue.items()
        },
        entries=sorted(_entries(evaluation, numbers), key=lambda entry: entry.cell),
        statements=[_statement(evaluation.policies, place, names) for place in places],
        unresolved=[replace(item, what=names(item.what)) for item in (*model.unresolved, *evaluation.refused)],
        escalations=escalations(model, running, evaluation),
        policies=_policies(model, names),
    )


def _policies(model: Model, names: Names) -> list[Statement]:
    """Return every statement of resource policies, and those of identity policies that may be about our resources."""
    held = [item.policy for item in model.resources if item.policy]
    held += [policy for who in model.principals for policy in (*who.identity, *(who.boundaries or ())) if policy.origin]
    written: dict[tuple[str, int, str], Statement] = {}
    for policy in {id(policy): policy for policy in held}.values():
        statements = policy.document["Statement"]
        given = statements if isinstance(statements, list) else [statements]
        for number, statement in policy.sources or enumerate(given, start=1):
            if policy.kind == "resource" or concerns(statement):
                item = Statement(policy.where, number, names(statement_text(statement)))
                written.setdefault((item.policy, item.index, item.text), item)
    return [written[place] for place in sorted(written)]


def _resources(model: Model) -> list[What]:
    keys = {
        name: resource.id
        for resource in model.resources
        if resource.kind is ResourceKind.KEY
        for name in (resource.arn, resource.arn.rsplit("/", maxsplit=1)[-1])
    }
    roles = {resource.arn: resource.id for resource in model.resources if resource.kind is ResourceKind.ROLE}
    return [
        What(
            id=item.id,
            kind=item.kind,
            label=item.label,
            stack=item.stack,
            encrypted_by=_key_of(item, keys),
            acts_as=None if item.acts_as is None else roles.get(item.acts_as, item.acts_as),
        )
        for item in model.resources
    ]


def _key_of(bucket: Resource, keys: dict[str, str]) -> str | None:
    ways = [None if name is None else keys.get(name, shown(name)) for name in bucket.encrypted_by]
    return ways[0] if len(ways) == 1 else " or ".join(way or "no KMS key" for way in ways)


def _entries(evaluation: Evaluation, numbers: dict[StatementPlace, int]) -> Iterator[Access]:
    """Yield findings; of a scope of objects only those that differ from the rest of the bucket's objects."""
    general = {
        (finding.request.principal.id, finding.request.resource.id, finding.action.name): finding
        for finding in evaluation.findings
        if finding.request.scope is None
    }
    scoped: set[tuple[str, str, str, str]] = set()
    for finding in evaluation.findings:
        principal, resource, scope = finding.request.principal.id, finding.request.resource.id, finding.request.scope
        if scope is not None:
            scoped.add((principal, resource, finding.action.name, scope))
            wider = general.get((principal, resource, finding.action.name))
            if wider and wider.condition == finding.condition:
                continue
        yield _entry(finding, numbers)
    yield from _cut_out(evaluation, general, scoped)


def _cut_out(
    evaluation: Evaluation,
    general: dict[tuple[str, str, str], Finding],
    scoped: set[tuple[str, str, str, str]],
) -> Iterator[Access]:
    """Yield objects that are denied though a wider pattern of objects, or any object, is allowed."""
    for request in evaluation.requests:
        if request.scope is None:
            continue
        who, bucket = request.principal.id, request.resource
        around = {scope for person, place, _, scope in scoped if (person, place) == (who, bucket.id)}
        wider = [scope for scope in sorted(around) if covers(f"{bucket.arn}/{scope}", request.arn)]
        for action in request.actions:
            cell = (who, bucket.id, action.name)
            if (*cell, request.scope) not in scoped and (
                cell in general or any((*cell, scope) in scoped for scope in wider)
            ):
                yield Access(*cell, action.target, request.scope, NEVER)


def _entry(finding: Finding, numbers: dict[StatementPlace, int]) -> Access:
    return Access(
        principal=finding.request.principal.id,
        resource=finding.request.resource.id,
        action=finding.action.name,
        target=finding.action.target,
        scope=finding.request.scope,
        condition=finding.condition,
        statements=tuple(numbers[place] for place in finding.statements),
    )


def _statement(policies: Mapping[int, Policy], place: StatementPlace, names: Names) -> Statement:
    policy, number = policies[place[0]], place[1]
    if policy.sources:
        number, statement = policy.sources[place[1] - 1]
    else:
        statements = policy.document["Statement"]
        statement = statements[number - 1] if isinstance(statements, list) else statements
    return Statement(policy.where, number, names(statement_text(statement)))


_READ = ("AWS::KMS::", "AWS::S3::BucketPolicy", "AWS::Lambda::Permission")
_ATTACHED = ("ManagedPolicyArns", "ManagedPolicies", "PermissionsBoundary", "Roles", "Users", "Groups")

Found = tuple[str, int, Mapping[str, Any]]


def other_statements(template: Template) -> Iterator[Found]:
    """Yield place, number and statement of what the matrix has no statement of; each way of a condition is one."""
    for stack in template.stacks:
        for logical_id, resource in stack.resources.items():
            kind, where = str(resource["Type"]), template.where(stack, logical_id)
            if not kind.startswith(_READ):
                found = _statements(template, stack, resource.get("Properties"), where)
                # Statements of IAM that may be about our resources stand in the matrix.
                told = kind.startswith("AWS::IAM::")
                others = [each for each in found if not (told and ("Principal" in each or concerns(each)))]
                yield from ((f"{where} for other services", number, each) for number, each in enumerate(others, 1))
            if kind.startswith(("AWS::IAM::", "AWS::SSO::")):
                yield from _attachments(template, stack, logical_id, where)


def _statements(template: Template, stack: Stack, value: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of every policy document in a value, those that are given as text included."""
    if isinstance(value, str) and value.lstrip().startswith("{") and '"Statement"' in value:
        try:
            yield from _statements(template, stack, json.loads(value), where)
        except ValueError:
            return
    elif isinstance(value, Mapping) and "Statement" in value:
        for _, way in template.ways(stack, value, where):
            yield from (each for each in items(mapping(way).get("Statement")) if isinstance(each, Mapping))
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _statements(template, stack, item, where)


def _attachments(template: Template, stack: Stack, logical_id: str, where: str) -> Iterator[Found]:
    for name in _ATTACHED:
        raw = template.raw(stack, logical_id, name)
        values = {json.dumps(way, sort_keys=True) for _, way in template.several(stack, raw, where) if way is not None}
        for number, value in enumerate(sorted(values) if raw is not None else (), 1):
            yield f"{where} attachments", number, {name: json.loads(value)}
