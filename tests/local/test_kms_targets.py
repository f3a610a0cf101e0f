"""Which key a request is authorized on: aliases, ciphertexts that name their key, two keys, keys that do not exist.

https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
"""

from typing import Any

import pytest

Refused = "AccessDeniedException"


def test_an_alias_is_authorized_as_its_key(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    root_kms.create_alias(AliasName="alias/authorized", TargetKeyId=key)
    alias_arn = key.rsplit(":", 1)[0] + ":alias/authorized"
    by_key, by_alias = session_of(allow("kms:Encrypt", key)), session_of(allow("kms:Encrypt", alias_arn))
    for reference in ("alias/authorized", alias_arn):
        assert by_key.client("kms").encrypt(KeyId=reference, Plaintext=b"x")["KeyId"] == key
        assert code_of(by_alias.client("kms").encrypt, KeyId=reference, Plaintext=b"x") == Refused


def test_decrypt_without_a_key_id_is_authorized_on_the_key_in_the_ciphertext(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, other = make_key(), make_key()
    session = session_of(allow("kms:Decrypt", key)).client("kms")
    for plaintext in (b"x", b"x" * 4096):
        mine, theirs = (root_kms.encrypt(KeyId=k, Plaintext=plaintext)["CiphertextBlob"] for k in (key, other))
        assert session.decrypt(CiphertextBlob=mine)["Plaintext"] == plaintext
        assert code_of(session.decrypt, CiphertextBlob=theirs) == Refused


@pytest.mark.parametrize("garbage", [b"x", b"x" * 68, b"x" * 69, b"x" * 500])
def test_a_ciphertext_whose_key_cannot_be_determined_is_denied(
    session_of: Any, allow: Any, code_of: Any, garbage: bytes
) -> None:
    session = session_of(allow("*", "*")).client("kms")
    assert code_of(session.decrypt, CiphertextBlob=garbage) == Refused
    assert code_of(session.re_encrypt, CiphertextBlob=garbage, DestinationKeyId="alias/x") == Refused


def test_naming_an_allowed_key_does_not_open_another_keys_ciphertext(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, other = make_key(), make_key()
    theirs = root_kms.encrypt(KeyId=other, Plaintext=b"x")["CiphertextBlob"]
    session = session_of(allow("kms:Decrypt", key)).client("kms")
    assert code_of(session.decrypt, CiphertextBlob=theirs, KeyId=key) == "IncorrectKeyException"


@pytest.mark.parametrize(("granted", "allowed"), [
    (("kms:ReEncryptFrom", "kms:ReEncryptTo"), True), (("kms:ReEncryptFrom", None), False),
    ((None, "kms:ReEncryptTo"), False), (("kms:ReEncryptTo", "kms:ReEncryptFrom"), False),
    (("kms:Decrypt", "kms:Encrypt"), False),
])  # fmt: skip
def test_re_encrypt_needs_from_on_the_source_and_to_on_the_destination(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any, granted: Any, allowed: bool
) -> None:
    source, destination = make_key(), make_key()
    blob = root_kms.encrypt(KeyId=source, Plaintext=b"x")["CiphertextBlob"]
    statements = [allow(action, key) for action, key in zip(granted, (source, destination), strict=True) if action]
    session = session_of(*statements).client("kms")
    if allowed:
        assert session.re_encrypt(CiphertextBlob=blob, DestinationKeyId=destination)["KeyId"] == destination
    else:
        assert code_of(session.re_encrypt, CiphertextBlob=blob, DestinationKeyId=destination) == Refused


def test_an_alias_needs_permission_on_the_alias_and_on_the_key(
    make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    alias_arn = key.rsplit(":", 1)[0] + ":alias/of-a-role"
    request = {"AliasName": "alias/of-a-role", "TargetKeyId": key}
    for resource in (key, alias_arn):
        assert code_of(session_of(allow("kms:CreateAlias", resource)).client("kms").create_alias, **request) == Refused
    session_of(allow("kms:CreateAlias", [key, alias_arn])).client("kms").create_alias(**request)


def test_a_missing_key_is_not_found_only_for_who_might_use_it(
    session_of: Any, allow: Any, code_of: Any, make_key: Any
) -> None:
    missing = make_key().rsplit("/", 1)[0] + "/00000000-0000-0000-0000-000000000000"
    allowed, bare = session_of(allow("kms:Encrypt", "*")).client("kms"), session_of().client("kms")
    assert code_of(allowed.encrypt, KeyId=missing, Plaintext=b"x") == "NotFoundException"
    assert code_of(bare.encrypt, KeyId=missing, Plaintext=b"x") == Refused
