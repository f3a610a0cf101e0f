"""The public surface of the construct library, pinned."""

import kms_patterns


def test_exported_names_are_these_and_all_of_them_load():
    assert sorted(kms_patterns.__all__) == [
        "CodeSigner",
        "DataKeyPairs",
        "EncryptedBucket",
        "EncryptionKey",
        "EnvelopeCipher",
        "ImportedKey",
        "KeyAccess",
        "KeyAgreement",
        "KeyAgreementKey",
        "KeyGrant",
        "KeyLifecycle",
        "MacKey",
        "MacTokenIssuer",
        "MessageAuthenticator",
        "PublicKeyExport",
        "ReEncryptor",
        "ReplicaKey",
        "RsaEncryptionKey",
        "RsaEnvelopeCipher",
        "SecretCipher",
        "Signer",
        "SigningKey",
        "TokenIssuer",
    ]
    assert all(getattr(kms_patterns, name).__name__ == name for name in kms_patterns.__all__)
