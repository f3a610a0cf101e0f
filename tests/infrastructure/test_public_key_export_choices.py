"""PublicKeyExport: a bucket or a distribution of one's own, and what is refused at synth."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3

from kms_patterns import EncryptedBucket, EncryptionKey, MacKey, PublicKeyExport, RsaEncryptionKey

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
FORMS = ("der", "json", "jwk", "pem")


@pytest.fixture
def key(stack: cdk.Stack) -> RsaEncryptionKey:
    return RsaEncryptionKey(stack, "Key")


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


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


def test_distribution_without_its_bucket_is_refused(
    stack: cdk.Stack, key: RsaEncryptionKey, site: aws_s3.Bucket
) -> None:
    served = distribution(stack, site, cloudfront.ViewerProtocolPolicy.HTTPS_ONLY)
    with pytest.raises(ValueError, match="bucket is not"):
        PublicKeyExport(stack, "Export", keys={"partners": key}, distribution=served)
