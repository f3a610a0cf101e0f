"""From an assembly to its matrix: read, evaluate, and leave out what says nothing new."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kms_patterns.access.escalation.allowed_methods import concerns
from kms_patterns.access.escalation.paths import escalations
from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.entries import Access, ActionName, Statement, What, Who, statement_text
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding, Names, StatementPlace, evaluate
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import Model, Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import Stack, load_assembly
from kms_patterns.access.read.identifiers import matches
from kms_patterns.access.read.not_read import other_statements
from kms_patterns.access.read.reader import model_of
from kms_patterns.access.read.template import Template
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
        for place, number, statement in other_statements(Template(stacks), matrix.unresolved, concerns)
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
            acts_as=" or ".join(roles.get(arn, shown(arn)) for arn in item.acts_as) or None,
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
    scoped: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for finding in evaluation.findings:
        principal, resource, scope = finding.request.principal.id, finding.request.resource.id, finding.request.scope
        if scope is not None:
            scoped[principal, resource].add((finding.action.name, scope))
            wider = general.get((principal, resource, finding.action.name))
            if wider and wider.condition == finding.condition:
                continue
        yield _entry(finding, numbers)
    yield from _cut_out(evaluation, general, scoped)


def _cut_out(
    evaluation: Evaluation,
    general: dict[tuple[str, str, str], Finding],
    scoped: Mapping[tuple[str, str], set[tuple[str, str]]],
) -> Iterator[Access]:
    """Yield objects that are denied though a wider pattern of objects, or any object, is allowed."""
    for request in evaluation.requests:
        if request.scope is None:
            continue
        who, bucket = request.principal.id, request.resource
        around = scoped.get((who, bucket.id), set())
        wider = [
            scope for scope in sorted({scope for _, scope in around}) if matches(f"{bucket.arn}/{scope}", request.arn)
        ]
        for action in request.actions:
            cell = (who, bucket.id, action.name)
            if (action.name, request.scope) not in around and (
                cell in general or any((action.name, scope) in around for scope in wider)
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
