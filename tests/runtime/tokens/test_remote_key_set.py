"""RemoteJwks: asks when it must, rarely otherwise, and never trusts what it should not."""

import itertools
import ssl

import pytest

from kms_runtime.errors import InvalidRequest, ServiceUnreachable, TokenKeySetInvalid, TokenKeyUnknown
from kms_runtime.public_keys import remote_document
from kms_runtime.tokens import RemoteJwks, jwks_document, verify_token

PATHS = (f"/{number}/jwks.json" for number in itertools.count())


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(remote_document, "time", made)
    return made


@pytest.fixture
def document(public_key_of):
    return lambda *generations: jwks_document([(public_key_of("ES256", number), "ES256") for number in generations])


@pytest.fixture
def site(https, document):
    """An address of its own; ``site.says(...)`` changes what it answers, ``site.asked`` is what it was asked."""

    class Site:
        path = next(PATHS)
        url = https.url + path

        def says(self, status=200, body=None, **headers):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            https.answers[self.path] = status, sent, document(1) if body is None else body

        @property
        def asked(self):
            return [headers for path, headers in https.requests if path == self.path]

    made = Site()
    made.says(cache_control="public, max-age=60", etag='"one"')
    return made


@pytest.fixture
def keys(site, https, clock):
    return RemoteJwks(site.url, ssl_context=https.context)


def test_keys_are_asked_for_once_within_their_age(keys, site, clock, issued, expected):
    for _ in range(3):
        assert verify_token(issued(), keys=keys, **expected)
        clock.now += 19
    assert len(site.asked) == 1
    assert site.asked[0]["accept"].startswith("application/jwk-set+json")


def test_after_their_age_they_are_asked_for_by_their_etag(keys, site, clock):
    keys.find("es256-1")
    site.says(304, b"", cache_control="max-age=60")
    for _ in range(2):
        clock.now += 61
        assert keys.find("es256-1").algorithm == "ES256"
    assert [headers.get("if-none-match") for headers in site.asked] == [None, '"one"', None]


def test_unknown_key_id_asks_again_once_in_the_interval(keys, site, clock, document, issued, expected):
    assert verify_token(issued(), keys=keys, **expected)
    for _ in range(5):
        with pytest.raises(TokenKeyUnknown):
            keys.find("forged")
    assert len(site.asked) == 1
    clock.now += 30
    site.says(body=document(2, 1))
    assert verify_token(issued(generation=2), keys=keys, **expected).key_id == "es256-2"
    assert verify_token(issued(), keys=keys, **expected).key_id == "es256-1"
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (404, b""), (302, b""), (200, b"<html>"), (200, b'{"keys": []}'), (200, b"x" * 70_000)],
)
def test_known_keys_stay_while_the_address_fails_but_not_for_ever(status, body, keys, site, clock):
    keys.find("es256-1")
    site.says(status, body, location="https://127.0.0.1:1/")
    clock.now += 61
    assert keys.find("es256-1")
    assert len(site.asked) == 2
    assert keys.find("es256-1")
    assert len(site.asked) == 2
    clock.now += 3600
    with pytest.raises(ServiceUnreachable):
        keys.find("es256-1")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(500, b"", ServiceUnreachable), (301, b"", ServiceUnreachable), (200, b"{}", TokenKeySetInvalid)],
)
def test_without_known_keys_the_failure_is_said(status, body, error, keys, site):
    site.says(status, body, location=f"{site.url}?again")
    with pytest.raises(error):
        keys.find("es256-1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_even_to_good_keys(status, keys, site, https, document):
    elsewhere = next(PATHS)
    https.answers[elsewhere] = 200, {}, document(1)
    site.says(status, b"", location=https.url + elsewhere)
    with pytest.raises(ServiceUnreachable, match=f"returned {status}"):
        keys.find("es256-1")


def test_key_that_was_withdrawn_is_unknown_after_the_age(keys, site, clock, document, issued, expected):
    assert verify_token(issued(), keys=keys, **expected)
    site.says(body=document(2))
    clock.now += 61
    with pytest.raises(TokenKeyUnknown):
        verify_token(issued(), keys=keys, **expected)


@pytest.mark.parametrize(
    ("header", "age"),
    [("max-age=45", 45), ("public, max-age=45, immutable", 45), ("max-age=5", 30), ("max-age=x", 300), ("", 300)],
)
def test_age_is_what_the_answer_says_but_not_less_than_the_interval(header, age, site, https, clock):
    site.says(cache_control=header)
    keys = RemoteJwks(site.url, ssl_context=https.context)
    keys.find("es256-1")
    clock.now += age - 1
    keys.find("es256-1")
    assert len(site.asked) == 1
    clock.now += 1
    keys.find("es256-1")
    assert len(site.asked) == 2


def test_age_has_a_limit(site, https, clock):
    site.says(cache_control="max-age=999999999")
    keys = RemoteJwks(site.url, ssl_context=https.context)
    keys.find("es256-1")
    clock.now += 86_400
    keys.find("es256-1")
    assert len(site.asked) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1/jwks.json", "file:///etc/passwd", "jwks.json", ""])
def test_only_https_is_asked(url):
    with pytest.raises(InvalidRequest, match="https://"):
        RemoteJwks(url)


def test_address_that_nobody_vouches_for_is_not_believed(site):
    with pytest.raises(ServiceUnreachable, match="certificate verify failed"):
        RemoteJwks(site.url).find("es256-1")
    assert site.asked == []


def test_address_where_nobody_answers_is_said():
    with pytest.raises(ServiceUnreachable, match=r"https://127\.0\.0\.1:1/"):
        RemoteJwks("https://127.0.0.1:1/", ssl_context=ssl.create_default_context()).find("es256-1")
