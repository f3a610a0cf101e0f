"""PublicKeyExport: who may fetch, write and read, where the files are served, and what is refused at synth."""

import json
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3
from aws_cdk.aws_s3 import Bucket

from kms_patterns import (
    EncryptedBucket,
    EncryptionKey,
    KeyAgreementKey,
    KeyEncapsulationKey,
    KeyLifecycle,
    MacKey,
    MlKemSpec,
    PublicKeyExport,
    RsaEncryptionKey,
    SigningKey,
)

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
FORMS = ("der", "json", "jwk", "pem")


@pytest.fixture
def key(stack: cdk.Stack) -> RsaEncryptionKey:
    return RsaEncryptionKey(stack, "Key")


@pytest.fixture
def export(stack: cdk.Stack, key: RsaEncryptionKey) -> PublicKeyExport:
    return PublicKeyExport(stack, "Export", keys={"partners": key})


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def own(stack: cdk.Stack, export: PublicKeyExport, name: str) -> Statements:
    """What every function may do for itself."""
    base = export.node.find_child(name)
    return [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
    ]


def files(stack: cdk.Stack, export: PublicKeyExport, action: str, *names: str) -> dict[str, Any]:
    arns = [export.bucket.arn_for_objects(f"{name}.{form}") for name in names for form in FORMS]
    return {"Action": action, "Effect": "Allow", "Resource": stack.resolve(arns)}


def get_public_key(stack: cdk.Stack, key: Any) -> dict[str, Any]:
    return {"Action": "kms:GetPublicKey", "Effect": "Allow", "Resource": stack.resolve(key.key_arn)}


def test_publishing_role_may_get_the_public_key_and_write_its_files_and_nothing_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: RsaEncryptionKey,
    export: PublicKeyExport,
    role_statements: Callable[..., Statements],
) -> None:
    assert role_statements(synth(stack), stack, export.publish_role) == [
        *own(stack, export, "Publish"),
        files(stack, export, "s3:PutObject", "partners"),
        get_public_key(stack, key),
    ]


def test_serving_role_may_read_the_files_and_nothing_of_kms(
    stack: cdk.Stack, synth: Synth, export: PublicKeyExport, role_statements: Callable[..., Statements]
) -> None:
    assert role_statements(synth(stack), stack, export.serve_role) == [
        *own(stack, export, "Serve"),
        files(stack, export, "s3:GetObject", "partners"),
    ]


def test_key_policy_lets_the_publishing_role_get_the_public_key_and_nobody_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    export: PublicKeyExport,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    assert key_statements(synth(stack))[1:] == [named(export.publish_role, ["kms:GetPublicKey"])]


def test_nobody_but_the_publishing_role_may_write_into_the_bucket(
    stack: cdk.Stack, synth: Synth, export: PublicKeyExport, bucket_statements: Callable[..., Statements]
) -> None:
    statement, taken_back, configured = [item for item in bucket_statements(synth(stack)) if "Sid" in item]
    assert statement == {
        "Sid": "DenyPublicationByAnyoneElse",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": ["s3:PutObject", "s3:ReplicateObject"],
        "Resource": stack.resolve(export.bucket.arn_for_objects("*")),
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": stack.resolve(export.publish_role.role_arn)}},
    }
    deployer = taken_back["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert "cfn-exec-role" in json.dumps(deployer)
    assert taken_back == {
        "Sid": "DenyFormerVersionsToReturn",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:DeleteObjectVersion",
        "Resource": stack.resolve(export.bucket.arn_for_objects("*")),
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": deployer}},
    }
    assert {"s3:PutBucketPolicy", "s3:DeleteBucketPolicy"} < set(configured["Action"])
    assert (configured["Effect"], configured["Resource"]) == ("Deny", stack.resolve(export.bucket.bucket_arn))
    assert configured["Condition"] == taken_back["Condition"]


def test_ephemeral_bucket_is_emptied_by_its_custom_resource_and_configured_by_whom_the_caller_names(
    stack: cdk.Stack, synth: Synth, key: RsaEncryptionKey, bucket_statements: Callable[..., Statements]
) -> None:
    other = "arn:aws:iam::111122223333:role/pipeline"
    PublicKeyExport(stack, "Export", keys={"a": key}, lifecycle=KeyLifecycle.EPHEMERAL, configured_by=[other])
    for statement in [item for item in bucket_statements(synth(stack)) if "Sid" in item][1:]:
        _, *others = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
        assert others == [other, {"Fn::GetAtt": ["CustomS3AutoDeleteObjectsCustomResourceProviderRole3B1BD092", "Arn"]}]
    with pytest.raises(ValueError, match="without wildcards"):
        PublicKeyExport(stack, "Pattern", keys={"a": key}, configured_by=["arn:aws:iam::111122223333:role/*"])
    with pytest.raises(ValueError, match="for the bucket that is made here"):
        PublicKeyExport(stack, "Own", keys={"a": key}, bucket=Bucket(stack, "B"), configured_by=[other])


def test_every_deployment_and_every_hour_start_the_publication(
    stack: cdk.Stack, synth: Synth, export: PublicKeyExport
) -> None:
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"] == {
        "source": ["aws.cloudformation"],
        "detail-type": ["CloudFormation Stack Status Change"],
        "detail": {
            "stack-id": [{"Ref": "AWS::StackId"}],
            "status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]},
        },
    }
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    (target,) = rule["Targets"]
    assert target["Arn"] == stack.resolve(export.publish_function.function_arn)
    assert target["Input"] == "{}"


def test_anybody_may_call_the_serving_function_at_its_url_and_event_bridge_the_publishing_one_for_its_rule(
    stack: cdk.Stack, synth: Synth, export: PublicKeyExport
) -> None:
    template = synth(stack)
    serve = stack.resolve(export.node.find_child("Serve").function.function_arn)
    rule = next(name for name, item in template["Resources"].items() if item["Type"] == "AWS::Events::Rule")
    permissions = of_type(template, "AWS::Lambda::Permission")
    assert sorted(permissions, key=str) == sorted(
        [
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": stack.resolve(export.publish_function.function_arn),
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": [rule, "Arn"]},
            },
            {
                "Action": "lambda:InvokeFunctionUrl",
                "FunctionName": serve,
                "FunctionUrlAuthType": "NONE",
                "Principal": "*",
            },
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": serve,
                "InvokedViaFunctionUrl": True,
                "Principal": "*",
            },
        ],
        key=str,
    )


def test_functions_know_the_keys_and_where_the_files_are(stack: cdk.Stack, synth: Synth, key: RsaEncryptionKey) -> None:
    export = PublicKeyExport(
        stack,
        "Export",
        keys={"partners": key},
        algorithms={"partners": ["RSAES_OAEP_SHA_256"]},
        prefix="keys/",
        max_age=cdk.Duration.minutes(5),
    )
    functions = of_type(synth(stack), "AWS::Lambda::Function")
    for function in functions:
        settings = function["Environment"]["Variables"]
        keys = settings.pop("PUBLIC_KEYS")
        assert settings == {"BUCKET": stack.resolve(export.bucket.bucket_name), "PREFIX": "keys/", "MAX_AGE": "300"}
        text = "".join(part if isinstance(part, str) else "ARN" for part in keys["Fn::Join"][1])
        assert json.loads(text) == {"partners": {"keyArn": "ARN", "algorithms": ["RSAES_OAEP_SHA_256"]}}
    handlers = [function["Handler"].removeprefix("kms_runtime.handlers.public_key_export.") for function in functions]
    assert sorted(handlers) == ["publish", "serve"]


def test_several_keys_are_published_by_one_role_that_may_get_each(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: RsaEncryptionKey,
    role_statements: Callable[..., Statements],
) -> None:
    signing, agreement = SigningKey(stack, "Signing"), KeyAgreementKey(stack, "Agreement")
    export = PublicKeyExport(stack, "Export", keys={"a": key, "b": signing, "c": agreement})
    statements = role_statements(synth(stack), stack, export.publish_role)
    assert statements[2:] == [
        files(stack, export, "s3:PutObject", "a", "b", "c"),
        {
            "Action": "kms:GetPublicKey",
            "Effect": "Allow",
            "Resource": [stack.resolve(one.key_arn) for one in (agreement, key, signing)],
        },
    ]


def test_url_is_that_of_the_function_and_names_a_file(stack: cdk.Stack, export: PublicKeyExport) -> None:
    url = stack.resolve(export.url("partners", "pem"))
    assert url["Fn::Join"][1][1] == "partners.pem"
    with pytest.raises(ValueError, match=r"partners\.txt is not published: keys are partners, forms json, pem"):
        export.url("partners", "txt")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"other\.json is not published"):
        export.url("other")


def test_reserved_concurrency_limits_the_serving_function_alone(
    stack: cdk.Stack, synth: Synth, key: RsaEncryptionKey
) -> None:
    PublicKeyExport(stack, "Export", keys={"partners": key}, reserved_concurrency=5)
    functions = of_type(synth(stack), "AWS::Lambda::Function")
    assert {item["Handler"].rpartition(".")[2]: item.get("ReservedConcurrentExecutions") for item in functions} == {
        "publish": None,
        "serve": 5,
    }


def test_public_key_export_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, export: PublicKeyExport, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))


def test_given_encrypted_bucket_needs_generate_data_key_through_s3_and_no_more(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: RsaEncryptionKey,
    role_statements: Callable[..., Statements],
) -> None:
    storage = EncryptionKey(stack, "Storage")
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=storage)
    export = PublicKeyExport(stack, "Export", keys={"partners": key}, bucket=bucket, prefix="keys/")
    statements = role_statements(synth(stack), stack, export.publish_role)[2:]
    on_storage = [item["Action"] for item in statements if item["Resource"] == stack.resolve(storage.key_arn)]
    assert on_storage == ["kms:GenerateDataKey"]
    written = [item for item in statements if item["Action"] == "s3:PutObject"]
    arns = [bucket.arn_for_objects(f"keys/partners.{form}") for form in FORMS]
    assert [item["Resource"] for item in written] == [stack.resolve(arns)]
    assert {item["Action"] for item in statements} == {"kms:GenerateDataKey", "s3:PutObject", "kms:GetPublicKey"}


@pytest.fixture
def site(stack: cdk.Stack) -> aws_s3.Bucket:
    return aws_s3.Bucket(stack, "Site")


def distribution(
    stack: cdk.Stack, site: aws_s3.Bucket, policy: cloudfront.ViewerProtocolPolicy
) -> cloudfront.Distribution:
    origin = origins.S3BucketOrigin.with_origin_access_control(site)
    behavior = cloudfront.BehaviorOptions(origin=origin, viewer_protocol_policy=policy)
    return cloudfront.Distribution(stack, "Distribution", default_behavior=behavior)


def test_distribution_serves_the_files_instead_of_a_function(
    stack: cdk.Stack, synth: Synth, key: RsaEncryptionKey, site: aws_s3.Bucket
) -> None:
    served = distribution(stack, site, cloudfront.ViewerProtocolPolicy.HTTPS_ONLY)
    export = PublicKeyExport(stack, "Export", keys={"partners": key}, bucket=site, prefix="keys/", distribution=served)
    template = synth(stack)
    assert [item["Handler"].rpartition(".")[2] for item in of_type(template, "AWS::Lambda::Function")] == ["publish"]
    assert of_type(template, "AWS::Lambda::Url") == []
    assert stack.resolve(export.url("partners")) == {
        "Fn::Join": ["", ["https://", stack.resolve(served.distribution_domain_name), "/keys/partners.json"]]
    }
    with pytest.raises(ValueError, match="a distribution serves the files"):
        export.serve_role  # noqa: B018


def test_distribution_that_serves_http_is_refused(stack: cdk.Stack, key: RsaEncryptionKey, site: aws_s3.Bucket) -> None:
    served = distribution(stack, site, cloudfront.ViewerProtocolPolicy.ALLOW_ALL)
    with pytest.raises(ValueError, match=r"serves partners\.json over HTTP"):
        PublicKeyExport(stack, "Export", keys={"partners": key}, bucket=site, distribution=served)


@pytest.mark.parametrize(
    ("patterns", "refused"),
    [
        ({"keys/*": "HTTP"}, True),
        ({"/keys/partners.j?on": "HTTP"}, True),
        ({"images/*": "HTTP"}, False),
        ({"keys/[p]artners.json": "HTTP"}, False),
        ({"keys/partners.*": "HTTPS", "k*": "HTTP"}, False),
        ({"keys/partners.json": "HTTPS", "keys/*": "HTTP"}, True),
    ],
)
def test_behavior_that_serves_one_of_the_files_decides(
    stack: cdk.Stack, key: RsaEncryptionKey, site: aws_s3.Bucket, patterns: dict[str, str], *, refused: bool
) -> None:
    policies = {
        "HTTP": cloudfront.ViewerProtocolPolicy.ALLOW_ALL,
        "HTTPS": cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
    }
    served = distribution(stack, site, policies["HTTPS"])
    for pattern, policy in patterns.items():
        origin = origins.S3BucketOrigin.with_origin_access_control(site)
        served.add_behavior(pattern, origin, viewer_protocol_policy=policies[policy])
    given = {"keys": {"partners": key}, "bucket": site, "prefix": "keys/", "distribution": served}
    if refused:
        with pytest.raises(ValueError, match=r"serves keys/partners\.\w+ over HTTP"):
            PublicKeyExport(stack, "Export", **given)
    else:
        PublicKeyExport(stack, "Export", **given)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"keys": {}}, "at least one key"),
        ({"keys": {"Partners": None}}, "name 'Partners' of a key: give 1 to 63 lower case letters"),
        ({"keys": {"a/b": None}}, "name 'a/b'"),
        ({"prefix": "keys"}, "prefix 'keys': give a path that ends in a slash"),
        ({"prefix": "/keys/"}, "prefix '/keys/'"),
        ({"max_age": cdk.Duration.seconds(0)}, "max_age is 0 seconds"),
        ({"refresh": cdk.Duration.seconds(30)}, "refresh is 30 seconds: give 1 minute"),
        ({"algorithms": {"other": ["RSAES_OAEP_SHA_256"]}}, "algorithms names 'other', which is none of the keys"),
        ({"algorithms": {"partners": ["ECDSA_SHA_256"]}}, "give a list of some of RSAES_OAEP_SHA_1"),
        ({"algorithms": {"partners": []}}, "algorithms of 'partners'"),
        ({"algorithms": {"partners": "RSAES_OAEP_SHA_256"}}, "give a list"),
        ({"reserved_concurrency": 0}, "reserved_concurrency is 0"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    stack: cdk.Stack, key: RsaEncryptionKey, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        PublicKeyExport(stack, "Export", **({"keys": {"partners": key}} | options))


def test_more_keys_than_fit_into_the_environment_are_refused(stack: cdk.Stack, key: RsaEncryptionKey) -> None:
    names = [f"partner-{number:02}" for number in range(30)]
    with pytest.raises(ValueError, match=r"30 keys take up to \d+ bytes .* 4096 are the limit"):
        PublicKeyExport(stack, "Many", keys=dict.fromkeys(names, key))
    algorithms = {name: ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"] for name in names[:22]}
    with pytest.raises(ValueError, match=r"22 keys take up to \d+ bytes"):
        PublicKeyExport(stack, "Named", keys=dict.fromkeys(names[:22], key), algorithms=algorithms)


def test_as_many_keys_as_are_accepted_fit_with_the_longest_arns(stack: cdk.Stack, synth: Synth) -> None:
    names = [f"partner-{number:02}" for number in range(25)]
    PublicKeyExport(stack, "Export", keys={name: RsaEncryptionKey(stack, name) for name in names})
    for function in of_type(synth(stack), "AWS::Lambda::Function"):
        settings = function["Environment"]["Variables"]
        parts = settings.pop("PUBLIC_KEYS")["Fn::Join"][1]
        assert len("".join(part if isinstance(part, str) else "x" * 90 for part in parts)) > 3000
        whole = "".join(part if isinstance(part, str) else "x" * 90 for part in parts) + "PUBLIC_KEYS"
        assert len(whole) + len("".join([*settings, *map(str, settings.values())])) <= 4096


def test_key_without_a_public_key_is_refused(stack: cdk.Stack) -> None:
    for name, key in (("EncryptionKey", EncryptionKey(stack, "A")), ("MacKey", MacKey(stack, "B"))):
        with pytest.raises(TypeError, match=f"is a {name}, which has no public key"):
            PublicKeyExport(stack, f"Export{name}", keys={"partners": key})  # type: ignore[dict-item]


def test_key_whose_public_key_cannot_be_read_is_refused(stack: cdk.Stack) -> None:
    small = KeyEncapsulationKey(stack, "Small", key_spec=MlKemSpec.ML_KEM_512)
    with pytest.raises(ValueError, match="use ML_KEM_768 or ML_KEM_1024"):
        PublicKeyExport(stack, "Export", keys={"small": small})


def test_distribution_without_its_bucket_is_refused(
    stack: cdk.Stack, key: RsaEncryptionKey, site: aws_s3.Bucket
) -> None:
    served = distribution(stack, site, cloudfront.ViewerProtocolPolicy.HTTPS_ONLY)
    with pytest.raises(ValueError, match="bucket is not"):
        PublicKeyExport(stack, "Export", keys={"partners": key}, distribution=served)
