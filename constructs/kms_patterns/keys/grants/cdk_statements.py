"""What constructs of the AWS CDK write for AWS services, made exact and bound to a source; roles behind a service."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Self

import jsii
from aws_cdk import ArnFormat, IResolveContext, IStringProducer, Lazy, Reference, Stack, Token, Tokenization
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.grants.grantee import ACCESS_LOGS
from kms_patterns.keys.grants.policy_checks import check_inside, check_symmetric
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy.acting_services import ENCRYPTION, ServiceUse
from kms_patterns.policy.actions import narrow
from kms_patterns.policy.conditions import CONTEXT_PREFIX, Conditions, has_source, is_grant_for_resource
from kms_patterns.policy.services import SERVICES
from kms_patterns.policy.statements import literal

_SOURCE_ARN: Final = "aws:SourceArn"


def narrowed(key: GrantTarget, statement: iam.PolicyStatement) -> iam.PolicyStatement:
    """Return ``statement`` with exact actions, and with the key's account as the source of services without one.

    Args:
        key: The key to whose policy it is about to be added.
        statement: What a construct of the AWS CDK wrote, for example for the notifications of a bucket.

    Raises:
        GrantRefused: The key is not symmetric: AWS services take no other.
    """
    services = any(isinstance(principal, iam.ServicePrincipal) for principal in statement.principals)
    if statement.effect is not iam.Effect.ALLOW or not services:
        return statement
    _check_usage(key, statement)
    return _bound(key, statement)


def _check_usage(key: GrantTarget, statement: iam.PolicyStatement) -> None:
    """Check that the services of ``statement`` use keys of this type; those outside of the table encrypt at rest."""
    usages = {use.principal: use.usage for use in SERVICES.values() if use.usage != ENCRYPTION}
    for principal in statement.principals:
        service = str(getattr(principal, "service", "a service"))
        if usages.get(service) != key.key_usage.value:
            check_symmetric(key, service)


def delegates_to_account(key: Any, statement: iam.PolicyStatement) -> bool:
    """Return whether ``statement`` leaves every use of the key to the policies of its own account.

    Constructs of the AWS CDK write it (``ecs.FargateService`` with ECS Exec) for keys that might lack it. A key with
    ``KeyAccess.DELEGATED`` has it already. With ``KeyAccess.NAMED`` it would undo the two-key control, and the roles
    whose policies rest on it are reported as void grants, with the call that serves each.
    """
    everything = statement.effect is iam.Effect.ALLOW and list(statement.actions) == ["kms:*"]
    # The policy of an imported key is its owner's.
    if not everything or statement.conditions or not isinstance(key, kms.Key):
        return False
    document = key.stack.resolve(statement.to_statement_json())
    root = key.stack.resolve(f"arn:{key.stack.partition}:iam::{key.stack.account}:root")
    return bool(document.get("Principal") == {"AWS": root})


def is_in_key_policy_alone(key: GrantTarget, who: Any, conditions: Conditions, *, by_construct: bool) -> bool:
    """Return whether a grant is of the key policy alone: to a service, or where that delegates, to an account."""
    if isinstance(who, iam.ServicePrincipal):
        # That of a function, an instance or a task is meant for its role, and would have no effect.
        use = _row_of(who.service)
        meant = by_construct or (use is not None and use.host != "lambda")
        return meant and not conditions and who.service != ACCESS_LOGS
    return isinstance(who, iam.AccountPrincipal | iam.OrganizationPrincipal) and key.access is KeyAccess.DELEGATED


def grant_in_key_policy(
    key: Any, principal: iam.IPrincipal, actions: Sequence[str], conditions: Conditions
) -> iam.Grant:
    """Allow a service, or a whole account, exact actions in the key policy alone; a service is bound to its source."""
    home = getattr(principal, "account_id", None) or getattr(principal, "organization_id", None)
    if home is not None:
        check_inside(f"{key.node.path}: the grantee", str(home), key.perimeter)
    statement = iam.PolicyStatement(
        principals=[principal], actions=list(actions), resources=["*"], conditions=dict(conditions)
    )
    return iam.Grant.add_statement_to_resource_policy(
        statement=statement,
        grantee=principal,
        actions=list(actions),
        resource=key,
        resource_arns=[key.key_arn],
    )


def unbind(key: GrantTarget, path: str) -> None:
    """Take the reference to a resource that is encrypted under ``key`` out of the key's policy: it would be a cycle.

    What constructs of the AWS CDK allow a service for one such resource is then allowed for all resources of that
    service in the account.
    """
    for source in key.sources_of_services:
        source.unbind(path)


@jsii.implements(IStringProducer)
class SourceArn:
    """The ARN of the resource for which a service acts, as long as the key policy may name it."""

    def __init__(self, stack: Stack, service: str, arn: str) -> None:
        tokens: Any = Tokenization.reverse_string(arn).tokens
        self._resources = {token.target.node.path for token in tokens if Reference.is_reference(token)}
        # IAM reads wildcards in ArnEquals as in ArnLike, in each of the six parts of an ARN by itself; the account is a
        # condition of its own, since the ARN of a bucket has none.
        self._arn, self._any = arn, f"arn:{stack.partition}:{service.partition('.')[0]}:*:*:*"

    def unbind(self, path: str) -> None:
        """Name any resource of the service instead, if the ARN is that of the resource at this construct path."""
        if path in self._resources:
            self._arn = self._any

    def produce(self, context: IResolveContext) -> str:  # noqa: ARG002 -- the interface of the AWS CDK
        """Return the ARN; the AWS CDK asks when it writes the template."""
        return self._arn


def _bound(key: GrantTarget, statement: iam.PolicyStatement) -> iam.PolicyStatement:
    """Return ``statement`` with its source's account, and with an ARN that :func:`unbind` can still change."""
    services = [str(it.service) for it in statement.principals if isinstance(it, iam.ServicePrincipal)]
    conditions: dict[str, dict[str, Any]] = {name: dict(demands) for name, demands in statement.conditions.items()}
    own_account = not has_source(conditions) and not all(
        is_grant_for_resource(service, statement.actions, conditions) for service in services
    )
    for demands in conditions.values():
        arn = demands.get(_SOURCE_ARN)
        if isinstance(arn, str) and Token.is_unresolved(arn):
            source = SourceArn(key.stack, services[0], arn)
            key.sources_of_services.append(source)
            demands[_SOURCE_ARN] = Lazy.uncached_string(source)
            own_account = True
    if own_account:
        operator, name, value = _own_source(key.stack, services[0])
        conditions.setdefault(operator, {})[name] = value
    principals = [
        # The statement has the principal's own conditions already.
        iam.ServicePrincipal(str(it.service)) if isinstance(it, iam.ServicePrincipal) else it
        for it in statement.principals
    ]
    return iam.PolicyStatement(
        sid=statement.sid,
        principals=principals,
        actions=narrow(statement.actions),
        resources=["*"],
        conditions=conditions,
    )


def _row_of(service: str) -> ServiceUse | None:
    rows = (use for use in SERVICES.values() if use.principal)
    return next((it for it in rows if fnmatchcase(service, str(it.principal).format(region="*", suffix="*"))), None)


def _own_source(stack: Stack, service: str) -> tuple[str, str, str]:
    """Return the condition that a service acts for this account, by its encryption context where it sends no source."""
    row = _row_of(service)
    if row is None or row.context is None:
        return "StringEquals", "aws:SourceAccount", stack.account
    anything = stack.format_arn(service=row.host, resource=str(row.source), arn_format=ArnFormat.NO_RESOURCE_NAME)
    return "ArnLike", f"{CONTEXT_PREFIX}{row.context}", anything


def is_through(principal: Any) -> bool:
    """Return whether a principal may be one that uses the key through a service, see :class:`ViaService`."""
    return isinstance(principal, kms.ViaServicePrincipal | iam.PrincipalWithConditions)


@dataclass(frozen=True)
class ViaService:
    """A principal that uses the key through a service, as ``kms.ViaServicePrincipal`` names it.

    Attributes:
        host: First label of the service's ``kms:ViaService`` value.
        role: The role or user; None for a whole account.
        others: Another account, or an organization, whose every role is meant; None for this account and single roles.
    """

    host: str
    role: iam.IGrantable | None
    others: str | None = None

    @classmethod
    def of(cls, principal: Any, scope: Construct) -> Self | None:
        """Return what a ``ViaServicePrincipal`` names, with further conditions or not; None for other principals.

        Args:
            principal: The principal to grant to.
            scope: Where a role of which only the ARN is known is imported.
        """
        if not is_through(principal):
            return None
        fragment = principal.policy_fragment
        via = fragment.conditions.get("StringEquals", {}).get("kms:ViaService")
        if via is None:
            return None
        host = str(via).partition(".")[0]
        arn = str(fragment.principal_json.get("AWS", ["*"])[0])
        return cls(host, _role_behind(arn, scope), _others(arn, fragment.conditions, Stack.of(scope)))


def _others(arn: str, conditions: Mapping[str, Mapping[str, object]], stack: Stack) -> str | None:
    for demands in conditions.values():
        for name, value in demands.items():
            if name.lower() in ("aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount"):
                return f"{name} {value}"
    account = re.fullmatch(r"arn:[^:]+:iam::(\d{12}):root", str(literal(arn, stack)))
    return f"account {account[1]}" if account is not None and account[1] != stack.account else None


def _role_behind(arn: str, scope: Construct) -> iam.IGrantable | None:
    token = Tokenization.reverse_string(arn).first_token if "${Token[" in arn else None
    if token is not None and Reference.is_reference(token):
        return _owner(token)
    known = json.dumps(Stack.of(scope).resolve(arn))
    if known == '"*"' or ":root" in known:
        return None
    name = "ViaService" + arn.rpartition("/")[2]
    found: Any = scope.node.try_find_child(name)
    return found or iam.Role.from_role_arn(scope, name, arn)


def _owner(token: Any) -> iam.IGrantable | None:
    owner: Any = token.target.node.scope
    return owner if hasattr(owner, "grant_principal") else None
