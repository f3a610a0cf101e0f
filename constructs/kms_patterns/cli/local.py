"""``kms-patterns local``: the embedded AWS by itself, for any boto3 program or CDK app."""

import shlex

import click


@click.group()
def local() -> None:
    """Run the embedded AWS by itself, for any boto3 program or CDK app."""


@local.command()
def start() -> None:
    """Start the embedded AWS and print the environment that leads to it."""
    from kms_patterns.local import StartFailed, daemon  # noqa: PLC0415

    try:
        _print_exports(daemon.start())
    except (StartFailed, daemon.NotOurs) as error:
        raise click.ClickException(str(error)) from error


@local.command()
def stop() -> None:
    """Stop the embedded AWS and remove all that it stored."""
    from kms_patterns.local import daemon  # noqa: PLC0415

    click.echo("stopped" if daemon.stop() else "was not running")


@local.command()
def env() -> None:
    """Print the environment of the running one: ``eval "$(kms-patterns local env)"``."""
    from kms_patterns.local import daemon  # noqa: PLC0415

    variables = daemon.env()
    if variables is None:
        raise click.ClickException("the embedded AWS is not running: `kms-patterns local start` starts it")
    _print_exports(variables)


def _print_exports(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
