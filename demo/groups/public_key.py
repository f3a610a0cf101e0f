"""A published RSA key: fetched by anyone, replaced by no one; and what an asymmetric key cannot do."""

import json
from typing import Any

from demo.principals import administrator, ask, ask_until_published, client, directly, function_client, other_role
from demo.scenario import Group, Stage
from kms_runtime import KmsKeyring, PublicKey, encrypt_bytes
from kms_runtime.aws_errors import AwsError
from kms_runtime.random_bytes import random_bytes

publication = Group("Public key: fetched over HTTPS by anyone, replaced by no one", order=60)


def published(stage: Stage, stack: str, output: str = "PublicKeyUrl") -> PublicKey:
    """Return a public key that ``stack`` publishes, fetched once, without AWS credentials, and checked."""

    def fetch() -> PublicKey:
        return PublicKey.from_document(json.loads(ask_until_published(stage, stage.output(stack, output)).content))

    found: PublicKey = stage.once(f"{stack} {output}", fetch)
    return found


@publication.scenario(
    "anyone, without AWS credentials",
    "fetches the key after the deployment",
    "RSA_3072 for RSAES_OAEP_SHA_256 up to 318 bytes, the key that KMS has; public, max-age=3600",
)
def anyone_fetches_the_key(stage: Stage) -> str:
    key = published(stage, "PublicKey")
    limits = ", ".join(f"{name} up to {key.plaintext_limit(name)} bytes" for name in key.algorithms)
    kms = stage.aws.session().client("kms")
    same = key.der == kms.get_public_key(KeyId=stage.output("PublicKey", "KeyArn"))["PublicKey"]
    caching = ask(stage, stage.output("PublicKey", "PublicKeyUrl")).headers["cache-control"]
    return f"{key.key_spec} for {limits}, {'the' if same else 'not the'} key that KMS has; {caching}"


@publication.scenario("anyone", "asks again with the ETag", "304 and 0 bytes")
def unchanged_key_is_not_sent_again(stage: Stage) -> str:
    url = stage.output("PublicKey", "PublicKeyUrl")
    etag = ask(stage, url).headers["etag"]
    again = ask(stage, url, if_none_match=etag)
    return f"{again.status} and {len(again.content)} bytes"


@publication.scenario("anyone", "asks for another path, and sends a POST", "404, 405")
def nothing_else_is_served(stage: Stage) -> str:
    url = stage.output("PublicKey", "PublicKeyUrl")
    other = ask(stage, url.replace("partners.json", "secrets.json")).status
    return f"{other}, {ask(stage, url, method='POST').status}"


@publication.refused("publishing function's role", "calls Decrypt", "AccessDeniedException (kms:Decrypt)")
def publisher_may_not_decrypt(stage: Stage) -> None:
    given = {"CiphertextBlob": bytes(384), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    directly(stage, "PublicKey", "Publish", "decrypt", **given)


@publication.refused("serving function's role", "calls GetPublicKey", "AccessDeniedException (kms:GetPublicKey)")
def server_may_not_call_kms(stage: Stage) -> None:
    directly(stage, "PublicKey", "Serve", "get_public_key")


@publication.refused("serving function's role", "replaces the key", "AccessDenied (s3:PutObject)")
def server_may_not_replace_the_key(stage: Stage) -> None:
    s3 = function_client(stage, "s3", "PublicKey", "ServeRoleArn")
    s3.put_object(Bucket=stage.output("PublicKey", "PublicKeyBucketName"), Key="partners.json", Body=b"{}")


@publication.refused("administrator with *:*", "replaces the key", "AccessDenied (s3:PutObject)")
def administrator_may_not_replace_the_key(stage: Stage) -> None:
    bucket = stage.output("PublicKey", "PublicKeyBucketName")
    administrator(stage, "s3").put_object(Bucket=bucket, Key="partners.json", Body=b"{}")


@publication.refused(
    "administrator with *:*",
    "deletes the current version, so that a former key returns",
    "AccessDenied (s3:DeleteObjectVersion)",
)
def administrator_may_not_bring_a_former_key_back(stage: Stage) -> None:
    where = {"Bucket": stage.output("PublicKey", "PublicKeyBucketName"), "Key": "partners.json"}
    current = stage.aws.session().client("s3").head_object(**where)["VersionId"]
    administrator(stage, "s3").delete_object(**where, VersionId=current)


@publication.refused(
    "administrator with *:*", "deletes the policy that forbids this", "AccessDenied (s3:DeleteBucketPolicy)"
)
def administrator_may_not_delete_the_policy_of_the_publication(stage: Stage) -> None:
    bucket = stage.output("PublicKey", "PublicKeyBucketName")
    administrator(stage, "s3").delete_bucket_policy(Bucket=bucket)


@publication.refused("account root", "calls GenerateDataKey with the RSA key", "InvalidKeyUsageException")
def rsa_key_makes_no_data_keys(stage: Stage) -> None:
    kms = stage.aws.session().client("kms")
    kms.generate_data_key(KeyId=stage.output("PublicKey", "KeyArn"), KeySpec="AES_256")


@publication.refused("reader", "calls GenerateDataKey with it", "AccessDeniedException (kms:GenerateDataKey)")
def reader_may_not_make_data_keys(stage: Stage) -> None:
    kms = client(stage, "kms", "PublicKey", "ReaderRoleArn")
    kms.generate_data_key(KeyId=stage.output("PublicKey", "KeyArn"), KeySpec="AES_256")


beyond = Group("Beyond a key: data keys of asymmetric keys, random bytes of none", order=160)


def _root(stage: Stage) -> Any:
    """The account's root, whom no policy keeps from anything: what it is refused, the key cannot do."""
    return stage.aws.session().client("kms")


@beyond.refused("account root", "asks a signing key for a data key pair", "InvalidKeyUsageException")
def signing_key_makes_no_pair(stage: Stage) -> None:
    key = stage.output("Tokens", "KeyArn")
    _root(stage).generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256")


@beyond.refused(
    "program of account root",
    "encrypts an envelope under a signing key",
    "InvalidKeyUsageException, raised by kms_runtime",
)
def keyring_of_a_signing_key(stage: Stage) -> str:
    keyring = KmsKeyring(stage.output("Tokens", "KeyArn"), kms_client=_root(stage))
    try:
        encrypt_bytes(b"a file", keyring=keyring, encryption_context={"tenant": "a"})
    except AwsError as refusal:
        return f"refused: {refusal.code}, raised by kms_runtime"
    return "an envelope"


@beyond.refused("account root", "asks a symmetric key for its public half", "UnsupportedOperationException")
def symmetric_key_has_no_public_half(stage: Stage) -> None:
    _root(stage).get_public_key(KeyId=stage.output("DataKeyPairs", "KeyArn"))


def _seeds(stage: Stage, name: str, resource: str) -> list[bytes]:
    kms = other_role(stage, "kms", f"kms-patterns-demo-{name}", [("kms:GenerateRandom", resource)])
    try:
        return [random_bytes(32, kms) for _ in range(2)]
    except AwsError as refusal:
        # The demo's report names a refusal by what AWS answered.
        raise refusal.__cause__ or refusal from None


@beyond.scenario("role with kms:GenerateRandom on *", "asks twice for 32 random bytes", "32 and 32 bytes, not equal")
def random_bytes_need_no_key(stage: Stage) -> str:
    one, other = _seeds(stage, "seeder", "*")
    return f"{len(one)} and {len(other)} bytes, {'equal' if one == other else 'not equal'}"


@beyond.refused(
    "role with kms:GenerateRandom on a key", "asks for 32 random bytes", "AccessDeniedException (kms:GenerateRandom)"
)
def random_bytes_are_no_matter_of_a_key(stage: Stage) -> str:
    return f"{len(_seeds(stage, 'seeder-of-a-key', stage.output('ReEncrypt', 'IntakeKeyArn')))} seeds"
