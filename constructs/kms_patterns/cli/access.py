"""``kms-patterns access``: the access proof on the command line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

_FORMATS = click.Choice(["text", "markdown", "json", "html"])


class _AssemblyOrCommand(click.Group):
    """A group whose first word may be an assembly: ``access cdk.out`` is short for ``access report cdk.out``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take an unknown first word as the argument of ``report``."""
        known = args and self.get_command(ctx, args[0]) is not None
        return super().resolve_command(ctx, args if known else ["report", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let options of ``report`` stand before the assembly, too."""
        if args and args[0].startswith("-") and args[0] not in {"-h", "--help"}:
            args = ["report", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_AssemblyOrCommand)
def access() -> None:
    """Tell who can do what to the keys and buckets of a CDK app, under which condition.

    ``kms-patterns access CDK_OUT`` is short for ``kms-patterns access report CDK_OUT``.
    """


@access.command()
@click.argument("assembly", metavar="CDK_OUT")
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True, help="What to write.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write, instead of printing.")
@click.option("--stack", help="Only the resources of this stack.")
def report(assembly: str, form: str, output: Path | None, stack: str | None) -> None:
    """Report on one assembly: a cdk.out folder, a template, a saved JSON report or a git revision."""
    from kms_patterns.access.read.sources import load  # noqa: PLC0415
    from kms_patterns.access.report.formats import render  # noqa: PLC0415 - so that --help need not load the reports

    with _errors_explained():
        matrix = load(assembly)
        text = render(matrix.of_stack(stack) if stack else matrix, form)
    _write(text, output)


@access.command()
@click.argument("old")
@click.argument("new")
@click.option("--fail", is_flag=True, help="Exit with 1 if anybody gained access or a condition was widened.")
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True, help="What to write.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write, instead of printing.")
def diff(old: str, new: str, form: str, output: Path | None, *, fail: bool) -> None:
    """Compare two assemblies, saved JSON reports or git revisions of the app in this folder."""
    from kms_patterns.access.evaluate.comparison import compare  # noqa: PLC0415
    from kms_patterns.access.read.sources import load  # noqa: PLC0415
    from kms_patterns.access.report.formats import render_difference  # noqa: PLC0415

    with _errors_explained():
        difference = compare(load(old), load(new))
        text = render_difference(difference, form)
    _write(text, output)
    if fail and difference.widens:
        sys.exit(1)


@contextmanager
def _errors_explained() -> Iterator[None]:
    from kms_patterns.access.evaluate.simulator import SimulationFailed  # noqa: PLC0415
    from kms_patterns.access.read.assembly import NotAnAssembly  # noqa: PLC0415
    from kms_patterns.access.read.sources import SynthesisFailed  # noqa: PLC0415
    from kms_patterns.access.report.matrix_json import NotAMatrix  # noqa: PLC0415
    from kms_patterns.toolchain import ToolMissing  # noqa: PLC0415

    try:
        yield
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is missing: install cdk-kms-patterns[access]") from error
    except (NotAnAssembly, NotAMatrix, SimulationFailed, SynthesisFailed, ToolMissing, KeyError) as error:
        raise click.ClickException(str(error.args[0] if isinstance(error, KeyError) else error)) from error


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
