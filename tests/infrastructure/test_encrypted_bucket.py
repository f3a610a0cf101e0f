"""An EncryptedBucket: its properties and policy, exactly what each grant writes, and what spans several stacks."""

import json
from functools import partial

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_servicecatalog as servicecatalog

from kms_patterns import EncryptedBucket, EncryptionKey, KeyLifecycle
from kms_patterns.keys.errors import DeployerUnknown, GrantRefused, KeyConfigurationError
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.policy.bucket_statements import (
    SID_DENY_AWS_MANAGED_KEY,
    SID_DENY_CONFIGURATION,
    SID_DENY_CUSTOMER_KEY,
    SID_DENY_OTHER_ENCRYPTION,
    SID_DENY_OTHER_KEY,
)
from kms_patterns.policy.guardrails import SID_DENY_REPLICATION

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


CONFIGURATION = [
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:PutEncryptionConfiguration",
    "s3:PutReplicationConfiguration",
]


def test_bucket_policy_denies_plain_http_and_every_other_encryption(stack, key, bucket, synth, bucket_statements):
    objects = stack.resolve(bucket.arn_for_objects("*"))
    both = [stack.resolve(bucket.bucket_arn), objects]
    encryption, key_id = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
    everyone, uploads = {"AWS": "*"}, ["s3:PutObject", "s3:ReplicateObject"]

    assert bucket_statements(synth(stack)) == [
        {
            "Effect": "Deny",
            "Principal": everyone,
            "Action": "s3:*",
            "Resource": both,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Effect": "Deny",
            "Principal": everyone,
            "Action": "s3:*",
            "Resource": both,
            "Condition": {"NumericLessThan": {"s3:TlsVersion": 1.2}},
        },
        {
            "Sid": SID_DENY_OTHER_KEY,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": [*uploads, "s3:UpdateObjectEncryption"],
            "Resource": objects,
            "Condition": {
                "StringNotEquals": {key_id: stack.resolve([key.key_arn, key.key_id])},
                "Null": {key_id: "false"},
            },
        },
        {
            "Sid": SID_DENY_AWS_MANAGED_KEY,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": uploads,
            "Resource": objects,
            "Condition": {"StringEquals": {encryption: "aws:kms"}, "Null": {key_id: "true"}},
        },
        {
            "Sid": SID_DENY_OTHER_ENCRYPTION,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": uploads,
            "Resource": objects,
            "Condition": {"StringNotEquals": {encryption: "aws:kms"}, "Null": {encryption: "false"}},
        },
        {
            "Sid": SID_DENY_CUSTOMER_KEY,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": uploads,
            "Resource": objects,
            "Condition": {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}},
        },
        {
            "Sid": SID_DENY_CONFIGURATION,
            "Effect": "Deny",
            "Principal": everyone,
            "Action": CONFIGURATION,
            "Resource": both[0],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [stack.resolve(deployment_role_arn(stack))]}},
        },
    ]


def test_configuration_may_be_left_to_further_roles(stack, key, synth, bucket_statements):
    EncryptedBucket(stack, "Bucket", encryption_key=key, configured_by=["arn:aws:iam::111122223333:role/emergency"])

    (principals,) = bucket_statements(synth(stack))[-1]["Condition"].values()
    assert principals["aws:PrincipalArn"] == [
        stack.resolve(deployment_role_arn(stack)),
        "arn:aws:iam::111122223333:role/emergency",
    ]


@pytest.mark.parametrize("synthesizer", [cdk.LegacyStackSynthesizer, cdk.CliCredentialsStackSynthesizer])
def test_without_a_deployment_role_configuration_must_come_through_cloudformation(
    synthesizer, app, synth, bucket_statements
):
    stack = cdk.Stack(app, "Bootstrapless", synthesizer=synthesizer())
    EncryptedBucket(stack, "Bucket", encryption_key=EncryptionKey(stack, "Key"))

    through = {"StringNotEquals": {"aws:CalledViaLast": "cloudformation.amazonaws.com"}}
    assert bucket_statements(synth(stack))[-1]["Condition"] == through


class SynthesizerOfAnotherLibrary(cdk.StackSynthesizer):
    """Deploys with a role of its own, which only the manifest shows."""

    def add_file_asset(self, *_args, **_options):
        raise NotImplementedError

    add_docker_image_asset = add_file_asset

    def synthesize(self, session):
        self._synthesize_template(session)
        self._emit_artifact(session, assume_role_arn="arn:aws:iam::111122223333:role/own")


def stack_of_another_library(app):
    env = cdk.Environment(account="111122223333", region="eu-west-1")
    return cdk.Stack(app, "Staged", synthesizer=SynthesizerOfAnotherLibrary(), env=env)


def test_role_of_an_unknown_synthesizer_must_be_named_or_the_deployment_would_be_locked_out(
    app, synth, bucket_statements
):
    stack = stack_of_another_library(app)
    key = EncryptionKey(stack, "Key")

    EncryptedBucket(stack, "Bucket", encryption_key=key, configured_by=["arn:aws:iam::111122223333:role/own"])
    exempt = {"ArnNotEquals": {"aws:PrincipalArn": ["arn:aws:iam::111122223333:role/own"]}}
    assert bucket_statements(synth(stack))[-1]["Condition"] == exempt

    with pytest.raises(DeployerUnknown, match=r"the synthesizer of Staged is none of .* name it in configured_by"):
        EncryptedBucket(stack, "Unnamed", encryption_key=key)


def test_key_of_a_stack_with_an_unknown_synthesizer_is_replicated_by_no_principal(app, synth):
    stack = stack_of_another_library(app)
    EncryptionKey(stack, "Key", multi_region=True)

    (key,) = [item for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    (denial,) = [it for it in key["Properties"]["KeyPolicy"]["Statement"] if it["Sid"] == SID_DENY_REPLICATION]
    assert "Condition" not in denial


def test_product_of_service_catalog_is_deployed_with_the_permissions_of_its_caller(stack):
    assert deployment_role_arn(servicecatalog.ProductStack(stack, "Product")) is None


def test_properties_are_those_of_a_private_versioned_bucket_under_the_key(stack, key, bucket, synth):
    made = resource(synth(stack), "AWS::S3::Bucket")

    assert made["Properties"] == {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {
                    "BucketKeyEnabled": True,
                    "ServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": stack.resolve(key.key_arn),
                    },
                }
            ]
        },
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": "AbortIncompleteUploads",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "VersioningConfiguration": {"Status": "Enabled"},
    }
    assert made["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize("days", [1, 7])
def test_unfinished_uploads_may_be_aborted_after_one_to_seven_days(days, stack, key, synth):
    EncryptedBucket(stack, "Bucket", encryption_key=key, abort_incomplete_uploads_after=cdk.Duration.days(days))

    rules = resource(synth(stack), "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": days}


@pytest.mark.parametrize("after", [cdk.Duration.days(0), cdk.Duration.days(8), cdk.Duration.hours(36)])
def test_other_times_for_unfinished_uploads_are_refused(after, stack, key):
    with pytest.raises(KeyConfigurationError, match="whole days from 1 to 7"):
        EncryptedBucket(stack, "Bucket", encryption_key=key, abort_incomplete_uploads_after=after)


def test_bucket_of_an_ephemeral_key_goes_with_it_without_a_custom_resource(stack, synth):
    key = EncryptionKey(stack, "Key", lifecycle=KeyLifecycle.EPHEMERAL)
    EncryptedBucket(stack, "Bucket", encryption_key=key)

    template = synth(stack)
    assert resource(template, "AWS::S3::Bucket")["DeletionPolicy"] == "Delete"
    assert {item["Type"] for item in template["Resources"].values()} == {
        "AWS::KMS::Key",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
    }


def test_lifecycle_of_the_bucket_can_differ_from_its_key(stack, key, synth):
    EncryptedBucket(stack, "Bucket", encryption_key=key, lifecycle=KeyLifecycle.EPHEMERAL)

    template = synth(stack)
    assert resource(template, "AWS::S3::Bucket")["DeletionPolicy"] == "Delete"
    assert resource(template, "AWS::KMS::Key")["DeletionPolicy"] == "RetainExceptOnCreate"


def test_access_logs_go_to_the_given_bucket(stack, key, synth):
    logs = s3.Bucket(stack, "Logs")
    bucket = EncryptedBucket(
        stack, "Bucket", encryption_key=key, server_access_logs_bucket=logs, server_access_logs_prefix="documents/"
    )

    made = synth(stack)["Resources"][stack.get_logical_id(bucket.node.default_child)]
    assert made["Properties"]["LoggingConfiguration"] == {
        "DestinationBucketName": stack.resolve(logs.bucket_name),
        "LogFilePrefix": "documents/",
    }


def test_access_logs_into_a_bucket_under_a_named_key_are_refused(stack, key, bucket):
    with pytest.raises(RuntimeError, match=r"give an s3\.Bucket with BucketEncryption\.S3_MANAGED"):
        EncryptedBucket(stack, "Other", encryption_key=key, server_access_logs_bucket=bucket)


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
def key_elsewhere(keys):
    return EncryptionKey(keys, "Key")


def context_of(statements):
    (kms,) = [it for it in statements if it["Action"] == "kms:Decrypt"]
    return kms["Condition"]["StringLike"]["kms:EncryptionContext:aws:s3:arn"]


def test_role_beside_the_bucket_may_use_a_key_of_another_stack(key_elsewhere, data, role, synth, role_statements):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key_elsewhere)
    user = role("User", data, role_name="reader")

    bucket.grant_download(user)

    assert context_of(role_statements(synth(data), data, user)) == data.resolve(
        [bucket.bucket_arn, bucket.arn_for_objects("*")]
    )


def test_role_of_a_third_stack_may_use_both(key_elsewhere, data, users, role, synth, role_statements):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key_elsewhere)
    user = role("User", users, role_name="reader")

    bucket.grant_download(user)

    of_bucket, of_objects = context_of(role_statements(synth(users), users, user))
    assert "Fn::ImportValue" in of_bucket
    assert "Fn::ImportValue" in str(of_objects)


def test_unnamed_role_beside_the_bucket_is_refused_with_the_way_out(key_elsewhere, data, role):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key_elsewhere)

    with pytest.raises(GrantRefused, match="role_name"):
        bucket.grant_download(role("User", data))


def test_role_beside_the_key_is_refused_with_the_way_out(key_elsewhere, data, role):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key_elsewhere)

    with pytest.raises(GrantRefused, match=r"whose stack depends on the key's.*bucket_name"):
        bucket.grant_download(role("User"))


def test_role_beside_the_key_may_use_a_named_bucket(key_elsewhere, data, role, synth, role_statements, keys):
    bucket = EncryptedBucket(data, "Bucket", encryption_key=key_elsewhere, bucket_name="orders-documents")
    user = role("User")

    bucket.grant_download(user)

    written = role_statements(synth(keys), keys, user)
    assert context_of(written) == [
        {"Fn::Join": ["", [*PREFIX, f":s3:::orders-documents{below}"]]} for below in ("", "/*")
    ]
    assert written[1]["Resource"] == {"Fn::Join": ["", [*PREFIX, ":s3:::orders-documents/*"]]}


def test_key_of_another_region_is_refused(app, key_elsewhere):
    far = cdk.Stack(app, "Far", env=cdk.Environment(account="111122223333", region="us-east-1"))

    with pytest.raises(KeyConfigurationError, match="the key is in eu-west-1, the bucket in us-east-1"):
        EncryptedBucket(far, "Bucket", encryption_key=key_elsewhere)


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
