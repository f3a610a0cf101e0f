"""Mutants of policies that change access, or do not; as a command, which tools see which of them.

``python -m tests.access.mutants CDK_OUT``; cfn-lint and checkov are taken from PATH, ``-`` where not installed.
A tool counts as having seen a mutant if it reports anything that it does not report of the unchanged template.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import compare
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.read.reader import read_model

Template = dict[str, Any]
Statement = dict[str, Any]

ROOT = {"AWS": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::", {"Ref": "AWS::AccountId"}, ":root"]]}}
ELSEWHERE = {"AWS": "arn:aws:iam::222222222222:root"}
ANYBODY = {"AWS": "*"}


@dataclass(frozen=True)
class Part:
    """One stack's template, with shortcuts to the policies in it."""

    template: Template

    def resource(self, kind: str, prefix: str = "") -> dict[str, Any]:
        """Return the properties of the one resource of ``kind`` whose logical id starts with ``prefix``."""
        return self.template["Resources"][self.name(kind, prefix)]["Properties"]

    def name(self, kind: str, prefix: str = "") -> str:
        names = [
            name
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind and name.startswith(prefix)
        ]
        assert len(names) == 1, (kind, prefix, names)
        return names[0]

    def key(self, prefix: str = "Key") -> list[Statement]:
        return self.resource("AWS::KMS::Key", prefix)["KeyPolicy"]["Statement"]

    def administration(self) -> Statement:
        return next(statement for statement in self.key() if statement["Sid"] == "AccountAdministration")

    def key_grant(self, role: str, prefix: str = "Key") -> Statement:
        arn = {"Fn::GetAtt": [self.name("AWS::IAM::Role", role), "Arn"]}
        found = [
            statement
            for statement in self.key(prefix)
            if statement.get("Condition", {}).get("ArnEquals", {}).get("aws:PrincipalArn") == arn
        ]
        assert found, role
        return found[0]

    def policy(self, role: str) -> list[Statement]:
        return self.resource("AWS::IAM::Policy", f"{role}DefaultPolicy")["PolicyDocument"]["Statement"]

    def grant(self, role: str, service: str = "kms") -> Statement:
        found = [item for item in self.policy(role) if actions(item)[0].startswith(f"{service}:")]
        assert found, (role, service)
        return found[0]

    def trust(self, role: str) -> Statement:
        statement: Statement = self.resource("AWS::IAM::Role", role)["AssumeRolePolicyDocument"]["Statement"][0]
        return statement

    def bucket_policy(self, prefix: str = "Bucket") -> list[Statement]:
        return self.resource("AWS::S3::BucketPolicy", prefix)["PolicyDocument"]["Statement"]

    def denial(self, name: str, prefix: str = "Bucket") -> Statement:
        """Return the bucket policy's denial with this Sid, or on this condition key."""
        found = [
            item
            for item in self.bucket_policy(prefix)
            if item.get("Sid") == name or any(name in keys for keys in item["Condition"].values())
        ]
        assert len(found) == 1, name
        return found[0]


def actions(statement: Statement) -> list[str]:
    found = statement["Action"]
    return found if isinstance(found, list) else [found]


def add_action(*names: str) -> Callable[[Statement], None]:
    def add(statement: Statement) -> None:
        statement["Action"] = [*actions(statement), *names]

    return add


def put(**members: Any) -> Callable[[Statement], None]:
    return lambda statement: statement.update(deepcopy(members))


def drop_condition(*keys: str) -> Callable[[Statement], None]:
    """Drop the conditions on ``keys``, or all."""

    def drop(statement: Statement) -> None:
        for operator in list(statement["Condition"]):
            for key in list(statement["Condition"][operator]):
                if not keys or key in keys:
                    del statement["Condition"][operator][key]
            if not statement["Condition"][operator]:
                del statement["Condition"][operator]
        if not statement["Condition"]:
            del statement["Condition"]

    return drop


def change_operator(
    key: str, operator: str, value: Any = None, *, name: str | None = None
) -> Callable[[Statement], None]:
    """Give the condition on ``key`` another operator, value or spelling."""

    def change(statement: Statement) -> None:
        old = next(item for item, keys in statement["Condition"].items() if key in keys)
        kept = statement["Condition"][old][key]
        drop_condition(key)(statement)
        statement.setdefault("Condition", {}).setdefault(operator, {})[name or key] = kept if value is None else value

    return change


S3, SECRETS, ENVELOPE = "KmsPatterns-S3", "KmsPatterns-Secrets", "KmsPatterns-Envelope"
ARN, VIA, CONTEXT, NAMES = "aws:PrincipalArn", "kms:ViaService", "kms:EncryptionContext:", "kms:EncryptionContextKeys"
S3_ARN, EXACTLY = f"{CONTEXT}aws:s3:arn", "ForAnyValue:StringEquals"
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
        lambda p: both(p, "CipherDecryptRole", drop_condition(NAMES)),
    ),
    Mutant(
        "required context: Null true in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(NAMES, "Null", "true")),
    ),
    Mutant(
        "required context: another name in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(NAMES, EXACTLY, "tenants")),
    ),
    Mutant(
        "required context: any name in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(NAMES, "ForAnyValue:StringLike", "*")),
    ),
    Mutant(
        "required context: any case of the name in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(NAMES, "Null", "false", name=f"{CONTEXT}tenant")),
    ),
    Mutant(
        "required context: StringLike without a wildcard in both",
        SECRETS,
        lambda p: both(p, "CipherDecryptRole", change_operator(NAMES, "ForAnyValue:StringLike")),
        unchanged="nothing stands for anything else",
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


Findings = dict[str, Counter[str]]


def main(original: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = write_templates(original, folder)
        columns = {
            "access proof": access_proof(original, folder),
            "cdk-nag": changed(cdk_nag(folder), names),
            "cfn-lint": changed(cfn_lint(folder), names),
            "checkov": changed(checkov(folder), names),
        }
    print("| # | stack | mutant | " + " | ".join(columns) + " | changes access |")
    print("|---|---|---|" + "---|" * (len(columns) + 1))
    for number, mutant in enumerate(MUTANTS):
        seen = " | ".join("-" if found is None else "yes" if number in found else "no" for found in columns.values())
        print(f"| {number + 1} | {mutant.stack} | {mutant.name} | {seen} | {mutant.unchanged or 'yes'} |")
    changing = {number for number, mutant in enumerate(MUTANTS) if not mutant.unchanged}
    for name, found in columns.items():
        print(
            f"\n{name}: {'-' if found is None else len(found & changing)} of {len(changing)} that change access", end=""
        )
    print()


def write_templates(original: Path, folder: Path) -> dict[str, str]:
    """Write original templates and mutants side by side; return each mutant's original by file name."""
    originals = {}
    for path in original.glob("*.template.json"):
        shutil.copy(path, folder / path.name)
    for number, mutant in enumerate(MUTANTS):
        template = json.loads((original / f"{mutant.stack}.template.json").read_text())
        mutant.change(Part(template))
        (folder / f"mutant-{number}.template.json").write_text(json.dumps(template, indent=1))
        originals[f"mutant-{number}.template.json"] = f"{mutant.stack}.template.json"
    return originals


def changed(findings: Findings | None, originals: dict[str, str]) -> set[int] | None:
    if findings is None:
        return None
    return {
        int(name.split("-")[1].split(".")[0])
        for name, original in originals.items()
        if findings.get(name, Counter()) - findings.get(original, Counter())
    }


def access_proof(original: Path, folder: Path) -> set[int]:
    seen = set()
    with simulator() as running:
        before = build_with(read_model(original), running)
        for number, mutant in enumerate(MUTANTS):
            copy = folder / "assembly"
            shutil.copytree(original, copy, ignore=shutil.ignore_patterns("asset.*"))
            shutil.copy(folder / f"mutant-{number}.template.json", copy / f"{mutant.stack}.template.json")
            difference = compare(before, build_with(read_model(copy), running))
            if difference.steps or difference.other_keys:
                seen.add(number)
            shutil.rmtree(copy)
    return seen


def cfn_lint(folder: Path) -> Findings | None:
    if shutil.which("cfn-lint") is None:
        return None
    files = sorted(str(path) for path in folder.glob("*.template.json"))
    done = subprocess.run(["cfn-lint", "--format", "json", "--", *files], capture_output=True, text=True, check=False)
    return counted((Path(item["Filename"]).name, item["Rule"]["Id"]) for item in json.loads(done.stdout))


def checkov(folder: Path) -> Findings | None:
    if shutil.which("checkov") is None:
        return None
    command = [
        "checkov",
        "--framework",
        "cloudformation",
        "--output",
        "json",
        "--compact",
        "--quiet",
        "-d",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    failed = report["results"]["failed_checks"]
    return counted((Path(item["file_path"]).name, f"{item['check_id']} {item['resource']}") for item in failed)


def cdk_nag(folder: Path) -> Findings:
    import aws_cdk as cdk  # noqa: PLC0415 - starts Node
    from aws_cdk import cloudformation_include  # noqa: PLC0415
    from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks  # noqa: PLC0415

    found = []
    for path in sorted(folder.glob("*.template.json")):
        app = cdk.App()
        stack = cdk.Stack(app, "Stack", synthesizer=cdk.LegacyStackSynthesizer())
        template = json.loads(path.read_text())
        for section in ("Parameters", "Rules"):
            template.get(section, {}).pop("BootstrapVersion", None)
            template.get(section, {}).pop("CheckBootstrapVersion", None)
        path.with_suffix(".plain").write_text(json.dumps(template))
        cloudformation_include.CfnInclude(stack, "Template", template_file=str(path.with_suffix(".plain")))
        for pack in (AwsSolutionsChecks(), NIST80053R5Checks()):
            report = pack.validate_scope(stack)
            found += [(path.name, violation.rule_name) for violation in report.violations]
    return counted(found)


def counted(findings: Any) -> Findings:
    found: Findings = {}
    for name, rule in findings:
        found.setdefault(name, Counter())[rule] += 1
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
