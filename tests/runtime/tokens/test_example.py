"""The examples that verify outside of AWS are run as their users run them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from kms_runtime.tokens import jwks_document

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
