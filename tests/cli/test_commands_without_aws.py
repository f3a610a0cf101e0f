"""kms-patterns init, doctor and verify: exit codes and messages, with no AWS anywhere."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.shell_completion import FishComplete, ZshComplete
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_patterns.cli import doctor as examination
from kms_patterns.cli.init import FILES
from kms_patterns.cli.main import main
from kms_patterns.toolchain import ToolMissing
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.artifacts import digest_artifact, sign_artifact
from tests.runtime.conftest import ARN, SigningKms

CONTENT = b"release 1.1" * 1000
P256, OTHER, RSA, ED = (
    ARN.format(name) for name in ("ECC-NIST-P256", "ECC-NIST-P256--2", "RSA-2048", "ECC-NIST-EDWARDS25519")
)


@pytest.mark.parametrize(
    ("command", "words", "found"),
    [
        ("kms-runtime", "enc", {"encrypt"}),
        ("kms-runtime", "decrypt --rec", {"--recursive"}),
        ("kms-runtime", "decrypt --commitment-policy require-encrypt-a", {"require-encrypt-allow-decrypt"}),
        ("kms-patterns", "encrypt --req", {"--required-context"}),
    ],
)
def test_bash_completes_commands_options_and_choices(command, words, found):
    name = command.replace("-", "_")
    given = [command, *words.split()]
    script = (
        f'eval "$(_{name.upper()}_COMPLETE=bash_source {command})"; COMP_WORDS=({" ".join(given)}); '
        f'COMP_CWORD={len(given) - 1}; _{name}_completion {command}; printf "%s\n" "${{COMPREPLY[@]}}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == found


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize(
    "before",
    [
        *(("encrypt", "f", "-k", ARN.format("k"), *option) for option in [(), ("-o",), ("-r", "-o"), ("--suffix",)]),
        ("encrypt", "f", "--metadata-output"), ("encrypt", "f", "--public-key"), ("verify", "f", "--key"), ("inspect",),
        ("import-key-material", "-k", ARN.format("k")),
    ],
)  # fmt: skip
def test_name_that_no_file_or_object_can_have_is_wrong_usage(text, before, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").touch()
    for name in (text, f"s3://{text}/k", f"s3://b/{text}"):
        assert CliRunner().invoke(main, [*before, name]).exit_code == 2


@pytest.mark.parametrize("shell", [ZshComplete, FishComplete])
def test_zsh_and_fish_are_told_of_every_option_choice_and_file(shell):
    """By the classes that a shell's script calls: neither shell is on every machine."""

    def told(*words):
        answers = shell(main, {}, "kms-patterns", "_KMS_PATTERNS_COMPLETE").get_completions([*words[:-1]], words[-1])
        return {(answer.type, answer.value) for answer in answers}

    for name in ("encrypt", "decrypt", "verify", "inspect", "import-key-material"):
        for parameter in main.commands[name].params:
            if isinstance(parameter, click.Argument):
                assert told(name, "le") == {("file", "le")}, name
                continue
            option = max(parameter.opts, key=len)
            assert ("plain", option) in told(name, option[:-1])
            if isinstance(parameter.type, click.Choice):
                assert told(name, option, "") == {("plain", choice) for choice in parameter.type.choices}
            if parameter.metavar == "PLACE" or isinstance(parameter.type, click.Path):
                assert told(name, option, "le") == {("file", "le")}, option
    completion = shell(main, {}, "kms-patterns", "_KMS_PATTERNS_COMPLETE")
    assert "_KMS_PATTERNS_COMPLETE" in completion.source()
    assert "--recursive" in completion.format_completion(completion.get_completions(["decrypt"], "--rec")[0])


@pytest.mark.parametrize(
    "command",
    [
        "keys still-needed KEY --bucket b",
        "keys list",
        "bulk start arn:aws:states:eu-west-1:111111111111:stateMachine:m",
        "bulk status arn:aws:states:eu-west-1:111111111111:execution:m:e",
        "bulk redrive arn:aws:states:eu-west-1:111111111111:execution:m:e",
        "re-encrypt-bucket b --key K --role arn:aws:iam::111111111111:role/r --reports r",
    ],
)
def test_profile_that_does_not_exist_is_one_line_and_an_error(command):
    done = CliRunner().invoke(main, [*command.split(), "--profile", "nope"])
    assert (done.exit_code, done.output) == (2, "Error: The config profile (nope) could not be found\n")


@pytest.fixture
def verify(tmp_path, monkeypatch):
    """Run the command where the files are; nothing leads to AWS."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        done = CliRunner().invoke(main, ["verify", *arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return SimpleNamespace(code=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    return call


@pytest.fixture
def release(tmp_path):
    """A release with both signatures and the public key in every form."""

    def make(key_arn=P256, algorithm="ECDSA_SHA_256", name="app-1.1.bin"):
        kms = SigningKms()
        key = PublicKey.fetch(key_arn, kms_client=kms)
        artifact = digest_artifact(io.BytesIO(CONTENT), algorithm=algorithm)
        made = sign_artifact(artifact, name=name, key_arn=key_arn, algorithm=algorithm, kms_client=kms)
        files = {
            "app.bin": CONTENT,
            "app.bin.sig": made.signature,
            "app.bin.dsse.json": made.envelope,
            "key.json": json.dumps(key.document()).encode(),
            "key.pem": key.pem.encode(),
            "key.der": key.der,
        }
        for file, data in files.items():
            (tmp_path / file).write_bytes(data)
        return tmp_path

    return make


@pytest.mark.parametrize("key", ["key.json", "key.pem", "key.der"])
def test_signature_and_statement_beside_the_file_are_both_checked(key, verify, release):
    release()
    done = verify("app.bin", "--key", key)
    called = P256 if key == "key.json" else key
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"app.bin: genuine by app.bin.sig: ECDSA_SHA_256, {called}",
        f"app.bin: genuine by app.bin.dsse.json: ECDSA_SHA_256, {called}, as 'app-1.1.bin'",
    ]


@pytest.mark.parametrize("missing", ["app.bin.sig", "app.bin.dsse.json"])
def test_one_of_them_will_do(missing, verify, release):
    (release() / missing).unlink()
    done = verify("app.bin", "--key", "key.pem")
    assert (done.code, len(done.stdout.splitlines())) == (0, 1)


def test_signatures_may_be_elsewhere(verify, release, tmp_path):
    folder = release()
    (folder / "app.bin.sig").rename(folder / "s")
    (folder / "app.bin.dsse.json").rename(folder / "b")
    assert (
        verify("app.bin", "--key", "key.pem", "--signature", "s", "--envelope", "b", "--name", "app-1.1.bin").code == 0
    )


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ("app.bin", "KMSInvalidSignatureException"),
        ("app.bin.sig", "KMSInvalidSignatureException"),
        ("app.bin.dsse.json", "AttestationInvalid"),
    ],
)
def test_anything_altered_ends_in_3_whatever_else_is_genuine(spoilt, code, verify, release):
    path = release() / spoilt
    path.write_bytes(path.read_bytes()[:-4] + b"!!!!")
    done = verify("app.bin", "--key", "key.json")
    assert (done.code, done.stdout) == (3, "")
    assert done.stderr.startswith(f"app.bin: NOT GENUINE: {code}: ")


def test_tampered_file_with_a_statement_alone_ends_in_3(verify, release):
    folder = release()
    (folder / "app.bin.sig").unlink()
    (folder / "app.bin").write_bytes(b"tampered")
    assert "NOT GENUINE: ArtifactMismatch" in verify("app.bin", "--key", "key.json").stderr


def test_key_of_somebody_else_ends_in_3(verify, release):
    (release() / "other.pem").write_text(PublicKey.fetch(OTHER, kms_client=SigningKms()).pem)
    done = verify("app.bin", "--key", "other.pem")
    assert (done.code, "KMSInvalidSignatureException: not a signature of other.pem" in done.stderr) == (3, True)


def test_older_release_passed_off_as_a_newer_one_ends_in_3(verify, release):
    release(name="app-1.0.bin")
    assert verify("app.bin", "--key", "key.pem").code == 0
    done = verify("app.bin", "--key", "key.pem", "--name", "app-1.1.bin")
    assert (done.code, "the statement is about 'app-1.0.bin', not about 'app-1.1.bin'" in done.stderr) == (3, True)


def test_statement_of_another_kind_ends_in_3_unless_it_is_asked_for(verify, release):
    release()
    kind = "https://slsa.dev/provenance/v1"
    done = verify("app.bin", "--key", "key.pem", "--type", kind)
    assert (done.code, f"not '{kind}'" in done.stderr) == (3, True)
    assert verify("app.bin", "--key", "key.pem", "--type", "https://cosign.sigstore.dev/attestation/v1").code == 0


def test_nothing_to_check_is_no_success(verify, release):
    folder = release()
    (folder / "app.bin.sig").unlink()
    assert verify("app.bin", "--key", "key.pem", "--name", "app-1.1.bin").code == 0
    (folder / "app.bin.dsse.json").unlink()
    done = verify("app.bin", "--key", "key.pem")
    assert (done.code, "nothing to check: neither app.bin.sig nor app.bin.dsse.json is there" in done.stderr) == (
        2,
        True,
    )


def test_name_without_a_statement_is_no_success(verify, release):
    (release() / "app.bin.dsse.json").unlink()
    done = verify("app.bin", "--key", "key.pem", "--name", "app-1.1.bin")
    assert (done.code, "--name needs a statement" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments", [("missing.bin",), ("app.bin", "-s", "missing.sig"), ("app.bin", "-e", "missing")]
)
def test_missing_file_ends_in_1(arguments, verify, release):
    (release() / "missing.bin.sig").write_bytes(b"x")
    done = verify(*arguments, "--key", "key.pem")
    assert (done.code, "No such file" in done.stderr) == (1, True)


def test_rsa_key_needs_the_algorithm_unless_the_document_pins_one(verify, release):
    folder = release(RSA, "RSASSA_PSS_SHA_256")
    done = verify("app.bin", "--key", "key.pem")
    assert (done.code, "--algorithm is needed with this key: RSASSA_PSS_SHA_256, " in done.stderr) == (2, True)
    assert verify("app.bin", "--key", "key.pem", "--algorithm", "RSASSA_PSS_SHA_256").code == 0
    assert verify("app.bin", "--key", "key.pem", "--algorithm", "RSASSA_PKCS1_V1_5_SHA_256").code == 3
    assert verify("app.bin", "--key", "key.pem", "--algorithm", "ECDSA_SHA_256").code == 2
    pinned = PublicKey.fetch(RSA, kms_client=SigningKms()).limited_to("RSASSA_PSS_SHA_256")
    (folder / "pinned.json").write_text(json.dumps(pinned.document()))
    assert verify("app.bin", "--key", "pinned.json").code == 0


def test_ed25519_key_verifies_the_prehashed_variant(verify, release):
    release(ED, "ED25519_PH_SHA_512")
    assert verify("app.bin", "--key", "key.pem").code == 0


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"nothing", "is not a public key: the JSON document of PublicKeyExport, PEM"),
        (b"{", "is not JSON"),
        (b"{}", "--key key: "),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "is not a public key",
        ),
        (
            ec.generate_private_key(ec.SECP224R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "of a kind that AWS KMS does not have (secp224r1)",
        ),
    ],
    ids=["text", "json", "document", "private", "curve"],
)
def test_what_is_no_public_key_is_wrong_usage(key, reason, verify, release):
    (release() / "key").write_bytes(key)
    done = verify("app.bin", "--key", "key")
    assert (done.code, reason in done.stderr) == (2, True), done.stderr


def test_key_for_encryption_signs_no_artifacts(verify, release):
    folder = release(RSA, "RSASSA_PSS_SHA_256")
    document = json.loads((folder / "key.json").read_text())
    document |= {"keyUsage": "ENCRYPT_DECRYPT", "algorithms": ["RSAES_OAEP_SHA_256"]}
    kept = ("keyArn", "keySpec", "keyUsage", "algorithms", "sha256", "der")
    (folder / "key.json").write_text(json.dumps({name: document[name] for name in kept}))
    done = verify("app.bin", "--key", "key.json")
    assert (done.code, "signs no artifacts" in done.stderr) == (2, True), done.stderr


def test_files_of_any_size_are_read_up_to_a_limit(verify, release, tmp_path):
    release()
    for name in ("app.bin.sig", "app.bin.dsse.json", "key.pem"):
        os.truncate(tmp_path / name, 2**40)  # sparse: it takes no room on the disk
    assert "more than 65536 bytes" in verify("app.bin", "-k", "key.der", "-s", "app.bin.sig").stderr
    (tmp_path / "app.bin.sig").unlink()
    assert "at most 1048576 are read" in verify("app.bin", "-k", "key.der").stderr
    assert verify("app.bin", "-k", "key.pem").code == 2


def test_app_that_init_writes_passes_its_own_test_and_fails_it_when_another_role_may_read(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["init", str(tmp_path)]).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = os.environ | {"CDK_VALIDATION": "false"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    app = (tmp_path / "app.py").read_text()
    intruder = '    bucket.grant_download(iam.Role(stack, "Intruder", assumed_by=instances))\n    return stack'
    (tmp_path / "app.py").write_text(app.replace("    return stack", intruder))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Intruder" in done.stdout


def test_init_changes_no_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "cdk.json").write_text("mine")
    done = CliRunner().invoke(main, ["init", str(tmp_path)])
    assert done.exit_code == 1
    assert "cdk.json already" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["cdk.json"]
    assert (tmp_path / "cdk.json").read_text() == "mine"


def test_doctor_finds_what_this_checkout_has() -> None:
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "ok    policy simulator" in done.output


@pytest.mark.parametrize(
    ("name", "remedy", "code"),
    [
        ("find_simulator", "npm install --save-dev @cloud-copilot/iam-simulate@", 0),
        ("find_cdk", "npm install --save-dev aws-cdk@2", 0),
        ("node_executable", "pip install 'cdk-kms-patterns[local]'", 1),
    ],
)
def test_doctor_says_how_to_get_what_is_missing(
    name: str, remedy: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise ToolMissing(name)

    monkeypatch.setattr(examination, name, missing)
    monkeypatch.setattr(examination.shutil, "which", lambda _name: None)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == code
    assert remedy in done.output


def test_doctor_shows_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    done = CliRunner().invoke(main, ["doctor"])
    assert "from env" in done.output
    assert "AKIAIOSFODNN7EXAMPLE" not in done.output
    assert "wJalrXUtnFEMI" not in done.output
