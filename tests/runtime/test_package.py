import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import fastjsonschema
import pytest

import kms_runtime
from kms_runtime import aws_errors, errors

PACKAGE = Path(kms_runtime.__file__).parent
SCHEMAS = sorted((PACKAGE / "handlers" / "schemas").glob("*.json"))


def test_public_names_are_pinned():
    assert kms_runtime.__all__ == [
        "AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384",
        "CachingKeyring",
        "CommitmentPolicy",
        "KmsDiscoveryKeyring",
        "KmsKeyring",
        "KmsRsaKeyring",
        "KmsRuntimeError",
        "MessageResult",
        "PublicKey",
        "RawAesKeyring",
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


def test_import_brings_neither_the_aws_sdk_nor_the_cdk():
    code = "import sys, kms_runtime; print(*{name.partition('.')[0] for name in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "urllib3", "fastjsonschema", "aws_cdk", "kms_patterns"} & set(
        loaded.stdout.split()
    )


@pytest.mark.parametrize("module", [errors, aws_errors])
def test_code_of_every_error_is_its_class_name(module):
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Exception)]
    assert {kind("reason").code for kind in kinds} == {kind.__name__ for kind in kinds}
    assert all(issubclass(kind, errors.KmsRuntimeError) for kind in kinds)


@pytest.mark.parametrize("path", SCHEMAS, ids=[path.stem for path in SCHEMAS])
def test_schema_compiles_and_describes_every_field(path):
    document = json.loads(path.read_text())
    fastjsonschema.compile(document)
    assert document["title"]
    assert document["description"]


def test_lock_of_the_function_repeats_the_projects_lock_entry_by_entry():
    project = (PACKAGE.parent.parent / "requirements.lock").read_text()
    lock = (PACKAGE.parent / "requirements.lock").read_text()
    assert [line.partition("==")[0] for line in lock.splitlines() if "==" in line] == [
        "cffi",
        "cryptography",
        "fastjsonschema",
        "pycparser",
    ]
    for line in lock.splitlines():
        assert line.rstrip(" \\") in project
    assert "http" not in lock
