"""A KMS grant as a resource: made with its stack, retired with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

from aws_cdk import CustomResource, Duration, Stack, Token, aws_lambda, aws_logs
from aws_cdk import aws_iam as iam
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.functions.data_plane_function import ExactFunction
from kms_patterns.functions.lambda_platform import lambda_platform
from kms_patterns.functions.runtime_source import runtime_source
from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.grantee import check_inside, grantee_of, identity_arn
from kms_patterns.policy.actions import NEUTRAL_OPERATIONS

_FORBIDDEN: Final = frozenset({"CreateGrant"})
_NAME: Final = re.compile(r"[a-zA-Z0-9:/_-]{1,256}")
_SYMMETRIC_CONTEXT: Final = "kms:GenerateDataKey"


class KeyGrant(Construct):
    """A KMS grant: use of a key by one principal, without a statement in any policy.

    For principals that no policy of this app can be written for, or for more of them than a key policy holds. Policies
    do not show a grant: ``aws kms list-grants`` does. CloudFormation has no such resource; one function of the stack,
    with a role of its own, calls CreateGrant and RevokeGrant. The key's guardrail on grants excepts that role by name,
    and the role may create grants for these grantees with these operations only. While KMS does not know a new role
    yet, the function tries again for two minutes. A changed grant is a new one; the old one is revoked after it.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key: A key of this package.
        grantee: The role or user that may use the key; of this or another account.
        operations: Names of operations as KMS grants have them, such as ``Decrypt``; ``CreateGrant`` is refused.
        encryption_context_equals: The encryption context must be exactly this. Defaults to any context.
        encryption_context_subset: The encryption context must hold these pairs, and may hold more.
        retiring_principal: The role or user that may retire the grant. Defaults to none, beside the grantee if
            ``RetireGrant`` is an operation.
        name: Name of the grant, which makes CreateGrant idempotent; at most 256 characters. Defaults to the unique id
            of this construct.

    Raises:
        GrantRefused: An operation that this key cannot do, or constraints that no request could meet.

    See https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: CustomerManagedKey,
        grantee: iam.IRole | iam.IUser,
        operations: Sequence[str],
        encryption_context_equals: Mapping[str, str] | None = None,
        encryption_context_subset: Mapping[str, str] | None = None,
        retiring_principal: iam.IRole | iam.IUser | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        _check_name(self, name)
        check_inside(grantee_of(grantee, key.stack), key.perimeter)
        constraints = _constraints(self, key, operations, encryption_context_equals, encryption_context_subset)
        parameters = {
            "KeyId": key.key_arn,
            "GranteePrincipal": identity_arn(grantee),
            "Operations": list(operations),
            "Name": name or self.node.addr,
            **({"Constraints": constraints} if constraints else {}),
            **({"RetiringPrincipal": identity_arn(retiring_principal)} if retiring_principal else {}),
        }
        maker, function = _maker_of(Stack.of(self))
        creating = key.allow_grant_maker(maker, operations, identity_arn(grantee))
        self.resource = CustomResource(
            self,
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
        self.resource.node.add_dependency(iam.Policy(self, "Revocation", roles=[maker], statements=[statement]))

    @property
    def grant_id(self) -> str:
        """The id of the grant."""
        return self.resource.get_att_string("GrantId")


class _Maker(Construct):
    """The one function of a stack that creates and revokes its KMS grants, and may do nothing else.

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


def _constraints(
    scope: Construct,
    key: CustomerManagedKey,
    operations: Sequence[str],
    equals: Mapping[str, str] | None,
    subset: Mapping[str, str] | None,
) -> dict[str, Mapping[str, str]]:
    able = {operation.removeprefix("kms:") for operation in key.operations} | {*NEUTRAL_OPERATIONS}
    unable = [operation for operation in operations if operation not in able or operation in _FORBIDDEN]
    if unable or not operations:
        raise GrantRefused(
            f"{scope.node.path}: operations {list(operations)}: a KMS grant on this key may hold "
            f"{', '.join(sorted(able))} (ValidationException); CreateGrant would hand the use on"
        )
    if equals and subset:
        raise GrantRefused(f"{scope.node.path}: give encryption_context_equals or encryption_context_subset, not both")
    if (equals or subset) and _SYMMETRIC_CONTEXT not in key.operations:
        raise GrantRefused(f"{scope.node.path}: only symmetric keys have a context: leave it out")
    named = {"EncryptionContextEquals": equals, "EncryptionContextSubset": subset}
    return {name: pairs for name, pairs in named.items() if pairs}


def _check_name(scope: Construct, name: str | None) -> None:
    if name is not None and not Token.is_unresolved(name) and not _NAME.fullmatch(name):
        raise GrantRefused(
            f"{scope.node.path}: name {name!r}: KMS takes 1 to 256 letters, digits, :, /, _ and - (ValidationException)"
        )
