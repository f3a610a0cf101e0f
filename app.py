"""Reference app: one stack per pattern, each in a module of ``stacks``.

Context ``kms-patterns:lifecycle=ephemeral`` makes keys, buckets, table and logs go with their stack (development);
``kms-patterns:platform`` chooses the functions' platform: ``arm64`` (default), ``x86_64`` or ``host``.
"""

import os

import aws_cdk as cdk

from kms_patterns import KeyLifecycle
from stacks.code_signing import CodeSigningStack
from stacks.data_key_pairs import DataKeyPairsStack
from stacks.documents import DocumentsStack
from stacks.envelope import EnvelopeStack
from stacks.key_agreement import KeyAgreementStack
from stacks.mac import MacStack
from stacks.public_key import PublicKeyStack
from stacks.re_encrypt import ReEncryptStack
from stacks.rsa_envelope import RsaEnvelopeStack
from stacks.secrets import SecretsStack
from stacks.signing import SigningStack
from stacks.tokens import TokensStack

STACKS = {
    "KmsPatterns-S3": DocumentsStack,
    "KmsPatterns-Secrets": SecretsStack,
    "KmsPatterns-Envelope": EnvelopeStack,
    "KmsPatterns-PublicKey": PublicKeyStack,
    "KmsPatterns-RsaEnvelope": RsaEnvelopeStack,
    "KmsPatterns-Signing": SigningStack,
    "KmsPatterns-CodeSigning": CodeSigningStack,
    "KmsPatterns-DataKeyPairs": DataKeyPairsStack,
    "KmsPatterns-KeyAgreement": KeyAgreementStack,
    "KmsPatterns-ReEncrypt": ReEncryptStack,
    "KmsPatterns-Tokens": TokensStack,
    "KmsPatterns-Mac": MacStack,
}


def add_stacks(app: cdk.App) -> None:
    """Add the stacks to ``app``, as its context asks for."""
    ephemeral = app.node.try_get_context("kms-patterns:lifecycle") == "ephemeral"
    lifecycle = KeyLifecycle.EPHEMERAL if ephemeral else KeyLifecycle.RETAIN
    env = cdk.Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION"))
    for name, stack in STACKS.items():
        stack(app, name, lifecycle=lifecycle, env=env)
    if ephemeral:
        cdk.RemovalPolicies.of(app).destroy()


if __name__ == "__main__":
    reference_app = cdk.App()
    add_stacks(reference_app)
    reference_app.synth()
