"""Use of a key by AWS services: for themselves, and for a role that calls them."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from functools import reduce
from typing import Any, Final

from aws_cdk import ArnFormat, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.errors import DeployerUnknown, GrantRefused
from kms_patterns.keys.grants.grant_writer import GrantWriter
from kms_patterns.keys.grants.policy_checks import check_symmetric
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.policy import conditions as when
from kms_patterns.policy.acting_services import ENCRYPTION, SOURCE, ServiceUse
from kms_patterns.policy.actions import ADMINISTRATION, CREATE_GRANT, RETIRE_GRANT
from kms_patterns.policy.key_specs import MlKemSpec
from kms_patterns.policy.services import SERVICES
from kms_patterns.policy.statements import service_sid

_ARN: Final = re.compile(r"arn:(?:[^:]*:){4}.+")


class ServiceGrants(GrantRules):
    """What services that encrypt at rest need, from the one table in ``kms_patterns.policy.services``."""

    key_spec: kms.KeySpec | MlKemSpec
    _writer: GrantWriter
    _served: set[str]
    _created: set[str]
    """Services whose resources a role that the app named may create."""

    @property
    def services_with_creators(self) -> Set[str]:
        """Services whose resources a role that the app named may create under the key."""
        return self._created

    @checked
    def allow_service(
        self, service: str, *, source_arn: str | None = None, source_account: str | None = None
    ) -> iam.AddToResourcePolicyResult:
        """Allow an AWS service that acts for itself to use the key, for resources of one account only.

        Args:
            service: A name of ``kms_patterns.policy.services``: ``logs``, ``s3``, ``sns``, ``sqs``, ``events``.
            source_arn: The resource for which it acts; ``*`` and ``?`` are wildcards. Defaults to any resource of the
                account. A resource that is encrypted under this key must be named by a text, not by a reference.
            source_account: The account of that resource. Defaults to the account of the key.

        Raises:
            GrantRefused: The service is unknown or acts for its callers only, takes no such key, or the source is not
                an ARN or of another account than ``source_account``.
        """
        use = self._service(service)
        if source_arn is not None and not Token.is_unresolved(source_arn) and not _ARN.fullmatch(source_arn):
            raise GrantRefused(
                f"{self.node.path}: source_arn={source_arn!r} is not an ARN, so no request would match "
                "(AccessDeniedException); give all six parts, such as arn:aws:sns:eu-west-1:111122223333:orders"
            )
        if use.principal is None:
            raise GrantRefused(
                f"{self.node.path}: {service} uses keys for its callers only, it has no principal to allow: "
                f"call allow_use_through({service!r}, role)"
            )
        statement = iam.PolicyStatement(
            sid=service_sid(service, self._rendered(source_arn), self._rendered(source_account)),
            principals=[iam.ServicePrincipal(self._principal(use.principal))],
            actions=list(use.principal_actions),
            resources=["*"],
            conditions=self._source(use, source_arn, source_account),
        )
        self._served.add(service)
        added = self.add_to_resource_policy(statement)
        if use.creates_grants:
            self.add_to_resource_policy(_making_grants(statement))
        return added

    def _principal(self, name: str) -> str:
        # Of logs alone: logs.cn-north-1.amazonaws.com.cn in China, as the CDK and AWS's providers have it.
        return name.format(region=self.stack.region, suffix=when.endpoint_suffixes(self.stack.region)[-1])

    @checked
    def allow_use_through(
        self, service: str, grantee: iam.IGrantable, *, create: bool = False, key_policy_only: bool = False
    ) -> iam.Grant:
        """Allow one role or user what a service does for it with the key, through that service only.

        Args:
            service: A name of ``kms_patterns.policy.services``, such as ``dynamodb``, ``secretsmanager``, ``ebs``.
            grantee: The caller of the service; of ``scheduler`` the execution role, or with ``create`` the creator.
            create: Whether to allow also what creating resources under the key takes, with KMS grants for the service
                where it makes them. AWS CloudFormation's role is allowed that for the app's resources without a call.
            key_policy_only: See :class:`~kms_patterns.keys.grants.target.CallConditions`; for service-linked roles.

        Raises:
            GrantRefused: The service is unknown or needs nothing, the key is not symmetric, or the grant is void.
        """
        use = self._service(service)
        # A service that assumes a role has two users: that role, and the creator, who calls through the service.
        used_by_callers = () if use.assumes and create else use.through
        operations = tuple(dict.fromkeys([*used_by_callers, *(use.creation if create else ())]))
        grants = use.creates_grants and create
        if not operations and not grants:
            raise GrantRefused(
                f"{self.node.path}: users of resources of {service} need no permission on their key, only their "
                f"creator does: leave the call out, or give create=True"
            )
        used = [operation for operation in operations if operation != RETIRE_GRANT]
        only = key_policy_only
        if use.assumes and not create:
            source = self._source(use, None, None)
            return self.grant_operations(grantee, *use.through, conditions=source, key_policy_only=only)
        granted = [self.grant_operations(grantee, *used, via_service=use.host, key_policy_only=only)] if used else []
        if RETIRE_GRANT in operations:
            through = when.via_service(use.host, self.stack.region)
            retiring = self._writer.grant(
                grantee, [RETIRE_GRANT], through, through, purpose="retirement", key_policy_only=only
            )
            granted.append(retiring)
        if create:
            self._created.add(service)
        if grants:
            making = self.grant_create_grant(
                grantee, operations=use.grant_operations, via_service=use.host, key_policy_only=only
            )
            granted.append(making)
        return reduce(lambda one, more: one.combine(more), granted)

    def allow_grant_maker(self, maker: iam.IRole, operations: Sequence[str], limits: when.Conditions) -> iam.Grant:
        """Allow one role to create KMS grants with these operations, for requests that meet ``limits``.

        Revoking is a matter of IAM alone: the key policy lets the account administer the key.
        The guardrail on grants excepts this role from now on: Control Tower's CT.KMS.PR.3 no longer holds for the key.
        """
        demanded = when.merge({"ForAllValues:StringEquals": {"kms:GrantOperations": list(operations)}}, limits)
        self._writer.except_from_guardrail(maker.role_arn)
        return self._writer.grant(maker, [CREATE_GRANT], demanded, demanded, purpose="grants")

    def serve_resources_of(self, service: str, stack: Stack) -> None:
        """Allow what resources of a service in ``stack`` need to be created and kept under this key.

        The role that deploys the stack may create them, and a service that acts for itself may use the key. Called at
        synth for every resource of the app that is encrypted under the key.

        Raises:
            GrantRefused: The stack is not deployed with the role of a CDK bootstrap.
        """
        use = self._service(service)
        if use.serves_itself and service not in self._served:
            self._served.add(service)
            self.allow_service(service)
        if self.access is KeyAccess.DELEGATED or not (use.creation or use.creates_grants):
            return
        try:
            arn = deployment_role_arn(stack)
        except DeployerUnknown:
            arn = None
        if arn is None and service in self._created:
            return
        if arn is None:
            raise GrantRefused(
                f"{self.node.path}: the role that deploys {stack.node.path} must use the key through {service}, and "
                f"its synthesizer does not name it: call allow_use_through({service!r}, role, create=True)"
            )
        through = when.via_service(use.host, self._region)
        # What manages the key, such as DescribeKey, every role of the account may do that IAM allows it.
        if creation := [operation for operation in use.creation if operation not in ADMINISTRATION]:
            self._writer.grant_elsewhere(arn, "Deployment", creation, through)
        if use.creates_grants:
            grants = when.merge(when.aws_resource_grants(use.grant_operations), through)
            self._writer.grant_elsewhere(arn, "Deployment", [CREATE_GRANT], grants)

    def _service(self, name: str) -> ServiceUse:
        if name not in SERVICES:
            raise GrantRefused(
                f"{self.node.path}: {name!r} is not in the table of services; it has {', '.join(SERVICES)}"
            )
        use = SERVICES[name]
        if use.usage == ENCRYPTION:
            check_symmetric(self, name)
        elif self.key_usage.value != use.usage:
            raise GrantRefused(
                f"{self.node.path}: {name} needs a key with key usage {use.usage}, not {self.key_usage.value} "
                "(InvalidKeyUsageException): give it a SigningKey"
            )
        self._check_kind(name, use)
        return use

    def _check_kind(self, name: str, use: ServiceUse) -> None:
        if use.key_spec not in (None, self.key_spec.value):
            raise GrantRefused(
                f"{self.node.path}: {name} takes keys of key spec {use.key_spec} only, not {self.key_spec.value} "
                f"(InvalidKMSArn): make the key with {use.key_spec}"
            )
        region = self._region
        if use.only_in not in (None, region) and not Token.is_unresolved(region):
            raise GrantRefused(
                f"{self.node.path}: {name} takes keys in {use.only_in} only, not in {region} (InvalidKMSArn): make the "
                f"key in a stack of {use.only_in}"
            )

    def _rendered(self, value: str | None) -> str | None:
        # The number of a token changes with the app; what it resolves to does not.
        return json.dumps(self.stack.resolve(value)) if value and Token.is_unresolved(value) else value

    def _source(self, use: ServiceUse, arn: str | None, account: str | None) -> Mapping[str, Mapping[str, Any]]:
        owner = account or self.stack.account
        if use.context is not None:
            if arn and account and arn.split(":")[4:5] != [account]:
                raise GrantRefused(
                    f"{self.node.path}: source_account={account!r} with source_arn={arn!r}: this service is bound by "
                    "the ARN in its encryption context alone; name the account in source_arn and omit source_account"
                )
            anything = self._any_source(use, owner, self.stack.region)
            return {"ArnLike": {f"{when.CONTEXT_PREFIX}{use.context}": arn or anything}}
        if use.sources == SOURCE[1:]:
            return {"ArnLike": {"aws:SourceArn": arn or self._any_source(use, owner, "")}}
        like = {"ArnLike": {"aws:SourceArn": arn}} if arn is not None else {}
        return when.merge({"StringEquals": {"aws:SourceAccount": owner}}, like)

    def _any_source(self, use: ServiceUse, owner: str, region: str) -> str:
        return self.stack.format_arn(
            service=use.host,
            region=region,
            account=owner,
            resource=str(use.source),
            arn_format=ArnFormat.NO_RESOURCE_NAME,
        )


def _making_grants(statement: iam.PolicyStatement) -> iam.PolicyStatement:
    """Return the statement by which the same service creates KMS grants for its resources."""
    return iam.PolicyStatement(
        sid=f"{statement.sid}Grants",
        principals=statement.principals,
        actions=[CREATE_GRANT],
        resources=["*"],
        conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
    )
