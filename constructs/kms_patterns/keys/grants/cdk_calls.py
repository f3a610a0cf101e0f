"""Calls that constructs of the AWS CDK make on a key: told from an app's by the method that JavaScript calls.

jsii calls a Python method back by the name under which the class defines a member of a ``jsii`` interface.
:class:`KeyForConstructs` is ``kms.IKey`` under names of its own, so that a call from JavaScript arrives at
:class:`CallsOfConstructs`, which hands on to the public method what only such a call means, in its arguments: a
:class:`ForConstruct` as grantee, or the statement made exact. A subclass that overrides a public method and calls
``super()`` hands both on, so its policy is the same.
"""

from collections.abc import Callable
from typing import Any, Final

import jsii
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.errors import PolicyNotWritten
from kms_patterns.keys.grants.cdk_statements import delegates_to_account, narrowed


@jsii.implements(iam.IGrantable)
class ForConstruct:
    """The grantee of a construct of the AWS CDK, which may ask for more than the name of the method says.

    Such a construct calls ``grant_encrypt`` for all that writing needs: the service behind it (Kinesis, Firehose,
    CodeBuild, …) calls GenerateDataKey for its caller, and would be denied with ``kms:Encrypt`` alone.
    """

    def __init__(self, grantee: iam.IGrantable, *, key_policy_only: bool = False) -> None:
        self.grantee, self.key_policy_only = grantee, key_policy_only

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The principal to grant to."""
        return self.grantee.grant_principal

    def __getattr__(self, name: str) -> Any:
        """Return what the grantee itself has under ``name``."""
        return getattr(self.__dict__["grantee"], name)


class KeyForConstructs:
    """The members of ``kms.IKey`` for which it matters that a construct of the AWS CDK calls."""

    __jsii_type__ = kms.IKey.__jsii_type__  # type: ignore[attr-defined]


def _calling(name: str) -> Callable[..., Any]:
    def call(self: Any, grantee: iam.IGrantable, *actions: str) -> Any:
        try:
            return getattr(self, name)(ForConstruct(grantee), *actions)
        except PolicyNotWritten:
            # Such as a pipeline's, for roles of the bootstrap: AWS's template of it holds their policies.
            return getattr(self, name)(ForConstruct(grantee, key_policy_only=True), *actions)

    return call


def _add_to_resource_policy(self: Any, statement: iam.PolicyStatement, *options: Any) -> Any:
    if delegates_to_account(self, statement):
        return iam.AddToResourcePolicyResult(statement_added=True, policy_dependable=self)
    return self.add_to_resource_policy(narrowed(self, statement), *options)


_MEMBERS: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "grant": ("grant", _calling("grant")),
    "grant_encrypt": ("grantEncrypt", _calling("grant_encrypt")),
    "grant_decrypt": ("grantDecrypt", _calling("grant_decrypt")),
    "grant_encrypt_decrypt": ("grantEncryptDecrypt", _calling("grant_encrypt_decrypt")),
    "add_to_resource_policy": ("addToResourcePolicy", _add_to_resource_policy),
}
"""Public method -> its name in JavaScript, and what a call from there does."""
for _name, (_in_javascript, _call) in _MEMBERS.items():
    setattr(KeyForConstructs, f"for_construct_{_name}", jsii.member(jsii_name=_in_javascript)(lambda _: None))


class CallsOfConstructs:
    """Base of keys that tell the calls of constructs of the AWS CDK from those of the app."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Define what JavaScript calls in ``cls`` itself, before its public methods: jsii takes what comes first."""
        super().__init_subclass__(**options)
        for name, (_, call) in _MEMBERS.items():
            setattr(cls, f"for_construct_{name}", call)
            if name in vars(cls):
                public = vars(cls)[name]
                delattr(cls, name)
                setattr(cls, name, public)
