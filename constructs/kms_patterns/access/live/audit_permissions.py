"""The read-only permissions that reading an account needs."""

import json
from typing import Any, Final

ACTIONS: Final = (
    "cloudformation:DescribeStacks",
    "cloudformation:GetTemplate",
    "cloudformation:ListStackResources",
    "iam:GetAccountAuthorizationDetails",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeys",
    "lambda:GetPolicy",
    "lambda:ListFunctions",
    "organizations:ListPolicies",
    "s3:GetAccountPublicAccessBlock",
    "s3:GetBucketAcl",
    "s3:GetBucketLocation",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetEncryptionConfiguration",
    "s3:ListAllMyBuckets",
    "sts:GetCallerIdentity",
)
"""Every action that ``kms-patterns access --live`` asks for; none writes."""


def policy() -> str:
    """Return the permissions as an identity policy in JSON. A key policy may have to allow the four of KMS as well."""
    statement: dict[str, Any] = {"Sid": "ReadAccess", "Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2) + "\n"
