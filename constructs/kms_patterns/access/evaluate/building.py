"""From an assembly to its matrix: read, evaluate, and leave out what says nothing new."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kms_patterns.access.escalation.allowed_methods import concerns
from kms_patterns.access.escalation.paths import escalations
from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.entries import KEPT, Access, ActionName, Statement, What, Who, statement_text
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding, Names, StatementPlace, evaluate
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import Model, Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import Stack, load_assembly
from kms_patterns.access.read.reader import model_of
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import is_symbolic, matches, shown


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
        for place, number, statement in other_statements(Template(stacks), matrix)
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


_READ = ("AWS::KMS::", "AWS::S3::BucketPolicy", "AWS::Lambda::Permission")
_FACTS = re.compile(
    r"ManagedPolic(yArns|ies)|PermissionsBoundary|Roles?|\w*Role_?(Arn|Name)|Users|Groups|\w*InstanceProfile\w*"
    r"|(Allowed)?Principals?(Id|Arn|Type)?|PermissionSetArn|Target(Ids?|KeyId)|Queues|Topics|\w*Kms\w*",
    re.IGNORECASE,
)
"""Properties by which a policy is attached, code acts as a role, a person has a permission set, data is under a key."""
_IF = {
    "AuthType": "NONE",
    "AllowUnauthenticatedIdentities": "true",
    "ObjectOwnership": "BucketOwnerEnforced",
    **dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), "true"),
}
"""Properties of which one value gives or withholds access."""
_NOT_SEARCHED = {"BucketEncryption", "Environment", "EnvironmentVariables", "Metadata", "Tags"}
_DEFAULT_OF_ENDPOINT = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}

Found = tuple[str, int, Mapping[str, Any]]


def other_statements(template: Template, matrix: Matrix) -> Iterator[Found]:
    """Yield place, number and statement of what the matrix has no statement of; each way of a condition is one."""
    elsewhere = {item.where for item in matrix.unresolved if item.why.endswith("is not defined here")}
    asked = {(item.where.partition("/")[0], item.what) for item in matrix.unresolved}
    by_tag = any("ResourceTag" in json.dumps(stack.template) for stack in template.stacks)
    for stack in template.stacks:
        conditions = mapping(stack.template.get("Conditions")).items()
        named = [{name: each} for name, each in sorted(conditions) if (stack.id, f"condition {name}") in asked]
        yield from ((f"{stack.id} conditions", number, each) for number, each in enumerate(named, 1))
        for logical_id, resource in stack.resources.items():
            kind, where = str(resource["Type"]), template.where(stack, logical_id)
            properties = mapping(resource.get("Properties"))
            if where in elsewhere or not kind.startswith(_READ):
                found = list(_statements(template, stack, properties, where))
                # Statements of IAM that may be about our resources stand in the matrix.
                told = kind.startswith("AWS::IAM::")
                others = [each for each in found if not (told and ("Principal" in each or concerns(each)))]
                others += [_DEFAULT_OF_ENDPOINT] if kind == "AWS::EC2::VPCEndpoint" and not found else []
                others += [mapping(template.resolver.resolve(stack, properties, where))] if where in elsewhere else []
                yield from ((f"{where} for other services", number, each) for number, each in enumerate(others, 1))
            found = [*_facts(template, stack, properties, where, by_tag=by_tag)]
            if "UserToGroup" in kind:
                found.append({"GroupName": template.resolver.resolve(stack, properties.get("GroupName"), where)})
            yield from ((f"{where} attachments", number, each) for number, each in enumerate(found, 1))
            if str(resource.get("DeletionPolicy")).startswith("Retain") and kind.startswith(_KEPT):
                yield f"{where} stays when it leaves its stack", 1, {KEPT: resource["DeletionPolicy"]}


_KEPT = ("AWS::IAM::", "AWS::KMS::", "AWS::Lambda::", "AWS::S3::", "AWS::SSO::")


def _statements(template: Template, stack: Stack, value: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of every policy document in a value, those that are given as text included."""
    if isinstance(value, str) and value.lstrip().startswith("{") and '"Statement"' in value:
        try:
            yield from _statements(template, stack, json.loads(value), where)
        except ValueError:
            return
    elif isinstance(value, Mapping) and "Statement" in value:
        for _, way in template.ways(stack, value, where):
            # Without this version a policy variable is text.
            version = {} if (number := text(mapping(way).get("Version"))) == "2012-10-17" else {"Version": number}
            for each in items(mapping(way).get("Statement")):
                if isinstance(each, Mapping):
                    yield {**each, **version} if "${" in json.dumps(each) else each
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _statements(template, stack, item, where)


def _facts(template: Template, stack: Stack, value: Any, where: str, *, by_tag: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the properties that give or withhold access beside policies, each way of each in a stable order."""
    if isinstance(value, list):
        for item in value:
            yield from _facts(template, stack, item, where, by_tag=by_tag)
    for name, item in mapping(value).items() if "Statement" not in mapping(value) else ():
        if _FACTS.fullmatch(name) or name in _IF or (by_tag and name == "Tags"):
            ways = (way for _, way in template.several(stack, item, where) if way is not None)
            said = [json.loads(way) for way in sorted({json.dumps(way, sort_keys=True) for way in ways})]
            yield from ({name: way} for way in said if text(way) == _IF.get(name, text(way)) or is_symbolic(way))
        elif name not in _NOT_SEARCHED:
            yield from _facts(template, stack, item, where, by_tag=by_tag)
