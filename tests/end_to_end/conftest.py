"""The reference app, deployed once by the CDK command line for all end-to-end tests; other assemblies beside it.

What AWS's schemas say of them is asked in tests/infrastructure/test_public_surface.py: to compile these takes longer
than a synthesis.

They are deployed by the CDK command line where a test is about it; otherwise by the same requests, which saves starts
of Node.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo.runner import SMALLEST_INPUT, default_input, deployed_stage
from demo.scenario import Stage
from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment
from tests.contract.templates import faults
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci"]
APP = Path(__file__).parent / "apps" / "key_family.py"
HOME, AWAY = "us-east-1", "eu-west-1"
EC2 = "ec2.amazonaws.com"


def run_cdk(aws: LocalAws, folder: Path, *words: str, caller: Mapping[str, str] | None = None) -> None:
    """Run the CDK command line with the administrator of ``aws``, or with other credentials in variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    environment |= toolchain_environment(cache=ROOT / ".cache")
    environment |= aws.cdk_environment() | (caller or {})
    command = [*cdk_command(ROOT), *words, *QUIET]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def deployed_by_cdk(aws: LocalAws, assembly: Path, caller: Mapping[str, str]) -> Mapping[str, dict[str, str]]:
    """Deploy an assembly as :func:`deployed` does, by the CDK command line with the credentials ``caller``."""
    assert faults(assembly, schemas=False) == []
    outputs = assembly.with_suffix(".outputs.json")
    where = ["--app", str(assembly), "--outputs-file", str(outputs)]
    how = ["--all", "--concurrency", "8", "--require-approval", "never"]
    run_cdk(aws, assembly.parent, "deploy", *how, *where, caller=caller)
    found: Mapping[str, dict[str, str]] = json.loads(outputs.read_text(encoding="utf-8"))
    return found


def deployed(aws: LocalAws, assembly: Path) -> Mapping[str, dict[str, str]]:
    """Deploy every stack of an assembly in which AWS would refuse nothing; return the outputs by stack."""
    assert faults(assembly, schemas=False) == []
    artifacts = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    stacks = {name: it for name, it in artifacts.items() if it["type"] == "aws:cloudformation:stack"}
    needs = {name: [other for other in it["dependencies"] if other in stacks] for name, it in stacks.items()}
    outputs = {}
    for name in TopologicalSorter(needs).static_order():
        region = stacks[name]["environment"].rpartition("/")[2].replace("unknown-region", aws.region)
        pseudo = {"${AWS::Partition}": "aws", "${AWS::AccountId}": aws.account, "${AWS::Region}": region}
        _publish(aws, assembly, json.loads(_with(pseudo, (assembly / f"{name}.assets.json").read_text("utf-8"))))
        properties = stacks[name]["properties"]
        template = json.dumps(
            json.loads((assembly / properties["templateFile"]).read_text("utf-8")), separators=(",", ":")
        )
        role = _with(pseudo, properties["cloudFormationExecutionRoleArn"])
        outputs[name] = stack_outputs(aws.client("cloudformation", region_name=region), name, template, RoleARN=role)
    return outputs


def destroyed(aws: LocalAws, assembly: Path) -> None:
    """Delete every stack of an assembly, none of which needs another, by the role that deployed it."""
    artifacts = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    client, pseudo = aws.client("cloudformation"), {"${AWS::Partition}": "aws"}
    names = {name: it for name, it in artifacts.items() if it["type"] == "aws:cloudformation:stack"}
    for name, it in names.items():
        client.delete_stack(StackName=name, RoleARN=_with(pseudo, it["properties"]["cloudFormationExecutionRoleArn"]))
    for name in names:
        client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


def _compact(template: Any) -> str:
    # CloudFormation takes 51,200 characters in a request.
    return json.dumps(template, separators=(",", ":"))


def _with(values: Mapping[str, str], text: str) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _publish(aws: LocalAws, assembly: Path, assets: Any) -> None:
    s3 = aws.client("s3")
    for file in assets["files"].values():
        source = assembly / file["source"]["path"]
        for destination in file["destinations"].values():
            bucket, key = destination["bucketName"], destination["objectKey"]
            if s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]:
                continue  # its name is a hash of what is in it
            if file["source"]["packaging"] == "zip":
                source = Path(shutil.make_archive(str(source), "zip", source))
            s3.upload_file(str(source), bucket, key)


def stack_outputs(cloudformation: Any, name: str, template: str, **how: Any) -> dict[str, str]:
    """Create a stack, or update it; return its outputs."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    there = {stack["StackName"] for page in pages for stack in page["Stacks"]}
    call = cloudformation.update_stack if name in there else cloudformation.create_stack
    call(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"], **how)
    while (stack := cloudformation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith("_PROGRESS"):
        time.sleep(0.1)
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if event.get("ResourceStatusReason")]
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, reasons
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def bootstrap(aws: LocalAws, region: str) -> None:
    """Bootstrap another Region as the CDK command line bootstrapped the first one."""
    home = aws.client("cloudformation")
    parameters = home.describe_stacks(StackName="CDKToolkit")["Stacks"][0]["Parameters"]
    template = home.get_template(StackName="CDKToolkit")["TemplateBody"]
    text = template if isinstance(template, str) else _compact(template)
    stack_outputs(aws.client("cloudformation", region_name=region), "CDKToolkit", text, Parameters=parameters)


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
        assembly = synthesize(APP, folder / "out", folder=folder, context={}, validate=False)
    bootstrap(aws, AWAY)
    stacks = deployed(aws, assembly)
    return Family(aws, {name: value for stack in stacks.values() for name, value in stack.items()})


SEVERAL_PARTS = 3 * SMALLEST_INPUT
"""Bytes of the demo's own input that are enough: an upload in parts, a message of many frames."""


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    file = tmp_path_factory.mktemp("input") / "beginning"
    with default_input().open("rb") as whole:
        file.write_bytes(whole.read(SEVERAL_PARTS))
    with deployed_stage(ROOT, file, Console()) as stage:
        yield stage


@pytest.fixture(scope="session")
def family(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return deployed_family(stage.aws, tmp_path_factory.mktemp("family"))
