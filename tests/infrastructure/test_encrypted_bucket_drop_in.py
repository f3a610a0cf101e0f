"""An EncryptedBucket in place of an ``s3.Bucket``: parameters, constructs of the CDK that use it, other accounts."""

import inspect
import json
import re
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_codepipeline_actions as pipeline_actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_elasticloadbalancing as balancing
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from aws_cdk import aws_stepfunctions as stepfunctions
from aws_cdk.assertions import Annotations, Match

from kms_patterns import EncryptedBucket, EncryptionKey, KeyAccess, KeyLifecycle
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.patterns.encrypted_bucket import _FIXED, BucketOptions
from tests.infrastructure.test_deliveries import statements_of
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
IMPORTED = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
KEY_ID = "s3:x-amz-server-side-encryption-aws-kms-key-id"


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def bucket(stack, key):
    return EncryptedBucket(stack, "Bucket", encryption_key=key)


def properties(template, kind):
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def key_statements(template):
    (found,) = properties(template, "AWS::KMS::Key")
    return found["KeyPolicy"]["Statement"]


def actions_on(template, role_id, bucket_id):
    """Return the S3 actions that policies of roles whose logical id starts so allow on the bucket and its objects."""
    return {
        action
        for policy in properties(template, "AWS::IAM::Policy")
        if any(role["Ref"].startswith(role_id) for role in policy["Roles"])
        for statement in policy["PolicyDocument"]["Statement"]
        if bucket_id in json.dumps(statement["Resource"])
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        if action.startswith("s3:")
    }


def allowed_by_bucket(template):
    return [
        statement
        for policy in properties(template, "AWS::S3::BucketPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]


def test_every_parameter_of_a_bucket_is_taken_or_refused_with_a_reason():
    parameters = set(inspect.signature(s3.Bucket.__init__).parameters) - {"self", "scope", "id", "encryption_key"}
    assert parameters == set(BucketOptions.__annotations__) | set(_FIXED)


@pytest.mark.parametrize("name", [*sorted(_FIXED), "no_such_parameter"])
def test_parameter_that_the_bucket_fixes_is_refused(name, stack, key):
    with pytest.raises(KeyConfigurationError, match=f"an EncryptedBucket takes no {name}: "):
        EncryptedBucket(stack, "Bucket", encryption_key=key, **{name: "x"})


def test_parameters_of_a_bucket_reach_the_template(stack, key, synth):
    expiring = s3.LifecycleRule(id="Expire", expiration=cdk.Duration.days(90))
    EncryptedBucket(
        stack, "Bucket", encryption_key=key, bucket_name="documents-of-ours", event_bridge_enabled=True,
        cors=[s3.CorsRule(allowed_methods=[s3.HttpMethods.GET], allowed_origins=["https://example.com"])],
        lifecycle_rules=[expiring], object_lock_enabled=True, transfer_acceleration=True,
        metrics=[s3.BucketMetrics(id="All")],
    )  # fmt: skip

    (made,) = properties(synth(stack), "AWS::S3::Bucket")
    assert [rule["Id"] for rule in made["LifecycleConfiguration"]["Rules"]] == ["AbortIncompleteUploads", "Expire"]
    assert (made["BucketName"], made["ObjectLockEnabled"]) == ("documents-of-ours", True)
    assert {"CorsConfiguration", "AccelerateConfiguration", "MetricsConfigurations"} <= set(made)


def test_ephemeral_bucket_empties_itself_if_asked(stack, synth):
    key = EncryptionKey(stack, "Key", lifecycle=KeyLifecycle.EPHEMERAL)
    EncryptedBucket(stack, "Bucket", encryption_key=key, auto_delete_objects=True)

    assert len(properties(synth(stack), "Custom::S3AutoDeleteObjects")) == 1


def test_function_that_empties_other_buckets_is_left_as_it_is(stack, key, synth):
    s3.Bucket(stack, "Other", removal_policy=cdk.RemovalPolicy.DESTROY, auto_delete_objects=True)
    EncryptedBucket(stack, "Bucket", encryption_key=key)

    assert "LoggingConfig" not in str(properties(synth(stack), "AWS::Lambda::Function"))


def pipeline(stack, bucket, key):
    source, out = codepipeline.Artifact("source"), codepipeline.Artifact("out")
    project = codebuild.PipelineProject(stack, "Project", encryption_key=key)
    read = pipeline_actions.S3SourceAction(
        action_name="Read", bucket=s3.Bucket(stack, "Source", versioned=True), bucket_key="k.zip", output=source
    )
    build = pipeline_actions.CodeBuildAction(action_name="Build", project=project, input=source, outputs=[out])
    stages = [codepipeline.StageProps(stage_name=act.action_properties.action_name, actions=[act])
              for act in (read, build)]  # fmt: skip
    codepipeline.Pipeline(
        stack, "Pipeline", artifact_bucket=bucket, pipeline_type=codepipeline.PipelineType.V2, stages=stages
    )


@pytest.mark.parametrize(
    ("make", "role_id", "needed"),
    [
        (
            lambda stack, bucket, _: deployment.BucketDeployment(
                stack, "Deployment", sources=[deployment.Source.data("a", "x")], destination_bucket=bucket
            ),
            "CustomCDKBucketDeployment",
            {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"},
        ),
        (
            lambda stack, bucket, _: firehose.DeliveryStream(stack, "Stream", destination=firehose.S3Bucket(bucket)),
            "StreamS3DestinationRole",
            {
                "s3:AbortMultipartUpload",
                "s3:GetBucketLocation",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                "s3:PutObject",
            },
        ),
        (
            pipeline,
            "PipelineRole",
            {"s3:GetObject", "s3:GetObjectVersion", "s3:GetBucketVersioning", "s3:PutObject"},
        ),
        (
            pipeline,
            "ProjectRole",
            {"s3:GetObject", "s3:GetObjectVersion", "s3:GetBucketLocation", "s3:PutObject"},
        ),
    ],
)
def test_constructs_of_the_cdk_get_what_they_need_and_no_wildcard(make, role_id, needed, stack, key, bucket, synth):
    make(stack, bucket, key)

    found = actions_on(synth(stack), role_id, stack.resolve(bucket.bucket_name)["Ref"])
    assert needed <= found
    assert [action for action in found if "*" in action] == []


@pytest.mark.parametrize(
    ("method", "allowed"),
    [
        ("grant_download", [("s3:GetObject", "/*")]),
        ("grant_upload", [("s3:PutObject", "/*")]),
        ("grant_list", [("s3:ListBucket", "")]),
        ("grant_delete", [("s3:DeleteObject", "/*")]),
    ],
)
def test_role_of_another_account_is_named_in_the_bucket_policy_and_both_halves_are_reported(
    method, allowed, stack, bucket, synth
):
    far = iam.Role.from_role_arn(stack, "Far", "arn:aws:iam::444455556666:role/reader")

    getattr(bucket, method)(far)

    written = allowed_by_bucket(synth(stack))
    assert [statement["Principal"] for statement in written] == [
        {"AWS": "arn:aws:iam::444455556666:role/reader"} for _ in allowed
    ]
    assert [(statement["Action"], statement["Resource"]) for statement in written] == [
        (action, stack.resolve(f"{bucket.bucket_arn}{below}")) for action, below in allowed
    ]
    ((action, below),) = allowed
    bucket_id = stack.resolve(bucket.bucket_name)["Ref"]
    document = {"Effect": "Allow", "Action": [action],
                "Resource": [f"<{bucket_id}.Arn>{below}"]}  # fmt: skip
    reported = [
        entry.entry.data for entry in Annotations.from_stack(stack).find_info("/Stack/Bucket", Match.any_value())
    ]
    assert [json.loads(text.partition("Add there:\n")[2]) for text in reported] == [document]
    assert "is in account 444455556666: the bucket policy names it" in reported[0]


def test_role_of_this_account_is_not_named_in_the_bucket_policy(stack, bucket, role, synth):
    bucket.grant_read_write(role("User"))

    assert allowed_by_bucket(synth(stack)) == []


def test_delegated_and_imported_keys_serve(stack, role, synth, role_statements):
    delegated = EncryptionKey(stack, "Delegated", access=KeyAccess.DELEGATED)
    imported = EncryptionKey.from_key_arn(stack, "Imported", IMPORTED)
    for name, key in (("One", delegated), ("Two", imported)):
        EncryptedBucket(stack, name, encryption_key=key).grant_download(role(f"User{name}"))

    template = synth(stack)
    (under_imported,) = [
        statement
        for policy in properties(template, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == IMPORTED
    ]
    assert under_imported["Action"] == "kms:Decrypt"
    assert all(item.get("DeletionPolicy") == "RetainExceptOnCreate" or item["DeletionPolicy"] == "Retain"
               for item in template["Resources"].values() if item["Type"] == "AWS::S3::Bucket")  # fmt: skip


def test_uploads_may_name_the_key_by_arn_or_id_and_by_alias_only_by_choice(stack, key, synth):
    EncryptedBucket(stack, "Plain", encryption_key=key)
    EncryptedBucket(stack, "ByAlias", encryption_key=key, allow_upload_by_alias=["alias/documents"])

    names = [
        statement["Condition"]["StringNotEquals"][KEY_ID]
        for policy in properties(synth(stack), "AWS::S3::BucketPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if KEY_ID in statement.get("Condition", {}).get("StringNotEquals", {})
    ]
    own = stack.resolve([key.key_arn, key.key_id])
    alias = stack.resolve(stack.format_arn(service="kms", resource="alias/documents"))
    assert names == [own, [*own, "alias/documents", alias]]


@pytest.mark.parametrize("names", ["alias/documents", "arn:aws:iam::111122223333:role/*", ["*"], ["alias/d?cuments"]])
@pytest.mark.parametrize("argument", ["allow_upload_by_alias", "configured_by"])
def test_text_or_wildcard_that_would_void_a_deny_is_refused(argument, names, stack, key):
    with pytest.raises(KeyConfigurationError, match=f"{argument}=.*list of single names"):
        EncryptedBucket(stack, "Bucket", encryption_key=key, **{argument: names})


PAGE = ROOT / "docs" / "migration.md"
MIGRATION = ROOT / "tests" / "end_to_end" / "apps" / "migration.py"


@pytest.fixture(scope="module")
def migration(tmp_path_factory):
    """Resources of the stack of docs/migration.md, before and after."""
    folder = tmp_path_factory.mktemp("migration")
    found = []
    for step in ("old", "new"):
        assembly = synthesize(MIGRATION, folder / step, folder=folder, context={"step": step})
        found.append(json.loads((assembly / "Migration.template.json").read_text())["Resources"])
    return found


def test_migration_keeps_logical_ids_and_replaces_nothing(migration):
    before, after = migration
    kept = {name for name in before if before[name]["Type"] in {"AWS::KMS::Key", "AWS::KMS::Alias", "AWS::S3::Bucket"}}

    assert len(kept) == 5
    assert {name: after[name]["Type"] for name in kept} == {name: before[name]["Type"] for name in kept}
    fixed = {"KeySpec", "KeyUsage", "MultiRegion", "Origin", "BucketName", "AliasName", "ObjectLockEnabled"}
    old, new = ({name: it[name]["Properties"] for name in kept} for it in migration)
    assert [name for name in kept for it in fixed if old[name].get(it) != new[name].get(it)] == []


def test_page_on_migration_states_what_changes_in_each_resource(migration):
    before, _ = migration
    for kind in ("AWS::KMS::Key", "AWS::S3::Bucket"):
        changed = set()
        for name in (it for it in before if before[it]["Type"] == kind):
            old, new = ({**it[name]["Properties"], "DeletionPolicy": it[name]["DeletionPolicy"]} for it in migration)
            changed |= {it for it in old.keys() | new.keys() if old.get(it) != new.get(it)}
        (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{kind}` |")]
        assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == changed, kind


def test_samples_of_the_page_on_migration_are_parts_of_its_app():
    samples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    files = (MIGRATION, MIGRATION.parents[3] / "stacks" / "secrets.py")
    app = {line.strip() for file in files for line in file.read_text().splitlines()}
    assert len(samples) == 3
    assert [line for sample in samples for line in sample.splitlines() if line not in app] == []


def test_methods_have_the_parameters_of_those_of_the_cdk():
    """An app may name them, and pyright takes an EncryptedBucket for an IBucket only then."""
    names = [name for name in dir(s3.IBucket) if not name.startswith("_") and callable(getattr(s3.IBucket, name))]
    of_the_cdk, ours = (
        {name: [*inspect.signature(getattr(bucket, name)).parameters] for name in names}
        for bucket in (s3.IBucket, EncryptedBucket)
    )

    assert ours == of_the_cdk


def code(stack, bucket):
    source = lambda_.Code.from_bucket(bucket, "code.zip")
    lambda_.Function(stack, "It", runtime=lambda_.Runtime.PYTHON_3_14, handler="i.h", code=source)


def layer(stack, bucket):
    lambda_.LayerVersion(stack, "It", code=lambda_.Code.from_bucket(bucket, "layer.zip"))


def table(stack, bucket):
    source = dynamodb.ImportSourceSpecification(bucket=bucket, input_format=dynamodb.InputFormat.dynamo_db_json())
    id_ = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    dynamodb.Table(stack, "It", partition_key=id_, import_source=source)


def interface(stack, bucket):
    apigateway.SpecRestApi(stack, "It", api_definition=apigateway.ApiDefinition.from_bucket(bucket, "api.json"))


def machine(stack, bucket):
    source = stepfunctions.CfnStateMachine.S3LocationProperty(bucket=bucket.bucket_name, key="machine.json")
    stepfunctions.CfnStateMachine(stack, "It", role_arn="arn", definition_s3_location=source)


@pytest.mark.parametrize("make", [code, layer, table, interface, machine])
def test_role_that_deploys_decrypts_what_a_new_resource_is_made_from(make, stack, key, bucket, synth):
    make(stack, bucket)

    (found,) = [it for it in key_statements(synth(stack)) if it.get("Sid", "").startswith("AllowDeployment")]
    assert found["Action"] == "kms:Decrypt"
    assert found["Condition"]["StringEquals"] == {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}


def inline_code(stack, _):
    source = lambda_.Code.from_inline("x")
    lambda_.Function(stack, "It", runtime=lambda_.Runtime.PYTHON_3_14, handler="i.h", code=source)


def test_code_that_is_not_in_the_bucket_adds_nothing(stack, key, bucket, synth):
    inline_code(stack, bucket)

    assert "AllowDeployment" not in str(key_statements(synth(stack)))


def distribution(stack, bucket):
    origin = origins.HttpOrigin("example.com")
    cloudfront.Distribution(stack, "It", default_behavior=cloudfront.BehaviorOptions(origin=origin), log_bucket=bucket)


def classic_balancer(stack, bucket):
    logs = balancing.CfnLoadBalancer.AccessLoggingPolicyProperty(enabled=True, s3_bucket_name=bucket.bucket_name)
    balancing.CfnLoadBalancer(stack, "It", listeners=[], access_logging_policy=logs)


def logged_bucket(stack, bucket):
    logs = s3.CfnBucket.LoggingConfigurationProperty(destination_bucket_name=bucket.bucket_name)
    s3.CfnBucket(stack, "It", logging_configuration=logs)


def bucket_policy(stack, bucket):
    logging = iam.ServicePrincipal("logging.s3.amazonaws.com")
    bucket.add_to_resource_policy(
        iam.PolicyStatement(actions=["s3:PutObject"], principals=[logging], resources=[bucket.arn_for_objects("*")])
    )


@pytest.mark.parametrize("make", [distribution, classic_balancer, logged_bucket, bucket_policy])
def test_logs_that_aws_writes_under_no_such_key_are_pointed_out(make, stack, key, bucket):
    make(stack, bucket)

    reason = "no condition on a source" if make is distribution else "SSE-S3 alone"
    expected = Match.string_like_regexp(f"write logs to Stack/Bucket.*{reason}")
    Annotations.from_stack(stack).has_warning("/Stack/Key", expected)


@pytest.mark.parametrize("granted", [True, False])
def test_reader_through_an_access_point_without_the_key_is_pointed_out(granted, stack, key):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    point = s3.CfnAccessPoint(stack, "Point", bucket=bucket.bucket_name)
    reader = iam.Role(stack, "Reader", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    objects = iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{point.attr_arn}/object/*"])
    reader.add_to_policy(objects)
    if granted:
        bucket.grant_download(reader)

    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("s3:GetObject on .*Point"))
    assert len(found) == (not granted)


@pytest.mark.parametrize("granted", [True, False])
def test_durable_executions_are_served_and_their_role_is_pointed_out(granted, stack, key, synth):
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    if granted:
        key.allow_use_through("lambda-durable", role)
    durable = {"executionTimeout": 60, "kmsKeyArn": key.key_arn}
    code = {"code": {"zipFile": "x"}, "handler": "i.h", "runtime": "python3.13"}
    lambda_.CfnFunction(stack, "It", role=role.role_arn, durable_config=durable, **code)

    policy = json.dumps(synth(stack)["Resources"]["Key961B73FD"]["Properties"]["KeyPolicy"])
    assert '"lambda.amazonaws.com"' in policy
    assert "kms:EncryptionContext:aws:lambda:FunctionArn" in policy
    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("'lambda-durable', role"))
    assert len(found) == (not granted)


NAMING = {
    "AWS::WAFv2::LoggingConfiguration": lambda it: {"LogDestinationConfigs": [it.bucket_arn]},
    "AWS::VpcLattice::AccessLogSubscription": lambda it: {"DestinationArn": it.bucket_arn},
    "AWS::Route53Resolver::ResolverQueryLoggingConfig": lambda it: {"DestinationArn": it.bucket_arn},
    "AWS::Logs::DeliveryDestination": lambda it: {"DestinationResourceArn": it.bucket_arn},
    "AWS::KafkaConnect::Connector": lambda it: {
        "LogDelivery": {"WorkerLogDelivery": {"S3": {"Bucket": it.bucket_name}}}
    },
    "AWS::Pipes::Pipe": lambda it: {"LogConfiguration": {"S3LogDestination": {"BucketName": it.bucket_name}}},
    "AWS::EC2::VerifiedAccessInstance": lambda it: {"LoggingConfigurations": {"S3": {"BucketName": it.bucket_name}}},
    "AWS::MSK::Cluster": lambda it: {"LoggingInfo": {"BrokerLogs": {"S3": {"Bucket": it.bucket_name}}}},
    "AWS::NetworkFirewall::LoggingConfiguration": lambda it: {
        "LoggingConfiguration": {"LogDestinationConfigs": [{"LogDestination": {"bucketName": it.bucket_name}}]}
    },
}


def test_logs_that_name_a_bucket_without_a_policy_of_the_app_are_served(stack, synth):
    for number, (title, naming) in enumerate(NAMING.items()):
        key = EncryptionKey(stack, f"Key{number}")
        key.resource.override_logical_id(f"Key{number}")
        bucket = EncryptedBucket(stack, f"Bucket{number}", encryption_key=key)
        cdk.CfnResource(stack, f"Logs{number}", type=title, properties=naming(bucket))

    found = synth(stack)["Resources"]
    policies = [json.dumps(found[f"Key{number}"]["Properties"]["KeyPolicy"]) for number in range(len(NAMING))]
    assert ["delivery.logs.amazonaws.com" in policy for policy in policies] == [True] * len(NAMING)


@pytest.mark.parametrize("title", ["AWS::MSK::Cluster", "AWS::NetworkFirewall::LoggingConfiguration"])
def test_logs_that_name_a_bucket_by_its_literal_name_are_served(title, stack, key):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key, bucket_name="orders-logs")
    imported = s3.Bucket.from_bucket_name(bucket, "Imported", "orders-logs")
    cdk.CfnResource(stack, "Logs", type=title, properties=NAMING[title](imported))

    assert statements_of(stack, "delivery.logs.amazonaws.com")
