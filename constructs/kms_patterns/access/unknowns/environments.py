"""Accounts and Regions of an assembly, and what of it a name in a policy may mean."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.unknowns.symbols import (
    TRUE,
    MadeUpAccounts,
    Proposition,
    globbed,
    is_symbolic,
    may_be_equal,
    shown,
)

_FIELDS = 6
_REGION, _ACCOUNT = 3, 4


@dataclass(frozen=True)
class Environments:
    """What may be meant by a name in a policy of the assembly.

    Attributes:
        places: Account and Region of every stack; those of an environment-agnostic one are ``UNKNOWN_…``.
        accounts: Every account of the stacks and of the principals that policies name.
        principals: ARNs of the assembly's principals and of those that policies name.
        resources: ARNs of keys, buckets, functions and roles.
        services: Service principals that policies name.
        providers: Identity providers that policies name.
        made_up: Account ids for what has none.
    """

    places: Sequence[tuple[str, str]]
    accounts: Sequence[str] = ()
    principals: Sequence[str] = ()
    resources: Sequence[str] = ()
    services: Sequence[str] = ()
    providers: Sequence[str] = ()
    made_up: MadeUpAccounts = field(default_factory=MadeUpAccounts)

    @property
    def agnostic(self) -> bool:
        """Whether a stack may be deployed to any account."""
        return any(account == UNKNOWN_ACCOUNT for account, _ in self.places)

    def elsewhere(self, pattern: str) -> Iterator[tuple[str, Sequence[Proposition]]]:
        """Yield ``pattern`` as it matches in an environment that may be the one that it names.

        ``arn:aws:kms:us-east-1:…`` in a stack of any Region matches there if it is deployed in us-east-1.
        """
        fields = pattern.split(":", _FIELDS - 1)
        if len(fields) < _FIELDS:
            return
        for account, region in self.places:
            given: list[Proposition] = []
            new = list(fields)
            for place, actual, name in ((_REGION, region, "<region>"), (_ACCOUNT, account, "<account>")):
                unknown = {UNKNOWN_ACCOUNT, UNKNOWN_REGION} & {fields[place], actual}
                if fields[place] and unknown and not matches(fields[place], actual):
                    given.append((name, fields[place] if actual in unknown else actual))
                    new[place] = actual
            if given:
                yield ":".join(new), given

    def named_by(self, pattern: str) -> Iterator[str]:
        """Yield resources, or objects of buckets, that ``pattern`` names if the unknown part of their name is that."""
        short = pattern.count(":") < _FIELDS - 1 and pattern != "*"
        for arn in self.resources:
            if not (is_symbolic(arn) or (short and (UNKNOWN_ACCOUNT in arn or UNKNOWN_REGION in arn))):
                continue
            head, slash, tail = pattern.partition("/") if ":s3:::" in arn else (pattern, "", "")
            if not matches(head, arn) and may_be_equal(head, wild(arn)):
                yield f"{arn}{slash}{tail}"

    def other_accounts(self, account: str) -> Iterator[tuple[str, Proposition]]:
        """Yield accounts that ``account`` may be, with what must hold for that."""
        if is_symbolic(account):
            for known in self.accounts:
                yield known, (f"{shown(account)} is {known}", TRUE)
            for name, known in self.made_up.of_unknown(account):
                yield known, (f"{shown(account)} is {shown(name)}", TRUE)
            return
        if re.fullmatch(r"\d{12}", account):
            for name, known in self.made_up.of_unknown(account):
                yield known, (f"{shown(name)} is {_named(account)}", TRUE)
        if account == UNKNOWN_ACCOUNT:
            for known in sorted({known for known, _ in self.places} - {UNKNOWN_ACCOUNT}):
                yield known, ("<account>", known)
        elif self.agnostic and re.fullmatch(r"[\d?*]+", account) and not matches(account, UNKNOWN_ACCOUNT):
            yield UNKNOWN_ACCOUNT, ("<account>", account)


def _named(account: str) -> str:
    return "<account>" if account == UNKNOWN_ACCOUNT else account


def matches(pattern: str, text: str) -> bool:
    """Return whether ``text`` matches ``pattern``, which may hold ``*`` and ``?``."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None


def wild(arn: str) -> str:
    """Return a pattern of all that ``arn`` may come to."""
    return globbed(arn).replace(UNKNOWN_ACCOUNT, "*").replace(UNKNOWN_REGION, "*")
