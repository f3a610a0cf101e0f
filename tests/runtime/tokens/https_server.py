"""A loopback HTTPS server for addresses of key sets."""

import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kms_patterns.local.certificates import write_certificates
from kms_patterns.local.layout import Layout


class HttpsServer:
    """A loopback HTTPS server; ``answers``: path -> status, headers and body, or a function that makes them.

    A body may be an iterator of pieces, which are sent as they come.
    """

    def __init__(self, folder: Path) -> None:
        layout = Layout(folder)
        write_certificates(layout)
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(layout.certificate, layout.private_key)
        self.server_context = context
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self.authority = layout.authority
        self.context = ssl.create_default_context(cafile=str(layout.authority))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                owner.requests.append((self.path, headers))
                answer = owner.answers[self.path]
                status, sent, body = answer(headers) if callable(answer) else answer
                self.send_response(status)
                whole = isinstance(body, bytes)
                for name, value in {**sent, **({"Content-Length": str(len(body))} if whole else {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    for piece in [body] if whole else body:
                        self.wfile.write(piece)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
