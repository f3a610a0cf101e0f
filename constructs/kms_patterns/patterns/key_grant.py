"""A KMS grant as a resource: made with its stack, retired with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Token
from aws_cdk import aws_iam as iam
from aws_cdk import custom_resources as cr
from constructs import Construct

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
    do not show a grant: ``aws kms list-grants`` does. CloudFormation has no such resource; a function of the stack
    calls CreateGrant and RevokeGrant. That function's role is excepted from the key's guardrail on grants by name, and
    may create grants with these operations only. A changed grant is a new one, and the old one is revoked after it.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key: A key of this package.
        grantee: The role or user that may use the key; of this or another account.
        operations: Names of operations as KMS grants have them, such as ``Decrypt``; ``CreateGrant`` is refused.
        encryption_context_equals: The encryption context must be exactly this. Left out, any context.
        encryption_context_subset: The encryption context must hold these pairs, and may hold more.
        retiring_principal: Who may retire the grant. Left out, the grantee only if ``RetireGrant`` is an operation.
        name: Name of the grant, which makes CreateGrant idempotent; at most 256 characters. Left out, the unique id of
            this construct.

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
        maker = iam.Role(self, "MakerRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        minting, revoking = key.allow_grant_maker(maker, operations, identity_arn(grantee))
        self.resource = cr.AwsCustomResource(
            self,
            "Resource",
            resource_type="Custom::KmsGrant",
            role=maker,
            install_latest_aws_sdk=False,
            on_update=cr.AwsSdkCall(
                service="KMS",
                action="createGrant",
                parameters=parameters,
                physical_resource_id=cr.PhysicalResourceId.from_response("GrantId"),
                output_paths=["GrantId"],
            ),
            on_delete=cr.AwsSdkCall(
                service="KMS",
                action="revokeGrant",
                parameters={"KeyId": key.key_arn, "GrantId": cr.PhysicalResourceIdReference()},
                ignore_error_codes_matching="NotFoundException",
            ),
        )
        for grant in (minting, revoking):
            grant.apply_before(self.resource)

    @property
    def grant_id(self) -> str:
        """The id of the grant."""
        return self.resource.get_response_field("GrantId")


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
