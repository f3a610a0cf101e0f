"""The policy of one key, kept in Python and handed to the AWS CDK when it writes the template; what it starts with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import jsii
from aws_cdk import Duration, IAnyProducer, IResolveContext, Lazy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import IConstruct

from kms_patterns.keys.errors import DeployerUnknown
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.policy import actions
from kms_patterns.policy import guardrails as deny
from kms_patterns.policy.conditions import not_deploying
from kms_patterns.policy.statements import Document, as_one, groups

_DEFAULT_WINDOW_DAYS = 30


class OwnStatement:
    """A statement that this package writes; a ``PolicyStatement`` of the AWS CDK as soon as a caller asks for it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._made: iam.PolicyStatement | None = None

    @property
    def sid(self) -> str:
        """Its id."""
        return str(self._document.get("Sid", ""))

    @property
    def actions(self) -> Sequence[str]:
        """Its actions, as written."""
        return self._made.actions if self._made else list(self._document["Action"])

    @property
    def conditions(self) -> Mapping[str, Any]:
        """Its conditions, as written."""
        found: Mapping[str, Any] = self._made.conditions if self._made else self._document.get("Condition", {})
        return found

    def add_actions(self, *actions: str) -> None:
        """Allow further actions."""
        if self._made:
            self._made.add_actions(*actions)
        else:
            self._document["Action"] += actions

    def made(self) -> iam.PolicyStatement:
        """Return the statement as an object that its caller may change."""
        self._made = self._made or iam.PolicyStatement.from_json(self._document)
        return self._made

    def rendered(self) -> Document:
        """Return the statement as the AWS CDK writes it."""
        if self._made:
            return cast("Document", self._made.to_statement_json())
        actions = sorted(self._document["Action"])
        written = {**self._document, "Action": actions[0] if len(actions) == 1 else actions}
        return {name: value for name, value in written.items() if value}


@jsii.implements(IAnyProducer)
class KeyPolicy:
    """The statements of this package, in their order, and after them those of callers and of other constructs."""

    def __init__(self) -> None:
        self.of_others = iam.PolicyDocument()
        """What the AWS CDK knows as the policy of the key."""
        self._has_others = False
        self._statements: list[OwnStatement] = []
        self._groupable: set[str] = set()
        self.elsewhere: set[str] = set()
        """Ids of the statements whose other half is not in this app."""

    def attach(self, resource: kms.CfnKey) -> None:
        """Become the policy of ``resource``."""
        resource.key_policy = Lazy.uncached_any(self)

    def add(self, statement: OwnStatement, *, shared: bool = False, elsewhere: bool = False) -> OwnStatement:
        """Add a statement of this package.

        Args:
            statement: The statement.
            shared: Whether it may become one with others that differ in their roles only.
            elsewhere: Whether the policy of its role or user is not in this app.
        """
        self._statements.append(statement)
        if elsewhere:
            # The check of void grants finds them by their ids, so they stay as they are.
            self.elsewhere.add(statement.sid)
        elif shared:
            self._groupable.add(statement.sid)
        return statement

    def note_others(self) -> None:
        """Note that a caller or another construct adds a statement to :attr:`of_others`."""
        self._has_others = True

    def produce(self, context: IResolveContext) -> Any:
        """Return the policy document; the AWS CDK asks when it writes the template.

        Roles with equal grants share a statement only now: until then a caller may narrow the statement of one.
        """
        # Anew each time: while it looks for references, the AWS CDK joins texts in a way that makes unequal ones equal.
        own = _resolved([statement.rendered() for statement in self._statements], context)
        others = context.resolve(self.of_others)["Statement"] if self._has_others else []
        shared = [as_one([own[it] for it in numbers], sid) for numbers, sid in groups(own, self._groupable)]
        return {"Statement": [*shared, *others], "Version": "2012-10-17"}


def _resolved(statements: Sequence[Document], context: IResolveContext) -> Sequence[Document]:
    """Return the statements without tokens: those in texts are asked for together, each once."""
    texts: dict[str, Any] = {}
    if not _collect(statements, texts):
        whole: Sequence[Document] = context.resolve(statements)
        return whole
    found = dict(zip(texts, context.resolve(list(texts)), strict=True))
    return cast("Sequence[Document]", _replaced(statements, found))


def _collect(value: Any, texts: dict[str, Any]) -> bool:
    """Note the texts with tokens in ``value``; return False if anything else in it may be a token."""
    if isinstance(value, str):
        if "${Token[" in value:
            texts[value] = None
        return "#{Token[" not in value
    if isinstance(value, dict):
        return all("Token[" not in name and _collect(member, texts) for name, member in value.items())
    return isinstance(value, list | bool) and (isinstance(value, bool) or all(_collect(it, texts) for it in value))


def _replaced(value: Any, found: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(member, found) for name, member in value.items()}
    if isinstance(value, list):
        return [_replaced(member, found) for member in value]
    return found.get(value, value) if isinstance(value, str) else value


class PairedGrant(iam.Grant):
    """A grant whose key policy half becomes a ``PolicyStatement`` when a caller asks for it."""

    _key: IConstruct
    _in_key_policy: list[OwnStatement]

    @staticmethod
    def of(grant: iam.Grant, key: IConstruct, statements: Iterable[OwnStatement]) -> "PairedGrant":
        """Return ``grant``, made by the AWS CDK for the identity's half, with its half in the policy of ``key``."""
        # It has no constructor: instances come from the AWS CDK's process.
        grant.__dict__["_key"] = key
        before = grant.__dict__.setdefault("_in_key_policy", [])
        before += [statement for statement in statements if statement not in before]
        grant.__class__ = PairedGrant
        return cast("PairedGrant", grant)

    @property
    def resource_statements(self) -> list[iam.PolicyStatement]:
        """The statements in the key policy."""
        made = [statement.made() for statement in self._in_key_policy]
        return [*super().resource_statements, *made]

    @property
    def resource_statement(self) -> iam.PolicyStatement | None:
        """The first statement in the key policy."""
        found = self.resource_statements
        return found[0] if found else None

    def apply_before(self, *constructs: IConstruct) -> None:
        """Have both halves deployed before these constructs."""
        super().apply_before(*constructs)
        for construct in constructs:
            construct.node.add_dependency(self._key)

    def combine(self, rhs: iam.Grant) -> "PairedGrant":
        """Return both grants as one."""
        others = getattr(rhs, "_in_key_policy", ())
        return self.of(super().combine(rhs), self._key, [*self._in_key_policy, *others])


def management(on_demand_rotation: bool, multi_region: bool, imported_material: bool) -> Sequence[str]:  # noqa: FBT001
    """Return the actions of the administrators of a key with these properties."""
    return (
        *actions.ADMINISTRATION,
        *(actions.ROTATE_ON_DEMAND if on_demand_rotation else ()),
        *(actions.MULTI_REGION_ADMINISTRATION if multi_region else ()),
        *(actions.IMPORT_ADMINISTRATION if imported_material else ()),
    )


class Replication:
    """The statements that leave the replication of a multi-Region key to the app: its Regions, and who deploys there.

    Args:
        home: The stack of the key. KMS replicates into no Region that has the key, so its own stands for none.
    """

    def __init__(self, home: Stack) -> None:
        self._home = home
        try:
            self._at_home: list[str | None] = [deployment_role_arn(home)]
        except DeployerUnknown:
            # It needs no replica of its own Region: with none elsewhere, every principal is denied.
            self._at_home = []
        self._away: dict[str, str | None] = {}
        self.statements = [
            deny.no_replication(deny.SID_DENY_OTHER_REGIONS, {}),
            deny.no_replication(deny.SID_DENY_REPLICATION, {}),
        ]
        self._write()

    def allow(self, stack: Stack) -> None:
        """Let the role that deploys ``stack`` replicate the key to its Region."""
        self._away[stack.region] = deployment_role_arn(stack)
        self._write()

    def _write(self) -> None:
        regions = sorted(self._away)
        others, strangers = self.statements
        others["Condition"] = {"StringNotEquals": {"kms:ReplicaRegion": [self._home.region, *regions]}}
        deployers = [*self._at_home, *(self._away[region] for region in regions)]
        strangers["Condition"] = not_deploying(deployers)


def guardrails(window: Duration | None, perimeter: str | None, protect_while_in_use: Duration | None) -> list[Document]:
    """Return the statements that deny what a correct deployment of this key never does.

    Args:
        window: Waiting period of the key; it cannot be shortened without a change of the key policy.
        perimeter: Organization or account outside of which no principal may use or manage the key.
        protect_while_in_use: How long after its last use the key can be neither disabled nor deleted.
    """
    statements = [deny.grants_for_services_only(), deny.no_lockout_bypass()]
    days = _DEFAULT_WINDOW_DAYS if window is None else None if window.is_unresolved() else int(window.to_days())
    if days is not None and days > deny.SHORTEST_WINDOW_DAYS:
        statements.append(deny.no_deletion_sooner_than(days))
    if protect_while_in_use is not None:
        statements.append(deny.no_end_within(int(protect_while_in_use.to_days())))
    if perimeter is not None:
        statements.append(deny.no_principal_outside(perimeter))
    return statements
