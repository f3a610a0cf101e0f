"""Whether a condition was widened is decided by evaluating it, not by comparing texts."""

import pytest

from kms_patterns.access.evaluate.conditions import from_block
from kms_patterns.access.evaluate.expressions import ALWAYS
from kms_patterns.access.evaluate.globs import examples
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.evaluate.widening import Change, Judge

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
