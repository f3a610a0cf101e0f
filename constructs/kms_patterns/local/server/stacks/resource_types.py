"""Which actions create, update and delete a resource of CloudFormation, by type: those of AWS's resource schemas.

AWS: https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html (handlers)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ResourceType:
    """A row: actions without the service's prefix.

    Args:
        arn: The resource, with ``{name}``, ``{region}``, ``{account}``, ``{path}`` and names of properties.
        name: The property that names it; empty if AWS always does.
        create: The actions that create it.
        update: The actions of every update.
        delete: The actions that delete it.
        properties: By property, the action that sets it when it is given or changed.
    """

    arn: str
    name: str = ""
    create: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


_IAM, _HERE = "arn:aws:iam::{account}", "{region}:{account}"
_FUNCTION = f"arn:aws:lambda:{_HERE}:function:{{FunctionName}}"
_OF_ROLE = {
    "ManagedPolicyArns": "AttachRolePolicy", "Policies": "PutRolePolicy", "Tags": "TagRole",
    "PermissionsBoundary": "PutRolePermissionsBoundary", "AssumeRolePolicyDocument": "UpdateAssumeRolePolicy",
}  # fmt: skip
_OF_USER = {
    "ManagedPolicyArns": "AttachUserPolicy", "Policies": "PutUserPolicy", "Tags": "TagUser",
    "PermissionsBoundary": "PutUserPermissionsBoundary", "Groups": "AddUserToGroup",
    "LoginProfile": "CreateLoginProfile",
}  # fmt: skip
_OF_BUCKET = {
    "AccelerateConfiguration": "PutAccelerateConfiguration", "AccessControl": "PutBucketAcl",
    "BucketEncryption": "PutEncryptionConfiguration", "CorsConfiguration": "PutBucketCORS",
    "LifecycleConfiguration": "PutLifecycleConfiguration", "LoggingConfiguration": "PutBucketLogging",
    "NotificationConfiguration": "PutBucketNotification",
    "ObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "OwnershipControls": "PutBucketOwnershipControls",
    "PublicAccessBlockConfiguration": "PutBucketPublicAccessBlock",
    "ReplicationConfiguration": "PutReplicationConfiguration", "Tags": "PutBucketTagging",
    "VersioningConfiguration": "PutBucketVersioning", "WebsiteConfiguration": "PutBucketWebsite",
}  # fmt: skip

_TABLE = ResourceType(
    f"arn:aws:dynamodb:{_HERE}:table/{{name}}",
    "TableName",
    ("CreateTable",),
    ("UpdateTable",),
    ("DeleteTable",),
    {
        "PointInTimeRecoverySpecification": "UpdateContinuousBackups",
        "TimeToLiveSpecification": "UpdateTimeToLive",
        "Tags": "TagResource",
    },
)

TYPES: Mapping[str, ResourceType] = {
    "AWS::S3::Bucket": ResourceType(
        "arn:aws:s3:::{name}", "BucketName", ("CreateBucket",), (), ("DeleteBucket",), _OF_BUCKET
    ),
    "AWS::S3::BucketPolicy": ResourceType(
        "arn:aws:s3:::{Bucket}", "", ("PutBucketPolicy",), ("PutBucketPolicy",), ("DeleteBucketPolicy",)
    ),
    "AWS::IAM::Role": ResourceType(
        f"{_IAM}:role{{path}}{{name}}", "RoleName", ("CreateRole",), (), ("DeleteRole",), _OF_ROLE
    ),
    "AWS::IAM::User": ResourceType(
        f"{_IAM}:user{{path}}{{name}}", "UserName", ("CreateUser",), (), ("DeleteUser",), _OF_USER
    ),
    "AWS::IAM::Group": ResourceType(
        f"{_IAM}:group{{path}}{{name}}",
        "GroupName",
        ("CreateGroup",),
        (),
        ("DeleteGroup",),
        {"ManagedPolicyArns": "AttachGroupPolicy", "Policies": "PutGroupPolicy"},
    ),
    "AWS::IAM::ManagedPolicy": ResourceType(
        f"{_IAM}:policy{{path}}{{name}}",
        "ManagedPolicyName",
        ("CreatePolicy",),
        ("CreatePolicyVersion",),
        ("DeletePolicy",),
    ),
    "AWS::IAM::InstanceProfile": ResourceType(
        f"{_IAM}:instance-profile{{path}}{{name}}",
        "InstanceProfileName",
        ("CreateInstanceProfile", "AddRoleToInstanceProfile"),
        ("AddRoleToInstanceProfile",),
        ("DeleteInstanceProfile", "RemoveRoleFromInstanceProfile"),
    ),
    "AWS::Lambda::Function": ResourceType(
        f"arn:aws:lambda:{_HERE}:function:{{name}}",
        "FunctionName",
        ("CreateFunction",),
        (),
        ("DeleteFunction",),
        {
            "Code": "UpdateFunctionCode",
            "Tags": "TagResource",
            "ReservedConcurrentExecutions": "PutFunctionConcurrency",
            **dict.fromkeys(
                (
                    "DeadLetterConfig",
                    "Description",
                    "Environment",
                    "EphemeralStorage",
                    "Handler",
                    "KmsKeyArn",
                    "Layers",
                    "LoggingConfig",
                    "MemorySize",
                    "Role",
                    "Runtime",
                    "Timeout",
                    "TracingConfig",
                    "VpcConfig",
                ),
                "UpdateFunctionConfiguration",
            ),
        },
    ),
    "AWS::Lambda::Permission": ResourceType(
        _FUNCTION, "", ("AddPermission",), ("AddPermission",), ("RemovePermission",)
    ),
    "AWS::Lambda::Version": ResourceType(_FUNCTION, "", ("PublishVersion",), ("PublishVersion",), ()),
    "AWS::Lambda::Alias": ResourceType(_FUNCTION, "", ("CreateAlias",), ("UpdateAlias",), ("DeleteAlias",)),
    "AWS::Lambda::Url": ResourceType(
        f"arn:aws:lambda:{_HERE}:function:{{TargetFunctionArn}}",
        "",
        ("CreateFunctionUrlConfig",),
        ("UpdateFunctionUrlConfig",),
        ("DeleteFunctionUrlConfig",),
    ),
    "AWS::Lambda::EventSourceMapping": ResourceType(
        "*", "", ("CreateEventSourceMapping",), ("UpdateEventSourceMapping",), ("DeleteEventSourceMapping",)
    ),
    "AWS::Lambda::EventInvokeConfig": ResourceType(
        _FUNCTION,
        "",
        ("PutFunctionEventInvokeConfig",),
        ("PutFunctionEventInvokeConfig",),
        ("DeleteFunctionEventInvokeConfig",),
    ),
    "AWS::Lambda::LayerVersion": ResourceType(
        f"arn:aws:lambda:{_HERE}:layer:{{name}}", "LayerName", ("PublishLayerVersion",), (), ("DeleteLayerVersion",)
    ),
    "AWS::SQS::Queue": ResourceType(
        f"arn:aws:sqs:{_HERE}:{{name}}",
        "QueueName",
        ("CreateQueue",),
        ("SetQueueAttributes",),
        ("DeleteQueue",),
        {"Tags": "TagQueue"},
    ),
    "AWS::SQS::QueuePolicy": ResourceType(
        "*", "", ("SetQueueAttributes",), ("SetQueueAttributes",), ("SetQueueAttributes",)
    ),
    "AWS::SNS::Topic": ResourceType(
        f"arn:aws:sns:{_HERE}:{{name}}",
        "TopicName",
        ("CreateTopic",),
        ("SetTopicAttributes",),
        ("DeleteTopic",),
        {"Tags": "TagResource"},
    ),
    "AWS::SNS::TopicPolicy": ResourceType(
        "*", "", ("SetTopicAttributes",), ("SetTopicAttributes",), ("SetTopicAttributes",)
    ),
    "AWS::SNS::Subscription": ResourceType(
        "{TopicArn}", "", ("Subscribe",), ("SetSubscriptionAttributes",), ("Unsubscribe",)
    ),
    "AWS::DynamoDB::Table": _TABLE,
    "AWS::DynamoDB::GlobalTable": _TABLE,
    "AWS::SSM::Parameter": ResourceType(
        f"arn:aws:ssm:{_HERE}:parameter/{{name}}",
        "Name",
        ("PutParameter",),
        ("PutParameter",),
        ("DeleteParameter",),
        {"Tags": "AddTagsToResource"},
    ),
    "AWS::SecretsManager::Secret": ResourceType(
        f"arn:aws:secretsmanager:{_HERE}:secret:{{name}}-000000",
        "Name",
        ("CreateSecret",),
        ("UpdateSecret",),
        ("DeleteSecret",),
        {
            "GenerateSecretString": "GetRandomPassword",
            "ReplicaRegions": "ReplicateSecretToRegions",
            "Tags": "TagResource",
        },
    ),
    "AWS::SecretsManager::ResourcePolicy": ResourceType(
        "{SecretId}", "", ("PutResourcePolicy",), ("PutResourcePolicy",), ("DeleteResourcePolicy",)
    ),
    "AWS::Logs::LogGroup": ResourceType(
        f"arn:aws:logs:{_HERE}:log-group:{{name}}:*",
        "LogGroupName",
        ("CreateLogGroup",),
        (),
        ("DeleteLogGroup",),
        {"RetentionInDays": "PutRetentionPolicy", "KmsKeyId": "AssociateKmsKey", "Tags": "TagResource"},
    ),
    "AWS::Events::Rule": ResourceType(
        f"arn:aws:events:{_HERE}:rule/{{name}}",
        "Name",
        ("PutRule",),
        ("PutRule",),
        ("DeleteRule",),
        {"Targets": "PutTargets", "Tags": "TagResource"},
    ),
    "AWS::StepFunctions::StateMachine": ResourceType(
        f"arn:aws:states:{_HERE}:stateMachine:{{name}}",
        "StateMachineName",
        ("CreateStateMachine",),
        ("UpdateStateMachine",),
        ("DeleteStateMachine",),
        {"Tags": "TagResource"},
    ),
    "AWS::CloudWatch::Alarm": ResourceType(
        f"arn:aws:cloudwatch:{_HERE}:alarm:{{name}}",
        "AlarmName",
        ("PutMetricAlarm",),
        ("PutMetricAlarm",),
        ("DeleteAlarms",),
    ),
    "AWS::CloudWatch::Dashboard": ResourceType(
        "arn:aws:cloudwatch::{account}:dashboard/{name}",
        "DashboardName",
        ("PutDashboard",),
        ("PutDashboard",),
        ("DeleteDashboards",),
    ),
    "AWS::Logs::ResourcePolicy": ResourceType(
        "*", "PolicyName", ("PutResourcePolicy",), ("PutResourcePolicy",), ("DeleteResourcePolicy",)
    ),
    "AWS::ECR::Repository": ResourceType(
        f"arn:aws:ecr:{_HERE}:repository/{{name}}",
        "RepositoryName",
        ("CreateRepository",),
        ("PutLifecyclePolicy",),
        ("DeleteRepository",),
    ),
}
"""What is known of a type; KMS's types are not here: KMS itself decides about them."""
