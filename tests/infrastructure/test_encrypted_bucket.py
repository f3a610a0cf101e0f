"""What an EncryptedBucket is, what its policy denies, and exactly what each of its grants writes."""

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
def kms_statement(stack, key, bucket):
    """The KMS statement of a role's policy, in full."""

    def statement(actions):
        context = {"kms:EncryptionContext:aws:s3:arn": stack.resolve(bucket.bucket_arn)}
        return {
            "Effect": "Allow",
            "Action": actions,
            "Resource": stack.resolve(key.key_arn),
            "Condition": {"StringEquals": {**VIA_S3, **context}},
        }

    return statement


@pytest.fixture
def s3_statement(stack, bucket):
    """The S3 statement of a role's policy, in full."""
    return lambda actions, pattern="*": {
        "Effect": "Allow",
        "Action": actions,
        "Resource": stack.resolve(bucket.arn_for_objects(pattern)),
    }


UPLOAD = ("s3:PutObject", "kms:GenerateDataKey")
MULTIPART = (["s3:AbortMultipartUpload", "s3:PutObject"], ["kms:Decrypt", "kms:GenerateDataKey"])
DOWNLOAD = ("s3:GetObject", "kms:Decrypt")
BOTH = (["s3:GetObject", "s3:PutObject"], ["kms:Decrypt", "kms:GenerateDataKey"])
BOTH_MULTIPART = (
    ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
    ["kms:Decrypt", "kms:GenerateDataKey"],
)


@pytest.mark.parametrize(
    ("method", "options", "allowed"),
    [
        ("grant_upload", {}, UPLOAD),
        ("grant_upload", {"multipart": True}, MULTIPART),
        ("grant_download", {}, DOWNLOAD),
        ("grant_read_write", {}, BOTH),
        ("grant_read_write", {"multipart": True}, BOTH_MULTIPART),
        ("grant_read", {}, DOWNLOAD),
        ("grant_put", {}, UPLOAD),
        ("grant_write", {}, UPLOAD),
    ],
)
def test_each_grant_allows_exactly_its_operations(
    method,
    options,
    allowed,
    stack,
    bucket,
    role,
    synth,
    key_statements,
    role_statements,
    named,
    kms_statement,
    s3_statement,
):
    user = role("User")
    on_objects, on_key = allowed

    grant = getattr(bucket, method)(user, **options)

    template = synth(stack)
    assert grant.success
    in_key = [on_key] if isinstance(on_key, str) else on_key
    assert key_statements(template)[1:] == [named(user, in_key, {"StringEquals": VIA_S3})]
    written = role_statements(template, stack, user)
    assert sorted(written, key=str) == sorted([kms_statement(on_key), s3_statement(on_objects)], key=str)


@pytest.mark.parametrize(
    ("grant", "actions", "pattern"),
    [
        (lambda bucket, user: bucket.grant_upload(user, objects_key_pattern="in/*"), "s3:PutObject", "in/*"),
        (lambda bucket, user: bucket.grant_download(user, objects_key_pattern="out/*"), "s3:GetObject", "out/*"),
        (lambda bucket, user: bucket.grant_read(user, "out/*"), "s3:GetObject", "out/*"),
        (lambda bucket, user: bucket.grant_put(user, "in/*"), "s3:PutObject", "in/*"),
        (lambda bucket, user: bucket.grant_write(user, "in/*"), "s3:PutObject", "in/*"),
        (lambda bucket, user: bucket.grant_read_write(user, "x/*"), ["s3:GetObject", "s3:PutObject"], "x/*"),
    ],
)
def test_pattern_limits_the_objects(grant, actions, pattern, stack, bucket, role, synth, role_statements, s3_statement):
    user = role("User")

    grant(bucket, user)

    written = role_statements(synth(stack), stack, user)
    assert [it for it in written if "s3:" in str(it["Action"])] == [s3_statement(actions, pattern)]


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
    assert [
        (it["Action"], it["Condition"]["StringEquals"]["kms:EncryptionContext:aws:s3:arn"])
        for it in role_statements(template, stack, user)
        if "kms" in it["Action"]
    ] == [
        ("kms:GenerateDataKey", stack.resolve(first.bucket_arn)),
        ("kms:Decrypt", stack.resolve(second.bucket_arn)),
    ]


def test_grants_property_of_the_bucket_reaches_the_narrow_key_grant(
    stack, bucket, role, synth, role_statements, kms_statement
):
    user = role("User")

    bucket.grants.read(user)

    assert kms_statement("kms:Decrypt") in role_statements(synth(stack), stack, user)


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
