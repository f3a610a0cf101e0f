"""Tokens of every algorithm, signed by the embedded KMS, verified offline or by it; keys that cannot are refused."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.tokens import ALGORITHMS, Jwks, MacKeys, issue_token, jwks_document, verify_token

SPECS = [(name, spec) for name, known in ALGORITHMS.items() for spec in known.key_specs]
EXPECTED: dict[str, Any] = {"issuer": "https://issuer.example", "audience": "orders"}


@pytest.fixture(scope="session")
def key_of(root_kms: Any) -> Callable[[str], str]:
    """One key per spec."""

    @cache
    def make(spec: str) -> str:
        usage = "GENERATE_VERIFY_MAC" if spec.startswith("HMAC") else "SIGN_VERIFY"
        return str(root_kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"])

    return make


def issued(kms: Any, arn: str, algorithm: str) -> str:
    given: dict[str, Any] = {**EXPECTED, "subject": "customer-1", "lifetime": 60}
    return issue_token({"tenant": "a"}, key_arn=arn, algorithm=algorithm, kms_client=kms, **given).token


@pytest.mark.parametrize(("algorithm", "spec"), SPECS)
def test_token_of_every_algorithm_and_key_spec_is_verified(
    algorithm: str, spec: str, root_kms: Any, key_of: Callable[[str], str]
) -> None:
    arn = key_of(spec)
    token = issued(root_kms, arn, algorithm)
    keys: Any = (
        MacKeys({arn: algorithm}, kms_client=root_kms)
        if ALGORITHMS[algorithm].is_mac
        else Jwks.parse(jwks_document([(PublicKey.fetch(arn, kms_client=root_kms), algorithm)]))
    )
    found = verify_token(token, keys=keys, **EXPECTED)
    assert (found.key_id, found.algorithm, found.claims["tenant"]) == (arn.rsplit("/")[-1], algorithm, "a")
    message, _, signature = token.rpartition(".")
    forged = f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(forged, keys=keys, **EXPECTED)
    assert caught.value.code == "TokenSignatureInvalid"


@pytest.mark.parametrize(
    ("algorithm", "spec"), [("ES384", "ECC_NIST_P256"), ("RS256", "ECC_NIST_P256"), ("EdDSA", "RSA_2048")]
)
def test_algorithm_that_the_key_does_not_have_is_refused_by_kms(
    algorithm: str, spec: str, root_kms: Any, key_of: Callable[[str], str]
) -> None:
    with pytest.raises(KmsRuntimeError) as caught:
        issued(root_kms, key_of(spec), algorithm)
    assert caught.value.code == "InvalidKeyUsageException"


def test_disabled_hmac_key_ends_its_tokens_at_once(root_kms: Any) -> None:
    arn = str(root_kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"])
    token, keys = issued(root_kms, arn, "HS256"), MacKeys({arn: "HS256"}, kms_client=root_kms)
    assert verify_token(token, keys=keys, **EXPECTED)
    root_kms.disable_key(KeyId=arn)
    with pytest.raises(KmsRuntimeError) as caught:
        verify_token(token, keys=keys, **EXPECTED)
    assert caught.value.code == "DisabledException"
