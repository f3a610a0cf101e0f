"""How a CDK project is synthesized: its command, its context, and an environment without anyone's credentials."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kms_patterns.access.templates.reading import Given
from kms_patterns.toolchain import ToolMissing, node_executable

_PASSED = (
    "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "SYSTEMROOT", "COMSPEC", "PATHEXT", "VIRTUAL_ENV", "SOURCE_DATE_EPOCH",
)  # fmt: skip
_PASSED_PREFIXES = ("LC_", "JSII_", "NODE_COMPILE_CACHE")
_LONGEST = 20_000
"""Bytes of what an app printed last that an error holds."""
_ATTRIBUTES = "* -text -eol -ident -filter -working-tree-encoding -diff -merge\n"
"""Overrides every ``.gitattributes``: files are written as they are in the commit, byte for byte."""


class SynthesisFailed(RuntimeError):
    """The app of a folder or git revision cannot be read or synthesized; the message holds its output."""


def app_command(folder: Path) -> tuple[str, str]:
    """Return the app's command line and its context as JSON text, from ``cdk.json``; ``python app.py`` without one.

    Args:
        folder: The folder that holds ``cdk.json`` and, if look-ups were cached, ``cdk.context.json``.

    Raises:
        SynthesisFailed: One of the two is not a JSON object.
    """
    settings = _settings(folder / "cdk.json")
    context = {**_settings(folder / "cdk.context.json"), **settings.get("context", {}), "aws:cdk:bundling-stacks": []}
    return str(settings.get("app", "python app.py")), json.dumps(context)


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SynthesisFailed(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("context", {}), dict):
        raise SynthesisFailed(f"{path} is not an object with an object as context")
    return found


def is_project(folder: Path) -> bool:
    """Return whether ``folder`` holds a CDK app and is not itself a synthesized assembly."""
    return (folder / "cdk.json").is_file() and not (folder / "manifest.json").is_file()


@contextmanager
def synthesized(app: Path, given: Given, variables: Mapping[str, str], *, what: str) -> Iterator[Path]:
    """Synthesize the app in ``app`` and yield its assembly, for as long as the context lasts.

    The app runs with the rights of this process, but sees none of its environment: no token, no AWS credential, no home
    folder; only the search path, language and time zone, and ``variables``.

    Args:
        app: The folder of the app.
        given: ``account`` and ``region`` become ``CDK_DEFAULT_ACCOUNT`` and ``CDK_DEFAULT_REGION``.
        variables: Further environment variables of the app.
        what: What an error calls the app.

    Raises:
        SynthesisFailed: The app fails, or leaves no assembly.
    """
    command, context = app_command(app)
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary, "cdk.out")
        home = Path(temporary, "home")
        home.mkdir()
        done = subprocess.run(  # noqa: S602 - "app" of cdk.json is a shell command line, as for the CDK itself
            command,
            cwd=app,
            env=_environment(app, home, given) | {"CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": context, **variables},
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0 or not (output / "manifest.json").is_file():
            said = done.stderr[-_LONGEST:].decode(errors="replace").strip() or "it wrote no assembly to CDK_OUTDIR"
            raise SynthesisFailed(f"`{command}` of {what} failed with code {done.returncode}:\n{said}")
        yield output


def _environment(app: Path, home: Path, given: Given) -> dict[str, str]:
    """The app's own source roots come from its checkout, its dependencies from this interpreter."""
    top = next((folder for folder in (app, *app.parents) if (folder / ".git").exists()), app)
    roots = [str(top / root) for root in ("constructs", "lambda", "src", ".") if (top / root).is_dir()]
    passed = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    found = {
        **passed,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(roots),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with suppress(ToolMissing):
        found = {"JSII_NODE": str(node_executable()), **found}
    if "JSII_RUNTIME_PACKAGE_CACHE_ROOT" not in found:
        found["JSII_RUNTIME_PACKAGE_CACHE_ROOT"] = str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache")
    if given.account:
        found["CDK_DEFAULT_ACCOUNT"] = given.account
    if given.region:
        found["CDK_DEFAULT_REGION"] = given.region
    return found


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """Check a git revision out as it was committed, and yield the place of ``folder`` in it, while the context lasts.

    It is an ordinary checkout, with a ``.git`` of its own, so an app cannot tell it from another clone by that. No
    attribute, filter or hook of the revision or of the user applies. The repository of ``folder`` is only read.

    Args:
        revision: Whatever git takes for a commit.
        folder: The CDK app's folder in a repository's work tree.

    Raises:
        SynthesisFailed: The repository, the revision, the folder in it, or a commit of a submodule does not exist.
    """
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel"))
        commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except SynthesisFailed as error:
        raise SynthesisFailed(f"{revision} is neither a path nor a git revision of {folder}") from error
    temporary = Path(tempfile.mkdtemp())
    try:
        checkout = temporary / top.name
        _write(top, commit, checkout)
        place = checkout / folder.resolve().relative_to(top.resolve())
        if not place.is_dir() or not place.resolve().is_relative_to(checkout.resolve()):
            raise SynthesisFailed(f"revision {revision} has no folder {place.relative_to(checkout)}")
        yield place
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(source: Path, commit: str, checkout: Path) -> None:
    """Check out a commit of the repository ``source``, and the submodules that it names from those of the work tree."""
    objects = Path(source, _git(source, "rev-parse", "--git-path", "objects")).resolve()
    kind = _git(source, "rev-parse", "--show-object-format")
    _git(source, "init", "--quiet", "--template=", f"--object-format={kind}", str(checkout))
    information = checkout / ".git" / "info"
    information.mkdir(exist_ok=True)
    (information / "attributes").write_text(_ATTRIBUTES)
    (checkout / ".git" / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    _git(checkout, "checkout", "--quiet", "--detach", commit)
    for entry in _git(checkout, "ls-tree", "-rz", commit).split("\0"):
        kind, _, path = entry.partition("\t")
        if kind.startswith("160000"):
            try:
                _write(source / path, kind.split()[-1], checkout / path)
            except SynthesisFailed as error:
                missing = f"submodule {path} at {kind.split()[-1]} is not here: run `git submodule update --init`"
                raise SynthesisFailed(missing) from error


def _git(folder: Path, *words: str) -> str:
    plain = ("core.hooksPath=/dev/null", "core.autocrlf=false", "core.fsmonitor=false", "core.attributesFile=/dev/null")
    options = [word for setting in plain for word in ("-c", setting)]
    # In a hook, git's variables name the repository and index of the commit that is being made.
    environment = {name: it for name, it in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    command = ["git", "-C", str(folder), *options, *words]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise SynthesisFailed(f"git {' '.join(words)} in {folder}: {said}")
    return done.stdout.decode(errors="replace").strip()
