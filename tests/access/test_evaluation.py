"""Decisions, conditions, scopes of objects, and comparisons of conditions."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate import evaluation as evaluation_module
from kms_patterns.access.evaluate.access_conditions import (
    ALWAYS,
    NEVER,
    AllOf,
    AnyOf,
    Condition,
    Leaf,
    all_of,
    any_of,
    from_block,
    from_json,
    from_simulator,
    holds,
    leaves,
    to_json,
)
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.entries import is_part
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding, Names, evaluate
from kms_patterns.access.evaluate.requests import batch
from kms_patterns.access.evaluate.simulator import SimulationFailed, Simulator, discoverable
from kms_patterns.access.evaluate.widening import Change, Judge, Value, examples, witness_values
from kms_patterns.access.model import Model, Policy, Resource, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.wording import in_words
from tests.access.simulator_cases import judged
from tests.access.unknown_policies import Case, random_model

MOST_CONTEXTS = 40
MOST_RESOURCES = 30
UNLISTED = {
    "kms:Decapsulate",
    "kms:Encapsulate",
    "kms:SynchronizeMultiRegionKey",
    "s3:AllowVendedLogDeliveryForResource",
}
"""Not in the simulator's action data, or without a context key there that we give."""


def decisions(found: Evaluation) -> set[tuple[str, str, str | None, str, str]]:
    return {
        (
            finding.request.principal.id,
            finding.request.resource.id,
            finding.request.scope,
            finding.action.name,
            repr(finding.condition),
        )
        for finding in found.findings
    }


def some_of(model: Model) -> Model:
    """Return a model of the size that is asked about one by one in seconds: stacks of a large app by turns."""
    if len(model.resources) <= MOST_RESOURCES:
        return model
    stacks = set(model.stacks[:: len(model.resources) // MOST_RESOURCES + 1])
    return replace(
        model,
        principals=[who for who in model.principals if who.stack is None or who.stack in stacks],
        resources=[what for what in model.resources if what.stack in stacks],
    )


def test_actions_decided_together_are_decided_as_alone(
    whole_app: str, assembly: Callable[[str], Path], running: Simulator
) -> None:
    model = some_of(read_model(assembly(whole_app)))
    together = evaluate(model, running)
    assert decisions(together) == decisions(evaluate(model, running, each="alone"))
    assert together.count > 300


def test_pairs_that_are_not_asked_about_are_denied(
    foreign_app: str, assembly: Callable[[str], Path], running: Simulator
) -> None:
    model = some_of(read_model(assembly(foreign_app)))
    some, every = evaluate(model, running), evaluate(model, running, every_pair=True)
    assert decisions(some) == decisions(every)
    assert len(some.requests) < len(every.requests)


@pytest.mark.parametrize("seed", range(200, 205))
def test_pairs_with_unknown_values_that_are_not_asked_about_are_denied(
    seed: int, running: Simulator, tmp_path: Path
) -> None:
    model = random_model(Case(seed), tmp_path)
    assert decisions(evaluate(model, running)) == decisions(evaluate(model, running, every_pair=True))


def test_simulators_front_door_decides_alike(
    foreign_app: str, assembly: Callable[[str], Path], running: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_what_it_does_not_know(request: Any, table: Any, each: str = "validated") -> dict[str, Any]:
        asked = batch(request, table, "validated")
        return {**asked, "actions": [name for name in asked["actions"] if name not in UNLISTED]}

    model = read_model(assembly(foreign_app))
    fast = {item for item in decisions(evaluate(model, running)) if item[3] not in UNLISTED}
    monkeypatch.setattr(evaluation_module, "batch", without_what_it_does_not_know)
    assert decisions(evaluate(model, running)) == fast


def test_condition_holds_exactly_where_the_request_is_allowed(
    whole_app: str, assembly: Callable[[str], Path], running: Simulator
) -> None:
    """Every condition of the matrix, tried in the contexts that it tells apart, against strict evaluation."""
    model = replace(some_of(read_model(assembly(whole_app))), names={})
    found = evaluate(model, running)
    places = {id(policy): place for place, policy in found.policies.items()}
    conditional = [item for item in found.findings if item.condition != ALWAYS and known(item, places)]
    distinct = {(item.request, repr(item.condition)): item for item in conditional}
    judge = Judge(running, [(item.condition, item.condition) for item in distinct.values()])
    tried = 0
    for item in distinct.values():
        for context in contexts(item):
            expected = holds(item.condition, lambda leaf, at=context: judge._truth[leaf, at[leaf.key.lower()]])
            assert strictly(item, context, places, running) is expected, (item.request.principal.id, context)
            tried += 1
    assert tried > 5


def known(item: Finding, places: dict[int, int]) -> bool:
    policies = [*item.request.principal.identity, *(item.request.principal.boundaries or ())]
    resource = [item.request.resource.policy] if item.request.resource.policy else []
    return all(id(policy) in places for policy in [*policies, *resource])


def contexts(item: Finding) -> list[dict[str, Value]]:
    by_key: dict[str, list[Any]] = {}
    for leaf in leaves(item.condition):
        by_key.setdefault(leaf.key.lower(), []).append(leaf)
    values = [witness_values(sorted(set(about), key=repr)) for about in by_key.values()]
    return [dict(zip(by_key, combination, strict=True)) for combination in islice(product(*values), MOST_CONTEXTS)]


def strictly(item: Finding, context: dict[str, Value], places: dict[int, int], running: Simulator) -> bool:
    asked = batch(item.request, places, "alone")
    said = {
        key: value.replace("<account>", UNKNOWN_ACCOUNT).replace("<region>", UNKNOWN_REGION)
        for key, value in context.items()
        if isinstance(value, str)
    }
    asked |= {"mode": "Strict", "known": [], "actions": [item.action.name], "context": {**asked["context"], **said}}
    return bool(running.ask(asked)["allowed"])


@pytest.mark.parametrize(
    "answer", [{"errors": {}, "ignored": ["kms:Decrypt: key"]}, {"errors": {"a": {}}, "ignored": []}]
)
def test_answer_to_another_question_is_an_error(
    answer: dict[str, Any], assembly: Callable[[str], Path], running: Simulator
) -> None:
    request = evaluate(read_model(assembly("convenient_grants")), running).requests[0]
    with pytest.raises(SimulationFailed, match="ignored"):
        list(evaluation_module._read(request, {"allowed": {}, **answer}, Names({})))


def test_policy_that_the_simulator_refuses_is_listed_and_may_allow_anything(
    assembly: Callable[[str], Path], running: Simulator
) -> None:
    model = read_model(assembly("convenient_grants"))
    broken = Policy("broken key policy", "resource", {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]})
    resources: list[Resource] = [
        replace(item, policy=broken) if item.kind is ResourceKind.KEY else item for item in model.resources
    ]
    found = evaluate(replace(model, resources=resources), running)
    assert [item.where for item in found.refused] == ["broken key policy"]
    on_keys = [item.condition for item in found.findings if item.request.resource.kind is ResourceKind.KEY]
    assert {*on_keys} == {Leaf("StringEquals", "unknown:AWS accepts broken key policy", ("true",))}


VALUES = ("a", "b", None)
KEYS = ("one", "two")

leaf_strategy = st.builds(
    Leaf,
    st.sampled_from(["StringEquals", "StringNotEquals"]),
    st.sampled_from(KEYS),
    st.sets(st.sampled_from(["a", "b"]), min_size=1).map(lambda values: tuple(sorted(values))),
) | st.builds(Leaf, st.just("Null"), st.sampled_from(KEYS), st.sampled_from([("true",), ("false",)]))
trees = st.recursive(
    leaf_strategy,
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


VIA = "kms:ViaService"
S3 = {"StringEquals": {VIA: "s3.eu-west-1.amazonaws.com"}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (S3, None, Change.WIDENED),
        (None, S3, Change.NARROWED),
        (S3, {"StringEquals": {VIA: "sqs.eu-west-1.amazonaws.com"}}, Change.CHANGED),
        (S3, {"StringLike": {VIA: "s3.*.amazonaws.com"}}, Change.WIDENED),
        ({"StringLike": {VIA: "s3.*"}}, {"StringLike": {VIA: "s3.eu-*"}}, Change.NARROWED),
        (S3, {"StringLike": {VIA: "s3.eu-west-1.amazonaws.com"}}, Change.SAME),
        (S3, {"StringEqualsIfExists": S3["StringEquals"]}, Change.WIDENED),
        (S3, {"StringNotEquals": S3["StringEquals"]}, Change.CHANGED),
        (S3, {"StringEqualsIgnoreCase": S3["StringEquals"]}, Change.WIDENED),
        (S3, {"StringEquals": {VIA: ["s3.eu-west-1.amazonaws.com", "sqs.eu-west-1.amazonaws.com"]}}, Change.WIDENED),
        (S3, {"StringEquals": {**S3["StringEquals"], "kms:CallerAccount": "1"}}, Change.NARROWED),
        ({"Null": {"kms:EncryptionContext:t": "false"}}, {"StringLike": {"kms:EncryptionContext:t": "*"}}, Change.SAME),
        ({"Null": {"kms:EncryptionContext:t": "false"}}, {"Null": {"kms:EncryptionContext:t": "true"}}, Change.CHANGED),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"BoolIfExists": {"aws:SecureTransport": "true"}}, Change.SAME),
        ({"Bool": {"aws:ViaAWSService": "true"}}, {"BoolIfExists": {"aws:ViaAWSService": "true"}}, Change.WIDENED),
        ({"NumericLessThan": {"s3:max-keys": "10"}}, {"NumericLessThanEquals": {"s3:max-keys": "10"}}, Change.WIDENED),
        (
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            {"IpAddress": {"aws:SourceIp": "10.0.0.0/16"}},
            Change.NARROWED,
        ),
        (
            {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}},
            {"DateLessThan": {"aws:CurrentTime": "2028-01-01T00:00:00Z"}},
            Change.WIDENED,
        ),
        (
            {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::inbox"}},
            {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}},
            Change.WIDENED,
        ),
        (
            {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a"]}},
            {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a", "b"]}},
            Change.WIDENED,
        ),
        (
            {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["a"]}},
            {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a"]}},
            Change.CHANGED,
        ),
    ],
)
def test_change_is_decided_by_evaluation(
    old: dict[str, dict[str, str]] | None, new: dict[str, dict[str, str]] | None, expected: Change, running: Simulator
) -> None:
    pair = from_block(old), from_block(new)
    assert Judge(running, [pair]).compare(*pair).change is expected


@pytest.mark.parametrize(
    ("changed", "within"),
    [
        ({"Principal": {"AWS": "a"}}, True),
        ({"Principal": {"AWS": ["a", "c"]}}, False),
        ({"Principal": {"Service": "a"}}, False),
        ({"Condition": {"Bool": {"x": "true"}}}, True),
        ({"Condition": {"Null": {"y": "true"}}, "Action": "kms:*"}, False),
        ({"NotAction": "kms:Sign"}, False),
        ({"Action": "KMS:SignAll"}, True),
        ({"Action": "kms:*"}, False),
    ],
)
def test_statement_that_names_no_more_than_one_that_goes_is_no_gain(changed: dict[str, Any], *, within: bool) -> None:
    old = {"Effect": "Allow", "Action": ["kms:Sign*", "kms:Decrypt"], "Principal": {"AWS": ["a", "b"]}}
    assert is_part({**old, "Action": "kms:Sign", **changed}, old) is within
    assert not is_part({}, {})


def test_verdict_shows_a_request_that_only_the_new_condition_allows(running: Simulator) -> None:
    pair = from_block(S3), ALWAYS
    verdict = Judge(running, [pair]).compare(*pair)
    assert verdict.newly_allowed == {VIA: None}
    assert verdict.newly_denied is None


def test_examples_match_every_combination_of_patterns() -> None:
    found = examples(["s3.*", "*.com", "s?.x"])
    combinations = {
        (text.startswith("s3."), text.endswith(".com"), len(text) == 4 and text[::2] == "s.") for text in found
    }
    assert (True, True, False) in combinations
    assert (True, False, False) in combinations
    assert (False, True, False) in combinations
    assert "s3.x" in found or any(text == "s3.x" for text in examples(["s3.*", "s?.x"]))


def test_too_many_contexts_count_as_changed(running: Simulator) -> None:
    keys = {f"aws:PrincipalTag/{number}": ["a", "b", "c"] for number in range(9)}
    pair = from_block({"StringEquals": keys}), from_block({"StringLike": keys})
    assert Judge(running, [pair]).compare(*pair).change is Change.CHANGED


Statements = list[dict[str, Any]]
Evaluate = Callable[[Statements], AccessMatrix]


@pytest.fixture
def of_user(tmp_path: Path, running: Simulator) -> Evaluate:
    """Evaluate a user with these statements and a bucket without a policy."""

    def evaluate(statements: Statements) -> AccessMatrix:
        policy = {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
        bucket: dict[str, Any] = {"BucketName": "files"}
        encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        bucket["BucketEncryption"] = {"ServerSideEncryptionConfiguration": [encryption]}
        resources = {
            "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": "alice", "Policies": [policy]}},
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": bucket},
        }
        path = tmp_path / "Stack.template.json"
        path.write_text(json.dumps({"Resources": resources}))
        return build_with(read_model(path), running)

    return evaluate


def allow(pattern: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{pattern}"}


def scopes(matrix: AccessMatrix) -> dict[str | None, str]:
    return {
        entry.scope: in_words(entry.condition)
        for entry in matrix.entries
        if (entry.principal, entry.resource, entry.action) == ("Stack/User", "Stack/Bucket", "s3:GetObject")
    }


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([allow("files/*")], {None: "always"}),
        ([allow("*")], {None: "always"}),
        ([allow("f*/*")], {None: "always"}),
        ([allow("other/*")], {}),
        ([allow("files/shared/*")], {"shared/*": "always"}),
        ([allow("files/*"), allow("files/vault/*", "Deny")], {None: "always", "vault/*": "never"}),
        ([allow("files/a/*"), allow("files/a/b/*", "Deny")], {"a/*": "always", "a/b/*": "never"}),
        ([allow("files/a/*"), allow("files/b/*", "Deny")], {"a/*": "always"}),
        ([allow("fi*.txt")], {"*.txt": "always"}),
        ([allow("files*/x/*.txt")], {"*/x/*.txt": "always", "x/*.txt": "always"}),
        ([allow("files/*"), allow("*secret*", "Deny")], {None: "always", "*secret*": "never"}),
        ([allow("files/home/${aws:username}/*")], {"home/${aws:username}/*": "always"}),
        ([allow("files/${aws:PrincipalTag/team}/*")], {"${aws:PrincipalTag/team}/*": "always"}),
        ([allow("files/one-object")], {"one-object": "always"}),
    ],
)
def test_scope(statements: Statements, expected: dict[str | None, str], of_user: Evaluate) -> None:
    assert scopes(of_user(statements)) == expected


def test_bucket_under_the_aws_managed_key_says_so(of_user: Evaluate) -> None:
    assert of_user([allow("files/*")]).resource("Bucket").encrypted_by == "alias/aws/s3"


MOST_TRIED = 60
TAG_KEYS, VIA_SERVICE, TAG = "kms:EncryptionContextKeys", "kms:ViaService", "aws:RequestTag/team"
UNDOCUMENTED = {("ForAnyValue:", "Equ", "IfExists"), ("ForAnyValue:", "Lik", "IfExists")}
"""Of an absent key one of these says yes and the other no; AWS documents neither."""
BLOCKS: list[dict[str, dict[str, Any]]] = [
    *({f"{of}String{op}{tail}": {TAG_KEYS: ["a", "b*"]}}
      for of in ("ForAllValues:", "ForAnyValue:")
      for op in ("Equals", "NotEquals", "Like", "NotLike")
      for tail in ("", "IfExists")
      if (of, op[:3], tail) not in UNDOCUMENTED),
    *({f"String{op}{tail}": {VIA_SERVICE: "s3.*"}}
      for op in ("Equals", "NotEquals", "Like", "NotLike", "EqualsIgnoreCase")
      for tail in ("", "IfExists")),
    *({f"{op}{tail}": {"aws:MultiFactorAuthAge": "100"}}
      for op in ("NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals")
      for tail in ("", "IfExists")),
    *({f"{op}{tail}": {"aws:SourceIp": "10.0.0.0/8"}}
      for op in ("IpAddress", "NotIpAddress")
      for tail in ("", "IfExists")),
    *({f"{op}{tail}": {"aws:SourceArn": "arn:aws:sns:*:*:t"}}
      for op in ("ArnLike", "ArnNotEquals")
      for tail in ("", "IfExists")),
    *({f"Bool{tail}": {"aws:MultiFactorAuthPresent": "true"}} for tail in ("", "IfExists")),
    *({"Null": {TAG_KEYS: given}} for given in ("true", "false", True)),
    {"Null": {TAG_KEYS: "true", VIA_SERVICE: "true"}},
    {"Null": {TAG_KEYS: "false"}, "ForAllValues:StringEquals": {TAG_KEYS: "a"}},
    {"Null": {TAG_KEYS: "true"}, "StringEqualsIfExists": {TAG_KEYS: "a", VIA_SERVICE: "b"}},
    {"ForAllValues:StringEquals": {TAG_KEYS: "a"}, "ForAnyValue:StringEquals": {TAG_KEYS: "a"}},
    {"StringLike": {VIA_SERVICE: "s3.*"}, "ForAllValues:StringLike": {TAG_KEYS: "a*"}, "Null": {TAG: "true"}},
]  # fmt: skip


def model_of(folder: Path, *statements: dict[str, Any], boundary: dict[str, Any] | None = None) -> Model:
    everybody = {"Effect": "Allow", "Principal": {"AWS": "888877776666"}, "Action": "kms:*", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {
        "AssumeRolePolicyDocument": {"Statement": [trust]},
        "Policies": [{"PolicyName": "p", "PolicyDocument": {"Statement": list(statements)}}],
    }
    limit = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": boundary or {}}}}
    template = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [everybody]}}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
    }
    if boundary:
        template["Limit"] = limit
        role["PermissionsBoundary"] = {"Ref": "Limit"}
    path = folder / "Stack.template.json"
    path.write_text(json.dumps({"Resources": template}))
    return read_model(path)


def check(model: Model, block: dict[str, dict[str, Any]], running: Simulator) -> int:
    """Compare what is reported of the role's Decrypt with strict evaluation, in contexts made from the policy."""
    found = evaluate(model, running)
    places = {id(policy): place for place, policy in found.policies.items()}
    request = next(
        item for item in found.requests if (item.principal.id, item.resource.id) == ("Stack/Role", "Stack/Key")
    )
    reported: Condition = next(
        (item.condition for item in found.findings if item.request is request and item.action.name == "kms:Decrypt"),
        NEVER,
    )
    stated = from_block(block)
    by_key: dict[str, list[Leaf]] = {}
    for leaf in [*leaves(stated), *leaves(reported)]:
        by_key.setdefault(leaf.key.lower(), []).append(leaf)
    judge = Judge(running, [(stated, reported)])
    values = [witness_values(sorted(set(about), key=repr)) for about in by_key.values()]
    tried = 0
    for combination in islice(product(*values), MOST_TRIED):
        context = dict(zip(by_key, combination, strict=True))
        if not str(context.get("aws:sourcearn", "arn:")).startswith(("arn:", "None")):
            continue  # the key holds ARNs only, and no operator on ARNs matches anything else
        expected = holds(reported, lambda leaf, at=context: judge._truth[leaf, at[leaf.key.lower()]])
        assert decided_strictly(batch(request, places, "alone"), context, running) is expected, (
            block,
            context,
            reported,
        )
        tried += 1
    return tried


def decided_strictly(asked: dict[str, Any], context: dict[str, Value], running: Simulator) -> bool:
    present = {key: value for key, value in context.items() if value is not None}
    said = {key: list(value) if isinstance(value, tuple) else value for key, value in present.items()}
    asked |= {"mode": "Strict", "known": [], "actions": ["kms:Decrypt"], "context": {**asked["context"], **said}}
    return bool(running.ask(asked)["allowed"])


@pytest.mark.parametrize("block", BLOCKS, ids=json.dumps)
def test_condition_of_an_allowance_is_reported(block: dict[str, Any], running: Simulator, tmp_path: Path) -> None:
    allow = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*", "Condition": block}
    assert check(model_of(tmp_path, {**allow, "Condition": block}), block, running) > 1
    assert check(model_of(tmp_path, allow, deny), block, running) > 1
    assert check(model_of(tmp_path, allow, boundary={**allow, "Condition": block}), block, running) > 1


def test_conditions_that_discovery_would_leave_out_are_not_always(running: Simulator, tmp_path: Path) -> None:
    for block in ({"ForAllValues:StringEquals": {TAG_KEYS: "a"}}, {"Null": {TAG_KEYS: "true"}}):
        model = model_of(tmp_path, {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": block})
        found = evaluate(model, running).findings
        assert ALWAYS not in [item.condition for item in found if item.request.principal.id == "Stack/Role"]


def test_denials_and_other_conditions_stay_as_they_are() -> None:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {TAG_KEYS: "true"}}}
    allowed = {**statement, "Effect": "Allow", "Condition": {"StringEquals": {TAG_KEYS: "a"}, "Bool": {}}}
    for document in ({"Statement": [statement]}, {"Statement": [allowed]}, {"Statement": {"Effect": "Allow"}}):
        assert discoverable(document) == document


@pytest.mark.parametrize(
    ("response", "action", "outcome"),
    [
        ("Allowed", "kms:Decrypt", "as expected"),
        ("Allowed", "kms:Encrypt", "miss"),
        ("ImplicitlyDenied", "kms:Encrypt", "as expected"),
        ("ImplicitlyDenied", "kms:Decrypt", "wider"),
    ],
)
def test_cases_of_the_simulators_authors_are_compared(
    response: str, action: str, outcome: str, running: Simulator
) -> None:
    """Of ``tests.access.simulator_cases``, which runs all of theirs."""
    principal = "arn:aws:iam::123456789012:user/u"
    allow = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    policy = {"Statement": [allow | {"Principal": {"AWS": principal}}]}
    what = {"resource": "arn:aws:kms:us-east-1:123456789012:key/1234", "accountId": "123456789012"}
    case = {"request": {"action": action, "resource": what, "principal": principal}, "identityPolicies": []}
    assert judged({**case, "resourcePolicy": policy, "expected": {"response": response}}, running) == outcome


def test_answers_that_are_not_read_to_the_end_leave_none_to_the_next_question(running: Simulator) -> None:
    def leaf(key: str) -> dict[str, Any]:
        return {"leaves": [{"op": "StringEquals", "key": key, "values": ["1"], "context": {key: "1"}}] * len(key)}

    for key in ("aws:a", "aws:abc"):
        answers = running.answers(leaf(f"{key}{number}") for number in range(20))
        assert next(answers)["matches"]
        answers.close()
    assert len(running.ask(leaf("aws:its-own"))["matches"]) == len("aws:its-own")
