"""``kms-patterns bulk``: the executions of a BulkEnvelope, started, watched and redriven by its operator."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import boto3
import click

from kms_patterns.cli.failures import errors_explained, with_profile

_RUNNING: Final = {"RUNNING", "PENDING_REDRIVE"}
_PARTS: Final = 7  # of the ARN of a state machine


@click.group()
def bulk() -> None:
    """Start, watch and redrive executions of a BulkEnvelope."""


@bulk.command()
@click.argument("machine")
@click.option("--list", "listed", help="Key of a CSV file with a column Key, such as a list of failed objects.")
@click.option("--manifest", help="Key of the manifest of an S3 inventory.")
@click.option("--encoded-list", "encoded", help="Key of a list of what failed of such a manifest.")
@with_profile
def start(machine: str, listed: str | None, manifest: str | None, encoded: str | None, profile: str | None) -> None:
    """Start an execution of the state machine with the ARN MACHINE, and print its ARN."""
    named = {"list": listed, "manifest": manifest, "encodedList": encoded}
    given = {name: value for name, value in named.items() if value}
    if len(given) > 1:
        raise click.UsageError(
            "--list, --manifest and --encoded-list name several sources: give one, or none for a listing"
        )
    with errors_explained():
        started = _states(machine, profile).start_execution(stateMachineArn=machine, input=json.dumps(given))
    click.echo(started["executionArn"])


@bulk.command()
@click.argument("execution")
@click.option("--follow", is_flag=True, help="Print a line again and again until the execution ends.")
@click.option("--every", type=click.FloatRange(min=0.1), default=5, show_default=True, help="Seconds between lines.")
@with_profile
def status(execution: str, *, follow: bool, every: float, profile: str | None) -> None:
    """Say how far the execution with the ARN EXECUTION is; the status is 1 if it ended without success."""
    with errors_explained():
        states = _states(execution, profile)
        while True:
            found = states.describe_execution(executionArn=execution, includedData="METADATA_ONLY")
            click.echo(line(found, _map_run(states, execution), time.time()))
            if not follow or found["status"] not in _RUNNING:
                break
            time.sleep(every)
    if found["status"] not in {*_RUNNING, "SUCCEEDED"}:
        raise SystemExit(1)


@bulk.command()
@click.argument("execution")
@with_profile
def redrive(execution: str, profile: str | None) -> None:
    """Let the execution with the ARN EXECUTION, which failed or was stopped, do what is missing."""
    with errors_explained():
        _states(execution, profile).redrive_execution(executionArn=execution)
    click.echo(execution)


def line(execution: Mapping[str, Any], run: Mapping[str, Any] | None, now: float) -> str:
    """Return one line about an execution and its Map Run, if it has one by now."""
    if run is None:
        return f"{execution['status']}  no objects yet"
    counts = run["itemCounts"]
    done, failed = counts["succeeded"], counts["failed"] + counts["timedOut"]
    ended = run.get("stopDate")
    seconds = max((ended.timestamp() if ended else now) - run["startDate"].timestamp(), 0.001)
    rate = (done + failed) / seconds
    parts = [f"{done:,} of {counts['total']:,} objects in batches that succeeded", f"{failed:,} in failed batches"]
    parts += [f"{run['executionCounts']['running']:,} batches running", f"{rate:,.1f} objects a second"]
    left = counts["total"] - done - failed
    if execution["status"] in _RUNNING and rate and left:
        parts.append(f"{timedelta(seconds=round(left / rate))} left")
    return f"{execution['status']}  {', '.join(parts)}"


def _map_run(states: Any, execution: str) -> Mapping[str, Any] | None:
    runs = states.list_map_runs(executionArn=execution)["mapRuns"]
    if not runs:
        return None
    last = max(runs, key=lambda run: run["startDate"])["mapRunArn"]
    found: Mapping[str, Any] = states.describe_map_run(mapRunArn=last)
    return found


def _states(arn: str, profile: str | None) -> Any:
    parts = arn.split(":")
    if len(parts) < _PARTS or parts[2] != "states":
        raise click.UsageError(f"{arn} is not an ARN of Step Functions: give the whole ARN")
    client: Callable[..., Any] = boto3.Session(profile_name=profile).client
    return client("stepfunctions", region_name=parts[3])
