"""Ciphertexts moved to another key and context, unread on the way."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import EncryptionKey, KeyLifecycle, ReEncryptor, RsaEncryptionKey
from stacks import ReferenceStack, instance_role, outputs


class ReEncryptStack(ReferenceStack):
    """ReEncrypt: from a key that is to be retired, and from outsiders' RSA encryption, to a key with a context."""

    NAME = "KmsPatterns-ReEncrypt"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        old = EncryptionKey(self, "OldKey", alias="old", lifecycle=lifecycle)
        new = EncryptionKey(self, "NewKey", alias="new", lifecycle=lifecycle)
        intake = RsaEncryptionKey(self, "IntakeKey", alias="intake", lifecycle=lifecycle)
        archive = ReEncryptor(
            self,
            "Archive",
            source_key=old,
            destination_key=new,
            kept_context=["tenant"],
            destination_context={"state": "archived"},
        )
        receive = ReEncryptor(
            self,
            "Receive",
            source_key=intake,
            destination_key=new,
            required_destination_context=["tenant"],
            destination_context={"state": "received"},
        )
        writer, mover, reader, publisher = (
            instance_role(self, name) for name in ("Writer", "Mover", "Reader", "Publisher")
        )
        old.grant_encrypt(writer, required_context=["tenant"])
        archive.grant_re_encrypt(mover)
        receive.grant_re_encrypt(mover)
        new.grant_decrypt(reader, required_context=["tenant"])
        intake.grant_public_key(publisher)
        outputs(
            self,
            {
                "OldKeyArn": old.key_arn,
                "NewKeyArn": new.key_arn,
                "IntakeKeyArn": intake.key_arn,
                "ArchiveFunctionName": archive.function.function_name,
                "ArchiveRoleArn": archive.role.role_arn,
                "ReceiveFunctionName": receive.function.function_name,
                "ReceiveRoleArn": receive.role.role_arn,
                "WriterRoleArn": writer.role_arn,
                "MoverRoleArn": mover.role_arn,
                "ReaderRoleArn": reader.role_arn,
                "PublisherRoleArn": publisher.role_arn,
            },
        )
