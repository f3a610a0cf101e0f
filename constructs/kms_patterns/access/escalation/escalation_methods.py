"""How a principal becomes another one, or changes what it may do: one row per method, each with AWS's page.

The rows hold what these lists publish. ``published_methods.json`` has the books of AWS's pages by service; the methods
that act by what runs as a role already, by the service or kind of provider that the role trusts; and the actions that
take a role: of botocore those whose request names one, and those for which AWS's reference demands iam:PassRole.
https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/
https://pathfinding.cloud/paths/
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

_TABLES = json.loads(Path(__file__).with_name("published_methods.json").read_text(encoding="utf-8"))


class Effect(StrEnum):
    """What a method makes of the principal that uses it."""

    BECOME = "become"
    """It acts as the target."""
    CHANGE = "change"
    """It decides what the target may do."""


@dataclass(frozen=True)
class Method:
    """One way to become a principal, or to change what it may do.

    Attributes:
        on_target: Actions that must be allowed on the target itself.
        besides: Actions that must be allowed on some resource, besides.
        effect: What it makes of the principal that uses it.
        service: What the target must trust: a service, ``saml-provider`` or ``oidc-provider``; None if any target will
            do.
        kinds: Kinds of target, as in its ARN: ``role``, ``user``, ``federated-user``.
        needs: What of the target must be there to change: ``boundaries``, ``denies``, or ``tags`` that a policy asks
            for; for a key ``aws:ResourceTag`` and the like, a condition key that a policy asks about.
    """

    on_target: Sequence[str]
    besides: Sequence[str] = ()
    effect: Effect = Effect.BECOME
    service: str | None = None
    kinds: Sequence[str] = ("role",)
    needs: str = ""

    @property
    def name(self) -> str:
        """The method as reports print it."""
        return " and ".join([*self.on_target, *self.besides])

    @property
    def source(self) -> str:
        """AWS's page of the action that it rests on."""
        prefix, _, action = [*self.on_target, *self.besides][-1].partition(":")
        return f"https://docs.aws.amazon.com/{_TABLES['books'][prefix]}/API_{action}.html"


_USER = ("user",)


def _on(kind: str, said: str, **more: str) -> list[Method]:
    names = (f"iam:{name.replace('$', kind.title())}" for name in said.split())
    return [Method((name,), kinds=(kind,), **{"effect": Effect.CHANGE, **more}) for name in names]  # type: ignore[arg-type]


ON_PRINCIPALS: Sequence[Method] = (
    Method(("iam:UpdateAssumeRolePolicy",)),
    *(Method((f"iam:{name}",), kinds=_USER) for name in ("CreateAccessKey", "UpdateAccessKey", "UploadSSHPublicKey")),
    *(Method((f"iam:{name}",), kinds=_USER) for name in ("CreateLoginProfile", "UpdateLoginProfile")),
    *(Method((f"iam:{name}ServiceSpecificCredential",), kinds=_USER) for name in ("Create", "Reset")),
    Method(("iam:DeactivateMFADevice",), ("iam:UpdateLoginProfile",), kinds=_USER),
    Method(("sts:GetFederationToken",), kinds=("federated-user",)),
    *(
        method
        for kind in ("role", "user")
        for method in (
            *_on(kind, "Attach$Policy Put$Policy"),
            *_on(kind, "Delete$PermissionsBoundary Put$PermissionsBoundary", needs="boundaries"),
            *_on(kind, "Delete$Policy Detach$Policy", needs="denies"),
            *_on(kind, "Tag$ Untag$", needs="tags"),
        )
    ),
    *(
        Method((), (f"iam:{name}",), Effect.CHANGE, kinds=_USER)
        for name in ("AddUserToGroup", "AttachGroupPolicy", "PutGroupPolicy")
    ),
    *(
        Method((), (f"iam:{name}",), Effect.CHANGE, kinds=_USER, needs="denies")
        for name in ("DeleteGroupPolicy", "DetachGroupPolicy", "RemoveUserFromGroup")
    ),
    *(
        Method((), actions.split("+"), service=service)
        for service, said in _TABLES["running"].items()
        for actions in said.split()
    ),
)
"""Methods on a role or user. Without ``on_target`` they act on what runs as the role already."""

ON_OTHERS: Sequence[Method] = (Method(("sts:AssumeRole",)),)
"""Methods on a role of which the trust policy is not known, besides those of ``ON_PRINCIPALS``."""

ON_FUNCTIONS: Sequence[Method] = (
    Method((), ("lambda:UpdateFunctionCode",)),
    Method((), ("lambda:UpdateFunctionConfiguration",)),
)
"""Methods on a function, by which one becomes its role: its code, or the layers and variables that its code reads."""

TO_ADMINISTRATOR: Sequence[Method] = (
    *(Method((), (f"iam:{name}",)) for name in ("CreatePolicyVersion", "SetDefaultPolicyVersion")),
    *(Method((), (f"iam:{name}",), kinds=_USER) for name in ("AddUserToGroup", "AttachGroupPolicy", "PutGroupPolicy")),
    *(Method((), ("iam:CreateRole", f"iam:{gives}RolePolicy")) for gives in ("Attach", "Put")),
    *(
        Method((), ("iam:CreateUser", f"iam:{gives}UserPolicy", f"iam:Create{key}"))
        for gives in ("Attach", "Put")
        for key in ("AccessKey", "LoginProfile")
    ),
    *(
        Method((), (f"sso:{name}",))
        for name in (
            "AttachCustomerManagedPolicyReferenceToPermissionSet",
            "AttachManagedPolicyToPermissionSet",
            "CreateAccountAssignment",
            "PutInlinePolicyToPermissionSet",
        )
    ),
    *(Method((), (name,)) for name in ("identitystore:CreateGroupMembership", "sts:AssumeRoot")),
    Method((), ("cloudformation:UpdateStackSet",)),
    Method((), ("cloudformation:UpdateStack",)),
    Method((), ("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet")),
)
"""Methods that give any permission: by a policy of its own, or by the service role that a stack has already.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
"""

ON_KEYS: Sequence[Method] = (
    *(Method((), (f"kms:{name}",)) for name in ("CreateGrant", "ImportKeyMaterial", "PutKeyPolicy", "ReplicateKey")),
    *(Method((), (f"kms:{name}Resource",), needs="aws:resourcetag/") for name in ("Tag", "Untag")),
    *(Method((), (f"kms:{name}Alias",), needs="kms:re[a-z]+alias") for name in ("Create", "Delete", "Update")),
)
"""Methods on a key, by which one gives oneself its use: by its policy, a grant, or what a policy asks about it.

https://docs.aws.amazon.com/kms/latest/developerguide/abac.html
https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys.html
"""

PASS = "iam:PassRole"  # noqa: S105
_REFERENCE = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_"
_ALSO_TO = {
    "autoscaling": "ec2",
    "batch": "ec2 ecs",
    "budgets": "ssm",
    "codepipeline": "cloudformation",
    "config": "ssm",
    "datapipeline": "ec2 elasticmapreduce",
    "ec2": "flow",
    "eks": "ec2 oidc",
    "elasticbeanstalk": "codebuild ec2",
    "elasticmapreduce": "ec2",
    "emr-containers": "oidc",
    "gamelift": "ec2",
    "iam": "ec2",
    "imagebuilder": "ec2",
    "neptune-db": "rds",
    "proton": "cloudformation",
    "swf": "lambda",
    "synthetics": "lambda",
}
"""Services that act as a role which the actions of another service take, where their names do not tell."""


@cache
def taking() -> Mapping[str, str]:
    """Return the actions that take a role, each with AWS's page of its service."""
    return {
        f"{prefix}:{name}": f"{_REFERENCE}{page}.html"
        for prefix, (page, names) in _TABLES["taking"].items()
        for name in names.split()
    }


@cache
def takers(service: str) -> frozenset[str]:
    """Return the services whose actions may make ``service`` act as a role: all, if none has its name.

    Args:
        service: What the role trusts: ``tasks.apprunner.amazonaws.com``, ``oidc-provider``; ``*`` for any.
    """
    if not re.search(r"\.amazonaws\.|^oidc-provider|^\*$", service):
        return frozenset()
    words = {*re.split(r"[.-]", re.sub(r"\.amazonaws\..*", "", service))}
    prefixes = {name.partition(":")[0] for name in taking()}
    found = {prefix for prefix in prefixes if words & {*_words(prefix)}}
    return frozenset(found or prefixes)


def _words(prefix: str) -> Iterator[str]:
    yield prefix.partition("-")[0]
    yield from _ALSO_TO.get(prefix, "").split()
