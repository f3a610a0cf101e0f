"""Somebody else's app: policies written by hand, with everything that linters and reviewers warn of."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

ELSEWHERE = "222222222222"

app = cdk.App()
stack = cdk.Stack(app, "Wildcards", env=cdk.Environment(account="333333333333", region="eu-west-1"))

key = kms.Key(stack, "Key")
key.add_to_resource_policy(
    iam.PolicyStatement(
        sid="AnyoneViaS3",
        principals=[iam.AnyPrincipal()],
        actions=["kms:Decrypt", "kms:GenerateDataKey*"],
        resources=["*"],
        conditions={
            "StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com", "kms:CallerAccount": stack.account}
        },
    )
)
key.grant_encrypt(iam.AccountPrincipal(ELSEWHERE))
bucket = s3.Bucket(stack, "Bucket", encryption_key=key)
bucket.add_to_resource_policy(
    iam.PolicyStatement(
        principals=[iam.AnyPrincipal()], actions=["s3:GetObject"], resources=[bucket.arn_for_objects("public/*")]
    )
)
bucket.add_to_resource_policy(
    iam.PolicyStatement(
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=["s3:*"],
        resources=[bucket.arn_for_objects("vault/*")],
        conditions={"Bool": {"aws:MultiFactorAuthPresent": "false"}},
    )
)

limit = iam.ManagedPolicy(stack, "Limit", statements=[iam.PolicyStatement(not_actions=["kms:*"], resources=["*"])])
developer = iam.Role(stack, "Developer", assumed_by=iam.AccountPrincipal(ELSEWHERE), permissions_boundary=limit)
developer.add_to_policy(iam.PolicyStatement(actions=["*"], resources=["*"]))
operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
operator.add_to_policy(iam.PolicyStatement(not_actions=["iam:*", "kms:ScheduleKeyDeletion"], resources=["*"]))

staff = iam.Group(stack, "Staff")
staff.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name("AmazonS3ReadOnlyAccess"))
staff.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name("NotPublished"))
iam.User(stack, "Alice", groups=[staff])
iam.Role(
    stack,
    "Deployer",
    assumed_by=iam.WebIdentityPrincipal(
        f"arn:aws:iam::{stack.account}:oidc-provider/token.actions.githubusercontent.com",
        {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:example/*"}},
    ),
    inline_policies={
        "deploy": iam.PolicyDocument(statements=[iam.PolicyStatement(actions=["kms:Put*", "s3:Put*"], resources=["*"])])
    },
)

app.synth()
