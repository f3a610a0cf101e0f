"""Keys that this app does not own: grants in IAM, and the statements that their owner must add."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Self

import jsii
from aws_cdk import ArnFormat, RemovalPolicy, Resource, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.interfaces import aws_kms as references
from constructs import Construct

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.errors import DeployerUnknown, KeyConfigurationError
from kms_patterns.keys.grants.cdk_calls import KeyForConstructs
from kms_patterns.keys.grants.other_half import OwnersStatements
from kms_patterns.keys.grants.policy_checks import check_callers_statement
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.keys.key_properties import check_alias, check_key_arn, scoped_alias
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.keys.synth.synth_checks import serve_at_synth
from kms_patterns.policy import conditions as when
from kms_patterns.policy.actions import CREATE_GRANT
from kms_patterns.policy.services import SERVICES


@jsii.implements(kms.IKey, KeyForConstructs)
class ImportedKeyBase(GrantRules, Resource):
    """A key of another app or account, by its ARN, alias or look-up, which constructs of the AWS CDK take as a key.

    Its grants write the identity's half, on the exact key ARN. The key policy is its owner's: each grant, also one that
    a construct of the AWS CDK makes, reports the statement to paste there as a notice at synth;
    :attr:`owner_statements` holds them all. Whether the owner did is known only when the key is used.
    """

    access = KeyAccess.NAMED

    def __init__(self, scope: Construct, construct_id: str, *, key_arn: str, alias: str | None = None) -> None:
        Resource.__init__(self, scope, construct_id, environment_from_arn=key_arn)
        parts = self.stack.split_arn(key_arn, ArnFormat.SLASH_RESOURCE_NAME)
        self._key_arn, self._alias = key_arn, alias
        self._key_id = alias or parts.resource_name or ""
        self._region = parts.region or ""
        self._writer = self._owners = OwnersStatements(self, self._in_policies(), alias)
        self.sources_of_services = []
        serve_at_synth(self)

    @classmethod
    @checked
    def from_key_arn(cls, scope: Construct, construct_id: str, key_arn: str) -> Self:
        """Name a key by its ARN, in any account and Region.

        Raises:
            KeyConfigurationError: It is the ARN of something else; policies do not resolve aliases.

        See https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
        """
        return cls(scope, construct_id, key_arn=check_key_arn(key_arn))

    @classmethod
    @checked
    def from_alias(cls, scope: Construct, construct_id: str, alias_name: str) -> Self:
        """Name the key of this account and Region that has an alias, whichever that is when it is used.

        Its grants are on the keys of the account that carry the alias (``kms:ResourceAliases``): no single ARN is known
        before the deployment, and a principal that may move the alias moves the permission with it.
        """
        alias = _own_alias(alias_name)
        arn = Stack.of(scope).format_arn(service="kms", resource=alias, arn_format=ArnFormat.NO_RESOURCE_NAME)
        return cls(scope, construct_id, key_arn=arn, alias=alias)

    @classmethod
    @checked
    def from_lookup(
        cls, scope: Construct, construct_id: str, *, alias_name: str, return_dummy_key_on_missing: bool | None = None
    ) -> Self:
        """Look an alias up in the account, at synth; the response is kept in ``cdk.context.json``."""
        holder = Construct(scope, f"{construct_id}Lookup")
        found = kms.Key.from_lookup(
            holder,
            "Key",
            alias_name=_own_alias(alias_name),
            return_dummy_key_on_missing=return_dummy_key_on_missing,
        )
        return cls(scope, construct_id, key_arn=found.key_arn)

    @property
    def key_arn(self) -> str:
        """The ARN of the key, or of the alias that names it."""
        return self._key_arn

    @property
    def key_id(self) -> str:
        """The id of the key, or the alias that names it."""
        return self._key_id

    @property
    def key_ref(self) -> references.KeyReference:
        """What L1 constructs take."""
        return references.KeyReference(key_arn=self._key_arn, key_id=self._key_id)

    @property
    def services_with_creators(self) -> Set[str]:
        """None: what resources of the app need is reported to the owner."""
        return frozenset()

    @property
    def owner_statements(self) -> Sequence[Mapping[str, Any]]:
        """Key policy statements that the owner must add, all of them once the app is synthesized."""
        return self._owners.statements

    def add_to_resource_policy(
        self,
        statement: iam.PolicyStatement,
        allow_no_op: bool | None = None,  # noqa: ARG002, FBT001 -- the interface of the AWS CDK
    ) -> iam.AddToResourcePolicyResult:
        """Report a statement for the key policy, which its owner writes: nothing is added here.

        Raises:
            GrantRefused: It allows wildcards, or use of the key to a whole account or to everyone.
        """
        check_callers_statement(self, statement)
        self._owners.report_statement(self.stack.resolve(statement.to_statement_json()))
        return iam.AddToResourcePolicyResult(statement_added=False)

    @checked
    def add_alias(self, alias: str) -> kms.Alias:
        """Add an alias in this account and Region, where the key must be; it goes with this stack."""
        name = scoped_alias(alias, self.stack)
        return kms.Alias(self, f"Alias{name}", alias_name=name, target_key=self, removal_policy=RemovalPolicy.DESTROY)

    def serve_resources_of(self, service: str, stack: Stack) -> None:
        """Tell the owner what the role that deploys ``stack`` needs to create resources of a service under this key.

        Called at synth for every resource of the app that is encrypted under the key.
        """
        use = SERVICES[service]
        try:
            deployer = deployment_role_arn(stack)
        except DeployerUnknown:
            deployer = None
        deployer = deployer or f"<ARN of the role or user that deploys {stack.node.path}>"
        via = when.via_service(use.host, self._region)
        if use.creation:
            self._owners.report(deployer, "Deployment", use.creation, via)
        if use.creates_grants:
            grants = when.merge(when.aws_resource_grants(use.grant_operations), via)
            self._owners.report(deployer, "Deployment", [CREATE_GRANT], grants)

    def _in_policies(self) -> str:
        # A policy resolves no alias: it names all keys, limited to those that carry it.
        if self._alias is None:
            return self._key_arn
        return self.stack.format_arn(
            service="kms", resource="key", resource_name="*", arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )


def _own_alias(alias_name: str) -> str:
    if alias_name.startswith(("alias/aws/", "aws/")):
        raise KeyConfigurationError(
            f"alias {alias_name!r} is that of an AWS managed key: its key policy is AWS's, which lets all principals "
            "of the account use it through its service, so no grant can be written or is needed; give the resource the "
            "alias by kms.Alias.from_alias_name(…)"
        )
    return check_alias(alias_name)
