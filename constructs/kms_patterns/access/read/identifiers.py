"""Names and ARNs that CloudFormation will give to a template's resources, made up where AWS chooses them.

A made-up name is derived from stack and logical id, so it is the same in every run and cannot meet another one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.templates.template_text import mapping, text

_NAME_PROPERTIES = (
    "RoleName",
    "UserName",
    "GroupName",
    "ManagedPolicyName",
    "InstanceProfileName",
    "BucketName",
    "FunctionName",
    "QueueName",
    "TopicName",
    "TableName",
    "LogGroupName",
    "StateMachineName",
    "RepositoryName",
    "SecretName",
    "Name",
)

_ARNS: Mapping[str, str] = {
    "AWS::IAM::Role": "arn:{p}:iam::{a}:role{path}{n}",
    "AWS::IAM::User": "arn:{p}:iam::{a}:user{path}{n}",
    "AWS::IAM::Group": "arn:{p}:iam::{a}:group{path}{n}",
    "AWS::IAM::ManagedPolicy": "arn:{p}:iam::{a}:policy{path}{n}",
    "AWS::IAM::InstanceProfile": "arn:{p}:iam::{a}:instance-profile{path}{n}",
    "AWS::KMS::Key": "arn:{p}:kms:{r}:{a}:key/{n}",
    "AWS::KMS::ReplicaKey": "arn:{p}:kms:{r}:{a}:key/{n}",
    "AWS::S3::AccessPoint": "arn:{p}:s3:{r}:{a}:accesspoint/{n}",
    "AWS::S3::Bucket": "arn:{p}:s3:::{n}",
    "AWS::Lambda::Function": "arn:{p}:lambda:{r}:{a}:function:{n}",
    "AWS::SQS::Queue": "arn:{p}:sqs:{r}:{a}:{n}",
    "AWS::SNS::Topic": "arn:{p}:sns:{r}:{a}:{n}",
    "AWS::DynamoDB::Table": "arn:{p}:dynamodb:{r}:{a}:table/{n}",
    "AWS::DynamoDB::GlobalTable": "arn:{p}:dynamodb:{r}:{a}:table/{n}",
    "AWS::Logs::LogGroup": "arn:{p}:logs:{r}:{a}:log-group:{n}:*",
    "AWS::SecretsManager::Secret": "arn:{p}:secretsmanager:{r}:{a}:secret:{n}-AbCdEf",
    "AWS::StepFunctions::StateMachine": "arn:{p}:states:{r}:{a}:stateMachine:{n}",
    "AWS::Events::Rule": "arn:{p}:events:{r}:{a}:rule/{n}",
    "AWS::Kinesis::Stream": "arn:{p}:kinesis:{r}:{a}:stream/{n}",
    "AWS::ECR::Repository": "arn:{p}:ecr:{r}:{a}:repository/{n}",
    "AWS::IAM::OIDCProvider": "arn:{p}:iam::{a}:oidc-provider/{n}",
    "Custom::AWSCDKOpenIdConnectProvider": "arn:{p}:iam::{a}:oidc-provider/{n}",
    "AWS::IAM::SAMLProvider": "arn:{p}:iam::{a}:saml-provider/{n}",
    "AWS::Lambda::Alias": "arn:{p}:lambda:{r}:{a}:function:{n}",
    "AWS::Lambda::Version": "arn:{p}:lambda:{r}:{a}:function:{n}",
    "AWS::SSM::Parameter": "arn:{p}:ssm:{r}:{a}:parameter/{n}",
}

_REF_IS_ARN = frozenset(
    {
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::OIDCProvider",
        "AWS::IAM::SAMLProvider",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Version",
        "Custom::AWSCDKOpenIdConnectProvider",
        "AWS::SNS::Topic",
        "AWS::SecretsManager::Secret",
        "AWS::StepFunctions::StateMachine",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
    }
)

CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")
"""What the types of custom resources start with."""

URL_SUFFIXES: Mapping[str, str] = {
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}
"""What ``AWS::URLSuffix`` is by partition, where it is not ``amazonaws.com``."""

A_NAME = "\ue002"
"""In a pattern of ``may_be_equal``: any characters of one name, which has neither slash nor colon."""
CHOSEN, CHOSEN_UNDER_ANY_NAME = "ChosenByAWS1", "ChosenByAWS2"
"""How made-up names end where CloudFormation adds twelve characters; in a stack of any name, the second."""

Resolve = Callable[[Any], Any]


def physical_name(stack: Stack, logical_id: str, resolve: Resolve) -> str:
    """Return the resource's name: the template's if it sets one, else one made up from stack and logical id."""
    if logical_id in stack.physical:
        return stack.physical[logical_id]
    resource = stack.resources[logical_id]
    properties = mapping(resource.get("Properties"))
    made_up = f"{stack.prefix}-{logical_id}-{CHOSEN if stack.named else CHOSEN_UNDER_ANY_NAME}"
    if resource["Type"] in {"AWS::KMS::Key", "AWS::KMS::ReplicaKey"}:
        return _key_id(stack, logical_id, properties, resolve)
    if resource["Type"].endswith(("OIDCProvider", "OpenIdConnectProvider")):
        return text(resolve(properties.get("Url"))).removeprefix("https://")
    if resource["Type"] in {"AWS::Lambda::Alias", "AWS::Lambda::Version"}:
        function = text(resolve(properties.get("FunctionName"))).rpartition(":function:")[2]
        qualifier = text(resolve(properties["Name"])) if properties.get("Name") else made_up
        return f"{function}:{qualifier}"
    for name in _NAME_PROPERTIES:
        if properties.get(name) is not None and (value := resolve(properties[name])) is not None:
            return text(value)
    return made_up.lower() if resource["Type"] == "AWS::S3::Bucket" else made_up


def _key_id(stack: Stack, logical_id: str, properties: Mapping[str, Any], resolve: Resolve) -> str:
    primary = resolve(properties.get("PrimaryKeyArn"))
    if isinstance(primary, str):
        return primary.rsplit("/", maxsplit=1)[-1]
    multi = resolve(properties.get("MultiRegion"))
    unknown = multi if isinstance(multi, str) and multi.lower() != "false" else ""
    prefix = "mrk-" if text(multi).lower() == "true" else unknown
    return f"{prefix}{stack.prefix}.{logical_id}"


def arn(stack: Stack, logical_id: str, resolve: Resolve) -> str:
    """Return the resource's ARN; for a type not known here, one of the right service and account."""
    resource = stack.resources[logical_id]
    path = resolve(mapping(resource.get("Properties")).get("Path", "/"))
    service = re.sub(r"^AWS::([^:]+)::.*$", r"\1", resource["Type"]).lower()
    template = _ARNS.get(resource["Type"], f"arn:{{p}}:{service}:{{r}}:{{a}}:{{n}}")
    return template.format(
        p=stack.partition,
        r=stack.region,
        a=stack.account,
        n=physical_name(stack, logical_id, resolve),
        path=path if isinstance(path, str) else "/",
    )


def reference(stack: Stack, logical_id: str, resolve: Resolve) -> str | None:
    """Return what ``Ref`` gives for the resource, or None if a custom resource chooses it at deployment."""
    kind = stack.resources[logical_id]["Type"]
    if kind not in _ARNS and kind.startswith(CUSTOM):
        return None
    if kind in _REF_IS_ARN:
        return arn(stack, logical_id, resolve)
    return physical_name(stack, logical_id, resolve)


def attribute(stack: Stack, logical_id: str, name: str, resolve: Resolve) -> str | None:
    """Return what ``Fn::GetAtt`` gives for the resource, or None if it cannot be told before deployment."""
    resource_type = stack.resources[logical_id]["Type"]
    if resource_type not in _ARNS and resource_type.startswith(CUSTOM):
        return None
    if name in {"Arn", "TopicArn"}:
        return arn(stack, logical_id, resolve)
    if (resource_type, name) in {("AWS::KMS::Key", "KeyId"), ("AWS::KMS::ReplicaKey", "KeyId")}:
        return physical_name(stack, logical_id, resolve)
    if name in {"QueueName", "TopicName", "TableName", "FunctionName", "BucketName", "Name"}:
        return physical_name(stack, logical_id, resolve)
    if name.endswith("StreamArn"):
        return f"{arn(stack, logical_id, resolve)}/stream"
    return None


def may_be_equal(one: str, other: str) -> bool:
    """Return whether some string matches both patterns, which may hold ``*`` and ``?``."""
    if "*" in {one, other} or one == other:
        return True
    heads = [re.split(f"[*?{A_NAME}]", pattern, maxsplit=1)[0] for pattern in (one, other)]
    if len({head[: min(map(len, heads))] for head in heads}) > 1:
        return False
    places, ends = {(0, 0)}, (len(one), len(other))
    seen = set(places)
    while places:
        left, right = places.pop()
        if (left, right) == ends:
            return True
        for step in _steps(one, left, other, right):
            if step not in seen:
                seen.add(step)
                places.add(step)
    return False


_STARS = {"*", A_NAME}


def _steps(one: str, left: int, other: str, right: int) -> Iterable[tuple[int, int]]:
    starred = left < len(one) and one[left] in _STARS, right < len(other) and other[right] in _STARS
    if starred[0]:
        yield left + 1, right
        if right < len(other) and (one[left] == "*" or other[right] not in "/:"):
            yield left, right + 1
    if starred[1]:
        yield left, right + 1
        if left < len(one) and (other[right] == "*" or one[left] not in "/:"):
            yield left + 1, right
    both = left < len(one) and right < len(other) and not any(starred)
    if both and (one[left] == other[right] or "?" in {one[left], other[right]}):
        yield left + 1, right + 1


def matches(pattern: str, text: str) -> bool:
    """Return whether ``text`` matches ``pattern``, which may hold ``*`` and ``?``; no pattern takes long."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def behind(pattern: str, head: str) -> list[str]:
    """Return the patterns of all that follows ``head`` in what ``pattern`` matches."""
    places = _starred(pattern, {0})
    for char in head:
        met = {place for place in places if pattern[place : place + 1] in {"*", "?", char}}
        places = _starred(pattern, {place if pattern[place] == "*" else place + 1 for place in met})
    found = {re.sub(r"\*+", "*", pattern[place:]) for place in places}
    return sorted(tail for tail in found if tail and not any(matches(other, tail) for other in found - {tail}))


def _starred(pattern: str, places: set[int]) -> set[int]:
    """Return places in a pattern, and those behind stars, which may stand for nothing."""
    more = {place + 1 for place in places if pattern[place : place + 1] == "*"} - places
    return _starred(pattern, places | more) if more else places
