"""Limits of KMS on a whole key policy."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.policy.statements import MAX_KEY_POLICY_BYTES


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
