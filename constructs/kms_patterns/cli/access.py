"""``kms-patterns access``: the access proof on the command line."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kms_patterns.cli.failures import FINDING, Failed, errors_explained, print_or_write

if TYPE_CHECKING:
    from kms_patterns.access.matrix import Matrix
    from kms_patterns.access.sources import Sources

_FORMATS = click.Choice(["text", "markdown", "json", "html"])
_answered = click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text")
_REPORTS = click.Choice([*_FORMATS.choices, "sarif", "baseline"])
_RULES = click.Choice(["all", "AdministratorUsesKey", "OutsiderUsesKey", "VoidGrant", "WildcardOnKey"])


class _AssemblyOrCommand(click.Group):
    """A group whose first word may be an assembly: ``access cdk.out`` is short for ``access report cdk.out``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take a first word that is not a command as what ``report`` is about, its options included."""
        known = not args or args[0] in {"-h", "--help", *self.commands}
        return super().parse_args(ctx, args if known else ["report", *args])


@click.group(cls=_AssemblyOrCommand)
def access() -> None:
    """Tell who can do what to the keys and buckets of a CDK app, under which condition.

    ``kms-patterns access CDK_OUT`` is short for ``kms-patterns access report CDK_OUT``.

    A SOURCE is a cdk.out folder, a template in JSON or YAML, a folder of templates, a saved JSON report, a folder with
    a cdk.json (the working tree), a git revision of the app in the current folder, or live: the account itself.

    Exit codes: 0, nothing to object to; 1, what --fail or --fail-on asks about was found; 2, an error.
    """


def _inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a deployment would decide."""
    for option in (
        click.option("--profile", help="The AWS profile whose account the word live stands for."),
        click.option("--region", multiple=True, help="Region of stacks that name none; of live, several: a,b."),
        click.option("--account", help="The account of stacks that name none, twelve digits."),
        click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable that the synthesized app sees."),
        click.option("--parameter", multiple=True, metavar="[STACK:]NAME=VALUE", help="A template parameter's value."),
    ):
        command = option(command)
    return command


@access.command()
@click.argument("source", nargs=-1)
@click.option("--live", is_flag=True, help="Report on the account of --profile or of the environment's credentials.")
@click.option("--format", "form", type=_REPORTS, default="text", show_default=True, help="What to write.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write, instead of printing.")
@click.option("--stack", help="Only the resources of this stack.")
@click.option("--principal", multiple=True, help="Only these principals: an id, its end, or a pattern; repeatable.")
@click.option("--resource", multiple=True, help="Only these resources, likewise.")
@click.option("--action", multiple=True, help="Only these actions: kms:Decrypt, s3:Get*.")
@click.option("--fail-on", multiple=True, type=_RULES, help="Exit with 1 if this rule is broken; repeatable.")
@click.option(
    "--baseline", type=click.Path(dir_okay=False, path_type=Path), help="A file of findings accepted until a date."
)
@click.option("--crypto", is_flag=True, help="Instead: what of each key a quantum computer breaks; text or json.")
@_inputs
def report(
    source: Sequence[str],
    form: str,
    output: Path | None,
    *,
    live: bool,
    crypto: bool,
    baseline: Path | None,
    **options: Any,
) -> None:
    """Report on one SOURCE, or on several templates and assemblies together.

    As sarif: what least privilege objects to, for a code-scanning service. As baseline: the same as entries to complete
    with an owner, a reason and a last day; with --baseline FILE such findings do not fail until then.
    """
    from kms_patterns.access.questions.filters import filtered  # noqa: PLC0415 - so that --help need not load it
    from kms_patterns.access.questions.quantum_readiness import readiness_report  # noqa: PLC0415
    from kms_patterns.access.report.formats import render  # noqa: PLC0415

    if bool(source) == live:
        raise click.UsageError("give a SOURCE, or --live" if not live else "--live stands for the SOURCE")
    source = ["live"] if live else source
    rules, stack = options.pop("fail_on"), options.pop("stack")
    filters = {f"{name}s": options.pop(name) for name in ("principal", "resource", "action")}
    objections = form in {"sarif", "baseline"}
    if (crypto or objections) and (stack is not None or any(filters.values())):
        raise click.UsageError(f"{'--crypto' if crypto else form} takes no filter: it is of the whole SOURCE")
    if crypto and (form not in {"text", "json"} or rules):
        raise click.UsageError("--crypto is given as text or json, and takes no --fail-on")
    if baseline and not (rules or objections):
        raise click.UsageError("--baseline needs --fail-on, which it spares, or --format sarif or baseline")
    broken = False
    with errors_explained():
        sources = _sources(source, **options)
        if crypto:
            text = readiness_report(sources, source, form)
        elif rules or objections:
            matrix, text, broken = _reviewed(sources, source, form, rules, baseline)
        else:
            matrix = sources.matrix(source)
        if not objections and not crypto:
            text = render(filtered(matrix, stack=stack, **filters), form)
        print_or_write(text, output)
    if broken:
        sys.exit(FINDING)


def _reviewed(
    sources: "Sources", source: Sequence[str], form: str, rules: Sequence[str], baseline: Path | None
) -> tuple["Matrix", str, bool]:
    """Say what is objected to, and return the matrix, the objections in ``form``, and whether they fail."""
    from kms_patterns.access.baseline import as_baseline, judge, judgement_as_text, read_baseline  # noqa: PLC0415
    from kms_patterns.access.findings import reviewed  # noqa: PLC0415
    from kms_patterns.access.report.formats import as_sarif, violations_as_text  # noqa: PLC0415

    entries = read_baseline(baseline) if baseline else []
    matrix, found, files = reviewed(sources.model(source), sources.project)
    judged = judge(found, entries, datetime.now(UTC).date())
    asked = [item for item in found if item.rule in rules or "all" in rules]
    broken = [item for item in asked if item not in judged.known]
    text = as_baseline(asked if rules else found, judged.known) if form == "baseline" else ""
    text = as_sarif(found, files, accepted=judged.known) if form == "sarif" else text
    click.echo((violations_as_text(broken) if broken else "") + judgement_as_text(judged), nl=False, err=True)
    return replace(matrix, live=bool(sources.live)), text, bool(rules and (broken or judged.stale))


@access.command()
@click.argument("principal")
@click.argument("action")
@click.argument("resource")
@click.argument("source", nargs=-1)
@_answered
@_inputs
def explain(principal: str, action: str, resource: str, source: Sequence[str], form: str, **inputs: Any) -> None:
    """Say why PRINCIPAL can or cannot do ACTION on RESOURCE, policy by policy; SOURCE defaults to cdk.out.

    Exit code 1 if it cannot.
    """
    from kms_patterns.access.evaluate.simulator import simulator  # noqa: PLC0415
    from kms_patterns.access.questions.explanation import explain as explained  # noqa: PLC0415
    from kms_patterns.access.report.formats import render_explanation  # noqa: PLC0415

    with errors_explained():
        model = _sources(source, **inputs).model(source or ["cdk.out"])
        with simulator() as running:
            found = explained(model, running, (principal, action, resource))
        print_or_write(render_explanation(found, form))
    if not found.allowed:
        sys.exit(FINDING)


@access.command()
@click.argument("bucket")
@click.argument("source", nargs=-1)
@_answered
@_inputs
def readers(bucket: str, source: Sequence[str], form: str, **inputs: Any) -> None:
    """List who can read the objects of BUCKET, S3 and KMS joined; SOURCE defaults to cdk.out."""
    from kms_patterns.access.questions.filters import readers as found_readers  # noqa: PLC0415
    from kms_patterns.access.report.formats import render_readers  # noqa: PLC0415

    with errors_explained():
        found = found_readers(_sources(source, **inputs).matrix(source or ["cdk.out"]), bucket)
        print_or_write(render_readers(*found, form))


@access.command()
@click.argument("old")
@click.argument("new")
@click.option("--fail", is_flag=True, help="Exit with 1 if a principal gained access or a condition was widened.")
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True, help="What to write.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write, instead of printing.")
@click.option("--link", default="", help="Where the whole report is found; stands in the Markdown.")
@_inputs
def diff(old: str, new: str, form: str, output: Path | None, *, fail: bool, link: str, **inputs: Any) -> None:
    """Compare two SOURCEs: assemblies, templates, saved reports, working trees, git revisions."""
    from kms_patterns.access.evaluate.comparison import compare  # noqa: PLC0415
    from kms_patterns.access.report.formats import render_difference  # noqa: PLC0415

    with errors_explained():
        difference = compare(*_sources([old, new], **inputs).pair(old, new))
        print_or_write(render_difference(difference, form, link=_address(link)), output)
    if fail and difference.widens:
        sys.exit(FINDING)


def _sources(
    words: Sequence[str],
    *,
    parameter: Sequence[str],
    env: Sequence[str],
    account: str | None,
    region: Sequence[str],
    profile: str | None,
) -> "Sources":
    from kms_patterns.access.live.account import Account  # noqa: PLC0415
    from kms_patterns.access.project import is_project  # noqa: PLC0415
    from kms_patterns.access.sources import LIVE, Sources  # noqa: PLC0415
    from kms_patterns.access.templates.reading import Given  # noqa: PLC0415
    from kms_patterns.local.aws_session import reach_s3_control  # noqa: PLC0415

    regions = [name.strip() for word in region for name in word.split(",")]
    given, *_ = [Given(_pairs("--parameter", parameter), account, name) for name in regions or (None,)]
    if len(regions) > 1 and LIVE not in words:
        raise Failed(f"--region {','.join(regions)}: only the live account is read in several Regions")
    if profile is not None and LIVE not in words:
        raise Failed("--profile is of the live account: give --live, or live as a SOURCE")
    if env and all(Path(word).exists() and not is_project(Path(word)) for word in words):
        raise Failed("--env is of an app that is synthesized: no SOURCE is a folder with a cdk.json or a revision")
    live = Account(profile, regions) if LIVE in words else None
    if live:
        reach_s3_control(live.session)
    return Sources(None, given, live, _pairs("--env", env))


def _address(link: str) -> str:
    if link and not re.fullmatch(r"https://[A-Za-z0-9._~:/?#\[\]@!$&'*+,;=%-]+", link):
        raise Failed(f"--link {link} is not an https address")
    return link


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise Failed(f"{option} {word} is not NAME=VALUE")
        if name in found:
            raise Failed(f"{option} gives {name} twice")
        found[name] = value
    return found


@access.command()
def live_permissions() -> None:
    """Print the read-only permissions that reading a live account needs, as a policy."""
    from kms_patterns.access.live.asking import permissions  # noqa: PLC0415

    print_or_write(permissions())
