"""What the pages hold: samples, command lines, links of the site, barriers, and the figures of all that.

``python -m tests.pages`` counts what ``make docs`` built in build/site, ``--axe`` also looks at each page of it in
Chromium, at two widths and in both themes, ``--follow`` follows its quick starts from the wheels in dist, in new
environments, and writes build/quick-starts.md. It ends with 1 if a link is broken, a page has a serious barrier, or a
line of a quick start ends otherwise than the page says.
"""

import html
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import venv
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import botocore.session
import click
from botocore import xform_name
from packaging.requirements import Requirement

from kms_patterns.cli.init import FILES
from kms_patterns.cli.main import main as kms_patterns_command
from kms_patterns.local import LocalAws
from kms_runtime.__main__ import run as run_kms_runtime
from kms_runtime.handlers.public_key_export import public_key_files
from kms_runtime.public_keys import PublicKey
from kms_runtime.signatures.artifacts import digest_artifact, sign_artifact
from tests.browser import Tab, started

ROOT = Path(__file__).parent.parent
PAGES = [*sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ROOT / "lambda" / "README.md"]
"""Every page that a user reads, as it is written."""


# Samples

RUN: Final = {
    "python": ("examples/*.py", "stacks/*.py", "examples/clients/*.py", "tests/end_to_end/apps/*.py"),
    "javascript": ("examples/clients/*.mjs",),
}
"""By language, the files whose samples a test runs."""
READ: Final = {
    "json": "compared with the templates of the reference app",
    "toml": "given to the command that reads it",
    "yaml": "checked against the action, the schema of GitLab, and as command lines",
    "text": "written from live output of the embedded AWS",
}
"""By language, what a test does with a sample that is not a program."""
EXECUTED_THERE: Final = ("docs/access/README.md", "docs/data-plane.md", "docs/ten-minutes.md", "lambda/README.md")
"""Pages whose programs a test executes as they stand on the page."""
OUTPUTS: Final = {
    "docs/keys/errors.md": "",  # docs/keys/catalogue.py writes what the CDK said, and a test compares
    "docs/access/README.md": "an excerpt of a report: tests/access/snapshots has the whole",
    "docs/embedded-aws.md": "the last lines of a soak that takes minutes: python -m tests.soak",
    "docs/patterns/key-agreement.md": "a layout of bytes, which tests/runtime/test_key_agreement.py reads",
}
"""Blocks that are neither programs nor command lines: why they are not executed, nothing if they are."""


def samples(page: Path) -> Iterator[tuple[str, str]]:
    """Yield language and text of each block of a page that is not a diagram."""
    for language, text in re.findall(r"^ *```(\w*)\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL):
        if language != "mermaid":
            yield language, text


def flush(text: str) -> str:
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def is_part(sample: str, text: str) -> bool:
    """Return whether the paragraphs of a sample stand in a text, whatever their indentation."""
    whole = f"\n{flush(text)}"
    return all(f"\n{part.strip()}\n" in whole for part in flush(sample).split("\n\n"))


@cache
def run(language: str) -> list[str]:
    """Return the texts of a language that a test runs."""
    return [path.read_text() for pattern in RUN[language] for path in ROOT.glob(pattern)] + list(FILES.values())


def left_alone(page: Path, language: str, sample: str) -> str | None:
    """Return why a sample is not executed, nothing if it is.

    Raises:
        LookupError: No test runs it, and no reason is given.
    """
    name = str(page.relative_to(ROOT))
    if language in RUN:
        if name in EXECUTED_THERE or any(is_part(sample, text) for text in run(language)):
            return None
        raise LookupError(f"{name}: no test runs this sample:\n{sample}")
    if language in READ:
        return None
    lines = list(lines_of(sample))
    if lines:
        return next((why for line in lines if (why := reason(line))), None)
    if name not in OUTPUTS:
        raise LookupError(f"{name}: neither a program nor a command line, and no reason is given:\n{sample}")
    return OUTPUTS[name] or None


# Command lines


def targets(words: list[str]) -> str | None:
    """Return the first target that the Makefile does not have."""
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    given = [words[number] for number in range(len(words)) if words[number - 1] != "-C" and words[number] != "-C"]
    return next((word for word in given[1:] if "=" not in word and word not in known), None)


@cache
def kms_runtime_command() -> click.Group:
    """Return the group of ``kms-runtime``, which is made when it is run."""
    with patch.object(click.Group, "__call__", autospec=True) as call:
        run_kms_runtime()
    group = call.call_args.args[0]
    assert isinstance(group, click.Group)
    return group


def clicked(words: list[str]) -> str | None:
    """Return why one of our commands would refuse: no such command or option, or too many words."""
    command: click.Command | None = kms_patterns_command if words[0] == "kms-patterns" else kms_runtime_command()
    context, (name, *rest) = None, words
    try:
        while command:
            if not isinstance(command, click.Group):
                leaf = click.Context(command, parent=context, info_name=name, **command.context_settings)
                command.make_parser(leaf).parse_args(list(rest))
                return None
            context = command.make_context(name, list(rest), parent=context, resilient_parsing=True)
            rest = [*context._protected_args, *context.args]
            if not rest:
                return None
            name = rest[0]
            _, command, rest = command.resolve_command(context, rest)
    except click.UsageError as error:
        return error.format_message()
    return f"no command {name}"


def pip(words: list[str]) -> str | None:
    """Return the first word that is neither an option nor a distribution of this checkout with extras that it has."""
    projects = [tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (ROOT, ROOT / "lambda")]
    extras = {project["name"]: set(project["optional-dependencies"]) for project in projects}
    for word in words[2:] if words[1] == "install" else words[1:2]:
        asked = None if word.startswith("-") or word in FILES or words[1] != "install" else Requirement(word)
        if asked and not (asked.name in extras and asked.extras <= extras[asked.name]):
            return word
        if asked is None and word not in {"-r", "--no-deps", "--require-hashes", *FILES}:
            return word
    return None


def npm(words: list[str]) -> str | None:
    """Return the first package that is not one of package.json, or not of its version."""
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    for word in words[2:]:
        name, _, version = word.rpartition("@") if "@" in word[1:] else (word, "", "")
        if word != "--save-dev" and not (
            name in pinned and f"{pinned[name]}.".startswith(f"{version}." * bool(version))
        ):
            return word
    return None if words[1] == "install" else words[1]


GLOBAL_OPTIONS: Final = {"output", "cli-binary-format", "region", "profile"}


service_model = cache(botocore.session.get_session().get_service_model)


def aws(words: list[str]) -> str | None:
    """Return the operation or option that the AWS SDK's model of the service does not have."""
    service, operation, *rest = words[1:]
    model = service_model({"s3api": "s3"}.get(service, service))
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return operation
    members = {xform_name(member, "-") for member in model.operation_model(names[operation]).input_shape.members}
    options = [word.removeprefix("--") for word in rest if word.startswith("--")]
    return next((option for option in options if option not in members | GLOBAL_OPTIONS), None)


def python(words: list[str]) -> str | None:
    """Return the module, script or test that this checkout does not have."""
    if words[0] == "pytest":
        return next((word for word in words[1:2] if not (ROOT / word).is_file()), None)
    if words[1] == "-m":
        return None if importlib.util.find_spec(words[2]) else words[2]
    return None if words[1] == "-c" or (ROOT / words[1]).is_file() else words[1]


def evaluated(words: list[str]) -> str | None:
    """Return why the command that a shell evaluates would be refused."""
    (inner,) = re.findall(r"\$\((?:\w+=\w+ )?(.*)\)", words[1])
    return refusal(inner)


def program(_: list[str]) -> None:
    """A program of others, whose options are theirs: the line is executed, or listed with a reason."""


PROGRAMS: Final = {
    "make": targets, "kms-patterns": clicked, "kms-runtime": clicked, "pip": pip, "npm": npm, "aws": aws,
    "python": python, "pytest": python, "eval": evaluated, "curl": program, "openssl": program, "gh": program,
    "cdk": program, "npx": program, "jq": program, "while": program, "done": program, "tar": program, "cd": program,
}  # fmt: skip
"""What a command line may start with, and what finds the word of it that would not be understood."""


def lines_of(block: str) -> Iterator[str]:
    """Yield the command lines of a block; of one that is not made of command lines, none."""
    lines = [line.strip().removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines()]
    if any(line.partition(" ")[0] in PROGRAMS and "://" not in line.partition(" ")[0] for line in lines[:1]):
        yield from (line.partition(" #")[0].strip() for line in lines if line)


def command_lines(page: Path) -> Iterator[str]:
    """Yield the command lines of a page: those of its blocks, those of a recipe, and those in a sentence."""
    for language, block in samples(page):
        if language in {"", "sh", "console"}:
            yield from lines_of(block)
        if language == "yaml":
            for line in re.findall(r"^ +- (?:run: )?(\w.*)$", block, re.MULTILINE):
                yield from (part for part in line.split(" && ") if part.partition(" ")[0] in PROGRAMS)
    for span in re.findall(r"`([^`\n]+)`", page.read_text()):
        words = span.split()
        ours = words[0] == "kms-patterns" and words[1:] and words[1] in kms_patterns_command.commands
        if words and (words[0] == "make" or ours or (words[0] != "kms-patterns" and len(words) > 1)):
            yield from [span] if words[0] in PROGRAMS else []


def refusal(line: str) -> str | None:
    """Return why a command line would not be understood."""
    words = shlex.split(line, comments=True)
    if words[0] not in PROGRAMS:
        return f"{words[0]}: not one of PROGRAMS"
    return PROGRAMS[words[0]](words)


NOT_EXECUTED: Final = {
    r"make\b": "a target of the Makefile: continuous integration runs those that need no account",
    r"pip\b": "installs: tests/test_distribution.py installs what these lines name from our own wheels",
    r"(npm|npx)\b": "installs from a registry, or runs what was installed so; versions are those of package.json",
    r"(aws|jq|while|done)\b": "the AWS CLI is not installed here; operation and options are those of the SDK's model",
    r"(cdk|.* cdk) ": "deploys or synthesizes: tests/end_to_end",
    r"cd\b|pytest$": "in the folder that init wrote: tests/cli/test_commands_without_aws.py runs its test",
    r"tar\b": "a pipeline of a shell: tests/cli/test_encrypt_and_decrypt.py has standard input and output",
    r"gh\b": "asks GitHub for the attestations of a release",
    r"python\b|pytest\b": "a benchmark, soak or generator for a quiet machine; the module is there",
    r"openssl (genpkey|pkcs8|pkeyutl|enc)\b": "names a command in a sentence",
    r"eval\b": "acts on the shell: tests/cli/test_commands_without_aws.py",
    r"kms-(patterns|runtime) (?!doctor|access live-perm|keys list$)[a-z -]+$": "names a command in a sentence",
    r".*(\[|\||\b(OLD|ROLE|UPLOADER|FILE)\b|diff … )": "a synopsis",
    r".* local\b": "acts on a server that a shell started: tests/local/test_local_aws.py",
    r'.*(\b(main|report)|_SHA"?) HEAD\b': "synthesizes revisions of a repository: tests/access/test_command.py",
    r".*\b(live|--live)\b": "reads an account: tests/access/test_live.py",
    r".* --assets ": "makes the functions' code anew: tests/infrastructure/test_bundling.py",
}
"""Command lines of the pages that are not executed as they stand, and why."""


def reason(line: str) -> str | None:
    """Return why a command line is not executed."""
    return next((why for form, why in NOT_EXECUTED.items() if re.match(form, line)), None)


PASTED: Final = ("pip ", "npm ", "kms-", "cd ", "eval ", "pytest", "curl ")
"""How the lines begin that ``--follow`` pastes into a shell, from the blocks of ``PASTED_FROM``."""
PASTED_FROM: Final = (ROOT / "docs" / "quick-start.md", ROOT / "lambda" / "README.md")


def outcome(page: Path, line: str) -> str | None:
    """Return why the suite does not execute a command line of a page, nothing if it does."""
    pasted = page in PASTED_FROM and line.startswith(PASTED) and reason(line)
    if pasted and any(line in lines_of(block) for language, block in samples(page) if language in {"", "console"}):
        return "executed by make quick-starts"
    return reason(line)


def executed(page: Path) -> list[str]:
    """Return the command lines of a page that a test executes there."""
    return [line for line in command_lines(page) if not reason(line)]


# The site

LOADING = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
STATED = {"canonical", "prev", "next", "alternate"}  # what a <link> only states: the browser does not load it


class Page(HTMLParser):
    """Anchors, links and loaded addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        address = attributes.get(LOADING.get(tag, ""))
        if address and attributes.get("rel") not in STATED:
            self.loaded.append(address)


def read(site: Path) -> dict[Path, Page]:
    """Return the pages of a built site."""
    return {path: Page(path.read_text()) for path in sorted(site.resolve().rglob("*.html"))}


def broken(site: dict[Path, Page]) -> list[str]:
    """Return the links that lead to no page, file or anchor of the site."""
    found = []
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = site.get(target)
            if not target.is_file() or (parts.fragment and there and unquote(parts.fragment) not in there.ids):
                found.append(f"{path.name}: {link}")
    return found


AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
LOOKS: Final = [(width, scheme) for width in (1400, 400) for scheme in ("light", "dark")]
LOOK = """(async () => {
    document.querySelector('input[data-md-color-scheme="%s"]')?.click()
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))
    const found = await axe.run({resultTypes: ['violations'], preload: false})
    return found.violations.filter(each => ['serious', 'critical'].includes(each.impact))
        .map(each => `${each.id}: ${each.nodes[0].html}`)
})()"""
# A colour that changes slowly would be read on its way.
STILL = """
const still = document.createElement('style')
still.textContent = '*, ::before, ::after {transition: none !important}'
document.head.append(still)
"""
THEMES: Final = {"light": "default", "dark": "slate"}
BROWSERS = 2  # a page is judged on one processor


def barriers(page: Path, tab: Tab, looks: Sequence[tuple[int, str]] = LOOKS) -> list[str]:
    """Return what axe calls serious or critical on a page: the look, the rule, and the first element that breaks it."""
    found = []
    tab.go(page.as_uri())
    tab.run(f"{AXE.read_text()};{STILL};0")
    for width, scheme in looks:
        tab.show(width=width, scheme=scheme)
        found += [f"{width} px, {scheme}: {each}" for each in tab.run(LOOK % THEMES[scheme])]
    return found


def figures(site: Path) -> tuple[list[str], list[str]]:
    """Return the lines of the figures, and what is wrong."""
    pages = read(site)
    wrong = broken(pages)
    links = sum(len(page.links) for page in pages.values())
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    reasons = [left_alone(page, *sample) for page in PAGES for sample in samples(page)]
    lines = [outcome(page, line) for page in PAGES for line in command_lines(page)]
    said = [f"site: {len(pages)} pages, {links} links, {len(wrong)} broken, {size:.1f} MB"]
    for name, found in (("samples", reasons), ("command lines", lines)):
        listed = [why for why in found if why]
        said.append(f"{name}: {len(found)}, {len(found) - len(listed)} executed, {len(listed)} listed with a reason")
        said += [f"  {many:3} {why}" for why, many in Counter(listed).most_common()]
    return said, wrong


def look(site: Path) -> list[str]:
    """Look at each page of a built site, at two widths and in both themes; print and return the findings."""
    pages = sorted(site.rglob("*.html"))
    left, found = iter(pages), list[str]()

    def look_at_the_next(_: int) -> None:
        with (
            tempfile.TemporaryDirectory() as profile,
            started(Path(profile)) as browser,
            browser.opened("about:blank") as tab,
        ):
            for page in left:
                for each in barriers(page, tab):
                    found.append(f"{page.relative_to(site)} at {each}")
                    print(found[-1], flush=True)

    with ThreadPoolExecutor(BROWSERS) as pool:
        list(pool.map(look_at_the_next, range(BROWSERS)))
    print(f"axe: {len(pages) * len(LOOKS)} looks, {len(found)} serious findings")
    return found


# The quick starts, as a new user follows them

ROLES: Final = {
    "pip user": ("quick-start.html", ("One construct in your app", "Deploy it on this machine")),
    "reviewer": ("quick-start.html", ("A review",)),
    "outsider": ("quick-start.html", ("Outside",)),
    "library user": ("kms-runtime.html", ("kms-runtime",)),
}
"""The page whose lines each role pastes, and the headings that they stand under."""
FAILING: Final = re.compile(r"# .*(refused|exit 1)")
SHOWN: Final = 12  # lines of an output
RECORD: Final = ROOT / "build" / "quick-starts.md"
KEYS: Final[dict[str, dict[str, Any]]] = {
    "key": {},
    "rsa": {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
    "signing": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
}
OWN_FILES: Final = ("report.pdf", "letter.pdf", "reports/one.pdf", "app.bin", "app-1.1.bin", "message", "material.bin")
WIDER: Final = FILES["app.py"].replace(
    "    return stack", '    bucket.grant_download(iam.Role(stack, "Other", assumed_by=instances))\n    return stack'
)


def own_files(aws: LocalAws) -> dict[str, bytes]:
    """Return what the command lines of the pages are about: files, public keys, an artifact with its signatures."""
    kms = aws.client("kms")
    made = dict.fromkeys(OWN_FILES, b"material of 32 bytes, not random")
    keys = {name: kms.create_key(**options)["KeyMetadata"]["Arn"] for name, options in KEYS.items()}
    inbox, signing = (PublicKey.fetch(keys[name], kms_client=kms) for name in ("rsa", "signing"))
    artifact = digest_artifact(io.BytesIO(made["app.bin"]), algorithm="ECDSA_SHA_256")
    signed = sign_artifact(
        artifact, name="app-1.1.bin", key_arn=keys["signing"], algorithm="ECDSA_SHA_256", kms_client=kms
    )
    for name in ("app.bin", "app-1.1.bin"):
        made |= {f"{name}.sig": signed.signature, f"{name}.dsse.json": signed.envelope}
    made |= dict.fromkeys(("key.pem", "signing.pem", "releases.pem"), signing.pem.encode())
    made |= {"sig": b64decode(signed.signature), "releases.json": json.dumps(signing.document()).encode()}
    made |= {"inbox.pem": inbox.pem.encode(), **{f"{name}.arn": arn.encode() for name, arn in keys.items()}}
    return made | {f"published/partners.{form}": content for form, content in public_key_files(inbox).items()}


def blocks_of(page: str) -> dict[str, str]:
    """Return the text of the blocks of code of a page of the site, as a reader copies it, by the heading above."""
    found, name = dict[str, str](), ""
    for heading, block in re.findall(r"<h[12][^>]*>(.*?)<a|<pre[^>]*>(.*?)</pre>", page, re.DOTALL):
        name = re.sub(r"<[^>]+>", "", heading).strip() or name
        found[name] = found.get(name, "") + html.unescape(re.sub(r"<[^>]+>", "", block))
    return found


class Shell:
    """A shell in a new environment of Python, with an empty home folder, that finds the wheels of ``dist``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True)
        venv.create(folder / "venv", with_pip=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "JSII_", "PYTHON"))}
        path = os.pathsep.join([str(folder / "venv/bin"), os.environ["PATH"], str(folder / "tools/bin")])
        own = {"PATH": path, "PIP_FIND_LINKS": str(ROOT / "dist")}
        own |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
        self._bash = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=kept | own, stdin=PIPE, stdout=PIPE, stderr=STDOUT, text=True
        )

    def run(self, line: str) -> tuple[int, str]:
        """Return the exit code and the output of a line."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{{ {line}\n}} < /dev/null\nprintf '\\n== %s\\n' $?\n")
        self._bash.stdin.flush()
        said: list[str] = []
        while not (code := re.fullmatch(r"== (\d+)\n", read := self._bash.stdout.readline())):
            assert read, f"the shell ended: {line}"
            said.append(read)
        return int(code[1]), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", "".join(said)).strip("\n")


def prepared(role: str, shell: Shell, aws: LocalAws) -> dict[str, str]:
    """Write what the user of a role has before the first line; return what stands for words of their own."""
    made = own_files(aws)
    for name, content in made.items():
        (shell.folder / name).parent.mkdir(exist_ok=True)
        (shell.folder / name).write_bytes(content)
    if role == "pip user":
        code, said = shell.run("python -m venv tools && tools/bin/pip install --quiet awscli")
        assert code == 0, said
    if role == "reviewer":
        for branch, text in (("main", FILES["app.py"]), ("wider", WIDER)):
            for name, written in {**FILES, "app.py": text}.items():
                (shell.folder / name).write_text(written)
            commit = "git -c user.name=x -c user.email=x@example.com commit --quiet --message"
            start = f"git init --quiet --initial-branch main; git checkout --quiet -B {branch}"
            code, said = shell.run(f"{start}; git add {' '.join(FILES)} && {commit} {branch}")
            assert code == 0, said
    if role == "library user":
        arns = {"KEY_ARN": made["key.arn"].decode(), "RSA_KEY_ARN": made["rsa.arn"].decode()}
        arns["IMPORTED_KEY_ARN"] = aws.client("kms").create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
        for name, value in {**aws.environment(), **arns}.items():
            shell.run(f"export {name}={shlex.quote(value)}")
    return {"FILE": "app.py", "KEY-ARN": made["rsa.arn"].decode()}


def learned(said: str) -> dict[str, str]:
    """Return the words that a user reads off an output, for the lines that follow."""
    outputs = dict(re.findall(r"Documents\.(\w+) = (\S+)", said))
    words = {"UPLOADER": outputs.get("UploaderName"), "BUCKET": outputs.get("BucketName")}
    words["REQUEST-ID"] = next(iter(re.findall(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", said)[-1:]), None)
    return {name: value for name, value in words.items() if value}


def follow(role: str, folder: Path, aws: LocalAws) -> tuple[str, list[str]]:
    """Paste the lines of a role; return the record, and the lines that ended otherwise than the page says."""
    page, headings = ROLES[role]
    found = blocks_of((ROOT / "build" / "site" / page).read_text())
    shell = Shell(folder)
    words = prepared(role, shell, aws)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder / "published"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words["https://…"] = f"http://127.0.0.1:{server.server_port}"
    record, wrong, began = [f"## {role}\n"], [], time.monotonic()
    for line in "".join(found[heading] for heading in headings).splitlines():
        if not line.startswith(PASTED):
            continue
        for own, value in words.items():
            line = line.replace(own, value)  # noqa: PLW2901
        # `cdk deploy` asks in a terminal alone.
        asking = f"script -qec {shlex.quote(line)} /dev/null <<< y"
        code, said = shell.run(asking if "cdk deploy" in line else line)
        if bool(code) != bool(FAILING.search(line)):
            wrong.append(f"{role}: {line}: exit code {code}")
        shown = said.splitlines()
        shown = shown if len(shown) <= SHOWN else [*shown[: SHOWN // 2], "…", *shown[-SHOWN // 2 :]]
        record += ["```", f"$ {line}", *shown, f"[exit {code}, {time.monotonic() - began:.0f} s]", "```\n"]
        words |= learned(said)
    server.shutdown()
    return "\n".join(record), wrong


def followed() -> list[str]:
    """Follow each quick start in a folder of its own; write the record, and return what ended otherwise."""
    records, wrong = [], []
    with tempfile.TemporaryDirectory() as folder, LocalAws.start() as aws:
        for role in ROLES:
            record, found = follow(role, Path(folder, role.replace(" ", "-")), aws)
            records.append(record)
            wrong += found
            RECORD.write_text("\n".join(records))
    print("\n".join([*wrong, f"quick starts: {sum(it.count('[exit ') for it in records)} lines, {len(wrong)} wrong"]))
    return wrong


def main() -> int:
    """Print the figures of build/site, and return the exit code."""
    site = (ROOT / "build" / "site").resolve()
    if "--follow" in sys.argv[1:]:
        return 1 if followed() else 0
    said, wrong = figures(site)
    print("\n".join([*said, *wrong]), flush=True)
    return 1 if wrong or ("--axe" in sys.argv[1:] and look(site)) else 0


if __name__ == "__main__":
    sys.exit(main())
