"""``kms-patterns keys``: the keys of an account, which of them no principal used, and what they cost."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from kms_patterns.cli.failures import errors_explained, with_profile

if TYPE_CHECKING:
    from kms_patterns.access.live.key_inventory import KeyRecord

_READ = "Reads only; 'kms-patterns keys permissions' prints what it asks for."


@click.group()
def keys() -> None:
    """List the customer managed KMS keys of an account, the unused ones, and their cost."""


def _where(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
        with_profile,
        click.option(
            "--region", "regions", multiple=True, help="A Region; may be repeated. Defaults to the profile's."
        ),
        click.option("--all-regions", is_flag=True, help="Every Region that is enabled for the account."),
    ):
        command = option(command)
    return command


@keys.command(
    "list", help=f"List each key: state, stack, last use, cost, and statements of principals that are gone. {_READ}"
)
@_where
def list_keys(form: str, **where: Any) -> None:
    """List each key."""
    records = _records(**where)
    if form == "json":
        _json([record.as_json() for record in records])
        return
    for record in records:
        click.echo(f"{record.arn}  {record.state}  {record.spec}  ${record.dollars:g} a month")
        for line in _details(record):
            _echo(f"    {line}")
    click.echo(_sum(records))


@keys.command(help=f"List the keys that were not used for some days; a use is recorded up to an hour late. {_READ}")
@click.option("--days", type=click.IntRange(min=1), default=90, show_default=True)
@_where
def unused(form: str, days: int, **where: Any) -> None:
    """List the keys that were not used for some days."""
    now = datetime.now(UTC)
    found = [(record, why) for record in _records(**where) if (why := record.unused_for(days, now))]
    if form == "json":
        _json([{**record.as_json(), "unused": why} for record, why in found])
        return
    for record, why in found:
        _echo(f"{record.arn}  {', '.join(record.aliases) or record.stack or 'no alias'}  {why}")
    click.echo(
        f"{len(found)} keys unused for {days} days. Data under such a key can only be decrypted while it exists: "
        "disable it first, and watch for refusals."
    )


@keys.command(help=f"Say what the keys cost a month, calls apart, at the prices of us-east-1. {_READ}")
@_where
def cost(form: str, **where: Any) -> None:
    """Say what the keys cost a month."""
    records = _records(**where)
    by_stack: dict[str, float] = {}
    for record in records:
        by_stack[record.stack] = by_stack.get(record.stack, 0) + record.dollars
    total = sum(by_stack.values())
    if form == "json":
        _json({"dollars_a_month": total, "by_stack": by_stack, "prices": "https://aws.amazon.com/kms/pricing/"})
        return
    for stack, dollars in sorted(by_stack.items()):
        _echo(f"${dollars:g} a month  {stack or 'of no stack'}")
    click.echo(_sum(records))


@keys.command()
def permissions() -> None:
    """Print the read-only permissions that these commands need, as a policy."""
    from kms_patterns.access.live.key_inventory import ACTIONS  # noqa: PLC0415

    statement = {"Sid": "ReadKeys", "Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}
    _json({"Version": "2012-10-17", "Statement": [statement]})


def _records(profile: str | None, regions: Sequence[str], *, all_regions: bool) -> "list[KeyRecord]":
    from kms_patterns.access.live.account import Account  # noqa: PLC0415
    from kms_patterns.access.live.asking import Notes, ask, is_unreadable  # noqa: PLC0415
    from kms_patterns.access.live.key_inventory import inventory  # noqa: PLC0415

    notes, found = Notes(), []
    with errors_explained():
        account = Account(profile, regions[:1])
        names = list(regions) or [account.region]
        if all_regions:
            ec2 = account.session.client("ec2")
            enabled = ask("ec2:DescribeRegions", ec2.describe_regions, notes.add, what="the Regions")
            names = [account.region] if is_unreadable(enabled) else [it["RegionName"] for it in enabled["Regions"]]
        for name in sorted(names):
            for record in inventory(account.session, name, account.account, notes):
                found.append(record)
                if sys.stderr.isatty():
                    click.echo(f"\r{name}: {len(found)} keys", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo(err=True)
    for what, why in notes.found:
        _echo(f"not read: {what}: {why}", err=True)
    return found


def _details(record: "KeyRecord") -> list[str]:
    used = record.last_used or (f"no use since {record.tracked_since[:10]}" if record.tracked_since else "not known")
    owner = [f"stack {record.stack}" + (", which does not exist any more" if record.stack_gone else "")]
    return [
        *(["aliases " + ", ".join(record.aliases)] if record.aliases else []),
        *(owner if record.stack else []),
        f"last used: {used}",
        *([] if record.rotates is None else [f"rotation {'on' if record.rotates else 'off'}"]),
        *(f"dead statement {text}" for text in record.dead_statements),
        *(f"not read: {text}" for text in record.not_read),
    ]


def _sum(records: "Sequence[KeyRecord]") -> str:
    total = sum(record.dollars for record in records)
    return f"{len(records)} keys, ${total:g} a month (https://aws.amazon.com/kms/pricing/, us-east-1, without calls)"


def _echo(text: str, *, err: bool = False) -> None:
    """Print what key policies, tags and AWS's messages hold, so that it neither hides nor forges a line."""
    from kms_patterns.access.report.wording import visible_lines  # noqa: PLC0415

    click.echo(visible_lines(text.replace("\n", r"\n")), err=err)


def _json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))
