"""Deploys stacks, uses them, destroys them, counts what is left, and does it again: ``make contract-deploy``.

Without ``--profile`` on an embedded AWS that is made for it, where who deploys and CloudFormation's role have the
permissions that docs/deployment.md prints and no other; with it in that account, after asking. ``--stacks all`` plays
the demo's scenarios instead, which need the embedded AWS. ``--removals`` then deploys each stack with its own
permissions alone, and with one of them missing.
"""

import json
import os
import random
import runpy
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import ClientError

from demo.groups import SCENARIOS
from demo.principals import administrator, invoke
from demo.scenario import Stage, play
from kms_patterns.local import LocalAws
from kms_patterns.local.server.stacks.resource_permissions import Step, permissions
from kms_patterns.policy.prices import DOLLARS_A_KEY
from kms_patterns.toolchain import cdk_command, node_executable, toolchain_environment

ROOT = Path(__file__).parents[2]
HOURS_A_MONTH = 730
Outputs = Mapping[str, Mapping[str, str]]


def _secrets(session: Any, outputs: Mapping[str, str]) -> str:
    functions, context = session.client("lambda"), {"tenant": "blue"}
    event = {"plaintext": "c2VjcmV0", "encryptionContext": context}
    sealed = invoke(functions, outputs["EncryptFunctionName"], event)
    opened = invoke(
        functions, outputs["DecryptFunctionName"], {"ciphertext": sealed["ciphertext"], "encryptionContext": context}
    )
    return _same("secret", opened["plaintext"], event["plaintext"])


def _codes(session: Any, outputs: Mapping[str, str]) -> str:
    functions, event = session.client("lambda"), {"message": "bWVzc2FnZQ=="}
    made = invoke(functions, outputs["GenerateFunctionName"], event)
    verified = invoke(functions, outputs["VerifyFunctionName"], {**event, "mac": made["mac"]})
    return _same("code", verified["macValid"], expected=True)


def _random(session: Any, outputs: Mapping[str, str]) -> str:
    return f"{invoke(session.client('lambda'), outputs['GenerateFunctionName'], {'count': 32})['randomBytes'][:8]}…"


def _same(what: str, found: object, expected: object) -> str:
    if found != expected:
        raise click.ClickException(f"the {what} is {found!r}, {expected!r} was expected")
    return f"{what} came back"


USES: Mapping[str, Callable[[Any, Mapping[str, str]], str]] = {
    "KmsPatterns-Secrets": _secrets,
    "KmsPatterns-Mac": _codes,
    "KmsPatterns-RandomBytes": _random,
}
"""Three stacks that an administrator can use without taking a role that only a service may take."""


@dataclass
class Target:
    """Where stacks go: an account by a session, and the CDK command line with the same credentials.

    Attributes:
        session: Its ``client`` makes clients.
        variables: The environment of the CDK command line.
        options: Words for every CDK command, such as ``--app``.
    """

    session: Any
    variables: Mapping[str, str]
    options: Sequence[str]
    folder: Path
    said: Callable[[str], None] = click.echo
    physical: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def deploy(self, stacks: Sequence[str]) -> Outputs:
        """Deploy the stacks; return their outputs."""
        file = self.folder / "outputs.json"
        self.cdk("deploy", *stacks, "--require-approval", "never", "--concurrency", "4", "--outputs-file", str(file))
        found: Outputs = json.loads(file.read_text(encoding="utf-8"))
        return found

    def destroy(self, stacks: Sequence[str]) -> None:
        """Destroy the stacks, after remembering what is in them."""
        self.remember(stacks)
        self.cdk("destroy", *stacks, "--force")

    def remember(self, stacks: Sequence[str]) -> None:
        """Note the resources that the stacks have now; :meth:`left` looks for these."""
        pages = self.session.client("cloudformation").get_paginator("list_stack_resources")
        for stack in stacks:
            held = [it for page in pages.paginate(StackName=stack) for it in page["StackResourceSummaries"]]
            self.physical[stack] = [(it["ResourceType"], it["PhysicalResourceId"]) for it in held]

    def left(self, stack: str) -> tuple[list[str], int]:
        """Return what is left of a destroyed stack, and how many resources were looked for.

        Raises:
            ClickException: The stack has a resource of a type that is not looked for.
        """
        unknown = {kind for kind, _ in self.physical[stack]} - _LISTED.keys() - _PARTS
        if unknown:
            raise click.ClickException(f"{stack} has {', '.join(sorted(unknown))}, which nothing here looks for")
        looked = {it for it in self.physical[stack] if it[0] in _LISTED}
        return _told(self.session, looked & everything(self.session)), len(looked)

    def appeared(self, before: set[tuple[str, str]]) -> list[str]:
        """Return what exists and did not before, whoever made it."""
        return _told(self.session, everything(self.session) - before)

    def cdk(self, *words: str) -> None:
        """Run the CDK command line.

        Raises:
            ClickException: It failed; the message ends what it printed.
        """
        command = [*cdk_command(ROOT), *words, *self.options, "--no-notices", "--no-color", "--ci"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        environment |= toolchain_environment(cache=ROOT / ".cache") | dict(self.variables)
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise click.ClickException(f"cdk {words[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")


# By type: what lists CloudFormation's physical ids of it.
_LISTED: Mapping[str, tuple[str, str, str]] = {
    "AWS::KMS::Key": ("kms", "list_keys", "Keys[].KeyId"),
    "AWS::KMS::Alias": ("kms", "list_aliases", "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName"),
    "AWS::S3::Bucket": ("s3", "list_buckets", "Buckets[].Name"),
    "AWS::IAM::Role": ("iam", "list_roles", "Roles[].RoleName"),
    "AWS::Lambda::Function": ("lambda", "list_functions", "Functions[].FunctionName"),
    "AWS::Logs::LogGroup": ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    "AWS::Logs::ResourcePolicy": ("logs", "describe_resource_policies", "resourcePolicies[].policyName"),
    "AWS::SQS::Queue": ("sqs", "list_queues", "QueueUrls[]"),
    "AWS::SNS::Topic": ("sns", "list_topics", "Topics[].TopicArn"),
    "AWS::DynamoDB::GlobalTable": ("dynamodb", "list_tables", "TableNames[]"),
    "AWS::Events::Rule": ("events", "list_rules", "Rules[].Name"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName"),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", "list_state_machines", "stateMachines[].stateMachineArn"),
}
# Parts of one of these, gone with it.
_PARTS = {
    "AWS::IAM::Policy", "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::CDK::Metadata",
    "AWS::Lambda::Permission", "AWS::Lambda::Url", "AWS::Lambda::EventInvokeConfig", "Custom::S3AutoDeleteObjects",
}  # fmt: skip


def everything(session: Any) -> set[tuple[str, str]]:
    """Return type and physical id of every resource of the account and Region whose type stacks here have."""
    found = set()
    for kind, (service, operation, names) in _LISTED.items():
        pages = session.client(service).get_paginator(operation).paginate()
        found |= {(kind, name) for name in pages.search(names) if name}
    return found


def _told(session: Any, found: set[tuple[str, str]]) -> list[str]:
    return [f"{kind} {name}" for kind, name in sorted(found) if kind != "AWS::KMS::Key" or _stays(session, name)]


def _stays(session: Any, key_id: str) -> bool:
    # Pending deletion costs nothing; a key of AWS comes by itself, when a service first needs it.
    found = session.client("kms").describe_key(KeyId=key_id)["KeyMetadata"]
    return found["KeyState"] != "PendingDeletion" and found["KeyManager"] != "AWS"


def live(target: Target, stacks: Sequence[str], use: Callable[[Outputs], str], *, alone: bool = False) -> None:
    """Deploy, use, destroy and count, twice; ``alone`` in an account, whatever else is there then is left behind.

    Raises:
        ClickException: A step failed, or something is left.
    """
    before = everything(target.session)
    for attempt in ("first", "second"):
        outputs = target.deploy(stacks)
        target.said(f"{attempt} deployment of {len(stacks)} stacks")
        deployed = everything(target.session)
        target.said(f"  used: {use(outputs)}")
        # Roles, keys and a queue of the scenarios themselves; a log group is what a function may have made.
        made = everything(target.session) - deployed
        before |= {it for it in made if it[0] != "AWS::Logs::LogGroup"}
        target.destroy(stacks)
        counts = {stack: target.left(stack) for stack in stacks}
        left = [what for found, _looked in counts.values() for what in found]
        left += target.appeared(before) if alone else []
        target.said(
            f"  destroyed: {sum(looked for _, looked in counts.values())} resources looked for, {len(left)} left"
        )
        if left:
            raise click.ClickException("left behind: " + ", ".join(left))


def used(session: Any, stacks: Sequence[str]) -> Callable[[Outputs], str]:
    """Return what uses each of ``stacks`` by its functions, as the caller of ``session``."""
    return lambda outputs: ", ".join(f"{stack}: {USES[stack](session, outputs[stack])}" for stack in stacks)


def played(aws: LocalAws, file: Path, target: Target) -> Callable[[Outputs], str]:
    """Return what plays the demo's scenarios, all of which must come out as expected, and then attacks the stacks."""

    def use(outputs: Outputs) -> str:
        stage = Stage(aws, outputs, file)
        rows = [play(scenario, stage) for scenario in SCENARIOS]
        wrong = [f"{row.scenario.name}: {row.observed}" for row in rows if not row.as_expected]
        target.remember(list(outputs))
        held = [it for stack in outputs for it in target.physical[stack]]
        # Under SSE-S3 with the names of objects, which no key protects.
        open_ = outputs["KmsPatterns-Bulk"]["JobReportsName"]
        sent, passed = attacked(stage, [it for it in held if it[1] != open_])
        if wrong or passed:
            raise click.ClickException("\n".join([*wrong, *passed]))
        return f"{len(rows)} scenarios as expected, {sent} requests of an administrator denied"

    return use


_EVERYONE = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
)


def attacked(stage: Stage, resources: Sequence[tuple[str, str]]) -> tuple[int, list[str]]:
    """Reconfigure every bucket and use every key as an administrator with ``*:*`` whom no key policy names.

    Returns:
        How many requests were sent, and those that were not denied.
    """
    s3, kms = administrator(stage, "s3"), administrator(stage, "kms")
    own = kms.create_key()["KeyMetadata"]["Arn"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": own}}
    uploads: dict[str, Any] = {"Key": "planted", "Body": b"x"}
    on_bucket: list[tuple[Any, dict[str, Any]]] = [
        (s3.put_bucket_encryption, {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}),
        (s3.delete_bucket_encryption, {}),
        (s3.put_bucket_policy, {"Policy": _EVERYONE}),
        (s3.delete_bucket_policy, {}),
        (s3.put_object, uploads),
        (s3.put_object, {**uploads, "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": own}),
        (s3.delete_bucket, {}),
    ]
    # Of each usage, one request that names the key alone; KMS asks whether it is allowed before it looks at the rest.
    by_usage: Mapping[str, tuple[Any, dict[str, Any]]] = {
        "ENCRYPT_DECRYPT": (kms.encrypt, {"Plaintext": b"x"}),
        "SIGN_VERIFY": (kms.sign, {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}),
        "GENERATE_VERIFY_MAC": (kms.generate_mac, {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}),
        "KEY_AGREEMENT": (kms.derive_shared_secret, {"KeyAgreementAlgorithm": "ECDH", "PublicKey": b"x" * 91}),
    }
    granted = {"GranteePrincipal": f"arn:aws:iam::{stage.aws.account}:root", "Operations": ["DescribeKey"]}
    replica = {"ReplicaRegion": "eu-west-1", "Policy": _EVERYONE, "BypassPolicyLockoutSafetyCheck": True}
    sent, passed = 0, []
    for kind, name in resources:
        requests = [(call, {"Bucket": name, **rest}) for call, rest in on_bucket if kind == "AWS::S3::Bucket"]
        if kind == "AWS::KMS::Key":
            usage = kms.describe_key(KeyId=name)["KeyMetadata"]["KeyUsage"]
            tried = [(kms.create_grant, granted), (kms.replicate_key, replica), by_usage.get(usage)]
            requests += [(call, {"KeyId": name, **rest}) for call, rest in filter(None, tried)]
        for call, request in requests:
            sent += 1
            try:
                call(**request)
                passed.append(f"{call.__name__} of {name}: accepted")
            except ClientError as error:
                if "AccessDenied" not in error.response["Error"]["Code"]:
                    passed.append(f"{call.__name__} of {name}: {error}")
    return sent, passed


def deployer(aws: LocalAws) -> dict[str, str]:
    """Return variables with keys of a new user who may do what docs/deployment.md says of who deploys."""
    users, name = aws.client("iam"), f"deployer-{uuid.uuid4().hex[:8]}"
    users.create_user(UserName=name)
    roles = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{aws.account}:role/cdk-*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [roles]})
    users.put_user_policy(UserName=name, PolicyName="Deploy", PolicyDocument=policy)
    key = users.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def documented(templates: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return the actions of the execution policy that docs/deployment.md prints for stacks."""
    script = runpy.run_path(str(ROOT / "docs" / "write_deployment.py"))
    actions: Sequence[str] = script["policy"](templates)["Statement"][0]["Action"]
    return actions


def narrow(aws: LocalAws, actions: Sequence[str]) -> str:
    """Give CloudFormation's role of the bootstrap these permissions instead of all; return its ARN.

    A bucket policy of this package names the role: one of another name could not delete the bucket.
    """
    iam, role = aws.client("iam"), f"cdk-hnb659fds-cfn-exec-role-{aws.account}-{aws.region}"
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(_TRUST))
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    statement = {"Sid": "Deploy", "Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="Deploy", PolicyDocument=document)
    return f"arn:aws:iam::{aws.account}:role/{role}"


_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def asked(template: Mapping[str, Any]) -> set[str]:
    """Return the actions without which the embedded AWS does not create the resources of a stack."""
    found = set()
    for resource in template["Resources"].values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind in _OF_KMS or kind.startswith("Custom::"):
            found |= {*_OF_KMS.get(kind, ["lambda:InvokeFunction"])}
        else:
            found |= {needed.action for needed in permissions(Step(kind, "create", "", properties))}
            found |= {"iam:PassRole"} if kind == "AWS::Lambda::Function" else set()
    return found


_OF_KMS: Mapping[str, Sequence[str]] = {
    "AWS::KMS::Key": ["kms:CreateKey", "kms:PutKeyPolicy"],
    "AWS::KMS::Alias": ["kms:CreateAlias"],
}
_LOCKOUT = "The new key policy will not allow you to update the key policy in the future"


def refusal(action: str) -> str:
    """Return the words of AWS's message, as docs/deployment.md shows them, where a deployment lacks an action."""
    return _LOCKOUT if action == "kms:PutKeyPolicy" else f"is not authorized to perform: {action}"


def created(aws: LocalAws, stack: str, body: str, actions: Sequence[str]) -> str:
    """Create a stack by the role with ``actions`` alone, and delete it; return why it failed, empty if it did not.

    Raises:
        ClickException: It was not deleted.
    """
    stacks, s3, bucket = aws.client("cloudformation"), aws.client("s3"), f"templates-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    # A request holds 51,200 bytes of a template, an object 1 MB.
    s3.put_object(Bucket=bucket, Key=stack, Body=body.encode())
    stacks.create_stack(
        StackName=stack,
        TemplateURL=f"https://s3.{aws.region}.amazonaws.com/{bucket}/{stack}",
        RoleARN=narrow(aws, actions),
        OnFailure="DO_NOTHING",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    state = _settled(stacks, stack)
    events = stacks.describe_stack_events(StackName=stack)["StackEvents"]
    reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
    if state != "CREATE_COMPLETE":
        narrow(aws, ["*"])
    stacks.delete_stack(StackName=stack)
    gone = _settled(stacks, stack)
    if gone != "DELETE_COMPLETE":
        raise click.ClickException(f"{stack} was not deleted: {gone}")
    return "" if state == "CREATE_COMPLETE" else f"{state}: {reasons}"


def _settled(stacks: Any, stack: str) -> str:
    while True:
        try:
            state = str(stacks.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
        except ClientError:
            return "DELETE_COMPLETE"
        if not state.endswith("_IN_PROGRESS"):
            return state
        time.sleep(0.1)


def removals(aws: LocalAws, stack: str, body: str, count: int) -> tuple[int, list[str]]:
    """Deploy a stack with its documented permissions, and without ``count`` of those that it needs, one at a time.

    Returns:
        How many deployments were made, and what did not come out as documented.
    """
    template = json.loads(body)
    allowed, needed = documented([template]), sorted(asked(template))
    wrong = [f"{stack} needs {action}, which the page does not name" for action in set(needed) - set(allowed)]
    without = random.Random(stack).sample(needed, min(count, len(needed)))
    reasons = created(aws, stack, body, allowed)
    wrong += [f"{stack} with the documented permissions: {reasons}"] if reasons else []
    for removed in without:
        reasons = created(aws, stack, body, [action for action in allowed if action != removed])
        if refusal(removed) not in reasons:
            wrong.append(f"{stack} without {removed}: {reasons or 'was created'}")
    return 1 + len(without), wrong


@click.command()
@click.option("--profile", help="A real account: asks first.")
@click.option("--stacks", default=",".join(USES), show_default=True, help="Names, or all (embedded AWS).")
@click.option("--removals", "count", default=0, help="Permissions to take from each stack, one at a time (embedded).")
def main(profile: str | None, stacks: str, count: int) -> None:
    """Deploy stacks, use them, destroy them, count what is left, and do it again."""
    names = stacks.split(",")
    context = ["--context", "kms-patterns:lifecycle=ephemeral"]
    with tempfile.TemporaryDirectory() as folder:
        options = [*context, "--output", f"{folder}/cdk.out"]
        if profile:
            session = boto3.Session(profile_name=profile)
            _ask(session, profile, names)
            target = Target(session, {"AWS_PROFILE": profile}, options, Path(folder))
            live(target, names, used(session, names))
            return
        with LocalAws.start() as aws:
            _embedded(aws, names, [*options, "--context", "kms-patterns:platform=host"], Path(folder), count)


def _embedded(aws: LocalAws, names: Sequence[str], options: Sequence[str], folder: Path, count: int) -> None:
    target = Target(aws.session(), aws.cdk_environment(), options, folder)
    target.cdk("bootstrap", f"aws://{aws.account}/{aws.region}")
    target.cdk("synth", "--quiet")
    files = {path.name.split(".")[0]: path for path in (folder / "cdk.out").glob("*.template.json")}
    every = list(names) == ["all"]
    bodies = {name: files[name].read_text(encoding="utf-8") for name in (sorted(files) if every else names)}
    narrow(aws, documented([json.loads(body) for body in bodies.values()]))
    target.variables = {**target.variables, **deployer(aws)}
    use = played(aws, node_executable(), target) if every else used(aws.session(), names)
    live(target, list(bodies), use, alone=True)
    wrong = []
    for name, body in bodies.items() if count else ():
        made, different = removals(aws, name, body, count)
        wrong += different
        click.echo(f"{name}: {made} deployments, {len(different)} not as documented")
    if wrong:
        raise click.ClickException("\n".join(wrong))


def _ask(session: Any, profile: str, stacks: Sequence[str]) -> None:
    account, keys = session.client("sts").get_caller_identity()["Account"], 2 * 3
    hourly = keys * DOLLARS_A_KEY / HOURS_A_MONTH
    click.confirm(
        f"This deploys {', '.join(stacks)} twice to account {account} (profile {profile}), which must be bootstrapped "
        f"(make bootstrap). It makes at most {keys} keys: ${hourly:.2f} an hour until they are pending deletion, some "
        "minutes later; calls, functions and logs come to less than $0.01. Continue?",
        abort=True,
    )


if __name__ == "__main__":
    sys.exit(main())
