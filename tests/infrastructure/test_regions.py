"""What a Region lacks is said at synth, with the alternative; conditions name services as its partition does."""

import json

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptedBucket, EncryptionKey, PublicKeyExport, SigningKey, TokenIssuer
from kms_patterns.keys.errors import RegionUnsupported

WITHOUT_URLS = ["eu-central-2", "mx-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"]
ADDRESS = "https://tokens.example.com/.well-known/jwks.json"


def stack_in(region: str | None) -> cdk.Stack:
    context = {"aws:cdk:bundling-stacks": []}
    return cdk.Stack(cdk.App(context=context), "Stack", env=cdk.Environment(account="111122223333", region=region))


def export(stack: cdk.Stack) -> PublicKeyExport:
    return PublicKeyExport(stack, "Export", keys={"orders": SigningKey(stack, "Key")})


def issuer(stack: cdk.Stack, **options: str) -> TokenIssuer:
    key = SigningKey(stack, "Key")
    return TokenIssuer(
        stack, "Issuer", signing_key=key, issuer="https://tokens.example.com", audiences=["a"], **options
    )


@pytest.mark.parametrize("region", WITHOUT_URLS)
def test_function_urls_are_refused_where_lambda_lacks_them_with_the_alternative(region):
    with pytest.raises(RegionUnsupported, match=rf"function URLs in {region} .*give bucket and distribution"):
        export(stack_in(region))
    with pytest.raises(RegionUnsupported, match=rf"function URLs in {region} .*give jwks_url"):
        issuer(stack_in(region))


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", None])
def test_function_urls_are_made_where_lambda_has_them_or_may_have_them(region):
    assert export(stack_in(region)).url("orders").startswith("${Token[")


@pytest.mark.parametrize("region", ["eu-central-2", "cn-north-1"])
def test_a_token_issuer_behind_an_address_of_its_user_makes_no_function_url(region):
    stack = stack_in(region)
    made = issuer(stack, jwks_url=ADDRESS)
    template = cdk.App.of(stack).synth().get_stack_by_name("Stack").template
    assert made.jwks_url == ADDRESS
    assert "AWS::Lambda::Url" not in {item["Type"] for item in template["Resources"].values()}


@pytest.mark.parametrize("url", ["http://tokens.example.com/.well-known/jwks.json", "https://tokens.example.com/keys"])
def test_an_address_at_which_readers_would_not_get_the_keys_is_refused(url):
    with pytest.raises(ValueError, match="jwks_url"):
        issuer(stack_in("eu-central-2"), jwks_url=url)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-central-1", "s3.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", ["s3.cn-north-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn"]),
        ("cn-northwest-1", ["s3.cn-northwest-1.amazonaws.com", "s3.cn-northwest-1.amazonaws.com.cn"]),
        ("us-iso-east-1", ["s3.us-iso-east-1.amazonaws.com", "s3.us-iso-east-1.c2s.ic.gov"]),
    ],
)
def test_both_halves_of_a_grant_name_the_service_as_the_partition_may(region, expected):
    stack = stack_in(region)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    EncryptedBucket(stack, "Bucket", encryption_key=EncryptionKey(stack, "Key")).grant_download(role)
    template = cdk.App.of(stack).synth().get_stack_by_name("Stack").template
    found = [
        statement["Condition"]["StringEquals"]["kms:ViaService"]
        for item in template["Resources"].values()
        for name in ("KeyPolicy", "PolicyDocument")
        for statement in item.get("Properties", {}).get(name, {}).get("Statement", [])
        if "kms:ViaService" in json.dumps(statement.get("Condition", {}))
    ]
    assert found == [expected, expected]


def test_sm2_is_refused_outside_of_china_and_made_in_it():
    with pytest.raises(RegionUnsupported, match="cn-north-1 or cn-northwest-1"):
        SigningKey(stack_in("eu-central-1"), "Key", key_spec=kms.KeySpec.SM2)
    SigningKey(stack_in("cn-north-1"), "Key", key_spec=kms.KeySpec.SM2)
