"""Key, bucket and role in different stacks of one account and Region."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptedBucket, EncryptionKey
from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError

HERE = cdk.Environment(account="111122223333", region="eu-west-1")
PREFIX = ["arn:", {"Ref": "AWS::Partition"}]


@pytest.fixture
def keys(stack):
    return stack


@pytest.fixture
def data(app):
    return cdk.Stack(app, "Data", env=HERE)


@pytest.fixture
def users(app):
    return cdk.Stack(app, "Users", env=HERE)


@pytest.fixture
def key(keys):
    return EncryptionKey(keys, "Key")


def context_of(statements):
    (kms,) = [it for it in statements if it["Action"] == "kms:Decrypt"]
    return kms["Condition"]["StringLike"]["kms:EncryptionContext:aws:s3:arn"]


def test_role_beside_the_bucket_may_use_a_key_of_another_stack(key, data, role, synth, role_statements):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key)
    user = role("User", data, role_name="reader")

    bucket.grant_download(user)

    assert context_of(role_statements(synth(data), data, user)) == data.resolve(
        [bucket.bucket_arn, bucket.arn_for_objects("*")]
    )


def test_role_of_a_third_stack_may_use_both(key, data, users, role, synth, role_statements):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key)
    user = role("User", users, role_name="reader")

    bucket.grant_download(user)

    of_bucket, of_objects = context_of(role_statements(synth(users), users, user))
    assert "Fn::ImportValue" in of_bucket
    assert "Fn::ImportValue" in str(of_objects)


def test_unnamed_role_beside_the_bucket_is_refused_with_the_way_out(key, data, role):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key)

    with pytest.raises(GrantRefused, match="role_name"):
        bucket.grant_download(role("User", data))


def test_role_beside_the_key_is_refused_with_the_way_out(key, data, role):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key)

    with pytest.raises(GrantRefused, match=r"whose stack depends on the key's.*bucket_name"):
        bucket.grant_download(role("User"))


def test_role_beside_the_key_may_use_a_named_bucket(key, data, role, synth, role_statements, keys):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key, bucket_name="orders-documents")
    user = role("User")

    bucket.grant_download(user)

    written = role_statements(synth(keys), keys, user)
    assert context_of(written) == [
        {"Fn::Join": ["", [*PREFIX, f":s3:::orders-documents{below}"]]} for below in ("", "/*")
    ]
    assert written[1]["Resource"] == {"Fn::Join": ["", [*PREFIX, ":s3:::orders-documents/*"]]}


def test_key_of_another_region_is_refused(app, key):
    far = cdk.Stack(app, "Far", env=cdk.Environment(account="111122223333", region="us-east-1"))

    with pytest.raises(KeyConfigurationError, match="the key is in eu-west-1, the bucket in us-east-1"):
        EncryptedBucket(far, "Bucket", encryption_key=key)


def test_key_that_cannot_name_its_users_is_refused(stack):
    with pytest.raises(TypeError, match="give an EncryptionKey"):
        EncryptedBucket(stack, "Bucket", encryption_key=kms.Key(stack, "Plain"))


def test_environment_agnostic_stacks_name_account_and_region_by_reference(app, role, synth, key_statements):
    stack = cdk.Stack(app, "Agnostic")
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=EncryptionKey(stack, "Key"))

    bucket.grant_download(role("User", stack, role_name="reader"))

    condition = key_statements(synth(stack))[1]["Condition"]
    assert condition["StringEquals"]["kms:ViaService"] == {
        "Fn::Join": ["", ["s3.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]
    }
    assert condition["ArnEquals"]["aws:PrincipalArn"] == {
        "Fn::Join": ["", [*PREFIX, ":iam::", {"Ref": "AWS::AccountId"}, ":role/reader"]]
    }
