"""The policy of one key, kept in Python and handed to the AWS CDK when it writes the template."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import jsii
from aws_cdk import IResolvable, IResolveContext, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import IConstruct

from kms_patterns.keys.environment import reference_of
from kms_patterns.policy.statements import Document, as_one, groups

_POLICY: Final = "keyPolicy"


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


class KeyPolicy(iam.PolicyDocument):
    """The statements of this package, in their order, and after them those of callers and of other constructs."""

    def __init__(self) -> None:
        super().__init__()
        self._statements: list[OwnStatement] = []
        self._others: iam.PolicyDocument | None = None
        self._groupable: set[str] = set()
        self._settled: tuple[kms.CfnKey, IResolvable] | None = None
        self.elsewhere: set[str] = set()
        """Ids of the statements whose other half is not in this app."""

    def add(self, statement: OwnStatement, *, shared: bool = False, elsewhere: bool = False) -> OwnStatement:
        """Add a statement of this package.

        Args:
            statement: The statement.
            shared: Whether it may become one with others that differ in their roles only.
            elsewhere: Whether the policy of its role or user is not in this app.
        """
        self.release()
        self._statements.append(statement)
        if elsewhere:
            # The check of void grants finds them by their ids, so they stay as they are.
            self.elsewhere.add(statement.sid)
        elif shared:
            self._groupable.add(statement.sid)
        return statement

    def add_of_others(self, statement: iam.PolicyStatement) -> None:
        """Write a statement of a caller or of another construct after those of this package."""
        self.release()
        self._others = self._others or iam.PolicyDocument()
        self._others.add_statements(statement)

    def resolve(self, context: IResolveContext) -> Any:
        """Return the policy document, or while the AWS CDK looks for references, what refers to something."""
        if not jsii.get(context, "preparing"):
            return documents({"": self}, context.resolve)[""]
        texts: dict[str, Any] = {}
        statements = self.rendered()
        referring = list(texts) if _collect(statements, texts) else statements
        return [*referring, *([self._others] if self._others else [])]

    def rendered(self) -> list[Document]:
        """Return the statements of this package, unresolved."""
        return [statement.rendered() for statement in self._statements]

    def document(self, own: Sequence[Document], resolve: Callable[[Any], Any]) -> Document:
        """Return the policy document.

        Roles with equal grants share a statement only now: until then a caller may narrow the statement of one.

        Args:
            own: What :meth:`rendered` returned, resolved.
            resolve: Resolves what others added.
        """
        others = resolve(self._others)["Statement"] if self._others else []
        shared = [as_one([own[it] for it in numbers], sid) for numbers, sid in groups(own, self._groupable)]
        return {"Statement": [*shared, *others], "Version": "2012-10-17"}

    def settle(self, resource: kms.CfnKey, written: IResolvable) -> None:
        """Have the AWS CDK write ``written`` as the policy of ``resource``, without a further question to Python."""
        resource.key_policy, self._settled = written, (resource, written)

    def release(self) -> None:
        """Undo :meth:`settle`: the app may change the policy before it is synthesized again."""
        if self._settled is not None:
            (resource, written), self._settled = self._settled, None
            now = resource.key_policy
            # Not if the app has given the resource another policy.
            if now is not None and not isinstance(now, dict) and reference_of(now) == reference_of(written):
                resource.key_policy = self


def own_policies(properties: Mapping[str, Any]) -> dict[str, KeyPolicy]:
    """Take the policies of this package out of the properties of resources; return them by the same names."""
    given = {path: it for path, it in properties.items() if isinstance(it, dict)}
    return {path: it.pop(_POLICY) for path, it in given.items() if isinstance(it.get(_POLICY), KeyPolicy)}


def documents(policies: Mapping[str, KeyPolicy], resolve: Callable[[Any], Any]) -> dict[str, Document]:
    """Return the documents of key policies of one stack, resolved together, by the same names."""
    own = _resolved([policy.rendered() for policy in policies.values()], resolve) if policies else []
    return {path: policies[path].document(it, resolve) for path, it in zip(policies, own, strict=True)}


def settle(found: Sequence[tuple[KeyPolicy, kms.CfnKey, Document]]) -> list[KeyPolicy]:
    """Have the AWS CDK write key policies as they are resolved; return those of which it will not ask again.

    A statement of several keys is sent to its process once.
    """
    texts = [[json.dumps(it) for it in document["Statement"]] for _, _, document in found]
    counted = Counter(text for statements in texts for text in statements)
    sent = {text: Token.as_any(json.loads(text)) for text, count in counted.items() if count > 1}
    for (policy, resource, document), statements in zip(found, texts, strict=True):
        written = [sent.get(text) or json.loads(text) for text in statements]
        policy.settle(resource, Token.as_any({**document, "Statement": written}))
    return [policy for policy, _, _ in found]


def _resolved(statements: Sequence[Any], resolve: Callable[[Any], Any]) -> Sequence[Any]:
    """Return statements without tokens: those in texts are asked for together, each once."""
    texts: dict[str, Any] = {}
    if not _collect(statements, texts):
        whole: Sequence[Any] = resolve(statements)
        return whole
    found = dict(zip(texts, resolve(list(texts)), strict=True))
    return cast("Sequence[Any]", _replaced(statements, found))


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
