"""What a mutant is, and the changes that several mutants make."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from templates import Part

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


def both(part: Part, role: str, change: Callable[[dict[str, Any]], None]) -> None:
    change(part.key_grant(role))
    change(part.grant(role))


def attach(part: Part, role: str, policy: str) -> None:
    part.resource("AWS::IAM::Role", role)["ManagedPolicyArns"] = [f"arn:aws:iam::aws:policy/{policy}"]


def share(part: Part, owner: str, other: str) -> None:
    part.resource("AWS::IAM::Policy", f"{owner}DefaultPolicy")["Roles"].append(
        {"Ref": part.name("AWS::IAM::Role", other)}
    )


def delete(part: Part, kind: str, prefix: str = "") -> None:
    del part.template["Resources"][part.name(kind, prefix)]


def as_not_action(statement: dict[str, Any]) -> None:
    del statement["Action"]
    statement["NotAction"] = ["kms:Decrypt"]


def as_not_principal(part: Part) -> None:
    statement = part.key_grant("DownloaderRole")
    statement["NotPrincipal"] = {"AWS": {"Fn::GetAtt": [part.name("AWS::IAM::Role", "UploaderRole"), "Arn"]}}
    del statement["Principal"], statement["Condition"]


def invoked_by_anybody(part: Part) -> None:
    name = part.name("AWS::Lambda::Function", "CipherDecrypt")
    part.template["Resources"]["Opened"] = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": name}, "Principal": "*"},
    }


def allowance(principal: Any, *names: str, **members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": list(names), "Resource": "*", **members}
