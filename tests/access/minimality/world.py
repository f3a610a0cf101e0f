"""The policies of one stack as one world, and the requests that each pattern must allow or deny."""

import json
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import Policy, PrincipalKind
from kms_patterns.access.read.assembly import load_assembly
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.read.template import Template

Access = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any] | None]]]
"""Key -> role -> action -> under which condition: all that the role may do with the key, by paths within the stack."""


@dataclass(frozen=True)
class Scenario:
    """One request, and whether it must be allowed.

    Attributes:
        who: A role's construct path, a service, or one of the principals that always exist.
        action: The action.
        on: A resource's construct path, for objects followed by ``/*``, or by ``/*`` and the key of one.
        allowed: The outcome.
        context: What the request carries; ``<path>`` in a value stands for the ARN of that resource.
    """

    who: str
    action: str
    on: str
    allowed: bool
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


Variant = tuple[str, dict[str, Any]]
NOTHING: Mapping[str, int] = {}


class World:
    """One stack's template, asked for the outcome of scenarios; each policy can be replaced for a scenario."""

    def __init__(self, path: Path, running: Simulator) -> None:
        self._model = read_model(path)
        self._running = running
        template = Template(load_assembly(path))
        self._arns = {
            template.where(stack, name): template.arn(stack, name)
            for stack in template.stacks
            for name in stack.resources
        }
        self._policies = {item.id: item.policy for item in self._model.resources if item.policy}
        attached = [*template.of_type("AWS::SQS::QueuePolicy"), *template.of_type("AWS::SNS::TopicPolicy")]
        for stack, name, properties in attached:
            policy = Policy(name, "resource", properties["PolicyDocument"], (stack.id, name))
            named = {arn for item in policy.document["Statement"] for arn in _texts(item["Resource"])}
            self._policies |= {place: policy for place, arn in self._arns.items() if arn in named}
        identity = [policy for who in self._model.principals for policy in who.identity]
        self._table = list({id(policy): policy for policy in [*self._policies.values(), *identity]}.values())
        self._places = {id(policy): place for place, policy in enumerate(self._table)}
        # A role holds its trust policy and perhaps its own policies: the former is what can be taken from it here.
        held = sorted((policy for policy in self._table if policy.origin), key=lambda policy: policy.kind)
        self.policies = {policy.origin[1]: policy for policy in held if policy.origin}

    def load(self, variants: Sequence[Variant]) -> None:
        """Give the simulator the template's policies and ``variants`` of them: a resource's logical id, a document."""
        changed = [Policy(f"variant of {name}", self.policies[name].kind, document) for name, document in variants]
        numbers, invalid = self._running.load([*self._table, *changed])
        assert invalid == {}
        self._places = {id(policy): number for policy, number in zip(self._table, numbers, strict=False)}
        self._variants = numbers[len(self._table) :]

    def outcome(self, scenario: Scenario, replaced: Mapping[str, int] = NOTHING) -> bool:
        """Return whether the request is allowed, if the policies of some resources are replaced by loaded variants."""
        places = {id(self.policies[name]): self._variants[place] for name, place in replaced.items()}
        return bool(self._running.ask(self._batch(scenario, ChainMap(places, self._places)))["allowed"])

    def outcomes(self, scenarios: Sequence[Scenario]) -> list[bool]:
        """Return the outcome of each scenario under the template as it is."""
        self.load([])
        return [self.outcome(scenario) for scenario in scenarios]

    def taking_part(self, scenario: Scenario) -> set[str]:
        """Return the resources whose policies are asked in ``scenario``."""
        batch = self._batch(scenario, self._places)
        asked = {*batch["identity"], batch["resourcePolicy"]}
        return {name for name, policy in self.policies.items() if self._places[id(policy)] in asked}

    def _batch(self, scenario: Scenario, places: Mapping[int, int]) -> dict[str, Any]:
        who = next((item for item in self._model.principals if item.id == scenario.who), None)
        place, objects, name = scenario.on.partition("/*")
        arn = self._arns.get(place, place)
        policy = self._policies.get(place)
        account = "888877776666"
        principal = who.arn.replace("{partition}", "aws").replace("{account}", account) if who else scenario.who
        service = who is None or who.kind is PrincipalKind.SERVICE
        context = {"kms:CallerAccount": account, **scenario.context}
        context |= {} if service else {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account}
        # A scenario may name a role that no template holds, such as the one that deploys.
        context |= scenario.context
        return {
            "principal": principal,
            "resource": f"{arn}/{name or 'object'}" if objects else arn,
            "account": account,
            "identity": [places[id(item)] for item in who.identity] if who else [],
            "boundaries": None,
            "resourcePolicy": None if policy is None else places[id(policy)],
            "blockPublicAccess": True,
            "context": {key: self._filled(value) for key, value in context.items()},
            "known": [],
            "mode": "Strict",
            "each": "alone",
            "actions": [scenario.action],
        }

    def _filled(self, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            return value
        return re.sub(r"<([^>]+)>", lambda match: self._arns[match[1]], value)


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def template_of(assembly: Path, stack: str) -> dict[str, Any]:
    """Return a stack's template, each resource marked with its construct path, which a single file would lack."""
    template: dict[str, Any] = json.loads((assembly / f"{stack}.template.json").read_text())
    metadata = json.loads((assembly / f"{stack}.metadata.json").read_text())
    for path, entries in metadata.items():
        for entry in entries:
            if entry["type"] == "aws:cdk:logicalId" and entry["data"] in template["Resources"]:
                resource = template["Resources"][entry["data"]]
                resource.setdefault("Metadata", {})["aws:cdk:path"] = path.removeprefix("/")
    return template


# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#key-policy-default-allow-administrators
ADMINISTRATION = (
    "CancelKeyDeletion CreateAlias DeleteAlias DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation",
    "GetKeyPolicy GetKeyRotationStatus ListGrants ListKeyPolicies ListKeyRotations ListResourceTags PutKeyPolicy",
    "RevokeGrant ScheduleKeyDeletion TagResource UntagResource UpdateAlias UpdateKeyDescription",
)

TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
VIA_S3 = {"kms:ViaService": "s3.any-region-1.amazonaws.com"}
ADMINISTRATOR = "account administrator"
CONFIGURATION = "DeleteBucket DeleteBucketPolicy PutBucketPolicy PutEncryptionConfiguration PutReplicationConfiguration"
DEPLOYER = "arn:aws:iam::888877776666:role/cdk-hnb659fds-cfn-exec-role-888877776666-any-region-1"
SSE = "s3:x-amz-server-side-encryption"


def administration(key: str) -> Iterator[Scenario]:
    for name in " ".join(ADMINISTRATION).split():
        yield Scenario(ADMINISTRATOR, f"kms:{name}", key, allowed=True)
    for name in ("Decrypt", "Encrypt", "GenerateDataKey", "CreateGrant"):
        yield Scenario(ADMINISTRATOR, f"kms:{name}", key, allowed=False, context={**VIA_S3, **tenant()})
    yield from guardrails(key)


def guardrails(key: str) -> Iterator[Scenario]:
    """What even an administrator must not do to a key; grants are for AWS services, which make them by themselves."""
    bypass = {"kms:BypassPolicyLockoutSafetyCheck": "true"}
    yield Scenario(ADMINISTRATOR, "kms:PutKeyPolicy", key, allowed=False, context=bypass)
    for days, allowed in (("7", False), ("30", True)):
        window = {"kms:ScheduleKeyDeletionPendingWindowInDays": days}
        yield Scenario(ADMINISTRATOR, "kms:ScheduleKeyDeletion", key, allowed=allowed, context=window)
    for context in ({}, {"kms:GrantIsForAWSResource": "true"}, {"kms:GrantIsForAWSResource": "false"}):
        yield Scenario(ADMINISTRATOR, "kms:CreateGrant", key, allowed=False, context=context)
    service = {"aws:PrincipalIsAWSService": "true"}
    yield Scenario("backup.amazonaws.com", "kms:CreateGrant", key, allowed=False, context=service)


def tenant() -> dict[str, str | list[str]]:
    return {"kms:EncryptionContext:tenant": "blue", "kms:EncryptionContextKeys": ["tenant"]}


def bound_to_tenant(
    role: str, action: str, key: str, tags: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Scenario]:
    yield Scenario(role, action, key, allowed=True, context={**tenant(), **tags})
    yield Scenario(role, action, key, allowed=False, context=tags)
    misspelt = {**tenant(), **tags, "kms:EncryptionContextKeys": ["Tenant"]}
    yield Scenario(role, action, key, allowed=False, context=misspelt)
    yield Scenario("any other role", action, key, allowed=False, context={**tenant(), **tags})


def bound_to_bucket(role: str, action: str, key: str, bucket: str) -> Iterator[Scenario]:
    context = {"kms:EncryptionContext:aws:s3:arn": f"<{bucket}>"}
    elsewhere = {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::somebody-elses"}
    yield Scenario(role, action, key, allowed=True, context={**VIA_S3, **context})
    yield Scenario(role, action, key, allowed=False, context=context)
    yield Scenario(role, action, key, allowed=False, context={**VIA_S3, **elsewhere})
    yield Scenario("any other role", action, key, allowed=False, context={**VIA_S3, **context})


def download(role: str, bucket: str, key: str, objects: str = "*") -> Iterator[Scenario]:
    yield Scenario(role, "s3:GetObject", f"{bucket}/{objects}", allowed=True, context=TLS)
    yield from insecurely(role, "s3:GetObject", f"{bucket}/{objects}")
    yield from bound_to_bucket(role, "kms:Decrypt", key, bucket)


def upload(role: str, bucket: str, key: str, objects: str = "*", *, multipart: bool = True) -> Iterator[Scenario]:
    """With the bucket's default encryption, or naming it; in parts if ``multipart``; never under anything else.

    ``aws:kms`` without a key is the AWS managed key, which every administrator may use.
    """
    named = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": f"<{key}>"}
    for headers in ({}, named):
        yield Scenario(role, "s3:PutObject", f"{bucket}/{objects}", allowed=True, context={**TLS, **headers})
    refused = (
        {SSE: "aws:kms"},
        {SSE: "AES256"},
        {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "arn:aws:kms:any-region-1:888877776666:key/another"},
        {f"{SSE}-customer-algorithm": "AES256"},
    )
    for headers in refused:
        yield Scenario(role, "s3:PutObject", f"{bucket}/{objects}", allowed=False, context={**TLS, **headers})
    yield from insecurely(role, "s3:PutObject", f"{bucket}/{objects}")
    yield Scenario(role, "s3:AbortMultipartUpload", f"{bucket}/{objects}", allowed=multipart, context=TLS)
    yield from bound_to_bucket(role, "kms:GenerateDataKey", key, bucket)
    yield from bound_to_bucket(role, "kms:Decrypt", key, bucket)
    yield from configuration(bucket)
    for headers in refused:
        yield Scenario(ADMINISTRATOR, "s3:ReplicateObject", f"{bucket}/*", allowed=False, context={**TLS, **headers})
    for headers, allowed in ((named, True), (refused[2], False)):
        context = {**TLS, **headers}
        yield Scenario(ADMINISTRATOR, "s3:UpdateObjectEncryption", f"{bucket}/*", allowed=allowed, context=context)


def configuration(bucket: str) -> Iterator[Scenario]:
    """What decides under which key later objects are, or where else they go, is for the deployment alone."""
    for action in CONFIGURATION.split():
        for context, allowed in ((TLS, False), ({**TLS, "aws:PrincipalArn": DEPLOYER}, True)):
            yield Scenario(ADMINISTRATOR, f"s3:{action}", bucket, allowed=allowed, context=context)


def insecurely(role: str, action: str, objects: str) -> Iterator[Scenario]:
    yield Scenario(role, action, objects, allowed=False, context={"aws:SecureTransport": "false"})
    yield Scenario(role, action, objects, allowed=False, context={**TLS, "s3:TlsVersion": "1.1"})
    bucket = objects.partition("/*")[0]
    for context in ({"aws:SecureTransport": "false"}, {**TLS, "s3:TlsVersion": "1.1"}):
        yield Scenario(ADMINISTRATOR, "s3:ListBucket", bucket, allowed=False, context=context)


def function(place: str) -> Iterator[Scenario]:
    """Logs, failed asynchronous invocations, and the role that the function takes."""
    role = f"{place}/Role"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Scenario(role, action, f"{place}/Logs", allowed=True)
    queue = f"{place}/DeadLetters"
    yield Scenario(role, "sqs:SendMessage", queue, allowed=True, context={"aws:SecureTransport": "true"})
    yield Scenario(role, "sqs:SendMessage", queue, allowed=False, context={"aws:SecureTransport": "false"})
    yield from assumed(role, "lambda.amazonaws.com")


def assumed(role: str, service: str) -> Iterator[Scenario]:
    yield Scenario(service, "sts:AssumeRole", role, allowed=True)
    yield Scenario(ADMINISTRATOR, "sts:AssumeRole", role, allowed=False)


def log_groups(key: str) -> Iterator[Scenario]:
    """CloudWatch Logs encrypts log groups of the account, and of no other."""
    for action in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"):
        for account, allowed in (("888877776666", True), ("111111111111", False)):
            context = {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:any-region-1:{account}:log-group:any"}
            yield Scenario("logs.any-region-1.amazonaws.com", f"kms:{action}", key, allowed=allowed, context=context)


FORMS = ("json", "pem", "der", "jwk")


def publication(export: str, name: str, key: str) -> Iterator[Scenario]:
    publisher, server, bucket = f"{export}/Publish/Role", f"{export}/Serve/Role", f"{export}/Bucket"
    yield Scenario(publisher, "kms:GetPublicKey", key, allowed=True)
    for action in ("kms:Decrypt", "kms:Encrypt"):
        yield Scenario(publisher, action, key, allowed=False)
    for who in (server, "any other role", "account administrator"):
        yield Scenario(who, "kms:GetPublicKey", key, allowed=False)
    for form in FORMS:
        file = f"{bucket}/*{name}.{form}"
        yield Scenario(publisher, "s3:PutObject", file, allowed=True, context=TLS)
        yield Scenario(server, "s3:GetObject", file, allowed=True, context=TLS)
        yield Scenario(server, "s3:PutObject", file, allowed=False, context=TLS)
        yield Scenario("account administrator", "s3:PutObject", file, allowed=False, context=TLS)
    yield Scenario("account administrator", "s3:ReplicateObject", f"{bucket}/*{name}.json", allowed=False, context=TLS)
    yield Scenario(publisher, "s3:PutObject", f"{bucket}/*another.json", allowed=False, context=TLS)
    for context in ({"aws:SecureTransport": "false"}, {**TLS, "s3:TlsVersion": "1.1"}):
        yield Scenario(server, "s3:GetObject", f"{bucket}/*{name}.json", allowed=False, context=context)
        yield Scenario("account administrator", "s3:ListBucket", bucket, allowed=False, context=context)
    for context, allowed in ((TLS, False), ({**TLS, "aws:PrincipalArn": DEPLOYER}, True)):
        version = f"{bucket}/*{name}.json"
        yield Scenario(ADMINISTRATOR, "s3:DeleteObjectVersion", version, allowed=allowed, context=context)
    yield from configuration(bucket)
    for side in ("Publish", "Serve"):
        yield from function(f"{export}/{side}")
    yield from _dead_letters(f"{export}/Publish/DeadLetters", f"{export}/Deployed/Rule")


def pinned(role: str, action: str, key: str) -> Iterator[Scenario]:
    """One role, with SHA-256 and with nothing else."""
    algorithm = "kms:EncryptionAlgorithm"
    context = {algorithm: "RSAES_OAEP_SHA_256"}
    yield Scenario(role, action, key, allowed=True, context=context)
    yield Scenario(role, action, key, allowed=False, context={algorithm: "RSAES_OAEP_SHA_1"})
    yield Scenario("any other role", action, key, allowed=False, context=context)


def _dead_letters(queue: str, rule: str) -> Iterator[Scenario]:
    tls = {"aws:SecureTransport": "true"}
    events = "events.amazonaws.com"
    mine, anothers = {"aws:SourceArn": f"<{rule}>"}, {"aws:SourceArn": "arn:aws:events:any-region-1:1:rule/x"}
    yield Scenario(events, "sqs:SendMessage", queue, allowed=True, context={**tls, **mine})
    yield Scenario(events, "sqs:SendMessage", queue, allowed=False, context={**tls, **anothers})
