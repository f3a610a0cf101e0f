"""A token has one spelling: text, Base64url and JSON that are not exactly that are refused, though signed."""

import base64

import pytest

HEADER = b'"alg":"ES256","kid":"es256-1","typ":"JWT"'
CLAIMS = b'"iss":"https://issuer.example","aud":"orders","exp":1800000900'


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (b"{" + HEADER + b',"kid":"es256-1"}', None),
        (b"{" + HEADER + b"}\n", None),
        (b"[" + HEADER + b"]", None),
        (b'"ES256"', None),
        (b"", None),
        ("{" + HEADER.decode() + "}").encode("utf-16") and (b"\xef\xbb\xbf{" + HEADER + b"}", None),
        (None, b"{" + CLAIMS + b',"exp":1900000000}'),
        (None, b"{" + CLAIMS + b',"a":{"b":1,"b":2}}'),
        (None, b"{" + CLAIMS + b',"a":[{"b":1,"b":2}]}'),
        (None, b"{" + CLAIMS + b',"a":NaN}'),
        (None, b"{" + CLAIMS + b',"a":-Infinity}'),
        (None, b"{" + CLAIMS + b',"a":1e999}'),
        (None, b"{" + CLAIMS + b',"a":"\\ud800"}'),
        (None, b"{" + CLAIMS + b',"a":"\xff"}'),
        (None, b"{" + CLAIMS + b',"a":"\n"}'),
        (None, b"{" + CLAIMS + b'}{"a":1}'),
        (None, b"{" + CLAIMS + b"} "),
        (None, b"{" + CLAIMS + b",}"),
        (None, b"{" + CLAIMS),
        (None, b"[" * 3000),
        (None, b"{" + CLAIMS + b',"a":' + b"9" * 2900 + b"x}"),
        (None, b"[1]"),
        (None, b"null"),
        (None, b""),
    ],
)
def test_json_that_is_not_strict_is_refused_though_signed(header, claims, made, code_of):
    assert code_of(made(header, claims)) in {"TokenMalformed", "TokenAlgorithmRefused"}


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + "=",
        lambda token: token.replace(".", "=.", 1),
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token[:-20] + "+" + token[-19:],
        lambda token: token[:-20] + "/" + token[-19:],
        lambda token: token[:-20] + "!" + token[-19:],
        lambda token: token[:-20] + "!!!!" + token[-20:],
        lambda token: token[:-20] + "\n\n\n\n" + token[-20:],
        lambda token: token[:-20] + "====" + token[-20:],
        lambda token: token + "B",
        lambda token: token + ".",
        lambda token: f"{token}.{token}",
        lambda token: token.rpartition(".")[0],
        lambda token: token.replace(".", ""),
        lambda token: "",
        lambda token: "..",
        lambda token: token.replace("e", "\u0435", 1),
        lambda token: token.replace("e", "\ud800", 1),
        lambda token: token.encode(),
        lambda token: None,
    ],
)
def test_text_that_is_not_canonical_is_refused(change, issued, code_of):
    assert code_of(change(issued("ES256"))) == "TokenMalformed"


def test_last_character_has_one_spelling(issued, code_of):
    message, _, signature = issued("ES256").rpartition(".")  # 64 bytes: the last character holds two bits
    assert signature[-1] in "AQgw"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(signature[-1]) + 1]
    assert base64.urlsafe_b64decode(signature + "==") == base64.urlsafe_b64decode(signature[:-1] + twin + "==")
    assert code_of(f"{message}.{signature[:-1]}{twin}") == "TokenMalformed"


def test_token_larger_than_kms_signs_is_refused(made, code_of):
    assert code_of(made(claims={"a": "a" * 3100})) == "TokenTooLarge"
    assert code_of("A" * 4781) == "TokenTooLarge"
