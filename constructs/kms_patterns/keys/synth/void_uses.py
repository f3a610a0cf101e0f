"""Identities that may use a resource under a key, and not the key: their calls would be denied.

Constructs of the AWS CDK write such statements, for example for the dead-letter queue of a function, the delivery
stream of a rule, the buckets of a Distributed Map, or a secret among the variables of a build.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import Final, cast

from aws_cdk import Annotations, CfnResource
from aws_cdk import aws_s3 as s3

from kms_patterns.keys.grants.target import GrantTarget, KeyInApp
from kms_patterns.keys.synth.identity_statements import (
    ANY_KEY,
    UNATTACHED,
    IdentityStatement,
    identity_statements,
)
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.keys.synth.void_grants import FOREIGN, Callers, key_allowances
from kms_patterns.policy.actions import DECRYPT, GENERATE_DATA_KEY
from kms_patterns.policy.conditions import VIA_SERVICE, as_list, contexts_demanded
from kms_patterns.policy.coverage import allows

_READ, _WRITTEN = (DECRYPT,), (GENERATE_DATA_KEY,)
_USES: Final[Mapping[str, tuple[str, ...]]] = {
    "firehose:putrecord": _WRITTEN,
    "firehose:putrecordbatch": _WRITTEN,
    "kinesis:getrecords": _READ,
    "kinesis:putrecord": _WRITTEN,
    "kinesis:putrecords": _WRITTEN,
    "s3:getobject": _READ,
    "s3:getobjectversion": _READ,
    "s3:putobject": _WRITTEN,
    "secretsmanager:getsecretvalue": _READ,
    "secretsmanager:putsecretvalue": _WRITTEN,
    "sns:publish": _WRITTEN,
    "sqs:receivemessage": _READ,
    "sqs:sendmessage": _WRITTEN,
}
"""Action on a resource -> what it needs of the key, through the service of the action; pages: ``policy.services``."""
_SERVICES: Final = {action.partition(":")[0] for action in _USES}
_CONTEXT_BY_AWS: Final = ("kinesis", "sns", "sqs")
"""Services that send an encryption context of their own, such as ``aws:sqs:arn``, and none of their callers'.

See https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html and
https://docs.aws.amazon.com/sns/latest/dg/sns-data-encryption.html
"""
_OPEN: Final = re.compile(r"[*?]|^any name$")
# Every message is encrypted; a bucket or a secret may hold what is under another key.
_ALWAYS: Final = ("sns", "sqs")

_ENCRYPTED: Final = "which is encrypted under this key"
_AMONG: Final = "among which are resources that are encrypted under this key"
_ARN_PARTS: Final = 6
_KIND: Final = re.compile(r"^(stream/|deliverystream/|secret:)")

Encrypted = Iterable[tuple[CfnResource | str, GrantTarget, str]]
"""A resource under a key, or the ARN of one that the app imports, the key, and the row of the service that uses it."""


def uses_without_key(
    encrypted: Encrypted,
    statements: Iterable[IdentityStatement],
    view: TemplateView,
    references: References,
    callers: Callers,
) -> Iterator[str]:
    """Yield one message per identity that may use an encrypted topic or queue, and not its key; warn of the rest.

    Args:
        encrypted: The resources under the keys of the app.
        statements: Allow statements about KMS.
        view: The app.
        references: Names of its roles.
        callers: Which of these names may mean one caller.
    """
    targets = {
        (item if isinstance(item, str) else view.name(item), service): (cast("KeyInApp", key), _given_names(item, view))
        for item, key, service in encrypted
        if service in _SERVICES and hasattr(key, "resource")
    }
    for point in view.every(s3.CfnAccessPoint) if targets else ():
        bucket = references.name(view.stack_of(point), view.properties(point).get("bucket"))
        if (bucket, "s3") in targets:
            targets[view.name(point), "s3"] = targets[bucket, "s3"]
    known = list(statements)
    grants = _kms_grants(view, references) if targets else set()
    seen: set[tuple[str, str, str, str]] = set()
    for asked in identity_statements(view, references, lambda act: bool(_meant(act))) if targets else ():
        for name, action, principal in product(sorted(asked.resources), asked.actions, asked.principals):
            for service, needed in sorted(_meant(action)):
                for key in _keys_behind(name, service, targets):
                    own = view.name(key.resource)
                    if (own, name, principal, needed) in seen:
                        continue
                    document = view.properties(key.resource)["keyPolicy"]
                    in_key_policy = [
                        it for _, it in key_allowances(document, key.stack, references) if allows(it.actions, needed)
                    ]
                    elsewhere = {it.principal for it in in_key_policy if it.where in key.statements_for_elsewhere}
                    through = (it for it in known if _is_through(it, service))
                    if (
                        principal == UNATTACHED
                        or any(callers.same(principal, it) for it in elsewhere)
                        or (own, principal, needed) in grants
                        or _may(through, principal, needed, {own, ANY_KEY}, callers)
                    ):
                        continue
                    seen.add((own, name, principal, needed))
                    text = (
                        f"{key.node.path}: {asked.where} allows {references.label(principal)} {action} on {name}, "
                        f"{_ENCRYPTED if (name, service) in targets else _AMONG}, and no policy allows it {needed}: "
                        f"the call would end in {'KMS.' if service in _ALWAYS else ''}AccessDeniedException. Call "
                        f"grant_operations(role, {needed!r}, …, via_service={service!r}) of the key, or the grant of "
                        "the resource"
                    )
                    outside = principal in callers.foreign and any(
                        it.principal in (None, principal) for it in in_key_policy
                    )
                    if outside or service not in _ALWAYS or "*" in action or (name, service) not in targets:
                        warning = f"kms-patterns:UnknownPolicy:{principal}:{name}:{needed}"
                        Annotations.of(key).add_warning_v2(warning, text + FOREIGN)
                    else:
                        yield text


def _given_names(item: CfnResource | str, view: TemplateView) -> Sequence[str]:
    """Return the names that the app gave a resource."""
    given = {} if isinstance(item, str) else view.properties(item)
    return [text for name, text in given.items() if name.lower().endswith("name") and isinstance(text, str)]


def _keys_behind(
    name: str, service: str, targets: Mapping[tuple[str, str], tuple[KeyInApp, Sequence[str]]]
) -> Iterable[KeyInApp]:
    """Return the keys of the resources of a service that ``name`` is, or may be by its wildcards."""
    if (name, service) in targets:
        return [targets[name, service][0]]
    parts = ["*", "*", "*", "*", "*", name] if name == "*" else name.split(":", 5)
    if len(parts) != _ARN_PARTS or parts[2] not in (service, "*"):
        return ()
    pattern = parts[5].partition("/")[0] if service == "s3" else _KIND.sub("", parts[5])
    # Secrets Manager adds six characters to the name of a secret.
    ends = ("", "-??????") if service == "secretsmanager" else ("",)
    return dict.fromkeys(
        key
        for (_, of), (key, names) in targets.items()
        if of == service
        and (pattern in ("*", "") or any(fnmatchcase(it + end, pattern) for it in names for end in ends))
    )


def _meant(pattern: str) -> set[tuple[str, str]]:
    """Return service and KMS action of the uses that a pattern of actions allows."""
    found = [action for action in _USES if fnmatchcase(action, pattern.lower())]
    return {(action.partition(":")[0], needed) for action in found for needed in _USES[action]}


def _kms_grants(view: TemplateView, references: References) -> set[tuple[str, str, str]]:
    """Return key, grantee and action of what the app's KeyGrants allow."""
    # Another library may have a type of that name.
    found = view.plain.get("Custom::KmsGrant", ())
    given = [(view.stack_of(item), view.properties(item).get("grant")) for item in found]
    return {
        (references.name(stack, grant["KeyId"]), references.name(stack, grant["GranteePrincipal"]), f"kms:{operation}")
        for stack, grant in given
        if isinstance(grant, dict) and {"KeyId", "GranteePrincipal", "Operations"} <= set(grant)
        for operation in grant["Operations"]
    }


def _is_through(statement: IdentityStatement, service: str) -> bool:
    """Return whether a statement may be met by a call that a service makes for the principal."""
    demanded = as_list(statement.conditions.get("StringEquals", {}).get(VIA_SERVICE, []))
    hosts = [json.dumps(host) for host in demanded]
    names = [name.lower() for name in contexts_demanded(statement.conditions)]
    if names and service in _CONTEXT_BY_AWS and not any(it.startswith("aws:") or _OPEN.search(it) for it in names):
        return False
    # What is known at deployment only may be the service's host.
    return not hosts or any(f'"{service}.' in host or ".amazonaws" not in host for host in hosts)


def _may(statements: Iterable[IdentityStatement], principal: str, action: str, own: set[str], callers: Callers) -> bool:
    return any(
        it.resources & own and allows(it.actions, action) and any(callers.same(principal, one) for one in it.principals)
        for it in statements
    )
