"""The emulator's other services decide by our evaluation of policies as well: S3, Lambda, DynamoDB and the rest.

Its own matches wildcards across the parts of an ARN, knows no policy variables, and passes over what it cannot
read: a Deny with NotPrincipal, with an unknown operator, or malformed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kms_patterns.local.server.authorization.authorization import lookup_in
from kms_patterns.local.server.authorization.caller import principal_of, role_arn_of
from kms_patterns.local.server.authorization.decision import Policies, closest, explicit_deny
from kms_patterns.local.server.authorization.policy_statements import Named, Request, Statement, parse
from kms_patterns.local.server.emulator.emulator import EVALUATOR, reach


@dataclass(frozen=True)
class EmulatedStatement(Statement):
    """A statement with the one attribute that the emulator reads itself."""

    @property
    def conditions(self) -> Any:
        """The element Condition."""
        condition = self.body.get("Condition")
        return condition if isinstance(condition, dict) else {}


def parse_document(_original: Callable[..., object]) -> Callable[[object], list[EmulatedStatement]]:
    """Read policies without dropping what the emulator would drop."""

    def parse_policy_document(doc: object) -> list[EmulatedStatement]:
        return [EmulatedStatement(s.policy, s.position, s.body, s.variables) for s in parse(doc, "identity policy")]

    return parse_policy_document


def first_match(_original: Callable[..., object]) -> Callable[..., Statement | None]:
    """Return the first statement about a request by our evaluation."""

    def match(ctx: Any, stmts: Sequence[Statement], effect: str) -> Statement | None:
        request = _request(ctx)
        return next((s for s in stmts if s.effect == effect and s.about(request)), None)

    return match


def resource_policy(_original: Callable[..., object]) -> Callable[..., object]:
    """Decide by a resource-based policy alone."""

    def evaluate_resource_policy(
        doc: object,
        ctx: Any,
        service: str | None = None,
        named_only: bool = False,  # noqa: FBT001, FBT002 - the emulator's signature
        direct_only: bool = False,  # noqa: FBT001, FBT002
    ) -> object:
        request = _request(ctx, service)
        needed = Named.ITSELF if direct_only else Named.BY_ROLE if named_only else Named.BY_ACCOUNT
        policies = Policies((), resource=parse(doc, "resource policy"))
        denied = explicit_deny(request, policies)
        closeness, allowing = closest(request, policies.resource)
        if denied is not None and denied.statement is not None:
            return _result("Deny", ctx, denied.statement)
        if allowing is not None and closeness >= needed:
            return _result("Allow", ctx, allowing)
        return _result("ImplicitDeny", ctx, None)

    return evaluate_resource_policy


def root_access_key(original: Callable[[str], bool]) -> Callable[[str], bool]:
    """Take the well-known key ``test``, and account numbers, for no root: only the server's own key is."""
    # A request asks four times; the server's own key does not change.
    return lru_cache(maxsize=512)(lambda key: original(key) and key != "test" and not key.isdigit())


def signature_unchecked(_original: Callable[[str], bool]) -> Callable[[str], bool]:
    """Check the signature of the account root as everyone's: its access key id is in every URL that it presigns."""
    return lambda _access_key_id: False


# The emulator fills none of these services' condition keys: not to know one is another thing than its absence.
_UNFILLED = ("dynamodb:", "ec2:", "events:", "iam:", "kinesis:", "secretsmanager:", "sns:", "ssm:", "states:")
_FILLED = frozenset({"dynamodb:enclosingoperation", "iam:passedtoservice"})


def _is_filled(key: str) -> bool:
    return key in _FILLED or not key.startswith(_UNFILLED)


def _request(ctx: Any, service: str | None = None) -> Request:
    principal = principal_of(ctx.principal_arn, ctx.principal_account, service)
    return Request(ctx.action, ctx.resource_arn, principal, lookup_in(ctx, _is_filled))


def _result(decision: str, ctx: Any, statement: Statement | None) -> object:
    sid = statement.sid if statement else ""
    return reach(EVALUATOR, "EvalResult")(decision, ctx.principal_arn, sid, "")


def resolve_condition_key(original: Callable[..., Any]) -> Callable[..., Any]:
    """aws:PrincipalArn of a session is its role's ARN, as IAM defines it."""

    def resolve(key: str, ctx: Any) -> object:
        value = original(key, ctx)
        return role_arn_of(value) if key.lower() == "aws:principalarn" else value

    return resolve
