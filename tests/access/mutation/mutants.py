"""Changes of the reference app's policies that somebody might make, by intention or by mistake."""

from changes import (
    ENVELOPE,
    S3,
    S3_ARN,
    SECRETS,
    TENANT,
    VIA,
    Mutant,
    allowance,
    attach,
    both,
    delete,
    invoked_by_anybody,
    share,
)
from key_policy_mutants import KEY_POLICY
from templates import ANYBODY, ELSEWHERE, ROOT, add_action, change_operator, drop_condition, put

GRANTS = [
    Mutant("kms:Encrypt added in both policies", S3, lambda p: both(p, "UploaderRole", add_action("kms:Encrypt"))),
    Mutant(
        "kms:CreateGrant added in both policies", S3, lambda p: both(p, "UploaderRole", add_action("kms:CreateGrant"))
    ),
    Mutant("kms:ReEncrypt* in both policies", S3, lambda p: both(p, "UploaderRole", add_action("kms:ReEncrypt*"))),
    Mutant("kms:ViaService dropped in both policies", S3, lambda p: both(p, "UploaderRole", drop_condition(VIA))),
    Mutant(
        "kms:ViaService by StringLike s3.* in both",
        S3,
        lambda p: both(p, "UploaderRole", change_operator(VIA, "StringLike", "s3.*")),
    ),
    Mutant(
        "kms:ViaService by StringEqualsIfExists in both",
        S3,
        lambda p: both(p, "UploaderRole", change_operator(VIA, "StringEqualsIfExists")),
    ),
    Mutant(
        "kms:ViaService by StringNotEquals in both",
        S3,
        lambda p: both(p, "UploaderRole", change_operator(VIA, "StringNotEquals")),
    ),
    Mutant(
        "kms:ViaService of another service in both",
        S3,
        lambda p: both(p, "UploaderRole", change_operator(VIA, "StringEquals", "sqs.eu-west-1.amazonaws.com")),
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
    Mutant("AdministratorAccess attached", S3, lambda p: attach(p, "UploaderRole", "AdministratorAccess")),
    Mutant("policy attached to another role too", S3, lambda p: share(p, "UploaderRole", "DownloaderRole")),
    Mutant(
        "required context dropped in both policies",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", drop_condition(TENANT)),
    ),
    Mutant(
        "required context: Null true in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(TENANT, "Null", "true")),
    ),
    Mutant(
        "required context: another name in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(TENANT, "Null", name="kms:EncryptionContext:tenants")),
    ),
    Mutant(
        "required context: StringLike * in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(TENANT, "StringLike", "*")),
        unchanged="any value, that is: present, as before",
    ),
    Mutant(
        "decrypting function may encrypt", SECRETS, lambda p: both(p, "CipherDecryptRole", add_action("kms:Encrypt"))
    ),
    Mutant("anybody may invoke the decrypting function", SECRETS, invoked_by_anybody),
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
        lambda p: p.bucket_policy().remove(p.denial("DenyUploadUnderAnotherKey")),
    ),
    Mutant("a deny becomes an allow", S3, lambda p: put(Effect="Allow")(p.denial("s3:TlsVersion"))),
    Mutant(
        "bucket policy lets anybody read",
        S3,
        lambda p: p.bucket_policy().append(
            allowance("*", "s3:GetObject") | {"Resource": {"Fn::Sub": "${" + p.name("AWS::S3::Bucket") + ".Arn}/*"}}
        ),
    ),
    Mutant("bucket policy removed", S3, lambda p: delete(p, "AWS::S3::BucketPolicy")),
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
