"""Direct encryption of secrets: two functions, two roles, an encryption context that policy enforces."""

import base64
import os

from botocore.exceptions import ClientError

from demo.principals import altered, client, directly, invoke_as, own_calls
from demo.scenario import Group, Stage, describe_refusal

SECRET = "correct horse battery staple"  # noqa: S105 - the demo's sample value
TENANT = {"tenant": "a"}
ITEM = {"id": {"S": "database-password"}}

secrets = Group("Secrets: ciphertext in DynamoDB and Parameter Store", order=30)


def _parameter(stage: Stage) -> str:
    return stage.output("Secrets", "ParameterPrefix").rstrip("/") + "/database-password"


def _encrypt(stage: Stage, plaintext: bytes, context: dict[str, str]) -> str:
    event = {"plaintext": plaintext, "encryptionContext": context}
    return str(invoke_as(stage, "Secrets", "Writer", "Encrypt", **event)["ciphertext"])


def _decrypt(stage: Stage, ciphertext: str | bytes, context: dict[str, str]) -> str:
    event = {"ciphertext": ciphertext, "encryptionContext": context}
    answer = invoke_as(stage, "Secrets", "Reader", "Decrypt", **event)
    return base64.b64decode(answer["plaintext"]).decode(errors="replace")


def _stored(stage: Stage) -> str:
    dynamodb = client(stage, "dynamodb", "Secrets", "ReaderRoleArn")
    return str(dynamodb.get_item(TableName=stage.output("Secrets", "TableName"), Key=ITEM)["Item"]["value"]["S"])


@secrets.scenario(
    "writer", "encrypts a secret, stores it in both places", "stored unreadable, by Encrypt of the encrypt function"
)
def writer_stores_the_secret(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    ciphertext = _encrypt(stage, SECRET.encode(), TENANT)
    dynamodb = client(stage, "dynamodb", "Secrets", "WriterRoleArn")
    dynamodb.put_item(TableName=stage.output("Secrets", "TableName"), Item={**ITEM, "value": {"S": ciphertext}})
    ssm = client(stage, "ssm", "Secrets", "WriterRoleArn")
    ssm.put_parameter(Name=_parameter(stage), Value=ciphertext, Type="String", Overwrite=True)
    state = "readable" if SECRET.encode() in base64.b64decode(ciphertext) else "unreadable"
    return f"stored {state}, by {own_calls(stage, before, 'Secrets')}"


@secrets.scenario("reader", "reads it back from DynamoDB", SECRET)
def reader_reads_from_dynamodb(stage: Stage) -> str:
    return _decrypt(stage, _stored(stage), TENANT)


@secrets.scenario("reader", "reads it back from Parameter Store", SECRET)
def reader_reads_from_parameter_store(stage: Stage) -> str:
    ssm = client(stage, "ssm", "Secrets", "ReaderRoleArn")
    return _decrypt(stage, ssm.get_parameter(Name=_parameter(stage))["Parameter"]["Value"], TENANT)


@secrets.refused("reader", "decrypts under another tenant's context", "InvalidCiphertextException")
def wrong_context(stage: Stage) -> str:
    return _decrypt(stage, _stored(stage), {"tenant": "b"})


@secrets.refused("writer", "encrypts without the context", "EncryptionContextRequired")
def no_context(stage: Stage) -> str:
    return _encrypt(stage, SECRET.encode(), {})


@secrets.scenario("writer", "encrypts 4096 bytes", "encrypted")
def largest_secret(stage: Stage) -> str:
    return "encrypted" if _encrypt(stage, os.urandom(4096), TENANT) else "nothing"


@secrets.refused("writer", "encrypts 4097 bytes", "PlaintextTooLarge")
def too_large_a_secret(stage: Stage) -> str:
    return _encrypt(stage, os.urandom(4097), TENANT)


@secrets.refused("writer", "encrypts nothing", "PlaintextEmpty")
def empty_secret(stage: Stage) -> str:
    return _encrypt(stage, b"", TENANT)


@secrets.refused("reader", "decrypts a tampered ciphertext", "InvalidCiphertextException")
def tampered_ciphertext(stage: Stage) -> str:
    return _decrypt(stage, altered(base64.b64decode(_stored(stage))), TENANT)


@secrets.refused("reader", "decrypts another key's ciphertext", "IncorrectKeyException")
def ciphertext_of_another_key(stage: Stage) -> str:
    kms = stage.aws.session().client("kms")
    blob = kms.encrypt(KeyId=stage.output("S3", "KeyArn"), Plaintext=b"x", EncryptionContext=TENANT)["CiphertextBlob"]
    return _decrypt(stage, blob, TENANT)


@secrets.refused("encrypt function's role", "calls Decrypt", "AccessDeniedException (kms:Decrypt)")
def encrypt_role_may_not_decrypt(stage: Stage) -> None:
    blob = base64.b64decode(_stored(stage))
    directly(stage, "Secrets", "Encrypt", "decrypt", CiphertextBlob=blob, EncryptionContext=TENANT)


@secrets.refused("decrypt function's role", "calls Encrypt", "AccessDeniedException (kms:Encrypt)")
def decrypt_role_may_not_encrypt(stage: Stage) -> None:
    directly(stage, "Secrets", "Decrypt", "encrypt", Plaintext=b"x", EncryptionContext=TENANT)


@secrets.refused("encrypt function's role", "calls Encrypt without the context", "AccessDeniedException (kms:Encrypt)")
def policy_requires_the_context(stage: Stage) -> None:
    directly(stage, "Secrets", "Encrypt", "encrypt", Plaintext=b"x")


@secrets.refused("writer", "invokes the decrypt function", "AccessDeniedException (lambda:InvokeFunction)")
def writer_may_not_read(stage: Stage) -> None:
    invoke_as(stage, "Secrets", "Writer", "Decrypt", ciphertext=_stored(stage), encryptionContext=TENANT)


VALUE = b"of blue"
tenants = Group("Tenants of one key: each caller's tag is the context that it must give", order=35)


def _of_tenant(stage: Stage, operation: str, role: str, context: dict[str, str]) -> str:
    """Encrypt or decrypt the value of the blue tenant directly, as the role of a tenant."""
    kms, blob = client(stage, "kms", "Secrets", f"{role}RoleArn"), stage.notes.get("of blue", b"")
    data = {"Plaintext": VALUE} if operation == "encrypt" else {"CiphertextBlob": blob}
    answer = getattr(kms, operation)(KeyId=stage.output("Secrets", "KeyArn"), EncryptionContext=context, **data)
    stage.notes["of blue"] = answer.get("CiphertextBlob", blob)
    return str(answer.get("Plaintext", b"encrypted"), "utf-8")


@tenants.scenario("tenant blue", "encrypts and decrypts a value", f"encrypted, {VALUE.decode()}")
def tenant_uses_its_own_context(stage: Stage) -> str:
    return ", ".join(_of_tenant(stage, operation, "Blue", {"tenant": "blue"}) for operation in ("encrypt", "decrypt"))


@tenants.refused("tenant red", "decrypts the value of blue", "AccessDeniedException (kms:Decrypt)")
def tenant_may_not_read_another(stage: Stage) -> str:
    return _of_tenant(stage, "decrypt", "Red", {"tenant": "blue"})


@tenants.refused("tenant red", "encrypts under the context of blue", "AccessDeniedException (kms:Encrypt)")
def tenant_may_not_plant_a_value_of_another(stage: Stage) -> str:
    return _of_tenant(stage, "encrypt", "Red", {"tenant": "blue"})


@tenants.refused("tenant blue", "encrypts without a tenant in the context", "AccessDeniedException (kms:Encrypt)")
def tenant_may_not_omit_the_context(stage: Stage) -> str:
    return _of_tenant(stage, "encrypt", "Blue", {"customer": "blue"})


@tenants.refused(
    "tenant red, without its tag",
    "encrypts under its context, and under the text of the variable",
    "AccessDeniedException (kms:Encrypt), twice",
)
def untagged_role_may_nothing(stage: Stage) -> str:
    iam, role = stage.aws.session().client("iam"), stage.output("Secrets", "RedRoleArn").rpartition("/")[2]
    observed = []
    iam.untag_role(RoleName=role, TagKeys=["tenant"])
    try:
        for tenant in ("red", "${aws:PrincipalTag/tenant}"):
            try:
                observed.append(_of_tenant(stage, "encrypt", "Red", {"tenant": tenant}))
            except ClientError as error:
                observed.append(describe_refusal(error))
    finally:
        iam.tag_role(RoleName=role, Tags=[{"Key": "tenant", "Value": "red"}])
    return f"{observed[0]}, twice" if observed[0] == observed[1] else ", ".join(observed)
