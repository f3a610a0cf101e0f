"""Key sets: read, fetched, kept, fetched again, and fetched under load."""

import base64
import itertools
import json
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from kms_runtime.errors import InvalidRequest, ServiceUnreachable, TokenKeySetInvalid, TokenKeyUnknown
from kms_runtime.public_keys import remote_document
from kms_runtime.tokens import ALGORITHMS, Jwks, RemoteJwks, jwks_document, verify_token

SIGNED = [name for name, known in ALGORITHMS.items() if not known.is_mac]


@pytest.fixture
def document(public_key_of):
    return jwks_document([(public_key_of(name), name) for name in SIGNED])


@pytest.fixture
def entries(document):
    """The published keys by algorithm, to be damaged."""
    return {entry["alg"]: entry for entry in json.loads(document)["keys"]}


def parsed(*entries, **members):
    return Jwks.parse(json.dumps({"keys": list(entries), **members}))


def test_published_set_has_what_readers_need_and_nothing_else(entries):
    common = {"kty", "use", "kid", "alg"}
    members = {
        "RSA": common | {"n", "e"},
        "EC": common | {"crv", "x", "y"},
        "OKP": common | {"crv", "x"},
        "AKP": common | {"pub"},
    }
    assert {name: set(entry) for name, entry in entries.items()} == {
        name: members[entry["kty"]] for name, entry in entries.items()
    }
    assert {entry["use"] for entry in entries.values()} == {"sig"}
    assert [entry["kid"] for entry in entries.values()] == [f"{name.lower()}-1" for name in SIGNED]


def test_same_keys_are_the_same_bytes(document, public_key_of):
    assert jwks_document([(public_key_of(name), name) for name in SIGNED]) == document


@pytest.mark.parametrize("algorithm", SIGNED)
def test_published_key_verifies(algorithm, document, issued, expected):
    assert verify_token(issued(algorithm), keys=Jwks.parse(document), **expected)


def test_unknown_key_id_is_said_to_be_unknown(document):
    with pytest.raises(TokenKeyUnknown, match="'es256-2'"):
        Jwks.parse(document).find("es256-2")


def test_keys_for_other_uses_and_of_newer_readers_are_left_out(entries):
    newer = [
        {"kty": "AKP", "alg": "SLH-DSA-SHA2-128s", "kid": "new", "pub": "AAAA"},
        {**entries["RS256"], "kid": "oaep", "use": "enc", "alg": "RSA-OAEP-256"},
        {**entries["RS256"], "kid": "enc", "use": "enc"},
        {"kty": "EC", "kid": "no algorithm", "crv": "P-256"},
        {"kty": "oct", "alg": "HS256", "kid": "mac"},
        {**entries["RS256"], "kid": "signs", "key_ops": ["sign"]},
        {**entries["RS256"], "kid": "wraps", "key_ops": ["encrypt", "wrapKey"]},
        {**entries["RS256"], "kid": "no list", "key_ops": "verify"},
    ]
    keys = parsed(*newer, entries["ES256"], comment="ignored")
    assert keys.find("es256-1").algorithm == "ES256"
    for entry in newer:
        with pytest.raises(TokenKeyUnknown):
            keys.find(entry["kid"])


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [7]}', '{"keys": [], "keys": []}',
        '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "k", "k": "AAAA"}]}', "<html>", "\ufeff{}",
        '{"a": "' + "a" * 66_000 + '"}',
    ],
)  # fmt: skip
def test_document_that_is_no_key_set_is_refused(text):
    with pytest.raises(TokenKeySetInvalid):
        Jwks.parse(text)


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        ("ES256", {"d": "AAAA"}),
        ("RS256", {"p": "AAAA"}),
        ("ES256", {"kid": None}),
        ("ES256", {"kid": 7}),
        ("ES256", {"alg": "ES384"}),
        ("ES256", {"alg": "RS256"}),
        ("ES256", {"alg": "EdDSA"}),
        ("RS256", {"alg": "ES256"}),
        ("EdDSA", {"alg": "ES256"}),
        ("ES256", {"kty": "RSA"}),
        ("ES256", {"crv": "P-384"}),
        ("ES256", {"crv": "secp256k1"}),
        ("ES256", {"x": None}),
        ("ES256", {"x": "AAAA"}),
        ("ES256", {"x": "A" * 43}),
        ("ES256", {"y": "AA=="}),
        ("ES256", {"y": "\u0435"}),
        ("EdDSA", {"x": "AAAA"}),
        ("ML-DSA-65", {"alg": "ML-DSA-44"}),
        ("ML-DSA-65", {"pub": "AAAA"}),
        ("ML-DSA-65", {"alg": "ES256"}),
        ("ML-DSA-65", {"kty": "EC"}),
        ("ES256", {"kty": "AKP", "alg": "ML-DSA-65"}),
        ("ES256", {"alg": "ML-DSA-65"}),
        ("EdDSA", {"crv": "X25519"}),
        ("RS256", {"e": "AQ"}),
        ("RS256", {"e": ""}),
        ("RS256", {"n": "AQAB"}),
    ],
)
def test_key_that_is_not_what_it_says_is_refused(algorithm, changes, entries):
    with pytest.raises(TokenKeySetInvalid):
        parsed({**entries[algorithm], **changes})


def test_two_keys_with_one_id_are_refused_whatever_their_algorithms(entries):
    for first, second in (("ML-DSA-65", "ES256"), ("ES256", "ML-DSA-65")):
        with pytest.raises(TokenKeySetInvalid, match="2 keys with 1 key ids"):
            parsed(entries[first], {**entries[second], "kid": entries[first]["kid"]})


def test_ml_dsa_key_of_another_size_is_not_taken(public_key_of):
    with pytest.raises(TokenKeySetInvalid, match="ML-DSA-65 is not for keys of this type"):
        Jwks.of([(public_key_of("ML-DSA-44"), "ML-DSA-65")])


def test_key_for_verification_says_so_in_its_operations(entries):
    assert parsed({**entries["ES256"], "key_ops": ["verify"]}).find("es256-1")


@pytest.mark.parametrize(
    "leaked",
    [
        {"kty": "oct", "alg": "HS256", "kid": "mac", "k": "AAAA"},
        {"kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "kid": "oaep", "n": "AAAA", "e": "AQAB", "d": "AAAA"},
        {"kty": "AKP", "alg": "ML-DSA-65", "kid": "new", "pub": "AAAA", "priv": "AAAA"},
    ],
    ids=lambda entry: entry["kid"],
)
def test_secret_of_a_key_that_is_left_out_is_an_alarm_too(leaked, entries):
    with pytest.raises(TokenKeySetInvalid, match=r"holds a private key \((k|d|priv)\)"):
        parsed(entries["ES256"], leaked)


@pytest.mark.parametrize("name", ["x", "y"])
def test_coordinate_has_the_length_of_the_curve(name, entries):
    coordinate = base64.urlsafe_b64decode(entries["ES384"][name])
    longer = base64.urlsafe_b64encode(b"\0" + coordinate).rstrip(b"=").decode()
    with pytest.raises(TokenKeySetInvalid, match="another length than 48 bytes"):
        parsed({**entries["ES384"], name: longer})


def test_document_has_a_limit(entries):
    assert parsed(entries["ES256"], comment="a" * 60_000)
    with pytest.raises(TokenKeySetInvalid, match="at most 65536"):
        parsed(entries["ES256"], comment="a" * 66_000)


@pytest.mark.parametrize("wrong", [{"kty": "FUTURE"}, {"kid": None}, {"x": "AAAA"}, {"crv": "P-999"}, {"y": 5}])
def test_key_that_cannot_be_used_is_left_out_and_the_others_stay(wrong, entries):
    other = {**entries["ES384"], **wrong}
    keys = parsed(entries["ES256"], other)
    assert keys.find("es256-1").algorithm == "ES256"
    with pytest.raises(TokenKeyUnknown):
        keys.find("es384-1")
    with pytest.raises(TokenKeySetInvalid, match="no key to verify tokens with"):
        parsed(other)


@pytest.mark.parametrize("around", ["{}\n", " {}", "\r\n\t {} \r\n"])
def test_white_space_around_a_key_set_is_read(around, entries):
    document = around.replace("{}", json.dumps({"keys": [entries["ES256"]]}, indent=2))
    assert Jwks.parse(document).find("es256-1")
    assert Jwks.parse(document.encode()).find("es256-1")


@pytest.mark.parametrize(
    "document", ['{"keys":["\ud800"]}', "\ud800", '{"keys":["\\ud800"]}', "", "\n", '{"keys":[]} x']
)
def test_document_that_is_no_key_set_is_refused_by_its_error(document):
    with pytest.raises(TokenKeySetInvalid):
        Jwks.parse(document)


def test_weak_rsa_key_is_refused(entries):
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    from kms_runtime.public_keys.jwk import parameters  # noqa: PLC0415

    weak = parameters(rsa.generate_private_key(65537, 1024).public_key())
    with pytest.raises(TokenKeySetInvalid, match="1024 bits"):
        parsed({**entries["RS256"], **weak})


def test_two_keys_with_one_id_are_refused(entries):
    with pytest.raises(TokenKeySetInvalid, match="2 keys with 1 key ids"):
        parsed(entries["ES256"], {**entries["ES384"], "kid": "es256-1"})


def test_rsa_key_has_the_one_algorithm_that_its_issuer_chose(public_key_of, issued, expected):
    keys = Jwks.of([(public_key_of("RS256"), "RS256"), (public_key_of("PS256"), "PS256")])
    assert verify_token(issued("RS256"), keys=keys, **expected).algorithm == "RS256"
    assert keys.find("ps256-1").algorithm == "PS256"


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
def published(public_key_of):
    return lambda *generations: jwks_document([(public_key_of("ES256", number), "ES256") for number in generations])


@pytest.fixture
def site(https, published):
    """An address of its own; ``site.says(...)`` changes what it answers, ``site.asked`` is what it was asked."""

    class Site:
        path = next(PATHS)
        url = https.url + path

        def says(self, status=200, body=None, **headers):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            https.answers[self.path] = status, sent, published(1) if body is None else body

        @property
        def asked(self):
            return [headers for path, headers in https.requests if path == self.path]

    made = Site()
    made.says(cache_control="public, max-age=60", etag='"one"')
    return made


@pytest.fixture
def remote_keys(site, https, clock):
    return RemoteJwks(site.url, ssl_context=https.context)


def test_keys_are_asked_for_once_within_their_age(remote_keys, site, clock, issued, expected):
    for _ in range(3):
        assert verify_token(issued(), keys=remote_keys, **expected)
        clock.now += 19
    assert len(site.asked) == 1
    assert site.asked[0]["accept"].startswith("application/jwk-set+json")


def test_after_their_age_they_are_asked_for_by_their_etag(remote_keys, site, clock):
    remote_keys.find("es256-1")
    site.says(304, b"", cache_control="max-age=60")
    for _ in range(2):
        clock.now += 61
        assert remote_keys.find("es256-1").algorithm == "ES256"
    assert [headers.get("if-none-match") for headers in site.asked] == [None, '"one"', None]


def test_unknown_key_id_asks_again_once_in_the_interval(remote_keys, site, clock, published, issued, expected):
    assert verify_token(issued(), keys=remote_keys, **expected)
    for _ in range(5):
        with pytest.raises(TokenKeyUnknown):
            remote_keys.find("forged")
    assert len(site.asked) == 1
    clock.now += 30
    site.says(body=published(2, 1))
    assert verify_token(issued(generation=2), keys=remote_keys, **expected).key_id == "es256-2"
    assert verify_token(issued(), keys=remote_keys, **expected).key_id == "es256-1"
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (404, b""), (302, b""), (200, b"<html>"), (200, b'{"keys": []}'), (200, b"x" * 70_000)],
)
def test_known_keys_stay_while_the_address_fails_but_not_for_ever(status, body, remote_keys, site, clock):
    remote_keys.find("es256-1")
    site.says(status, body, location="https://127.0.0.1:1/")
    clock.now += 61
    assert remote_keys.find("es256-1")
    assert len(site.asked) == 2
    assert remote_keys.find("es256-1")
    assert len(site.asked) == 2
    clock.now += 3600
    with pytest.raises(ServiceUnreachable):
        remote_keys.find("es256-1")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(500, b"", ServiceUnreachable), (301, b"", ServiceUnreachable), (200, b"{}", TokenKeySetInvalid)],
)
def test_without_known_keys_the_failure_is_said(status, body, error, remote_keys, site):
    site.says(status, body, location=f"{site.url}?again")
    with pytest.raises(error):
        remote_keys.find("es256-1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_even_to_good_keys(status, remote_keys, site, https, published):
    elsewhere = next(PATHS)
    https.answers[elsewhere] = 200, {}, published(1)
    site.says(status, b"", location=https.url + elsewhere)
    with pytest.raises(ServiceUnreachable, match=f"returned {status}"):
        remote_keys.find("es256-1")


def test_key_that_was_withdrawn_is_unknown_after_the_age(remote_keys, site, clock, published, issued, expected):
    assert verify_token(issued(), keys=remote_keys, **expected)
    site.says(body=published(2))
    clock.now += 61
    with pytest.raises(TokenKeyUnknown):
        verify_token(issued(), keys=remote_keys, **expected)


@pytest.mark.parametrize(
    ("header", "age"),
    [("max-age=45", 45), ("public, max-age=45, immutable", 45), ("max-age=5", 30), ("max-age=x", 300), ("", 300)],
)
def test_age_is_what_the_answer_says_but_not_less_than_the_interval(header, age, site, https, clock):
    site.says(cache_control=header)
    remote_keys = RemoteJwks(site.url, ssl_context=https.context)
    remote_keys.find("es256-1")
    clock.now += age - 1
    remote_keys.find("es256-1")
    assert len(site.asked) == 1
    clock.now += 1
    remote_keys.find("es256-1")
    assert len(site.asked) == 2


def test_age_has_a_limit(site, https, clock):
    site.says(cache_control="max-age=999999999")
    remote_keys = RemoteJwks(site.url, ssl_context=https.context)
    remote_keys.find("es256-1")
    clock.now += 86_400
    remote_keys.find("es256-1")
    assert len(site.asked) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1/jwks.json", "file:///etc/passwd", "jwks.json", ""])
def test_only_https_is_asked(url):
    with pytest.raises(InvalidRequest, match="https://"):
        RemoteJwks(url)


def test_address_that_nobody_vouches_for_is_not_believed(site):
    with pytest.raises(ServiceUnreachable, match="certificate verify failed"):
        RemoteJwks(site.url).find("es256-1")
    assert site.asked == []


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://", "https://a b/", "https://127.0.0.1:99999/", "https://u:p@/"]
)
def test_address_that_is_none_is_said(url):
    with pytest.raises(ServiceUnreachable, match="https://"):
        RemoteJwks(url).find("es256-1")


def test_address_where_nobody_answers_is_said():
    with pytest.raises(ServiceUnreachable, match=r"https://127\.0\.0\.1:1/"):
        RemoteJwks("https://127.0.0.1:1/", ssl_context=ssl.create_default_context()).find("es256-1")


LOADED_PATHS = (f"/under-load/{number}.json" for number in itertools.count())
LONG = 20


@pytest.fixture
def loaded_document(public_key_of):
    return jwks_document([(public_key_of("ES256"), "ES256")])


@pytest.fixture
def path():
    return next(LOADED_PATHS)


@pytest.fixture
def loaded_keys(https, path, clock):
    return RemoteJwks(https.url + path, ssl_context=https.context)


def asked(https, path):
    return sum(1 for where, _ in https.requests if where == path)


@pytest.mark.parametrize(
    ("answer", "error"), [((500, {}, b""), ServiceUnreachable), ((200, {}, b"{}"), TokenKeySetInvalid)]
)
def test_without_known_keys_it_is_asked_once_a_second_however_many_tokens_come(
    answer, error, https, path, loaded_keys, clock, loaded_document
):
    https.answers[path] = answer
    messages = set()
    for _ in range(5):
        with pytest.raises(error) as caught:
            loaded_keys.find("es256-1")
        messages.add(str(caught.value))
    assert (asked(https, path), len(messages)) == (1, 1)
    https.answers[path] = 200, {}, loaded_document
    clock.now += 1
    assert loaded_keys.find("es256-1").algorithm == "ES256"
    assert asked(https, path) == 2


def test_readers_that_know_their_key_do_not_wait_for_the_one_who_asks(https, path, loaded_keys, clock, loaded_document):
    https.answers[path] = 200, {}, loaded_document
    loaded_keys.find("es256-1")
    arrived, answering = threading.Event(), threading.Event()

    def slow(_headers):
        arrived.set()
        assert answering.wait(LONG)
        return 200, {}, loaded_document

    https.answers[path] = slow
    clock.now += 301
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(loaded_keys.find, "es256-1")
        assert arrived.wait(LONG)
        other = threads.submit(loaded_keys.find, "es256-1")
        try:
            assert other.result(LONG).algorithm == "ES256"
            assert not asking.done()
        finally:
            answering.set()
        assert asking.result(LONG).algorithm == "ES256"
    assert asked(https, path) == 2


def test_reader_that_lacks_a_key_waits_for_the_one_who_asks(
    https, path, loaded_keys, clock, loaded_document, public_key_of
):
    https.answers[path] = 200, {}, loaded_document
    loaded_keys.find("es256-1")
    arrived, answering = threading.Event(), threading.Event()

    def slow(_headers):
        arrived.set()
        assert answering.wait(LONG)
        return 200, {}, jwks_document([(public_key_of("ES256", 2), "ES256")])

    https.answers[path] = slow
    clock.now += 301
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(loaded_keys.find, "es256-2")
        assert arrived.wait(LONG)
        other = threads.submit(loaded_keys.find, "es256-2")
        answering.set()
        assert asking.result(LONG).key_id == other.result(LONG).key_id == "es256-2"
    assert asked(https, path) == 2


def test_answer_that_drips_is_given_up(https, path, loaded_keys, clock):
    def drip():
        for _ in range(60_000):
            clock.now += 1
            yield b" "

    https.answers[path] = 200, {}, drip()
    with pytest.raises(ServiceUnreachable, match="took more than 5 s for its response"):
        loaded_keys.find("es256-1")


def test_headers_that_drip_are_given_up(https):
    """Each line comes in time, and the last one never."""
    over, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            connection = https.server_context.wrap_socket(listener.accept()[0], server_side=True)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for number in range(60):
                connection.sendall(b"X-%d: a\r\n" % number)
                over.wait(0.05)
            connection.sendall(b"\r\n")

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    slow = RemoteJwks(f"https://127.0.0.1:{listener.getsockname()[1]}/", ssl_context=https.context, timeout=0.3)
    with pytest.raises(ServiceUnreachable, match=r"took more than 0\.3 s for its response"):
        slow.find("es256-1")
    over.set()
    server.join(LONG)
    listener.close()
