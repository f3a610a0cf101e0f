"""Finds the one role or user behind a grantee, which a key policy can name."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from aws_cdk import ArnFormat, NestedStack, Stack
from aws_cdk import aws_iam as iam

from kms_patterns.keys.environment import home_of, is_unresolved, once, path_of, reference_of, stack_of
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.policy.conditions import Conditions

_SINGLE: Final = re.compile(r"arn:[a-z-]+:iam::\d{12}:(role|user)/.+")
_PERMISSION_SET: Final = re.compile(
    r"arn:[a-z-]+:iam::\d{12}:role/aws-reserved/sso\.amazonaws\.com/(\*/|[a-z0-9-]+/)?AWSReservedSSO_[\w+=,.@-]+_\*"
)
"""The roles of one Identity Center permission set: its Region and suffix change when it is provisioned again."""
ACCESS_LOGS: Final = "logging.s3.amazonaws.com"
SERVICE_LINKED: Final = ":role/aws-service-role/"
"""Part of the ARN of each role that AWS made for one of its services."""
_TOKEN: Final = re.compile(r"\$\{Token\[[^]]*\]\}")

_ADVICE = {
    iam.AnyPrincipal: "that is everyone in every account",
    iam.AccountPrincipal: "that is every role and user of the account; for that there is access=KeyAccess.DELEGATED",
    iam.ServicePrincipal: "a service has no role ARN; call allow_service, or grant the role that the service acts for, "
    "with via_service=",
    iam.ArnPrincipal: "no policy can be attached to a bare ARN; import the role with iam.Role.from_role_arn (if its "
    "policy is written elsewhere, with key_policy_only=True)",
    iam.CompositePrincipal: "it stands for several; grant each of them",
    iam.FederatedPrincipal: "grant the role that its users assume",
    iam.OrganizationPrincipal: "that is every role and user of the organization; grant single roles of it",
    iam.Group: "a group does not call AWS; grant its users or, better, a role",
    iam.PrincipalWithConditions: "grant the role itself, and give its conditions to the grant: conditions={…}",
    iam.SessionTagsPrincipal: "grant the role itself, with conditions={…} on aws:PrincipalTag",
    iam.UnknownPrincipal: "its role is not known; import it with its role, as in from_function_attributes(role=…)",
}


@dataclass(frozen=True)
class Grantee:
    """A role or user that a key policy can name.

    Attributes:
        principal: The role or user, which gets the identity half of the grant.
        arn: Its ARN as the key's stack may write it, without a dependency cycle.
        path: Its construct path, from which the statement's id is made.
        account: Its account, where that is not the key's: this app cannot write its own half of the grant then.
    """

    principal: iam.IPrincipal
    arn: str
    path: str
    account: str | None = None

    @property
    def service_linked(self) -> bool:
        """Whether AWS made the role for one of its services: its policy is AWS's alone."""
        return SERVICE_LINKED in self.arn

    @property
    def protected(self) -> bool:
        """Whether IAM refuses to change the role's policies (UnmodifiableEntity)."""
        return self.service_linked or ":role/aws-reserved/" in self.arn


class _Facts:
    """What is fixed of a role or user, asked of the CDK's process once for all of its grants."""

    def __init__(self, principal: Any) -> None:
        self._principal = principal

    @cached_property
    def arn(self) -> str:
        return str(
            getattr(self._principal, "role_arn", None)
            or getattr(self._principal, "user_arn", None)
            or _arn_behind(self._principal)
        )

    @cached_property
    def account(self) -> str | None:
        account: str | None = self._principal.principal_account
        return account

    @cached_property
    def child(self) -> Any:
        return self._principal.node.default_child

    @cached_property
    def name(self) -> tuple[str, str, str] | None:
        """Kind, path and name, where these are known now."""
        child = self.child
        if isinstance(child, iam.CfnRole):
            name, path, kind = child.role_name, child.path, "role"
        elif isinstance(child, iam.CfnUser):
            name, path, kind = child.user_name, child.path, "user"
        else:
            return None
        path = path or "/"
        return None if not name or is_unresolved(name) or is_unresolved(path) else (kind, path, name)


_facts_of = once(_Facts)[0]
_PRINCIPALS_OF_THEMSELVES: Final = (iam.Role, iam.User)


def principal_of(grantee: Any) -> Any:
    """Return the principal to which a grant to ``grantee`` is one."""
    return grantee if isinstance(grantee, _PRINCIPALS_OF_THEMSELVES) else grantee.grant_principal


def _is_construct(principal: Any) -> bool:
    # Asked of the type first: the property itself is a request to the CDK's process.
    return hasattr(type(principal), "node") or hasattr(principal, "node")


def resolve_grantee(principal: Any, stack: Stack) -> Grantee:
    """Return the role or user ``principal``, named in a way that ``stack`` (the key's) can write.

    Raises:
        GrantRefused: It has no role or user ARN, or cannot be named without a cycle.
    """
    arn = identity_arn(principal)
    asked = reference_of(principal), reference_of(stack)
    if asked not in _resolved:
        account, facts = _foreign_account(principal, stack), _facts_of(principal)
        # Of a role in another account the AWS CDK writes the name that it has or will have, without a reference.
        elsewhere = facts.child is None or account is not None
        named = _physical_arn(facts, stack, account) or _own_arn(principal, arn, stack, imported=elsewhere)
        _resolved[asked] = Grantee(principal, named, path_of(principal), account)
    return _resolved[asked]


_resolved: dict[tuple[str, str], Grantee] = {}


def identity_arn(principal: Any) -> str:
    """Return the ARN of the role or user ``principal``.

    Raises:
        GrantRefused: It has none, or one that does not identify exactly one role or user.
    """
    arn = _facts_of(principal).arn if _is_construct(principal) else ""
    if not arn:
        raise GrantRefused(_no_arn(principal))
    known = _TOKEN.sub("", arn)
    if _PERMISSION_SET.fullmatch(arn):
        return arn
    if (known == arn and not _SINGLE.fullmatch(arn)) or "*" in known or "?" in known:
        raise GrantRefused(
            f"{principal.node.path}: {arn} does not identify exactly one role or user "
            "(arn:aws:iam::account:role/name): IAM reads wildcards in it, and compares the ARN of the role, not that "
            "of a session; name the role itself"
        )
    return arn


def _arn_behind(principal: Any) -> str:
    """Return the ARN of a role that JavaScript made and of which jsii shows the interface only (CDK Pipelines)."""
    if type(principal).__name__ != "InterfaceDynamicProxy" or not hasattr(principal, "node"):
        return ""
    arns = principal.policy_fragment.principal_json.get("AWS", [])
    return str(arns[0]) if len(arns) == 1 and re.search(r":(role|user)/", arns[0]) else ""


def grantee_of(principal: Any, stack: Stack) -> Grantee:
    """Return the role or user ``principal`` by its ARN, for use outside of the policy of the key in ``stack``."""
    return Grantee(principal, identity_arn(principal), path_of(principal), _foreign_account(principal, stack))


def unique_id(grantee: Grantee, key: KeyInApp) -> Conditions:
    """Return the condition that the caller has the unique id of this very role, if the key binds such ids.

    Raises:
        GrantRefused: It is not a role that is made in the stack of the key, whose id the key policy could name.

    See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    role = grantee.principal
    if grantee.service_linked or not key.binds_role_ids:
        return {}
    if not isinstance(role, iam.Role) or role.stack.node.path != key.stack.node.path:
        raise GrantRefused(
            f"{key.node.path}: bind_role_ids with {grantee.path}: only the unique id of a role that is made in the "
            "stack of the key can stand in the key policy; make the role there, or omit bind_role_ids"
        )
    return {"StringLike": {"aws:userid": f"{role.role_id}:*"}}


def _no_arn(principal: Any) -> str:
    if getattr(principal, "service", "") == ACCESS_LOGS:
        return (
            "S3 writes server access logs to buckets under SSE-S3 alone, and they would be lost: give an s3.Bucket "
            "with BucketEncryption.S3_MANAGED for the logs (server_access_logs_bucket)"
        )
    advice = next((text for kind, text in _ADVICE.items() if isinstance(principal, kind)), "it has no role or user ARN")
    return (
        f"a key policy names single roles and users, and {type(principal).__name__} is neither: {advice}. "
        "Allowing it would open the key to more than one caller, or to none"
    )


def _foreign_account(principal: Any, stack: Stack) -> str | None:
    """Return the account of the role or user where it is not the key's."""
    account, home = _facts_of(principal).account, home_of(stack)
    if not account or is_unresolved(account):
        return None
    if is_unresolved(home.account):
        raise GrantRefused(
            f"{principal.node.path} is in account {account}, and the account of the key's stack is known only at "
            "deployment: give the stack its account (env=Environment(account=…, region=…)), so that a role of another "
            "account is not taken for one of this"
        )
    return account if account != home.account else None


def _physical_arn(facts: _Facts, stack: Stack, account: str | None) -> str | None:
    """Build the ARN from a name that is known now: it references nothing, so no cycle can come of it."""
    if facts.name is None:
        return None
    kind, path, name = facts.name
    return stack.format_arn(
        service="iam",
        region="",
        account=account,
        resource=f"{kind}{path.rstrip('/')}",
        resource_name=name,
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )


def _own_arn(principal: Any, arn: str, stack: Stack, *, imported: bool) -> str:
    home, own = stack, path_of(stack_of(principal))
    while isinstance(home, NestedStack) and home.nested_stack_parent and path_of(home) != own:
        home = home.nested_stack_parent
    # A stack passes the ARN to a stack nested in it, and depends on that with the policy of the role alone.
    if imported or path_of(home) == own:
        return arn
    raise GrantRefused(
        f"{principal.node.path} is in another stack than the key, and its policy makes its stack depend on the key's: "
        f'naming it in the key policy by a reference would be a cycle ("cyclic reference"). Give it a fixed name '
        "(role_name=… or user_name=…), or create it in the key's stack"
    )
