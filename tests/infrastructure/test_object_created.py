"""What object-created events start, and ReEncryptor, which moves objects between keys and reads neither."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3

from kms_patterns import EncryptedBucket, EncryptionKey, EnvelopeCipher, ReEncryptor, RsaEncryptionKey

Synth = Callable[[cdk.Stack], dict[str, Any]]


@pytest.fixture
def buckets(stack: cdk.Stack) -> dict[str, aws_s3.IBucket]:
    storage = EncryptionKey(stack, "StorageKey")
    names = ("source", "destination", "restored")
    return {name: EncryptedBucket(stack, name.title(), encryption_key=storage) for name in names}


def cipher(stack: cdk.Stack, buckets: dict[str, aws_s3.IBucket], **options: Any) -> EnvelopeCipher:
    settings = {"encryption_key": EncryptionKey(stack, "Key"), "encrypt_on_create": True, **buckets, **options}
    return EnvelopeCipher(stack, "Files", **settings)


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def test_rule_passes_the_key_of_every_object_created_in_the_source_to_the_encrypt_function(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    made = cipher(stack, buckets)
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [stack.resolve(buckets["source"].bucket_name)]}},
    }
    (target,) = rule["Targets"]
    assert target["Arn"] == stack.resolve(made.encrypt_function.function_arn)
    assert target["InputTransformer"] == {
        "InputPathsMap": {"detail-object-key": "$.detail.object.key"},
        "InputTemplate": '{"sourceKey":<detail-object-key>}',
    }
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400}


def test_event_bridge_alone_may_invoke_and_send_dead_letters_for_this_rule_only(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    made = cipher(stack, buckets)
    template = synth(stack)
    rule = next(name for name, item in template["Resources"].items() if item["Type"] == "AWS::Events::Rule")
    rule_arn = {"Fn::GetAtt": [rule, "Arn"]}
    assert of_type(template, "AWS::Lambda::Permission") == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": stack.resolve(made.encrypt_function.function_arn),
            "Principal": "events.amazonaws.com",
            "SourceArn": rule_arn,
        }
    ]
    allowed = [
        statement
        for policy in of_type(template, "AWS::SQS::QueuePolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [(s["Action"], s["Principal"], s["Condition"]) for s in allowed] == [
        (
            "sqs:SendMessage",
            {"Service": "events.amazonaws.com"},
            {"ArnEquals": {"aws:SourceArn": rule_arn}},
        )
    ]


def test_source_bucket_alone_sends_its_events_to_event_bridge_without_a_custom_resource(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    cipher(stack, buckets)
    template = synth(stack)
    switched = [
        bucket["NotificationConfiguration"]
        for bucket in of_type(template, "AWS::S3::Bucket")
        if "NotificationConfiguration" in bucket
    ]
    assert switched == [{"EventBridgeConfiguration": {"EventBridgeEnabled": True}}]
    assert [item["Type"] for item in template["Resources"].values() if "Custom" in item["Type"]] == []
    assert len(of_type(template, "AWS::Lambda::Function")) == 2


def test_without_events_no_rule_is_made_and_no_bucket_is_changed(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    cipher(stack, buckets, encrypt_on_create=False)
    template = synth(stack)
    assert of_type(template, "AWS::Events::Rule") == []
    assert not any("NotificationConfiguration" in bucket for bucket in of_type(template, "AWS::S3::Bucket"))


@pytest.mark.parametrize("name", ["destination", "restored"])
def test_function_that_would_start_itself_is_refused(
    stack: cdk.Stack, buckets: dict[str, aws_s3.IBucket], name: str
) -> None:
    with pytest.raises(ValueError, match=f"encrypt_on_create with {name} == source would encrypt its own output"):
        cipher(stack, buckets, **{name: buckets["source"]})


def test_restoring_into_the_source_by_default_is_refused_with_events(
    stack: cdk.Stack, buckets: dict[str, aws_s3.IBucket]
) -> None:
    with pytest.raises(ValueError, match="restored == source"):
        cipher(stack, buckets, restored=None)


def test_required_name_without_a_value_is_refused_with_events(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    with pytest.raises(ValueError, match=r"cannot give a value for \['tenant'\]"):
        cipher(stack, buckets, required_context=["tenant"])


def test_required_name_with_a_fixed_value_is_accepted_with_events(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    cipher(stack, buckets, required_context=["tenant"], encryption_context={"tenant": "a"})
    assert len(of_type(synth(stack), "AWS::Events::Rule")) == 1


def test_imported_source_bucket_is_left_to_its_owner(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket]
) -> None:
    imported = aws_s3.Bucket.from_bucket_name(stack, "Imported", "theirs")
    cipher(stack, buckets, source=imported)
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": ["theirs"]}}


Statements = list[dict[str, Any]]
TENANT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}}
SPELT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "state"}}
BOTH = {**SPELT, "ForAnyValue:StringLike": {"kms:EncryptionContextKeys": "tenant"}}
ARCHIVED = {"StringEquals": {"kms:EncryptionContext:state": "archived"}, **BOTH}


@pytest.fixture
def old(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "Old")


@pytest.fixture
def new(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "New")


@pytest.fixture
def move(stack: cdk.Stack, old: EncryptionKey, new: EncryptionKey) -> ReEncryptor:
    return ReEncryptor(
        stack,
        "Move",
        source_key=old,
        destination_key=new,
        kept_context=["tenant"],
        destination_context={"state": "archived"},
    )


def allowed(stack: cdk.Stack, action: str, key: Any, condition: dict[str, Any] | None) -> dict[str, Any]:
    statement = {"Action": action, "Effect": "Allow", "Resource": stack.resolve(key.key_arn)}
    return statement | ({"Condition": condition} if condition else {})


def logical_id(stack: cdk.Stack, key: Any) -> str:
    found: str = stack.resolve(key.key_arn)["Fn::GetAtt"][0]
    return found


def test_role_may_leave_one_key_and_enter_the_other_and_nothing_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    old: EncryptionKey,
    new: EncryptionKey,
    move: ReEncryptor,
    role_statements: Callable[..., Statements],
) -> None:
    base = move.node.find_child("ReEncrypt")
    assert role_statements(synth(stack), stack, move.role) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
        allowed(stack, "kms:ReEncryptFrom", old, TENANT),
        allowed(stack, "kms:ReEncryptTo", new, ARCHIVED),
    ]


def test_each_key_policy_names_the_role_with_its_direction(
    *,
    stack: cdk.Stack,
    synth: Synth,
    old: EncryptionKey,
    new: EncryptionKey,
    move: ReEncryptor,
    key_statements: Callable[..., Statements],
    named: Any,
) -> None:
    template = synth(stack)
    leaving, entering = (key_statements(template, logical_id(stack, key))[1:] for key in (old, new))
    assert leaving == [named(move.role, ["kms:ReEncryptFrom"], TENANT)]
    assert entering == [named(move.role, ["kms:ReEncryptTo"], ARCHIVED)]


def test_one_key_may_be_both_ends_each_under_its_own_context(
    stack: cdk.Stack, synth: Synth, old: EncryptionKey, key_statements: Callable[..., Statements], named: Any
) -> None:
    move = ReEncryptor(
        stack,
        "Move",
        source_key=old,
        destination_key=old,
        source_context={"state": "open"},
        destination_context={"state": "closed"},
    )
    conditions = [{"StringEquals": {"kms:EncryptionContext:state": state}, **SPELT} for state in ("open", "closed")]
    assert key_statements(synth(stack))[1:] == [
        named(move.role, ["kms:ReEncryptFrom"], conditions[0]),
        named(move.role, ["kms:ReEncryptTo"], conditions[1], ordinal=2),
    ]


@pytest.mark.parametrize("algorithm", [None, "RSAES_OAEP_SHA_1"])
def test_rsa_source_has_an_algorithm_in_place_of_a_context(
    *,
    stack: cdk.Stack,
    synth: Synth,
    new: EncryptionKey,
    role_statements: Callable[..., Statements],
    algorithm: str | None,
) -> None:
    intake = RsaEncryptionKey(stack, "Intake")
    move = ReEncryptor(
        stack,
        "Move",
        source_key=intake,
        destination_key=new,
        required_destination_context=["tenant"],
        source_algorithm=algorithm,
    )
    template = synth(stack)
    pinned = {"StringEquals": {"kms:EncryptionAlgorithm": algorithm or "RSAES_OAEP_SHA_256"}}
    assert role_statements(template, stack, move.role)[2:] == [
        allowed(stack, "kms:ReEncryptFrom", intake, pinned),
        allowed(stack, "kms:ReEncryptTo", new, TENANT),
    ]
    assert variables(template, stack, move)["SOURCE_ALGORITHM"] == (algorithm or "RSAES_OAEP_SHA_256")


def test_ciphertexts_without_a_context_move_only_where_that_is_said(
    *,
    stack: cdk.Stack,
    synth: Synth,
    old: EncryptionKey,
    new: EncryptionKey,
    role_statements: Callable[..., Statements],
) -> None:
    move = ReEncryptor(
        stack,
        "Move",
        source_key=old,
        destination_key=new,
        any_source_context=True,
        required_destination_context=["tenant"],
    )
    assert role_statements(synth(stack), stack, move.role)[2:] == [
        allowed(stack, "kms:ReEncryptFrom", old, None),
        allowed(stack, "kms:ReEncryptTo", new, TENANT),
    ]


def test_function_knows_both_sides_and_what_is_kept(
    stack: cdk.Stack, synth: Synth, old: EncryptionKey, new: EncryptionKey, move: ReEncryptor
) -> None:
    assert variables(synth(stack), stack, move) == {
        "SOURCE_KEY_ARN": stack.resolve(old.key_arn),
        "SOURCE_ALGORITHM": "SYMMETRIC_DEFAULT",
        "SOURCE_ENCRYPTION_CONTEXT": "{}",
        "SOURCE_REQUIRED_CONTEXT_KEYS": '["tenant"]',
        "DESTINATION_KEY_ARN": stack.resolve(new.key_arn),
        "DESTINATION_ALGORITHM": "SYMMETRIC_DEFAULT",
        "DESTINATION_ENCRYPTION_CONTEXT": '{"state": "archived"}',
        "DESTINATION_REQUIRED_CONTEXT_KEYS": '["tenant"]',
        "KEPT_CONTEXT_KEYS": '["tenant"]',
    }


def test_caller_is_granted_the_function_and_nothing_on_the_keys(
    stack: cdk.Stack, synth: Synth, move: ReEncryptor, role: Any, role_statements: Callable[..., Statements]
) -> None:
    mover = role("Mover")
    move.grant_re_encrypt(mover)
    assert role_statements(synth(stack), stack, mover) == [
        {
            "Action": "lambda:InvokeFunction",
            "Effect": "Allow",
            "Resource": stack.resolve(move.function.function_arn),
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"required_destination_context": ["a"]}, ValueError, "needs the encryption context of the source"),
        ({"required_source_context": ["a"]}, ValueError, "needs an encryption context of the destination"),
        ({"kept_context": ["a"], "any_source_context": True}, ValueError, "contradicts a source context"),
        ({"kept_context": ["a"], "source_algorithm": "RSAES_OAEP_SHA_1"}, ValueError, "has SYMMETRIC_DEFAULT only"),
        ({"kept_context": "tenant"}, TypeError, "kept_context is the string 'tenant'"),
        ({"kept_context": ["aws-crypto-x"]}, ValueError, "reserved"),
    ],
)
def test_what_could_not_work_is_refused(
    *,
    stack: cdk.Stack,
    old: EncryptionKey,
    new: EncryptionKey,
    arguments: dict[str, Any],
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        ReEncryptor(stack, "M", **{"source_key": old, "destination_key": new, **arguments})


def test_context_of_an_rsa_source_is_refused(stack: cdk.Stack, new: EncryptionKey) -> None:
    with pytest.raises(ValueError, match="an RSA source key has no encryption context"):
        ReEncryptor(stack, "M", source_key=RsaEncryptionKey(stack, "R"), destination_key=new, kept_context=["tenant"])


def test_keys_of_two_regions_are_refused(app: cdk.App, old: EncryptionKey) -> None:
    elsewhere = cdk.Stack(app, "Elsewhere", env=cdk.Environment(account="111122223333", region="eu-central-1"))
    with pytest.raises(ValueError, match="source_key is in eu-west-1, destination_key in eu-central-1"):
        ReEncryptor(
            elsewhere,
            "M",
            source_key=old,
            destination_key=EncryptionKey(elsewhere, "Key"),
            kept_context=["tenant"],
        )


def test_re_encryptor_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, move: ReEncryptor, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    assert move.function.function_name
    snapshot_of(synth(stack))


def variables(template: dict[str, Any], stack: cdk.Stack, move: ReEncryptor) -> dict[str, Any]:
    function = template["Resources"][stack.resolve(move.function.function_name)["Ref"]]
    found: dict[str, Any] = function["Properties"]["Environment"]["Variables"]
    return found
