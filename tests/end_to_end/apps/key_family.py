"""Every type of key; for each grant a role that has it and nothing else; a replica in another Region; a KMS grant."""

import os

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns import (
    EncryptionKey,
    KeyAgreementKey,
    KeyEncapsulationKey,
    KeyGrant,
    KeyLifecycle,
    MacKey,
    ReplicaKey,
    RsaEncryptionKey,
    SigningKey,
)

EPHEMERAL = KeyLifecycle.EPHEMERAL
# References of this kind lead to another Region without a function of the CDK's.
app = cdk.App(context={"@aws-cdk/core:defaultCrossStackReferences": "weak"})
account = os.environ["CDK_DEFAULT_ACCOUNT"]
home, away = (cdk.Environment(account=account, region=region) for region in ("us-east-1", "eu-west-1"))
stack = cdk.Stack(app, "KeyFamily", env=home, cross_region_references=True)


def role(scope: cdk.Stack, label: str) -> iam.Role:
    made = iam.Role(scope, f"{label}Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    cdk.CfnOutput(scope, label, value=made.role_arn)
    return made


# Before everything that it may manage.
administrator = role(stack, "Administrator")
KEYS = {
    "Symmetric": EncryptionKey(stack, "Symmetric", multi_region=True, lifecycle=EPHEMERAL),
    "Second": EncryptionKey(stack, "Second", lifecycle=EPHEMERAL),
    "Imported": EncryptionKey(
        stack, "Imported", imported_material=True, administrators=[administrator], lifecycle=EPHEMERAL
    ),
    "Rsa": RsaEncryptionKey(stack, "Rsa", key_spec=kms.KeySpec.RSA_2048, alias="inbox", lifecycle=EPHEMERAL),
    "Signing": SigningKey(stack, "Signing", lifecycle=EPHEMERAL),
    "MlDsa": SigningKey(stack, "MlDsa", key_spec=kms.KeySpec.ML_DSA_65, lifecycle=EPHEMERAL),
    "Mac": MacKey(stack, "Mac", lifecycle=EPHEMERAL),
    "Agreement": KeyAgreementKey(stack, "Agreement", lifecycle=EPHEMERAL),
    "MlKem": KeyEncapsulationKey(stack, "MlKem", lifecycle=EPHEMERAL),
}
GRANTS = {
    "Symmetric": [
        "encrypt",
        "decrypt",
        "generate_data_key",
        "generate_data_key_without_plaintext",
        "generate_data_key_pair",
        "generate_data_key_pair_without_plaintext",
    ],
    "Imported": ["encrypt", "decrypt"],
    "Rsa": ["encrypt", "decrypt", "public_key"],
    "Signing": ["sign", "verify", "public_key"],
    "MlDsa": ["sign", "verify", "public_key"],
    "Mac": ["generate_mac", "verify_mac"],
    "Agreement": ["derive_shared_secret", "public_key"],
    "MlKem": ["encapsulate", "decapsulate", "public_key"],
}
for name, key in KEYS.items():
    cdk.CfnOutput(stack, f"{name}Key", value=key.key_arn)
    for grant in GRANTS.get(name, []):
        getattr(key, f"grant_{grant}")(role(stack, name + grant.title().replace("_", "")))
for source, destination in (("Symmetric", "Second"), ("Rsa", "Second")):
    mover = role(stack, f"{source}ReEncrypt")
    KEYS[source].grant_re_encrypt_from(mover)
    KEYS[destination].grant_re_encrypt_to(mover)
for spec in ("RSA_2048", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"):
    other = SigningKey(stack, f"Other{spec}", key_spec=kms.KeySpec[spec], lifecycle=EPHEMERAL)
    cdk.CfnOutput(stack, f"Other{spec.replace('_', '')}", value=other.key_arn)

abroad = cdk.Stack(app, "KeyFamilyAbroad", env=away, cross_region_references=True)
replica = ReplicaKey(abroad, "Replica", primary_key=KEYS["Symmetric"], lifecycle=EPHEMERAL)
cdk.CfnOutput(abroad, "ReplicaKey", value=replica.key_arn)
replica.grant_decrypt(role(abroad, "ReplicaDecrypt"), encryption_context={"tenant": "a"})

granting = cdk.Stack(app, "KeyFamilyGrant", env=home)
granted = EncryptionKey(granting, "Granted", alias="granted", lifecycle=EPHEMERAL)
cdk.CfnOutput(granting, "GrantedKey", value=granted.key_arn)
KeyGrant(
    granting,
    "Grant",
    key=granted,
    grantee=role(granting, "Grantee"),
    operations=["Decrypt", "GenerateDataKey"],
    encryption_context_subset={"tenant": "a"},
)
role(granting, "Stranger")
app.synth()
