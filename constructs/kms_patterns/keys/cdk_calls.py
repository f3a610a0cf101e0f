"""Tells calls of the AWS CDK's own constructs, which arrive from JavaScript, from calls of the app."""

import sys


def called_by_the_cdk() -> bool:
    """Return whether the method that asks was called by a construct of the AWS CDK.

    Such a construct knows ``grant_encrypt`` as everything that writing takes: the service behind it (Kinesis, Firehose,
    CodeBuild, …) calls GenerateDataKey for its caller, and would be denied with ``kms:Encrypt`` alone.
    """
    caller = sys._getframe(2)  # noqa: SLF001 -- jsii calls Python methods alike for both, only the frame differs
    return str(caller.f_globals.get("__name__", "")).startswith("jsii.")
