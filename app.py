"""Reference app: one stack per pattern, each found in a module of ``stacks``.

Context ``kms-patterns:lifecycle=ephemeral`` deletes keys, buckets with their objects, table and logs with their
stack (development); ``kms-patterns:platform`` chooses the functions' platform: ``arm64`` (default), ``x86_64`` or
``host``.
"""

import os

import aws_cdk as cdk
from aws_cdk.aws_s3.mixins import BucketAutoDeleteObjects

from kms_patterns import EncryptedBucket, KeyLifecycle
from kms_patterns.keys.errors import RegionUnsupported
from kms_patterns.patterns.encrypted_bucket import emptying
from kms_patterns.policy.conditions import has_function_urls
from stacks import ReferenceStack, discovered


def add_stacks(app: cdk.App) -> None:
    """Add the stacks to ``app``, as its context says."""
    ephemeral = app.node.try_get_context("kms-patterns:lifecycle") == "ephemeral"
    lifecycle = KeyLifecycle.EPHEMERAL if ephemeral else KeyLifecycle.RETAIN
    env = cdk.Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION"))
    for stack in discovered():
        missing = _missing_in_region(stack, env)
        if missing is None:
            stack(app, lifecycle=lifecycle, env=env)
        else:
            cdk.Annotations.of(app).add_info_v2(f"kms-patterns:{stack.NAME}", f"{stack.NAME} is left out: {missing}")
    if ephemeral:
        cdk.RemovalPolicies.of(app).destroy()
        # S3 deletes empty buckets only (BucketNotEmpty).
        for bucket in [found for found in app.node.find_all() if isinstance(found, EncryptedBucket)]:
            cdk.Mixins.of(bucket).apply(BucketAutoDeleteObjects())
            emptying(bucket.stack)


def _missing_in_region(stack: type[ReferenceStack], env: cdk.Environment) -> str | None:
    if not env.region or has_function_urls(env.region):
        return None
    try:
        stack(cdk.App(context={"aws:cdk:bundling-stacks": []}), lifecycle=KeyLifecycle.RETAIN, env=env)
    except RegionUnsupported as missing:
        return str(missing)
    return None


if __name__ == "__main__":
    reference_app = cdk.App()
    add_stacks(reference_app)
    reference_app.synth()
