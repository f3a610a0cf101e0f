"""The compact form of a token, read strictly: each token has one form, and unknown members are refused.

See https://www.rfc-editor.org/rfc/rfc7515#section-7.1 and https://www.rfc-editor.org/rfc/rfc8725
"""

import binascii
import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from kms_runtime.errors import TokenAlgorithmRefused, TokenMalformed, TokenTooLarge

SIGNING_INPUT_LIMIT: Final = 4096
"""Bytes of header, dot and claims: what AWS KMS Sign and GenerateMac take as a message of type RAW."""

# The longest signature is that of ML_DSA_87: 4627 bytes are 6170 characters.
TOKEN_LIMIT: Final = SIGNING_INPUT_LIMIT + 1 + 6170

_DOTS = 2
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
# "+", "/" and "=" are not of this alphabet; "!" is of none.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", b"", b"==", b"=")
# What a last group of two or three characters may end in, so that the bits beyond the last byte are zero.
_LAST = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")


class Header(NamedTuple):
    """The members of a token's header."""

    algorithm: str
    key_id: str
    token_type: str


def split_token(token: str) -> tuple[Header, bytes, bytes, bytes]:
    """Return a token's header, claims, signature and what was signed; only the header is read, nothing verified.

    Raises:
        TokenTooLarge: It is longer than any that AWS KMS signs in one piece.
        TokenAlgorithmRefused: It names no algorithm.
        TokenMalformed: It is not three segments of canonical Base64url, or its header has not exactly ``alg``, ``kid``
            and ``typ``: ``crit``, and so every extension, is refused.
    """
    if not isinstance(token, str) or not token.isascii():
        raise TokenMalformed("a token is ASCII text")
    if len(token) > TOKEN_LIMIT:
        raise TokenTooLarge(f"the token has {len(token)} characters; tokens of AWS KMS keys have at most {TOKEN_LIMIT}")
    if token.count(".") != _DOTS:
        raise TokenMalformed(f"the token has {token.count('.') + 1} segments; a signed token has three")
    signing_input, _, signature = token.encode().rpartition(b".")
    if len(signing_input) > SIGNING_INPUT_LIMIT:
        raise TokenTooLarge(f"header and claims take {len(signing_input)} bytes; at most {SIGNING_INPUT_LIMIT} do")
    header, _, claims = signing_input.partition(b".")
    return _read_header(header), decode_segment(claims), decode_segment(signature), signing_input


@lru_cache(maxsize=256)
def _read_header(segment: bytes) -> Header:
    """Read a header; all tokens of one key have the same one, so it is rarely read twice."""
    members = parse_object(decode_segment(segment), "header")
    algorithm = members.get("alg")
    if not isinstance(algorithm, str) or algorithm.lower() == "none":
        raise TokenAlgorithmRefused(f"alg {algorithm!r} is refused: the token is not signed")
    extra = sorted(members.keys() - _HEADER_MEMBERS)
    if extra:
        raise TokenMalformed(f"the header has {', '.join(map(repr, extra))}, which this reader does not understand")
    key_id, token_type = members.get("kid"), members.get("typ")
    if not isinstance(key_id, str) or not isinstance(token_type, str):
        raise TokenMalformed("the header must say kid and typ")
    return Header(algorithm, key_id, token_type)


def decode_segment(segment: bytes) -> bytes:
    """Return the bytes behind Base64url, of which each has one spelling only.

    Raises:
        TokenMalformed: It is not Base64url, is padded, or its unused last bits are not zero.
    """
    rest = len(segment) & 3
    if rest and segment[-1] not in _LAST[rest]:
        raise TokenMalformed("a segment is not canonical Base64url: its last character has bits that are not read")
    try:
        return binascii.a2b_base64(segment.translate(_TO_BASE64) + _PADDING[rest], strict_mode=True)
    except binascii.Error:
        raise TokenMalformed("a segment is not Base64url without padding") from None


def encode_segment(data: bytes) -> bytes:
    """Return ``data`` as Base64url without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_BASE64URL)


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object that ``data`` is, with nothing around it.

    Raises:
        TokenMalformed: It is not UTF-8, not JSON, not an object, or a member is given twice; the message names
            ``what``.
    """
    try:
        text = data.decode()
        value, end = _scan(text, 0)
        if b"\\u" in data:
            # Half a surrogate pair is valid JSON and no character.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError, StopIteration) as error:
        raise TokenMalformed(f"the {what} is not strict JSON: {_reason(error)}") from None
    if end != len(text) or not isinstance(value, dict):
        raise TokenMalformed(f"the {what} is not one JSON object and nothing else")
    return value


def to_json(members: Mapping[str, Any]) -> bytes:
    """Return the shortest JSON of ``members``."""
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _reason(error: Exception) -> str:
    """Return what is wrong, without what the document holds."""
    match error:
        case json.JSONDecodeError():
            return error.msg
        case UnicodeError():
            return "not UTF-8"
        case RecursionError():
            return "nested too deep"
        case StopIteration():
            return "no value"
        case _:
            return str(error)


# The decoder's inner function: its outer one looks for white space, of which there is none.
_scan: Callable[[str, int], tuple[Any, int]]
_scan = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite).scan_once  # type: ignore[attr-defined]
