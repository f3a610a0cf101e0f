"""Several wrapping keys, multi-Region keys, discovery: which key is asked, with which KeyId, and who is never asked."""

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkKeyringInput,
    CreateMultiKeyringInput,
)

from kms_runtime import KmsDiscoveryKeyring, KmsKeyring, decrypt_bytes, encrypt, encrypt_bytes
from kms_runtime.aws_errors import AccessDeniedException, IncorrectKeyException, InvalidArnException
from kms_runtime.errors import InvalidRequest
from kms_runtime.key_arn import same_multi_region_key
from kms_runtime.keyrings.kms_calls import generate
from kms_runtime.message import EncryptedDataKey
from kms_runtime.message.data_keys import serialize_data_keys

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
    assert note.startswith(f"before that, {key_arn}: DisabledException: ")


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
    with pytest.raises(InvalidRequest, match="21 KMS keys; a message has at most 20"):
        encrypt_bytes(b"", keyring=many, encryption_context={})
    assert kms.calls == []


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
