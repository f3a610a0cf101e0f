"""RSA, signing, HMAC and agreement keys: exact grants in both policies, pinned values, nothing beyond their usage."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, KeyAgreementKey, MacKey, RsaEncryptionKey, SigningKey
from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError
from kms_patterns.policy import key_specs
from kms_runtime import macs, signing_algorithms
from kms_runtime.public_keys.public_key_algorithms import OAEP_OVERHEAD

TYPES = {
    RsaEncryptionKey: ("ENCRYPT_DECRYPT", "RSA_3072"),
    SigningKey: ("SIGN_VERIFY", "ECC_NIST_P256"),
    MacKey: ("GENERATE_VERIFY_MAC", "HMAC_256"),
    KeyAgreementKey: ("KEY_AGREEMENT", "ECC_NIST_P256"),
}
GRANTS = [
    (RsaEncryptionKey, "grant_encrypt", ["kms:Encrypt"]),
    (RsaEncryptionKey, "grant_decrypt", ["kms:Decrypt"]),
    (RsaEncryptionKey, "grant_encrypt_decrypt", ["kms:Decrypt", "kms:Encrypt"]),
    (RsaEncryptionKey, "grant_re_encrypt_from", ["kms:ReEncryptFrom"]),
    (RsaEncryptionKey, "grant_re_encrypt_to", ["kms:ReEncryptTo"]),
    (RsaEncryptionKey, "grant_public_key", ["kms:GetPublicKey"]),
    (SigningKey, "grant_sign", ["kms:Sign"]),
    (SigningKey, "grant_verify", ["kms:Verify"]),
    (SigningKey, "grant_sign_verify", ["kms:Sign", "kms:Verify"]),
    (SigningKey, "grant_public_key", ["kms:GetPublicKey"]),
    (MacKey, "grant_generate_mac", ["kms:GenerateMac"]),
    (MacKey, "grant_verify_mac", ["kms:VerifyMac"]),
    (KeyAgreementKey, "grant_derive_shared_secret", ["kms:DeriveSharedSecret"]),
    (KeyAgreementKey, "grant_public_key", ["kms:GetPublicKey"]),
    (EncryptionKey, "grant_generate_data_key_pair", ["kms:GenerateDataKeyPair"]),
    (EncryptionKey, "grant_generate_data_key_pair_without_plaintext", ["kms:GenerateDataKeyPairWithoutPlaintext"]),
]


@pytest.mark.parametrize("kind", TYPES)
def test_default_spec_and_usage(kind, stack, synth):
    kind(stack, "Key")

    (properties,) = [item["Properties"] for item in synth(stack)["Resources"].values()]
    assert (properties["KeyUsage"], properties["KeySpec"]) == TYPES[kind]
    assert "EnableKeyRotation" not in properties


@pytest.mark.parametrize(("kind", "method", "actions"), GRANTS)
def test_each_grant_writes_its_exact_actions_into_both_policies(
    kind, method, actions, stack, role, synth, key_statements, role_statements, named
):
    user, key = role("User"), kind(stack, "Key")

    getattr(key, method)(user)

    template = synth(stack)
    assert key_statements(template)[1:] == [named(user, actions)]
    assert role_statements(template, stack, user) == [
        {
            "Effect": "Allow",
            "Action": actions if len(actions) > 1 else actions[0],
            "Resource": stack.resolve(key.key_arn),
        }
    ]


@pytest.mark.parametrize(
    ("kind", "method", "pins", "condition"),
    [
        (
            RsaEncryptionKey,
            "grant_decrypt",
            {"algorithms": ["RSAES_OAEP_SHA_256"]},
            {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
        ),
        (
            SigningKey,
            "grant_sign",
            {"algorithms": ["ECDSA_SHA_256"], "message_types": ["DIGEST", "RAW"]},
            {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": ["DIGEST", "RAW"]},
        ),
        (MacKey, "grant_verify_mac", {"algorithms": ["HMAC_SHA_256"]}, {"kms:MacAlgorithm": "HMAC_SHA_256"}),
        (
            KeyAgreementKey,
            "grant_derive_shared_secret",
            {"algorithms": ["ECDH"]},
            {"kms:KeyAgreementAlgorithm": "ECDH"},
        ),
        (
            EncryptionKey,
            "grant_generate_data_key_pair",
            {"pair_specs": ["ECC_NIST_P256", "RSA_2048"], "encryption_context": {"tenant": "a"}},
            {"kms:DataKeyPairSpec": ["ECC_NIST_P256", "RSA_2048"], "kms:EncryptionContext:tenant": "a"},
        ),
    ],
)
def test_pinned_values_are_conditions_of_both_policies(
    kind, method, pins, condition, stack, role, synth, key_statements, role_statements
):
    user = role("User")

    getattr(kind(stack, "Key"), method)(user, **pins)

    template = synth(stack)
    assert key_statements(template)[1]["Condition"]["StringEquals"] == condition
    assert role_statements(template, stack, user)[0]["Condition"] == {"StringEquals": condition}


@pytest.mark.parametrize("algorithms", [[], ["RSAES_OAEP_SHA_256"], ["ECDSA_SHA_384"]])
def test_algorithm_that_the_key_lacks_is_refused(algorithms, stack, role):
    with pytest.raises(GrantRefused, match=r"supports ECDSA_SHA_256 only"):
        SigningKey(stack, "Key").grant_sign(role("User"), algorithms=algorithms)


def test_algorithms_are_those_of_the_spec(stack, role):
    key = SigningKey(stack, "Key", key_spec=kms.KeySpec.ECC_NIST_EDWARDS25519)

    key.grant_sign(role("User"), algorithms=["ED25519_SHA_512"])

    with pytest.raises(GrantRefused, match="supports ED25519_SHA_512, ED25519_PH_SHA_512 only"):
        key.grant_sign(role("Other"), algorithms=["ECDSA_SHA_256"])


def test_unknown_pair_spec_is_refused(stack, role):
    with pytest.raises(GrantRefused, match=r"RSA_1024.*RSA_2048, RSA_3072"):
        EncryptionKey(stack, "Key").grant_generate_data_key_pair(role("User"), pair_specs=["RSA_1024"])


def test_pin_that_contradicts_a_condition_is_refused(stack, role):
    with pytest.raises(GrantRefused, match="cannot be both"):
        SigningKey(stack, "Key").grant_sign(
            role("User"),
            algorithms=["ECDSA_SHA_256"],
            conditions={"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_384"}},
        )


@pytest.mark.parametrize("kind", TYPES)
def test_encryption_context_is_refused_because_only_symmetric_keys_have_one(kind, stack, role):
    key = kind(stack, "Key")

    with pytest.raises(GrantRefused, match=r"encryption context \['tenant'\]: only symmetric"):
        key.grant_operations(role("User"), key.operations[0], required_context=["tenant"])


@pytest.mark.parametrize(
    ("kind", "method", "error"),
    [
        (SigningKey, "grant_decrypt", "InvalidKeyUsageException"),
        (SigningKey, "grant_encrypt", "InvalidKeyUsageException"),
        (RsaEncryptionKey, "grant_sign", "InvalidKeyUsageException"),
        (MacKey, "grant_sign_verify", "InvalidKeyUsageException"),
        (KeyAgreementKey, "grant_encrypt_decrypt", "InvalidKeyUsageException"),
        (RsaEncryptionKey, "grant_generate_mac", "InvalidKeyUsageException"),
    ],
)
def test_grant_that_the_usage_cannot_serve_is_refused(kind, method, error, stack, role):
    with pytest.raises(GrantRefused, match=error):
        getattr(kind(stack, "Key"), method)(role("User"))


@pytest.mark.parametrize(
    ("kind", "operation", "error"),
    [
        (RsaEncryptionKey, "kms:GenerateDataKey", "InvalidKeyUsageException"),
        (MacKey, "kms:GetPublicKey", "UnsupportedOperationException"),
        (EncryptionKey, "kms:GetPublicKey", "UnsupportedOperationException"),
    ],
)
def test_operation_that_the_type_cannot_do_is_refused(kind, operation, error, stack, role):
    with pytest.raises(GrantRefused, match=error):
        kind(stack, "Key").grant(role("User"), operation)


SPECS = {
    RsaEncryptionKey: "RSA_2048 RSA_3072 RSA_4096",
    SigningKey: "RSA_2048 RSA_3072 RSA_4096 ECC_NIST_P256 ECC_NIST_P384 ECC_NIST_P521 ECC_SECG_P256K1 "
    "ECC_NIST_EDWARDS25519 ML_DSA_44 ML_DSA_65 ML_DSA_87",
    MacKey: "HMAC_224 HMAC_256 HMAC_384 HMAC_512",
    KeyAgreementKey: "ECC_NIST_P256 ECC_NIST_P384 ECC_NIST_P521",
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_spec_is_either_taken_or_refused(kind, stack):
    taken = []
    for spec in kms.KeySpec:
        try:
            kind(stack, spec.value, key_spec=spec)
        except KeyConfigurationError:
            continue
        taken.append(spec.value)

    assert sorted(taken) == sorted(SPECS[kind].split())


def test_ed25519_for_encryption_is_refused(stack):
    with pytest.raises(KeyConfigurationError, match=r"ECC_NIST_EDWARDS25519 with key usage ENCRYPT_DECRYPT.*RSA_2048"):
        RsaEncryptionKey(stack, "Key", key_spec=kms.KeySpec.ECC_NIST_EDWARDS25519)


@pytest.mark.parametrize("kind", [RsaEncryptionKey, SigningKey, KeyAgreementKey])
def test_sm2_is_for_the_china_regions(kind, app, stack):
    china = cdk.Stack(app, "China", env=cdk.Environment(account="111122223333", region="cn-north-1"))
    kind(china, "Key", key_spec=kms.KeySpec.SM2)

    with pytest.raises(KeyConfigurationError, match="SM2 in eu-west-1: only the China Regions"):
        kind(stack, "Key", key_spec=kms.KeySpec.SM2)


def test_tables_of_specs_and_algorithms_agree_with_those_of_the_data_plane():
    of_usage = {usage: dict(table) for usage, table in key_specs.ALGORITHMS.items()}
    outside_china = {spec: set(names) for spec, names in of_usage["SIGN_VERIFY"].items() if spec != "SM2"}

    assert outside_china == {spec: set(names) for spec, names in signing_algorithms.ALGORITHMS_OF.items()}
    assert {name for names in of_usage["GENERATE_VERIFY_MAC"].values() for name in names} == set(macs.MAC_BYTES)
    assert dict(OAEP_OVERHEAD) == dict(key_specs.RSA_ENCRYPTION_ALGORITHMS)
    for name, algorithm in signing_algorithms.ALGORITHMS.items():
        assert set(key_specs.message_types([name])) == set(algorithm.message_types), name
