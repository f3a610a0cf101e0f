"""Customer managed keys: each is an ``aws_cdk.aws_kms.Key``, so that every construct of the AWS CDK takes it."""
