"""Our reading of templates agrees with ``cfn-policy-validator``, where that tool reads them at all."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cfn_policy_validator
import pytest
from cfn_policy_validator import client

from kms_patterns.access.model import Model, PrincipalKind, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model

STACKS = ["KmsPatterns-S3", "KmsPatterns-Secrets", "KmsPatterns-Envelope"]


@pytest.fixture(autouse=True)
def one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """It builds a client for every ARN, which takes most of its time, and asks AWS nothing here."""
    known: dict[object, Any] = {}
    build = client.build
    monkeypatch.setattr(client, "build", lambda *words: known.setdefault(words, build(*words)))


def texts(documents: Iterable[Any], stack: str = "") -> list[str]:
    """Statements as text; it makes up names from logical ids alone, we put the stack's name before them.

    Without those about tables and logs: it gives ``AWS::DynamoDB::GlobalTable`` an ARN without region, and leaves out
    the ``:*`` of a log group's ARN.
    """
    found = [json.dumps(item, sort_keys=True) for document in documents for item in document["Statement"]]
    lower = [text.lower() for text in found if "dynamodb:" not in text and "logs:" not in text]
    return sorted(re.sub(rf"{stack.lower()}[.-]", "", text) if stack else text for text in lower)


def ours(model: Model, kind: ResourceKind) -> list[Any]:
    return [item.policy.document for item in model.resources if item.kind is kind and item.policy]


@pytest.mark.parametrize("stack", STACKS)
def test_same_policies_are_read(stack: str, assembly: Callable[[str], Path]) -> None:
    path = assembly("app") / f"{stack}.template.json"
    theirs = cfn_policy_validator.parse(path.read_text(), UNKNOWN_REGION, UNKNOWN_ACCOUNT, "aws")
    model = read_model(path)
    roles = [who for who in model.principals if who.kind is PrincipalKind.ROLE]
    assert texts((policy.document for who in roles for policy in who.identity), stack) == texts(
        policy["Policy"] for role in theirs["Roles"] for policy in role["Policies"]
    )
    assert texts(ours(model, ResourceKind.ROLE), stack) == texts(role["TrustPolicy"] for role in theirs["Roles"])
    for kind, name in ((ResourceKind.KEY, "AWS::KMS::Key"), (ResourceKind.BUCKET, "AWS::S3::Bucket")):
        found = [item["Policy"]["Policy"] for item in theirs["Resources"] if item["ResourceType"] == name]
        assert texts(ours(model, kind), stack) == texts(found)
    assert len(roles) >= 3
    assert ours(model, ResourceKind.KEY)
