"""Keyrings of several keys, of discovered keys, of an RSA key of KMS, and by ECDH."""

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsEcdhKeyringInput,
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkDiscoveryKeyringInput,
    CreateAwsKmsMrkKeyringInput,
    CreateAwsKmsRsaKeyringInput,
    CreateMultiKeyringInput,
    CreateRawEcdhKeyringInput,
    DiscoveryFilter,
    EphemeralPrivateKeyToStaticPublicKeyInput,
    KmsEcdhStaticConfigurationsKmsPrivateKeyToStaticPublicKey,
    KmsEcdhStaticConfigurationsKmsPublicKeyDiscovery,
    KmsPrivateKeyToStaticPublicKeyInput,
    KmsPublicKeyDiscoveryInput,
    PublicKeyDiscoveryInput,
    RawEcdhStaticConfigurationsEphemeralPrivateKeyToStaticPublicKey,
    RawEcdhStaticConfigurationsPublicKeyDiscovery,
    RawEcdhStaticConfigurationsRawPrivateKeyToStaticPublicKey,
    RawPrivateKeyToStaticPublicKeyInput,
)
from aws_encryption_sdk.identifiers import Algorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    KmsDiscoveryKeyring,
    KmsEcdhKeyring,
    KmsKeyring,
    KmsRsaKeyring,
    RawEcdhKeyring,
    decrypt_bytes,
    encrypt,
    encrypt_bytes,
)
from kms_runtime.aws_errors import (
    AccessDeniedException,
    IncorrectKeyException,
    InvalidArnException,
    InvalidCiphertextException,
)
from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed, MessageFormatError, PublicKeyInvalid
from kms_runtime.key_arn import same_multi_region_key
from kms_runtime.keyrings.kms import generate
from kms_runtime.message import EncryptedDataKey
from kms_runtime.message.header import serialize_data_keys
from tests.runtime.conftest import AsymmetricKms

CONTEXT = {"tenant": "a"}


@pytest.fixture
def both(kms, key_arn, other_key_arn):
    return KmsKeyring(key_arn, kms_client=kms, additional_keys={other_key_arn: kms})


def test_message_under_several_keys_is_opened_by_any_one_of_them(both, kms, key_arn, other_key_arn):
    message = encrypt_bytes(b"hello", keyring=both, encryption_context=CONTEXT)
    (generated, first), (encrypted, second) = kms.calls
    assert (generated, encrypted) == ("GenerateDataKey", "Encrypt")
    assert (first["KeyId"], second["KeyId"]) == (key_arn, other_key_arn)
    assert first["EncryptionContext"] == second["EncryptionContext"] == CONTEXT
    for arn in (key_arn, other_key_arn):
        kms.calls.clear()
        keyring = KmsKeyring(arn, kms_client=kms)
        assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"hello"
        assert [request["KeyId"] for _, request in kms.calls] == [arn]


def test_result_names_the_key_that_decrypted(both, kms, key_arn, other_key_arn, tmp_path):
    other = KmsKeyring(other_key_arn, kms_client=kms)
    message = tmp_path / "message"
    with message.open("wb") as sink:
        assert encrypt(tmp_path.joinpath("p").open("w+b"), sink, keyring=both, encryption_context={}).key_arn == key_arn
    data_key = other.decrypt_data_key(both.generate_data_key(CONTEXT).encrypted, CONTEXT)
    assert data_key.key_arn == other_key_arn


def test_next_key_is_tried_when_the_first_is_refused(both, kms, kms_error, monkeypatch, key_arn):
    message = encrypt_bytes(b"hello", keyring=both, encryption_context=CONTEXT)
    genuine = kms.decrypt

    def refuse_first(**request):
        if request["KeyId"] == key_arn:
            raise kms_error("DisabledException", "Decrypt")
        return genuine(**request)

    monkeypatch.setattr(kms, "decrypt", refuse_first)
    assert decrypt_bytes(message, keyring=both, encryption_context=CONTEXT) == b"hello"


def test_refusals_of_all_keys_are_told(both, kms, kms_error, monkeypatch, key_arn):
    message = encrypt_bytes(b"hello", keyring=both, encryption_context=CONTEXT)

    def refuse(**request):
        raise kms_error("DisabledException" if request["KeyId"] == key_arn else "AccessDeniedException", "Decrypt")

    monkeypatch.setattr(kms, "decrypt", refuse)
    with pytest.raises(AccessDeniedException) as caught:
        decrypt_bytes(message, keyring=both, encryption_context=CONTEXT)
    (note,) = caught.value.__notes__
    assert note.startswith(f"also {key_arn}: DisabledException: ")


def test_data_key_is_wiped_if_a_further_key_refuses(both, kms, kms_error, monkeypatch):
    made = []
    genuine = generate

    def remember(*arguments):
        made.append(genuine(*arguments)[0])
        return made[0], b"x"

    def refuse(**_):
        raise kms_error("AccessDeniedException", "Encrypt")

    monkeypatch.setattr("kms_runtime.keyrings.kms.generate", remember)
    monkeypatch.setattr(kms, "encrypt", refuse)
    with pytest.raises(AccessDeniedException):
        both.generate_data_key(CONTEXT)
    assert made == [bytearray(32)]


def test_additional_key_that_is_not_an_arn_is_refused(kms, key_arn):
    with pytest.raises(InvalidArnException):
        KmsKeyring(key_arn, kms_client=kms, additional_keys={"alias/x": kms})


def test_encrypt_that_answers_for_another_key_is_refused(both, kms, monkeypatch, key_arn):
    monkeypatch.setattr(kms, "encrypt", lambda **_: {"KeyId": key_arn, "CiphertextBlob": b"x"})
    with pytest.raises(IncorrectKeyException, match="the response of Encrypt is for"):
        encrypt_bytes(b"", keyring=both, encryption_context=CONTEXT)


def test_more_than_twenty_keys_are_refused(kms, key_arn):
    prefix = key_arn[:-2]
    kms._keys |= {f"{prefix}{n:02}": kms._keys[key_arn] for n in range(20)}
    many = KmsKeyring(key_arn, kms_client=kms, additional_keys={f"{prefix}{n:02}": kms for n in range(20)})
    with pytest.raises(InvalidRequest, match="21 data keys; a message has at most 20"):
        encrypt_bytes(b"", keyring=many, encryption_context={})
    assert kms.calls == []


def test_more_than_twenty_keys_are_written_and_read_by_parameter(kms, key_arn):
    prefix = key_arn[:-2]
    kms._keys |= {f"{prefix}{n:02}": kms._keys[key_arn] for n in range(20)}
    others = {f"{prefix}{n:02}": kms for n in range(20)}
    many = KmsKeyring(key_arn, kms_client=kms, additional_keys=others, max_encrypted_data_keys=21)
    message = encrypt_bytes(b"hello", keyring=many, encryption_context={})
    with pytest.raises(MessageFormatError, match=r"21 encrypted data keys; this reader accepts 1 to 20 \(max_encr"):
        decrypt_bytes(message, keyring=many, encryption_context={})
    assert decrypt_bytes(message, keyring=many, encryption_context={}, max_encrypted_data_keys=21) == b"hello"


def test_data_key_that_does_not_fit_its_field_is_refused():
    with pytest.raises(InvalidRequest, match="65536 bytes in a field"):
        serialize_data_keys([EncryptedDataKey("x", b"", bytes(65536))])


def test_replica_opens_what_its_primary_encrypted_without_leaving_its_region(kms, mrk_arns):
    primary, replica = mrk_arns
    message = encrypt_bytes(b"hello", keyring=KmsKeyring(primary, kms_client=kms), encryption_context=CONTEXT)
    kms.calls.clear()
    there = KmsKeyring(replica, kms_client=kms)
    assert decrypt_bytes(message, keyring=there, encryption_context=CONTEXT) == b"hello"
    assert [request["KeyId"] for _, request in kms.calls] == [replica]


ARN = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1"


@pytest.mark.parametrize(
    ("other", "related"),
    [
        ("arn:aws:kms:us-east-1:111122223333:key/mrk-1", True),
        ("arn:aws:kms:us-east-1:111122223333:key/mrk-2", False),
        ("arn:aws:kms:us-east-1:444455556666:key/mrk-1", False),
        ("arn:aws-cn:kms:us-east-1:111122223333:key/mrk-1", False),
        ("arn:aws:kms:us-east-1:111122223333:alias/mrk-1", False),
        ("", False),
    ],
)
def test_related_keys_differ_in_nothing_but_the_region(other, related):
    assert same_multi_region_key(ARN, other) is same_multi_region_key(other, ARN) is related
    single = ARN.replace("mrk-", "")
    assert not same_multi_region_key(single, single.replace("eu-west-1", "us-east-1"))


def test_multi_region_and_multi_key_messages_cross_to_and_from_the_material_providers(
    mpl, client, in_memory, kms, mrk_arns, both, key_arn, other_key_arn
):
    primary, replica = mrk_arns
    here, there = in_memory(), in_memory(region="us-east-1")
    official = mpl.create_aws_kms_mrk_keyring(CreateAwsKmsMrkKeyringInput(kms_key_id=replica, kms_client=there))
    ours = KmsKeyring(primary, kms_client=kms)
    message = encrypt_bytes(b"hello", keyring=ours, encryption_context=CONTEXT)
    assert client.decrypt(source=message, keyring=official)[0] == b"hello"
    message, _ = client.encrypt(source=b"hello", encryption_context=CONTEXT, keyring=official)
    assert decrypt_bytes(message, keyring=ours, encryption_context=CONTEXT) == b"hello"
    generator, child = (
        mpl.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=arn, kms_client=here))
        for arn in (key_arn, other_key_arn)
    )
    multi = mpl.create_multi_keyring(CreateMultiKeyringInput(generator=generator, child_keyrings=[child]))
    message, _ = client.encrypt(source=b"hello", encryption_context=CONTEXT, keyring=multi)
    only_other = KmsKeyring(other_key_arn, kms_client=kms)
    assert decrypt_bytes(message, keyring=only_other, encryption_context=CONTEXT) == b"hello"
    message = encrypt_bytes(b"hello", keyring=both, encryption_context=CONTEXT)
    assert client.decrypt(source=message, keyring=multi)[0] == b"hello"


@pytest.fixture
def discovery(kms):
    def make(accounts=("111122223333",), clients=None, **options):
        find = (lambda region: kms) if clients is None else clients.get
        return KmsDiscoveryKeyring(account_ids=accounts, client_for_region=find, **options)

    return make


def test_discovery_asks_the_key_of_the_message_if_its_account_is_trusted(discovery, keyring, kms, key_arn):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    assert decrypt_bytes(message, keyring=discovery(), encryption_context=CONTEXT) == b"hello"
    assert [request["KeyId"] for _, request in kms.calls] == [key_arn]


@pytest.mark.parametrize(
    "options",
    [{"accounts": ["444455556666"]}, {"partition": "aws-cn"}, {"clients": {"us-east-1": object()}}],
    ids=["account", "partition", "region"],
)
def test_discovery_asks_nobody_outside_of_its_filter(options, discovery, keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    with pytest.raises(IncorrectKeyException):
        decrypt_bytes(message, keyring=discovery(**options), encryption_context=CONTEXT)
    assert kms.calls == []


def test_discovery_decrypts_a_multi_region_key_in_its_own_region_as_aws_does(
    discovery, kms, mrk_arns, mpl, client, in_memory
):
    primary, replica = mrk_arns
    message = encrypt_bytes(b"hello", keyring=KmsKeyring(primary, kms_client=kms), encryption_context=CONTEXT)
    there = discovery(clients={"us-east-1": kms}, mrk_region="us-east-1")
    kms.calls.clear()
    assert decrypt_bytes(message, keyring=there, encryption_context=CONTEXT) == b"hello"
    assert [request["KeyId"] for _, request in kms.calls] == [replica]
    official = mpl.create_aws_kms_mrk_discovery_keyring(
        CreateAwsKmsMrkDiscoveryKeyringInput(
            kms_client=in_memory(region="us-east-1"),
            region="us-east-1",
            discovery_filter=DiscoveryFilter(account_ids=["111122223333"], partition="aws"),
        )
    )
    assert client.decrypt(source=message, keyring=official)[0] == b"hello"


def test_discovery_leaves_other_keys_in_their_region(discovery, keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    there = discovery(clients={"us-east-1": kms}, mrk_region="us-east-1")
    with pytest.raises(IncorrectKeyException):
        decrypt_bytes(message, keyring=there, encryption_context=CONTEXT)
    assert kms.calls == []


@pytest.mark.parametrize("info", [b"\xff", b"alias/x", b"arn:aws:kms:eu-west-1:111122223333:alias/x"])
def test_discovery_asks_for_nothing_but_key_arns(info, discovery, kms):
    with pytest.raises(IncorrectKeyException):
        discovery().decrypt_data_key([EncryptedDataKey("aws-kms", info, b"x")], CONTEXT)
    assert kms.calls == []


@pytest.mark.parametrize("accounts", [(), "111122223333", ["1111"], ["11112222333x"], ["¹11122223333"]])
def test_discovery_without_accounts_is_refused(accounts, discovery):
    with pytest.raises(InvalidRequest, match="12 digits each"):
        discovery(accounts)


def test_discovery_cannot_encrypt(discovery):
    with pytest.raises(InvalidRequest, match="use a KmsKeyring"):
        encrypt_bytes(b"", keyring=discovery(), encryption_context={})


def test_message_without_data_keys_is_refused():
    with pytest.raises(InvalidRequest):
        serialize_data_keys([])


RSA_CONTEXT = {"tenant": "a", "größe": "ü"}
SUBJECT = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(params=["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
def keyring_of(request, kms, rsa_pair, rsa_keyring):
    def make(**options):
        pem = rsa_pair.public_key().public_bytes(*SUBJECT)
        options = {"public_key": pem, "kms_client": kms, "encryption_algorithm": request.param} | options
        return KmsRsaKeyring(rsa_keyring.key_arn, **options)

    return make


@pytest.fixture
def official(request, mpl, in_memory, rsa_pair, rsa_keyring, keyring_of):
    return mpl.create_aws_kms_rsa_keyring(
        CreateAwsKmsRsaKeyringInput(
            public_key=rsa_pair.public_key().public_bytes(*SUBJECT),
            kms_key_id=rsa_keyring.key_arn,
            encryption_algorithm=keyring_of()._algorithm,
            kms_client=in_memory(),
        )
    )


def test_encryption_makes_no_kms_call_and_decryption_one(keyring_of, kms, rsa_keyring):
    keyring = keyring_of(kms_client=None)
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=RSA_CONTEXT)
    assert kms.calls == []
    assert decrypt_bytes(message, keyring=keyring_of(public_key=None), encryption_context=RSA_CONTEXT) == b"hello"
    ((operation, request),) = kms.calls
    assert (operation, request["KeyId"]) == ("Decrypt", rsa_keyring.key_arn)
    assert request["EncryptionAlgorithm"] == keyring._algorithm
    assert "EncryptionContext" not in request


@pytest.mark.parametrize("context", [{}, RSA_CONTEXT])
def test_messages_cross_to_and_from_the_material_providers(context, keyring_of, official, client):
    unsigned = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    message = encrypt_bytes(b"hello", keyring=keyring_of(), encryption_context=context)
    assert client.decrypt(source=message, keyring=official)[0] == b"hello"
    message, _ = client.encrypt(source=b"hello", encryption_context=context, keyring=official, algorithm=unsigned)
    assert decrypt_bytes(message, keyring=keyring_of(), encryption_context=context) == b"hello"


def test_data_key_of_another_context_is_refused(keyring_of):
    data_key = keyring_of().generate_data_key(RSA_CONTEXT)
    assert keyring_of().decrypt_data_key(data_key.encrypted, RSA_CONTEXT) == data_key
    with pytest.raises(InvalidCiphertextException, match="another encryption context"):
        keyring_of().decrypt_data_key(data_key.encrypted, {})


def test_data_key_is_found_among_others(keyring_of, rsa_keyring, kms):
    (good,) = keyring_of().generate_data_key(RSA_CONTEXT).encrypted
    bad = EncryptedDataKey("aws-kms-rsa", rsa_keyring.key_arn.encode(), bytes(256))
    foreign = EncryptedDataKey("aws-kms", rsa_keyring.key_arn.encode(), bytes(256))
    assert keyring_of().decrypt_data_key([foreign, bad, good], RSA_CONTEXT).encrypted == (good,)
    assert kms.operations == ["Decrypt", "Decrypt"]
    with pytest.raises(IncorrectKeyException):
        keyring_of().decrypt_data_key([foreign], RSA_CONTEXT)


def test_signed_suite_is_refused_both_ways(keyring_of, keyring):
    signed = AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    with pytest.raises(InvalidRequest, match="0x0578 is signed"):
        encrypt_bytes(b"", keyring=keyring_of(), encryption_context={}, algorithm_suite=signed)
    message = encrypt_bytes(b"", keyring=keyring, encryption_context={}, algorithm_suite=signed)
    with pytest.raises(InvalidRequest, match="0x0578 is signed"):
        decrypt_bytes(message, keyring=keyring_of(), encryption_context={})


def test_half_a_keyring_says_what_it_lacks(keyring_of):
    with pytest.raises(InvalidRequest, match="no public_key"):
        encrypt_bytes(b"", keyring=keyring_of(public_key=None), encryption_context={})
    message = encrypt_bytes(b"", keyring=keyring_of(), encryption_context={})
    with pytest.raises(InvalidRequest, match="no kms_client"):
        decrypt_bytes(message, keyring=keyring_of(kms_client=None), encryption_context={})


def test_answer_of_another_length_or_key_is_refused(keyring_of, kms, key_arn, monkeypatch):
    message = encrypt_bytes(b"", keyring=keyring_of(), encryption_context={})
    kms.answer_as = key_arn
    with pytest.raises(IncorrectKeyException, match="is for"):
        decrypt_bytes(message, keyring=keyring_of(), encryption_context={})


@pytest.mark.parametrize("encoded", [b"", b"x", b"-----BEGIN PUBLIC KEY-----", "elliptic", "short"])
def test_what_is_not_a_strong_rsa_public_key_is_refused(encoded, keyring_of):
    if encoded == "elliptic":
        encoded = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*SUBJECT)
    if encoded == "short":
        encoded = rsa.generate_private_key(65537, 1024).public_key().public_bytes(*SUBJECT)
    with pytest.raises(InvalidRequest, match="public key"):
        keyring_of(public_key=encoded)


def test_unknown_algorithm_is_refused(keyring_of):
    with pytest.raises(InvalidRequest, match="'RSAES_PKCS1_V1_5' is not one of RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1"):
        keyring_of(encryption_algorithm="RSAES_PKCS1_V1_5")


def test_public_key_of_a_kind_that_cryptography_does_not_know_is_refused(keyring_of):
    # SubjectPublicKeyInfo with an algorithm that has no name.
    unknown = bytes.fromhex("300c300606042a03040503020001")
    with pytest.raises(InvalidRequest, match="public key"):
        keyring_of(public_key=unknown)


def test_alias_is_refused():
    with pytest.raises(InvalidArnException):
        KmsRsaKeyring("alias/x")


def test_symmetric_keyring_does_not_open_it(keyring_of, rsa_keyring, kms):
    message = encrypt_bytes(b"", keyring=keyring_of(), encryption_context={})
    with pytest.raises(IncorrectKeyException):
        decrypt_bytes(message, keyring=KmsKeyring(rsa_keyring.key_arn, kms_client=kms), encryption_context={})
    assert kms.calls == []


CURVES = {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
ECDH_ARN = "arn:aws:kms:eu-west-1:111122223333:key/ecdh"


def der_of(pair):
    return pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem_of(pair):
    return pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(params=CURVES)
def curve(request):
    return request.param


@pytest.fixture
def ours_and_theirs(curve):
    return ec.generate_private_key(CURVES[curve]), ec.generate_private_key(CURVES[curve])


def official_raw(mpl, curve, scheme):
    return mpl.create_raw_ecdh_keyring(CreateRawEcdhKeyringInput(curve_spec=curve, key_agreement_scheme=scheme))


@pytest.mark.parametrize("context", [{}, CONTEXT])
def test_raw_ecdh_messages_cross_to_and_from_the_material_providers(mpl, client, curve, context, ours_and_theirs):
    ours, theirs = ours_and_theirs
    static = RawEcdhStaticConfigurationsRawPrivateKeyToStaticPublicKey(
        RawPrivateKeyToStaticPublicKeyInput(sender_static_private_key=pem_of(theirs), recipient_public_key=der_of(ours))
    )
    once = RawEcdhStaticConfigurationsEphemeralPrivateKeyToStaticPublicKey(
        EphemeralPrivateKeyToStaticPublicKeyInput(recipient_public_key=der_of(ours))
    )
    any_sender = RawEcdhStaticConfigurationsPublicKeyDiscovery(
        PublicKeyDiscoveryInput(recipient_static_private_key=pem_of(theirs))
    )
    both = RawEcdhKeyring(private_key=ours, peer_public_key=der_of(theirs))
    discovery = RawEcdhKeyring(private_key=ours)
    for keyring in (both, RawEcdhKeyring(peer_public_key=der_of(theirs))):
        message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=context)
        official = official_raw(mpl, curve, static if keyring is both else any_sender)
        assert client.decrypt(source=message, keyring=official)[0] == b"hello"
    for scheme, keyring in ((static, both), (once, discovery)):
        official = official_raw(mpl, curve, scheme)
        message, _ = client.encrypt(source=b"hello", encryption_context=context, keyring=official)
        assert decrypt_bytes(message, keyring=keyring, encryption_context=context) == b"hello"


@pytest.fixture
def ecdh_kms(kms):
    return AsymmetricKms(kms)


def test_kms_ecdh_messages_cross_to_and_from_the_material_providers(mpl, client, session, kms, ecdh_kms):
    theirs = ec.generate_private_key(ec.SECP256R1())
    genuine = session.create_client("kms", region_name="eu-west-1")
    public = der_of(ecdh_kms.agreement_key)
    known = {"KeyId": ECDH_ARN, "PublicKey": public, "KeyUsage": "KEY_AGREEMENT", "KeySpec": "ECC_NIST_P256"}
    answers = {
        "DeriveSharedSecret": ecdh_kms.derive_shared_secret,
        "GetPublicKey": lambda **_: known,
    }
    genuine._make_api_call = lambda operation, request: answers[operation](**request)
    static = KmsEcdhStaticConfigurationsKmsPrivateKeyToStaticPublicKey(
        KmsPrivateKeyToStaticPublicKeyInput(
            sender_kms_identifier=ECDH_ARN, sender_public_key=public, recipient_public_key=der_of(theirs)
        )
    )
    any_sender = KmsEcdhStaticConfigurationsKmsPublicKeyDiscovery(
        KmsPublicKeyDiscoveryInput(recipient_kms_identifier=ECDH_ARN)
    )
    options = {"public_key": public, "kms_client": ecdh_kms}
    static_ours = KmsEcdhKeyring(ECDH_ARN, peer_public_key=der_of(theirs), **options)
    discovery = KmsEcdhKeyring(ECDH_ARN, **options)
    outsider = RawEcdhKeyring(private_key=theirs, peer_public_key=public)
    for scheme, writer in ((static, static_ours), (any_sender, RawEcdhKeyring(peer_public_key=public))):
        official = mpl.create_aws_kms_ecdh_keyring(
            CreateAwsKmsEcdhKeyringInput(key_agreement_scheme=scheme, curve_spec="ECC_NIST_P256", kms_client=genuine)
        )
        message = encrypt_bytes(b"hello", keyring=writer, encryption_context=CONTEXT)
        assert client.decrypt(source=message, keyring=official)[0] == b"hello"
        if scheme is static:
            message, _ = client.encrypt(source=b"hello", encryption_context=CONTEXT, keyring=official)
            kms.calls.clear()
            for keyring in (static_ours, outsider):
                assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"hello"
            assert kms.operations == ["DeriveSharedSecret"]
    message = encrypt_bytes(b"hello", keyring=outsider, encryption_context=CONTEXT)
    for keyring in (static_ours, discovery, outsider):
        assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"hello"


@pytest.fixture
def pairs():
    return ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def test_ecdh_message_of_another_pair_context_or_recipient_is_refused(pairs):
    ours, theirs = pairs
    writer = RawEcdhKeyring(private_key=ours, peer_public_key=der_of(theirs))
    reader = RawEcdhKeyring(private_key=theirs, peer_public_key=der_of(ours))
    stranger = ec.generate_private_key(ec.SECP256R1())
    data_key = writer.generate_data_key(CONTEXT)
    assert reader.decrypt_data_key(data_key.encrypted, CONTEXT) == data_key
    for other in (RawEcdhKeyring(private_key=stranger), RawEcdhKeyring(private_key=ours)):
        with pytest.raises(IncorrectKeyException, match="under raw-ecdh, not under raw-ecdh by ECDH"):
            other.decrypt_data_key(data_key.encrypted, CONTEXT)
    with pytest.raises(MessageAuthenticationFailed):
        reader.decrypt_data_key(data_key.encrypted, {"tenant": "b"})


@pytest.mark.parametrize("at", [0, 31, 32, 63, 64, -1])
def test_altered_ecdh_data_key_is_refused(at, pairs):
    _, theirs = pairs
    (key,) = RawEcdhKeyring(peer_public_key=der_of(theirs)).generate_data_key(CONTEXT).encrypted
    altered = bytearray(key.ciphertext)
    altered[at] ^= 1
    for ciphertext in (bytes(altered), key.ciphertext[:at], b""):
        with pytest.raises(MessageAuthenticationFailed):
            RawEcdhKeyring(private_key=theirs).decrypt_data_key([key._replace(ciphertext=ciphertext)], CONTEXT)


def test_ecdh_key_that_is_no_point_is_refused(pairs):
    _, theirs = pairs
    (key,) = RawEcdhKeyring(peer_public_key=der_of(theirs)).generate_data_key(CONTEXT).encrypted
    for sender in (b"\x02" + b"\xff" * 32, bytes(33)):
        wrong = key._replace(provider_info=key.provider_info[:-33] + sender)
        with pytest.raises(PublicKeyInvalid, match="not a point"):
            RawEcdhKeyring(private_key=theirs).decrypt_data_key([wrong], CONTEXT)
    for info in (b"", b"\x01", key.provider_info[:-1], key.provider_info + b"x", b"\x02" + key.provider_info[1:]):
        with pytest.raises(IncorrectKeyException):
            RawEcdhKeyring(private_key=theirs).decrypt_data_key([key._replace(provider_info=info)], CONTEXT)


def test_half_an_ecdh_keyring_says_what_it_lacks(pairs, kms):
    ours, theirs = pairs
    with pytest.raises(InvalidRequest, match="needs a private_key, a peer_public_key, or both"):
        RawEcdhKeyring()
    with pytest.raises(InvalidRequest, match="has no peer_public_key, so it can only decrypt"):
        RawEcdhKeyring(private_key=ours).generate_data_key(CONTEXT)
    with pytest.raises(InvalidRequest, match="has no private key, so it can only encrypt"):
        RawEcdhKeyring(peer_public_key=der_of(theirs)).decrypt_data_key((), CONTEXT)
    with pytest.raises(InvalidRequest, match="on secp384r1, this party's on secp256r1"):
        RawEcdhKeyring(private_key=ours, peer_public_key=der_of(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(PublicKeyInvalid, match="secp256k1; AWS KMS agrees on"):
        RawEcdhKeyring(private_key=ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(InvalidArnException):
        KmsEcdhKeyring("alias/x", public_key=der_of(ours), kms_client=kms)
