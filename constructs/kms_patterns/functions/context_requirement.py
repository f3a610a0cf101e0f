"""The encryption context that a pattern requires: checked at synth, handed to the functions, written into grants."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Token

# The Encryption SDK keeps these names for itself.
_RESERVED_PREFIX = "aws-crypto-"


@dataclass(frozen=True)
class RequiredContext:
    """Fixed pairs and required names of an encryption context.

    Attributes:
        fixed: Pairs that every message of the pattern has.
        names: Names that every caller must give a value for, beyond the fixed ones.
    """

    fixed: Mapping[str, str]
    names: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the handlers enforce the same context."""
        return {
            "ENCRYPTION_CONTEXT": json.dumps(dict(self.fixed), sort_keys=True),
            "REQUIRED_CONTEXT_KEYS": json.dumps(list(self.names)),
        }


def required_context(fixed: Mapping[str, str] | None, names: Sequence[str]) -> RequiredContext:
    """Check and return the context that a pattern requires.

    Args:
        fixed: Pairs that every message has, or nothing.
        names: Names that every caller must give a value for; a name that ``fixed`` has too needs none.

    Raises:
        TypeError: ``names`` is a string.
        ValueError: A name is empty or reserved, two differ in case only, or a value is empty: no call would pass.

    See https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
    """
    if isinstance(names, str):
        raise TypeError(f"required_context is the string {names!r}: give a list of names, or each letter would be one")
    pairs = dict(fixed or {})
    for name in (*pairs, *names):
        _check_name(name)
    for name, value in pairs.items():
        if not Token.is_unresolved(value) and not value:
            raise ValueError(f"encryption_context[{name!r}] is empty: give a value, or name it in required_context")
    folded = [name.lower() for name in {*pairs, *names}]
    doubled = sorted({name for name in folded if folded.count(name) > 1})
    if doubled:
        raise ValueError(
            f"encryption context names {doubled} differ in case only: KMS would tell them apart, IAM would not. "
            "Use one spelling."
        )
    return RequiredContext(pairs, tuple(name for name in dict.fromkeys(names) if name not in pairs))


def needed_context(pattern: str, fixed: Mapping[str, str] | None, names: Sequence[str], risk: str) -> RequiredContext:
    """Return the same of a pattern that refuses to be without one: ``risk`` is what would be so then."""
    context = required_context(fixed, names)
    if not context.fixed and not context.names:
        raise ValueError(
            f"{pattern} needs an encryption context: required_context is empty and encryption_context is missing. "
            f'Name at least one, such as required_context=["tenant"]; without it {risk}.'
        )
    return context


def _check_name(name: str) -> None:
    if not name or name != name.strip():
        raise ValueError(f"encryption context name {name!r} is empty or padded with blanks: no call would match it")
    if name.lower().startswith(_RESERVED_PREFIX):
        raise ValueError(f"encryption context name {name!r} is reserved: names may not start with {_RESERVED_PREFIX}")
