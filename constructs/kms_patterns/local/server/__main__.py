"""Run the embedded AWS until the parent, which holds the other end of standard input, is gone."""

import argparse
import asyncio
import json
import os
import secrets
import socket
import sys
from pathlib import Path

from kms_patterns.local.layout import Layout
from kms_patterns.local.server.lifetime import end_of, follow_parent, follow_signals

BODY_LIMIT = 1 << 40


def main() -> None:
    """Start the emulator with our KMS in it; the folder is removed at the end, however it comes."""
    arguments = _arguments()
    layout = Layout(arguments.folder)
    end = end_of(layout.folder)
    follow_signals(end)
    if not arguments.detached:
        follow_parent(end)
    listener = _listener()
    _prepare_environment(layout, listener.getsockname()[1])
    try:
        _serve(layout, listener)
    finally:
        end()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kms_patterns.local.server", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detached", action="store_true", help="do not end with the parent")
    return parser.parse_args()


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def _prepare_environment(layout: Layout, port: int) -> None:
    # Lambda functions inherit this environment: it must lead them here, and hide how this process finds its code.
    os.environ.pop("PYTHONPATH", None)
    os.environ |= {
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": f"https://127.0.0.1:{port}",
        "AWS_CA_BUNDLE": str(layout.authority),
        "NODE_EXTRA_CA_CERTS": str(layout.authority),
    }


def _serve(layout: Layout, listener: socket.socket) -> None:
    # Imported only now: the emulator reads its settings from the environment when it is imported.
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from kms_patterns.local.server import seam
    from kms_patterns.local.server.call_log import CallLog
    from kms_patterns.local.server.emulator import APP, EmulatorMismatch, reach
    from kms_patterns.local.server.http import application
    from kms_patterns.local.server.kms_service import KmsService

    try:
        seam.install(KmsService(CallLog(layout.calls)))
    except EmulatorMismatch as mismatch:
        sys.exit(f"kms-patterns: {mismatch}")
    token = secrets.token_hex(32)
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = str(layout.certificate), str(layout.private_key)
    config.keep_alive_timeout = 75
    state = {"port": port, "pid": os.getpid(), "token": token}
    app = application(reach(APP, "app"), token=token, ready=lambda: layout.announce(json.dumps(state)))
    asyncio.run(serve(app, config, shutdown_trigger=asyncio.Event().wait))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
