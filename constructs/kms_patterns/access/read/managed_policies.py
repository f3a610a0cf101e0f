"""The AWS managed policies that CDK apps use most, as far as keys, buckets and roles are concerned.

A synthesized template only names them. One that is not listed here is reported as unresolved.
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

from collections.abc import Mapping, Sequence
from typing import Any


def _allow(*actions: str, excluded: Sequence[str] = ()) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Resource": "*"}
    statement |= {"NotAction": list(excluded)} if excluded else {"Action": list(actions)}
    return {"Version": "2012-10-17", "Statement": [statement]}


_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")

AWS_MANAGED: Mapping[str, Mapping[str, Any]] = {
    "AdministratorAccess": _allow("*"),
    "PowerUserAccess": _allow(excluded=["iam:*", "organizations:*", "account:*"]),
    "AmazonS3FullAccess": _allow("s3:*", "s3-object-lambda:*"),
    "AmazonS3ReadOnlyAccess": _allow("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*"),
    "AWSKeyManagementServicePowerUser": _allow(
        "kms:CreateAlias",
        "kms:CreateKey",
        "kms:DeleteAlias",
        "kms:Describe*",
        "kms:GenerateRandom",
        "kms:Get*",
        "kms:List*",
        "kms:TagResource",
        "kms:UntagResource",
        "iam:ListGroups",
        "iam:ListRoles",
        "iam:ListUsers",
    ),
    "service-role/AWSLambdaBasicExecutionRole": _allow(*_LOGS),
    "service-role/AWSLambdaVPCAccessExecutionRole": _allow(
        *_LOGS,
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ),
    "service-role/AWSLambdaSQSQueueExecutionRole": _allow(
        *_LOGS, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"
    ),
    "service-role/AWSLambdaDynamoDBExecutionRole": _allow(
        *_LOGS, "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"
    ),
    "AWSXRayDaemonWriteAccess": _allow("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSampling*"),
    "AWSXrayWriteOnlyAccess": _allow("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSampling*"),
    "AmazonSSMManagedInstanceCore": _allow("ssm:UpdateInstanceInformation", "ssmmessages:*", "ec2messages:*"),
    "CloudWatchLambdaInsightsExecutionRolePolicy": _allow(*_LOGS),
    "service-role/AmazonAPIGatewayPushToCloudWatchLogs": _allow(*_LOGS, "logs:Describe*", "logs:GetLogEvents"),
    "service-role/AmazonECSTaskExecutionRolePolicy": _allow(
        "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", *_LOGS
    ),
}
"""Documents by policy name with path, cut to the actions of services that could reach keys, buckets or roles."""
