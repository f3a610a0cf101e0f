"""The same keys, grants, roles and bucket by aws-cdk-lib alone."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

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
