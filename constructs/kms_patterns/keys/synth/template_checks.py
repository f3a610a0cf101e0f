"""Checks of a key's properties as its L1 construct holds them at synth."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.synth.identity_statements import statements_of
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.policy.actions import GENERATE_DATA_KEY
from kms_patterns.policy.conditions import as_list
from kms_patterns.policy.statements import MAX_KEY_POLICY_BYTES

DEPLOYED_CONTEXT: Final = "kms-patterns:deployed"
"""Context key: a folder with the templates that are deployed, such as a ``cdk.out`` that was kept."""

_MANAGE: Final = "kms:PutKeyPolicy"
FIXED: Final = {"keySpec": "KeySpec", "keyUsage": "KeyUsage", "multiRegion": "MultiRegion", "origin": "Origin"}
"""Property of a key that is fixed at its creation, as the L1 class and as the template spells it."""
_DEFAULTS: Final[Mapping[str, object]] = {
    "KeySpec": "SYMMETRIC_DEFAULT",
    "KeyUsage": "ENCRYPT_DECRYPT",
    "MultiRegion": False,
    "Origin": "AWS_KMS",
}


def template_checks(key: KeyInApp, view: TemplateView, deployed: str | None) -> Iterator[str]:
    """Yield one message per property of ``key`` that KMS or AWS CloudFormation would refuse.

    Args:
        key: The key.
        view: The app.
        deployed: Folder of the templates that are deployed, if it is known.
    """
    properties = view.properties(key.resource)
    messages = [
        *_unmanageable(properties["keyPolicy"]),
        *_rotation(key, properties),
        *_changed(key, view, properties, deployed),
    ]
    yield from (f"{key.node.path}: {message}" for message in messages)


def _unmanageable(policy: Mapping[str, Any]) -> Iterator[str]:
    statements = list(statements_of(policy))
    allowing = [it for it in statements if it["Effect"] == "Allow" and _concerns(it, _MANAGE)]
    denying = [it for it in statements if it["Effect"] == "Deny" and _concerns(it, _MANAGE) and not it.get("Condition")]
    if not allowing or denying:
        sids = [str(it.get("Sid", it["Effect"])) for it in denying or statements]
        yield (
            f"no one could change the key policy again: {_MANAGE} is "
            f"{'denied without a condition' if denying else 'not allowed'} ({', '.join(sids)}). KMS refuses "
            "such a policy (MalformedPolicyDocumentException), or only AWS Support can help: keep the statement "
            "AccountAdministration, and give a Deny a condition"
        )


def _concerns(statement: Mapping[str, Any], action: str) -> bool:
    return any(pattern in {"*", "kms:*", "kms:Put*", action} for pattern in as_list(statement.get("Action", [])))


def _rotation(key: KeyInApp, properties: Mapping[str, Any]) -> Iterator[str]:
    rotates = GENERATE_DATA_KEY in key.operations and not key.imported_material
    if not rotates and properties.get("enableKeyRotation"):
        yield (
            "EnableKeyRotation is on, and KMS rotates symmetric keys with its own key material only "
            "(UnsupportedOperationException): switch it off"
        )


def _changed(key: KeyInApp, view: TemplateView, properties: Mapping[str, Any], folder: str | None) -> Iterator[str]:
    if not folder:
        return
    if not Path(folder).is_dir():
        yield f"context {DEPLOYED_CONTEXT}: folder {folder} does not exist; name one with deployed templates"
        return
    stack = view.stack_of(key.resource)
    # The stacks of a stage are in a folder of their own.
    for path in Path(folder).rglob(stack.template_file):
        resources = json.loads(path.read_text(encoding="utf-8"))["Resources"]
        before = resources.get(view.logical_id(key.resource), {}).get("Properties")
        # What is fixed of a replica is its primary's.
        if before is not None and "PrimaryKeyArn" not in before:
            yield from _differences(view.logical_id(key.resource), before, properties)


def _differences(logical_id: str, before: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    for name, title in FIXED.items():
        old, new = before.get(title, _DEFAULTS[title]), properties.get(name)
        new = _DEFAULTS[title] if new is None else new
        if old != new:
            yield (
                f"{title} changes from {old} to {new} on the deployed key {logical_id}: it is "
                "fixed at creation, so AWS CloudFormation would refuse the update, and never make a new key in its "
                "place. Give the new key another construct id, and move the data"
            )


def policy_limits(key: KeyInApp, view: TemplateView) -> Iterator[str]:
    """Yield one message per limit that the policy of ``key`` breaks.

    See https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
    """
    document = view.properties(key.resource)["keyPolicy"]
    yield from (f"{key.node.path}: {text}" for text in [*_size(document), *_duplicates(document)])


def _size(document: dict[str, Any]) -> Iterator[str]:
    # References count with their length in the template: what they resolve to is not known before deployment.
    size = len(json.dumps(document, separators=(",", ":")).encode())
    if size > MAX_KEY_POLICY_BYTES:
        yield (
            f"the key policy has about {size} bytes, KMS takes {MAX_KEY_POLICY_BYTES} (LimitExceededException): "
            f"it has {len(document['Statement'])} statements; give roles the same operations under the same conditions "
            "(they share a statement), give further ones KMS grants (KeyGrant), or split their data over several keys"
        )


def _duplicates(document: dict[str, Any]) -> Iterator[str]:
    sids = Counter(statement["Sid"] for statement in document["Statement"] if "Sid" in statement)
    for sid, count in sids.items():
        if count > 1:
            yield (
                f"Sid {sid} occurs {count} times in the key policy, it must be unique "
                "(MalformedPolicyDocumentException): give your own statement another one"
            )
