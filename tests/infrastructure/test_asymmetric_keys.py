"""RSA, signing, HMAC and agreement keys, and replicas of multi-Region keys: nothing beyond their usage."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import (
    EncryptedBucket,
    EncryptionKey,
    HpkeReceiver,
    KeyAgreementKey,
    KeyEncapsulationKey,
    MacKey,
    MlKemSpec,
    ReplicaKey,
    RsaEncryptionKey,
    SigningKey,
)
from kms_patterns.keys.errors import ArgumentRefused, GrantRefused, KeyConfigurationError, RegionUnsupported
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.policy import key_specs
from kms_runtime import macs, signing_algorithms
from kms_runtime.public_keys.jwk import OAEP_OVERHEAD

TYPES = {
    RsaEncryptionKey: ("ENCRYPT_DECRYPT", "RSA_3072"),
    SigningKey: ("SIGN_VERIFY", "ECC_NIST_P256"),
    MacKey: ("GENERATE_VERIFY_MAC", "HMAC_256"),
    KeyAgreementKey: ("KEY_AGREEMENT", "ECC_NIST_P256"),
    KeyEncapsulationKey: ("ENCAPSULATE_DECAPSULATE", "ML_KEM_768"),
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
    (KeyEncapsulationKey, "grant_encapsulate", ["kms:Encapsulate"]),
    (KeyEncapsulationKey, "grant_decapsulate", ["kms:Decapsulate"]),
    (KeyEncapsulationKey, "grant_public_key", ["kms:GetPublicKey"]),
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
            KeyEncapsulationKey,
            "grant_decapsulate",
            {"algorithms": ["ML_KEM"]},
            {"kms:EncapsulationAlgorithm": "ML_KEM"},
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
    demanded = role_statements(template, stack, user)[0]["Condition"]
    names = (
        {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}} if "encryption_context" in pins else {}
    )
    assert demanded == {"StringEquals": condition, **names}


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
        (KeyEncapsulationKey, "grant_encrypt_decrypt", "InvalidKeyUsageException"),
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
    KeyEncapsulationKey: "ML_KEM_512 ML_KEM_768 ML_KEM_1024",
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_spec_is_either_taken_or_refused(kind, stack):
    taken = []
    for spec in [*kms.KeySpec, *MlKemSpec]:
        try:
            kind(stack, spec.value, key_spec=spec)
        except (KeyConfigurationError, ArgumentRefused):
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


@pytest.mark.parametrize("spec", MlKemSpec)
def test_ml_kem_is_for_the_regions_outside_of_china(spec, app, stack, synth):
    KeyEncapsulationKey(stack, "Key", key_spec=spec)
    (properties,) = [item["Properties"] for item in synth(stack)["Resources"].values()]
    assert (properties["KeySpec"], properties["KeyUsage"]) == (spec.value, "ENCAPSULATE_DECAPSULATE")

    china = cdk.Stack(app, "China", env=cdk.Environment(account="111122223333", region="cn-north-1"))
    with pytest.raises(RegionUnsupported, match=f"{spec.value} in cn-north-1: the China Regions do not support it"):
        KeyEncapsulationKey(china, "Key", key_spec=spec)


def test_ml_kem_takes_neither_imported_material_nor_rotation(stack):
    with pytest.raises(KeyConfigurationError, match=r"imported_material with ML_KEM_768.*omit"):
        KeyEncapsulationKey(stack, "Imported", imported_material=True)
    with pytest.raises(KeyConfigurationError, match="rotation_period: KMS rotates symmetric"):
        KeyEncapsulationKey(stack, "Rotating", rotation_period=cdk.Duration.days(90))


def test_tables_of_specs_and_algorithms_agree_with_those_of_the_data_plane():
    of_usage = {usage: dict(table) for usage, table in key_specs.ALGORITHMS.items()}
    outside_china = {spec: set(names) for spec, names in of_usage["SIGN_VERIFY"].items() if spec != "SM2"}

    assert outside_china == {spec: set(names) for spec, names in signing_algorithms.ALGORITHMS_OF.items()}
    assert {name for names in of_usage["GENERATE_VERIFY_MAC"].values() for name in names} == set(macs.MAC_BYTES)
    assert dict(OAEP_OVERHEAD) == dict(key_specs.RSA_ENCRYPTION_ALGORITHMS)
    for name, algorithm in signing_algorithms.ALGORITHMS.items():
        assert set(key_specs.message_types([name])) == set(algorithm.message_types), name


@pytest.fixture
def home(app):
    env = cdk.Environment(account="111122223333", region="eu-west-1")
    return cdk.Stack(app, "Home", env=env, cross_region_references=True)


@pytest.fixture
def away(app):
    env = cdk.Environment(account="111122223333", region="us-east-1")
    return cdk.Stack(app, "Away", env=env, cross_region_references=True)


def replica_of(template):
    (found,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::ReplicaKey"]
    return found


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey, MacKey, KeyEncapsulationKey])
def test_replica_has_the_properties_of_a_replica_only_and_the_type_of_its_primary(kind, home, away, synth):
    replica = ReplicaKey(away, "Key", primary_key=kind(home, "Key", multi_region=True), description="of orders")

    properties = replica_of(synth(away))["Properties"]
    assert isinstance(replica, kind)
    assert isinstance(replica, ReplicaKey)
    assert sorted(properties) == ["Description", "KeyPolicy", "PrimaryKeyArn"]
    assert "ExportsReader" in str(properties["PrimaryKeyArn"])


def test_primary_is_multi_region_and_may_be_replicated_by_administrators(home, synth):
    EncryptionKey(home, "Key", multi_region=True)

    (key,) = synth(home)["Resources"].values()
    assert key["Properties"]["MultiRegion"] is True
    assert {"kms:ReplicateKey", "kms:UpdatePrimaryRegion"} <= set(
        key["Properties"]["KeyPolicy"]["Statement"][0]["Action"]
    )


def replication_denied(template):
    (key,) = [it for it in template["Resources"].values() if it["Type"] in {"AWS::KMS::Key", "AWS::KMS::ReplicaKey"}]
    denials = [it for it in key["Properties"]["KeyPolicy"]["Statement"] if it["Action"] == "kms:ReplicateKey"]
    return [(it["Effect"], it["Principal"], it["Condition"]) for it in denials]


def beyond(regions, roles):
    return [
        ("Deny", {"AWS": "*"}, {"StringNotEquals": {"kms:ReplicaRegion": regions}}),
        ("Deny", {"AWS": "*"}, {"ArnNotEquals": {"aws:PrincipalArn": roles}}),
    ]


@pytest.mark.parametrize("order", [("us-east-1", "ap-south-1"), ("ap-south-1", "us-east-1")])
def test_only_those_who_deploy_may_replicate_and_only_to_declared_regions(order, app, home, synth):
    primary = EncryptionKey(home, "Key", multi_region=True)
    stacks = {}
    for region in order:
        env = cdk.Environment(account="111122223333", region=region)
        stacks[region] = cdk.Stack(app, region, env=env, cross_region_references=True)
        ReplicaKey(stacks[region], "Key", primary_key=primary)

    regions = ["eu-west-1", "ap-south-1", "us-east-1"]
    roles = [home.resolve(deployment_role_arn(stack)) for stack in (home, stacks["ap-south-1"], stacks["us-east-1"])]
    assert replication_denied(synth(home)) == beyond(regions, roles)


def test_primary_without_replicas_is_replicated_nowhere(home, synth):
    EncryptionKey(home, "Key", multi_region=True)

    assert replication_denied(synth(home)) == beyond(["eu-west-1"], [home.resolve(deployment_role_arn(home))])


def test_replica_is_replicated_nowhere(home, away, synth):
    ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))

    assert replication_denied(synth(away)) == beyond(["us-east-1"], [away.resolve(deployment_role_arn(away))])


def test_replica_whose_region_the_primary_cannot_name_is_refused(app, home):
    anywhere = cdk.Stack(app, "Anywhere")

    with pytest.raises(KeyConfigurationError, match="the policy of its primary names the Regions"):
        ReplicaKey(anywhere, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))


def test_grant_on_the_replica_is_two_halves_of_its_own(home, away, role, synth, role_statements):
    replica = ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))
    user = role("User", away)

    replica.grant_decrypt(user, encryption_context={"tenant": "a"}, via_service="s3")

    template = synth(away)
    statement = replica_of(template)["Properties"]["KeyPolicy"]["Statement"][-1]
    assert statement["Condition"]["StringEquals"] == {
        "kms:EncryptionContext:tenant": "a",
        "kms:ViaService": "s3.us-east-1.amazonaws.com",
    }
    assert [it["Resource"] for it in role_statements(template, away, user)] == [away.resolve(replica.key_arn)]


def test_replica_encrypts_a_bucket(home, away, synth):
    EncryptedBucket(
        away,
        "Bucket",
        encryption_key=ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True)),
    )

    assert replica_of(synth(away))


def test_replica_refuses_what_its_primary_cannot_do(home, away, role):
    replica = ReplicaKey(away, "Key", primary_key=SigningKey(home, "Key", multi_region=True))

    with pytest.raises(GrantRefused, match="InvalidKeyUsageException"):
        replica.grant_decrypt(role("User", away))


def test_void_grant_on_a_replica_is_found(home, away, role):
    replica = ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))
    kms.KeyGrants.from_key(replica).decrypt(role("User", away))

    with pytest.raises(RuntimeError, match="AccessDeniedException"):
        away.node.root.synth()


def test_replica_of_a_single_region_key_is_refused(home, away):
    with pytest.raises(KeyConfigurationError, match="make it with multi_region=True"):
        ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key"))


def test_replica_of_a_replica_is_refused(home, away):
    replica = ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))

    with pytest.raises(KeyConfigurationError, match="not a multi-Region primary"):
        ReplicaKey(home, "Second", primary_key=replica)


def test_replica_in_the_region_of_its_primary_is_refused(app, home):
    with pytest.raises(KeyConfigurationError, match="in eu-west-1, as its primary"):
        ReplicaKey(home, "Replica", primary_key=EncryptionKey(home, "Key", multi_region=True))


def test_replica_in_another_account_is_refused(app, home):
    other = cdk.Stack(app, "Other", env=cdk.Environment(account="444455556666", region="us-east-1"))

    with pytest.raises(KeyConfigurationError, match="KMS replicates within one account"):
        ReplicaKey(other, "Replica", primary_key=EncryptionKey(home, "Key", multi_region=True))


@pytest.mark.parametrize("same_stack", [True, False])
def test_replica_in_a_region_that_is_not_known_to_be_another_is_refused(same_stack, app):
    home = cdk.Stack(app, "Anywhere")
    primary = EncryptionKey(home, "Key", multi_region=True)
    away = home if same_stack else cdk.Stack(app, "Elsewhere")

    with pytest.raises(KeyConfigurationError, match=r"Region of its primary, whichever that is \(InvalidArn"):
        ReplicaKey(away, "Replica", primary_key=primary)


ML_KEM = {"StringEquals": {"kms:EncapsulationAlgorithm": "ML_KEM"}}


@pytest.fixture
def hpke_key(stack):
    return KeyEncapsulationKey(stack, "Key")


@pytest.fixture
def receiver(stack, hpke_key):
    return HpkeReceiver(stack, "Receiver", encapsulation_key=hpke_key, purpose="orders")


def test_receivers_role_may_decapsulate_and_nothing_else(stack, synth, hpke_key, receiver, role_statements, named):
    template = synth(stack)
    base = receiver.node.find_child("Decrypt")
    assert role_statements(template, stack, receiver.role) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
        {
            "Action": "kms:Decapsulate",
            "Condition": ML_KEM,
            "Effect": "Allow",
            "Resource": stack.resolve(hpke_key.key_arn),
        },
    ]
    found = template["Resources"][stack.resolve(receiver.function.function_name)["Ref"]]["Properties"]
    assert found["Handler"] == "kms_runtime.handlers.hpke_receiver.decrypt"
    assert found["Environment"]["Variables"] == {
        "KEY_ARN": stack.resolve(hpke_key.key_arn),
        "KEY_SPEC": "ML_KEM_768",
        "PURPOSE": "orders",
    }


def test_receivers_key_policy_names_the_role_with_the_algorithm(stack, synth, receiver, key_statements, named):
    (found,) = key_statements(synth(stack))[1:]
    assert found == {**named(receiver.role, ["kms:Decapsulate"], ML_KEM), "Sid": found["Sid"]}


def test_caller_of_the_receiver_is_granted_the_function_and_nothing_on_the_key(
    stack, synth, receiver, role, role_statements
):
    reader = role("Reader")
    assert receiver.grant_decrypt(reader).success
    arn = stack.resolve(receiver.function.function_arn)
    assert role_statements(synth(stack), stack, reader) == [
        {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": arn}
    ]


def test_hybrid_receiver_may_decapsulate_with_one_key_and_derive_with_the_other(stack, synth, role_statements):
    lattice = KeyEncapsulationKey(stack, "Lattice", key_spec=MlKemSpec.ML_KEM_1024)
    curve = KeyAgreementKey(stack, "Curve", key_spec=kms.KeySpec.ECC_NIST_P384)
    both = HpkeReceiver(stack, "Both", encapsulation_key=lattice, agreement_key=curve, purpose="orders")
    ecdh = {"StringEquals": {"kms:KeyAgreementAlgorithm": "ECDH"}}
    lattice_arn, curve_arn = stack.resolve(lattice.key_arn), stack.resolve(curve.key_arn)
    template = synth(stack)
    assert role_statements(template, stack, both.role)[2:] == [
        {"Action": "kms:Decapsulate", "Condition": ML_KEM, "Effect": "Allow", "Resource": lattice_arn},
        {"Action": "kms:DeriveSharedSecret", "Condition": ecdh, "Effect": "Allow", "Resource": curve_arn},
        {"Action": "kms:GetPublicKey", "Effect": "Allow", "Resource": curve_arn},
    ]
    found = template["Resources"][stack.resolve(both.function.function_name)["Ref"]]["Properties"]
    assert found["Environment"]["Variables"]["AGREEMENT_KEY_ARN"] == curve_arn


@pytest.mark.parametrize(
    ("spec", "curve"),
    [(MlKemSpec.ML_KEM_768, kms.KeySpec.ECC_NIST_P384), (MlKemSpec.ML_KEM_1024, kms.KeySpec.ECC_NIST_P256)],
)
def test_hybrid_receiver_of_keys_that_no_hybrid_kem_combines_is_refused(stack, spec, curve):
    lattice = KeyEncapsulationKey(stack, "Lattice", key_spec=spec)
    other = KeyAgreementKey(stack, "Curve", key_spec=curve)
    with pytest.raises(ValueError, match="use ML_KEM_1024 and ECC_NIST_P384"):
        HpkeReceiver(stack, "Both", encapsulation_key=lattice, agreement_key=other, purpose="orders")


def test_receiver_that_could_not_work_is_refused(stack, hpke_key):
    with pytest.raises(ValueError, match="purpose ' ' is empty"):
        HpkeReceiver(stack, "A", encapsulation_key=hpke_key, purpose=" ")
    small = KeyEncapsulationKey(stack, "Small", key_spec=MlKemSpec.ML_KEM_512)
    with pytest.raises(ValueError, match="ML_KEM_512, which the function does not implement"):
        HpkeReceiver(stack, "B", encapsulation_key=small, purpose="orders")


def test_hpke_receiver_matches_its_snapshot(stack, synth, receiver, snapshot_of):
    assert receiver.function.function_name
    snapshot_of(synth(stack))
