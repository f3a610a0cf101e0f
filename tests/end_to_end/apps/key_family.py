"""Every type of key; for each grant a role that has it and nothing else."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, KeyAgreementKey, KeyLifecycle, MacKey, RsaEncryptionKey, SigningKey

app = cdk.App()
stack = cdk.Stack(app, "KeyFamily", synthesizer=cdk.LegacyStackSynthesizer())
KEYS = {
    "Symmetric": EncryptionKey(stack, "Symmetric", lifecycle=KeyLifecycle.EPHEMERAL),
    "Rsa": RsaEncryptionKey(
        stack, "Rsa", key_spec=kms.KeySpec.RSA_2048, alias="inbox", lifecycle=KeyLifecycle.EPHEMERAL
    ),
    "Signing": SigningKey(stack, "Signing", lifecycle=KeyLifecycle.EPHEMERAL),
    "Mac": MacKey(stack, "Mac", lifecycle=KeyLifecycle.EPHEMERAL),
    "Agreement": KeyAgreementKey(stack, "Agreement", lifecycle=KeyLifecycle.EPHEMERAL),
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
    "Rsa": ["encrypt", "decrypt", "public_key"],
    "Signing": ["sign", "verify", "public_key"],
    "Mac": ["generate_mac", "verify_mac"],
    "Agreement": ["derive_shared_secret", "public_key"],
}
for name, key in KEYS.items():
    cdk.CfnOutput(stack, f"{name}Key", value=key.key_arn)
    for grant in GRANTS[name]:
        label = name + grant.title().replace("_", "")
        role = iam.Role(stack, f"{label}Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        getattr(key, f"grant_{grant}")(role)
        cdk.CfnOutput(stack, label, value=role.role_arn)
for spec in ("RSA_2048", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"):
    other = SigningKey(stack, f"Other{spec}", key_spec=kms.KeySpec[spec], lifecycle=KeyLifecycle.EPHEMERAL)
    cdk.CfnOutput(stack, f"Other{spec.replace('_', '')}", value=other.key_arn)
app.synth()
