"""What waits, or lasts across calls: backing off, the resource that waits for new principals, locks across a fork."""

import ast
import json
import os
import random
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from kms_runtime import CachingKeyring, RawAesKeyring, encrypt_bytes
from kms_runtime.aws_errors import KMSInternalException, ThrottlingException, error_class, typed_errors
from kms_runtime.backoff import RETRIED, Backoff
from kms_runtime.errors import InvalidRequest, ServiceUnreachable
from kms_runtime.fork_lock import ForkLock
from kms_runtime.handlers import key_grant
from kms_runtime.public_keys.remote_document import RemoteDocument


class Clock:
    """Time that passes only while somebody sleeps, or calls."""

    def __init__(self, call_takes: float = 0.0) -> None:
        self.now, self.slept, self.call_takes = 0.0, [], call_takes

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def backoff_of(clock: Clock, **options) -> Backoff:
    return Backoff(clock=lambda: clock.now, sleep=clock.sleep, **options)


def failing(clock: Clock, errors: list[Exception]):
    remaining = list(errors)

    def call() -> str:
        clock.now += clock.call_takes
        if remaining:
            raise remaining.pop(0)
        return "made"

    return call


def throttled() -> ThrottlingException:
    return ThrottlingException("slow down", operation="GenerateDataKeyPair")


def test_success_takes_one_attempt_and_no_wait():
    clock = Clock()
    assert backoff_of(clock).run(failing(clock, []), hint="") == "made"
    assert clock.slept == []


@pytest.mark.parametrize("code", sorted(RETRIED))
def test_passing_failures_are_outlived(code):
    clock = Clock()
    assert backoff_of(clock).run(failing(clock, [error_class(code)("x")] * 3), hint="") == "made"
    assert len(clock.slept) == 3


@pytest.mark.parametrize(
    ("cause", "attempts"),
    [
        (EndpointConnectionError(endpoint_url="x"), 2),
        (ConnectTimeoutError(endpoint_url="x"), 2),
        (ReadTimeoutError(endpoint_url="x"), 2),
        (NoCredentialsError(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_lost_connection_is_tried_again_and_missing_credentials_are_not(cause, attempts):
    clock, made = Clock(), []

    def call():
        made.append(1)
        with typed_errors("AWS KMS"):
            raise cause

    with pytest.raises(ServiceUnreachable):
        backoff_of(clock, budget=0.15, fraction=lambda: 1.0).run(call, hint="")
    assert len(made) == attempts


@pytest.mark.parametrize("code", ["AccessDeniedException", "DisabledException", "SomethingNew"])
def test_what_no_retry_would_change_is_raised_at_once(code):
    clock, error = Clock(), error_class(code)
    with pytest.raises(error, match=r"^no$"):
        backoff_of(clock).run(failing(clock, [error("no")]), hint="")
    assert clock.slept == []


def test_waits_double_up_to_the_longest_and_are_drawn_from_zero():
    clock = Clock()
    full = backoff_of(clock, budget=100, first_wait=0.1, longest_wait=0.8, fraction=lambda: 1.0)
    full.run(failing(clock, [throttled()] * 6), hint="")
    assert clock.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 0.8, 0.8])
    spread = Clock()
    backoff_of(spread, budget=100, fraction=lambda: 0.0).run(failing(spread, [throttled()] * 6), hint="")
    assert spread.slept == [0.0] * 6


@pytest.mark.parametrize("call_takes", [0.0, 0.3, 4.0])
@pytest.mark.parametrize("budget", [0, 1, 10])
def test_no_attempt_starts_after_the_budget_however_long_calls_take(budget, call_takes):
    clock = Clock(call_takes)
    rng = random.Random(5)
    with pytest.raises(ThrottlingException):
        backoff_of(clock, budget=budget, fraction=rng.random).run(failing(clock, [throttled()] * 10_000), hint="")
    assert clock.now <= budget + call_takes


def test_error_after_the_budget_says_how_often_how_long_and_what_to_do():
    clock = Clock()
    with pytest.raises(ThrottlingException) as caught:
        backoff_of(clock, budget=1, fraction=lambda: 1.0).run(failing(clock, [throttled()] * 99), hint="ask for more")
    assert str(caught.value) == "slow down; tried 4 times in 0.7 s, then given up: ask for more"
    assert caught.value.operation == "GenerateDataKeyPair"
    assert isinstance(caught.value.__cause__, ThrottlingException)


def test_budget_of_zero_tries_once():
    clock = Clock()
    with pytest.raises(KMSInternalException, match=r"tried once in 0\.0 s"):
        backoff_of(clock, budget=0, fraction=lambda: 1.0).run(failing(clock, [KMSInternalException("x")]), hint="")


@pytest.mark.parametrize("name", ["budget", "first_wait", "longest_wait"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1])
def test_time_that_has_no_end_or_is_negative_is_refused(name, seconds):
    with pytest.raises(InvalidRequest, match=f"{name} of "):
        Backoff(**{name: seconds})


def test_thousands_of_attempts_do_not_overflow():
    clock = Clock()
    patient = backoff_of(clock, budget=1e9, fraction=lambda: 1.0)
    assert patient.run(failing(clock, [throttled()] * 3000), hint="") == "made"


RAW = RawAesKeyring("ns", "n", wrapping_key=bytes(32))


@contextmanager
def busy(work, started, release):
    """Let another thread be in the middle of ``work``."""
    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        release.set()
        thread.join()


def in_child(work):
    """Return whether ``work`` was true in a child process."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    end = time.monotonic() + 20
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return found[1] == 0


def test_child_gets_data_keys_of_its_own_while_the_parent_waits_for_one():
    started, release = threading.Event(), threading.Event()

    class Slow:
        def generate_data_key(self, *arguments):
            if threading.current_thread() is not threading.main_thread():
                started.set()
                release.wait(20)
            return RAW.generate_data_key(*arguments)

    cache = CachingKeyring(Slow(), capacity=3, max_age=60)
    encrypt_bytes(b"x", keyring=cache, encryption_context={"known": "x"})

    def encrypted():
        empty = not cache._entries
        return bool(encrypt_bytes(b"x", keyring=cache, encryption_context={})) and empty

    with busy(lambda: encrypt_bytes(b"x", keyring=cache, encryption_context={}), started, release):
        assert in_child(encrypted)
    assert len(cache._entries) == 2


def test_child_asks_for_a_document_that_the_parent_is_asking_for(monkeypatch):
    started, release = threading.Event(), threading.Event()

    def fetch(self, known):
        if threading.current_thread() is not threading.main_thread():
            started.set()
            release.wait(20)
        raise ServiceUnreachable("nothing there")

    monkeypatch.setattr(RemoteDocument, "_fetch", fetch)
    document = RemoteDocument(
        "https://localhost/",
        bytes,
        largest=1,
        accept="*/*",
        ssl_context=None,
        timeout=1,
        shortest_interval=0,
        longest_outage=1,
    )

    def refused():
        with pytest.raises(ServiceUnreachable):
            document.current()
        return True

    with busy(refused, started, release):
        assert in_child(refused)


def test_lock_excludes_threads_and_is_free_in_a_child():
    lock = ForkLock()
    with lock:
        assert not lock.acquire(blocking=False)
        assert in_child(lambda: lock.acquire(blocking=False))
    assert lock.acquire(blocking=False)
    lock.release()


KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
GRANT = {"KeyId": KEY, "GranteePrincipal": "arn:aws:iam::111122223333:role/new", "Operations": ["Decrypt"], "Name": "n"}


class GrantKms:
    def __init__(self, *errors):
        self.errors, self.calls = list(errors), []

    def _call(self, name, request):
        self.calls.append((name, request))
        if self.errors:
            raise ClientError({"Error": {"Code": self.errors.pop(0), "Message": "no"}}, name)
        return {"GrantId": "grant-1"}

    def create_grant(self, **request):
        return self._call("CreateGrant", request)

    def revoke_grant(self, **request):
        return self._call("RevokeGrant", request)


@pytest.fixture
def handle(monkeypatch):
    """Handle a request with a KMS that answers with these errors first; return its calls and the response."""

    def run(kind, *errors, **event):
        kms, responses, clock = GrantKms(*errors), [], [0.0]
        monkeypatch.setattr(key_grant.boto3, "client", lambda _: kms)
        monkeypatch.setattr(key_grant.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(key_grant.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        monkeypatch.setattr(key_grant, "urlopen", lambda request, timeout: responses.append(request) or request)
        monkeypatch.setattr(key_grant.Request, "close", lambda _: None, raising=False)
        common = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "ResponseURL": "https://example.com/x"}
        key_grant.handle({**common, "RequestType": kind, "ResourceProperties": {"Grant": GRANT}, **event}, None)
        (sent,) = responses
        assert (sent.method, sent.full_url) == ("PUT", common["ResponseURL"])
        return kms.calls, json.loads(sent.data)

    return run


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_grant_is_created_as_its_properties_say(handle, kind):
    calls, response = handle(kind, PhysicalResourceId="grant-0")
    assert calls == [("CreateGrant", GRANT)]
    assert response == {
        "Status": "SUCCESS", "PhysicalResourceId": "grant-1", "Data": {"GrantId": "grant-1"},
        "StackId": "s", "RequestId": "r", "LogicalResourceId": "l",
    }  # fmt: skip


@pytest.mark.parametrize("code", sorted(key_grant.NOT_KNOWN_YET))
def test_new_principal_is_waited_for(handle, code):
    calls, response = handle("Create", code, code)
    assert (len(calls), response["Status"]) == (3, "SUCCESS")


def test_principal_that_never_appears_fails_the_resource(handle):
    calls, response = handle("Create", *["InvalidArnException"] * 100)
    assert 20 < len(calls) < 30
    assert response["Status"] == "FAILED"
    assert "InvalidArnException" in response["Reason"]


def test_other_error_fails_at_once_and_its_deletion_revokes_nothing(handle):
    calls, response = handle("Create", "LimitExceededException")
    assert (len(calls), response["Status"]) == (1, "FAILED")
    assert handle("Delete", PhysicalResourceId=response["PhysicalResourceId"])[0] == []


@pytest.mark.parametrize(("errors", "status"), [([], "SUCCESS"), (["NotFoundException"], "SUCCESS"),
                                                (["AccessDeniedException"], "FAILED")])  # fmt: skip
def test_deletion_revokes_the_grant(handle, errors, status):
    calls, response = handle("Delete", *errors, PhysicalResourceId="grant-1")
    assert calls == [("RevokeGrant", {"KeyId": KEY, "GrantId": "grant-1"})]
    assert (response["Status"], response["PhysicalResourceId"]) == (status, "grant-1")


def test_code_fits_into_a_template_and_needs_what_lambda_has():
    source = Path(key_grant.__file__).read_text()
    modules = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert modules == {"botocore.exceptions", "typing", "urllib.request"}
    assert len(source) <= 4096
