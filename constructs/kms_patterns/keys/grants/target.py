"""What checks and writers of grants know of a key, and the conditions of a grant: the floor on which grants rest."""

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Protocol, TypedDict

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy.conditions import Conditions

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms
    from aws_cdk.interfaces import ResourceEnvironment


class CallConditions(TypedDict, total=False):
    """Conditions of a grant on a key of any type; the key policy and the grantee's policy both carry them.

    Attributes:
        via_service: AWS service that must make the call for the grantee, as its endpoint names it, such as ``s3``.
            Defaults to any caller.
        conditions: Further conditions, operator -> condition key -> value. Defaults to none.
        key_policy_only: Whether the policy of the role or user is written elsewhere: by AWS (service-linked roles,
            roles of Identity Center permission sets), by another app or by hand. Only the key policy is written then,
            and what the other policy must allow is a notice at synth. Defaults to False.
    """

    via_service: str | None
    conditions: Conditions | None
    key_policy_only: bool


class GrantConditions(CallConditions, total=False):
    """Conditions of a grant on a symmetric encryption key, the one type with an encryption context.

    Attributes:
        encryption_context: Pairs that the encryption context must hold. Defaults to any context.
        required_context: Names that the encryption context must hold, with any value. Defaults to none. IAM can compare
            the case of four names, first those of ``encryption_context``; of a fifth one and further ones it does not.
    """

    encryption_context: Mapping[str, str] | None
    required_context: Sequence[str] | None


class Source(Protocol):
    """A resource for which an AWS service may use a key."""

    def unbind(self, path: str) -> None:
        """Name any resource of the service instead, if the one at this construct path is named."""


class KeyUsage(Protocol):
    """A key usage of the AWS CDK, or one that it does not have yet."""

    @property
    def value(self) -> str:
        """Its name in KMS."""


class GrantTarget(IConstruct, Protocol):
    """A key of this app or of another owner, as the checks of grants and statements read it."""

    @property
    def stack(self) -> Stack:
        """The stack in which the key is defined or imported."""

    @property
    def env(self) -> "ResourceEnvironment":
        """Account and Region of the key."""

    @property
    def key_arn(self) -> str:
        """ARN of the key."""

    @property
    def key_id(self) -> str:
        """Id of the key, or the alias that names one of another owner."""

    @property
    def operations(self) -> Sequence[str]:
        """KMS actions that a key of this type supports."""

    @property
    def key_usage(self) -> KeyUsage:
        """What a key of this type is for."""

    @property
    def access(self) -> KeyAccess:
        """Whether the key policy names the users of the key."""

    @property
    def sources_of_services(self) -> list[Source]:
        """Resources for which constructs of the AWS CDK let services use the key."""

    @property
    def services_with_creators(self) -> Set[str]:
        """Services whose resources a role that the app named may create under the key."""

    def serve_resources_of(self, service: str, stack: Stack) -> None:
        """Allow what resources of a service in ``stack`` need to be created under the key."""


class KeyInApp(GrantTarget, Protocol):
    """A key whose policy this app writes, as the grant writer and the checks at synth read it."""

    @property
    def resource(self) -> "kms.CfnKey":
        """The L1 construct of the key."""

    @property
    def perimeter(self) -> str | None:
        """Organization or account outside of which every principal is denied."""

    @property
    def binds_role_ids(self) -> bool:
        """Whether statements for roles also demand their unique ids."""

    @property
    def imported_material(self) -> bool:
        """Whether the key material is imported (origin EXTERNAL)."""

    @property
    def statements_for_elsewhere(self) -> Set[str]:
        """Ids of key policy statements whose identity half another app writes."""

    def write_statement(self, statement: iam.PolicyStatement) -> None:
        """Add a statement of this package to the key policy, without the checks of a caller's statement."""


class Writer(Protocol):
    """Writes both halves of a grant, or reports the half that belongs to another owner."""

    def grant(
        self,
        grantee: iam.IGrantable,
        operations: Sequence[str],
        shared: Conditions,
        own: Conditions,
        *,
        purpose: str = "use",
        key_policy_only: bool = False,
    ) -> iam.Grant:
        """Allow ``operations`` under ``shared`` conditions in the key policy and ``own`` in the grantee's policy."""
