"""Messages cross between this package and AWS's own SDKs, legacy and with material providers, in both directions."""

import os

import aws_encryption_sdk
import botocore.session
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput
from aws_encryption_sdk import CommitmentPolicy, StrictAwsKmsMasterKeyProvider
from aws_encryption_sdk.identifiers import Algorithm

from kms_runtime import decrypt_bytes, encrypt_bytes

CONTEXT = {"tenant": "a", "größe": "ü", "\U0001f511": "astral", "\uffee": "bmp"}
FRAME = 128  # the smallest that the official SDK writes
SIZES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 2 * FRAME + 1, 5 * FRAME + 7]


@pytest.fixture
def session():
    session = botocore.session.Session()
    session.set_credentials("unused", "unused")
    return session


@pytest.fixture
def in_memory(kms):
    """Genuine botocore clients, as AWS's SDKs insist on them, whose calls go to the KMS in memory."""
    operations = {"GenerateDataKey": kms.generate_data_key, "Encrypt": kms.encrypt, "Decrypt": kms.decrypt}

    def route(client):
        client._make_api_call = lambda operation, request: operations[operation](**request)
        return client

    return route


@pytest.fixture(params=["legacy", "material providers"])
def official(request, session, in_memory, key_arn):
    if request.param == "legacy":
        provider = StrictAwsKmsMasterKeyProvider(key_ids=[key_arn], botocore_session=session)
        in_memory(provider._regional_clients["eu-west-1"])
        return {"key_provider": provider}
    kms_client = in_memory(session.create_client("kms", region_name="eu-west-1"))
    mpl = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    return {"keyring": mpl.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=key_arn, kms_client=kms_client))}


@pytest.fixture
def client():
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


@pytest.mark.parametrize("size", SIZES)
def test_official_sdk_decrypts_our_message(size, official, client, keyring):
    plaintext = os.urandom(size)
    message = encrypt_bytes(plaintext, keyring=keyring, encryption_context=CONTEXT, frame_length=FRAME)
    decrypted, header = client.decrypt(source=message, **official)
    assert decrypted == plaintext
    assert header.encryption_context == CONTEXT


@pytest.mark.parametrize("size", SIZES)
def test_we_decrypt_the_official_sdks_message(size, official, client, keyring):
    plaintext = os.urandom(size)
    message, _ = client.encrypt(
        source=plaintext,
        encryption_context=CONTEXT,
        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        frame_length=FRAME,
        **official,
    )
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == plaintext


@pytest.mark.parametrize("context", [{}, {"tenant": "a"}])
def test_default_frame_length_and_any_context_size_are_read_by_the_official_sdk(context, official, client, keyring):
    plaintext = os.urandom(600_000)
    message = encrypt_bytes(plaintext, keyring=keyring, encryption_context=context)
    assert client.decrypt(source=message, **official)[0] == plaintext
