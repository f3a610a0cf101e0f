"""Statements with unknown values as several statements of which each is exact, under propositions as condition keys.

A statement that applies to more, the more its unknown values may be, is written twice: as far as it surely applies, and
as far as it possibly applies, the latter under a condition on a key that no request has (``unknown:…``). The simulator
takes that key for one more condition, of an Allow and of a Deny alike, and reports what is allowed together with the
propositions on which it rests. Unknown accounts and principals are principals of their own, in made-up accounts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from kms_patterns.access.model import Policy
from kms_patterns.access.read.identifiers import may_be_equal
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.statement_ways import Propositions, condition_ways, principal_ways
from kms_patterns.access.unknowns.symbols import (
    GUARD,
    TRUE,
    UNKNOWN,
    Environments,
    Proposition,
    globbed,
    is_symbolic,
    shown,
)

_MOST_WAYS = 256
_FIELDS = 6  # of an ARN
_VERSION = re.compile(r"(arn:[^:]*:lambda:[^:]*:[^:]*:function:[^:]+):([^:]+)")
_VARIABLE = re.compile(r"(?<!:user/)\$\{[^}]+\}|\$\{(?!aws:username\})[^}]+\}")
"""A policy variable whose value the simulator may not be told; whose user ``user/${aws:username}`` is, is known."""
_INSIDE = re.compile(r"arn:(?!(?:[^:]*:){4}).*\*[^:*]")
"""An ARN of too few fields whose star is not the last of its field: it does not surely stand for several fields."""
_KNOWN_MEMBERS = frozenset({"Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"})

Way = tuple[dict[str, Any], Propositions]
"""Members of a statement, and what must hold for them."""


@dataclass(frozen=True)
class Expansion:
    """Writes the policies of one assembly so that each statement is exact.

    Attributes:
        environments: Accounts, Regions and ARNs of the assembly.
    """

    environments: Environments

    def policy(self, policy: Policy) -> Policy:
        """Return ``policy`` with exact statements, each with its number and text in the template."""
        statements: list[Mapping[str, Any]] = []
        sources: list[tuple[int, Mapping[str, Any]]] = []
        for number, statement in enumerate(items(policy.document.get("Statement")), start=1):
            for exact in self._exact(statement, identity=policy.kind == "identity"):
                statements.append(exact)
                sources.append((number, _as_written(statement)))
        document = {**policy.document, "Statement": statements}
        return Policy(policy.where, policy.kind, document, policy.origin, sources)

    def _exact(self, statement: Mapping[str, Any], *, identity: bool) -> list[Mapping[str, Any]]:
        found = []
        parts = [
            self._effects(statement),
            self._names(statement, "Action"),
            self._names(statement, "Resource"),
            [({}, {})] if identity else principal_ways(statement, self.environments),
            condition_ways(statement.get("Condition"), self.environments),
        ]
        if prod(map(len, parts)) > _MOST_WAYS:
            parts = [self._effects(statement), *([self._all(statement, identity=identity)],)]
        rest = {name: value for name, value in statement.items() if name not in {*_KNOWN_MEMBERS, "Effect", GUARD}}
        guard = {(name, "StringEquals"): value for name, value in statement.get(GUARD, ())}
        for ways in product(*parts):
            members = {name: value for way, _ in ways for name, value in way.items()}
            given: Propositions = dict(guard)
            clash = False
            for _, propositions in ways:
                for place, value in propositions.items():
                    clash = clash or given.get(place, value) != value
                    given[place] = value
            if not clash:
                found.append(_with_propositions({**rest, **members}, given))
        return found

    def _effects(self, statement: Mapping[str, Any]) -> list[Way]:
        effect = text(statement.get("Effect", "Allow"))
        if effect in {"Allow", "Deny"}:
            return [({"Effect": effect}, {})]
        name = f"effect {shown(effect)}" if is_symbolic(effect) else f"effect {effect}"
        return [({"Effect": way}, {(name, "StringEquals"): way}) for way in ("Allow", "Deny")]

    def _all(self, statement: Mapping[str, Any], *, identity: bool) -> Way:
        """Return everything that a statement may be about, where there are too many ways to tell them apart."""
        members = {"Action": "*", "Resource": "*"} | ({} if identity else {"Principal": "*"})
        sid = shown(text(statement.get("Sid", "a statement with many unknown values")))
        return members, {(f"{sid} applies", "StringEquals"): TRUE}

    def _names(self, statement: Mapping[str, Any], member: str) -> list[Way]:
        """Return the ways of ``Action`` or ``Resource``, or of ``NotAction`` or ``NotResource``."""
        excluding = f"Not{member}" in statement
        if not excluding and member not in statement:
            return [({}, {})]
        limits = member == "Resource" and statement.get("Effect", "Allow") == ("Allow" if excluding else "Deny")
        named = (text(item) for item in items(statement[f"Not{member}" if excluding else member]))
        values = [value for value in named if not (limits and _INSIDE.match(value))]
        # The simulator takes a resource that is not an ARN for any: only an unknown one with an ARN's form is sure.
        sure = [
            value for value in values if not is_symbolic(value) or (member != "Action" and value.startswith("arn:"))
        ]
        maybe: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for value in values:
            for pattern, given in self._patterns(value, member):
                maybe.setdefault(tuple(given), []).append(pattern)
        if member == "Resource" and not excluding and statement.get("Effect") != "Deny":
            for pattern, given in (found for value in values for found in self._by_way_of(value)):
                if pattern not in sure:
                    maybe.setdefault(tuple(given), []).append(pattern)
        if member == "Resource":
            sure = self.environments.spelled_out(sure)
            maybe = {given: self.environments.spelled_out(patterns) for given, patterns in maybe.items()}
        if not excluding:
            ways: list[Way] = [({member: sure}, {})] if sure else []
            return ways + [
                ({member: patterns}, {(name, "StringEquals"): value for name, value in given})
                for given, patterns in maybe.items()
            ]
        if not maybe:
            return [({f"Not{member}": sure} if sure else {member: "*"}, {})]
        widest = {f"Not{member}": sure} if sure else {member: "*"}
        narrowest = [*sure, *(pattern for patterns in maybe.values() for pattern in patterns)]
        name = f"{member.lower()} is not {' or '.join(shown(value) for value in values)}"
        surely: list[Way] = [] if "*" in narrowest else [({f"Not{member}": narrowest}, {})]
        return [*surely, (widest, {(name, "StringEquals"): TRUE})]

    def _by_way_of(self, value: str) -> Iterator[tuple[str, Sequence[Proposition]]]:
        """Yield what an allowed resource leads to: an access point to a bucket, a version or alias to its function."""
        if version := _VERSION.fullmatch(value):
            given = [(f"version or alias {shown(version[2])}", TRUE)]
            yield version[1], given
            for pattern, further in self._patterns(version[1], "Resource"):
                yield pattern, [*given, *further]
        fields = value.split(":", _FIELDS - 1)
        names_point = may_be_equal(globbed(fields[-1]), "accesspoint/*")
        if len(fields) == _FIELDS and fields[2] == "s3" and (fields[3] or fields[4]) and names_point:
            point, _, key = fields[-1].partition("/object/")
            given = [(f"through access point {shown(':'.join([*fields[:-1], point]))}", TRUE)]
            for arn in self.environments.resources:
                if ":s3:::" in arn:
                    yield arn, given
                    yield f"{arn}/{globbed(key or '*')}", given

    def _patterns(self, value: str, member: str) -> Iterator[tuple[str, Sequence[tuple[str, str]]]]:
        """Yield patterns beside ``value`` that it may come to, with what must hold for that."""
        pattern, given = value, list[Proposition]()
        if is_symbolic(value):
            pattern, given = globbed(value), [(f"{shown(value)} names it", TRUE)]
            yield pattern, given
        elif member == "Resource" and ":s3:" not in value and _VARIABLE.search(value):
            pattern, given = _VARIABLE.sub("*", value), [(f"{value} names it", TRUE)]
            yield pattern, given
        if member == "Resource":
            for other, further in self.environments.elsewhere(pattern):
                yield other, [*given, *further]
            for arn in self.environments.named_by(pattern):
                yield arn, [*given, (f"{shown(arn)} is in {pattern}", TRUE)]


def _with_propositions(statement: dict[str, Any], given: Propositions) -> Mapping[str, Any]:
    if not given:
        return statement
    conditions = {operator: dict(mapping(keys)) for operator, keys in mapping(statement.get("Condition")).items()}
    for (name, operator), value in given.items():
        conditions.setdefault(operator, {})[f"{UNKNOWN}{name}"] = value
    return {**statement, "Condition": conditions}


def _as_written(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in statement.items() if name != GUARD}
