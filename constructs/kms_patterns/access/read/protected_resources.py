"""Keys, buckets, functions and roles of an assembly, each with the policy that stands on it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.model import Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.function_policies import function_policies
from kms_patterns.access.read.template import Template

_KEYS = ("AWS::KMS::Key", "AWS::KMS::ReplicaKey")
_DEFAULT_KEY_POLICY = "arn:{partition}:iam::{account}:root"


class ProtectedResources:
    """Finds what is worth protecting."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def resources(self) -> Iterator[Resource]:
        """Yield keys first, then buckets, functions and roles."""
        aliases = self._aliases()
        for stack, logical_id, properties in self._template.of_type(*_KEYS):
            arn = self._template.arn(stack, logical_id)
            document = properties.get("KeyPolicy") or self._default_key_policy(stack)
            kind = ResourceKind.KEY
            yield self._resource(
                stack, logical_id, kind, policy_name="key policy", document=document, aliases=aliases.get(arn, ())
            )
        policies = self._bucket_policies()
        buckets = {self._template.name(stack, name) for stack, name, _ in self._template.of_type("AWS::S3::Bucket")}
        for name in sorted(set(policies) - buckets):
            self._template.unresolved(
                policies[name].where, f"policy of bucket {name}", "the bucket is not defined here"
            )
        for stack, logical_id, properties in self._template.of_type("AWS::S3::Bucket"):
            name = self._template.name(stack, logical_id)
            public = properties.get("PublicAccessBlockConfiguration", {}).get("RestrictPublicBuckets", False)
            yield Resource(
                id=self._template.where(stack, logical_id),
                kind=ResourceKind.BUCKET,
                stack=stack.id,
                label=stack.path(logical_id),
                arn=self._template.arn(stack, logical_id),
                account=stack.account,
                policy=policies.get(name),
                block_public_access=str(public).lower() == "true",
                encrypted_by=_default_key(properties),
            )
        yield from self._functions()
        for stack, logical_id, properties in self._template.of_type("AWS::IAM::Role"):
            document = properties.get("AssumeRolePolicyDocument")
            yield self._resource(stack, logical_id, ResourceKind.ROLE, policy_name="trust policy", document=document)

    def _resource(
        self,
        stack: Stack,
        logical_id: str,
        kind: ResourceKind,
        *,
        policy_name: str,
        document: object,
        aliases: tuple[str, ...] = (),
    ) -> Resource:
        where = self._template.where(stack, logical_id)
        names = f" ({', '.join(sorted(aliases))})" if aliases else ""
        return Resource(
            id=where,
            kind=kind,
            stack=stack.id,
            label=f"{stack.path(logical_id)}{names}",
            arn=self._template.arn(stack, logical_id),
            account=stack.account,
            policy=Policy(
                f"{where} {policy_name}",
                "resource",
                self._template.document(where, document),
                (stack.id, logical_id),
            ),
        )

    def _functions(self) -> Iterator[Resource]:
        functions = list(self._template.of_type("AWS::Lambda::Function"))
        names = {self._template.arn(stack, name): self._template.name(stack, name) for stack, name, _ in functions}
        permissions = []
        for stack, logical_id, properties in self._template.of_type("AWS::Lambda::Permission"):
            permissions.append(properties)
            name = str(properties["FunctionName"])
            if name not in {*names, *names.values()}:
                where = self._template.where(stack, logical_id)
                self._template.unresolved(where, f"permission of function {name}", "the function is not defined here")
        documents = function_policies(permissions)
        for stack, logical_id, properties in functions:
            where, arn = self._template.where(stack, logical_id), self._template.arn(stack, logical_id)
            document = documents.get(arn) or documents.get(names[arn])
            yield Resource(
                id=where,
                kind=ResourceKind.FUNCTION,
                stack=stack.id,
                label=stack.path(logical_id),
                arn=arn,
                account=stack.account,
                policy=Policy(f"{where} permissions", "resource", document, (stack.id, logical_id))
                if document
                else None,
                acts_as=properties.get("Role"),
            )

    def _aliases(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        targets = {
            value: self._template.arn(stack, logical_id)
            for stack, logical_id, _ in self._template.of_type(*_KEYS)
            for value in (self._template.arn(stack, logical_id), self._template.name(stack, logical_id))
        }
        for _, _, properties in self._template.of_type("AWS::KMS::Alias"):
            arn = targets.get(properties.get("TargetKeyId", ""))
            if arn:
                found[arn] += (properties["AliasName"],)
        return found

    def _bucket_policies(self) -> dict[str, Policy]:
        return {
            str(properties.get("Bucket")): Policy(
                where := self._template.where(stack, logical_id),
                "resource",
                self._template.document(where, properties.get("PolicyDocument")),
                (stack.id, logical_id),
            )
            for stack, logical_id, properties in self._template.of_type("AWS::S3::BucketPolicy")
        }

    def _default_key_policy(self, stack: Stack) -> Mapping[str, Any]:
        """KMS's own default for a key without one: the account may do everything."""
        root = _DEFAULT_KEY_POLICY.format(partition=stack.partition, account=stack.account)
        return {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}],
        }


def _default_key(bucket: Mapping[str, Any]) -> str | None:
    rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
    defaults = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
    under_kms = [item for item in defaults if str(item.get("SSEAlgorithm", "")).startswith("aws:kms")]
    return next((item.get("KMSMasterKeyID", "alias/aws/s3") for item in under_kms), None)
