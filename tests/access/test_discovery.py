"""Every condition operator, in allowances and denials: what is reported is what strict evaluation says."""

import json
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.evaluate.conditions import from_block, holds, leaves
from kms_patterns.access.evaluate.discovery import discoverable
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.expressions import ALWAYS, NEVER, Condition, Leaf
from kms_patterns.access.evaluate.requests import batch
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.evaluate.widening import Judge
from kms_patterns.access.evaluate.witnesses import Value, witness_values
from kms_patterns.access.model import Model
from kms_patterns.access.read.reader import read_model

MOST_CONTEXTS = 60
KEYS, VIA, TAG = "kms:EncryptionContextKeys", "kms:ViaService", "aws:RequestTag/team"
UNDOCUMENTED = {("ForAnyValue:", "Equ", "IfExists"), ("ForAnyValue:", "Lik", "IfExists")}
"""Of an absent key one of these says yes and the other no; AWS documents neither."""
BLOCKS: list[dict[str, dict[str, Any]]] = [
    *({f"{of}String{op}{tail}": {KEYS: ["a", "b*"]}}
      for of in ("ForAllValues:", "ForAnyValue:")
      for op in ("Equals", "NotEquals", "Like", "NotLike")
      for tail in ("", "IfExists")
      if (of, op[:3], tail) not in UNDOCUMENTED),
    *({f"String{op}{tail}": {VIA: "s3.*"}}
      for op in ("Equals", "NotEquals", "Like", "NotLike", "EqualsIgnoreCase")
      for tail in ("", "IfExists")),
    *({f"{op}{tail}": {"aws:MultiFactorAuthAge": "100"}}
      for op in ("NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals")
      for tail in ("", "IfExists")),
    *({f"{op}{tail}": {"aws:SourceIp": "10.0.0.0/8"}}
      for op in ("IpAddress", "NotIpAddress")
      for tail in ("", "IfExists")),
    *({f"{op}{tail}": {"aws:SourceArn": "arn:aws:sns:*:*:t"}}
      for op in ("ArnLike", "ArnNotEquals")
      for tail in ("", "IfExists")),
    *({f"Bool{tail}": {"aws:MultiFactorAuthPresent": "true"}} for tail in ("", "IfExists")),
    *({"Null": {KEYS: given}} for given in ("true", "false", True)),
    {"Null": {KEYS: "true", VIA: "true"}},
    {"Null": {KEYS: "false"}, "ForAllValues:StringEquals": {KEYS: "a"}},
    {"Null": {KEYS: "true"}, "StringEqualsIfExists": {KEYS: "a", VIA: "b"}},
    {"ForAllValues:StringEquals": {KEYS: "a"}, "ForAnyValue:StringEquals": {KEYS: "a"}},
    {"StringLike": {VIA: "s3.*"}, "ForAllValues:StringLike": {KEYS: "a*"}, "Null": {TAG: "true"}},
]  # fmt: skip


def model_of(folder: Path, *statements: dict[str, Any], boundary: dict[str, Any] | None = None) -> Model:
    everybody = {"Effect": "Allow", "Principal": {"AWS": "888877776666"}, "Action": "kms:*", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {
        "AssumeRolePolicyDocument": {"Statement": [trust]},
        "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": list(statements)}}],
    }
    limit = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": boundary or {}}}}
    template = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [everybody]}}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
    }
    if boundary:
        template["Limit"] = limit
        role["PermissionsBoundary"] = {"Ref": "Limit"}
    path = folder / "Stack.template.json"
    path.write_text(json.dumps({"Resources": template}))
    return read_model(path)


def check(model: Model, block: dict[str, dict[str, Any]], running: Simulator) -> int:
    """Compare what is reported of the role's Decrypt with strict evaluation, in contexts made from the policy."""
    found = evaluate(model, running)
    places = {id(policy): place for place, policy in enumerate(found.policies)}
    request = next(
        item for item in found.requests if (item.principal.id, item.resource.id) == ("Stack/Role", "Stack/Key")
    )
    reported: Condition = next(
        (item.condition for item in found.findings if item.request is request and item.action.name == "kms:Decrypt"),
        NEVER,
    )
    stated = from_block(block)
    by_key: dict[str, list[Leaf]] = {}
    for leaf in [*leaves(stated), *leaves(reported)]:
        by_key.setdefault(leaf.key.lower(), []).append(leaf)
    judge = Judge(running, [(stated, reported)])
    values = [witness_values(sorted(set(about), key=repr)) for about in by_key.values()]
    tried = 0
    for combination in islice(product(*values), MOST_CONTEXTS):
        context = dict(zip(by_key, combination, strict=True))
        if not str(context.get("aws:sourcearn", "arn:")).startswith(("arn:", "None")):
            continue  # the key holds ARNs only, and no operator on ARNs matches anything else
        expected = holds(reported, lambda leaf, at=context: judge._truth[leaf, at[leaf.key.lower()]])
        assert strictly(batch(request, places, "alone"), context, running) is expected, (block, context, reported)
        tried += 1
    return tried


def strictly(asked: dict[str, Any], context: dict[str, Value], running: Simulator) -> bool:
    present = {key: value for key, value in context.items() if value is not None}
    said = {key: list(value) if isinstance(value, tuple) else value for key, value in present.items()}
    asked |= {"mode": "Strict", "known": [], "actions": ["kms:Decrypt"], "context": {**asked["context"], **said}}
    return bool(running.ask(asked)["allowed"])


@pytest.mark.parametrize("block", BLOCKS, ids=json.dumps)
def test_condition_of_an_allowance_is_reported(block: dict[str, Any], running: Simulator, tmp_path: Path) -> None:
    allow = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*", "Condition": block}
    assert check(model_of(tmp_path, {**allow, "Condition": block}), block, running) > 1
    assert check(model_of(tmp_path, allow, deny), block, running) > 1
    assert check(model_of(tmp_path, allow, boundary={**allow, "Condition": block}), block, running) > 1


def test_conditions_that_discovery_would_leave_out_are_not_always(running: Simulator, tmp_path: Path) -> None:
    for block in ({"ForAllValues:StringEquals": {KEYS: "a"}}, {"Null": {KEYS: "true"}}):
        model = model_of(tmp_path, {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": block})
        found = evaluate(model, running).findings
        assert ALWAYS not in [item.condition for item in found if item.request.principal.id == "Stack/Role"]


def test_denials_and_other_conditions_stay_as_they_are() -> None:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {KEYS: "true"}}}
    allowed = {**statement, "Effect": "Allow", "Condition": {"StringEquals": {KEYS: "a"}, "Bool": {}}}
    for document in ({"Statement": [statement]}, {"Statement": [allowed]}, {"Statement": {"Effect": "Allow"}}):
        assert discoverable(document) == document
