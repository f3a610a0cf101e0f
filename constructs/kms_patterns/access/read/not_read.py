"""What may give access and is not evaluated here: listed, so that the report claims no more than it knows."""

import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from kms_patterns.access.model import KEPT, PLACE, Unresolved
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import is_symbolic

TYPES: Mapping[str, str] = {
    "AWS::Organizations::Policy": "policies of an organization are not evaluated",
    "AWS::RolesAnywhere::Profile": "its principals are not evaluated",
    "AWS::S3::AccessGrant": "the prefix of its location is not evaluated: it counts as possible on the whole bucket",
    "AWS::S3::AccessPoint": "access through access points is not evaluated",
    "AWS::S3::MultiRegionAccessPoint": "access through access points is not evaluated",
    "AWS::S3::MultiRegionAccessPointPolicy": "access through access points is not evaluated",
    "AWS::S3Express::BucketPolicy": "directory buckets are not evaluated",
    "AWS::S3ObjectLambda::AccessPoint": "access through access points is not evaluated",
    "AWS::S3ObjectLambda::AccessPointPolicy": "access through access points is not evaluated",
    "AWS::CloudFormation::StackSet": "the stacks that it makes are not evaluated",
}
"""Resource types that give or take access, with why they are not evaluated."""

_PREFIXES = ("AWS::Serverless::", "Fn::")
_BY_TRANSFORM = "made by a transform that is not read"
_CHANGED_BY_MACROS = {
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::User",
    "AWS::KMS::Key",
    "AWS::KMS::ReplicaKey",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
}
_CALLS_BY_KIND = {
    "boundary": "deleteRolePermissionsBoundary deleteUserPermissionsBoundary putRolePermissionsBoundary"
    " putUserPermissionsBoundary",
    "bucket": "deleteBucketOwnershipControls deleteBucketPolicy deletePublicAccessBlock putBucketAcl"
    " putBucketOwnershipControls putBucketPolicy putObjectAcl putPublicAccessBlock",
    "function": "addPermission",
    "group": "attachGroupPolicy deleteGroupPolicy detachGroupPolicy putGroupPolicy",
    "key": "createGrant putKeyPolicy",
    "policy": "createPolicyVersion deletePolicyVersion setDefaultPolicyVersion",
    "replica": "replicateKey",
    "role": "attachRolePolicy deleteRolePolicy detachRolePolicy putRolePolicy",
    "role of": "updateFunctionConfiguration",
    "set": "attachCustomerManagedPolicyReferenceToPermissionSet attachManagedPolicyToPermissionSet"
    " deleteInlinePolicyFromPermissionSet detachManagedPolicyFromPermissionSet putInlinePolicyToPermissionSet",
    "tags": "tagRole tagUser untagRole untagUser",
    "trust": "updateAssumeRolePolicy",
    "user": "addUserToGroup attachUserPolicy deleteUserPolicy detachUserPolicy putUserPolicy removeUserFromGroup",
}
CALLS: Mapping[str, str] = {name: kind for kind, said in _CALLS_BY_KIND.items() for name in said.split()}
"""Calls of custom resources that give access, with what they give access to or change."""
_UNKNOWN_ACTION = re.compile(r'\baction[\\"]+: *[\\"]*\\ue000')
_CALLS = re.compile(rf"(?i)\b({'|'.join(CALLS)})(?:Command)?\b")


def not_read(stack: Stack) -> Iterator[Unresolved]:
    """Yield what of ``stack`` may give access and is not evaluated."""
    for name in _transforms(stack.template):
        yield Unresolved(stack.id, f"transform {name}", "what it makes of the template at deployment is not seen")
    for logical_id, what, why_not in stack.notes:
        yield Unresolved(f"{stack.id}/{stack.path(logical_id)}" if logical_id else stack.id, what, why_not)
    noted = {logical_id for logical_id, _, _ in stack.notes}
    for logical_id, resource in stack.template.get("Resources", {}).items():
        if logical_id in noted:
            continue
        kind = resource.get("Type", "") if isinstance(resource, Mapping) else logical_id
        why = _why(str(kind))
        where = f"{stack.id}/{stack.path(logical_id)}"
        for name in transforms_of(stack.template, resource):
            yield Unresolved(where, f"transform {name}", _BY_TRANSFORM)
        if why:
            yield Unresolved(where, str(kind), why)


def _why(kind: str) -> str | None:
    if kind.endswith("::MODULE"):
        return "a registered module makes resources of it at deployment"
    if re.match("AWS::KMS::(?!Alias$|Key$|ReplicaKey$)", kind):
        return "it is not a type of AWS KMS that is known here"
    return TYPES.get(kind) or (_BY_TRANSFORM if kind.startswith(_PREFIXES) else None)


def _inner_transforms(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "Fn::Transform":
                yield str(item.get("Name", "")) if isinstance(item, Mapping) else str(item)
            yield from _inner_transforms(item)
    elif isinstance(value, list):
        for item in value:
            yield from _inner_transforms(item)


def calls_in(properties: Any) -> list[str]:
    """Return the calls of ``CALLS`` that the properties of a custom resource name."""
    said = json.dumps(properties)
    named = {match[1].lower() for match in _CALLS.finditer(said)}
    named |= {call.lower() for call in CALLS if _UNKNOWN_ACTION.search(said)}
    return [call for call in CALLS if call.lower() in named]


def transforms_of(template: Mapping[str, Any], resource: Any) -> list[str]:
    """Return the macros that may change a resource: those of the whole template, and those inside it."""
    kind = str(mapping(resource).get("Type", ""))
    changed = kind in _CHANGED_BY_MACROS or (kind and "::" not in kind)
    return [*(_transforms(template) if changed else []), *sorted(set(_inner_transforms(resource)))]


def _transforms(template: Mapping[str, Any]) -> list[str]:
    """Return the macros that may change a template or add resources to it; those inside one resource left out."""
    sections = (template, template.get("Resources"))
    inserted = [section.get("Fn::Transform") for section in sections if isinstance(section, Mapping)]
    given = [template.get("Transform"), *inserted]
    named = [item for value in given for item in (value if isinstance(value, list) else [value]) if item]
    return [str(item.get("Name", "")) if isinstance(item, Mapping) else str(item) for item in named]


_READ = ("AWS::KMS::", "AWS::S3::BucketPolicy", "AWS::Lambda::Permission")
_FACTS = re.compile(
    r"ManagedPolic(yArns|ies)|PermissionsBoundary|\w*Roles?_?((Arn|Name)s?)?|Users|Groups|\w*InstanceProfile\w*"
    r"|\w*Principals?\w*|PermissionSetArn|Target(Ids?|KeyId)|Queues|Topics|\w*Kms\w*|Permissions\w*|\w*AccountIds?"
    r"|\w*Credentials(Arn)?|Auth\w+Type|Layers|LoginProfile|AccessPolicies|ResourceArns|\w*PublicKeys?\w*|(EC2)?KeyName",
    re.IGNORECASE,
)
"""Properties by which a policy is attached, code acts as a role, a person has a permission set, data is under a key."""
_ALL_TELLS = re.compile(
    r"AWS::\w+::\w*(Access(Control\w*|Entry|Key)|Assignment|Authoriz\w+|BlockPublicAccess|Grant\w*|Identity(Association|Pool)"
    r"|Membership|Permissions?|Principal\w*|(Access|Auth|Bus|Security)Policy|Share|ToGroup\w+|TrustAnchor)"
    r"|AWS::(IAM::(OIDC|SAML)Provider|LakeFormation::\w+|VerifiedPermissions::\w+)"
)
"""Types of which every property tells who a principal is, or what it may do."""
_DOCUMENT = re.compile(r"\w*Polic(y|ies)(Document|Text|InJson)?|Content")
_CEDAR = re.compile(r"\b(permit|forbid)\s*\(")
_TEXT_FUNCTIONS = {"Fn::Join", "Fn::Sub", "Fn::ToJsonString"}
_IF = {
    "AuthType": "NONE",
    "AllowUnauthenticatedIdentities": "true",
    "ObjectOwnership": "BucketOwnerEnforced",
    **dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), "true"),
}
"""Properties of which one value gives or withholds access."""
_ASKED_ABOUT = (("Tags", "ResourceTag"), ("AliasName", "kms:ResourceAliases"), ("AliasName", "kms:RequestAlias"))
"""Properties that matter where a policy asks about them, with what it then says."""
_NOT_SEARCHED = {"BucketEncryption", "Environment", "EnvironmentVariables", "Metadata", "Tags"}
_NAMING = ("OptionName", "Key", "ParameterKey", "Name")
"""Members that hold the name of what stands beside them: a setting of Elastic Beanstalk, a field of a pipeline."""
_DEFAULT_OF_ENDPOINT = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}

Found = tuple[str, int, Mapping[str, Any]]


def other_statements(
    template: Template, unresolved: Iterable[Unresolved], concerns: Callable[[Mapping[str, Any]], bool]
) -> Iterator[Found]:
    """Yield place, number and statement of what a matrix has no statement of; each way of a condition is one.

    Args:
        template: The assembly.
        unresolved: What the matrix lists as unresolved.
        concerns: Whether a statement of an identity policy stands in the matrix.
    """
    noted = list(unresolved)
    elsewhere = {item.where for item in noted if item.why.endswith("is not defined here")}
    asked = {(item.where.partition("/")[0], item.what) for item in noted}
    said = json.dumps([stack.template for stack in template.stacks])
    by = {name for name, word in _ASKED_ABOUT if word in said}
    for stack in template.stacks:
        conditions = mapping(stack.template.get("Conditions")).items()
        named = [{name: each} for name, each in sorted(conditions) if (stack.id, f"condition {name}") in asked]
        tables = mapping(stack.template.get("Mappings")).items()
        named += [{name: each} for name, each in tables if any(f"Fn::FindInMap {name}." in what for _, what in asked)]
        yield from ((f"{stack.id} conditions", number, each) for number, each in enumerate(named, 1))
        if stack.parent is None:
            yield f"{stack.id}{PLACE}", 1, {"Environment": f"aws://{stack.account}/{stack.region}"}
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
            found = [*_facts(template, stack, properties, where, by=by)]
            if _ALL_TELLS.fullmatch(kind) and not kind.startswith(_READ):
                every = {name: item for name, item in properties.items() if name not in _NOT_SEARCHED}
                found = [{kind: template.resolver.resolve(stack, every, where)}]
            yield from ((f"{where} attachments", number, each) for number, each in enumerate(found, 1))
            if str(resource.get("DeletionPolicy")).startswith("Retain") and kind.startswith(_KEPT):
                yield f"{where} stays when it leaves its stack", 1, {KEPT: resource["DeletionPolicy"]}


_KEPT = ("AWS::IAM::", "AWS::KMS::", "AWS::Lambda::", "AWS::S3::", "AWS::SSO::")


def _opened(template: Template, stack: Stack, value: Any, where: str) -> Any:
    """Return a property's value; JSON text, whatever functions make it, as what it says."""
    function = isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _TEXT_FUNCTIONS
    said = template.resolver.resolve(stack, value, where) if function else value
    if isinstance(said, str) and said.lstrip().startswith("{"):
        try:
            return json.loads(said)
        except ValueError:
            return value
    return value


def _statements(template: Template, stack: Stack, given: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of every policy document in a value, those that are given as text included."""
    value = _opened(template, stack, given, where)
    if isinstance(value, Mapping) and "Statement" in value:
        for _, way in template.ways(stack, value, where):
            # Without this version a policy variable is text.
            version = {} if (number := text(mapping(way).get("Version"))) == "2012-10-17" else {"Version": number}
            for each in items(mapping(way).get("Statement")):
                if isinstance(each, Mapping):
                    yield {**each, **version} if "${" in json.dumps(each) else each
    elif isinstance(value, Mapping | list):
        for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            found = [*_statements(template, stack, item, where)]
            yield from found
            if not found and isinstance(name, str) and _DOCUMENT.fullmatch(name):
                ways = (way for _, way in template.ways(stack, item, where))
                yield from ({name: way} for way in ways if is_symbolic(way) or _CEDAR.search(text(way)))


def _facts(
    template: Template, stack: Stack, raw: Any, where: str, *, by: Container[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield the properties that give or withhold access beside policies, each way of each in a stable order."""
    value = _opened(template, stack, raw, where)
    if isinstance(value, list):
        for item in value:
            yield from _facts(template, stack, item, where, by=by)
    given = mapping(value)
    pair = [{said: given} for name in _NAMING if isinstance(said := given.get(name), str) and _FACTS.fullmatch(said)]
    yield from (mapping(template.resolver.resolve(stack, each, where)) for each in pair)
    for name, item in given.items() if "Statement" not in given and not pair else ():
        if _FACTS.fullmatch(name) or name in _IF or name in by:
            ways = (way for _, way in template.several(stack, item, where) if way is not None)
            said = [json.loads(way) for way in sorted({json.dumps(way, sort_keys=True) for way in ways})]
            yield from ({name: way} for way in said if text(way) == _IF.get(name, text(way)) or is_symbolic(way))
        elif name not in _NOT_SEARCHED:
            yield from _facts(template, stack, item, where, by=by)
