"""Somebody else's app: the CDK's own grants and default key policy, as most apps use them."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

app = cdk.App()
data = cdk.Stack(app, "Data")
key = kms.Key(data, "Key", alias="orders")
bucket = s3.Bucket(
    data,
    "Orders",
    encryption_key=key,
    enforce_ssl=True,
    auto_delete_objects=True,
    removal_policy=cdk.RemovalPolicy.DESTROY,
)
sqs.Queue(data, "Queue", encryption_master_key=key)

service = cdk.Stack(app, "Service")
web = iam.Role(service, "Web", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
bucket.grant_read_write(web)
function = lambda_.Function(
    service,
    "Report",
    runtime=lambda_.Runtime.PYTHON_3_13,
    handler="index.handler",
    code=lambda_.Code.from_inline("def handler(event, context): pass"),
)
bucket.grant_read(function, "reports/*")
key.grant_encrypt_decrypt(function)

app.synth()
