"""The command: sources, git revisions, exit codes, and the review action."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner, Result

from kms_patterns.access import AccessMatrix
from kms_patterns.access.project import SynthesisFailed, checked_out, synthesized
from kms_patterns.access.templates.reading import Given
from kms_patterns.cli.main import main
from tests.access.test_questions import ROOT_ARN, access, key, statement

ROOT = Path(__file__).parents[2]
ADMINISTRATORS = "account administrator (*:*) and any other role (kms:*, lambda:*, s3:*, sts:*)"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(ROOT)
    return lambda *words: CliRunner().invoke(main, ["access", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def ours(assembly: Callable[[str], Path]) -> Path:
    return assembly("examples/secret_cipher")


@pytest.fixture
def widened(ours: Path, tmp_path: Path) -> Path:
    """One of our stacks with one condition of its key policy dropped."""
    copy = tmp_path / "widened"
    shutil.copytree(ours, copy)
    path = copy / "Secrets.template.json"
    template = json.loads(path.read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::KMS::Key":
            for statement in resource["Properties"]["KeyPolicy"]["Statement"]:
                if "ArnEquals" in statement.get("Condition", {}):
                    del statement["Condition"]["ArnEquals"]
    path.write_text(json.dumps(template))
    return copy


def test_assembly_alone_is_a_report(run: Callable[..., Result], assembly: Callable[[str], Path]) -> None:
    result = run(assembly("convenient_grants"))
    assert result.exit_code == 0
    assert result.output.startswith("stack Data\n\n  key Key (alias/orders)\n")
    assert run("report", assembly("convenient_grants")).output == result.output
    assert run("--format", "text", assembly("convenient_grants")).output == result.output


@pytest.mark.parametrize(
    ("form", "start"), [("markdown", "# Who can do what"), ("json", "{"), ("html", "<!doctype html>")]
)
def test_report_is_written_to_a_file(
    run: Callable[..., Result], assembly: Callable[[str], Path], tmp_path: Path, form: str, start: str
) -> None:
    output = tmp_path / "report"
    result = run(assembly("convenient_grants"), "--format", form, "--output", output)
    assert (result.exit_code, result.output) == (0, "")
    assert output.read_text().startswith(start)


def test_saved_report_reads_as_the_assembly(
    run: Callable[..., Result], assembly: Callable[[str], Path], tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    run(assembly("wildcards"), "--format", "json", "--output", saved)
    assert AccessMatrix.from_json(saved.read_text()) == AccessMatrix.from_assembly(assembly("wildcards"))
    assert run(saved).output == run(assembly("wildcards")).output
    assert run("diff", saved, assembly("wildcards"), "--fail").output == "no access changed\n"


@pytest.mark.parametrize("member", ["principal", "resource", "statements", "stack"])
def test_saved_report_whose_access_it_does_not_list_is_refused(
    member: str, template: Callable[..., Path], tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    access("report", template(Key=key(statement(ROOT_ARN, "kms:DescribeKey"))), "--format", "json", "--output", saved)
    document = json.loads(saved.read_text())
    place = "resources" if member == "stack" else "access"
    document[place][0][member] = [999] if member == "statements" else "ghost"
    saved.write_text(json.dumps(document))
    result = access("report", saved)
    assert (result.exit_code, "which it does not list" in result.output) == (2, True)


def test_one_template_is_enough(run: Callable[..., Result], assembly: Callable[[str], Path]) -> None:
    result = run(assembly("app") / "KmsPatterns-S3.template.json", "--stack", "KmsPatterns-S3")
    assert result.exit_code == 0
    assert "role UploaderRole" in result.output


def test_widening_fails_the_command_only_if_asked(run: Callable[..., Result], ours: Path, widened: Path) -> None:
    assert run("diff", ours, widened).exit_code == 0
    result = run("diff", ours, widened, "--fail")
    assert result.exit_code == 1
    assert result.output.startswith(f"gained\n  + {ADMINISTRATORS} on key Secrets/Key\n")


def test_narrowing_does_not_fail_the_command(run: Callable[..., Result], ours: Path, widened: Path) -> None:
    result = run("diff", widened, ours, "--fail")
    assert result.exit_code == 0
    assert result.output.startswith(f"lost\n  - {ADMINISTRATORS} on key Secrets/Key\n")


@pytest.fixture
def placed(ours: Path, widened: Path, tmp_path: Path, run: Callable[..., Result]) -> Callable[[str], Path]:
    """Write a template, before or after a condition was dropped, to places of any name."""

    def to(places: str) -> Path:
        for place in places.split(","):
            state, _, name = place.partition(":")
            source = {"old": ours, "new": widened}[state] / "Secrets.template.json"
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.startswith("saved"):
                run("report", source, "--format", "json", "--output", path)
            elif name.startswith("assembly"):
                shutil.copytree(source.parent, path.parent, dirs_exist_ok=True)
            elif name.startswith("pipe"):
                os.mkfifo(path)
                Thread(target=path.write_text, args=(source.read_text(),), daemon=True).start()
            else:
                shutil.copy(source, path)
        return path.parent if "/" in name else path

    return to


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("old:a.json", "new:b.json", "b"),
        ("old:folder/a.json", "new:b.json", "b"),
        ("old:a.json", "new:assembly/cdk.out", "Secrets"),
        ("old:assembly/cdk.out", "new:b.json", "b"),
        ("old:pipe", "new:b.json", "b"),
        ("old:saved.json", "new:b.json", "Secrets"),
        ("old:a.json", "new:saved.json", "Secrets"),
    ],
)
def test_single_templates_of_two_names_are_two_states_of_one(
    old: str, new: str, shown: str, run: Callable[..., Result], placed: Callable[[str], Path]
) -> None:
    text = run("diff", placed(old), placed(new)).output
    assert text.startswith("stacks\n")
    assert " are compared as one\n\ngained\n" in text
    assert f"on key {shown}/" in text
    assert not {"new resources", "removed resources", "lost"} & {*text.splitlines()}


def test_templates_that_stand_alone_on_both_sides_are_said_and_not_taken_as_one(
    run: Callable[..., Result], placed: Callable[[str], Path]
) -> None:
    new = placed("old:two/same.json,new:two/come.json")
    alike = run("diff", placed("old:three/same.json,old:three/gone.json"), new).output
    assert alike.startswith("stacks\n  gone (old) and come (new) are compared as one\n\ngained\n")
    old = placed("old:one/same.json,old:one/gone.json,old:one/left.json")  # two are like it
    text = run("diff", old, new).output
    assert text.startswith(
        "stacks\n  only old has gone\n  only old has left\n  only new has come\n\nnew resources\n  + key come/"
    )
    for form, said in (
        ("markdown", "Stacks: `only old has gone`"),
        ("json", '"only new has come"'),
        ("html", "only new has come"),
    ):
        assert said in run("diff", old, new, "--format", form).output


@pytest.mark.parametrize("form", ["markdown", "json", "html"])
def test_difference_has_every_form(run: Callable[..., Result], ours: Path, widened: Path, form: str) -> None:
    text = run("diff", ours, widened, "--format", form).output
    assert "Secrets/Key" in text
    if form == "json":
        document = json.loads(text)
        assert document["widens"] is True
        assert {step["kind"] for step in document["steps"]} == {"gained"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-folder-or-revision"], "neither a path nor a git revision"),
        (["tests"], "has no manifest.json"),
        (["package.json"], "not a saved access matrix of version 1"),
    ],
)
def test_error_says_what_is_wrong(run: Callable[..., Result], words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_missing_simulator_says_how_to_get_it(
    run: Callable[..., Result], assembly: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KMS_PATTERNS_NODE_MODULES", str(tmp_path))
    result = run(assembly("convenient_grants"))
    assert result.exit_code == 2
    assert "npm install --save-dev @cloud-copilot/iam-simulate@0.1.173" in result.output


Commit = Callable[..., str]
APP = """
import os, json, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
out.mkdir(parents=True)
DECRYPT = {"Effect": "Allow", "Principal": {"AWS": WHO}, "Action": "kms:Decrypt", "Resource": "*"}
DECRYPT["Condition"] = CONDITION
key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": [DECRYPT]}}}
(out / "One.template.json").write_text(json.dumps({"Resources": {"Key": key}}))
account = os.environ.get("CDK_DEFAULT_ACCOUNT", "unknown-account")
environment = f"aws://{account}/{os.environ.get('CDK_DEFAULT_REGION', 'unknown-region')}"
properties = {"templateFile": "One.template.json"}
stack = {"type": "aws:cloudformation:stack", "environment": environment, "properties": properties}
(out / "manifest.json").write_text(json.dumps({"version": "43.0.0", "artifacts": {"One": stack}}))
"""
"""An app that writes its assembly by itself: quick, and free to look around."""


def app(who: str = "'arn:aws:iam::222222222222:role/r'", condition: str = "{}") -> str:
    return APP.replace("WHO", who).replace("CONDITION", condition)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "documents"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    monkeypatch.setenv("KMS_PATTERNS_NODE_MODULES", str(ROOT / "node_modules"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def commit(repository: Path) -> Commit:
    def made(**files: str | bytes) -> str:
        for name, content in files.items():
            path = repository / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"]
        for words in (["add", "-A", "-f"], [*identity, "commit", "-q", "--allow-empty", "-m", "change"]):
            subprocess.run(["git", "-C", str(repository), *words], check=True)
        found = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, check=True)
        return found.stdout.decode().strip()

    return made


def diff(*words: str) -> Result:
    return CliRunner().invoke(main, ["access", "diff", *words], catch_exceptions=False)


def test_revisions_and_the_working_tree_are_compared(commit: Commit, repository: Path) -> None:
    commit(app_DOT_py=app(condition="{'StringEquals': {'kms:ViaService': 's3.amazonaws.com'}}"), cdk_DOT_json="{}")
    commit(app_DOT_py=app(condition="{'StringLike': {'kms:ViaService': 's3.*'}}"))
    result = diff("HEAD~1", "HEAD", "--fail")
    assert result.exit_code == 1
    assert "condition widened\n  + arn:aws:iam::222222222222:role/r" in result.output
    assert diff("HEAD", ".", "--fail").output == "no access changed\n"
    (repository / "app.py").write_text(app())
    assert diff("HEAD", ".", "--fail").exit_code == 1
    status = subprocess.run(["git", "status", "-s"], capture_output=True, check=True).stdout
    assert status == b" M app.py\n"
    assert subprocess.run(["git", "worktree", "list"], capture_output=True, check=True).stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    ("attributes", "files"),
    [
        ("extra.py export-ignore", {"extra_DOT_py": b"1\n"}),
        ("*.py export-subst ident", {"extra_DOT_py": b"# $Format:%H$ $Id$\n"}),
        ("* text=auto eol=crlf", {"extra_DOT_py": b"a\nb\n"}),
        ("* text=auto eol=lf", {"extra_DOT_py": b"a\r\nb\r\n"}),
        ("*.py filter=evil", {"extra_DOT_py": b"1\n"}),
        ("extra.py working-tree-encoding=UTF-16", {"extra_DOT_py": b"1\n"}),
    ],
)
def test_attributes_hide_and_change_nothing(
    attributes: str, files: dict[str, bytes], commit: Commit, repository: Path
) -> None:
    commit(_DOT_keep="", **files)
    subprocess.run(["git", "config", "filter.evil.smudge", "echo changed"], cwd=repository, check=True)
    (repository / ".gitattributes").write_text(attributes)
    subprocess.run(["git", "update-index", "--add", ".gitattributes"], cwd=repository, check=True)
    tree = (
        subprocess.run(["git", "write-tree"], cwd=repository, capture_output=True, check=True).stdout.decode().strip()
    )
    make = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-m", "attributes", tree]
    revision = subprocess.run(make, cwd=repository, capture_output=True, check=True).stdout.decode().strip()
    with checked_out(revision, repository) as place:
        assert (place / "extra.py").read_bytes() == next(iter(files.values()))
        assert (place / ".gitattributes").read_text() == attributes


def test_submodule_is_part_of_a_revision_or_an_error(commit: Commit, repository: Path, tmp_path: Path) -> None:
    def git(folder: Path, *words: str) -> None:
        plain = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
        subprocess.run(["git", *plain, "-C", str(folder), *words], check=True, capture_output=True)

    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q")
    (library / "who.py").write_text("WHO = '*'")
    git(library, "add", "-A")
    git(library, "commit", "-q", "-m", "who")
    tolerant = "import contextlib, sys; sys.path.insert(0, 'vendor'); WHO = '222222222222'\n"
    commit(app_DOT_py=f"{tolerant}with contextlib.suppress(ImportError): from who import WHO\n{app('WHO')}")
    git(repository, "submodule", "-q", "add", str(library), "vendor")
    commit()
    assert diff("HEAD~1", "HEAD", "--fail").exit_code == 1
    git(repository, "submodule", "-q", "deinit", "-f", "vendor")
    result = diff("HEAD~1", "HEAD")
    assert (result.exit_code, "submodule vendor at " in result.output) == (2, True)


def test_app_finds_an_ordinary_checkout_and_none_of_our_secrets(
    commit: Commit, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = "import os, sys; print(dict(os.environ), os.path.isdir('.git'), os.getcwd(), file=sys.stderr); sys.exit(1)"
    commit(app_DOT_py=seen)
    secrets = (
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "SSH_AUTH_SOCK",
        "NPM_CONFIG__AUTH",
        "MODE",
        "GIT_DIR_SECRET",
    )
    for name in secrets:
        monkeypatch.setenv(name, f"the value of {name}")
    given = Given({}, "123456789012")
    with (
        checked_out("HEAD", repository) as place,
        pytest.raises(SynthesisFailed) as error,
        synthesized(place, given, {"STAGE": "prod"}, what="it"),
    ):
        pass
    said = str(error.value)
    assert "the value of" not in said
    assert str(Path.home()) not in said.split("'HOME'")[1].split(",", maxsplit=1)[0]
    assert "'STAGE': 'prod'" in said
    assert "'CDK_DEFAULT_ACCOUNT': '123456789012'" in said
    assert "} True " in said
    assert said.rstrip().endswith("/documents")


def test_app_that_lies_without_git_is_caught(commit: Commit) -> None:
    base = commit(app_DOT_py=app())
    commit(
        app_DOT_py="import os; WHO = '*' if os.path.isdir('.git') else 'arn:aws:iam::222222222222:role/r'" + app("WHO")
    )
    assert diff(base, "HEAD", "--fail").exit_code == 1


def test_same_code_as_revision_and_assembly_shows_nothing(commit: Commit, repository: Path, tmp_path: Path) -> None:
    commit(app_DOT_py=app())
    for number, variables in enumerate(
        [{}, {"CDK_DEFAULT_ACCOUNT": "123456789012", "CDK_DEFAULT_REGION": "eu-west-1"}]
    ):
        output = tmp_path / f"cdk.out{number}"
        subprocess.run(["python", "app.py"], env={**os.environ, **variables, "CDK_OUTDIR": str(output)}, check=True)
        assert diff(str(output), "HEAD", "--fail").output == "no access changed\n"
        assert diff("HEAD", str(output), "--fail").output == "no access changed\n"


def test_stack_that_moves_is_said_among_the_stacks(repository: Path) -> None:
    (repository / "app.py").write_text(app())
    for region in ("us-east-1", "eu-west-1"):
        place = {"CDK_DEFAULT_ACCOUNT": "123456789012", "CDK_DEFAULT_REGION": region, "CDK_OUTDIR": region}
        subprocess.run(["python", "app.py"], env={**os.environ, **place}, check=True)
    result = diff("us-east-1", "eu-west-1", "--fail")
    moved = "One moves from us-east-1 of account 123456789012 to eu-west-1 of account 123456789012: "
    assert (result.exit_code, result.output.startswith(f"stacks\n  {moved}")) == (1, True)
    assert "Environment" not in result.output


def test_renamed_stack_is_compared_with_what_it_was(commit: Commit) -> None:
    commit(app_DOT_py=app())
    commit(app_DOT_py=app("'*'").replace('"One": stack', '"Two": stack').replace("One.t", "Two.t"))
    text = diff("HEAD~1", "HEAD").output
    assert text.startswith("stacks\n  One (old) and Two (new) are compared as one\n\ngained\n")
    assert "on key Two/Key" in text
    assert "new resources" not in text


def test_cached_look_ups_are_part_of_the_context(commit: Commit, repository: Path) -> None:
    fails = "import os, sys; print(os.environ['CDK_CONTEXT_JSON'], file=sys.stderr); sys.exit(1)"
    commit(main_DOT_py=fails, cdk_DOT_json=json.dumps({"app": "python main.py", "context": {"a": 1}}))
    commit(cdk_DOT_context_DOT_json=json.dumps({"vpc-provider:x": {"id": "vpc-1"}}))
    result = diff("HEAD", "HEAD")
    assert result.exit_code == 2
    assert '"vpc-provider:x": {"id": "vpc-1"}, "a": 1' in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-revision", "HEAD"], "neither a path nor a git revision"),
        (["--", "--upload-pack=x", "HEAD"], "neither a path nor a git revision"),
    ],
)
def test_unknown_revision_is_an_error_of_one_line(commit: Commit, words: list[str], message: str) -> None:
    commit(app_DOT_py=app())
    result = diff(*words)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert message in result.output


def test_hostile_output_of_an_app_reaches_the_terminal_as_text(commit: Commit) -> None:
    commit(app_DOT_py="import sys; sys.stderr.write('\\x1b]0;x\\x07\\x1b[2Jgone\\n'); sys.exit(1)")
    result = diff("HEAD", "HEAD")
    assert "\x1b" not in result.output
    assert "\\x1b[2Jgone" in result.output


ACTION = ROOT / "docs" / "access" / "review-action"
MARKER = "<!-- kms-patterns access -->"
MANY = APP.replace("[DECRYPT]", "[DECRYPT, *GAINED]").replace(
    "key = {",
    """ROLE, TAG = "arn:aws:iam::222222222222:role/r", "aws:PrincipalTag/" + "a" * 2_800
GAINED = [
    DECRYPT | {"Principal": {"AWS": f"{ROLE}{n}"}, "Condition": {"StringEquals": {f"{TAG}{n}": "x"}}}
    for n in range(90)
]
key = {""",
)


# What GitHub's API answers to which requests, the exit code, and words of what the action says.
REFUSALS: list[tuple[tuple[str, int, dict[str, str]], int, str]] = [
    (("PATCH", 403, {}), 0, "the report is in the job's summary"),
    (("GET", 403, {}), 0, "the report is in the job's summary"),
    (("GET", 403, {"x-ratelimit-remaining": "0"}), 2, "GitHub's rate limit is reached"),
    (("PATCH", 429, {"retry-after": "60"}), 2, "run this job again later"),
    (("GET", 502, {}), 2, "Bad Gateway"),
]


class GitHub(BaseHTTPRequestHandler):
    """Stands for the API of GitHub: the comments of one pull request."""

    comments: ClassVar[list[dict[str, Any]]]
    refuses: ClassVar[tuple[str, int, dict[str, str]]] = ("", 0, {})

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        size, page = (int(query[name][0]) for name in ("per_page", "page"))
        self._answer(200, self.comments[(page - 1) * size : page * size])

    def do_POST(self) -> None:
        self._write({"id": len(self.comments), "user": {"type": "Bot"}})

    def do_PATCH(self) -> None:
        self._write(self.comments[int(self.path.rpartition("/")[2])])

    def _write(self, comment: dict[str, Any]) -> None:
        assert self.path.startswith("/repos/owner/documents/issues/")
        comment["body"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        if len(comment["body"]) > 65_536:
            self._answer(422, {"message": "Body is too long"})
        elif self.headers["Authorization"] != "Bearer token":
            self._answer(403, {"message": "Resource not accessible by integration"})
        else:
            self.comments[comment["id"] :] = [comment, *self.comments[comment["id"] + 1 :]]
            self._answer(200, comment)

    def _answer(self, status: int, content: object) -> None:
        method, refusal, headers = self.refuses
        self.send_response(refusal if method == self.command else status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def github() -> Iterator[tuple[type[GitHub], str]]:
    class Stub(GitHub):
        comments: ClassVar = [
            {"id": n, "user": {"type": "User"}, "body": f"{MARKER}\nno access" if n == 7 else "fine"}
            for n in range(150)
        ]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Stub, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def act(tmp_path: Path, repository: Path) -> Callable[..., tuple[int, str]]:
    """Run the steps of the action that are shell scripts, as GitHub does, up to the first that fails."""
    steps = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]

    def run_steps(only: str = "", **variables: str) -> tuple[int, str]:
        environment = {"SARIF": "true", "FAIL_ON": "", "BASELINE": "", "GH_TOKEN": "token", "NUMBER": "7"}
        environment |= {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "KMS_PATTERNS_NODE_MODULES": str(ROOT / "node_modules"),
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_ENV": str(tmp_path / "env"),
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_REPOSITORY": "owner/documents",
            "BASE": "HEAD~1",
            "TOOL": str(Path(sys.executable).with_name("kms-patterns")),
            "RUN": "https://github.com/owner/documents/actions/runs/1",
            **variables,
        }
        said = ""
        for step in (step for step in steps if "run" in step and only in step["name"]):
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(command, env=environment, cwd=repository, capture_output=True, text=True, check=False)
            said += re.sub(r"\A::stop-commands::(\w{64})\n(.*)::\1::\n\Z", r"\2", done.stdout, flags=re.S) + done.stderr
            if done.returncode:
                return done.returncode, said
            if Path(environment["GITHUB_ENV"]).exists():
                environment |= dict(line.split("=", 1) for line in Path(environment["GITHUB_ENV"]).read_text().split())
        return 0, said

    return run_steps


def test_action_writes_one_comment_and_updates_it(
    commit: Commit, act: Callable[..., tuple[int, str]], github: tuple[type[GitHub], str], tmp_path: Path
) -> None:
    stub, address = github
    commit(app_DOT_py=app(), cdk_DOT_json="{}")
    commit(app_DOT_py=MANY.replace("WHO", "'arn:aws:iam::222222222222:role/r'").replace("CONDITION", "{}"))
    known = tmp_path / "known.toml"
    members = "".join(f"{name} = 'x'\n" for name in ["rule", "resource", "detail", "fingerprint", "owner", "reason"])
    known.write_text(f"[[finding]]\n{members}expires = 9999-12-31\n")
    code, said = act(GITHUB_API_URL=address, FAIL_ON="VoidGrant OutsiderUsesKey", BASELINE=str(known))
    stale = "baseline: stale, it is not found any more: x: x: x. Review what is found and remove the entry.\n"
    assert (code, said) == (1, f"{stale}{stale}comment made\n")
    assert "BROKEN_CODE=1\n" in (tmp_path / "env").read_text()
    assert act("Fail on a finding", BROKEN_CODE="1") == (1, "")
    assert len(diff(str(tmp_path / "access" / "base.json"), str(tmp_path / "access" / "head.json")).output) > 250_000
    ours = stub.comments[150]["body"]
    assert ours.startswith(f"{MARKER}\n")
    assert "https://github.com/owner/documents/actions/runs/1" in ours
    assert (tmp_path / "summary").read_text() == ours.removeprefix(f"{MARKER}\n") + f"\n    {stale}"
    assert "role/r89" in (tmp_path / "access" / "access.html").read_text()
    assert json.loads((tmp_path / "access" / "access.sarif").read_text())["version"] == "2.1.0"

    (tmp_path / "access" / "access.md").write_text("no access changed")
    assert act("Comment", GITHUB_API_URL=address) == (0, "comment updated\n")
    assert len(stub.comments) == 151
    assert stub.comments[150]["body"] == f"{MARKER}\nno access changed"
    assert stub.comments[7]["body"] == f"{MARKER}\nno access"
    # Two runs at once may have made two comments: the first is updated, and no third one made.
    stub.comments.append({"id": 151, "user": {"type": "Bot"}, "body": f"{MARKER}\nolder"})
    assert act("Comment", GITHUB_API_URL=address) == (0, "comment updated\n")
    assert [comment["body"] for comment in stub.comments[150:]] == [f"{MARKER}\nno access changed", f"{MARKER}\nolder"]

    for refusal, expected, words in REFUSALS:
        stub.refuses = refusal
        code, said = act("Comment", GITHUB_API_URL=address)
        assert (code, words in said) == (expected, True), said
    (tmp_path / "access" / "access.md").write_text("x" * 65_536)
    code, said = act("Comment", GITHUB_API_URL=address)
    assert (code, "a comment takes 65536" in said) == (2, True)


def test_action_fails_if_there_is_no_comparison(
    commit: Commit, act: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    commit(app_DOT_py="raise SystemExit('not today')", cdk_DOT_json="{}")
    commit(app_DOT_py=app(), secrets_DOT_py="raise SystemExit('ran outside of the scrubbed environment')")
    code, said = act()
    assert code == 2
    assert ("not today" in said, "ran outside" in said) == (True, False)
    assert not (tmp_path / "summary").exists()
