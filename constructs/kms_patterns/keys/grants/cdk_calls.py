"""Tells calls of the AWS CDK's own constructs, which arrive from JavaScript, from calls of the app."""

import sys
from typing import Final

_KEYS: Final = __name__.rpartition(".")[0] + "."


def called_by_the_cdk() -> bool:
    """Return whether the first caller outside of ``kms_patterns.keys`` is a construct of the AWS CDK.

    Such a construct knows ``grant_encrypt`` as everything that writing takes: the service behind it (Kinesis, Firehose,
    CodeBuild, …) calls GenerateDataKey for its caller, and would be denied with ``kms:Encrypt`` alone. jsii calls
    Python methods for it with the same arguments as an app would: only the caller differs.
    """
    frame = sys._getframe(1)  # noqa: SLF001 -- no public function looks at callers without reading their sources
    while frame.f_back and _module(frame.f_globals).startswith(_KEYS):
        frame = frame.f_back
    return _module(frame.f_globals).startswith("jsii.")


def _module(variables: dict[str, object]) -> str:
    return str(variables.get("__name__", ""))
