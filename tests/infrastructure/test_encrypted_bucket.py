"""What an EncryptedBucket is, what its policy denies, and exactly what each of its grants writes."""

import json
from functools import partial

import pytest
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey
from kms_patterns.keys.errors import GrantRefused

VIA_S3 = {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def bucket(stack, key):
    return EncryptedBucket(stack, "Bucket", encryption_key=key)


@pytest.fixture
def s3_statement(stack, bucket):
    """The S3 statement of a role's policy, in full."""
    return lambda actions, pattern="*": {
        "Effect": "Allow",
        "Action": actions,
        "Resource": stack.resolve(bucket.arn_for_objects(pattern)),
    }


@pytest.fixture
def bucket_statement(stack, bucket):
    return lambda actions: {"Effect": "Allow", "Action": actions, "Resource": stack.resolve(bucket.bucket_arn)}


BOTH = ["kms:Decrypt", "kms:GenerateDataKey"]
IN_PARTS = ["s3:AbortMultipartUpload", "s3:PutObject"]
PUT = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]
READ = ["s3:GetObject", "s3:GetObjectVersion"]
LOOK = ["s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:ListBucket"]
UPLOADS = "s3:ListBucketMultipartUploads"


@pytest.mark.parametrize(
    ("method", "options", "objects", "in_bucket", "in_kms"),
    [
        ("grant_upload", {}, ["s3:PutObject"], [], ["kms:GenerateDataKey"]),
        ("grant_upload", {"multipart": True}, IN_PARTS, [], BOTH),
        ("grant_upload", {"tags": True}, ["s3:PutObject", "s3:PutObjectTagging"], [], ["kms:GenerateDataKey"]),
        ("grant_download", {}, ["s3:GetObject"], [], ["kms:Decrypt"]),
        ("grant_download", {"tags": True}, ["s3:GetObject", "s3:GetObjectTagging"], [], ["kms:Decrypt"]),
        ("grant_download", {"versions": True}, READ, [], ["kms:Decrypt"]),
        ("grant_read", {}, READ, LOOK, ["kms:Decrypt"]),
        ("grant_put", {}, PUT, [UPLOADS], BOTH),
        ("grant_write", {}, sorted([*PUT, "s3:DeleteObject"]), [UPLOADS], BOTH),
        ("grant_read_write", {}, sorted([*PUT, *READ, "s3:DeleteObject"]), sorted([UPLOADS, *LOOK]), BOTH),
    ],
)
def test_each_grant_allows_exactly_its_operations(
    method, options, objects, in_bucket, in_kms,
    stack, key, bucket, role, synth, key_statements, role_statements, named, through_s3, s3_statement, bucket_statement,
):  # fmt: skip
    user = role("User")

    grant = getattr(bucket, method)(user, **options)

    template = synth(stack)
    assert grant.success
    assert key_statements(template)[1:] == [named(user, in_kms, {"StringEquals": VIA_S3})]
    single = lambda names: names[0] if len(names) == 1 else names  # noqa: E731
    expected = [
        s3_statement(single(objects)),
        *([bucket_statement(single(in_bucket))] if in_bucket else []),
        through_s3(single(in_kms), key, bucket),
    ]
    by_text = partial(sorted, key=partial(json.dumps, sort_keys=True))
    assert by_text(role_statements(template, stack, user)) == by_text(expected)


@pytest.mark.parametrize(
    ("grant", "pattern", "in_kms"),
    [
        (lambda bucket, user: bucket.grant_upload(user, objects_key_pattern="in/*"), "in/*", "kms:GenerateDataKey"),
        (lambda bucket, user: bucket.grant_download(user, objects_key_pattern="out/*"), "out/*", "kms:Decrypt"),
        (lambda bucket, user: bucket.grant_read(user, "out/*"), "out/*", "kms:Decrypt"),
        (lambda bucket, user: bucket.grant_put(user, "in/*"), "in/*", BOTH),
        (lambda bucket, user: bucket.grant_write(user, "in/*"), "in/*", BOTH),
        (lambda bucket, user: bucket.grant_read_write(user, "x/*"), "x/*", BOTH),
    ],
)
def test_pattern_limits_the_objects(
    grant, pattern, in_kms, stack, key, bucket, role, synth, role_statements, through_s3
):
    user = role("User")

    grant(bucket, user)

    written = role_statements(synth(stack), stack, user)
    here = stack.resolve([bucket.bucket_arn, bucket.arn_for_objects(pattern)])
    assert {str(it["Resource"]) for it in written if "s3:" in str(it["Action"])} <= {str(arn) for arn in here}
    assert through_s3(in_kms, key, bucket, pattern) in written


def test_delete_and_list_touch_no_key(stack, bucket, role, synth, key_statements, role_statements, s3_statement):
    user = role("User")

    bucket.grant_delete(user)
    bucket.grant_list(user)

    template = synth(stack)
    assert len(key_statements(template)) == 1
    assert role_statements(template, stack, user) == [
        s3_statement("s3:DeleteObject"),
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": stack.resolve(bucket.bucket_arn)},
    ]


def test_key_used_through_two_buckets_is_one_key_statement_and_two_contexts(
    stack, key, role, synth, key_statements, role_statements, named
):
    user = role("User")
    first, second = (EncryptedBucket(stack, name, encryption_key=key) for name in ("First", "Second"))

    first.grant_upload(user)
    second.grant_download(user)

    template = synth(stack)
    assert key_statements(template)[1:] == [
        named(user, ["kms:Decrypt", "kms:GenerateDataKey"], {"StringEquals": VIA_S3})
    ]
    contexts = {
        it["Action"]: it["Condition"]["StringLike"]["kms:EncryptionContext:aws:s3:arn"]
        for it in role_statements(template, stack, user)
        if "kms" in it["Action"]
    }
    assert contexts == {
        "kms:GenerateDataKey": stack.resolve([first.bucket_arn, first.arn_for_objects("*")]),
        "kms:Decrypt": stack.resolve([second.bucket_arn, second.arn_for_objects("*")]),
    }


def test_grants_property_of_the_bucket_reaches_the_narrow_key_grant(
    stack, key, bucket, role, synth, role_statements, through_s3
):
    user = role("User")

    bucket.grants.read(user)

    assert through_s3("kms:Decrypt", key, bucket) in role_statements(synth(stack), stack, user)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda bucket, user: bucket.grant_put_acl(user), "AccessControlListNotSupported"),
        (lambda bucket, _: bucket.grant_public_access(), "public access is blocked"),
        (lambda bucket, user: bucket.grant_write(user, "*", ["s3:PutObject*"]), "allowed_action_patterns"),
        (lambda bucket, _: bucket.grant_upload(iam.ServicePrincipal("ec2.amazonaws.com")), "no role ARN"),
        (lambda bucket, _: bucket.grant_download(iam.AnyPrincipal()), "everyone"),
    ],
)
def test_grants_that_cannot_work_are_refused(call, reason, bucket, role):
    with pytest.raises(GrantRefused, match=reason):
        call(bucket, role("User"))


def test_refused_grant_writes_nothing(stack, bucket, synth, key_statements):
    frozen = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111122223333:role/orders", mutable=False)

    with pytest.raises(GrantRefused, match="no policy can be attached to"):
        bucket.grant_upload(frozen)
    template = synth(stack)
    assert len(key_statements(template)) == 1
    assert [item for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"] == []


def test_no_wildcard_in_what_is_allowed(stack, bucket, role, synth, key_statements, role_statements):
    user = role("User")
    for name in ("upload", "download", "read_write", "read", "put", "write", "delete", "list"):
        getattr(bucket, f"grant_{name}")(user)

    template = synth(stack)
    allowed = key_statements(template) + role_statements(template, stack, user)
    actions = [action for it in allowed for action in ([it["Action"]], it["Action"])[isinstance(it["Action"], list)]]
    assert [action for action in actions if "*" in action] == []
    assert [it for it in role_statements(template, stack, user) if it["Resource"] == "*"] == []
    assert "kms:Encrypt" not in actions


def test_snapshot(stack, key, bucket, role, synth, snapshot_of):
    bucket.grant_upload(role("Uploader"), multipart=True)
    bucket.grant_download(role("Downloader"))

    snapshot_of(synth(stack))


def resource(template, kind):
    (found,) = [item for item in template["Resources"].values() if item["Type"] == kind]
    return found
