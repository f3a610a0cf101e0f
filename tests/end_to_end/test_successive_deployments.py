"""Stacks that are deployed again.

The roll-over: three deployments take an issuer from an RSA key to an elliptic curve, and no one refuses a valid
token. Destroyed and deployed again: what stays does not stand in the way, and can be brought back; what was
just made works late. The CDK command line of the checkout tells what a deployment would change.
"""

import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import aws_cdk as cdk
import jwt
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda, aws_sqs
from botocore.exceptions import ClientError
from joserfc import jwk
from joserfc import jwt as jose
from joserfc.errors import JoseError

from demo.principals import invoke, tampered, under_the_public_key, unsigned
from demo.scenario import Stage
from kms_patterns import EncryptedBucket, EncryptionKey, KeyGrant, KeyLifecycle, SigningKey, TokenIssuer
from kms_patterns.local import LocalAws
from kms_patterns.local.aws_session import local_address
from kms_patterns.patterns.parts.event_rules import ObjectCreatedRule
from kms_patterns.patterns.public_bucket import PublicBucket
from kms_runtime.errors import TokenRefused
from kms_runtime.tokens import RemoteJwks, key_id, verify_token
from tests.contract.lifecycle import Target, deployer, used
from tests.end_to_end.conftest import ROOT, deployed, deployed_by_cdk, destroyed, stack_outputs
from tests.synthesis import synthesize

QUEUE = {"Type": "AWS::SQS::Queue"}
ISSUER, AUDIENCE, ALGORITHMS = "https://tokens.example.com", "orders", ["PS256", "ES256"]
pytestmark = pytest.mark.end_to_end


@dataclass
class Issuer:
    """The issuer as one of the deployments left it, and readers that know its address."""

    aws: LocalAws
    outputs: dict[str, str]

    @property
    def url(self) -> str:
        return local_address(self.outputs["JwksUrl"], self.aws.endpoint_url)

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.aws.ca_bundle))

    def issue(self) -> str:
        function = self.outputs["IssueFunctionName"]
        return str(invoke(self.aws.client("lambda"), function, {"subject": "customer-1"})["token"])

    def key_ids(self) -> list[str]:
        with urlopen(self.url, context=self.context) as answer:
            return [key["kid"] for key in json.load(answer)["keys"]]

    def status(self, **headers: str) -> tuple[int, str]:
        """Return the status and ETag of an answer at the address."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urlopen(Request(self.url, headers=named), context=self.context) as answer:
                return answer.status, answer.headers["ETag"]
        except HTTPError as error:
            return error.code, error.headers["ETag"]

    def by_ours(self, token: str) -> Any:
        keys = RemoteJwks(self.url, ssl_context=self.context)
        return verify_token(token, keys=keys, issuer=ISSUER, audience=AUDIENCE).claims

    def by_pyjwt(self, token: str) -> Any:
        key = jwt.PyJWKClient(self.url, ssl_context=self.context).get_signing_key_from_jwt(token)
        return jwt.decode(token, key, ALGORITHMS, audience=AUDIENCE, issuer=ISSUER)

    def by_joserfc(self, token: str) -> Any:
        with urlopen(self.url, context=self.context) as answer:
            keys = jwk.KeySet.import_key_set(json.load(answer))
        return jose.decode(token, keys, algorithms=ALGORITHMS).claims

    def verified_by_all(self, token: str) -> str:
        """Return the key id after our reader, PyJWT and joserfc have fetched the keys and verified the token."""
        assert self.by_ours(token) == self.by_pyjwt(token) == self.by_joserfc(token)
        return str(jwt.get_unverified_header(token)["kid"])

    def refused_by_all(self, token: str) -> None:
        for verify, refusal in (
            (self.by_ours, TokenRefused),
            (self.by_pyjwt, jwt.PyJWTError),
            (self.by_joserfc, (JoseError, ValueError)),
        ):
            with pytest.raises(refusal):
                verify(token)


def roll_over(step: int, assembly: Path, *, validate: bool = False) -> Path:
    """Synthesize an issuer before, while and after one of its keys follows another."""
    # The code is in the bucket of the bootstrap: the reference app has the same.
    context = {"kms-patterns:platform": "host", "aws:cdk:bundling-stacks": []}
    app = cdk.App(outdir=str(assembly), context=context, builtin_cloud_formation_validation=validate)
    stack = cdk.Stack(app, "RollOver")
    old = SigningKey(stack, "Old", key_spec=kms.KeySpec.RSA_2048, lifecycle=KeyLifecycle.EPHEMERAL)
    new = SigningKey(stack, "New", lifecycle=KeyLifecycle.EPHEMERAL) if step > 1 else None
    issuer = TokenIssuer(
        stack,
        "Issuer",
        signing_key=new if new and step == 3 else old,
        next_keys=[new] if new and step == 2 else [],
        previous_keys=[old] if step == 3 else [],
        issuer=ISSUER,
        audiences=[AUDIENCE],
    )
    for name, value in {
        "IssueFunctionName": issuer.issue_function.function_name,
        "JwksUrl": issuer.jwks_url,
        "OldKeyArn": old.key_arn,
        "NewKeyArn": new.key_arn if new else "none",
    }.items():
        cdk.CfnOutput(stack, name, value=value)
    app.synth()
    return assembly


@pytest.fixture(scope="module")
def deploy(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Issuer]:
    """Return a function that deploys a step of the roll-over over the one before."""
    folder = tmp_path_factory.mktemp("roll-over")

    def step(number: int) -> Issuer:
        return Issuer(stage.aws, deployed(stage.aws, roll_over(number, folder / f"out-{number}"))["RollOver"])

    return step


def test_key_rolls_over_without_an_outage(deploy: Callable[[int], Issuer]) -> None:
    before = deploy(1)
    old = key_id(before.outputs["OldKeyArn"])
    first = before.issue()
    reader = RemoteJwks(before.url, ssl_context=before.context, shortest_interval=0)
    assert verify_token(first, keys=reader, issuer=ISSUER, audience=AUDIENCE).key_id == old
    assert before.key_ids() == [old]

    status, etag = before.status()
    assert (status, before.status(if_none_match=etag)) == (200, (304, etag))

    announced = deploy(2)
    new = key_id(announced.outputs["NewKeyArn"])
    assert announced.url == before.url
    assert announced.key_ids() == [old, new]
    assert announced.status(if_none_match=etag)[0] == 200
    second = announced.issue()
    assert [announced.verified_by_all(token) for token in (first, second)] == [old, old]

    swapped = deploy(3)
    assert swapped.key_ids() == [new, old]
    third = swapped.issue()
    assert [swapped.verified_by_all(token) for token in (first, second, third)] == [old, old, new]
    public_key = swapped.aws.client("kms").get_public_key(KeyId=swapped.outputs["NewKeyArn"])["PublicKey"]
    for forged in (tampered(third, sub="admin"), unsigned(third, new), under_the_public_key(third, new, public_key)):
        swapped.refused_by_all(forged)
    # A reader from before the roll-over learns of the new key by the first token that names it.
    assert verify_token(third, keys=reader, issuer=ISSUER, audience=AUDIENCE).algorithm == "ES256"


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


def two_lives(folder: Path, env: cdk.Environment, *, validate: bool = False) -> Path:
    """Synthesize two stacks: one whose key and buckets stay, one that leaves nothing."""
    app = cdk.App(outdir=str(folder), builtin_cloud_formation_validation=validate)
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


@pytest.fixture(scope="module")
def life(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("life")
    assembly = two_lives(folder / "out", cdk.Environment(account=stage.aws.account, region=stage.aws.region))
    life = Life(stage.aws, assembly, dict(deployed_by_cdk(stage.aws, assembly, deployer(stage.aws))))
    for outputs in life.first.values():
        user = life.user(outputs)
        for body in (b"before", b"kept"):
            user.put_object(Bucket=outputs["BucketName"], Key="document", Body=body)
            user.put_object(Bucket=outputs["PublishedName"], Key="key.pem", Body=body)
    destroyed(stage.aws, assembly)
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
    switch_alias_back(life, kept["KeyId"], trial["KeyId"])


def switch_alias_back(life: Life, retained: str, again: str) -> None:
    """As docs/deployment.md says of a stack that was deployed again before its key was found."""
    client, alias = life.aws.client("kms"), "alias/Trial/documents"
    before = client.encrypt(KeyId=retained, Plaintext=b"before")["CiphertextBlob"]
    with pytest.raises(ClientError, match="IncorrectKeyException"):
        client.decrypt(KeyId=alias, CiphertextBlob=before)
    client.update_alias(AliasName=alias, TargetKeyId=retained)
    assert client.decrypt(KeyId=alias, CiphertextBlob=before)["Plaintext"] == b"before"
    client.update_alias(AliasName=alias, TargetKeyId=again)


def test_stack_of_the_reference_app_leaves_nothing_and_is_used_again(stage: Stage, tmp_path: Path) -> None:
    """One stack; ``make contract-deploy STACKS=all`` does it with each, and plays every scenario twice."""
    said: list[str] = []
    options = ["--app", str(ROOT / "build" / "demo" / "cdk.out")]
    target = Target(stage.aws.session(), stage.aws.cdk_environment(), options, tmp_path, said.append)
    stacks = ["KmsPatterns-Mac"]
    use = used(stage.aws.session(), stacks)
    use(stage.outputs)
    target.destroy(stacks)
    left, looked = target.left(stacks[0])
    assert (left, looked) == ([], 22)
    outputs = target.deploy(stacks)
    use(outputs)
    assert outputs[stacks[0]]["KeyArn"] != stage.outputs[stacks[0]]["KeyArn"]
    target.remember(stacks)
    assert len(target.left(stacks[0])[0]) == looked


@pytest.mark.parametrize(("kind", "name"), [
    ("AWS::KMS::Alias", lambda _: {"AliasName": "alias/KmsPatterns-Envelope/files"}),
    ("AWS::S3::Bucket", lambda found: {"BucketName": found["InboxName"]}),
    ("AWS::IAM::Role", lambda found: {"RoleName": found["OperatorRoleArn"].rpartition("/")[2]}),
])  # fmt: skip
def test_name_of_another_stack_fails_the_stack_with_the_reason_and_leaves_nothing(
    stage: Stage, kind: str, name: Callable[[Any], dict[str, str]]
) -> None:
    found, formation = stage.outputs["KmsPatterns-Envelope"], stage.aws.client("cloudformation")
    trust = {"Statement": {"Effect": "Allow", "Principal": {"Service": EC2}, "Action": "sts:AssumeRole"}}
    needed = {
        "AWS::KMS::Alias": {"TargetKeyId": found["KeyArn"]},
        "AWS::IAM::Role": {"AssumeRolePolicyDocument": trust},
    }
    taken = {"Type": kind, "DependsOn": "First", "Properties": name(found) | needed.get(kind, {})}
    template = {"Resources": {"First": {"Type": "AWS::SQS::Queue"}, "Taken": taken}}
    sqs = stage.aws.client("sqs")
    queues = set(sqs.list_queues().get("QueueUrls", []))
    with pytest.raises(AssertionError, match=r"AlreadyExists|Validation failed"):
        stack_outputs(formation, f"Taken{kind.rpartition(':')[2]}", json.dumps(template))
    stack = formation.describe_stacks(StackName=f"Taken{kind.rpartition(':')[2]}")["Stacks"][0]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert set(sqs.list_queues().get("QueueUrls", [])) - queues == set()


LATE = 3.0
"""Seconds until what was just made works: less than the pause of KeyGrant's function, five seconds."""


def late(folder: Path, env: cdk.Environment) -> str:
    """Return a template in which two roles get a grant of one key, and then a bucket starts a function."""
    app = cdk.App(outdir=str(folder))
    stack = cdk.Stack(app, "Late", env=env, synthesizer=cdk.LegacyStackSynthesizer())
    key = EncryptionKey(stack, "Key", alias="late", lifecycle=KeyLifecycle.EPHEMERAL)
    bucket = EncryptedBucket(stack, "Inbox", encryption_key=key)
    for name in ("Blue", "Red"):
        role = iam.Role(stack, name, assumed_by=iam.ServicePrincipal(EC2))
        grant = KeyGrant(stack, f"{name}Grant", key=key, grantee=role, operations=["Encrypt"])
        bucket.node.add_dependency(grant)
        cdk.CfnOutput(stack, f"{name}Arn", value=role.role_arn)
    code = aws_lambda.Code.from_inline("def handler(event, context):\n    print(event['sourceKey'])")
    runtime = aws_lambda.Runtime.PYTHON_3_12
    started = aws_lambda.Function(stack, "Started", runtime=runtime, handler="index.handler", code=code)
    dead_letters = aws_sqs.Queue(stack, "DeadLetters")
    ObjectCreatedRule(stack, "Created", bucket=bucket, function=started, dead_letters=dead_letters)
    values = {"KeyArn": key.key_arn, "BucketName": bucket.bucket_name, "FunctionName": started.function_name}
    for output, value in values.items():
        cdk.CfnOutput(stack, output, value=value)
    return json.dumps(app.synth().get_stack_by_name("Late").template)


def test_what_was_just_made_works_late_and_a_grant_waits_for_its_grantee(tmp_path: Path) -> None:
    """The server has the delays of ``--like-aws delays``, shorter."""
    with LocalAws.start(delay=LATE) as aws:
        template = late(tmp_path / "out", cdk.Environment(account=aws.account, region=aws.region))
        outputs = stack_outputs(aws.client("cloudformation"), "Late", template)
        s3, logs = aws.client("s3"), aws.client("logs")
        s3.put_object(Bucket=outputs["BucketName"], Key="early", Body=b"x")
        # KMS did not know the first grantee: the function tried again, and the stack has both grants.
        created = [call["errorCode"] for call in aws.kms_calls() if call["action"] == "kms:CreateGrant"]
        assert (created[0], created.count(None)) == ("InvalidArnException", 2), created
        time.sleep(LATE)
        for name in ("Blue", "Red"):
            aws.assume(outputs[f"{name}Arn"], EC2).client("kms").encrypt(KeyId=outputs["KeyArn"], Plaintext=b"x")
        s3.put_object(Bucket=outputs["BucketName"], Key="late", Body=b"x")
        printed, end = list[str](), time.monotonic() + 60
        # On a busy machine the platform's lines may be there before the function's own.
        while "late" not in printed and time.monotonic() < end:
            time.sleep(0.1)
            with suppress(logs.exceptions.ResourceNotFoundException):
                found = logs.filter_log_events(logGroupName=f"/aws/lambda/{outputs['FunctionName']}")
                printed = [it["message"].strip() for it in found["events"]]
        assert ("late" in printed, "early" in printed) == (True, False), printed


MIGRATION = Path(__file__).parent / "apps" / "migration.py"
BUCKETS = ("WithBucketKey", "WithoutBucketKey", "UnderS3")
EC2 = "ec2.amazonaws.com"


@pytest.fixture(scope="module")
def migrated(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Deploy the stack of plain constructs, write objects, and deploy the stack of this package over it."""
    folder, found = tmp_path_factory.mktemp("migration"), {}
    for step in ("old", "new"):
        assembly = synthesize(MIGRATION, folder / step, folder=folder, context={"step": step}, validate=False)
        found[step] = deployed(stage.aws, assembly)["Migration"]
        writer = stage.aws.assume(found[step]["WriterArn"], EC2).client("s3")
        for name in BUCKETS:
            writer.put_object(Bucket=found[step][f"{name}Name"], Key=f"{step}.txt", Body=step.encode())
    return found


def test_object_under_s3_keys_is_brought_under_the_key_in_place(
    stage: Stage, migrated: dict[str, dict[str, str]]
) -> None:
    s3, where = stage.aws.client("s3"), {"Bucket": migrated["new"]["UnderS3Name"], "Key": "old.txt"}
    before = s3.head_object(**where)

    s3.update_object_encryption(**where, ObjectEncryption={"SSEKMS": {"KMSKeyArn": migrated["new"]["KeyArn"]}})

    after = s3.head_object(**where)
    assert (before["ServerSideEncryption"], after["ServerSideEncryption"]) == ("AES256", "aws:kms")
    assert (after["ETag"], after["VersionId"]) == (before["ETag"], before["VersionId"])
    reader = stage.aws.assume(migrated["new"]["ReaderArn"], EC2).client("s3")
    assert reader.get_object(**where)["Body"].read() == b"old"


def test_migrated_stack_keeps_its_key_and_buckets(migrated: dict[str, dict[str, str]]) -> None:
    kept = ["KeyArn", *(f"{name}Name" for name in BUCKETS)]

    assert [migrated["new"][name] for name in kept] == [migrated["old"][name] for name in kept]


@pytest.mark.parametrize("name", BUCKETS)
@pytest.mark.parametrize("written", ["old", "new"])
def test_narrow_role_reads_what_was_written_before_and_after_the_migration(
    name: str, written: str, stage: Stage, migrated: dict[str, dict[str, str]]
) -> None:
    outputs = migrated["new"]
    where = {"Bucket": outputs[f"{name}Name"], "Key": f"{written}.txt"}

    reader = stage.aws.assume(outputs["ReaderArn"], EC2).client("s3")
    assert reader.get_object(**where)["Body"].read() == written.encode()
    with pytest.raises(ClientError, match="AccessDenied"):
        stage.aws.assume(outputs["StrangerArn"], EC2).client("s3").get_object(**where)


def run_from_the_checkout(stage: Stage, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the CDK command line of the checkout as on a machine that has no Node of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JSII_")}
    environment |= stage.aws.cdk_environment() | {"PATH": str(folder / "nothing-here"), "TMPDIR": str(folder)}
    environment["CDK_VALIDATION"] = "false"
    command = [sys.executable, "-m", "kms_patterns", "cdk", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def assembly(stage: Stage, tmp_path: Path) -> Path:
    """A copy of what was deployed."""
    return shutil.copytree(ROOT / "build" / "demo" / "cdk.out", tmp_path / "cdk.out")


def test_synth_writes_a_template(stage: Stage, tmp_path: Path) -> None:
    output = tmp_path / "cdk.out"
    script = shlex.join([sys.executable, str(ROOT / "examples" / "documents_bucket.py")])
    app = ["--app", f"exec {script}"]  # the command line strips quotes around the whole
    done = run_from_the_checkout(stage, tmp_path, "synth", "--quiet", *app, "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert len([*output.glob("*.template.json")]) == 1


def test_synth_of_the_reference_app_has_a_template_per_stack(stage: Stage, assembly: Path) -> None:
    written = {path.name.removesuffix(".template.json") for path in assembly.glob("*.template.json")}
    assert written == set(stage.outputs)


def test_diff_finds_the_changed_stack_and_the_rest_of_the_deployed_app_unchanged(
    stage: Stage, assembly: Path, tmp_path: Path
) -> None:
    file = assembly / "KmsPatterns-S3.template.json"
    template = json.loads(file.read_text())
    for resource in template["Resources"].values():
        resource["DeletionPolicy"] = "Retain"
    file.write_text(json.dumps(template))
    done = run_from_the_checkout(stage, tmp_path, "diff", "--fail", "--app", str(assembly))
    assert done.returncode == 1
    assert "Number of stacks with differences: 1" in done.stdout + done.stderr
    assert "DeletionPolicy" in done.stdout + done.stderr


def test_stack_that_is_deployed_again_does_not_find_the_metrics_of_the_first_one(aws: LocalAws) -> None:
    """CloudFormation draws new names: the first one's count would hold the second one's alarm in ALARM."""
    stacks, metric, target = aws.client("cloudformation"), "Invocations", {"Id": "Q", "Arn": {"Fn::GetAtt": "Q.Arn"}}
    resources = {
        "Rule": {"Type": "AWS::Events::Rule", "Properties": {
            "EventPattern": {"source": ["again"]}, "Targets": [target]}},
        "Q": QUEUE,
        "Open": {"Type": "AWS::SQS::QueuePolicy", "Properties": {
            "Queues": [{"Ref": "Q"}], "PolicyDocument": {"Statement": {
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": {"Fn::GetAtt": "Q.Arn"}}}}},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "Namespace": "AWS/Events", "MetricName": metric,
            "Dimensions": [{"Name": "RuleName", "Value": {"Ref": "Rule"}}],
            "Threshold": 1, "EvaluationPeriods": 1, "Period": 300, "Statistic": "Sum",
            "ComparisonOperator": "GreaterThanOrEqualToThreshold"}},
    }  # fmt: skip
    names = []
    for _ in range(2):
        stacks.create_stack(StackName="again", TemplateBody=json.dumps({"Resources": resources}))
        stacks.get_waiter("stack_create_complete").wait(StackName="again", WaiterConfig={"Delay": 1})
        held = {
            item["LogicalResourceId"]: item["PhysicalResourceId"]
            for item in stacks.describe_stack_resources(StackName="again")["StackResources"]
        }
        names.append(held)
        assert _state(aws, held["Alarm"]) == "INSUFFICIENT_DATA"
        aws.client("events").put_events(Entries=[{"Source": "again", "DetailType": "t", "Detail": "{}"}])
        assert _state(aws, held["Alarm"]) == "ALARM"
        stacks.delete_stack(StackName="again")
        stacks.get_waiter("stack_delete_complete").wait(StackName="again", WaiterConfig={"Delay": 1})
    assert not {*names[0].values()} & {*names[1].values()}


def _state(aws: LocalAws, alarm: str) -> str:
    (found,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return str(found["StateValue"])


def test_export_in_use_stays_as_it_is(aws: LocalAws) -> None:
    def exporting(name: str, value: str) -> dict[str, Any]:
        return {"O": {"Value": value, "Export": {"Name": name}}}

    name, reads = f"e-{uuid.uuid4().hex}", {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String"}}
    reads["Properties"] |= {"Value": {"Fn::ImportValue": name}}  # type: ignore[operator]
    assert _deployed(aws, "exporter", {"Q": QUEUE}, exporting(name, "one")) == "CREATE_COMPLETE"
    assert _deployed(aws, "again", {"Q": QUEUE}, exporting(name, "two")) == "ROLLBACK_COMPLETE"
    assert _deployed(aws, "importer", {"P": reads}, {}) == "CREATE_COMPLETE"
    for outputs in ({}, exporting(name, "two")):
        changed = {**QUEUE, "Properties": {"DelaySeconds": len(outputs) + 1}}
        assert _deployed(aws, "exporter", {"Q": changed}, outputs) == "UPDATE_ROLLBACK_COMPLETE"


def test_replica_of_a_secret_goes_with_its_region_in_the_template(aws: LocalAws) -> None:
    secret: dict[str, Any] = {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "replicated-once"}}
    abroad = {"Properties": {**secret["Properties"], "ReplicaRegions": [{"Region": "eu-west-1"}]}}
    assert _deployed(aws, "replicas", {"S": secret | abroad}, {}) == "CREATE_COMPLETE"
    there, stacks = aws.client("secretsmanager", region_name="eu-west-1"), aws.client("cloudformation")
    assert there.describe_secret(SecretId="replicated-once")
    assert _deployed(aws, "replicas", {"S": secret}, {}) == "UPDATE_COMPLETE"
    with pytest.raises(there.exceptions.ResourceNotFoundException):
        there.describe_secret(SecretId="replicated-once")
    stacks.delete_stack(StackName="replicas")
    stacks.get_waiter("stack_delete_complete").wait(StackName="replicas", WaiterConfig={"Delay": 1})


def _deployed(aws: LocalAws, name: str, resources: dict[str, Any], outputs: dict[str, Any]) -> str:
    stacks, template = aws.client("cloudformation"), json.dumps({"Resources": resources, "Outputs": outputs})
    known = any(it["StackName"] == name for it in stacks.describe_stacks()["Stacks"])
    (stacks.update_stack if known else stacks.create_stack)(StackName=name, TemplateBody=template)
    while (status := stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("IN_PROGRESS"):
        time.sleep(0.05)
    return str(status)
