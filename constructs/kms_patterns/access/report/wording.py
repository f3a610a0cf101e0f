"""Conditions in words, short enough for one line of a report."""

import re

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, AllOf, Condition, Leaf
from kms_patterns.access.evaluate.entries import Escalation, EscalationStep
from kms_patterns.access.report.visible import quoted
from kms_patterns.access.unknowns.symbols import TRUE, UNKNOWN

_WORDS = {
    "stringequals": "=",
    "stringnotequals": "!=",
    "stringequalsignorecase": "=",
    "stringnotequalsignorecase": "!=",
    "stringlike": "matches",
    "stringnotlike": "does not match",
    "arnequals": "=",
    "arnlike": "matches",
    "arnnotequals": "!=",
    "arnnotlike": "does not match",
    "bool": "=",
    "numericequals": "=",
    "numericnotequals": "!=",
    "numericlessthan": "<",
    "numericlessthanequals": "<=",
    "numericgreaterthan": ">",
    "numericgreaterthanequals": ">=",
    "dateequals": "=",
    "datenotequals": "!=",
    "datelessthan": "before",
    "datelessthanequals": "not after",
    "dategreaterthan": "after",
    "dategreaterthanequals": "not before",
    "ipaddress": "in",
    "notipaddress": "not in",
}
_SETS = {"forallvalues": "every", "foranyvalue": "some"}


def in_words(condition: Condition) -> str:
    """Return ``condition`` as text: ``always``, or conditions joined by ``and`` and ``or``."""
    if condition == ALWAYS:
        return "always"
    if condition == NEVER:
        return "never"
    if isinstance(condition, Leaf):
        return _leaf(condition)
    joint = " and " if isinstance(condition, AllOf) else " or "
    return joint.join(sorted(_bracketed(item) for item in condition.items))


_MOST_METHODS = 3


def escalation_text(item: Escalation) -> str:
    """Return by which steps a principal can come to use a key."""
    steps = "; then ".join(_step(step) for step in item.path)
    return steps if item.condition == ALWAYS else f"{steps}, when {in_words(item.condition)}"


def _step(step: EscalationStep) -> str:
    more = len(step.methods) - _MOST_METHODS
    methods = " or ".join(step.methods[:_MOST_METHODS]) + (f" or {more} more ways" if more > 0 else "")
    if step.effect == "change":
        return f"can change what {step.target} allows, by {methods}"
    return f"can become {step.target} by {methods}"


def _bracketed(condition: Condition) -> str:
    text = in_words(condition)
    return text if isinstance(condition, Leaf) else f"({text})"


def _proposition(leaf: Leaf) -> str:
    """Return what only a deployment decides, in words."""
    name, values = leaf.key.removeprefix(UNKNOWN), " or ".join(leaf.values)
    said = name if values == TRUE else f"{name} is {values}"
    return f"not ({said})" if "Not" in leaf.op else said


_OF_THE_ASSEMBLY = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]*:(?:<region>)?:(?:<account>)?:(?:[a-z-]+/)?(<[^>]+>)")
"""An ARN that says no more than the readable name in it."""


def _leaf(leaf: Leaf) -> str:
    if leaf.key.startswith(UNKNOWN):
        return _proposition(leaf)
    quantifier, _, operator = leaf.op.rpartition(":")
    base = operator.removesuffix("IfExists")
    if base.lower() == "null":
        return f"{quoted(leaf.key)} is {'absent' if leaf.values == ('true',) else 'present'}"
    words = _WORDS.get(base.lower(), base)
    joint = " nor " if words.startswith(("!=", "not", "does not")) else " or "
    values = [quoted(_OF_THE_ASSEMBLY.sub(r"\1", value)) for value in leaf.values]
    text = f"{quoted(leaf.key)} {words} {values[0] if len(values) == 1 else f'({joint.join(values)})'}"
    if quantifier:
        text = f"{_SETS.get(quantifier.lower(), quantifier)} {text}"
    return f"{text} (or absent)" if operator.endswith("IfExists") else text
