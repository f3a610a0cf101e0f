"""A grant of KMS: an auditor decrypts for as long as the stack has the grant, without a statement in any policy."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey, KeyGrant

app = cdk.App()
stack = cdk.Stack(app, "Audit")

key = EncryptionKey(stack, "Key", alias="audit")
auditor = iam.Role(stack, "Auditor", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
KeyGrant(stack, "AuditorReads", key=key, grantee=auditor, operations=["Decrypt"])

table_arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"
service = iam.ServicePrincipal("dynamodb.amazonaws.com")
KeyGrant(
    stack, "Table", key=key, grantee=service, source_arn=table_arn, retiring_principal=service, operations=["Decrypt"]
)

app.synth()
