"""Tokens that someone without the key makes up, to be refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

Sign = Callable[[bytes], bytes]


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, which anyone can read."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def assembled(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Sign) -> str:
    """Return a token of any header and claims."""
    message = ".".join(_text(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{message}.{_text(sign(message.encode()))}"


def unsigned(token: str, key_id: str) -> str:
    """Return the token's claims under ``alg`` ``none``."""
    return assembled({"alg": "none", "kid": key_id, "typ": "JWT"}, claims_of(token), lambda _: b"")


def under_the_public_key(token: str, key_id: str, public_key: bytes) -> str:
    """Return the token's claims under HS256, whose secret is the public key: the classic confusion."""
    header = {"alg": "HS256", "kid": key_id, "typ": "JWT"}
    return assembled(header, claims_of(token), lambda message: hmac.digest(public_key, message, hashlib.sha256))


def tampered(token: str, **changes: Any) -> str:
    """Return the token with other claims and its old signature."""
    header, _, signature = token.split(".")
    return f"{header}.{_text(json.dumps(claims_of(token) | changes).encode())}.{signature}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
