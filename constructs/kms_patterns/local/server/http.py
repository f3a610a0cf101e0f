"""The emulator's HTTP application, with one path of ours for credentials and a notice when it is ready.

``POST /_kms-patterns/role-session`` answers ``{"roleArn", "service", "sessionName"}`` with session credentials.
It needs the token that the server writes, readable by its user only, into its folder.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kms_patterns.local.server.emulator import RESPONSES, reach
from kms_patterns.local.server.role_credentials import NotAssumable, role_session

SESSION_PATH = "/_kms-patterns/role-session"
TOKEN_HEADER = b"x-kms-patterns-token"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def application(emulator: Application, *, token: str, ready: Callable[[], None]) -> Application:
    """Return ``emulator`` with our path; ``ready`` is called once it serves."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await emulator(scope, receive, _noticing(send, ready))
        elif scope["type"] == "http" and scope["path"] == SESSION_PATH:
            status, body = _answer(token, dict(scope["headers"]), await _body(receive))
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})
        else:
            await emulator(scope, receive, send)

    return serve


def _noticing(send: Send, ready: Callable[[], None]) -> Send:
    async def notice(message: Message) -> None:
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            ready()

    return notice


def _answer(token: str, headers: dict[bytes, bytes], body: bytes) -> tuple[int, dict[str, str]]:
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, b""), token.encode()):
        return 403, {"message": "the token of the server's folder is missing"}
    request = json.loads(body)
    reach(RESPONSES, "set_request_account_id")("")
    try:
        return 200, role_session(request["roleArn"], request["service"], request["sessionName"])
    except NotAssumable as refused:
        return 403, {"message": str(refused)}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
    return body
