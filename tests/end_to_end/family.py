"""The app with every type of key, deployed to both Regions of an embedded AWS."""

from pathlib import Path
from typing import Any

import pytest

from kms_patterns.local import AwsSession, LocalAws
from tests.end_to_end.deployment import deployed, run_cdk
from tests.synthesis import synthesize

APP = Path(__file__).parent / "apps" / "key_family.py"
HOME, AWAY = "us-east-1", "eu-west-1"
EC2 = "ec2.amazonaws.com"


class Family:
    """The deployed keys, and sessions of the roles."""

    def __init__(self, aws: LocalAws, outputs: dict[str, str]) -> None:
        self.aws, self.outputs = aws, outputs

    def session(self, role: str) -> AwsSession:
        return self.aws.assume(self.outputs[role], EC2)

    def kms(self, role: str, region: str = HOME) -> Any:
        return self.session(role).client("kms", region_name=region)

    def key(self, name: str) -> str:
        return self.outputs[f"{name}Key"]

    def made(self, call: str, key: str, **request: Any) -> Any:
        """What the root of the account, whom no policy binds here, makes for the operations that read it."""
        return getattr(self.aws.client("kms"), call)(KeyId=self.key(key), **request)


def deployed_family(aws: LocalAws, folder: Path) -> Family:
    """Deploy the app; ``aws`` is bootstrapped in its own Region."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_DEFAULT_ACCOUNT", aws.account)
        assembly = synthesize(APP, folder / "out", folder=folder, context={})
    run_cdk(aws, folder, "bootstrap", f"aws://{aws.account}/{AWAY}")
    stacks = deployed(aws, assembly)
    return Family(aws, {name: value for stack in stacks.values() for name, value in stack.items()})
