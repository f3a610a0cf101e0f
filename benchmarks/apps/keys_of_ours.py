"""Every type of key with its grants, two roles and a bucket, by this library."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey, KeyAgreementKey, MacKey, RsaEncryptionKey, SigningKey

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
