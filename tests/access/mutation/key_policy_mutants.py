"""Changes of key policies that somebody might make, by intention or by mistake."""

from changes import ARN, ROLES_OF_ACCOUNT, S3, VIA, Mutant, allowance, as_not_action, as_not_principal
from templates import ANYBODY, ELSEWHERE, ROOT, add_action, change_operator, drop_condition, put

USE = ("kms:Decrypt", "kms:GenerateDataKey")
LOGS = {"Service": "logs.amazonaws.com"}

KEY_POLICY = [
    Mutant("administration also allows kms:Decrypt", S3, lambda p: add_action("kms:Decrypt")(p.administration())),
    Mutant(
        "administration also allows kms:CreateGrant", S3, lambda p: add_action("kms:CreateGrant")(p.administration())
    ),
    Mutant("administration allows kms:*", S3, lambda p: put(Action="kms:*")(p.administration())),
    Mutant("administration allows kms:Gen*", S3, lambda p: add_action("kms:Gen*")(p.administration())),
    Mutant("administration by NotAction kms:Decrypt", S3, lambda p: as_not_action(p.administration())),
    Mutant("administration for principal *", S3, lambda p: put(Principal=ANYBODY)(p.administration())),
    Mutant("administration for another account's root", S3, lambda p: put(Principal=ELSEWHERE)(p.administration())),
    Mutant("administration removed", S3, lambda p: p.key().remove(p.administration())),
    Mutant("statement root kms:* added", S3, lambda p: p.key().append(allowance(ROOT, "kms:*"))),
    Mutant("another account's root may use", S3, lambda p: p.key().append(allowance(ELSEWHERE, *USE))),
    Mutant("principal * may use", S3, lambda p: p.key().append(allowance("*", *USE))),
    Mutant(
        "anybody in the account may use via S3",
        S3,
        lambda p: p.key().append(
            allowance(
                "*",
                *USE,
                Condition={"StringEquals": {"kms:CallerAccount": {"Ref": "AWS::AccountId"}, VIA: "s3.amazonaws.com"}},
            )
        ),
    ),
    Mutant("a service may decrypt, unconditionally", S3, lambda p: p.key().append(allowance(LOGS, "kms:Decrypt"))),
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
    Mutant("grant by NotPrincipal", S3, as_not_principal),
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
        unchanged="rotation does not give access",
    ),
]
