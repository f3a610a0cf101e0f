"""What becomes of keys and aliases with their stack."""

from kms_patterns import EncryptionKey, KeyLifecycle


def test_key_stays_with_its_alias_by_default(stack, synth):
    EncryptionKey(stack, "Key", alias="orders/data")

    assert {
        item["Type"]: (item["DeletionPolicy"], item["UpdateReplacePolicy"])
        for item in synth(stack)["Resources"].values()
    } == {
        "AWS::KMS::Key": ("RetainExceptOnCreate", "Retain"),
        "AWS::KMS::Alias": ("RetainExceptOnCreate", "Retain"),
    }


def test_ephemeral_key_goes_with_its_alias_after_seven_days(stack, synth):
    EncryptionKey(stack, "Key", alias="orders/data", lifecycle=KeyLifecycle.EPHEMERAL)

    made = {item["Type"]: item for item in synth(stack)["Resources"].values()}
    assert {kind: item["DeletionPolicy"] for kind, item in made.items()} == {
        "AWS::KMS::Key": "Delete",
        "AWS::KMS::Alias": "Delete",
    }
    assert made["AWS::KMS::Key"]["Properties"]["PendingWindowInDays"] == 7
