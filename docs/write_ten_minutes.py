"""Runs the samples of ten-minutes.md on the embedded AWS, and writes beneath each what it answered.

A sample follows a comment that names who runs it, ``<!-- run as uploader -->``; the block of text after it is its
output. ``<!-- calls -->`` lists the calls to KMS of the sample before it. What differs from run to run (ids, bytes) is
made alike, so that a second run writes the same page.
"""

import contextlib
import io
import json
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from botocore.exceptions import ClientError

from kms_patterns import EncryptedBucket, EncryptionKey, KeyAccess, KeyLifecycle, RsaEncryptionKey
from kms_patterns.local import LocalAws
from kms_patterns.toolchain import node_executable

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("ten-minutes.md")
ACCOUNT = "111122223333"
STACK = "Notes"
WIDTH = 100  # characters of a line of output
SAMPLE = re.compile(
    r"<!-- (?:run as (?P<role>[\w-]+)|calls) -->\n"
    r"(?:```(?P<language>python|javascript)\n(?P<code>.*?)```\n\n)?```text\n(?P<output>.*?)```\n",
    re.DOTALL,
)
# Role -> its bucket, and the alias of the key that its statements name.
NOTES = {
    "notes-named": ("my-bucket", "alias/my-s3-key"),
    "notes-delegated": ("my-delegated-bucket", "alias/delegated-key"),
    "only-s3": ("my-delegated-bucket", None),
}
ALIKE = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "KEY-ID"),
    (re.compile(r"\(Request ID: [^)]*\)|, request id: \S+"), ""),
]


def build(app: cdk.App) -> None:
    """Add the keys, buckets and roles of the page to ``app``."""
    stack = cdk.Stack(app, STACK, env=cdk.Environment(account=ACCOUNT, region="us-east-1"))

    def role(name: str) -> iam.Role:
        return iam.Role(stack, name, role_name=name, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))

    ephemeral = KeyLifecycle.EPHEMERAL
    symmetric = EncryptionKey(stack, "Symmetric", aliases=["alias/symmetric-key"], lifecycle=ephemeral)
    symmetric.grant_generate_data_key(envelope := role("envelope"))
    symmetric.grant_decrypt(envelope)
    symmetric.grant_encrypt_decrypt(role("direct"))
    rsa = RsaEncryptionKey(
        stack, "Rsa", aliases=["alias/asymmetric-key"], key_spec=kms.KeySpec.RSA_2048, lifecycle=ephemeral
    )
    rsa.grant_encrypt_decrypt(application := role("application"))
    rsa.grant_public_key(application)
    administrator = role("administrator")
    administrator.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name("AdministratorAccess"))
    named = EncryptionKey(stack, "Named", aliases=["alias/my-s3-key"], lifecycle=ephemeral)
    bucket = EncryptedBucket(stack, "Bucket", bucket_name="my-bucket", encryption_key=named)
    bucket.grant_upload(role("uploader"))
    bucket.grant_download(role("downloader"))
    delegated = EncryptionKey(
        stack, "Delegated", aliases=["alias/delegated-key"], access=KeyAccess.DELEGATED, lifecycle=ephemeral
    )
    EncryptedBucket(stack, "DelegatedBucket", bucket_name="my-delegated-bucket", encryption_key=delegated)
    for name in NOTES:
        role(name)


def write_the_notes(aws: LocalAws) -> None:
    """Give roles the statements of the notes; in an app, those on the key that names its users are an error."""
    iam_client, kms_client = aws.client("iam"), aws.client("kms")
    for name, (bucket, alias) in NOTES.items():
        key = kms_client.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] if alias else None
        pairs = [(["s3:PutObject", "s3:GetObject"], f"arn:aws:s3:::{bucket}/*")]
        pairs += [(["kms:GenerateDataKey", "kms:Decrypt"], key)] if key else []
        statements = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in pairs]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam_client.put_role_policy(RoleName=name, PolicyName="notes", PolicyDocument=document)


@contextlib.contextmanager
def deployed() -> Iterator[LocalAws]:
    """Yield an embedded AWS with the stack of the page."""
    with tempfile.TemporaryDirectory() as folder, LocalAws.start(account=ACCOUNT) as aws:
        app = cdk.App(outdir=folder, context={"@aws-cdk/core:bootstrapQualifier": "notes"})
        build(app)
        template = app.synth().get_stack_by_name(STACK).template
        template.pop("Parameters", None)  # the CDK's check of its bootstrap
        template.pop("Rules", None)
        formation = aws.client("cloudformation")
        formation.create_stack(
            StackName=STACK, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        formation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
        write_the_notes(aws)
        yield aws


class Runner:
    """Runs samples as roles, and keeps what each language has defined."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self._names: dict[str, Any] = {}
        self._calls = len(aws.kms_calls())

    def output(self, match: re.Match[str]) -> str:
        """Return the sample of ``match`` with its new output."""
        role, language, code = match["role"], match["language"], match["code"]
        if role is None:
            output = self._listed()
        else:
            self._calls = len(self.aws.kms_calls())
            output = self._python(role, code) if language == "python" else self._node(role, code)
        for pattern, text in ALIKE:
            output = pattern.sub(text, output)
        lines = [part for line in output.splitlines() for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ")]
        head = match[0][: match.start("output") - match.start()]
        return head + "\n".join([*lines, "```\n"])

    def _session(self, role: str) -> Any:
        return self.aws.assume(f"arn:aws:iam::{ACCOUNT}:role/{role}", "ec2.amazonaws.com")

    def _python(self, role: str, code: str) -> str:
        session = self._session(role)
        self._names |= {"kms": session.client("kms"), "s3": session.client("s3")}
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(code, self._names)  # noqa: S102 - the samples of our own page
            except ClientError as error:
                print(error.response["Error"]["Code"], error.response["Error"]["Message"], sep=": ")
        return printed.getvalue()

    def _node(self, role: str, code: str) -> str:
        done = subprocess.run(
            [node_executable(), "--input-type=module", "--eval", code],
            cwd=ROOT,
            env=self._session(role).environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def _listed(self) -> str:
        lines = []
        for call in self.aws.kms_calls()[self._calls :]:
            via = f" via {call['viaService'].split('.')[0]}" if call["viaService"] else ""
            who = call["principal"].rsplit("/", 2)[-2]
            context = f" {json.dumps(call['encryptionContext'])}" if call["encryptionContext"] else ""
            lines.append(f"{call['action']}{via} as {who}: {call['decision']}{context}")
        return "\n".join(lines)


def page() -> str:
    """Return the page with the answers of an embedded AWS that is started for it."""
    with deployed() as aws:
        return SAMPLE.sub(Runner(aws).output, PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
