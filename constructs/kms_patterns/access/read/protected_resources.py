"""Keys, buckets, functions and roles of an assembly, each with the policy that stands on it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kms_patterns.access.model import Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.bucket_grants import access_grants, acl_statements, is_surely_blocked, vended_roles
from kms_patterns.access.read.identifiers import may_be_equal
from kms_patterns.access.read.managed_policies import guarded_document
from kms_patterns.access.read.sdk_calls import ANY_CALL, granted
from kms_patterns.access.read.stated_permissions import (
    Additions,
    names_function,
    permission_calls,
    permission_statement,
    with_additions,
)
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import GUARD, TRUE, globbed, is_symbol, is_symbolic, may_be, shown, symbol

_KEYS = ("AWS::KMS::Key", "AWS::KMS::ReplicaKey")
_VERSION = "2012-10-17"
_DEFAULTS = {"KeySpec": "SYMMETRIC_DEFAULT", "Origin": "AWS_KMS"}
_BLOCKED = "RestrictPublicBuckets"


class ProtectedResources:
    """Finds what is worth protecting."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._additions = Additions(template)
        self._names: set[str] = set()

    def resources(self) -> Iterator[Resource]:
        """Yield keys first, then buckets, functions and roles."""
        aliases, grants = self._aliases(), defaultdict(list)
        for key, statement in granted(self._template, self._keys()):
            grants[key].append(statement)
        for stack, logical_id, _ in self._template.of_type(*_KEYS):
            arn = self._template.arn(stack, logical_id)
            ways = {it: self._template.ways(stack, self._template.raw(stack, logical_id, it), arn) for it in _DEFAULTS}
            portable = all(any(way not in (None, default) for _, way in ways[it]) for it, default in _DEFAULTS.items())
            read = self._resource(
                stack,
                logical_id,
                ResourceKind.KEY,
                "key policy",
                self._template.raw(stack, logical_id, "KeyPolicy"),
                default=self._default_key_policy(stack),
                aliases=aliases.get(arn, ()),
                beside=grants[arn],
            )
            yield replace(read, portable=portable)
        yield from self._buckets()
        yield from self._functions()
        vended = list(vended_roles(self._template))
        for stack, logical_id, _ in self._template.of_type("AWS::IAM::Role"):
            raw = self._template.raw(stack, logical_id, "AssumeRolePolicyDocument")
            beside = [it for role, it in vended if may_be(role, self._template.arn(stack, logical_id))]
            yield self._resource(stack, logical_id, ResourceKind.ROLE, "trust policy", raw, beside=beside)

    def _resource(
        self,
        stack: Stack,
        logical_id: str,
        kind: ResourceKind,
        policy_name: str,
        document: object,
        *,
        default: Mapping[str, Any] | None = None,
        aliases: tuple[str, ...] = (),
        beside: Sequence[dict[str, Any]] = (),
    ) -> Resource:
        where = self._template.where(stack, logical_id)
        read = self._template.document(stack, where, document, default=default)
        read = {**read, "Statement": [*read["Statement"], *beside]}
        added = self._additions.to(stack, logical_id, "trust" if kind is ResourceKind.ROLE else kind.value)
        names = f" ({', '.join(sorted(map(shown, aliases)))})" if aliases else ""
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
                with_additions(read, added, resource=True),
                (stack.id, logical_id),
            ),
        )

    def _buckets(self) -> Iterator[Resource]:
        policies = self._bucket_policies()
        found = [(*item, self._template.name(item[0], item[1])) for item in self._template.of_type("AWS::S3::Bucket")]
        self._names = {name for *_, name in found}
        for named, policy in policies:
            if not any(may_be(named, name) for *_, name in found):
                self._template.unresolved(
                    policy.where, f"policy of bucket {shown(named)}", "the bucket is not defined here"
                )
        granted_by_s3 = access_grants(self._template)
        for stack, logical_id, _, name in found:
            where = self._template.where(stack, logical_id)
            own = self._policy_of(where, name, policies)
            beside = acl_statements(self._template, stack, logical_id)
            beside += [
                statement
                for account, bucket, statement in granted_by_s3
                if account == stack.account and may_be_equal(globbed(bucket), globbed(name))
            ]
            added = self._additions.to(stack, logical_id, "bucket")
            if beside or added:
                read = own.document if own else {"Version": _VERSION, "Statement": []}
                read = with_additions({**read, "Statement": [*read["Statement"], *beside]}, added, resource=True)
                place = f"{where} ACL" if own is None else own.where
                own = Policy(place, "resource", read, own.origin if own else (stack.id, logical_id))
            yield Resource(
                id=where,
                kind=ResourceKind.BUCKET,
                stack=stack.id,
                label=stack.path(logical_id),
                arn=self._template.arn(stack, logical_id),
                account=stack.account,
                policy=own,
                # It stops whom a public policy allows: whether an unknown one is public is not known.
                block_public_access=not (beside or is_symbolic(own.document if own else ""))
                and is_surely_blocked(self._template, stack, logical_id, _BLOCKED),
                encrypted_by=self._default_keys(stack, logical_id),
            )

    def _default_keys(self, stack: Stack, logical_id: str) -> list[str | None]:
        given = self._template.raw(stack, logical_id, "BucketEncryption")
        ways = self._template.ways(stack, given, self._template.where(stack, logical_id))
        return list(dict.fromkeys(_default_key(way) for _, way in ways))

    def _policy_of(self, where: str, name: str, policies: Sequence[tuple[str, Policy]]) -> Policy | None:
        """Return a bucket's policy; of several, each is in effect under the proposition that it is the one."""
        exact = [policy for named, policy in policies if named == name]
        maybe = [
            (named, policy)
            for named, policy in policies
            if named != name and (named not in self._names or is_symbolic(f"{named}{name}")) and may_be(named, name)
        ]
        if len(exact) == 1 and not maybe:
            return exact[0]
        chosen = [(policy, (f"the policy of bucket {where}", policy.where)) for policy in exact]
        chosen += [(policy, (f"{shown(named)} is the bucket {where}", TRUE)) for named, policy in maybe]
        if len(chosen) > 1:
            self._template.unresolved(where, "its policies", "a bucket has one policy: which is in effect is not known")
        statements = [
            item for policy, given in chosen for item in guarded_document(policy.document, [given])["Statement"]
        ]
        if not chosen:
            return None
        places = " or ".join(policy.where for policy, _ in chosen)
        return Policy(places, "resource", {"Version": _VERSION, "Statement": statements}, chosen[0][0].origin)

    def _functions(self) -> Iterator[Resource]:
        functions = list(self._template.of_type("AWS::Lambda::Function"))
        permissions = list(self._permissions())
        arns = [self._template.arn(stack, logical_id) for stack, logical_id, _ in functions]
        for where, home, named, _ in permissions:
            if not any(names_function(named, arn, home) is not None for arn in arns):
                what = f"permission of function {shown(named)}"
                self._template.unresolved(where, what, "the function is not defined here")
        for (stack, logical_id, _), arn in zip(functions, arns, strict=True):
            where = self._template.where(stack, logical_id)
            statements = [
                {**statement, GUARD: [*statement.get(GUARD, ()), *given]} if given else statement
                for _, home, named, statement in permissions
                if (given := names_function(named, arn, home)) is not None
            ]
            added = self._additions.to(stack, logical_id, "function")
            document = with_additions({"Version": _VERSION, "Statement": statements}, added, resource=True)
            roles = self._template.several(stack, self._template.raw(stack, logical_id, "Role"), where)
            acts_as = list(dict.fromkeys(text(role) for _, role in roles if role is not None))
            yield Resource(
                id=where,
                kind=ResourceKind.FUNCTION,
                stack=stack.id,
                label=stack.path(logical_id),
                arn=arn,
                account=stack.account,
                policy=Policy(f"{where} permissions", "resource", document, (stack.id, logical_id))
                if document["Statement"]
                else None,
                acts_as=[*acts_as, symbol(f"role of {where}")]
                if self._additions.to(stack, logical_id, "role of")
                else acts_as,
            )

    def _permissions(self) -> Iterator[tuple[str, tuple[str, str], str, dict[str, Any]]]:
        """Yield place, Region and account of every permission, the function that it names, and its statement."""
        for stack, logical_id, _ in self._template.of_type("AWS::Lambda::Permission"):
            where = self._template.where(stack, logical_id)
            given = self._template.existence(stack, logical_id)
            raw = stack.resources[logical_id].get("Properties")
            for guard, way in self._template.ways(stack, raw, where):
                properties = mapping(way)
                statement = permission_statement(properties, [*given, *guard])
                yield where, (stack.region, stack.account), text(properties.get("FunctionName")), statement
        for stack, logical_id, _ in self._template.of_type(ANY_CALL):
            for call in permission_calls(self._template, stack, logical_id) or ():
                statement = permission_statement(call.parameters, call.given)
                named = text(call.parameters["FunctionName"])
                yield self._template.where(stack, logical_id), (stack.region, stack.account), named, statement

    def _keys(self) -> dict[str, str]:
        """Return every way in which a key is named -> its ARN."""
        return {
            value: self._template.arn(stack, logical_id)
            for stack, logical_id, _ in self._template.of_type(*_KEYS)
            for value in (self._template.arn(stack, logical_id), self._template.name(stack, logical_id))
        }

    def _aliases(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        targets = self._keys()
        for _, _, properties in self._template.of_type("AWS::KMS::Alias"):
            arn = targets.get(text(properties.get("TargetKeyId")))
            if arn:
                found[arn] += (text(properties.get("AliasName")),)
        return found

    def _bucket_policies(self) -> list[tuple[str, Policy]]:
        found = []
        for stack, logical_id, _ in self._template.of_type("AWS::S3::BucketPolicy"):
            where, given = self._template.where(stack, logical_id), self._template.existence(stack, logical_id)
            document = self._template.raw(stack, logical_id, "PolicyDocument")
            for guard, bucket in self._template.ways(stack, self._template.raw(stack, logical_id, "Bucket"), where):
                read = self._template.document(stack, where, document, [*given, *guard])
                found.append((text(bucket), Policy(where, "resource", read, (stack.id, logical_id))))
        return found

    def _default_key_policy(self, stack: Stack) -> Mapping[str, Any]:
        """KMS's own default for a key without one: the account may do everything."""
        root = {"AWS": f"arn:{stack.partition}:iam::{stack.account}:root"}
        everything = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
        return {"Version": _VERSION, "Statement": [everything]}


def _default_key(encryption: object) -> str | None:
    """Return the key of a default encryption; a symbol where it is not known, or whether KMS encrypts at all."""
    default = _member(_member(encryption, "ServerSideEncryptionConfiguration"), "ServerSideEncryptionByDefault")
    algorithm = text(_member(default, "SSEAlgorithm"))
    if is_symbolic(algorithm):
        return symbol(f"default encryption {shown(algorithm)}")
    return text(mapping(default).get("KMSMasterKeyID", "alias/aws/s3")) if algorithm.startswith("aws:kms") else None


def _member(value: object, name: str) -> object:
    found = [item if is_symbol(item) else mapping(item).get(name) for item in items(value)]
    return next((item for item in found if item is not None), None)
