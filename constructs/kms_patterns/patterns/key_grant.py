"""A KMS grant as a resource: made with its stack, retired with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from aws_cdk import CustomResource, Duration, Stack, Token, aws_lambda, aws_logs
from aws_cdk import aws_iam as iam
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.functions.data_plane_function import ExactFunction
from kms_patterns.functions.function_code import lambda_platform, runtime_source
from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.grantee import grantee_of, identity_arn, resolve_grantee
from kms_patterns.keys.grants.policy_checks import check_inside
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.policy.actions import NEUTRAL_OPERATIONS
from kms_patterns.policy.conditions import Conditions

_FORBIDDEN: Final = frozenset({"CreateGrant"})
_NAME: Final = re.compile(r"[a-zA-Z0-9:/_-]{1,256}")
_SOURCE_ARN: Final = re.compile(r"arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+")
"""https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantConstraints.html"""
_SYMMETRIC_CONTEXT: Final = "kms:GenerateDataKey"


# For pyright a Role is not an IRole: names of parameters differ (aws-cdk).
Principal = iam.IRole | iam.IUser | iam.Role | iam.User | iam.ServicePrincipal


class KeyGrant(Construct):
    """A KMS grant: use of a key by one principal, without a statement in any policy.

    For principals that no policy of this app can be written for, or for more of them than a key policy holds. Policies
    do not show a grant: ``aws kms list-grants`` does. CloudFormation has no such resource; one function of the stack,
    with a role of its own, calls CreateGrant and RevokeGrant. The key's guardrail on grants excepts that role by name,
    and the role may create grants for these grantees with these operations only. While KMS does not know a new role
    yet, the function tries again for two minutes. A changed grant is a new one; the old one is revoked after it.

    The function is in the stack of the key, whose policy names its role. A KeyGrant in another stack needs a grantee
    that the stack of the key can name: with a fixed name, or of no stack that depends on the key's.

    Args:
        scope: Parent construct, in the key's account and Region.
        construct_id: Id within the parent.
        key: A key of this package.
        grantee: The role or user that may use the key, of this or another account; or an AWS service, as
            ``iam.ServicePrincipal("…")``, which needs ``source_arn`` and ``retiring_principal``.
        operations: Names of operations as KMS grants have them, such as ``Decrypt``; ``CreateGrant`` is refused.
        encryption_context_equals: The encryption context must be exactly this. Defaults to any context.
        encryption_context_subset: The encryption context must hold these pairs, and may hold more.
        retiring_principal: The role, user or service that may retire the grant. Defaults to none, beside the grantee
            if ``RetireGrant`` is an operation.
        source_arn: ARN of the resource for which a service must make its request. Only a service has one.
        name: Name of the grant, which makes CreateGrant idempotent; at most 256 characters, and of one KeyGrant of the
            key alone. Defaults to the unique id of this construct.

    Raises:
        GrantRefused: An operation that this key cannot do, constraints that no request could meet, a name that another
            KeyGrant of the key has, or a grantee that the key policy cannot name.

    See https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: CustomerManagedKey,
        grantee: Principal,
        operations: Sequence[str],
        encryption_context_equals: Mapping[str, str] | None = None,
        encryption_context_subset: Mapping[str, str] | None = None,
        retiring_principal: Principal | None = None,
        source_arn: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_key_of_app(self.node.path, "key", key)
        _check_name(self, key, name)
        _check_place(self, key)
        _check_service(self, grantee, retiring_principal, source_arn)
        constraints = _constraints(self, key, operations, encryption_context_equals, encryption_context_subset)
        constraints |= {"SourceArn": source_arn} if source_arn else {}
        parameters = {
            "KeyId": key.key_arn,
            **_named("Grantee", grantee),
            "Operations": list(operations),
            "Name": name or self.node.addr,
            **({"Constraints": constraints} if constraints else {}),
            **(_named("Retiring", retiring_principal) if retiring_principal else {}),
        }
        maker, function = _maker_of(key.stack)
        creating = key.allow_grant_maker(maker, operations, _limits(self, key, grantee, source_arn))
        # Of another key it is another resource: a changed one would lose the permission to revoke the old grant.
        grant_of_key = Construct(self, key.node.addr)
        self.resource = CustomResource(
            grant_of_key,
            "Resource",
            resource_type="Custom::KmsGrant",
            service_token=function.function_arn,
            # Above the function's patience and CloudFormation's own delivery, far below the default of an hour.
            service_timeout=Duration.minutes(5),
            properties={"Grant": parameters},
        )
        creating.apply_before(self.resource)
        # A policy of its own, which goes after the grant: one shared by all would lose the permission before the grant
        # is revoked, and CloudFormation passes over what fails in its clean-up.
        statement = iam.PolicyStatement(actions=["kms:RevokeGrant"], resources=[key.key_arn])
        revocation = iam.Policy(grant_of_key, "Revocation", roles=[maker], statements=[statement])
        self.resource.node.add_dependency(revocation)

    @property
    def grant_id(self) -> str:
        """The id of the grant."""
        return self.resource.get_att_string("GrantId")


class _Maker(Construct):
    """The one function of a stack that creates and revokes the KMS grants of its keys, and may do nothing else.

    Its role is this package's own: a custom resource of the app, or of the CDK, never shares it.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Creates and revokes the KMS grants of this stack",
        )
        logs = aws_logs.LogGroup(self, "Logs", retention=aws_logs.RetentionDays.ONE_YEAR)
        logs.grant_write(role)
        platform = lambda_platform(self)
        ExactFunction(
            self,
            "Function",
            architecture=platform.architecture,
            runtime=platform.runtime,
            code=aws_lambda.Code.from_inline((runtime_source().package / "handlers" / "key_grant.py").read_text()),
            handler="index.handle",
            description="Creates and revokes the KMS grants of this stack",
            timeout=Duration.minutes(3),
            role=role,
            log_group=logs,
        )
        acknowledge(role, {"NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to this function's role alone."})


def _maker_of(stack: Stack) -> tuple[iam.Role, aws_lambda.Function]:
    """Return role and function of the maker of ``stack``; the first KeyGrant of a stack makes it."""
    name = "KmsPatternsGrantMaker"
    # Found by its children: Python's object of a construct may be gone, and jsii then makes a plain one for it.
    maker = stack.node.try_find_child(name) or _Maker(stack, name)
    role, function = maker.node.find_child("Role"), maker.node.find_child("Function")
    return cast("iam.Role", role), cast("aws_lambda.Function", function)


def _named(role: str, principal: Principal) -> dict[str, str]:
    if isinstance(principal, iam.ServicePrincipal):
        return {f"{role}ServicePrincipal": principal.service}
    return {f"{role}Principal": identity_arn(principal)}


def _limits(scope: Construct, key: CustomerManagedKey, grantee: Principal, source_arn: str | None) -> Conditions:
    """Return the conditions on a request to create the grant."""
    if isinstance(grantee, iam.ServicePrincipal):
        limits = {"kms:GranteeServicePrincipal": grantee.service, "kms:GrantConstraintSourceArn": source_arn}
        return {"StringEquals": limits}
    # In another stack, the reference from the key's would be a cycle, which this refuses with the way out.
    elsewhere = Stack.of(scope).node.path != key.stack.node.path
    found = (resolve_grantee if elsewhere else grantee_of)(grantee, key.stack)
    check_inside(found.path, found.account, key.perimeter)
    return {"StringEquals": {"kms:GranteePrincipal": found.arn}}


def _check_place(scope: Construct, key: CustomerManagedKey) -> None:
    here, there = Stack.of(scope), key.stack
    differing = [
        f"{what} {mine} of {scope.node.path} is not {its}, that of {key.node.path}"
        for what, mine, its in (("account", here.account, there.account), ("Region", here.region, there.region))
        if mine != its
    ]
    if differing:
        raise GrantRefused(
            f"{differing[0]}: AWS CloudFormation calls the function that makes the grant in the account and Region of "
            "the key only; create the KeyGrant in a stack of the key's environment"
        )


def _check_service(scope: Construct, grantee: Principal, retiring: Principal | None, source_arn: str | None) -> None:
    service = isinstance(grantee, iam.ServicePrincipal)
    if service and (source_arn is None or retiring is None):
        raise GrantRefused(
            f"{scope.node.path}: a grant to a service takes a source_arn, the resource for which it makes its request, "
            "and a retiring_principal (ValidationException): give both"
        )
    if source_arn is not None and not service:
        raise GrantRefused(
            f"{scope.node.path}: source_arn={source_arn!r}: only a service makes requests for a resource, so no "
            "request of a role or user would match; omit it"
        )
    if source_arn is not None and not Token.is_unresolved(source_arn) and not _SOURCE_ARN.fullmatch(source_arn):
        raise GrantRefused(
            f"{scope.node.path}: source_arn={source_arn!r}: KMS takes the ARN of one resource with its account "
            "(ValidationException); give one such as arn:aws:dynamodb:eu-west-1:111122223333:table/orders"
        )


def _constraints(
    scope: Construct,
    key: CustomerManagedKey,
    operations: Sequence[str],
    equals: Mapping[str, str] | None,
    subset: Mapping[str, str] | None,
) -> dict[str, Any]:
    able = {operation.removeprefix("kms:") for operation in key.operations} | {*NEUTRAL_OPERATIONS}
    unable = [operation for operation in operations if operation not in able or operation in _FORBIDDEN]
    if unable or not operations:
        raise GrantRefused(
            f"{scope.node.path}: operations {list(operations)}: a KMS grant on this key may hold "
            f"{', '.join(sorted(able))} (ValidationException). CreateGrant would hand the use on: for a service-linked "
            "role call allow_use_through(service, role, create=True, key_policy_only=True)"
        )
    if equals and subset:
        raise GrantRefused(f"{scope.node.path}: give encryption_context_equals or encryption_context_subset, not both")
    if (equals or subset) and _SYMMETRIC_CONTEXT not in key.operations:
        raise GrantRefused(f"{scope.node.path}: only symmetric keys have an encryption context: omit it")
    named = {"EncryptionContextEquals": equals, "EncryptionContextSubset": subset}
    return {name: pairs for name, pairs in named.items() if pairs}


def _check_name(scope: Construct, key: CustomerManagedKey, name: str | None) -> None:
    if name is not None and not Token.is_unresolved(name) and not _NAME.fullmatch(name):
        raise GrantRefused(
            f"{scope.node.path}: name {name!r}: KMS takes 1 to 256 letters, digits, :, /, _ and - (ValidationException)"
        )
    if name is not None and name in key.grant_names:
        raise GrantRefused(
            f"{scope.node.path}: name {name!r} is that of another KeyGrant of {key.node.path}: for two equal grants of "
            "one name KMS has one id, and to delete either would revoke both; give another name, or none"
        )
    key.grant_names.update([name] if name is not None else [])
