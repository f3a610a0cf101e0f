"""What AWS services need of a key: every resource type that can name one, and the actions that AWS's pages name."""

import gzip
import json
import re
import tarfile
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_backup as backup
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as alarm_actions
from aws_cdk import aws_config as config
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_efs as efs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as schedules
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ses as ses
from aws_cdk import aws_ses_actions as mail_actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as states
from botocore.exceptions import ClientError

from demo.scenario import Stage
from kms_patterns import EncryptionKey, KeyLifecycle, SigningKey
from kms_patterns.policy.services import LAUNCHED, SERVICES, UNBOUND
from tests.end_to_end.conftest import EC2, deployed

HERE = cdk.Environment(account="111122223333", region="eu-west-1")
_STRUCT = re.compile(r'"aws-cdk-lib\.(\w+)\.Cfn(\w+?)(?:Props|\.(\w+)Property)":(?=\{"assembly")')
_NESTED = re.compile(r'"aws-cdk-lib\.\w+\.Cfn\w+\.(\w+)Property"')
_NAME = re.compile(r"kms|cmk|customerManagedKey$|encryptionKey$|signKey$", re.IGNORECASE)
_BY_DOCUMENTATION = re.compile(r"(arn|id|identifier|key)$", re.IGNORECASE)
_NOT_A_KEY = re.compile(
    r"(type|logGroupArn|status|role|roleArn|context|seconds|enabled|document|access|encrypted)$", re.IGNORECASE
)
_ABOUT_KMS = re.compile(r"KMS key|customer managed key|Key Management Service", re.IGNORECASE)
# One literal at a time: an alternative of them takes seconds.
_MENTIONS = ("KMS key", "Key Management Service", "kms", "Kms", "cmk", "Cmk", "customerManagedKey", "ncryptionKey")


@cache
def places() -> Mapping[str, list[tuple[str, ...]]]:
    """L1 class -> where its properties name a key: by the name of the property, or by what AWS's text says of it."""
    (file,) = Path(cdk.__file__).parent.glob("_jsii/aws-cdk-lib@*.jsii.tgz")
    with tarfile.open(file) as package:
        member = next(item for item in package if item.name == "package/.jsii.gz")
        text = gzip.decompress(package.extractfile(member).read()).decode("latin-1")  # names are ASCII
    structs: dict[str, dict[str, int]] = {}
    starts: list[tuple[int, str]] = []
    for found in _STRUCT.finditer(text):
        kind = f"{found[1]}.{found[2]}"
        structs.setdefault(kind, {})[found[3] or ""] = found.end()
        starts.append((found.end(), kind))
    starts.sort()
    found_at = (found.start() for literal in _MENTIONS for found in re.finditer(literal, text))
    mentions = {starts[bisect(starts, (position, "")) - 1][1] for position in found_at}

    def walk(kind: str, struct: str, where: tuple[str, ...], above: frozenset[str]) -> Iterator[tuple[str, ...]]:
        if struct not in structs[kind]:
            return
        for member in json.JSONDecoder().raw_decode(text, structs[kind][struct])[0].get("properties", []):
            described = json.dumps(member["type"])
            below = _NESTED.findall(described)
            for name in below:
                if name not in above:
                    yield from walk(kind, name, (*where, member["name"]), above | {name})
            if not below and "string" in described and _names_key(member):
                yield (*where, member["name"])

    named = {kind: list(walk(kind, "", (), frozenset())) for kind in sorted(mentions)}
    return {kind: found for kind, found in named.items() if found and not kind.startswith(("aws_kms.", "aws_iam."))}


UNKNOWN = """
agentregistry Registry; aiops InvestigationGroup; amazonmq Broker; appconfig ConfigurationProfile Deployment;
appflow ConnectorProfile Flow; appintegrations DataIntegration; apprunner Service; aps Workspace; athena WorkGroup;
backupgateway Hypervisor; bedrock AutomatedReasoningPolicy Blueprint DataAutomationLibrary DataAutomationProject
DataSource Flow Guardrail KnowledgeBase Prompt Session; bedrockagentcore CapacityProvider ConfigurationBundle
Dataset Evaluator Gateway Harness OAuth2CredentialProvider PolicyEngine; cassandra Table; chime
MediaInsightsPipelineConfiguration; cleanrooms IdMappingTable IntermediateTable; cleanroomsml
ConfiguredModelAlgorithm; codeartifact Domain; codebuild Project ReportGroup; codecommit Repository; codepipeline
Pipeline; cognito UserPool UserPoolRegionalConfigurationAttachment; comprehend DocumentClassifier EntityRecognizer
Flywheel; connect InstanceStorageConfig; customerprofiles Domain DomainObjectType
Integration ObjectType; dataexchange EventAction; datasync LocationAzureBlob LocationFSxONTAP LocationFSxWindows
LocationHDFS LocationObjectStorage LocationSMB; datazone Connection Domain; deadline Farm; devopsagent AgentSpace
Service; dlm LifecyclePolicy; dms Endpoint InstanceProfile ReplicationConfig ReplicationInstance; docdb DBCluster;
docdbelastic Cluster; dsql Cluster; ec2 EC2Fleet VerifiedAccessEndpoint VerifiedAccessGroup
VerifiedAccessTrustProvider; ecr RepositoryCreationTemplate; ecs Cluster Service; eks Cluster; eks_v2 Cluster;
elasticache ReplicationGroup ServerlessCache ServerlessCacheSnapshot Snapshot; elasticsearch Domain; emr Cluster
Step; emrcontainers SecurityConfiguration; emrserverless Application; entityresolution IdMappingWorkflow
MatchingWorkflow; events Connection; eventsv2 EventBus EventSource; evs Environment; finspace Environment; fsx
FileCache FileSystem; glue Catalog Connection DataCatalogEncryptionSettings Integration IntegrationResourceProperty
MLTransform SecurityConfiguration; groundstation MissionProfile; guardduty PublishingDestination; healthimaging
Datastore; healthlake DataTransformationProfile FHIRDatastore; imagebuilder Component ContainerRecipe ImageRecipe
Workflow; iot EncryptionConfiguration; iotsitewise Workspace; kendra Index; kinesis Channel; kinesisanalytics
ApplicationV2; kinesisanalyticsv2 Application; kinesisvideo Stream; lambda CapacityProvider
WebFunctionRevision; lex Bot BotAlias; licensemanager License; location GeofenceCollection Tracker; logs Integration
LogAnomalyDetector; lookoutequipment InferenceScheduler; lookoutmetrics AnomalyDetector; m2 Application Environment;
memorydb Cluster Snapshot; mgn LaunchConfigurationTemplate; msk Channel Cluster; mwaa Environment; mwaaserverless
Workflow; neptune DBCluster; neptunegraph Graph; nimblestudio Studio; observabilityadmin
OrganizationCentralizationRule OrganizationTelemetryRule S3TableIntegration TelemetryRule; opensearchserverless
Collection; opensearchservice Application Domain; osis Pipeline; personalize DatasetGroup MetricAttribution; pipes
Pipe; proton EnvironmentTemplate ServiceTemplate; qbusiness Application; qldb Ledger; rds CustomDBEngineVersion
Integration; redshift Integration SnapshotCopyGrant; redshiftserverless Namespace; rekognition StreamProcessor;
resiliencehubv2 Policy Service System; route53 KeySigningKey; s3 StorageLens; s3express DirectoryBucket; s3files
FileSystem; s3tables TableBucket; s3vectors Index VectorBucket; sagemaker Cluster DataQualityJobDefinition
DeviceFleet Domain EndpointConfig InferenceExperiment ModelBiasJobDefinition ModelCard
ModelExplainabilityJobDefinition ModelPackage ModelQualityJobDefinition MonitoringSchedule NotebookInstance
PartnerApp ProcessingJob UserProfile; sam Function; secretsmanager RotationSchedule; securityagent AgentSpace
Application Integration SecurityRequirementPack; securityhub ConnectorV2; securitylake DataLake; ses
MailManagerArchive MailManagerIngressPoint MailManagerRuleSet ReceiptRule; ssm ResourceDataSync; ssmguiconnect
Preferences; ssmincidents ReplicationSet; stepfunctions Activity; storagegateway NFSFileShare SMBFileShare Tape
Volume; supportauthz SupportPermit; synthetics Canary; timestream Database ScheduledQuery; voiceid Domain; wisdom
Assistant KnowledgeBase; workspaces Workspace; workspacesinstances Volume WorkspaceInstance; workspacesthinclient
Environment; workspacesweb BrowserSettings DataProtectionSettings IpAccessSettings Portal SessionLogger UserSettings
"""
"""Service and L1 classes without a row: nothing is allowed, and a warning says where the key is named."""


def _names_key(member: Mapping[str, Any]) -> bool:
    name, texts = member["name"], member.get("docs", {})
    about_kms = _ABOUT_KMS.search(f"{texts.get('summary')} {texts.get('remarks')}")
    return not _NOT_A_KEY.search(name) and bool(_NAME.search(name) or (_BY_DOCUMENTATION.search(name) and about_kms))


def l1(kind: str) -> str:
    """Return the L1 class of a CloudFormation type, without the package."""
    _, service, name = kind.split("::")
    return f"aws_{service.lower()}.{name}"


def rows_of(kind: str) -> list[str]:
    return [
        f"{row}." for use in SERVICES.values() for it, found in use.resources.items() if l1(it) == kind for row in found
    ]


def test_every_type_that_can_name_a_key_has_a_row_or_is_known_to_have_none() -> None:
    """A new type of a newer aws-cdk-lib fails here: give it a row, or add it to UNKNOWN."""
    unknown = {f"aws_{line.split()[0]}.{name}" for line in UNKNOWN.split(";") for name in line.split()[1:]}
    known = {l1(kind) for kind in (*LAUNCHED, *UNBOUND, *(kind for use in SERVICES.values() for kind in use.resources))}

    assert set(places()) == unknown | known
    assert (len(places()), unknown & known) == (254, set())


def test_key_at_each_of_these_places_is_served_or_pointed_out() -> None:
    stack = cdk.Stack(cdk.App(builtin_cloud_formation_validation=False), "Stack", env=HERE)
    key = EncryptionKey(stack, "Key")
    unserved = set()
    for kind in places().keys() - {l1(refused) for refused in UNBOUND}:
        service, name = kind.removeprefix("aws_").split(".")
        properties: dict[str, Any] = {}
        for where in places()[kind]:
            holder = properties
            for member in where[:-1]:
                holder = holder.setdefault(member, {})
            holder[where[-1]] = key.key_arn
            path = ".".join(where)
            if not f"{path}.".startswith(tuple(rows_of(kind))):
                unserved.add(f"Stack/{service}{name} (AWS::{service}::{name}) names this key at {path}")
        cdk.CfnResource(stack, f"{service}{name}", type=f"AWS::{service}::{name}", properties=properties)

    said = assertions.Annotations.from_stack(stack).find_warning(
        "*", assertions.Match.string_like_regexp("nothing was")
    )
    assert {str(entry.entry.data).partition(", and ")[0] for entry in said} == unserved


@dataclass(frozen=True)
class Need:
    """What one page says, in its own words, and a construct of the AWS CDK that needs it.

    Attributes:
        make: Makes the resource under the key, for a user where it has one.
        creator: Actions that the page wants for whoever creates the resource.
        user: Actions that it wants for users of the resource.
        service: Actions that the key policy must allow the service itself.
        beyond: Actions that are allowed although the page does not name them.
    """

    make: Callable[[cdk.Stack, EncryptionKey, iam.Role], object]
    creator: str = ""
    user: str = ""
    service: str = ""
    beyond: str = ""


def bucket_that_notifies(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    bucket = s3.Bucket(stack, "It", encryption_key=key)
    bucket.grant_read_write(user)
    queue = sqs.Queue(stack, "Queue", encryption_master_key=key)
    bucket.add_event_notification(s3.EventType.OBJECT_CREATED, notifications.SqsDestination(queue))


def volume(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    ec2.Volume(
        stack, "It", availability_zone="eu-west-1a", size=cdk.Size.gibibytes(8), encrypted=True, encryption_key=key
    )


def table(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    name = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    dynamodb.Table(stack, "It", partition_key=name, encryption_key=key)
    key.allow_use_through("dynamodb", user)


def function(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    code, runtime = lambda_.Code.from_inline("pass"), lambda_.Runtime.PYTHON_3_13
    lambda_.Function(stack, "It", runtime=runtime, handler="i.h", code=code, environment_encryption=key)
    key.allow_use_through("lambda", user)


def package(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Packages", "packages")
    code = lambda_.Code.from_bucket_v2(bucket, "it.zip", source_kms_key=key)
    lambda_.Function(stack, "It", runtime=lambda_.Runtime.PYTHON_3_13, handler="i.h", code=code)


def secret(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    secretsmanager.Secret(stack, "It", encryption_key=key)
    key.allow_use_through("secretsmanager", user)


def topic_that_sends(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    topic = sns.Topic(stack, "It", master_key=key)
    topic.grant_publish(user)
    topic.add_subscription(subscriptions.SqsSubscription(sqs.Queue(stack, "Queue", encryption_master_key=key)))


def queue(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    made = sqs.Queue(stack, "It", encryption_master_key=key)
    made.grant_send_messages(user)
    made.grant_consume_messages(user)
    key.allow_service("sqs")


def vpc(stack: cdk.Stack) -> ec2.IVpc:
    zones, subnets = ["eu-west-1a", "eu-west-1b"], ["subnet-1", "subnet-2"]
    return ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-1", availability_zones=zones, private_subnet_ids=subnets, isolated_subnet_ids=subnets
    )


def database(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    engine = rds.DatabaseInstanceEngine.POSTGRES
    rds.DatabaseInstance(stack, "It", engine=engine, vpc=vpc(stack), storage_encryption_key=key)


def insights(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
    rds.CfnDBInstance(stack, "It", performance_insights_kms_key_id=key.key_arn)
    key.allow_use_through("performance-insights", user)


def cluster(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    engine = rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.VER_16_6)
    writer = rds.ClusterInstance.serverless_v2("Writer")
    rds.DatabaseCluster(stack, "It", engine=engine, vpc=vpc(stack), writer=writer, storage_encryption_key=key)


def rule(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    topic, rate = sns.Topic(stack, "Topic", master_key=key), events.Schedule.rate(cdk.Duration.days(1))
    events.Rule(stack, "It", schedule=rate, targets=[targets.SnsTopic(topic)])


def machine(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    body = states.DefinitionBody.from_chainable(states.Pass(stack, "Pass"))
    encryption = states.CustomerManagedEncryptionConfiguration(key)
    made = states.StateMachine(stack, "It", definition_body=body, encryption_configuration=encryption)
    key.grant_operations(made.role, "kms:Decrypt", "kms:GenerateDataKey")


def alarm(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    metric = cloudwatch.Metric(namespace="Orders", metric_name="Failed")
    made = cloudwatch.Alarm(stack, "It", metric=metric, threshold=1, evaluation_periods=1)
    made.add_alarm_action(alarm_actions.SnsAction(sns.Topic(stack, "Topic", master_key=key)))


def flow_log(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    destination = ec2.FlowLogDestination.to_s3(s3.Bucket(stack, "Logs", encryption_key=key))
    kind = ec2.FlowLogResourceType.from_vpc(vpc(stack))
    ec2.FlowLog(stack, "It", resource_type=kind, destination=destination)


def encrypted(kind: str, where: str, used_by: str = "") -> Callable[[cdk.Stack, EncryptionKey, iam.Role], None]:
    def make(stack: cdk.Stack, key: EncryptionKey, user: iam.Role) -> None:
        topic = sns.Topic(stack, "Topic", master_key=key).topic_arn if where == "SnsTopicArn" else None
        cdk.CfnResource(stack, "It", type=kind, properties={where: topic or {"KeyArn": key.key_arn}})
        if used_by:
            key.allow_use_through(used_by, user)

    return make


def channel(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    bucket = s3.Bucket(stack, "Configurations", encryption_key=key)
    config.CfnDeliveryChannel(stack, "It", s3_bucket_name=bucket.bucket_name)


def archive(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    bus = events.EventBus(stack, "Bus")
    events.CfnArchive(stack, "It", source_arn=bus.event_bus_arn, kms_key_identifier=key.key_arn)


def mail(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    actions = [mail_actions.S3(bucket=s3.Bucket(stack, "Mail", encryption_key=key))]
    ses.ReceiptRuleSet(stack, "It", rules=[ses.ReceiptRuleOptions(actions=actions)])


def signed_zone(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    zone = route53.PublicHostedZone(stack, "Zone", zone_name="example.com")
    route53.KeySigningKey(stack, "It", hosted_zone=zone, kms_key=key, key_signing_key_name="it")


def distribution(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    bucket = s3.Bucket(stack, "Pages", encryption_key=key)
    levels = [cloudfront.AccessLevel.READ, cloudfront.AccessLevel.WRITE]
    origin = origins.S3BucketOrigin.with_origin_access_control(bucket, origin_access_levels=levels)
    cloudfront.Distribution(stack, "It", default_behavior=cloudfront.BehaviorOptions(origin=origin))
    key.allow_service("cloudfront")


def schedule(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    target = schedules.SqsSendMessage(sqs.Queue(stack, "Queue"))
    rate = scheduler.ScheduleExpression.rate(cdk.Duration.days(1))
    scheduler.Schedule(stack, "It", schedule=rate, target=target, key=key)


def sources(stack: cdk.Stack, key: EncryptionKey, _: iam.Role) -> None:
    lambda_.LayerVersion(stack, "It", code=lambda_.Code.from_bucket(s3.Bucket(stack, "B", encryption_key=key), "x.zip"))


NEEDS = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    "s3": Need(bucket_that_notifies, user="Decrypt GenerateDataKey", service="GenerateDataKey* Decrypt"),
    # https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
    "ebs": Need(volume, creator="CreateGrant Decrypt DescribeKey GenerateDataKeyWithoutPlaintext ReEncrypt*"),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html
    "rds": Need(database, creator="CreateGrant DescribeKey", beyond="GenerateDataKey Decrypt"),
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PerfInsights.access-control.cmk-policy.html
    "performance-insights": Need(
        insights, creator="CreateGrant DescribeKey", user="Decrypt GenerateDataKey", beyond="Decrypt GenerateDataKey"
    ),
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Overview.Encryption.html
    "aurora": Need(cluster, creator="CreateGrant DescribeKey", beyond="GenerateDataKey Decrypt"),
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    "dynamodb": Need(
        table, creator="Encrypt Decrypt ReEncrypt* GenerateDataKey* DescribeKey CreateGrant", user="Decrypt"
    ),
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
    "lambda": Need(function, creator="CreateGrant Encrypt Decrypt", user="Decrypt", beyond="DescribeKey"),
    # https://docs.aws.amazon.com/lambda/latest/dg/encrypt-zip-package.html
    "lambda-code": Need(package, creator="GenerateDataKey Decrypt", service="GenerateDataKey Decrypt"),
    # https://docs.aws.amazon.com/lambda/latest/dg/durable-encryption.html
    "lambda-durable": Need(encrypted("AWS::Lambda::Function", "DurableConfig", "lambda-durable"), user="Decrypt",
                           creator="DescribeKey GenerateDataKey Decrypt", service="GenerateDataKey Decrypt"),
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    "lambda-filters": Need(encrypted("AWS::Lambda::EventSourceMapping", "KmsKeyArn"),
                           creator="Decrypt DescribeKey GenerateDataKey", service="Decrypt"),
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    "secretsmanager": Need(secret, creator="GenerateDataKey Decrypt", user="GenerateDataKey Decrypt"),
    # https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
    "ssm": Need(lambda _, key, user: key.allow_use_through("ssm", user), user="Encrypt GenerateDataKey Decrypt"),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    "logs": Need(lambda stack, key, _: logs.LogGroup(stack, "It", encryption_key=key),
                 service="Encrypt* Decrypt* ReEncrypt* GenerateDataKey* Describe*"),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "sns": Need(topic_that_sends, user="GenerateDataKey* Decrypt", service="GenerateDataKey* Decrypt"),
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    "sqs": Need(queue, user="GenerateDataKey Decrypt", service="GenerateDataKey* Decrypt"),
    # https://docs.aws.amazon.com/efs/latest/ug/EFSKMS.html
    "efs": Need(lambda stack, key, _: efs.FileSystem(stack, "It", vpc=vpc(stack), kms_key=key),
                creator="Decrypt GenerateDataKeyWithoutPlaintext CreateGrant DescribeKey"),
    # https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html
    "kinesis": Need(  # For a construct of the CDK, grantEncrypt is any way of writing.
        lambda stack, key, user: kinesis.Stream(stack, "It", encryption_key=key).grant_read_write(user),
        creator="DescribeKey", user="GenerateDataKey Decrypt", beyond="Encrypt",
    ),
    # https://docs.aws.amazon.com/redshift/latest/mgmt/authorizing-kms-customer-managed-key.html
    "redshift": Need(encrypted("AWS::Redshift::Cluster", "KmsKeyId"),
                     creator="CreateGrant DescribeKey GenerateDataKey Encrypt Decrypt"),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
    "events": Need(lambda stack, key, _: events.EventBus(stack, "It", kms_key=key),
                   creator="GenerateDataKeyWithoutPlaintext Decrypt Encrypt ReEncryptFrom ReEncryptTo DescribeKey",
                   service="Decrypt GenerateDataKey DescribeKey"),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "events-to-topics": Need(rule, service="GenerateDataKey* Decrypt"),
    "dms-events": Need(encrypted("AWS::DMS::EventSubscription", "SnsTopicArn"), service="GenerateDataKey* Decrypt"),
    "rds-events": Need(encrypted("AWS::RDS::EventSubscription", "SnsTopicArn"), service="GenerateDataKey* Decrypt"),
    "redshift-events": Need(encrypted("AWS::Redshift::EventSubscription", "SnsTopicArn"),
                            service="GenerateDataKey* Decrypt"),
    # https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    "states": Need(machine, creator="Decrypt GenerateDataKey DescribeKey"),
    # https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
    "ecr": Need(lambda stack, key, _: ecr.Repository(stack, "It", encryption_key=key),
                creator="CreateGrant RetireGrant DescribeKey"),
    # https://docs.aws.amazon.com/aws-backup/latest/devguide/create-a-vault.html
    "backup": Need(lambda stack, key, _: backup.BackupVault(stack, "It", encryption_key=key),
                   creator="CreateGrant GenerateDataKey Decrypt RetireGrant DescribeKey"),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    "s3-sources": Need(sources, creator="Decrypt"),
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    "cloudwatch": Need(alarm, service="GenerateDataKey* Decrypt"),
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
    "cloudtrail": Need(lambda stack, key, _: cloudtrail.Trail(stack, "It", encryption_key=key),
                       service="GenerateDataKey* Decrypt DescribeKey"),
    # https://docs.aws.amazon.com/config/latest/developerguide/s3-kms-key-policy.html
    "config": Need(channel, service="Decrypt GenerateDataKey"),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-V2-S3.html
    "delivery.logs": Need(flow_log, service="Encrypt Decrypt ReEncrypt* GenerateDataKey* DescribeKey"),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/encryption-archives.html
    "archive": Need(archive, service="Decrypt GenerateDataKey ReEncrypt* DescribeKey"),
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/access-control-managing-permissions.html
    "dnssec-route53": Need(signed_zone, service="DescribeKey GetPublicKey Sign CreateGrant"),
    # https://docs.aws.amazon.com/ses/latest/dg/receiving-email-permissions.html
    "ses": Need(mail, service="GenerateDataKey* Decrypt"),
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
    "cloudfront": Need(distribution, service="Decrypt GenerateDataKey*"),
    # https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeliveryStreamEncryptionConfigurationInput.html
    "firehose": Need(encrypted("AWS::KinesisFirehose::DeliveryStream", "DeliveryStreamEncryptionConfigurationInput"),
                     creator="CreateGrant GenerateDataKey Decrypt", beyond="DescribeKey"),
    # https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html
    "scheduler": Need(schedule, creator="Decrypt GenerateDataKey DescribeKey"),
}  # fmt: skip
"""Row of the table -> what the page above it says."""


def allowed(template: Mapping[str, Any], row: str) -> dict[str, set[str]]:
    """Return the actions that the only key of a template allows creator, user and service."""
    (key,) = (item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key")
    found: dict[str, set[str]] = {"creator": set(), "user": set(), "service": set()}
    principal = str(SERVICES[row].principal).format(region="eu-west-1", suffix="amazonaws.com")
    for statement in key["Properties"]["KeyPolicy"]["Statement"][1:]:
        who = "service" if statement["Principal"] == {"Service": principal} else ""
        if statement.get("Sid", "").startswith("AllowDeployment"):
            who = "creator"
        elif "User" in json.dumps(statement.get("Condition", {}).get("ArnEquals", "")):
            who = "user"
        if statement["Effect"] == "Allow" and who:
            actions = statement["Action"]
            found[who] |= {it.removeprefix("kms:") for it in ([actions] if isinstance(actions, str) else actions)}
    return found


@pytest.mark.parametrize("row", SERVICES)
def test_construct_of_the_cdk_gets_what_the_page_of_its_service_names_and_no_more(row: str) -> None:
    signs = SERVICES[row].usage == "SIGN_VERIFY"
    where = cdk.Environment(account=HERE.account, region=SERVICES[row].only_in or HERE.region)
    stack = cdk.Stack(cdk.App(builtin_cloud_formation_validation=False), "Stack", env=where)
    user = iam.Role(stack, "User", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    need = NEEDS[row]
    need.make(stack, SigningKey(stack, "Key") if signs else EncryptionKey(stack, "Key"), user)

    found = allowed(assertions.Template.from_stack(stack).to_json(), row)

    for who, given in found.items():
        # Every role of the account may describe the key that IAM allows it.
        words = [it for it in getattr(need, who).split() if (who, it) != ("creator", "DescribeKey")]
        assert [it for it in words if not any(fnmatchcase(action, it) for action in given)] == [], who
        assert [it for it in given if not any(fnmatchcase(it, word) for word in words + need.beyond.split())] == [], who


@pytest.fixture(scope="module")
def resources(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy what the embedded AWS has, under one key; the twin may do everything, but for what the key policy says."""
    folder = tmp_path_factory.mktemp("needs") / "out"
    app = cdk.App(outdir=str(folder), builtin_cloud_formation_validation=True)
    stack = cdk.Stack(app, "Needs", env=cdk.Environment(account=stage.aws.account, region=stage.aws.region))
    services = iam.CompositePrincipal(iam.ServicePrincipal(EC2), iam.ServicePrincipal("lambda.amazonaws.com"))
    user, twin = (iam.Role(stack, name, assumed_by=services) for name in ("User", "Twin"))
    key = EncryptionKey(stack, "Key", lifecycle=KeyLifecycle.EPHEMERAL)
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)
    bucket.grant_read_write(user)
    messages = sqs.Queue(stack, "Queue", encryption_master_key=key)
    messages.grant_send_messages(user)
    messages.grant_consume_messages(user)
    topic = sns.Topic(stack, "Topic", master_key=key)
    topic.grant_publish(user)
    hidden = secretsmanager.Secret(stack, "Secret", encryption_key=key)
    hidden.grant_read(user)
    hidden.grant_write(user)
    name = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    orders = dynamodb.Table(stack, "Table", partition_key=name, encryption_key=key)
    orders.grant_read_write_data(user)
    group = logs.LogGroup(stack, "Logs", encryption_key=key)
    key.allow_use_through("ssm", user)
    key.allow_use_through("lambda", user, create=True)
    for action in ("ssm:PutParameter", "ssm:GetParameter", "lambda:CreateFunction", "iam:PassRole"):
        user.add_to_policy(iam.PolicyStatement(actions=[action], resources=["*"]))
    values = {
        "s3": bucket.bucket_name,
        "sqs": messages.queue_url,
        "sns": topic.topic_arn,
        "dynamodb": orders.table_name,
    }
    values |= {"secretsmanager": hidden.secret_arn, "logs": group.log_group_name}
    for output, value in (values | {"UserArn": user.role_arn, "TwinArn": twin.role_arn, "KeyArn": key.key_arn}).items():
        cdk.CfnOutput(stack, output, value=value)
    app.synth()
    outputs = deployed(stage.aws, folder)["Needs"]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    stage.aws.client("iam").put_role_policy(
        RoleName=outputs["TwinArn"].rpartition("/")[2], PolicyName="everything", PolicyDocument=json.dumps(everything)
    )
    return outputs


Clients = Callable[[str], Any]


def uses_bucket(client: Clients, of: Mapping[str, str]) -> object:
    client("s3").put_object(Bucket=of["s3"], Key="it", Body=b"it")
    return client("s3").get_object(Bucket=of["s3"], Key="it")["Body"].read()


def uses_queue(client: Clients, of: Mapping[str, str]) -> object:
    client("sqs").send_message(QueueUrl=of["sqs"], MessageBody="it")
    return client("sqs").receive_message(QueueUrl=of["sqs"])["Messages"][0]["Body"]


def uses_table(client: Clients, of: Mapping[str, str]) -> object:
    client("dynamodb").put_item(TableName=of["dynamodb"], Item={"id": {"S": "it"}})
    return client("dynamodb").get_item(TableName=of["dynamodb"], Key={"id": {"S": "it"}})["Item"]


def uses_secret(client: Clients, of: Mapping[str, str]) -> object:
    client("secretsmanager").put_secret_value(SecretId=of["secretsmanager"], SecretString="it")
    return client("secretsmanager").get_secret_value(SecretId=of["secretsmanager"])["SecretString"]


def uses_parameter(client: Clients, of: Mapping[str, str]) -> object:
    client("ssm").put_parameter(Name="/needs/it", Value="it", Type="SecureString", KeyId=of["KeyArn"], Overwrite=True)
    return client("ssm").get_parameter(Name="/needs/it", WithDecryption=True)["Parameter"]["Value"]


def creates_function(client: Clients, of: Mapping[str, str]) -> object:
    code = {"ZipFile": b"PK\5\6" + bytes(18)}
    return client("lambda").create_function(
        FunctionName="needs", Runtime="python3.13", Handler="i.h", Code=code, Role=of["UserArn"], KMSKeyArn=of["KeyArn"]
    )


USES: dict[str, Callable[[Clients, Mapping[str, str]], object]] = {
    "s3": uses_bucket,
    "sqs": uses_queue,
    "sns": lambda client, of: client("sns").publish(TopicArn=of["sns"], Message="it"),
    "dynamodb": uses_table,
    "secretsmanager": uses_secret,
    "ssm": uses_parameter,
    "lambda": creates_function,
}


@pytest.mark.end_to_end
@pytest.mark.parametrize("service", USES)
def test_user_of_a_deployed_resource_works_and_its_twin_without_a_grant_is_refused(
    service: str, stage: Stage, resources: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        USES[service](stage.aws.assume(resources["TwinArn"], EC2).client, resources)
    assert USES[service](stage.aws.assume(resources["UserArn"], EC2).client, resources)


@pytest.mark.end_to_end
def test_log_group_is_created_under_a_key_that_serves_log_groups_and_no_other(
    stage: Stage, resources: dict[str, str]
) -> None:
    client = stage.aws.client("logs")
    (group,) = client.describe_log_groups(logGroupNamePrefix=resources["logs"])["logGroups"]
    assert group["kmsKeyId"] == resources["KeyArn"]
    other = stage.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(ClientError, match="not allowed to be used with LogGroup"):
        client.create_log_group(logGroupName="needs-twin", kmsKeyId=other)
