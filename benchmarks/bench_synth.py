"""CPU time of ``python app.py`` and its Node, and messages between them: this library against aws-cdk-lib alone.

Three pairs of apps: every type of key, 50 keys with 10 grants each, 100 buckets on one key; and one key with 300
grantees. The apps of a pair run in turn, first once for the caches; the ratio is that of the least runs.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kms_patterns.toolchain import toolchain_environment

if TYPE_CHECKING:
    from aws_cdk import App, Stack
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_s3 as s3

ROOT = Path(__file__).parents[1]
ROUNDS = 5


def keys_of_ours() -> None:
    """Every type of key with its grants, two roles and a bucket, by this library."""
    import aws_cdk as cdk  # noqa: PLC0415
    from aws_cdk import aws_iam as iam  # noqa: PLC0415

    from kms_patterns import EncryptedBucket, EncryptionKey, KeyAgreementKey, MacKey, RsaEncryptionKey, SigningKey  # noqa: PLC0415

    app = cdk.App()
    stack = cdk.Stack(app, "Keys", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    writer, reader = (
        iam.Role(stack, name, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")) for name in ("Writer", "Reader")
    )
    data = EncryptionKey(stack, "Data", alias="data")
    data.grant_encrypt(writer)
    data.grant_decrypt(reader)
    data.grant_generate_data_key(writer)
    rsa = RsaEncryptionKey(stack, "Rsa", alias="rsa")
    rsa.grant_encrypt(writer)
    rsa.grant_decrypt(reader)
    signing = SigningKey(stack, "Signing", alias="signing")
    signing.grant_sign(writer)
    signing.grant_verify(reader)
    mac = MacKey(stack, "Mac", alias="mac")
    mac.grant_generate_mac(writer)
    mac.grant_verify_mac(reader)
    agreement = KeyAgreementKey(stack, "Agreement", alias="agreement")
    agreement.grant_derive_shared_secret(writer)
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=data)
    bucket.grant_upload(writer)
    bucket.grant_download(reader)
    app.synth()


def keys_of_the_cdk() -> None:
    """The same keys, grants, roles and bucket by aws-cdk-lib alone."""
    import aws_cdk as cdk  # noqa: PLC0415
    from aws_cdk import aws_iam as iam  # noqa: PLC0415
    from aws_cdk import aws_kms as kms  # noqa: PLC0415

    app = cdk.App()
    stack = cdk.Stack(app, "Keys", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    writer, reader = (
        iam.Role(stack, name, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")) for name in ("Writer", "Reader")
    )

    def key(name: str, spec: kms.KeySpec, usage: kms.KeyUsage) -> kms.Key:
        return kms.Key(stack, name, alias=f"Keys/{name.lower()}", key_spec=spec, key_usage=usage)

    data = key("Data", kms.KeySpec.SYMMETRIC_DEFAULT, kms.KeyUsage.ENCRYPT_DECRYPT)
    data.grant_encrypt(writer)
    data.grant_decrypt(reader)
    rsa = key("Rsa", kms.KeySpec.RSA_3072, kms.KeyUsage.ENCRYPT_DECRYPT)
    rsa.grant_encrypt(writer)
    rsa.grant_decrypt(reader)
    signing = key("Signing", kms.KeySpec.ECC_NIST_P256, kms.KeyUsage.SIGN_VERIFY)
    signing.grant_sign(writer)
    signing.grant_verify(reader)
    mac = key("Mac", kms.KeySpec.HMAC_256, kms.KeyUsage.GENERATE_VERIFY_MAC)
    mac.grant_generate_mac(writer)
    mac.grant_verify_mac(reader)
    agreement = key("Agreement", kms.KeySpec.ECC_NIST_P256, kms.KeyUsage.KEY_AGREEMENT)
    agreement.grant(writer, "kms:DeriveSharedSecret")
    bucket = bucket_of_the_cdk(stack, "Bucket", encryption_key=data)
    bucket.grant_put(writer)
    bucket.grant_read(reader)
    app.synth()


def bucket_of_the_cdk(stack: "Stack", name: str, **options: Any) -> "s3.Bucket":
    from aws_cdk import aws_s3 as s3  # noqa: PLC0415

    return s3.Bucket(
        stack,
        name,
        encryption=s3.BucketEncryption.KMS,
        bucket_key_enabled=True,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        versioned=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        **options,
    )


def app_with_roles(count: int) -> "tuple[App, Stack, list[iam.Role]]":
    import aws_cdk as cdk  # noqa: PLC0415
    from aws_cdk import aws_iam as iam  # noqa: PLC0415

    app = cdk.App(context={"@aws-cdk/core:stackResourceLimit": 0})
    stack = cdk.Stack(app, "Keys", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    service = iam.ServicePrincipal("ec2.amazonaws.com")
    return app, stack, [iam.Role(stack, f"Role{number}", assumed_by=service) for number in range(count)]


def grants_of_ours() -> None:
    """50 keys of this library, each granted to 10 roles."""
    from kms_patterns import EncryptionKey  # noqa: PLC0415

    app, stack, roles = app_with_roles(10)
    for number in range(50):
        key = EncryptionKey(stack, f"Key{number}")
        for role in roles:
            key.grant_decrypt(role)
    app.synth()


def grants_of_the_cdk() -> None:
    """The same keys and grants by aws-cdk-lib alone."""
    from aws_cdk import aws_kms as kms  # noqa: PLC0415

    app, stack, roles = app_with_roles(10)
    for number in range(50):
        key = kms.Key(stack, f"Key{number}")
        for role in roles:
            key.grant_decrypt(role)
    app.synth()


def buckets_of_ours() -> None:
    """100 buckets of this library on one key."""
    from kms_patterns import EncryptedBucket, EncryptionKey  # noqa: PLC0415

    app, stack, _ = app_with_roles(0)
    key = EncryptionKey(stack, "Key")
    for number in range(100):
        EncryptedBucket(stack, f"Bucket{number}", encryption_key=key)
    app.synth()


def buckets_of_the_cdk() -> None:
    """The same buckets by aws-cdk-lib alone, with the same Deny statements, written one by one as an app does."""
    from aws_cdk import Duration  # noqa: PLC0415
    from aws_cdk import aws_iam as iam  # noqa: PLC0415
    from aws_cdk import aws_kms as kms  # noqa: PLC0415
    from aws_cdk import aws_s3 as s3  # noqa: PLC0415

    from kms_patterns.policy.bucket_statements import configured_by_deployment, only_under_key  # noqa: PLC0415

    app, stack, _ = app_with_roles(0)
    key = kms.Key(stack, "Key")
    for number in range(100):
        aborting = s3.LifecycleRule(id="Abort", abort_incomplete_multipart_upload_after=Duration.days(7))
        bucket = bucket_of_the_cdk(stack, f"Bucket{number}", encryption_key=key, lifecycle_rules=[aborting])
        denied = only_under_key(bucket.arn_for_objects("*"), [key.key_arn, key.key_id])
        denied.append(configured_by_deployment(bucket.bucket_arn, ["arn:aws:iam::111122223333:role/deploys"], []))
        for statement in denied:
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=statement["Sid"],
                    effect=iam.Effect.DENY,
                    principals=[iam.AnyPrincipal()],
                    actions=statement["Action"],
                    resources=[statement["Resource"]],
                    conditions=statement["Condition"],
                )
            )
    app.synth()


def grantees() -> None:
    """One key with 300 grantees."""
    from kms_patterns import EncryptionKey  # noqa: PLC0415

    app, stack, roles = app_with_roles(300)
    key = EncryptionKey(stack, "Key")
    for role in roles:
        key.grant_decrypt(role)
    app.synth()


PAIRS = {
    (keys_of_ours, keys_of_the_cdk): 1.3,
    (grants_of_ours, grants_of_the_cdk): 1.3,
    (buckets_of_ours, buckets_of_the_cdk): 1.15,
}
"""App of this library and of aws-cdk-lib alone -> how much more CPU time the first may take."""
APPS = {app.__name__: app for app in (*(app for pair in PAIRS for app in pair), grantees)}


def run_counted(app: str) -> None:
    """Run one app and print how many messages it sent to the CDK's process."""
    from jsii._kernel.providers import process  # noqa: PLC0415

    sent, send = 0, process._NodeProcess.send  # noqa: SLF001 -- jsii has no hook for it

    def counted(self: Any, request: Any, response: Any) -> Any:
        nonlocal sent
        sent += 1
        return send(self, request, response)

    process._NodeProcess.send = counted  # type: ignore[method-assign, assignment]  # noqa: SLF001
    APPS[app]()
    print(sent)


def measured(app: str, environment: dict[str, str]) -> tuple[float, int]:
    """Return the seconds of CPU time that an app and its Node took, and the messages between them."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, __file__, app]
        done = subprocess.run(
            command, env={**environment, "CDK_OUTDIR": folder}, cwd=ROOT, check=True, capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(done.stdout.split()[-1])


def main() -> int:
    """Measure all pairs; fail if one takes more than it may."""
    if sys.argv[1:]:
        run_counted(sys.argv[1])
        return 0
    # Of an installed package, pip writes the bytecode.
    own = {"PYTHONPATH": str(ROOT / "constructs"), "PYTHONDONTWRITEBYTECODE": ""}
    environment, failed = {**os.environ, **toolchain_environment(cache=ROOT / ".cache"), **own}, False
    for pair, limit in PAIRS.items():
        runs: dict[str, list[tuple[float, int]]] = {app.__name__: [] for app in pair}
        for number in range(ROUNDS + 1):
            for name, counted in runs.items():
                run = measured(name, environment)
                if number:
                    counted.append(run)
        (ours, messages), (theirs, least) = (min(done) for done in runs.values())
        failed |= ours / theirs > limit
        print(f"{pair[0].__name__:16} {ours:.2f} s of CPU, {messages} messages")
        print(f"{pair[1].__name__:16} {theirs:.2f} s of CPU, {least} messages")
        print(f"{'':16} ratio {ours / theirs:.2f}, at most {limit} is asked (least of {ROUNDS})")
    took, messages = measured("grantees", environment)
    print(f"{'grantees':16} {took:.2f} s of CPU, {messages} messages: one key with 300 grantees synthesizes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
