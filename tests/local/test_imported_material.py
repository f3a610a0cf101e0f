"""What ImportKeyMaterial of the embedded AWS refuses, as KMS does; the rest is in ``tests/cli``.

https://docs.aws.amazon.com/kms/latest/APIReference/API_ImportKeyMaterial.html
"""

import time
from typing import Any

import pytest

DAY = 86400


@pytest.fixture
def external(root_kms: Any) -> str:
    return str(root_kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"])


@pytest.mark.parametrize(
    ("model", "days"),
    [
        ("KEY_MATERIAL_EXPIRES", -1),
        ("KEY_MATERIAL_EXPIRES", 366),
        ("KEY_MATERIAL_EXPIRES", None),
        ("KEY_MATERIAL_DOES_NOT_EXPIRE", 30),
    ],
)
def test_an_expiry_that_is_past_too_far_missing_or_in_excess_is_refused(
    root_kms: Any, external: str, code_of: Any, model: str, days: int | None
) -> None:
    given: Any = {"ValidTo": time.time() + days * DAY} if days else {}
    request = {"KeyId": external, "ImportToken": b"t", "EncryptedKeyMaterial": b"m", "ExpirationModel": model}
    assert code_of(root_kms.import_key_material, **request, **given) == "ValidationException"


def test_a_key_without_further_material_does_not_rotate_on_demand(root_kms: Any, external: str, code_of: Any) -> None:
    assert code_of(root_kms.rotate_key_on_demand, KeyId=external) == "KMSInvalidStateException"


def test_an_import_type_is_for_symmetric_keys(root_kms: Any, code_of: Any) -> None:
    key = root_kms.create_key(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    request = {"KeyId": key["Arn"], "ImportToken": b"t", "EncryptedKeyMaterial": b"m", "ImportType": "NEW_KEY_MATERIAL"}
    model = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    assert code_of(root_kms.import_key_material, **request, **model) == "ValidationException"
