"""Encryption context that is authenticated and not stored: AWS's required encryption context CMM, both ways."""

import io

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    CreateDefaultCryptographicMaterialsManagerInput,
    CreateRequiredEncryptionContextCMMInput,
)
from aws_encryption_sdk.identifiers import Algorithm

from kms_runtime import (
    KmsRuntimeError,
    RawAesKeyring,
    RawRsaKeyring,
    decrypt,
    decrypt_bytes,
    decrypt_range,
    encrypt,
    encrypt_bytes,
)
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import EncryptionContextInvalid, EncryptionContextMismatch, InvalidRequest
from kms_runtime.message.suite import WRITABLE

CONTEXT = {"tenant": "a", "purpose": "test", "größe": "ü"}
REQUIRED = ["größe", "tenant"]


@pytest.fixture
def cmm(official, mpl):
    default = mpl.create_default_cryptographic_materials_manager(
        CreateDefaultCryptographicMaterialsManagerInput(**official)
    )
    return mpl.create_required_encryption_context_cmm(
        CreateRequiredEncryptionContextCMMInput(required_encryption_context_keys=REQUIRED, underlying_cmm=default)
    )


@pytest.mark.parametrize("official", ["material providers"], indirect=True)
@pytest.mark.parametrize("suite", WRITABLE, ids=str)
@pytest.mark.parametrize("frame_length", [0, 128])
def test_official_sdks_message_is_read(suite, frame_length, cmm, client, keyring):
    algorithm = Algorithm.get_by_id(suite.suite_id)
    message, _ = client.encrypt(
        source=b"hello",
        materials_manager=cmm,
        encryption_context=CONTEXT,
        algorithm=algorithm,
        frame_length=frame_length,
    )
    assert b"tenant" not in message
    sink = io.BytesIO()
    found = decrypt(io.BytesIO(message), sink, keyring=keyring, encryption_context=CONTEXT)
    assert sink.getvalue() == b"hello"
    assert CONTEXT.items() <= found.encryption_context.items()


@pytest.mark.parametrize("official", ["material providers"], indirect=True)
@pytest.mark.parametrize("suite", WRITABLE, ids=str)
def test_official_sdk_reads_our_message(suite, cmm, client, keyring):
    message = encrypt_bytes(
        b"hello",
        keyring=keyring,
        encryption_context=CONTEXT,
        algorithm_suite=suite,
        required_encryption_context_keys=REQUIRED,
    )
    assert b"tenant" not in message
    reproduced = {name: CONTEXT[name] for name in REQUIRED}
    assert client.decrypt(source=message, materials_manager=cmm, encryption_context=reproduced)[0] == b"hello"


@pytest.fixture(params=["KMS", "raw AES", "raw RSA", "KMS RSA"])
def writer(request, keyring, rsa_pair, rsa_keyring):
    return {
        "KMS": keyring,
        "raw AES": RawAesKeyring("ns", "n", wrapping_key=bytes(32)),
        "raw RSA": RawRsaKeyring("ns", "n", public_key=rsa_pair.public_key(), private_key=rsa_pair),
        "KMS RSA": rsa_keyring,
    }[request.param]


@pytest.mark.parametrize(
    "expected", [{}, {"tenant": "b"}, {"größe": "ü"}, CONTEXT | {"more": "x"}, CONTEXT | {"tenant": "b"}]
)
def test_every_pair_must_be_reproduced(expected, writer):
    message = encrypt_bytes(
        b"hello", keyring=writer, encryption_context=CONTEXT, required_encryption_context_keys=REQUIRED
    )
    assert decrypt_bytes(message, keyring=writer, encryption_context=CONTEXT) == b"hello"
    with pytest.raises(KmsRuntimeError) as caught:
        decrypt_bytes(message, keyring=writer, encryption_context=expected)
    assert type(caught.value) is EncryptionContextMismatch or not expected


def test_range_of_such_a_message_is_read(keyring):
    message = io.BytesIO()
    encrypt(
        io.BytesIO(b"0123456789"),
        message,
        keyring=keyring,
        encryption_context=CONTEXT,
        frame_length=3,
        required_encryption_context_keys=REQUIRED,
    )
    sink = io.BytesIO()
    decrypt_range(FileRange(message), sink, start=4, length=3, keyring=keyring, encryption_context=CONTEXT)
    assert sink.getvalue() == b"456"


@pytest.mark.parametrize("required", ["tenant", ["other"], ["Tenant"]])
def test_required_keys_are_names_of_the_context(required, keyring, kms):
    with pytest.raises(InvalidRequest, match="required_encryption_context_keys"):
        encrypt_bytes(b"", keyring=keyring, encryption_context=CONTEXT, required_encryption_context_keys=required)
    assert kms.calls == []


@pytest.mark.parametrize("name", ["aws-crypto-public-key", "", "\ud800"])
def test_pair_that_no_message_is_bound_to_costs_no_call(name, keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    with pytest.raises(EncryptionContextInvalid):
        decrypt_bytes(message, keyring=keyring, encryption_context={name: "x"})
    assert kms.calls == []
