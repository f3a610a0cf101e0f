"""Unknown values as symbols: text that only a deployment knows, between two marks, printed as ``<name>``."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.identifiers import A_NAME, CHOSEN, CHOSEN_UNDER_ANY_NAME, behind, matches, may_be_equal

_OPEN, _CLOSE = "\ue000", "\ue001"
_CHOSEN = re.compile(f"-(?:{CHOSEN}|{CHOSEN_UNDER_ANY_NAME})", re.IGNORECASE)
_FIRST, _HIGH = "\ue100", 0xE200
_APART = re.compile("[\ue100-\uf8ff]+")
_SYMBOL = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")

UNKNOWN = "unknown:"
"""What the condition key of a proposition starts with that only a deployment decides: ``unknown:condition Strict``."""

GUARD = f"{_OPEN}guard"
"""Member of a statement that holds the propositions under which the statement is part of its policy."""

TRUE = "true"

Proposition = tuple[str, str]
"""A proposition and the value that it must have: ``("condition Strict", "true")``."""


def symbol(name: str) -> str:
    """Return the text that stands for an unknown value; equal names are equal values."""
    plain = _SYMBOL.sub(r"\1", name)
    return f"{_OPEN}{re.sub(r'[^A-Za-z0-9._ -]', _kept_apart, plain)}{_CLOSE}"


def _kept_apart(match: re.Match[str]) -> str:
    """Return characters that no policy gives a meaning to, others for each: they are shown as a dash."""
    high, low = divmod(ord(match[0]), 256)
    return match[0] if match[0] >= _FIRST else (chr(_HIGH + high) if high else "") + chr(ord(_FIRST) + low)


def is_symbolic(value: object) -> bool:
    """Return whether ``value`` is, or holds, an unknown value."""
    return _OPEN in (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def is_symbol(value: object) -> bool:
    """Return whether ``value`` is one unknown value and nothing else."""
    return isinstance(value, str) and _SYMBOL.fullmatch(value) is not None


def shown(text: str) -> str:
    """Return ``text`` as reports print it."""
    return _SYMBOL.sub(lambda match: f"<{_APART.sub('-', match[1]).strip('- ')}>", text)


def plain(name: str) -> str:
    """Return a name as reports print it, without what CloudFormation adds to names that it chooses."""
    return _CHOSEN.sub("", shown(name))


def globbed(text: str) -> str:
    """Return a pattern that matches whatever ``text`` may turn out to be."""
    return re.sub(r"\*+", "*", _SYMBOL.sub("*", text))


class MadeUpAccounts:
    """Account ids for what has none in the input: none of them occurs in the input.

    Attributes:
        taken: Account ids that the input holds.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)
        self._given: dict[str, str] = {}
        self._numbers = map(str, count(700_000_000_001))

    def of(self, name: str) -> str:
        """Return the account id that stands for ``name``, the same whenever it is asked for."""
        if name not in self._given:
            self._given[name] = next(number for number in self._numbers if number not in self.taken)
        return self._given[name]

    def of_unknown(self, account: str) -> list[tuple[str, str]]:
        """Return the other unknown accounts and principals, with the account ids that stand for them."""
        return [(name, number) for name, number in self._given.items() if is_symbolic(name) and name != account]

    @property
    def names(self) -> dict[str, str]:
        """What each made-up account id stands for, as printed."""
        return {number: shown(name) for name, number in self._given.items()}


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

    def moved(self, value: str) -> str | None:
        """Return an ARN of another partition as one of ``aws``, which stands for that of an unknown Region."""
        found = re.sub(r"^arn:aws-[^:]*:", "arn:aws:", value)
        return found if found != value and any(region == UNKNOWN_REGION for _, region in self.places) else None

    def elsewhere(self, pattern: str) -> Iterator[tuple[str, Sequence[Proposition]]]:
        """Yield ``pattern`` as it matches in an environment that may be the one that it names.

        ``arn:aws:kms:us-east-1:…`` in a stack of any Region matches there if it is deployed in us-east-1.
        """
        fields = pattern.split(":", _FIELDS - 1)
        if len(fields) < _FIELDS or not re.fullmatch(r"[\d*?]*", fields[_ACCOUNT]):
            return
        for account, region in self.places:
            given: list[Proposition] = []
            new = list(fields)
            if region == UNKNOWN_REGION and not matches(fields[1], "aws"):
                given.append(("<partition>", fields[1]))
                new[1] = "aws"
            for place, actual, name in ((_REGION, region, "<region>"), (_ACCOUNT, account, "<account>")):
                unknown = {UNKNOWN_ACCOUNT, UNKNOWN_REGION} & {fields[place], actual}
                if fields[place] and unknown and not matches(fields[place], actual):
                    given.append((name, fields[place] if actual in unknown else actual))
                    new[place] = actual
            if given:
                yield ":".join(new), given

    def named_by(self, pattern: str) -> Iterator[str]:
        """Yield resources, or objects of buckets, that ``pattern`` names if the unknown part of their name is that."""
        odd = pattern != "*" and not _BY_FIELDS.fullmatch(pattern)
        for arn in (arn for arn in self._open if odd or is_symbolic(arn)):
            head, slash, tail = pattern.partition("/") if ":s3:::" in arn else (pattern, "", "")
            accounts = [UNKNOWN_ACCOUNT, *re.findall(r"\d{12}", head)]
            there = (globbed(arn).replace(UNKNOWN_REGION, A_NAME).replace(UNKNOWN_ACCOUNT, it) for it in accounts)
            if not matches(head, arn) and any(may_be_equal(head, it) for it in there):
                yield f"{arn}{slash}{tail}"
        head, slash, tail = pattern.partition("/") if ":s3:::" in pattern else (pattern, "", "")
        any_head = could_be(head)
        for arn, any_name in self._names.items() if head != "*" and head not in self._names else ():
            open_ = (any_head == head) != (any_name == arn) and ":key/mrk-" not in head
            if open_ and may_name(any_head, _anywhere(any_name)) and not may_name(head, _anywhere(arn)):
                yield f"{arn}{slash}{tail}"

    def spelled_out(self, patterns: Sequence[str]) -> list[str]:
        """Return patterns of resources, with forms that the simulator reads where a star stands for several fields.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
        """
        hidden = [value for value in patterns if value.startswith("arn:") and not _BY_FIELDS.fullmatch(value)]
        forms = (head + tail for value in hidden for head in self._heads for tail in behind(value, head))
        return [*dict.fromkeys([*patterns, *forms])]

    @cached_property
    def _heads(self) -> list[str]:
        """How the ARNs begin that are asked about, up to the name."""
        iam = [f"arn:aws:iam::{account}:{kind}/" for account, _ in self.places for kind in ("role", "user")]
        found = [*iam, *self.resources, *self.principals]
        return [*dict.fromkeys(match[0] for match in map(_HEAD.match, found) if match)]

    @cached_property
    def _open(self) -> list[str]:
        return [arn for arn in self.resources if is_symbolic(arn) or UNKNOWN_ACCOUNT in arn or UNKNOWN_REGION in arn]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {arn: could_be(arn) for arn in self.resources if not is_symbolic(arn)}

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
                yield known, (f"{shown(name)} is {account.replace(UNKNOWN_ACCOUNT, '<account>')}", TRUE)
        if account == UNKNOWN_ACCOUNT:
            for known in sorted({known for known, _ in self.places} - {UNKNOWN_ACCOUNT}):
                yield known, ("<account>", known)
        elif self.agnostic and re.fullmatch(r"[\d?*]+", account) and not matches(account, UNKNOWN_ACCOUNT):
            yield UNKNOWN_ACCOUNT, ("<account>", account)


_HEAD = re.compile(r"arn:(?:[^:]*:){4}(?:key/|role/|user/|function:)?")
_BY_FIELDS = re.compile(rf"arn:[^:]*:[^:]*:[^:]*:(?:[\d*?]*|.*{_OPEN}.*):(?:[^:/]*|[^:/*?]+[:/].*)|arn:[^:]*:s3:::.*")
"""A pattern whose stars each stand for a part of one field, and that names the kind of resource in full."""


_MADE_UP = re.compile(rf"([^:/]*)-([A-Za-z0-9]+)-(?:({CHOSEN})|{CHOSEN_UNDER_ANY_NAME})", re.IGNORECASE)
_LONGEST = 63
_KEY = re.compile(r"key/(mrk-)?[^/:*?]+\.[^/:*?]+")
_KEY_ID = "-".join("?" * length for length in (8, 4, 4, 4, 12))


def could_be(arn: str) -> str:
    """Return a pattern of the names that an ARN or name may have: CloudFormation chooses some, others hold a Region."""

    def pattern(match: re.Match[str]) -> str:
        stack = match[1] if match[3] else A_NAME
        return f"{stack}-{match[2]}-{'?' * 12}*" if len(match[0]) <= _LONGEST else f"{stack[:12]}*"

    *fields, name = arn.split(":", _FIELDS - 1) if arn.startswith("arn:") else [arn]
    name = _KEY.sub(lambda match: f"key/mrk-{'?' * 32}" if match[1] else f"key/{_KEY_ID}", name)
    open_ = _MADE_UP.sub(pattern, name).replace(UNKNOWN_ACCOUNT, "?" * 12).replace(UNKNOWN_REGION, "*")
    return ":".join([*fields, open_])


def settled(value: str) -> str:
    """Return a value, or what stands for it if the account or Region that it holds is not known."""
    return symbol(value) if could_be(value) != value or wild(value) != globbed(value) else value


def may_name(pattern: str, arn: str) -> bool:
    """Return whether two patterns of ARNs may be equal: account and name each, where both have as many fields."""
    one, other = (item.split(":", _FIELDS - 1) for item in (pattern, arn))
    return all(map(may_be_equal, one, other)) if len(one) == len(other) else may_be_equal(pattern, arn)


def _anywhere(arn: str) -> str:
    """Return an ARN with any account and Region where they are not known; its name is left as it is."""
    *place, name = arn.split(":", _FIELDS - 1)
    return ":".join([*map(wild, place), name])


def may_be(one: str, other: str) -> bool:
    """Return whether two ARNs may be one: unknown values, names that AWS chooses, accounts and Regions included."""
    return one == other or may_name(wild(could_be(one)), wild(could_be(other)))


def wild(arn: str) -> str:
    """Return a pattern of all that ``arn`` may come to."""
    return globbed(arn).replace(UNKNOWN_ACCOUNT, "*").replace(UNKNOWN_REGION, "*")
