"""The blob by itself: what it authenticates, and what is not one."""

import os
from dataclasses import replace

import pytest

from kms_patterns.local.server.kms import ciphertext
from kms_patterns.local.server.kms.kms_errors import KmsError

MATERIAL, MATERIAL_ID, CONTEXT = os.urandom(32), os.urandom(16), {"tenant": "a"}


def _sealed() -> bytes:
    return ciphertext.seal("key-1", MATERIAL, MATERIAL_ID, b"plaintext", CONTEXT)


def test_a_blob_opens_under_its_material_and_context() -> None:
    blob = ciphertext.parse(_sealed())
    assert blob is not None
    assert (blob.key_id, blob.material_id) == ("key-1", MATERIAL_ID)
    assert ciphertext.unseal(blob, MATERIAL, CONTEXT) == b"plaintext"


@pytest.mark.parametrize("change", [{"key_id": "key-2"}, {"material_id": bytes(16)}, {"nonce": bytes(12)}])
def test_a_blob_that_names_another_key_does_not_open_even_under_the_right_material(change: dict[str, str]) -> None:
    blob = ciphertext.parse(_sealed())
    assert blob is not None
    with pytest.raises(KmsError, check=lambda refused: refused.code == "InvalidCiphertextException"):
        ciphertext.unseal(replace(blob, **change), MATERIAL, CONTEXT)  # type: ignore[arg-type]


def test_what_is_too_short_or_begins_otherwise_is_no_blob() -> None:
    sealed = _sealed()
    shortest = len(sealed) - len(b"plaintext")
    assert ciphertext.parse(sealed[:shortest]) is not None
    for raw in (b"", sealed[:4], sealed[: shortest - 1], b"x" + sealed[1:]):
        assert ciphertext.parse(raw) is None
