"""KMS calls as CloudTrail events."""

from typing import Any


def test_a_denied_call_tells_who_what_and_which_statement(
    aws: Any, key: str, session_of: Any, allow: Any, code_of: Any
) -> None:
    deny = allow("kms:Decrypt", "*") | {"Effect": "Deny", "Sid": "NoReading"}
    kms = session_of(allow("kms:*", "*"), deny).client("kms")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"tenant": "a"})["CiphertextBlob"]
    code_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"tenant": "a"})
    allowed, denied = aws.cloud_trail()[-2:]
    assert (allowed["eventName"], allowed["readOnly"], "errorCode" in allowed) == ("Encrypt", True, False)
    assert (denied["eventName"], denied["errorCode"], denied["awsRegion"]) == ("Decrypt", "AccessDenied", aws.region)
    assert denied["requestParameters"] == {"keyId": key, "encryptionContext": {"tenant": "a"}}
    assert denied["resources"] == [{"accountId": aws.account, "type": "AWS::KMS::Key", "ARN": key}]
    assert denied["userIdentity"]["type"] == "AssumedRole"
    decided = {"policy": "policy", "sid": "NoReading", "position": 1, "effect": "Deny"}
    assert denied["additionalEventData"] == {
        "decision": "deny", "reason": "with an explicit deny in an identity-based policy", "statement": decided,
    }  # fmt: skip


def test_a_call_through_s3_names_the_service(aws: Any, key: str, make_bucket: Any, s3_user: Any) -> None:
    s3_user("kms:GenerateDataKey", key=key).put_object(Bucket=make_bucket(key), Key="a", Body=b"x")
    event = aws.cloud_trail()[-1]
    assert (event["eventName"], event["userIdentity"]["invokedBy"]) == ("GenerateDataKey", "s3.amazonaws.com")
