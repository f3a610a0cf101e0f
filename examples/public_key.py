"""Small secrets from outsiders: anyone gets the public key over HTTPS and encrypts, one role has them decrypted."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import PublicKeyExport, RsaEncryptionKey, SecretCipher

ALGORITHM = "RSAES_OAEP_SHA_256"

app = cdk.App()
stack = cdk.Stack(app, "PublicKey")

key = RsaEncryptionKey(stack, "Key", alias="partners")
export = PublicKeyExport(stack, "Export", keys={"partners": key}, algorithms={"partners": [ALGORITHM]})
cipher = SecretCipher(stack, "Cipher", encryption_key=key, encryption_algorithm=ALGORITHM)
cipher.grant_decrypt(iam.Role(stack, "Reader", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com")))
cdk.CfnOutput(stack, "PublicKey", value=export.url("partners"))

app.synth()
