"""A second opinion from a solver: ``iamprover`` turns statements into formulas for Z3; how KMS joins policies is added.

``iamprover`` itself takes what an IAM policy allows as allowed, as most services do; a key's policy must allow it, too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import z3
from iamprover.engine.context import Context
from iamprover.engine.encoder import allowed, encode_conditions, statement_matches
from iamprover.model import Principal as Plain
from iamprover.model import Statement
from iamprover.parsers.iam import parse_conditions, parse_policy_document

from kms_patterns.access.model import Policy, Principal, Resource

MILLISECONDS = 100_000


def can_use(who: Principal, key: Resource, action: str) -> bool:
    """Return whether some request of ``who`` for ``action`` on ``key`` is allowed, by the rules of KMS."""
    context, request, arn = _request(who, key, action)
    account = arn.split(":")[4]
    in_key = _statements([key.policy] if key.policy else [])
    named = [item for item in in_key if {"*", arn} & set(item.principals)]
    delegating = [item for item in in_key if {f"arn:aws:iam::{account}:root", account} & set(item.principals)]
    own = _statements(who.identity)
    limits = _statements(who.boundaries or ())

    def some(effect: str, statements: Iterable[Statement]) -> Any:
        matching = [statement_matches(item, *request, context) for item in statements if item.effect == effect]
        return z3.Or(*matching, z3.BoolVal(val=False))

    within = z3.BoolVal(val=True) if who.boundaries is None else some("Allow", limits)
    by_iam = z3.And(some("Allow", own), within)
    by_key = some("Allow", [*named, *delegating])
    direct = some("Allow", named) if account == key.account else z3.BoolVal(val=False)
    denied = some("Deny", [*own, *limits, *named, *delegating])
    return _satisfiable(*_known(context, arn), z3.Or(z3.And(by_iam, by_key), direct), z3.Not(denied))


def can_use_as_it_is(who: Principal, key: Resource, action: str) -> bool:
    """Return what ``iamprover`` says without our rule for KMS."""
    context, request, arn = _request(who, key, action)
    plain = Plain(arn, [parse_policy_document(item.where, dict(item.document)) for item in who.identity])
    policies = [parse_policy_document("key", dict(key.policy.document))] if key.policy else []
    return _satisfiable(*_known(context, arn), allowed(plain, *request, context, policies))


def allows_more(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Return whether some request meets condition block ``new`` and does not meet ``old``."""
    context = Context()
    met = [encode_conditions(parse_conditions(dict(block)), context, unknown_default=True) for block in (new, old)]
    return _satisfiable(met[0], z3.Not(met[1]))


def _request(who: Principal, key: Resource, action: str) -> tuple[Context, tuple[Any, Any], str]:
    arn = who.arn_at(key)
    return Context(), (z3.StringVal(action.lower()), z3.StringVal(key.arn)), arn


def _known(context: Context, arn: str) -> list[Any]:
    account = arn.split(":")[4]
    facts = {"aws:PrincipalArn": arn, "kms:CallerAccount": account, "aws:PrincipalAccount": account}
    return [context.constrain(key, value) for key, value in {**facts, "aws:PrincipalIsAWSService": "false"}.items()]


def _statements(policies: Iterable[Policy]) -> list[Statement]:
    return [
        statement
        for policy in policies
        for statement in parse_policy_document(policy.where, dict(policy.document)).statements
    ]


def _satisfiable(*formulas: Any) -> bool:
    solver = z3.Solver()
    solver.set("timeout", MILLISECONDS)
    solver.add(*formulas)
    result = solver.check()
    assert result != z3.unknown, "the solver gave up"
    return bool(result == z3.sat)
