"""The emulator's HTTP application, with paths of ours for credentials and faults, and a notice when it is ready.

The emulator's own administration paths need the token as well: they show and remove what others stored.

``POST /_kms-patterns/role-session`` answers ``{"roleArn", "service", "sessionName"}`` with session credentials;
``"anyService": true`` takes whichever service the role trusts if it does not trust the account.
``GET /_kms-patterns/calls`` is a page of the recorded calls; a browser gives the token as ``?token=``.
``POST /_kms-patterns/faults`` takes ``{"faults": [...], "seed"}`` (see ``faults``), ``{}`` to tell what was injected.
Both need the token that the server writes, readable by its user only, into its folder.
"""

import asyncio
import hmac
import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from hypercorn.asyncio import serve as serve_http
from hypercorn.config import Config

from kms_patterns.local.inspection import page_of, recorded_calls
from kms_patterns.local.layout import Layout
from kms_patterns.local.server.emulator import seam
from kms_patterns.local.server.emulator.acting import NotAssumable, role_session, trusted_service
from kms_patterns.local.server.emulator.emulator import APP, CLOUDFORMATION, RESPONSES, EmulatorMismatch, reach
from kms_patterns.local.server.emulator.functions import provide_runtime_packages, provide_sdk_clients
from kms_patterns.local.server.faults import REFUSALS, FaultPlan, inject, is_retry, request_of
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.kms.service_model import kms_model
from kms_patterns.local.server.services.monitoring import announce_fault

SESSION_PATH = "/_kms-patterns/role-session"
FAULTS_PATH = "/_kms-patterns/faults"
PAGE_PATH = "/_kms-patterns/calls"
SLICE = 1 << 20
KEEP_ALIVE_SECONDS = 75
_ADMINISTRATION = ("/_ministack", "/_localstack")
# Health needs no credentials; custom resources answer under a name that only their function was told.
_OPEN = ("/_ministack/health", "/_ministack/ready", "/_localstack/health")
_CALLBACKS = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
TOKEN_HEADER = b"x-kms-patterns-token"

_NO_TOKEN: tuple[int, dict[str, Any]] = (403, {"message": "the token of the server's folder is missing"})

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def save_state() -> None:
    """Write what the emulator stores to the folder that it was given; the next start reads it."""
    reach(APP, "save_all")(reach(APP, "_build_persistence_save_dict")())


def serve_emulator(layout: Layout, listener: socket.socket) -> None:
    """Serve until the process ends. Announces port, process id and token once it serves."""
    provide_runtime_packages(layout.runtime_packages)
    provide_sdk_clients(layout.node_packages)
    try:
        seam.install(KmsService(CallLog(layout.calls)))
    except EmulatorMismatch as mismatch:
        sys.exit(f"kms-patterns: {mismatch}")
    state = {"port": listener.getsockname()[1], "pid": os.getpid(), "token": secrets.token_hex(32)}
    app = application(
        reach(APP, "app"),
        token=str(state["token"]),
        ready=lambda: _announce(layout, state),
        calls=lambda: recorded_calls(layout),
    )
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = str(layout.certificate), str(layout.private_key)
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    # Never triggered: the process ends as a whole, which is what removes the Lambda processes and the folder too.
    asyncio.run(serve_http(app, config, shutdown_trigger=asyncio.Event().wait))  # type: ignore[arg-type]


def _announce(layout: Layout, state: Mapping[str, Any]) -> None:
    layout.announce(json.dumps(state))
    threading.Thread(target=_warm, name="warm", daemon=True).start()


def _warm() -> None:
    # What the start does not wait for: the first request that needs it would.
    kms_model()
    import_module(CLOUDFORMATION)


def application(
    emulator: Application, *, token: str, ready: Callable[[], None], calls: Callable[[], list[dict[str, Any]]]
) -> Application:
    """Return ``emulator`` with our paths; ``ready`` is called once it serves, ``calls`` returns what was recorded."""
    plan = FaultPlan()
    answers: dict[str, Answer] = {SESSION_PATH: _session, FAULTS_PATH: partial(_faults, plan)}

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await emulator(scope, receive, _noticing(send, ready))
        elif scope["type"] == "http" and scope["path"] in answers:
            request = await _body(receive)
            status, body = _answer(token, dict(scope["headers"]), request, answers[scope["path"]])
            await _send_json(send, status, body)
        elif scope["type"] == "http" and scope["path"] == PAGE_PATH:
            await _page(token, calls, scope, send)
        elif scope["type"] == "http" and _closed(scope["path"]) and not _has_token(token, dict(scope["headers"])):
            await _body(receive)
            await _send_json(send, *_NO_TOKEN)
        elif scope["type"] == "http":
            await _served(plan, scope, receive, send, lambda send: emulator(scope, receive, _in_slices(send)))
        else:
            await emulator(scope, receive, send)

    return serve


def _in_slices(send: Send) -> Send:
    # The emulator sends an object in one piece; the HTTP server would copy a large one several times over.
    async def send_sliced(message: Message) -> None:
        body = memoryview(message.get("body", b""))
        if message["type"] != "http.response.body" or len(body) <= SLICE:
            await send(message)
            return
        for start in range(0, len(body), SLICE):
            last = start + SLICE >= len(body)
            more = bool(message.get("more_body")) or not last
            await send({"type": message["type"], "body": bytes(body[start : start + SLICE]), "more_body": more})

    return send_sliced


def _noticing(send: Send, ready: Callable[[], None]) -> Send:
    async def notice(message: Message) -> None:
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            ready()

    return notice


async def _served(
    plan: FaultPlan, scope: Message, receive: Receive, send: Send, serve: Callable[[Send], Awaitable[None]]
) -> None:
    plan.retries += is_retry(scope)
    service, operations = request_of(scope) if plan.faults else ("", set())
    fault = plan.take(service, operations, scope["path"])
    if fault and fault["kind"] in REFUSALS:
        # Answered before its body has come, a large request would fail in sending, which SDKs take for a reset.
        await _body(receive)
    await (inject(fault, service, scope["method"], send, serve) if fault else serve(send))
    if fault and fault["kind"] in REFUSALS and service == "kms":
        signed = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        announce_fault(signed, operations, REFUSALS[fault["kind"]][1])


def _answer(token: str, headers: dict[bytes, bytes], body: bytes, answer: Answer) -> tuple[int, dict[str, Any]]:
    return answer(json.loads(body)) if _has_token(token, headers) else _NO_TOKEN


def _closed(path: str) -> bool:
    return path.lstrip("/").startswith(tuple(name[1:] for name in _ADMINISTRATION)) and not (
        path in _OPEN or path.startswith(_CALLBACKS)
    )


def _has_token(token: str, headers: dict[bytes, bytes]) -> bool:
    return hmac.compare_digest(headers.get(TOKEN_HEADER, b""), token.encode())


async def _page(token: str, calls: Callable[[], list[dict[str, Any]]], scope: Message, send: Send) -> None:
    given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
    if not _has_token(token, dict(scope["headers"]) | ({TOKEN_HEADER: given.encode()} if given else {})):
        await _send_json(send, *_NO_TOKEN)
        return
    # Nothing is loaded, run or sent on from here: names in the page come from requests.
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": page_of(calls()).encode()})


async def _send_json(send: Send, status: int, body: dict[str, Any]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _faults(plan: FaultPlan, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    try:
        if "faults" in request:
            plan.plan(request["faults"], request.get("seed"))
    except ValueError as refused:
        return 400, {"message": str(refused)}
    return 200, {"injected": dict(plan.injected), "requests": plan.requests, "retries": plan.retries}


def _session(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    reach(RESPONSES, "set_request_account_id")("")
    try:
        trusted = trusted_service(request["roleArn"]) if request.get("anyService") else request["service"]
        return 200, role_session(request["roleArn"], trusted, request["sessionName"])
    except NotAssumable as refused:
        return 403, {"message": str(refused)}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
    return body
