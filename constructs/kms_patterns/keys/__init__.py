"""Customer managed keys: each is an ``aws_cdk.aws_kms.Key``, so that every construct of the AWS CDK takes it.

``grants``: From a ``grant_…`` call to the two statements that it writes.
``synth``: What is checked or added when the app is synthesized.
``imported``: Keys of other owners: by ARN, by alias, by look-up.
"""
