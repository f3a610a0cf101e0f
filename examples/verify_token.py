"""Verifies a token with the keys at its issuer's address, JWKS_URL; no AWS is needed: python verify_token.py TOKEN."""

import os
import sys

from kms_runtime import KmsRuntimeError
from kms_runtime.tokens import RemoteJwks, verify_token

ISSUER = "https://tokens.example.com"


def main(text: str) -> int:
    # A reader that runs for long keeps the set: it is asked for again rarely, and then by its ETag.
    keys = RemoteJwks(os.environ["JWKS_URL"])
    try:
        token = verify_token(text, keys=keys, issuer=ISSUER, audience="orders", required_claims=["tenant"])
    except KmsRuntimeError as refusal:
        print(f"refused: {refusal.code}: {refusal}", file=sys.stderr)
        return 1
    print(f"{token.claims['sub']} of tenant {token.claims['tenant']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
