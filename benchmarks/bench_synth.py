"""Wall time of ``python app.py``: every type of key by this library, against the same resources by aws-cdk-lib alone.

Both run in turn, after one run of each that warms the caches; the ratio is that of the fastest runs,
which a busy machine disturbs least.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kms_patterns.toolchain import toolchain_environment

ROOT = Path(__file__).parents[1]
ROUNDS = 7
LIMIT = 1.3


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
    from aws_cdk import aws_s3 as s3  # noqa: PLC0415

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
    bucket = s3.Bucket(
        stack,
        "Bucket",
        encryption=s3.BucketEncryption.KMS,
        encryption_key=data,
        bucket_key_enabled=True,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        versioned=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    )
    bucket.grant_put(writer)
    bucket.grant_read(reader)
    app.synth()


APPS = {app.__name__: app for app in (keys_of_ours, keys_of_the_cdk)}


def seconds(app: str, environment: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, __file__, app]
        subprocess.run(command, env={**environment, "CDK_OUTDIR": folder}, cwd=ROOT, check=True)
        return time.perf_counter() - started


def main() -> int:
    if sys.argv[1:]:
        APPS[sys.argv[1]]()
        return 0
    environment = {**os.environ, **toolchain_environment(cache=ROOT / ".cache"), "PYTHONPATH": str(ROOT / "constructs")}
    times: dict[str, list[float]] = {"keys_of_ours": [], "keys_of_the_cdk": []}
    for app in times:
        seconds(app, environment)
    for _ in range(ROUNDS):
        for app, measured in times.items():
            measured.append(seconds(app, environment))
    fastest = {app: min(measured) for app, measured in times.items()}
    ratio = fastest["keys_of_ours"] / fastest["keys_of_the_cdk"]
    for app, best in fastest.items():
        print(f"{app:16} {best:.2f} s (fastest of {ROUNDS})")
    print(f"ratio {ratio:.2f}, at most {LIMIT} is asked")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
