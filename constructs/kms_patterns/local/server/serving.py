"""The emulator, changed at the seam, behind TLS on the socket that the process was given."""

import asyncio
import json
import os
import secrets
import socket
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

from kms_patterns.local.inspection import recorded_calls
from kms_patterns.local.layout import Layout
from kms_patterns.local.server.emulator import seam
from kms_patterns.local.server.emulator.emulator import APP, EmulatorMismatch, reach
from kms_patterns.local.server.emulator.functions import provide_runtime_packages
from kms_patterns.local.server.emulator.node_functions import provide_sdk_clients
from kms_patterns.local.server.http import application
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.kms_service import KmsService

KEEP_ALIVE_SECONDS = 75


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
        ready=lambda: layout.announce(json.dumps(state)),
        calls=lambda: recorded_calls(layout),
    )
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = str(layout.certificate), str(layout.private_key)
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    # Never triggered: the process ends as a whole, which is what removes the Lambda processes and the folder too.
    asyncio.run(serve(app, config, shutdown_trigger=asyncio.Event().wait))  # type: ignore[arg-type]
