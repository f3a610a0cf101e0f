"""A published RSA key: fetched by anyone, replaced by no one."""

import json

from demo.principals import administrator, ask, ask_until_published, client, function_client
from demo.scenario import Group, Stage
from kms_runtime import PublicKey

publication = Group("Public key: fetched over HTTPS by anyone, replaced by no one", order=60)


def published(stage: Stage, stack: str, output: str = "PublicKeyUrl") -> PublicKey:
    """Return a public key that ``stack`` publishes, fetched without AWS credentials and checked."""
    answer = ask_until_published(stage, stage.output(stack, output))
    return PublicKey.from_document(json.loads(answer.content))


@publication.scenario(
    who="anyone, without AWS credentials",
    what="fetches the key after the deployment",
    expected="RSA_3072 for RSAES_OAEP_SHA_256 up to 318 bytes, the key that KMS has; public, max-age=3600",
)
def anyone_fetches_the_key(stage: Stage) -> str:
    key = published(stage, "PublicKey")
    limits = ", ".join(f"{name} up to {key.plaintext_limit(name)} bytes" for name in key.algorithms)
    kms = stage.aws.session().client("kms")
    same = key.der == kms.get_public_key(KeyId=stage.output("PublicKey", "KeyArn"))["PublicKey"]
    caching = ask(stage, stage.output("PublicKey", "PublicKeyUrl")).headers["cache-control"]
    return f"{key.key_spec} for {limits}, {'the' if same else 'not the'} key that KMS has; {caching}"


@publication.scenario(who="anyone", what="asks again with the ETag", expected="304 and 0 bytes")
def unchanged_key_is_not_sent_again(stage: Stage) -> str:
    url = stage.output("PublicKey", "PublicKeyUrl")
    etag = ask(stage, url).headers["etag"]
    again = ask(stage, url, if_none_match=etag)
    return f"{again.status} and {len(again.content)} bytes"


@publication.scenario(who="anyone", what="asks for another path, and sends a POST", expected="404, 405")
def nothing_else_is_served(stage: Stage) -> str:
    url = stage.output("PublicKey", "PublicKeyUrl")
    other = ask(stage, url.replace("partners.json", "secrets.json")).status
    return f"{other}, {ask(stage, url, method='POST').status}"


@publication.scenario(
    who="publishing function's role",
    what="calls Decrypt",
    expected="refused: AccessDeniedException (kms:Decrypt)",
)
def publisher_may_not_decrypt(stage: Stage) -> str:
    kms = function_client(stage, "kms", "PublicKey", "PublishRoleArn")
    key = stage.output("PublicKey", "KeyArn")
    kms.decrypt(KeyId=key, CiphertextBlob=bytes(384), EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    return "decrypted"


@publication.scenario(
    who="serving function's role",
    what="calls GetPublicKey",
    expected="refused: AccessDeniedException (kms:GetPublicKey)",
)
def server_may_not_call_kms(stage: Stage) -> str:
    kms = function_client(stage, "kms", "PublicKey", "ServeRoleArn")
    kms.get_public_key(KeyId=stage.output("PublicKey", "KeyArn"))
    return "got it"


@publication.scenario(
    who="serving function's role", what="replaces the key", expected="refused: AccessDenied (s3:PutObject)"
)
def server_may_not_replace_the_key(stage: Stage) -> str:
    s3 = function_client(stage, "s3", "PublicKey", "ServeRoleArn")
    s3.put_object(Bucket=stage.output("PublicKey", "PublicKeyBucketName"), Key="partners.json", Body=b"{}")
    return "replaced"


@publication.scenario(
    who="administrator with *:*", what="replaces the key", expected="refused: AccessDenied (s3:PutObject)"
)
def administrator_may_not_replace_the_key(stage: Stage) -> str:
    bucket = stage.output("PublicKey", "PublicKeyBucketName")
    administrator(stage, "s3").put_object(Bucket=bucket, Key="partners.json", Body=b"{}")
    return "replaced"


@publication.scenario(
    who="administrator with *:*",
    what="deletes the current version, so that a former key returns",
    expected="refused: AccessDenied (s3:DeleteObjectVersion)",
)
def administrator_may_not_bring_a_former_key_back(stage: Stage) -> str:
    where = {"Bucket": stage.output("PublicKey", "PublicKeyBucketName"), "Key": "partners.json"}
    current = stage.aws.session().client("s3").head_object(**where)["VersionId"]
    administrator(stage, "s3").delete_object(**where, VersionId=current)
    return "deleted"


@publication.scenario(
    who="administrator with *:*",
    what="deletes the policy that forbids this",
    expected="refused: AccessDenied (s3:DeleteBucketPolicy)",
)
def administrator_may_not_delete_the_policy_of_the_publication(stage: Stage) -> str:
    bucket = stage.output("PublicKey", "PublicKeyBucketName")
    administrator(stage, "s3").delete_bucket_policy(Bucket=bucket)
    return "deleted"


@publication.scenario(
    who="account root",
    what="calls GenerateDataKey with the RSA key",
    expected="refused: InvalidKeyUsageException",
)
def rsa_key_makes_no_data_keys(stage: Stage) -> str:
    kms = stage.aws.session().client("kms")
    kms.generate_data_key(KeyId=stage.output("PublicKey", "KeyArn"), KeySpec="AES_256")
    return "got a data key"


@publication.scenario(
    who="reader",
    what="calls GenerateDataKey with it",
    expected="refused: AccessDeniedException (kms:GenerateDataKey)",
)
def reader_may_not_make_data_keys(stage: Stage) -> str:
    kms = client(stage, "kms", "PublicKey", "ReaderRoleArn")
    kms.generate_data_key(KeyId=stage.output("PublicKey", "KeyArn"), KeySpec="AES_256")
    return "got a data key"
