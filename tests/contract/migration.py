"""Executes the parts of docs/migration.md that no test does: objects of other clients, and ``cdk import``.

``make migration``: the old stack is deployed to an embedded AWS; the S3 Encryption Client, in an environment of its own
as it needs an older ``cryptography``, and the AWS Encryption SDK write under its key; the new stack is deployed over
it; its roles read what they wrote, write it anew, and this package reads that. The CDK command line imports a key.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aws_encryption_sdk
import click
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput
from botocore.exceptions import ClientError

import kms_runtime
from kms_patterns.local import LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment

ROOT = Path(__file__).parents[2]
APP = ROOT / "tests" / "end_to_end" / "apps" / "migration.py"
EC2, CONTENT, CONTEXT = "ec2.amazonaws.com", b"written before the migration", {"purpose": "orders"}
CLIENT = """
import sys, boto3
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.kms_keyring import KmsKeyring
call, bucket, key = sys.argv[1:]
client = S3EncryptionClient(boto3.client("s3"), S3EncryptionClientConfig(keyring=KmsKeyring(boto3.client("kms"), key)))
if call == "put":
    client.put_object(Bucket=bucket, Key="by-the-client", Body=sys.stdin.buffer.read())
else:
    sys.stdout.buffer.write(client.get_object(Bucket=bucket, Key="by-the-client")["Body"].read())
"""
ADOPTED = """
import aws_cdk as cdk
from kms_patterns import EncryptionKey, KeyAccess
app = cdk.App()
EncryptionKey(cdk.Stack(app, "Adopted"), "Key", access=KeyAccess[app.node.try_get_context("access")])
app.synth()
"""


class Migration:
    """An embedded AWS, and the command line of the CDK with its administrator."""

    def __init__(self, aws: LocalAws, folder: Path) -> None:
        self._aws, self._folder = aws, folder
        self.outputs: dict[str, str] = {}

    def cdk(self, *words: str, app: Path = APP) -> None:
        """Run the CDK command line; it fails loudly."""
        variables = {name: it for name, it in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        variables |= toolchain_environment(cache=ROOT / ".cache") | self._aws.cdk_environment()
        paths = os.pathsep.join(str(ROOT / name) for name in ("constructs", "lambda"))
        variables |= {"PYTHONPATH": paths, "CDK_VALIDATION": "false"}
        quiet = ["--no-notices", "--no-version-reporting", "--ci", "--output", str(self._folder / "cdk.out")]
        command = [*cdk_command(ROOT), *words, "--app", f"{sys.executable} {app}", *quiet]
        done = subprocess.run(command, cwd=self._folder, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise click.ClickException(f"cdk {words[0]}: {done.stdout}{done.stderr}")

    def deploy(self, step: str) -> None:
        """Deploy the app in its old or new state."""
        file = self._folder / "outputs.json"
        self.cdk("deploy", "--context", f"step={step}", "--require-approval", "never", "--outputs-file", str(file))
        self.outputs = json.loads(file.read_text(encoding="utf-8"))["Migration"]

    def session(self, role: str) -> Any:
        """Return a session of one of the stack's roles."""
        return self._aws.assume(self.outputs[f"{role}Arn"], EC2)

    def by_the_client(self, python: Path, call: str, role: str, content: bytes = b"") -> bytes:
        """Write or read an object with the S3 Encryption Client, as a role of the stack."""
        names = self.outputs["WithoutBucketKeyName"], self.outputs["KeyArn"]
        done = subprocess.run(
            [python, "-c", CLIENT, call, *names],
            env={**os.environ, **self.session(role).environment()},
            input=content,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise click.ClickException(f"S3 Encryption Client, {call}: {done.stderr.decode()[-600:]}")
        return done.stdout

    def from_the_clients(self, python: Path) -> None:
        """Write with the other clients under the old stack, read under the new one, and write anew."""
        self.deploy("old")
        key, bucket = self.outputs["KeyArn"], self.outputs["WithoutBucketKeyName"]
        self.by_the_client(python, "put", "Writer", CONTENT)
        message = _by_the_sdk(key, self.session("Writer").client("kms"))
        click.echo("old stack: an object by the S3 Encryption Client, a message by the AWS Encryption SDK")
        self.deploy("new")
        mover, stranger = (self.session(role).client("kms") for role in ("Mover", "Stranger"))
        _equal("message of the SDK", _read(message, key, mover), CONTENT)
        _refused("message of the SDK", lambda: _read(message, key, stranger))
        content = self.by_the_client(python, "get", "Mover")
        _equal("object of the client", content, CONTENT)
        keyring = kms_runtime.KmsKeyring(key, kms_client=mover)
        moved = kms_runtime.encrypt_bytes(content, keyring=keyring, encryption_context=CONTEXT)
        s3 = self.session("Mover").client("s3")
        s3.put_object(Bucket=bucket, Key="by-this-package", Body=moved)
        stored = s3.get_object(Bucket=bucket, Key="by-this-package")["Body"].read()
        _equal("object written anew", _read(stored, key, mover), CONTENT)
        _refused("object written anew", lambda: _read(stored, key, stranger))

    def adopted(self) -> None:
        """Import a key that no stack has, and deploy over it."""
        app, kms = self._folder / "adopted.py", self._aws.client("kms")
        app.write_text(ADOPTED, encoding="utf-8")
        made = kms.create_key()["KeyMetadata"]
        ciphertext = kms.encrypt(KeyId=made["Arn"], Plaintext=CONTENT)["CiphertextBlob"]
        # What the imported template says is taken for what there is: a change of it is what a deployment writes.
        importing = ["--context", "access=DELEGATED"]
        self.cdk("synth", *importing, app=app)
        template = json.loads((self._folder / "cdk.out" / "Adopted.template.json").read_text(encoding="utf-8"))
        (name,) = [name for name, it in template["Resources"].items() if it["Type"] == "AWS::KMS::Key"]
        mapping = self._folder / "mapping.json"
        mapping.write_text(json.dumps({name: {"KeyId": made["KeyId"]}}), encoding="utf-8")
        policy = kms.get_key_policy(KeyId=made["KeyId"], PolicyName="default")["Policy"]
        self.cdk("import", "Adopted", "--resource-mapping", str(mapping), *importing, app=app)
        _equal("key policy after the import", kms.get_key_policy(KeyId=made["KeyId"])["Policy"], policy)
        self.cdk("deploy", "Adopted", "--context", "access=NAMED", "--require-approval", "never", app=app)
        held = self._aws.client("cloudformation").describe_stack_resources(StackName="Adopted")["StackResources"]
        _equal(
            "key of the stack", {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in held}[name], made["KeyId"]
        )
        changed = kms.get_key_policy(KeyId=made["KeyId"])["Policy"] != policy
        _equal("key policy after the deployment", "changed" if changed else "unchanged", "changed")
        _equal("ciphertext from before", kms.decrypt(CiphertextBlob=ciphertext)["Plaintext"], CONTENT)


def _by_the_sdk(key: str, kms: Any) -> bytes:
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    keyring = providers.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=key, kms_client=kms))
    client = aws_encryption_sdk.EncryptionSDKClient()
    message, _ = client.encrypt(source=CONTENT, keyring=keyring, encryption_context=CONTEXT)
    return bytes(message)


def _read(message: bytes, key: str, kms: Any) -> bytes:
    keyring = kms_runtime.KmsKeyring(key, kms_client=kms)
    return kms_runtime.decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT)


def _equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise click.ClickException(f"{what} is {found!r}, {expected!r} was expected")
    click.echo(f"{what}: as expected")


def _refused(what: str, call: Any) -> None:
    try:
        call()
    except (ClientError, kms_runtime.KmsRuntimeError) as error:
        click.echo(f"{what}, a role without a grant: refused, {type(error).__name__}")
        return
    raise click.ClickException(f"{what} was read by a role without a grant")


@click.command()
@click.argument("python", type=click.Path(exists=True, path_type=Path))
def main(python: Path) -> None:
    """Run the migration; PYTHON has the S3 Encryption Client."""
    with tempfile.TemporaryDirectory() as folder, LocalAws.start() as aws:
        migration = Migration(aws, Path(folder))
        migration.cdk("bootstrap")
        migration.adopted()
        migration.from_the_clients(python)


if __name__ == "__main__":
    main()
