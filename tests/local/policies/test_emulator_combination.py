"""S3 decides in the emulator's own combination of our evaluations: on random cases it comes to what ours comes to."""

from typing import Any

import pytest
from ministack.core import iam_evaluator

from kms_patterns.local.server.authorization import emulator_policies
from kms_patterns.local.server.authorization.evaluation import Limit, Policies, decide
from kms_patterns.local.server.authorization.principals import Principal
from kms_patterns.local.server.authorization.statements import Request, parse
from tests.local.policies.test_differential import ACCOUNT, ROLE, SESSION, case

CASES = 3000


@pytest.fixture
def evaluated_by_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put our evaluation where the seam puts it, for this test alone."""
    for name, make in (
        ("parse_policy_document", emulator_policies.parse_document),
        ("_first_match", emulator_policies.first_match),
        ("evaluate_resource_policy", emulator_policies.resource_policy),
    ):
        monkeypatch.setattr(iam_evaluator, name, make(getattr(iam_evaluator, name)))
    monkeypatch.setattr(iam_evaluator, "_resolve_condition_key", lambda key, ctx: ctx.service_context.get(key.lower()))
    monkeypatch.setattr(emulator_policies, "principal_of", lambda arn, *_: _principal(arn))


def _principal(arn: str) -> Principal:
    return Principal(arn, ROLE if arn == SESSION else arn, ACCOUNT)


def _both(one: dict[str, Any]) -> tuple[bool, bool]:
    values = {key.lower(): value for key, value in one["context"].items()}
    request = Request(one["action"], one["resource"], _principal(one["principal"]), lambda key: values.get(key.lower()))
    identity = [statement for document in one["identity"] for statement in parse(document, "identity")]
    limits = [Limit(name, parse(one[name], name)) for name in ("boundary", "session") if one[name]]
    ours = decide(request, Policies(identity, limits, parse(one["resource_policy"], "r")), resource_required=False)
    alone = decide(request, Policies(identity, limits), resource_required=False)
    denied = not alone.allowed and "explicit" in alone.reason
    decision = "Deny" if denied else "Allow" if alone.allowed else "ImplicitDeny"
    context = iam_evaluator.EvalContext(
        one["principal"], "User", ACCOUNT, one["action"], one["resource"], "us-east-1", service_context=values
    )
    theirs = iam_evaluator.combine_resource_policy(
        iam_evaluator.EvalResult(decision, one["principal"], "", ""),
        context,
        one["resource_policy"],
        ACCOUNT,
        limits=tuple([limit.statements] for limit in limits),
    )
    return ours.allowed, theirs.decision == "Allow"


@pytest.mark.usefixtures("evaluated_by_us")
def test_the_emulator_combines_as_we_do() -> None:
    cases = {seed: case(seed) for seed in range(CASES)}
    about_s3 = {seed: one for seed, one in cases.items() if one["service"] == "s3" and one["resource_policy"]}
    decided = {seed: _both(one) for seed, one in about_s3.items()}
    assert {seed: pair for seed, pair in decided.items() if pair[0] != pair[1]} == {}
    assert 0.1 < sum(ours for ours, _ in decided.values()) / len(decided) < 0.9
