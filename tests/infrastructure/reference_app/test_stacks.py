"""The stacks of app.py: their snapshots, their outputs, what goes with them and what stays."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest

Templates = dict[str, dict[str, Any]]
CIPHER_OUTPUTS = {"KeyArn", "EncryptFunctionName", "DecryptFunctionName", "EncryptRoleArn", "DecryptRoleArn"}
OUTPUTS = {
    "KmsPatterns-S3": {"BucketName", "KeyArn", "UploaderRoleArn", "DownloaderRoleArn", "ReadWriteRoleArn"},
    "KmsPatterns-Secrets": CIPHER_OUTPUTS | {"TableName", "WriterRoleArn", "ReaderRoleArn", "ParameterPrefix"},
    "KmsPatterns-Envelope": CIPHER_OUTPUTS | {"InboxName", "VaultName", "RestoredName", "OperatorRoleArn"},
    "KmsPatterns-PublicKey": {
        *CIPHER_OUTPUTS,
        *("PublicKeyUrl", "PublicKeyBucketName", "PublishFunctionName", "PublishRoleArn", "ServeRoleArn"),
        *("WriterRoleArn", "ReaderRoleArn"),
    },
    "KmsPatterns-RsaEnvelope": {
        *("KeyArn", "PublicKeyUrl", "DecryptFunctionName", "DecryptRoleArn"),
        *("InboxName", "OpenedName", "OperatorRoleArn"),
    },
    "KmsPatterns-Signing": {
        *("KeyArn", "PublicKeyUrl", "SignFunctionName", "VerifyFunctionName", "SignRoleArn", "VerifyRoleArn"),
        *("AuthorRoleArn", "ReaderRoleArn"),
    },
    "KmsPatterns-CodeSigning": {
        *("KeyArn", "PublicKeyUrl", "ArtifactsName", "SignaturesName", "SignFunctionName", "SignRoleArn"),
        *("BuilderRoleArn", "PublisherRoleArn"),
    },
    "KmsPatterns-DataKeyPairs": {
        "KeyArn",
        "GenerateFunctionName",
        "SignFunctionName",
        "DecryptFunctionName",
        "GenerateRoleArn",
        "SignRoleArn",
        "DecryptRoleArn",
        "MakerRoleArn",
        "SignerRoleArn",
        "ReaderRoleArn",
    },
    "KmsPatterns-KeyAgreement": {
        "KeyArn",
        "SealFunctionName",
        "OpenFunctionName",
        "SealRoleArn",
        "OpenRoleArn",
        "ReceiverRoleArn",
        "SenderRoleArn",
        "PublisherRoleArn",
    },
    "KmsPatterns-ReEncrypt": {
        "OldKeyArn",
        "NewKeyArn",
        "IntakeKeyArn",
        "ArchiveFunctionName",
        "ArchiveRoleArn",
        "ReceiveFunctionName",
        "ReceiveRoleArn",
        "WriterRoleArn",
        "MoverRoleArn",
        "ReaderRoleArn",
        "PublisherRoleArn",
    },
    "KmsPatterns-Tokens": {
        *("KeyArn", "PreviousKeyArn", "IssueFunctionName", "IssueRoleArn", "JwksFunctionName", "JwksRoleArn"),
        *("JwksUrl", "ClientRoleArn"),
    },
    "KmsPatterns-Mac": {
        *("KeyArn", "SessionKeyArn", "SenderRoleArn", "ReceiverRoleArn"),
        *(
            f"{name}{what}"
            for name in ("Generate", "Verify", "Issue", "VerifyToken")
            for what in ("FunctionName", "RoleArn")
        ),
    },
}
HANDLERS = {
    "KmsPatterns-S3": set(),
    "KmsPatterns-Secrets": {"secret_cipher.encrypt", "secret_cipher.decrypt"},
    "KmsPatterns-Envelope": {"envelope_cipher.encrypt", "envelope_cipher.decrypt"},
    "KmsPatterns-PublicKey": {
        *("rsa_secret_cipher.encrypt", "rsa_secret_cipher.decrypt"),
        *("public_key_export.publish", "public_key_export.serve"),
    },
    "KmsPatterns-RsaEnvelope": {
        *("rsa_envelope_cipher.decrypt", "public_key_export.publish", "public_key_export.serve"),
    },
    "KmsPatterns-Signing": {"signer.sign", "signer.verify", "public_key_export.publish", "public_key_export.serve"},
    "KmsPatterns-CodeSigning": {"code_signer.sign", "public_key_export.publish", "public_key_export.serve"},
    "KmsPatterns-DataKeyPairs": {"data_key_pairs.generate", "data_key_pairs.sign", "data_key_pairs.decrypt"},
    "KmsPatterns-KeyAgreement": {"key_agreement.seal", "key_agreement.open_sealed"},
    "KmsPatterns-ReEncrypt": {"re_encryptor.re_encrypt"},
    "KmsPatterns-Tokens": {"token_issuer.issue", "token_issuer.jwks"},
    "KmsPatterns-Mac": {
        "message_authenticator.generate",
        "message_authenticator.verify",
        "token_issuer.issue",
        "token_issuer.verify",
    },
}
KEEPS_DATA = {"AWS::KMS::Key", "AWS::S3::Bucket", "AWS::DynamoDB::GlobalTable", "AWS::Logs::LogGroup"}


@pytest.mark.parametrize("name", OUTPUTS)
def test_stack_matches_its_snapshot(
    name: str, templates: Templates, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(templates[name])


def test_app_has_one_stack_per_pattern_with_the_outputs_that_callers_read(templates: Templates) -> None:
    assert {name: set(template["Outputs"]) for name, template in templates.items()} == OUTPUTS


def test_no_stack_deploys_a_custom_resource_or_a_function_that_is_not_ours(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    assert [item["Type"] for item in resources if "Custom" in item["Type"]] == []
    assert {name: handlers(template) for name, template in templates.items()} == HANDLERS


def handlers(template: dict[str, Any]) -> set[str]:
    resources = template["Resources"].values()
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    return {function["Handler"].removeprefix("kms_runtime.handlers.") for function in functions}


def test_data_outlives_its_stack_by_default(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    policies = {(item["Type"], item["DeletionPolicy"]) for item in resources if item["Type"] in KEEPS_DATA}
    ours = {"AWS::KMS::Key", "AWS::KMS::Alias", "AWS::S3::Bucket"}
    assert policies == {(kind, "RetainExceptOnCreate" if kind in ours else "Retain") for kind in KEEPS_DATA}


def test_ephemeral_context_lets_everything_go_with_its_stack(build: Callable[..., cdk.App]) -> None:
    app = build(**{"kms-patterns:lifecycle": "ephemeral"})
    resources = [item for stack in app.synth().stacks for item in stack.template["Resources"].values()]
    assert [item for item in resources if item.get("DeletionPolicy", "Delete") != "Delete"] == []
    assert [item["Type"] for item in resources if "Custom" in item["Type"]] == []


@pytest.mark.parametrize(("platform", "architecture"), [("arm64", "arm64"), ("x86_64", "x86_64")])
def test_platform_context_reaches_every_function(
    build: Callable[..., cdk.App], platform: str, architecture: str
) -> None:
    app = build(**{"kms-patterns:platform": platform})
    resources = [item for stack in app.synth().stacks for item in stack.template["Resources"].values()]
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    assert len(functions) >= sum(map(len, HANDLERS.values()))
    assert {tuple(function["Architectures"]) for function in functions} == {(architecture,)}
    assert len({function["Code"]["S3Key"] for function in functions}) == 1
