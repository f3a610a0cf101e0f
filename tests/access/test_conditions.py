"""Conditions keep their meaning when they are simplified, and say what a deny leaves open."""

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_patterns.access.evaluate.conditions import from_block, from_json, from_simulator, holds, to_json
from kms_patterns.access.evaluate.expressions import ALWAYS, NEVER, AllOf, AnyOf, Condition, Leaf, all_of, any_of
from kms_patterns.access.report.wording import in_words

VALUES = ("a", "b", None)
KEYS = ("one", "two")

leaves = st.builds(
    Leaf,
    st.sampled_from(["StringEquals", "StringNotEquals"]),
    st.sampled_from(KEYS),
    st.sets(st.sampled_from(["a", "b"]), min_size=1).map(lambda values: tuple(sorted(values))),
) | st.builds(Leaf, st.just("Null"), st.sampled_from(KEYS), st.sampled_from([("true",), ("false",)]))
trees = st.recursive(
    leaves,
    lambda inner: st.builds(AllOf, st.tuples(inner, inner)) | st.builds(AnyOf, st.tuples(inner, inner)),
    max_leaves=8,
)


def simplified(condition: Condition) -> Condition:
    if isinstance(condition, Leaf):
        return condition
    join = all_of if isinstance(condition, AllOf) else any_of
    return join(simplified(item) for item in condition.items)


def matches(leaf: Leaf, context: dict[str, str | None]) -> bool:
    value = context[leaf.key]
    if leaf.op == "Null":
        return (value is None) is (leaf.values == ("true",))
    if leaf.op == "StringEqualsIfExists":
        return value is None or value in leaf.values
    return (value in leaf.values) is (leaf.op == "StringEquals")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_simplifying_keeps_the_meaning(tree: Condition) -> None:
    shorter = simplified(tree)
    for values in product(VALUES, repeat=len(KEYS)):
        context = dict(zip(KEYS, values, strict=True))
        assert holds(shorter, lambda leaf, at=context: matches(leaf, at)) is holds(
            tree, lambda leaf, at=context: matches(leaf, at)
        )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_json_keeps_simplified_conditions(tree: Condition) -> None:
    assert from_json(to_json(simplified(tree))) == simplified(tree)


def test_conjunct_is_not_repeated_in_alternatives() -> None:
    via, inbox, vault = (Leaf("StringEquals", key, ("x",)) for key in ("via", "inbox", "vault"))
    assert all_of([via, any_of([all_of([via, inbox]), all_of([via, vault])])]) == all_of([via, any_of([inbox, vault])])


def test_same_key_is_one_condition() -> None:
    one, two = (Leaf("StringEquals", "k", (value,)) for value in ("1", "2"))
    assert any_of([two, one]) == Leaf("StringEquals", "k", ("1", "2"))
    assert in_words(any_of([two, one])) == "k = (1 or 2)"


def test_equal_or_absent_is_written_as_iam_does() -> None:
    absent = Leaf("Null", "k", ("true",))
    assert any_of([absent, Leaf("StringEquals", "k", ("v",))]) == Leaf("StringEqualsIfExists", "k", ("v",))


@pytest.mark.parametrize(
    ("operator", "key", "expected"),
    [
        ("Bool", "aws:MultiFactorAuthPresent", "BoolIfExists"),
        ("Bool", "aws:SecureTransport", "Bool"),
        ("NumericGreaterThanEquals", "s3:TlsVersion", "NumericGreaterThanEqualsIfExists"),
        ("StringNotEquals", "aws:PrincipalOrgID", "StringNotEquals"),
    ],
)
def test_deny_does_not_match_where_its_key_is_absent(operator: str, key: str, expected: str) -> None:
    turned = {"conditionType": "condition", "op": operator, "key": key, "values": ["1"], "inverted": True}
    assert from_simulator(turned) == Leaf(expected, key, ("1",))


def test_allow_keeps_its_operator() -> None:
    leaf = {"conditionType": "condition", "op": "Bool", "key": "aws:MultiFactorAuthPresent", "values": ["true"]}
    assert from_simulator(leaf) == Leaf("Bool", "aws:MultiFactorAuthPresent", ("true",))


def test_no_condition_is_always_and_nothing_is_never() -> None:
    assert (from_block(None), from_block({})) == (ALWAYS, ALWAYS)
    assert any_of([]) == NEVER
    assert (in_words(ALWAYS), in_words(NEVER)) == ("always", "never")


def test_block_values_are_texts() -> None:
    assert from_block({"Bool": {"k": True}, "NumericLessThan": {"n": 1.2}}) == all_of(
        [Leaf("Bool", "k", ("true",)), Leaf("NumericLessThan", "n", ("1.2",))]
    )


def test_arns_of_the_assembly_are_shortened() -> None:
    leaf = Leaf("ArnEquals", "k", ("arn:aws:kms:<region>:<account>:key/<Data/Key>",))
    assert in_words(leaf) == "k = <Data/Key>"
    other = Leaf("ArnEquals", "k", ("arn:aws:kms:<region>:222222222222:key/<Data/Key>",))
    assert in_words(other) == "k = arn:aws:kms:<region>:222222222222:key/<Data/Key>"
