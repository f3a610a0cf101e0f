"""Each type of key, deployed: grants, replicas, imported material, KMS grants, and moves between keys."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kms_patterns.cli.main import main
from kms_runtime.cli import aws_clients
from tests.end_to_end.conftest import AWAY, HOME, Family

PEER = ec.generate_private_key(ec.SECP256R1()).public_key()
PEER_KEY = PEER.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
pytestmark = pytest.mark.end_to_end

OAEP = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
ECDSA = {"SigningAlgorithm": "ECDSA_SHA_256", "Message": b"message"}
HMAC = {"MacAlgorithm": "HMAC_SHA_256", "Message": b"message"}
PAIR = {"KeyPairSpec": "ECC_NIST_P256"}
ML_KEM = {"EncapsulationAlgorithm": "ML_KEM"}
ML_DSA = {"SigningAlgorithm": "ML_DSA_SHAKE_256", "Message": b"message"}
DATA_KEY = {"KeySpec": "AES_256"}
AGREEMENT = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": PEER_KEY}

Request = Callable[[Family], dict[str, Any]]
OPERATIONS: dict[str, tuple[str, str, Request]] = {
    "SymmetricEncrypt": ("Symmetric", "encrypt", lambda _: {"Plaintext": b"secret"}),
    "SymmetricDecrypt": (
        "Symmetric",
        "decrypt",
        lambda it: {"CiphertextBlob": it.made("encrypt", "Symmetric", Plaintext=b"secret")["CiphertextBlob"]},
    ),
    "SymmetricGenerateDataKey": ("Symmetric", "generate_data_key", lambda _: DATA_KEY),
    "SymmetricGenerateDataKeyWithoutPlaintext": (
        "Symmetric",
        "generate_data_key_without_plaintext",
        lambda _: DATA_KEY,
    ),
    "SymmetricGenerateDataKeyPair": ("Symmetric", "generate_data_key_pair", lambda _: PAIR),
    "SymmetricGenerateDataKeyPairWithoutPlaintext": (
        "Symmetric",
        "generate_data_key_pair_without_plaintext",
        lambda _: PAIR,
    ),
    "RsaEncrypt": ("Rsa", "encrypt", lambda _: {"Plaintext": b"secret", **OAEP}),
    "RsaDecrypt": (
        "Rsa",
        "decrypt",
        lambda it: {
            "CiphertextBlob": it.made("encrypt", "Rsa", Plaintext=b"secret", **OAEP)["CiphertextBlob"],
            **OAEP,
        },
    ),
    "RsaPublicKey": ("Rsa", "get_public_key", lambda _: {}),
    "SigningSign": ("Signing", "sign", lambda _: ECDSA),
    "SigningVerify": (
        "Signing",
        "verify",
        lambda it: {"Signature": it.made("sign", "Signing", **ECDSA)["Signature"], **ECDSA},
    ),
    "SigningPublicKey": ("Signing", "get_public_key", lambda _: {}),
    "MlDsaSign": ("MlDsa", "sign", lambda _: ML_DSA),
    "MlDsaVerify": (
        "MlDsa",
        "verify",
        lambda it: {"Signature": it.made("sign", "MlDsa", **ML_DSA)["Signature"], **ML_DSA},
    ),
    "MlDsaPublicKey": ("MlDsa", "get_public_key", lambda _: {}),
    "MlKemEncapsulate": ("MlKem", "encapsulate", lambda _: ML_KEM),
    "MlKemDecapsulate": (
        "MlKem",
        "decapsulate",
        lambda it: {
            "SharedSecretCiphertextBlob": it.made("encapsulate", "MlKem", **ML_KEM)["SharedSecretCiphertextBlob"],
            **ML_KEM,
        },
    ),
    "MlKemPublicKey": ("MlKem", "get_public_key", lambda _: {}),
    "MacGenerateMac": ("Mac", "generate_mac", lambda _: HMAC),
    "MacVerifyMac": ("Mac", "verify_mac", lambda it: {"Mac": it.made("generate_mac", "Mac", **HMAC)["Mac"], **HMAC}),
    "AgreementDeriveSharedSecret": ("Agreement", "derive_shared_secret", lambda _: AGREEMENT),
    "AgreementPublicKey": ("Agreement", "get_public_key", lambda _: {}),
}


@pytest.mark.parametrize("role", OPERATIONS)
def test_granted_operation_succeeds(role: str, family: Family) -> None:
    key, operation, request = OPERATIONS[role]

    answer = getattr(family.kms(role), operation)(KeyId=family.key(key), **request(family))

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("role", OPERATIONS)
def test_every_operation_that_was_not_granted_is_denied(role: str, family: Family) -> None:
    key = OPERATIONS[role][0]
    kms = family.kms(role)
    neighbours = [row for name, row in OPERATIONS.items() if row[0] == key and name != role]

    for _, operation, request in neighbours:
        with pytest.raises(ClientError, match="AccessDeniedException"):
            getattr(kms, operation)(KeyId=family.key(key), **request(family))


@pytest.mark.parametrize("spec", ["RSA2048", "ECCSECGP256K1", "ECCNISTEDWARDS25519"])
def test_key_of_another_spec_is_deployed_as_such(spec: str, family: Family) -> None:
    described = family.aws.client("kms").describe_key(KeyId=family.outputs[f"Other{spec}"])["KeyMetadata"]

    assert described["KeySpec"].replace("_", "") == spec


def test_scoped_alias_leads_to_its_key(family: Family) -> None:
    found = family.aws.client("kms").describe_key(KeyId="alias/KeyFamily/inbox")["KeyMetadata"]

    assert found["Arn"] == family.key("Rsa")


TENANT = {"tenant": "a"}
RSA_OAEP = "RSAES_OAEP_SHA_256"


def denied(call: Callable[..., Any], **request: Any) -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        call(**request)


def sealed(family: Family, key: str, **request: Any) -> bytes:
    blob: bytes = family.made("encrypt", key, Plaintext=b"secret", **request)["CiphertextBlob"]
    return blob


class TestReplica:
    def test_opens_in_its_region_what_its_primary_sealed_elsewhere(self, family: Family) -> None:
        blob = sealed(family, "Symmetric", EncryptionContext=TENANT)

        opened = family.kms("ReplicaDecrypt", AWAY).decrypt(CiphertextBlob=blob, EncryptionContext=TENANT)

        assert (opened["KeyId"], opened["Plaintext"]) == (family.key("Replica"), b"secret")
        assert family.key("Replica") == family.key("Symmetric").replace(HOME, AWAY)

    def test_denies_what_was_not_granted_on_it(self, family: Family) -> None:
        reader = family.kms("ReplicaDecrypt", AWAY)
        other = sealed(family, "Symmetric", EncryptionContext={"tenant": "b"})
        denied(reader.encrypt, KeyId=family.key("Replica"), Plaintext=b"x", EncryptionContext=TENANT)
        denied(reader.decrypt, CiphertextBlob=other, EncryptionContext={"tenant": "b"})

    def test_grants_of_primary_and_replica_are_apart(self, family: Family) -> None:
        blob = sealed(family, "Symmetric", EncryptionContext=TENANT)
        denied(
            family.kms("SymmetricDecrypt", AWAY).decrypt,
            KeyId=family.key("Replica"), CiphertextBlob=blob, EncryptionContext=TENANT,
        )  # fmt: skip
        denied(family.kms("ReplicaDecrypt").decrypt, CiphertextBlob=blob, EncryptionContext=TENANT)


class TestReEncrypt:
    @pytest.mark.parametrize(("source", "algorithm"), [("Symmetric", "SYMMETRIC_DEFAULT"), ("Rsa", RSA_OAEP)])
    def test_moves_a_ciphertext_from_one_key_to_the_other_and_not_back(
        self, source: str, algorithm: str, family: Family
    ) -> None:
        mover = family.kms(f"{source}ReEncrypt")
        here, there = family.key(source), family.key("Second")
        given = {"CiphertextBlob": sealed(family, source, EncryptionAlgorithm=algorithm), "SourceKeyId": here}

        moved = mover.re_encrypt(**given, SourceEncryptionAlgorithm=algorithm, DestinationKeyId=there)

        assert family.made("decrypt", "Second", CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"secret"
        denied(
            mover.re_encrypt,
            CiphertextBlob=moved["CiphertextBlob"], SourceKeyId=there, DestinationKeyId=here,
            DestinationEncryptionAlgorithm=algorithm,
        )  # fmt: skip
        denied(mover.decrypt, KeyId=here, CiphertextBlob=given["CiphertextBlob"], EncryptionAlgorithm=algorithm)

    def test_takes_both_halves(self, family: Family) -> None:
        given = {"CiphertextBlob": sealed(family, "Symmetric"), "DestinationKeyId": family.key("Symmetric")}
        denied(family.kms("SymmetricReEncrypt").re_encrypt, **given)


def command_as(family: Family, role: str, *arguments: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for cached in (aws_clients.kms_client, aws_clients.s3_client, aws_clients._session):
        cached.cache_clear()  # it keeps the credentials of the command before
    return CliRunner().invoke(main, arguments, env=environment | family.session(role).environment())


def test_key_without_material_is_filled_by_its_administrator_and_used_by_others(family: Family, tmp_path: Path) -> None:
    writer, reader = family.kms("ImportedEncrypt"), family.kms("ImportedDecrypt")
    with pytest.raises(ClientError, match=r"KMSInvalidStateException.*pending import"):
        writer.encrypt(KeyId=family.key("Imported"), Plaintext=b"secret")
    arguments = ["import-key-material", "--generate", str(tmp_path / "material"), "--key", family.key("Imported")]

    refused = command_as(family, "ImportedEncrypt", *arguments)
    done = command_as(family, "Administrator", *arguments)

    assert (refused.exit_code, "AccessDeniedException" in refused.stderr) == (1, True)
    assert done.exit_code == 0, done.stderr
    blob = writer.encrypt(KeyId=family.key("Imported"), Plaintext=b"secret")["CiphertextBlob"]
    assert reader.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"
    denied(writer.decrypt, CiphertextBlob=blob)
    denied(family.kms("Administrator").decrypt, CiphertextBlob=blob)


class TestKeyGrant:
    """Last: its stack is deleted."""

    def test_grantee_uses_the_key_within_the_constraint_and_no_further(self, family: Family) -> None:
        grantee, key = family.kms("Grantee"), family.key("Granted")
        made = grantee.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=TENANT | {"more": "b"})
        opened = grantee.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=TENANT | {"more": "b"})
        assert opened["Plaintext"] == made["Plaintext"]
        denied(grantee.generate_data_key, KeyId=key, KeySpec="AES_256", EncryptionContext={"tenant": "b"})
        denied(grantee.encrypt, KeyId=key, Plaintext=b"x", EncryptionContext=TENANT)

    def test_nobody_else_has_it(self, family: Family) -> None:
        denied(
            family.kms("Stranger").generate_data_key,
            KeyId=family.key("Granted"), KeySpec="AES_256", EncryptionContext=TENANT,
        )  # fmt: skip

    def test_is_revoked_by_its_maker_when_its_stack_is_deleted(self, family: Family) -> None:
        grants = family.aws.client("kms").list_grants(KeyId=family.key("Granted"))["Grants"]
        assert [(it["Operations"], it["Constraints"]) for it in grants] == [
            (["Decrypt", "GenerateDataKey"], {"EncryptionContextSubset": TENANT})
        ]
        formation = family.aws.client("cloudformation")

        formation.delete_stack(StackName="KeyFamilyGrant")
        formation.get_waiter("stack_delete_complete").wait(StackName="KeyFamilyGrant", WaiterConfig={"Delay": 1})

        assert family.aws.client("kms").list_grants(KeyId=family.key("Granted"))["Grants"] == []
        (revoked,) = [call for call in family.aws.kms_calls() if call["action"] == "kms:RevokeGrant"]
        assert "MakerRole" in revoked["principal"]
        assert (revoked["decision"], revoked["keyArn"]) == ("allow", family.key("Granted"))

    def test_alias_of_an_ephemeral_key_went_with_it_so_that_the_stack_can_be_made_again(self, family: Family) -> None:
        kms = family.aws.client("kms")
        names = [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]]
        assert ("alias/KeyFamily/inbox" in names, "alias/KeyFamilyGrant/granted" in names) == (True, False)
        assert kms.describe_key(KeyId=family.key("Granted"))["KeyMetadata"]["KeyState"] == "PendingDeletion"
