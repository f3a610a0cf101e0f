"""The embedded AWS: an emulator on a loopback port, with KMS and its policies enforced, gone when it is stopped."""

import atexit
import json
import secrets
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

from kms_patterns.local.aws_session import AwsSession
from kms_patterns.local.inspection import event_of, recorded_calls
from kms_patterns.local.layout import Layout
from kms_patterns.local.server_process import ServerOptions, ServerProcess, ServerState, launch

REGION = "us-east-1"
ACCOUNT = "000000000000"
SESSION_PATH = "/_kms-patterns/role-session"
FAULTS_PATH = "/_kms-patterns/faults"
PAGE_PATH = "/_kms-patterns/calls"
INSTANCE = "i-0123456789abcdef0"


class AssumeRoleRefused(RuntimeError):
    """The role does not exist or does not trust who asks for it."""


def new_root_key() -> str:
    """Return an access key id for a server's root. Each its own: the CDK command line remembers accounts by it."""
    return "AKIA" + secrets.token_hex(8).upper()


def root_session(layout: Layout, *, port: int, region: str, root_key: str) -> AwsSession:
    """Return the session of a server's account root."""
    secret, address = layout.root_secret.read_text(encoding="utf-8"), f"https://127.0.0.1:{port}"
    return AwsSession(root_key, secret, None, address, layout.authority, region, layout.home)


class LocalAws:
    """A running embedded AWS.

    ``with LocalAws.start() as aws:`` starts one and stops it; it also stops when this process ends, however it ends.
    """

    def __init__(self, server: ServerProcess, *, region: str, account: str, root_key: str) -> None:
        self._server = server
        self._root_key = root_key
        self.region = region
        self.account = account
        self.endpoint_url = f"https://127.0.0.1:{server.state.port}"
        self.ca_bundle = server.layout.authority
        self.folder = server.layout.folder
        atexit.register(self.stop)

    @classmethod
    def start(
        cls, *, region: str = REGION, account: str = ACCOUNT, directory: Path | None = None, delay: float = 0
    ) -> Self:
        """Start an embedded AWS on a free loopback port.

        Args:
            region: The Region of its resources.
            account: The 12 digits of its account.
            directory: Where to make its temporary folder; defaults to where Python makes temporary folders.
            delay: For how many seconds a new grant, role, rule or event notification does not work yet, as on AWS.
                Defaults to none.

        Raises:
            StartFailed: It could not start; the message says why.
        """
        root_key = new_root_key()
        options = ServerOptions(region=region, account=account, root_key=root_key, directory=directory, delay=delay)
        server = launch(options)
        return cls(server, region=region, account=account, root_key=root_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it: processes, port and folder. May be called again."""
        atexit.unregister(self.stop)
        self._server.stop()

    def session(self) -> AwsSession:
        """Return the account root's session. No policy binds it: use it to set up, never to show a permission."""
        state, layout = self._server.state, self._server.layout
        return root_session(layout, port=state.port, region=self.region, root_key=self._root_key)

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client of the account root."""
        return self.session().client(service, **options)

    def environment(self) -> dict[str, str]:
        """Return the variables that lead a child process here as the account root."""
        return self.session().environment()

    def cdk_environment(self) -> dict[str, str]:
        """Return the variables that lead the CDK command line here; its home folder is the server's."""
        return self.environment() | {
            "HOME": str(self._server.layout.home),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DEFAULT_ACCOUNT": self.account,
            "CDK_DEFAULT_REGION": self.region,
        }

    def assume(self, role_arn: str, service: str | None = None, *, session_name: str | None = None) -> AwsSession:
        """Return a session of a role.

        Args:
            role_arn: The role.
            service: The AWS service that hands the credentials out, such as ``ec2.amazonaws.com`` for an instance
                profile; the role must trust it. Defaults to the account itself, which the role must trust.
            session_name: The last part of the session's ARN. Defaults to an instance id, or ``kms-patterns``.

        Raises:
            AssumeRoleRefused: The role does not exist or does not trust who asks.
        """
        found = self._role_session(role_arn, service, session_name or (INSTANCE if service else "kms-patterns"))
        return replace(
            self.session(),
            access_key_id=found["AccessKeyId"],
            secret_access_key=found["SecretAccessKey"],
            session_token=found["SessionToken"],
        )

    def kms_calls(self) -> list[dict[str, Any]]:
        """Return every KMS call so far, those that S3 made for a caller included, in order.

        Each has time, principal, action, keyArn, encryptionContext, viaService, decision, reason, errorCode,
        requestId (of the response), and statement: the one that decided (policy, sid, position, effect), None where
        nothing allowed.
        """
        return [call for call in recorded_calls(self._server.layout) if call["action"].startswith("kms:")]

    def cloud_trail(self) -> list[dict[str, Any]]:
        """Return every KMS call so far as CloudTrail would tell it, with the deciding statement added."""
        return [event_of(call) for call in self.kms_calls()]

    def inject_faults(self, *faults: Mapping[str, Any], seed: int | None = None) -> None:
        """Have the coming requests fail as AWS fails at times; without faults, have them served again.

        Args:
            faults: Each with ``kind``: throttle, quota, error, unavailable, delay, reset, lost answer, expired
                credentials, clock skew, access denied, disabled key; and as wanted ``service``, ``operation``,
                ``probability``, ``times``, ``seconds`` (delay), ``rate`` a second (quota), ``name`` (to count it by).
            seed: Makes the probabilities repeatable.

        Raises:
            ValueError: A kind is unknown.
        """
        self._ask(FAULTS_PATH, {"faults": [dict(fault) for fault in faults], "seed": seed}, ValueError)

    def injected_faults(self) -> dict[str, int]:
        """Return how many faults of each kind came since they were last planned."""
        injected: dict[str, int] = self._ask(FAULTS_PATH, {}, ValueError)["injected"]
        return injected

    def faulted_requests(self) -> list[dict[str, Any]]:
        """Return what faults came to: the ``kind``, the names of the request's ``operations``, its ``path``."""
        requests: list[dict[str, Any]] = self._ask(FAULTS_PATH, {}, ValueError)["requests"]
        return requests

    def retries(self) -> int:
        """Return how many requests since then were further attempts of an AWS SDK."""
        return int(self._ask(FAULTS_PATH, {}, ValueError)["retries"])

    def _role_session(self, role_arn: str, service: str | None, session_name: str) -> dict[str, str]:
        request = {"roleArn": role_arn, "service": service, "sessionName": session_name}
        return self._ask(SESSION_PATH, request, AssumeRoleRefused)

    def _ask(self, path: str, content: Mapping[str, Any], refusal: type[Exception]) -> dict[str, Any]:
        state, layout = self._server.state, self._server.layout
        return ask_server(state, layout, path, content, refusal)


def session_as(server: ServerState, layout: Layout, role: str, *, account: str, region: str) -> AwsSession:
    """Return a session of a role, which may trust the account, or one or more services only.

    Raises:
        AssumeRoleRefused: The role does not exist or trusts neither.
    """
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
    request = {"roleArn": arn, "service": None, "sessionName": "kms-patterns", "anyService": True}
    found = ask_server(server, layout, SESSION_PATH, request, AssumeRoleRefused)
    session = root_session(layout, port=server.port, region=region, root_key=found["AccessKeyId"])
    return replace(session, secret_access_key=found["SecretAccessKey"], session_token=found["SessionToken"])


def ask_server(
    state: ServerState, layout: Layout, path: str, content: Mapping[str, Any], refusal: type[Exception]
) -> dict[str, Any]:
    """Return what a server answers on one of its own paths; raise ``refusal`` with its message if it refuses."""
    headers = {"x-kms-patterns-token": state.token, "content-type": "application/json"}
    address = f"https://127.0.0.1:{state.port}{path}"
    request = urllib.request.Request(address, json.dumps(content).encode(), headers)
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(layout.authority)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    try:
        with opener.open(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except HTTPError as refused:
        raise refusal(json.load(refused)["message"]) from refused
