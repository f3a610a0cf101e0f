"""Where matrices come from: assemblies, saved JSON, and git revisions of the app in the current folder."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.read.project import app_command
from kms_patterns.toolchain import ToolMissing, node_executable


class SynthesisFailed(RuntimeError):
    """The app of a git revision could not be read from git or synthesized; the message holds its output."""


def load(source: str, *, project: Path | None = None) -> AccessMatrix:
    """Return the matrix of a ``cdk.out`` folder, a template, a saved JSON report, or a git revision.

    A revision's app is synthesized in a temporary folder by the interpreter that runs this, with the same environment.

    Args:
        source: A path, or a revision of the repository that holds ``project``.
        project: The CDK app's folder, the current one if left out.

    Raises:
        NotAnAssembly: The path is none of these.
        NotAMatrix: The file is JSON, but neither a template nor a report of this version.
        SynthesisFailed: There is no such path or revision, or the revision's app fails.
    """
    path = Path(source)
    folder = project or Path.cwd()
    if path.is_dir():
        return AccessMatrix.from_assembly(path, project=project)
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        return (
            AccessMatrix.from_assembly(path, project=project) if '"Resources"' in text else AccessMatrix.from_json(text)
        )
    with tempfile.TemporaryDirectory(prefix="kms-patterns-access-") as temporary:
        return AccessMatrix.from_assembly(_synthesized(source, folder, Path(temporary)), project=folder)


def _synthesized(revision: str, folder: Path, temporary: Path) -> Path:
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode()
    checkout = temporary / "checkout"
    checkout.mkdir()
    with tarfile.open(fileobj=io.BytesIO(_git(top, "archive", "--format=tar", commit.strip()))) as archive:
        archive.extractall(checkout, filter="data")
    app = checkout / folder.resolve().relative_to(top.resolve())
    output = temporary / "cdk.out"
    command, context = app_command(app)
    done = subprocess.run(  # noqa: S602 - "app" of cdk.json is a shell command line, as for the CDK itself
        command,
        cwd=app,
        env=_environment(checkout, output, context),
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not (output / "manifest.json").is_file():
        raise SynthesisFailed(f"`{command}` of revision {revision} failed with code {done.returncode}:\n{done.stderr}")
    return output


def _git(folder: Path, *words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)  # noqa: S607
    if done.returncode != 0:
        raise SynthesisFailed(
            f"neither a path nor a git revision of {folder}: git {' '.join(words)}: {done.stderr.decode().strip()}"
        )
    return done.stdout


def _environment(checkout: Path, output: Path, context: str) -> dict[str, str]:
    """The app's own source roots come from its revision, its dependencies from this interpreter."""
    roots = [str(checkout / root) for root in ("constructs", "lambda", "src", ".") if (checkout / root).is_dir()]
    variables = {
        **os.environ,
        "CDK_OUTDIR": str(output),
        "CDK_CONTEXT_JSON": context,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    try:
        return {"JSII_NODE": str(node_executable()), **variables}
    except ToolMissing:
        return variables
