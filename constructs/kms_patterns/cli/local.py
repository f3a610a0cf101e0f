"""``kms-patterns local``: the embedded AWS by itself, for any boto3 program or CDK app."""

import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kms_patterns.local.daemon import Running

_NAME = click.option("--name", default="default", show_default=True, help="Which one; each is a world of its own.")
# Settings of the shell that would lead a program, or its credentials, past the embedded AWS.
_FOREIGN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")  # fmt: skip
_NOWHERE = {
    "AWS_ENDPOINT_URL": "https://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "not-running",
    "AWS_SECRET_ACCESS_KEY": "not-running",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_FOLLOW_SECONDS = 0.5
_DELAY_SECONDS = 10


class _Explained(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        from kms_patterns.local import StartFailed, daemon  # noqa: PLC0415

        try:
            return super().invoke(ctx)
        except (StartFailed, daemon.NotOurs) as error:
            if ctx.invoked_subcommand in {"env", "start"}:
                _lead_nowhere()
            raise click.ClickException(str(error)) from error


@click.group(cls=_Explained)
def local() -> None:
    """Run the embedded AWS by itself, for any boto3 program or CDK app."""


@local.command()
@_NAME
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Loopback port. Defaults to a free one.")
@click.option("--region", default="us-east-1", show_default=True, help="Region of its resources.")
@click.option("--account", default="000000000000", show_default=True, help="The 12 digits of its account.")
@click.option(
    "--persist", type=click.Path(path_type=Path, file_okay=False), help="Folder that keeps all until the next start."
)
@click.option(
    "--like-aws", type=click.Choice(["delays"]), multiple=True,
    help="delays: new grants, roles, rules and notifications of buckets do not work at once, but after 10 seconds.",
)  # fmt: skip
def start(name: str, port: int, region: str, account: str, *, persist: Path | None, like_aws: tuple[str, ...]) -> None:
    """Start the embedded AWS and print the environment that leads to it.

    With --port the address and the credentials are the same at every start.
    """
    from kms_patterns.local import daemon  # noqa: PLC0415

    if not (account.isdigit() and len(account) == 12):  # noqa: PLR2004 - AWS's length
        raise click.BadParameter(f"{account!r} does not have 12 digits", param_hint="--account")
    delay = _DELAY_SECONDS if "delays" in like_aws else 0
    _print_exports(daemon.start(name, port=port, region=region, account=account, persist=persist, delay=delay))


@local.command()
@_NAME
@click.option("--all", "every", is_flag=True, help="Stop all of this user.")
def stop(name: str, *, every: bool) -> None:
    """Stop the embedded AWS and remove all that it stored."""
    from kms_patterns.local import daemon  # noqa: PLC0415

    for one in daemon.names() if every else [name]:
        said = "stopped" if daemon.stop(one) else "was not running"
        click.echo(f"{one}: {said}" if every else said)


@local.command("list")
def list_() -> None:
    """List those that were started: name, address, account, Region, folder."""
    from kms_patterns.local import daemon  # noqa: PLC0415

    servers = list(filter(None, map(daemon.running, daemon.names())))
    if not servers:
        click.echo("none was started: kms-patterns local start", err=True)
    for found in servers:
        server = found.server
        where = f"https://127.0.0.1:{server.port} pid {server.pid}" if server else "ended"
        click.echo(f"{found.name}  {where}  {found.account}  {found.region}  {found.folder}")


@local.command()
@_NAME
def env(name: str) -> None:
    """Print the environment of the running one: ``eval "$(kms-patterns local env)"``.

    Without a running one it prints settings that lead nowhere, so that the shell does not stay at a real account.
    """
    from kms_patterns.local import daemon  # noqa: PLC0415

    variables = daemon.env(name)
    if variables is None:
        _lead_nowhere()
        raise click.ClickException("the embedded AWS is not running: `kms-patterns local start` starts it")
    _print_exports(variables)


@local.command()
@_NAME
@click.option("--denied", is_flag=True, help="Denied ones only.")
@click.option("--follow", is_flag=True, help="Wait for more until Ctrl-C.")
def calls(name: str, *, denied: bool, follow: bool) -> None:
    """Print every KMS call, and what other services denied: who, what, decided how, request id."""
    from kms_patterns.access.report.wording import visible_lines  # noqa: PLC0415
    from kms_patterns.local.inspection import line_of, recorded_calls  # noqa: PLC0415

    layout, seen = _running(name).layout, 0
    while True:
        found = recorded_calls(layout)
        for call in found[seen:]:
            if not denied or call["decision"] == "deny":
                click.echo(visible_lines(line_of(call)))
        seen = len(found)
        if not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


@local.command()
@_NAME
@click.argument("request_id")
def why(name: str, request_id: str) -> None:
    """Explain what was decided about a request: who, what, which statement decided, what is missing."""
    from kms_patterns.access.report.wording import visible_lines  # noqa: PLC0415
    from kms_patterns.local.inspection import explained, recorded_calls  # noqa: PLC0415

    found = [call for call in recorded_calls(_running(name).layout) if call.get("requestId") == request_id]
    if not found:
        raise click.ClickException(
            f"no recorded call has the request id {request_id}: `kms-patterns local calls` shows those that have one"
        )
    click.echo(visible_lines("\n\n".join(explained(call) for call in found)))


@local.command()
@_NAME
def page(name: str) -> None:
    """Print the address of a page with the same; who has the address may read it."""
    from kms_patterns.local.local_aws import PAGE_PATH  # noqa: PLC0415

    server = _running(name).server
    if server is not None:
        click.echo(f"https://127.0.0.1:{server.port}{PAGE_PATH}?token={server.token}")


@local.command("as", context_settings={"ignore_unknown_options": True})
@_NAME
@click.argument("role")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def as_(name: str, role: str, command: tuple[str, ...]) -> None:
    """Run COMMAND with the credentials of ROLE, a name or an ARN: ``local as app -- aws kms list-keys``.

    The role may trust the account or a service only.
    """
    from kms_patterns.local.local_aws import AssumeRoleRefused, session_as  # noqa: PLC0415

    found = _running(name)
    server = found.server
    if server is None:
        raise click.ClickException(f"the embedded AWS {name!r} has ended")
    try:
        session = session_as(server, found.layout, role, account=found.account, region=found.region)
    except AssumeRoleRefused as refused:
        raise click.ClickException(str(refused)) from refused
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    try:
        sys.exit(subprocess.run(command, env=kept | session.environment(), check=False).returncode)
    except OSError as error:
        raise click.ClickException(f"{command[0]} cannot be run: {error.strerror}") from error


@local.command()
@_NAME
@click.argument("function")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
def logs(name: str, function: str, *, follow: bool) -> None:
    """Print what a Lambda function wrote to CloudWatch Logs."""
    from kms_patterns.access.report.wording import visible_lines  # noqa: PLC0415
    from kms_patterns.local.local_aws import root_session  # noqa: PLC0415

    running = _running(name)
    server = running.server
    port = server.port if server else 0
    client = root_session(running.layout, port=port, region=running.region, root_key=running.root_key).client("logs")
    seen = Counter[str]()
    while True:
        try:
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
            events = [event for page in pages for event in page["events"]]
        except client.exceptions.ResourceNotFoundException as missing:
            if not follow:
                said = f"the function {function} has not written any log yet, or does not exist"
                raise click.ClickException(said) from missing
            events = []
        counted = Counter[str]()
        for event in events:
            # The emulator numbers no events: those of a stream stay in their order.
            stream = event["logStreamName"]
            counted[stream] += 1
            if counted[stream] > seen[stream]:
                click.echo(visible_lines(event["message"].rstrip("\n")))
        seen = counted
        if not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def _running(name: str) -> "Running":
    from kms_patterns.local import daemon  # noqa: PLC0415

    found = daemon.running(name)
    if found is None or found.server is None:
        raise click.ClickException("the embedded AWS is not running: `kms-patterns local start` starts it")
    return found


def _print_exports(variables: Mapping[str, str]) -> None:
    of_services = [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")]
    unset = [name for name in (*_FOREIGN, *of_services) if name not in variables]
    click.echo(f"unset {' '.join(unset)}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _lead_nowhere() -> None:
    # What `eval` runs must not leave the shell where it was: that may be a real account.
    if not sys.stdout.isatty():
        _print_exports(_NOWHERE)
        click.echo("false")
