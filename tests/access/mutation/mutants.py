"""Changes of the reference app's policies that somebody might make, by intention or by mistake."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from templates import (
    ANYBODY,
    ELSEWHERE,
    ROOT,
    Part,
    add_action,
    change_operator,
    drop_condition,
    put,
)

S3, SECRETS, ENVELOPE = "KmsPatterns-S3", "KmsPatterns-Secrets", "KmsPatterns-Envelope"
ARN, VIA, S3_ARN, TENANT = (
    "aws:PrincipalArn",
    "kms:ViaService",
    "kms:EncryptionContext:aws:s3:arn",
    "kms:EncryptionContext:tenant",
)
ROLES_OF_ACCOUNT = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*"}


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        name: What was changed.
        stack: In which stack.
        change: Makes the change.
        unchanged: Why access stays as it was, for the mutants that do not change it.
    """

    name: str
    stack: str
    change: Callable[[Part], Any]
    unchanged: str = ""


def _both(part: Part, role: str, change: Callable[[dict[str, Any]], None]) -> None:
    change(part.key_grant(role))
    change(part.grant(role))


def _attach(part: Part, role: str, policy: str) -> None:
    part.resource("AWS::IAM::Role", role)["ManagedPolicyArns"] = [f"arn:aws:iam::aws:policy/{policy}"]


def _share(part: Part, owner: str, other: str) -> None:
    part.resource("AWS::IAM::Policy", f"{owner}DefaultPolicy")["Roles"].append(
        {"Ref": part.name("AWS::IAM::Role", other)}
    )


def _delete(part: Part, kind: str, prefix: str = "") -> None:
    del part.template["Resources"][part.name(kind, prefix)]


def _as_not_action(statement: dict[str, Any]) -> None:
    del statement["Action"]
    statement["NotAction"] = ["kms:Decrypt"]


def _as_not_principal(part: Part) -> None:
    statement = part.key_grant("DownloaderRole")
    statement["NotPrincipal"] = {"AWS": {"Fn::GetAtt": [part.name("AWS::IAM::Role", "UploaderRole"), "Arn"]}}
    del statement["Principal"], statement["Condition"]


def _invoked_by_anybody(part: Part) -> None:
    name = part.name("AWS::Lambda::Function", "CipherDecrypt")
    part.template["Resources"]["Opened"] = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": name}, "Principal": "*"},
    }


def _statement(principal: Any, *names: str, **members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": list(names), "Resource": "*", **members}


_USE = ("kms:Decrypt", "kms:GenerateDataKey")
_LOGS = {"Service": "logs.amazonaws.com"}

KEY_POLICY = [
    Mutant("administration also allows kms:Decrypt", S3, lambda p: add_action("kms:Decrypt")(p.administration())),
    Mutant(
        "administration also allows kms:CreateGrant", S3, lambda p: add_action("kms:CreateGrant")(p.administration())
    ),
    Mutant("administration allows kms:*", S3, lambda p: put(Action="kms:*")(p.administration())),
    Mutant("administration allows kms:Gen*", S3, lambda p: add_action("kms:Gen*")(p.administration())),
    Mutant("administration by NotAction kms:Decrypt", S3, lambda p: _as_not_action(p.administration())),
    Mutant("administration for principal *", S3, lambda p: put(Principal=ANYBODY)(p.administration())),
    Mutant("administration for another account's root", S3, lambda p: put(Principal=ELSEWHERE)(p.administration())),
    Mutant("administration removed", S3, lambda p: p.key().remove(p.administration())),
    Mutant("statement root kms:* added", S3, lambda p: p.key().append(_statement(ROOT, "kms:*"))),
    Mutant("another account's root may use", S3, lambda p: p.key().append(_statement(ELSEWHERE, *_USE))),
    Mutant("principal * may use", S3, lambda p: p.key().append(_statement("*", *_USE))),
    Mutant(
        "anybody in the account may use via S3",
        S3,
        lambda p: p.key().append(
            _statement(
                "*",
                *_USE,
                Condition={"StringEquals": {"kms:CallerAccount": {"Ref": "AWS::AccountId"}, VIA: "s3.amazonaws.com"}},
            )
        ),
    ),
    Mutant("a service may decrypt, unconditionally", S3, lambda p: p.key().append(_statement(_LOGS, "kms:Decrypt"))),
    Mutant("key policy removed", S3, lambda p: p.resource("AWS::KMS::Key").pop("KeyPolicy")),
    Mutant("grant without the role's condition", S3, lambda p: drop_condition(ARN)(p.key_grant("UploaderRole"))),
    Mutant(
        "grant for any role (ArnLike role/*)",
        S3,
        lambda p: change_operator(ARN, "ArnLike", ROLES_OF_ACCOUNT)(p.key_grant("UploaderRole")),
    ),
    Mutant("ArnNotEquals", S3, lambda p: change_operator(ARN, "ArnNotEquals")(p.key_grant("UploaderRole"))),
    Mutant(
        "aws:PrincipalArn misspelt",
        S3,
        lambda p: change_operator(ARN, "ArnEquals", name="aws:PrincipleArn")(p.key_grant("UploaderRole")),
    ),
    Mutant(
        "ArnEqualsIfExists",
        S3,
        lambda p: change_operator(ARN, "ArnEqualsIfExists")(p.key_grant("UploaderRole")),
        unchanged="aws:PrincipalArn is in every request of a role or user",
    ),
    Mutant(
        "aws:principalarn in lower case",
        S3,
        lambda p: change_operator(ARN, "ArnEquals", name="aws:principalarn")(p.key_grant("UploaderRole")),
        unchanged="condition keys are not case-sensitive",
    ),
    Mutant(
        "grant for the other role",
        S3,
        lambda p: change_operator(
            ARN, "ArnEquals", {"Fn::GetAtt": [p.name("AWS::IAM::Role", "DownloaderRole"), "Arn"]}
        )(p.key_grant("UploaderRole")),
    ),
    Mutant("grant by NotPrincipal", S3, _as_not_principal),
    Mutant(
        "grant for principal *, role's condition kept",
        S3,
        lambda p: put(Principal=ANYBODY)(p.key_grant("UploaderRole")),
    ),
    Mutant(
        "key policy names the role itself",
        S3,
        lambda p: put(Principal={"AWS": {"Fn::GetAtt": [p.name("AWS::IAM::Role", "UploaderRole"), "Arn"]}})(
            p.key_grant("UploaderRole")
        ),
    ),
    Mutant(
        "kms:Encrypt added to the key policy only",
        S3,
        lambda p: add_action("kms:Encrypt")(p.key_grant("UploaderRole")),
        unchanged="two keys: the role's own policy does not allow it",
    ),
    Mutant(
        "kms:ViaService dropped from the key policy only",
        S3,
        lambda p: drop_condition(VIA)(p.key_grant("UploaderRole")),
        unchanged="two keys: the role's own policy still demands it",
    ),
    Mutant("grant removed from the key policy", S3, lambda p: p.key().remove(p.key_grant("UploaderRole"))),
    Mutant(
        "rotation off",
        S3,
        lambda p: put(EnableKeyRotation=False)(p.resource("AWS::KMS::Key")),
        unchanged="rotation is no access",
    ),
]

GRANTS = [
    Mutant("kms:Encrypt added in both policies", S3, lambda p: _both(p, "UploaderRole", add_action("kms:Encrypt"))),
    Mutant(
        "kms:CreateGrant added in both policies", S3, lambda p: _both(p, "UploaderRole", add_action("kms:CreateGrant"))
    ),
    Mutant("kms:ReEncrypt* in both policies", S3, lambda p: _both(p, "UploaderRole", add_action("kms:ReEncrypt*"))),
    Mutant("kms:ViaService dropped in both policies", S3, lambda p: _both(p, "UploaderRole", drop_condition(VIA))),
    Mutant(
        "kms:ViaService by StringLike s3.* in both",
        S3,
        lambda p: _both(p, "UploaderRole", change_operator(VIA, "StringLike", "s3.*")),
    ),
    Mutant(
        "kms:ViaService by StringEqualsIfExists in both",
        S3,
        lambda p: _both(p, "UploaderRole", change_operator(VIA, "StringEqualsIfExists")),
    ),
    Mutant(
        "kms:ViaService by StringNotEquals in both",
        S3,
        lambda p: _both(p, "UploaderRole", change_operator(VIA, "StringNotEquals")),
    ),
    Mutant(
        "kms:ViaService of another service in both",
        S3,
        lambda p: _both(p, "UploaderRole", change_operator(VIA, "StringEquals", "sqs.eu-west-1.amazonaws.com")),
    ),
    Mutant("encryption context not demanded", S3, lambda p: drop_condition(S3_ARN)(p.grant("UploaderRole"))),
    Mutant(
        "encryption context by StringLike arn:aws:s3:::*",
        S3,
        lambda p: change_operator(S3_ARN, "StringLike", "arn:aws:s3:::*")(p.grant("UploaderRole")),
    ),
    Mutant(
        "encryption context key misspelt",
        S3,
        lambda p: change_operator(S3_ARN, "StringEquals", name="kms:EncryptionContext:aws:s3:ARM")(
            p.grant("UploaderRole")
        ),
    ),
    Mutant(
        "KMS grant on resource *",
        S3,
        lambda p: put(Resource="*")(p.grant("UploaderRole")),
        unchanged="no other key's policy names the role",
    ),
    Mutant(
        "role's policy allows kms:Encrypt too",
        S3,
        lambda p: add_action("kms:Encrypt")(p.grant("UploaderRole")),
        unchanged="two keys: the key policy does not allow it",
    ),
    Mutant(
        "role's policy allows kms:* on *, unconditionally",
        S3,
        lambda p: p.policy("UploaderRole").append({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}),
    ),
    Mutant("AdministratorAccess attached", S3, lambda p: _attach(p, "UploaderRole", "AdministratorAccess")),
    Mutant("policy attached to another role too", S3, lambda p: _share(p, "UploaderRole", "DownloaderRole")),
    Mutant(
        "required context dropped in both policies",
        SECRETS,
        lambda p: _both(p, "CipherDecryptRole", drop_condition(TENANT)),
    ),
    Mutant(
        "required context: Null true in both",
        SECRETS,
        lambda p: _both(p, "CipherDecryptRole", change_operator(TENANT, "Null", "true")),
    ),
    Mutant(
        "required context: another name in both",
        SECRETS,
        lambda p: _both(p, "CipherDecryptRole", change_operator(TENANT, "Null", name="kms:EncryptionContext:tenants")),
    ),
    Mutant(
        "required context: StringLike * in both",
        SECRETS,
        lambda p: _both(p, "CipherDecryptRole", change_operator(TENANT, "StringLike", "*")),
        unchanged="any value, that is: present, as before",
    ),
    Mutant(
        "decrypting function may encrypt", SECRETS, lambda p: _both(p, "CipherDecryptRole", add_action("kms:Encrypt"))
    ),
    Mutant("anybody may invoke the decrypting function", SECRETS, _invoked_by_anybody),
    Mutant(
        "writer may invoke every function",
        SECRETS,
        lambda p: put(Resource="*")(p.grant("WriterRole", "lambda")),
    ),
]

BUCKETS = [
    Mutant("upload to every bucket", S3, lambda p: put(Resource="*")(p.grant("UploaderRole", "s3"))),
    Mutant("s3:Put*", S3, lambda p: add_action("s3:Put*")(p.grant("UploaderRole", "s3"))),
    Mutant("s3:GetObject for the uploader", S3, lambda p: add_action("s3:GetObject")(p.grant("UploaderRole", "s3"))),
    Mutant("s3:* on all objects", S3, lambda p: put(Action="s3:*")(p.grant("DownloaderRole", "s3"))),
    Mutant(
        "unencrypted transport no longer denied",
        S3,
        lambda p: p.bucket_policy().remove(p.denial("aws:SecureTransport")),
    ),
    Mutant(
        "aws:SecureTransport true denied",
        S3,
        lambda p: change_operator("aws:SecureTransport", "Bool", "true")(p.denial("aws:SecureTransport")),
    ),
    Mutant(
        "aws:SecureTransport misspelt",
        S3,
        lambda p: change_operator("aws:SecureTransport", "Bool", name="aws:SecureTransports")(
            p.denial("aws:SecureTransport")
        ),
    ),
    Mutant("old TLS no longer denied", S3, lambda p: p.bucket_policy().remove(p.denial("s3:TlsVersion"))),
    Mutant(
        "other keys no longer denied",
        S3,
        lambda p: p.bucket_policy().remove(p.denial("s3:x-amz-server-side-encryption-aws-kms-key-id")),
    ),
    Mutant("a deny becomes an allow", S3, lambda p: put(Effect="Allow")(p.denial("s3:TlsVersion"))),
    Mutant(
        "bucket policy lets anybody read",
        S3,
        lambda p: p.bucket_policy().append(
            _statement("*", "s3:GetObject") | {"Resource": {"Fn::Sub": "${" + p.name("AWS::S3::Bucket") + ".Arn}/*"}}
        ),
    ),
    Mutant("bucket policy removed", S3, lambda p: _delete(p, "AWS::S3::BucketPolicy")),
    Mutant(
        "vault's objects under no key",
        ENVELOPE,
        lambda p: p.resource("AWS::S3::Bucket", "Vault").pop("BucketEncryption"),
    ),
    Mutant(
        "public access no longer blocked",
        S3,
        lambda p: p.resource("AWS::S3::Bucket").pop("PublicAccessBlockConfiguration"),
        unchanged="no policy makes anything public; the block is a second line of defence",
    ),
]

TRUST = [
    Mutant("anybody may assume the role", S3, lambda p: put(Principal=ANYBODY)(p.trust("DownloaderRole"))),
    Mutant("the account may assume the role", S3, lambda p: put(Principal=ROOT)(p.trust("DownloaderRole"))),
    Mutant("another account may assume the role", S3, lambda p: put(Principal=ELSEWHERE)(p.trust("DownloaderRole"))),
    Mutant(
        "another service may assume the role",
        S3,
        lambda p: put(Principal={"Service": "lambda.amazonaws.com"})(p.trust("DownloaderRole")),
    ),
    Mutant("trust allows sts:*", S3, lambda p: put(Action="sts:*", Principal=ROOT)(p.trust("DownloaderRole"))),
]

MUTANTS = [*KEY_POLICY, *GRANTS, *BUCKETS, *TRUST]
