"""One key follows another without an outage; the examples that verify outside of AWS are run as a user runs them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kms_runtime.errors import TokenRefused
from kms_runtime.tokens import Jwks, jwks_document, verify_token
from kms_runtime.tokens.key_set import fetch_jwks

NOW, LIFETIME, MAX_AGE = 1_800_000_000, 900, 300


@pytest.fixture
def published(kms, arns):
    """What the address answers when it publishes these generations."""

    def publish(*generations):
        keys = [(arns("ES256", number), "ES256") for number in generations]
        return Jwks.parse(fetch_jwks(keys, kms_client=kms))

    return publish


def accepted(token, keys, now):
    try:
        return verify_token(token, keys=keys, issuer="https://issuer.example", audience="orders", now=now).key_id
    except TokenRefused as refusal:
        return refusal.code


def test_tokens_of_both_keys_verify_throughout_and_new_ones_name_the_new_key(published, issued):
    # Steps as deployed: the address announces the new key, then it signs, then the old one is left out.
    before, announced, swapped, ended = published(1), published(1, 2), published(2, 1), published(2)
    swap = NOW + MAX_AGE
    last_of_old = issued(generation=1, now=swap - 1)
    first_of_new = issued(generation=2, now=swap)
    assert accepted(last_of_old, before, swap - 1) == "es256-1"
    # Readers that have not asked again since the announcement know both keys.
    for keys in (announced, swapped):
        assert accepted(last_of_old, keys, swap) == "es256-1"
        assert accepted(first_of_new, keys, swap) == "es256-2"
    # The old key may go once its last token has expired.
    end = swap - 1 + LIFETIME
    assert accepted(last_of_old, swapped, end - 1) == "es256-1"
    assert accepted(last_of_old, ended, end + 31) == "TokenKeyUnknown"
    assert accepted(last_of_old, swapped, end + 31) == "TokenExpired"
    assert accepted(issued(generation=2, now=end), ended, end) == "es256-2"


def test_swap_without_announcement_is_an_outage_for_readers_that_do_not_ask_again(published, issued):
    assert accepted(issued(generation=2), published(1), NOW) == "TokenKeyUnknown"


def test_key_of_another_kind_may_follow(kms, arns, issued, public_key_of):
    keys = [(arns("EdDSA"), "EdDSA"), (arns("RS256"), "RS256")]
    found = Jwks.parse(fetch_jwks(keys, kms_client=kms))
    assert accepted(issued("RS256"), found, NOW) == "rs256-1"
    assert accepted(issued("EdDSA"), found, NOW) == "eddsa-1"


ROOT = Path(__file__).parents[3]


def test_example_verifies_a_token_and_says_why_it_refuses_one(https, issued, public_key_of):
    https.answers["/example.json"] = 200, {}, jwks_document([(public_key_of("ES256"), "ES256")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"PYTHONPATH": str(ROOT / "lambda"), "JWKS_URL": f"{https.url}/example.json"}
    environment["SSL_CERT_FILE"] = str(https.authority)

    def run(token):
        command = [sys.executable, str(ROOT / "examples" / "verify_token.py"), token]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    given = {"claims": {"tenant": "a"}, "issuer": "https://tokens.example.com", "now": time.time()}
    accepted = run(issued(**given))
    assert (accepted.returncode, accepted.stdout, accepted.stderr) == (0, "customer-1 of tenant a\n", "")
    refused = run(issued(**given | {"audience": "invoices"}))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "refused: TokenAudienceMismatch: the token is not for orders\n"


def test_example_verifies_a_signature_with_the_published_document(tmp_path, kms, arns, public_key_of):
    request = {"KeyId": arns("PS256"), "SigningAlgorithm": "RSASSA_PSS_SHA_256", "MessageType": "RAW"}
    signature = kms.sign(Message=b"message", **request)["Signature"]
    files = {
        "key.json": json.dumps(public_key_of("PS256").document()).encode(),
        "message": b"message",
        "signature": signature,
        "tampered": b"massage",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def run(*names):
        command = [sys.executable, str(ROOT / "examples" / "verify_signature.py"), *names]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "lambda")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert run("key.json", "message", "signature").stdout == "valid\n"
    refused = run("key.json", "tampered", "signature")
    assert refused.returncode == 1
    assert "KMSInvalidSignatureException" in refused.stderr
