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
from kms_runtime.handlers.validation import schema, validator

PACKAGE = Path(kms_runtime.__file__).parent
DOCUMENTS = {path.stem: json.loads(path.read_text()) for path in (PACKAGE / "handlers" / "schemas").glob("*.json")}
SCHEMAS = sorted(f"{document}/{name}" for document, found in DOCUMENTS.items() for name in found["definitions"])


def test_public_names_are_pinned():
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


def test_import_brings_neither_the_aws_sdk_nor_the_cdk():
    code = "import sys, kms_runtime; print(*{name.partition('.')[0] for name in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "urllib3", "fastjsonschema", "aws_cdk", "kms_patterns"} & set(
        loaded.stdout.split()
    )


def test_import_does_not_wait_for_elliptic_curves():
    code = "import sys, kms_runtime; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    slow = {f"cryptography.hazmat.primitives.{name}" for name in ("asymmetric.ec", "asymmetric.rsa", "serialization")}
    assert slow & set(loaded) == set()


@pytest.mark.parametrize("module", [errors, aws_errors])
def test_code_of_every_error_is_its_class_name(module):
    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Exception)]
    assert {kind("reason").code for kind in kinds} == {kind.__name__ for kind in kinds}
    assert all(issubclass(kind, errors.KmsRuntimeError) for kind in kinds)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_compiles_and_describes_every_field(name):
    document = schema(name)
    fastjsonschema.compile(document)
    assert document["title"]
    assert document["description"]


def test_packed_schema_is_read_by_others_through_a_reference():
    packed = DOCUMENTS["envelope_cipher"]
    assert packed["$schema"] == "http://json-schema.org/draft-07/schema#"
    check = fastjsonschema.compile({"$ref": "#/definitions/request", "definitions": packed["definitions"]})
    assert check({"sourceKey": "a"}) == {"sourceKey": "a"}
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        check({"sourceKey": ""})


@pytest.mark.parametrize(("given", "read"), [(60.0, 60), (1e2, 100), (60, 60)])
def test_float_that_is_an_integer_is_read_as_one(given, read):
    found = validator("token_issuer/issue_request")({"subject": "s", "lifetimeSeconds": given, "claims": {"n": 5.0}})
    assert (found["lifetimeSeconds"], type(found["lifetimeSeconds"])) == (read, int)
    assert type(found["claims"]["n"]) is float


@pytest.mark.parametrize(
    "event", [{"sourceKey": "\ud800"}, {"sourceKey": "a", "encryptionContext": {"\udfff": "b"}}, ["\ud800"]]
)
def test_lone_surrogate_of_an_event_is_an_invalid_request(event):
    with pytest.raises(errors.InvalidRequest, match="lone surrogate"):
        validator("envelope_cipher/request")(event)


def test_event_nested_without_end_is_an_invalid_request():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(errors.InvalidRequest):
        validator("envelope_cipher/request")({"sourceKey": deep})


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
