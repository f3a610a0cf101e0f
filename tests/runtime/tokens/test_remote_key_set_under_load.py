"""RemoteJwks with many readers, an address that fails from the start, and one that never ends its answer."""

import itertools
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from kms_runtime.errors import ServiceUnreachable, TokenKeySetInvalid
from kms_runtime.public_keys import remote_document
from kms_runtime.tokens import RemoteJwks, jwks_document

PATHS = (f"/under-load/{number}.json" for number in itertools.count())
LONG = 20


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
    return jwks_document([(public_key_of("ES256"), "ES256")])


@pytest.fixture
def path():
    return next(PATHS)


@pytest.fixture
def keys(https, path, clock):
    return RemoteJwks(https.url + path, ssl_context=https.context)


def asked(https, path):
    return sum(1 for where, _ in https.requests if where == path)


@pytest.mark.parametrize(
    ("answer", "error"), [((500, {}, b""), ServiceUnreachable), ((200, {}, b"{}"), TokenKeySetInvalid)]
)
def test_without_known_keys_it_is_asked_once_a_second_however_many_tokens_come(
    answer, error, https, path, keys, clock, document
):
    https.answers[path] = answer
    messages = set()
    for _ in range(5):
        with pytest.raises(error) as caught:
            keys.find("es256-1")
        messages.add(str(caught.value))
    assert (asked(https, path), len(messages)) == (1, 1)
    https.answers[path] = 200, {}, document
    clock.now += 1
    assert keys.find("es256-1").algorithm == "ES256"
    assert asked(https, path) == 2


def test_readers_that_know_their_key_do_not_wait_for_the_one_who_asks(https, path, keys, clock, document):
    https.answers[path] = 200, {}, document
    keys.find("es256-1")
    arrived, answering = threading.Event(), threading.Event()

    def slow(_headers):
        arrived.set()
        assert answering.wait(LONG)
        return 200, {}, document

    https.answers[path] = slow
    clock.now += 301
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(keys.find, "es256-1")
        assert arrived.wait(LONG)
        other = threads.submit(keys.find, "es256-1")
        try:
            assert other.result(LONG).algorithm == "ES256"
            assert not asking.done()
        finally:
            answering.set()
        assert asking.result(LONG).algorithm == "ES256"
    assert asked(https, path) == 2


def test_reader_that_lacks_a_key_waits_for_the_one_who_asks(https, path, keys, clock, document, public_key_of):
    https.answers[path] = 200, {}, document
    keys.find("es256-1")
    arrived, answering = threading.Event(), threading.Event()

    def slow(_headers):
        arrived.set()
        assert answering.wait(LONG)
        return 200, {}, jwks_document([(public_key_of("ES256", 2), "ES256")])

    https.answers[path] = slow
    clock.now += 301
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(keys.find, "es256-2")
        assert arrived.wait(LONG)
        other = threads.submit(keys.find, "es256-2")
        answering.set()
        assert asking.result(LONG).key_id == other.result(LONG).key_id == "es256-2"
    assert asked(https, path) == 2


def test_answer_that_drips_is_given_up(https, path, keys, clock):
    def drip():
        for _ in range(60_000):
            clock.now += 1
            yield b" "

    https.answers[path] = 200, {}, drip()
    with pytest.raises(ServiceUnreachable, match="took more than 5 s for its response"):
        keys.find("es256-1")


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
