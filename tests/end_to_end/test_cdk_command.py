"""The CDK command line from the checkout: synth, diff, destroy, deploy again and bring back what was kept."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from demo.scenario import Stage
from kms_patterns import EncryptedBucket, EncryptionKey, KeyLifecycle
from kms_patterns.local import LocalAws
from kms_patterns.patterns.public_bucket import PublicBucket
from tests.end_to_end.deployment import deployed, run_cdk

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.end_to_end
SAME_CONTEXT = ["--context", "kms-patterns:platform=host", "--context", "kms-patterns:lifecycle=ephemeral"]


def run(stage: Stage, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JSII_")}
    environment |= stage.aws.cdk_environment() | {"PATH": str(folder / "nothing-here"), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "kms_patterns", "cdk", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def assembly(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``cdk synth`` of the checkout writes."""
    folder = tmp_path_factory.mktemp("synth")
    done = run(stage, folder, "synth", "--quiet", *SAME_CONTEXT, "--output", str(folder / "cdk.out"))
    assert done.returncode == 0, done.stderr
    return folder / "cdk.out"


def test_synth_writes_a_template_per_stack(stage: Stage, assembly: Path) -> None:
    written = {path.name.removesuffix(".template.json") for path in assembly.glob("*.template.json")}
    assert written == set(stage.outputs)


def test_diff_finds_the_deployed_app_unchanged(stage: Stage, assembly: Path, tmp_path: Path) -> None:
    done = run(stage, tmp_path, "diff", "--fail", "--app", str(assembly))
    assert done.returncode == 0, done.stderr
    assert "Number of stacks with differences: 0" in done.stdout + done.stderr


def test_diff_finds_a_changed_app(stage: Stage, assembly: Path, tmp_path: Path) -> None:
    file = assembly / "KmsPatterns-S3.template.json"
    template = json.loads(file.read_text())
    for resource in template["Resources"].values():
        resource["DeletionPolicy"] = "Retain"
    file.write_text(json.dumps(template))
    done = run(stage, tmp_path, "diff", "--fail", "--app", str(assembly), "KmsPatterns-S3")
    assert done.returncode == 1
    assert "DeletionPolicy" in done.stdout + done.stderr


RETAINED = {"KeyId": "AWS::KMS::Key", "BucketName": "AWS::S3::Bucket"}


@dataclass
class Life:
    """The outputs of the first deployment, and the assembly for the next ones."""

    aws: LocalAws
    assembly: Path
    first: dict[str, dict[str, str]]

    def user(self, outputs: dict[str, str]) -> Any:
        return self.aws.assume(outputs["UserArn"], "ec2.amazonaws.com").client("s3")

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]}

    def alias_target(self, stack: str) -> str | None:
        aliases = self.aws.client("kms").list_aliases()["Aliases"]
        return next((it["TargetKeyId"] for it in aliases if it["AliasName"] == f"alias/{stack}/documents"), None)

    def state(self, key: str) -> str:
        return str(self.aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"])

    def bring_back(self, stack: str) -> None:
        """Import the retained key and bucket into a new stack, as docs/deployment.md says."""
        template = json.loads((self.assembly / f"{stack}.template.json").read_text(encoding="utf-8"))
        ids = {output: template["Outputs"][output]["Value"]["Ref"] for output in RETAINED}
        bare = {ids[output]: {"Type": kind, "DeletionPolicy": "Retain"} for output, kind in RETAINED.items()}
        formation = self.aws.client("cloudformation")
        formation.create_change_set(
            StackName=stack,
            ChangeSetName="bring-back",
            ChangeSetType="IMPORT",
            TemplateBody=json.dumps({"Resources": bare}),
            ResourcesToImport=[
                {
                    "ResourceType": kind,
                    "LogicalResourceId": ids[output],
                    "ResourceIdentifier": {output: self.first[stack][output]},
                }
                for output, kind in RETAINED.items()
            ],
        )
        named = {"StackName": stack, "ChangeSetName": "bring-back"}
        formation.get_waiter("change_set_create_complete").wait(**named, WaiterConfig={"Delay": 1})
        formation.execute_change_set(**named)
        formation.get_waiter("stack_import_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})


def synthesized(folder: Path, env: cdk.Environment) -> Path:
    """Synthesize two stacks: one whose key and buckets stay, one that leaves nothing."""
    app = cdk.App(outdir=str(folder))
    for name, lifecycle in (("Kept", KeyLifecycle.RETAIN), ("Trial", KeyLifecycle.EPHEMERAL)):
        stack = cdk.Stack(app, name, env=env)
        key = EncryptionKey(stack, "Key", alias="documents", lifecycle=lifecycle)
        emptied = lifecycle is KeyLifecycle.EPHEMERAL
        bucket = EncryptedBucket(stack, "Bucket", encryption_key=key, auto_delete_objects=emptied)
        user = iam.Role(stack, "User", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        bucket.grant_upload(user)
        bucket.grant_download(user)
        published = PublicBucket(stack, "Published", publisher=user, lifecycle=lifecycle)
        published.grant_put(user)
        values = {"KeyId": key.key_id, "BucketName": bucket.bucket_name, "UserArn": user.role_arn}
        for output, value in (values | {"PublishedName": published.bucket_name}).items():
            cdk.CfnOutput(stack, output, value=value)
    app.synth()
    return folder


def deployer(aws: LocalAws) -> dict[str, str]:
    """A user who may do what docs/deployment.md says of who deploys, and nothing else."""
    users = aws.client("iam")
    users.create_user(UserName="deployer")
    roles = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{aws.account}:role/cdk-*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [roles]})
    users.put_user_policy(UserName="deployer", PolicyName="Deploy", PolicyDocument=policy)
    key = users.create_access_key(UserName="deployer")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@pytest.fixture(scope="module")
def life(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("life")
    assembly = synthesized(folder / "out", cdk.Environment(account=stage.aws.account, region=stage.aws.region))
    life = Life(stage.aws, assembly, dict(deployed(stage.aws, assembly, caller=deployer(stage.aws))))
    for outputs in life.first.values():
        user = life.user(outputs)
        for body in (b"before", b"kept"):
            user.put_object(Bucket=outputs["BucketName"], Key="document", Body=body)
            user.put_object(Bucket=outputs["PublishedName"], Key="key.pem", Body=body)
    run_cdk(stage.aws, folder, "destroy", "--all", "--force", "--app", str(assembly))
    return life


def test_who_deploys_needs_nothing_but_the_roles_of_the_bootstrap(life: Life) -> None:
    assert set(life.first) == {"Kept", "Trial"}


def test_an_ephemeral_stack_leaves_nothing_but_a_key_that_is_pending_deletion(life: Life) -> None:
    trial = life.first["Trial"]
    assert {trial["BucketName"], trial["PublishedName"]} & life.buckets() == set()
    assert (life.alias_target("Trial"), life.state(trial["KeyId"])) == (None, "PendingDeletion")
    functions = life.aws.client("lambda").list_functions()["Functions"]
    assert [it["FunctionName"] for it in functions if it["FunctionName"].startswith("Trial")] == []
    roles = life.aws.client("iam").list_roles()["Roles"]
    assert [it["RoleName"] for it in roles if it["RoleName"].startswith("Trial-")] == []


def test_a_retained_stack_leaves_key_and_buckets_and_no_name_in_the_way(life: Life) -> None:
    kept = life.first["Kept"]
    assert {kept["BucketName"], kept["PublishedName"]} <= life.buckets()
    assert (life.alias_target("Kept"), life.state(kept["KeyId"])) == (None, "Enabled")


def test_both_are_deployed_again_and_what_was_kept_is_read_by_the_new_role(life: Life) -> None:
    life.bring_back("Kept")
    again = deployed(life.aws, life.assembly)

    kept, before = again["Kept"], life.first["Kept"]
    assert (kept["KeyId"], kept["BucketName"]) == (before["KeyId"], before["BucketName"])
    assert life.alias_target("Kept") == before["KeyId"]
    read = life.user(kept).get_object(Bucket=kept["BucketName"], Key="document")
    assert (read["Body"].read(), read["SSEKMSKeyId"].rpartition("/")[2]) == (b"kept", before["KeyId"])
    trial = again["Trial"]
    assert trial["KeyId"] != life.first["Trial"]["KeyId"]
    assert life.alias_target("Trial") == trial["KeyId"]
    life.user(trial).put_object(Bucket=trial["BucketName"], Key="document", Body=b"again")
