"""Nothing in the policies of the reference app is excess: each removal and each mutant is noticed."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.action_catalogue import USE_OF_KEY
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import Difference, compare
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.findings import as_list
from kms_patterns.access.model import Model, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.templates.template_text import NotATemplate
from kms_patterns.local import LocalAws
from tests.access import test_questions as asked
from tests.access.minimality.trial import (
    NOTHING_CHANGES,
    PAGE,
    STACKS,
    Removal,
    Trial,
    fewest_removals,
    of_stack,
    reduced,
    removals,
    row,
    uses_deployed,
    write,
)
from tests.access.mutants import MUTANTS, S3, SECRETS, Mutant, Part

Template = dict[str, Any]
Try = Callable[[str, Template], Trial]


@pytest.fixture
def trial(running: Simulator, tmp_path: Path) -> Try:
    def of_template(stack: str, template: Template) -> Trial:
        path = tmp_path / f"{stack}.template.json"
        path.write_text(json.dumps(template))
        return Trial(template, of_stack(stack), path, running)

    return of_template


def test_every_stack_has_scenarios(assembly: Callable[[str], Path]) -> None:
    assert {path.name.split(".")[0] for path in assembly("app").glob("*.template.json")} == set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_every_scenario_has_its_outcome(stack: str, template_alone: Callable[[str], Template], trial: Try) -> None:
    outcomes = trial(stack, template_alone(stack)).outcomes()
    wrong = [
        scenario for scenario, outcome in zip(of_stack(stack), outcomes, strict=True) if outcome is not scenario.allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_can_be_removed_unnoticed(
    stack: str, template_alone: Callable[[str], Template], trial: Try, request: pytest.FixtureRequest
) -> None:
    template = template_alone(stack)
    found = trial(stack, template).how(removals(template))
    superfluous = [str(removal) for removal, how in found.items() if how == NOTHING_CHANGES]
    assert superfluous == [], "\n".join(superfluous)
    assert len(found) >= fewest_removals(stack)
    line = row(stack, found)
    if request.config.getoption("update_snapshots"):
        write(stack, line)
    assert line in PAGE.read_text().splitlines(), "docs/access/evidence.md is not as written: make snapshots"


EXCESS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "statement": lambda found: found.append({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}),
    "action": lambda found: found[0].update(Action=["kms:ListGrants", *_as_list(found[0]["Action"])]),
    "condition": lambda found: found[0].setdefault("Condition", {}).update(Null={"aws:PrincipalArn": "false"}),
}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("kind", EXCESS)
@pytest.mark.parametrize("stack", STACKS)
def test_superfluous_thing_is_found(
    stack: str, kind: str, template_alone: Callable[[str], Template], trial: Try
) -> None:
    template = template_alone(stack)
    policies = {name: item for name, item in template["Resources"].items() if item["Type"] == "AWS::IAM::Policy"}
    name, policy = next(iter(policies.items()))
    EXCESS[kind](policy["Properties"]["PolicyDocument"]["Statement"])
    concerned = [removal for removal in removals(template) if removal.logical_id == name]
    found = trial(stack, template).how(concerned)
    superfluous = [removal for removal, how in found.items() if how == NOTHING_CHANGES]
    assert [removal.kind for removal in superfluous] == [kind]


Document = dict[str, Any]
CONTEXT = {"tenant": "blue"}
PARAMETERS = {
    "kms:EncapsulationAlgorithm": "EncapsulationAlgorithm",
    "kms:EncryptionAlgorithm": "EncryptionAlgorithm",
    "kms:KeyAgreementAlgorithm": "KeyAgreementAlgorithm",
    "kms:MacAlgorithm": "MacAlgorithm",
    "kms:MessageType": "MessageType",
    "kms:SigningAlgorithm": "SigningAlgorithm",
}
"""Condition keys that hold a parameter of the request, with the parameter."""


class Deployed:
    """A role and a key of a template, made in the embedded AWS, and the call that the role makes with the key."""

    def __init__(self, aws: LocalAws, role: Principal, key: Resource, specification: Mapping[str, str]) -> None:
        self._aws, self._iam, self._kms = aws, aws.client("iam"), aws.client("kms")
        self.key = self._kms.create_key(**specification)["KeyMetadata"]["Arn"]
        self._names = {key.arn: self.key, UNKNOWN_ACCOUNT: aws.account, UNKNOWN_REGION: self.key.split(":")[3]}
        self._role = role.arn.rsplit("/", maxsplit=1)[-1]
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        with suppress(self._iam.exceptions.EntityAlreadyExistsException):  # made for another key
            self._iam.create_role(RoleName=self._role, AssumeRolePolicyDocument=document)
        tags = [{"Key": name, "Value": value} for name, value in (role.tags or {}).items() if value]
        self._iam.tag_role(RoleName=self._role, Tags=tags)
        made = self._iam.get_role(RoleName=self._role)["Role"]["Arn"]
        self._session = aws.assume(made, service="ec2.amazonaws.com")

    def of_role(self, document: Document) -> None:
        self._iam.put_role_policy(RoleName=self._role, PolicyName="p", PolicyDocument=self._named(document))

    def of_key(self, document: Document) -> None:
        self._kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=self._named(document))

    def call(self, action: str, given: Mapping[str, str]) -> str:
        """Return the error's code, or ``ok``; ``given`` are the parameters that the statement demands."""
        kms = self._session.client("kms")
        encryption = {"KeyId": self.key, **(given or {"EncryptionContext": CONTEXT})}
        on_key = {"KeyId": self.key, **given}
        about = {"KeyId": self.key, "Message": b"m" * 32, **given}
        requests: dict[str, Callable[[], Any]] = {
            "kms:Encrypt": lambda: kms.encrypt(Plaintext=b"x", **encryption),
            "kms:Decrypt": lambda: kms.decrypt(
                CiphertextBlob=self._kms.encrypt(Plaintext=b"x", **encryption)["CiphertextBlob"], **encryption
            ),
            "kms:Decapsulate": lambda: kms.decapsulate(
                SharedSecretCiphertextBlob=self._kms.encapsulate(**on_key)["SharedSecretCiphertextBlob"], **on_key
            ),
            "kms:DeriveSharedSecret": lambda: kms.derive_shared_secret(
                PublicKey=self._kms.get_public_key(KeyId=self.key)["PublicKey"], **on_key
            ),
            "kms:GenerateDataKey": lambda: kms.generate_data_key(KeySpec="AES_256", **encryption),
            "kms:Sign": lambda: kms.sign(**about),
            "kms:Verify": lambda: kms.verify(Signature=self._kms.sign(**about)["Signature"], **about),
            "kms:GenerateMac": lambda: kms.generate_mac(**about),
            "kms:VerifyMac": lambda: kms.verify_mac(Mac=self._kms.generate_mac(**about)["Mac"], **about),
        }
        try:
            requests[action]()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "ok"

    def _named(self, document: Document) -> str:
        text = json.dumps(document)
        for made_up, name in self._names.items():
            text = text.replace(made_up, name)
        return text


def allowances(document: Mapping[str, Any], about: str) -> list[tuple[int, str]]:
    """Return place and action of statements that allow a use of a key directly, for one whom they name by ``about``."""
    return [
        (place, action)
        for place, statement in enumerate(document["Statement"])
        for action in as_list(statement["Action"])
        if statement["Effect"] == "Allow"
        and action in USE_OF_KEY
        and about in json.dumps(statement)
        and "kms:ViaService" not in json.dumps(statement)
    ]


def uses_of(model: Model) -> list[tuple[Principal, Resource, int, str]]:
    keys = [item for item in model.resources if item.kind is ResourceKind.KEY]
    possible = (None, CONTEXT["tenant"])
    roles = [
        who for who in model.principals if who.kind is PrincipalKind.ROLE and (who.tags or {}).get("tenant") in possible
    ]
    return [
        (who, key, place, action)
        for who in roles
        for key in keys
        for place, action in (allowances(who.identity[0].document, key.arn) if who.identity else [])
    ]


@pytest.mark.parametrize("stack", [stack for stack in STACKS if uses_deployed(stack)])
def test_taking_out_an_allowance_in_the_embedded_aws_refuses_the_call(
    stack: str, template_alone: Callable[[str], Document], aws: LocalAws, tmp_path: Path
) -> None:
    template = template_alone(stack)
    path = tmp_path / f"{stack}.template.json"
    path.write_text(json.dumps(template))
    uses = uses_of(read_model(path))
    assert len(uses) == uses_deployed(stack)
    for who, key, place, action in uses:
        assert key.policy
        properties = template["Resources"][key.policy.origin[1] if key.policy.origin else ""]["Properties"]
        names = {name: properties[name] for name in ("KeySpec", "KeyUsage") if name in properties}
        deployed = Deployed(aws, who, key, names)
        of_role, of_key = dict(who.identity[0].document), dict(key.policy.document)
        demanded = of_role["Statement"][place].get("Condition", {}).get("StringEquals", {})
        given = {PARAMETERS[name]: as_list(value)[0] for name, value in demanded.items() if name in PARAMETERS}
        in_key = [number for number, name in allowances(of_key, who.arn) if name == action]
        assert len(in_key) == 1
        answers = []
        for role_policy, key_policy in (
            (of_role, of_key),
            (without(of_role, place, action), of_key),
            (of_role, without(of_key, in_key[0], action)),
            (of_role, of_key),
        ):
            deployed.of_role(role_policy)
            deployed.of_key(key_policy)
            answers.append(deployed.call(action, given))
        assert answers == ["ok", "AccessDeniedException", "AccessDeniedException", "ok"], (who.id, action)


def without(document: Document, place: int, action: str) -> Document:
    several = len(as_list(document["Statement"][place]["Action"])) > 1
    taken = Removal("", place, "action", (action,)) if several else Removal("", place, "statement")
    return reduced(document, [taken])


Tried = Callable[[Mutant], Difference]


@pytest.fixture
def tried(template_alone: Callable[[str], Template], running: Simulator, tmp_path: Path) -> Tried:
    """Compare a stack with its mutant; the app's other stacks have nothing to do with it."""

    def compared(mutant: Mutant) -> Difference:
        template = template_alone(mutant.stack)
        if mutant.stack not in _ORIGINALS:
            _ORIGINALS[mutant.stack] = evaluated(template, mutant.stack)
        before = json.dumps(template)
        mutant.change(Part(template))
        assert json.dumps(template) != before, "the mutant changes nothing"
        return compare(_ORIGINALS[mutant.stack], evaluated(template, mutant.stack))

    def evaluated(template: Template, stack: str) -> AccessMatrix:
        path = tmp_path / f"{stack}.template.json"
        path.write_text(json.dumps({**template, "Resources": {**ELSEWHERE, **template["Resources"]}}))
        return build_with(read_model(path), running)

    return compared


ELSEWHERE = {"ElseBucket": {"Type": "AWS::S3::Bucket"}}
"""A bucket of another team in the account, which wildcards reach."""
_ORIGINALS: dict[str, AccessMatrix] = {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_seen_if_it_changes_access(mutant: Mutant, tried: Tried) -> None:
    difference = tried(mutant)
    assert bool(difference.steps or difference.other_keys) is not bool(mutant.unchanged)


def test_permissions_boundary_removed_is_seen(tried: Tried) -> None:
    def bounded(part: Part) -> None:
        part.template["Resources"]["Boundary"] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
                }
            },
        }
        part.resource("AWS::IAM::Role", "UploaderRole")["PermissionsBoundary"] = {"Ref": "Boundary"}

    difference = tried(Mutant("boundary", S3, bounded))
    changes = {(step.kind, step.entry.principal, step.entry.action) for step in difference.steps}
    assert changes == {
        ("lost", f"{S3}/UploaderRole", "kms:Decrypt"),
        ("lost", f"{S3}/UploaderRole", "kms:GenerateDataKey"),
    }


def test_page_is_as_written(request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    peers = {columns[2]: columns[4:-1] for columns in rows}  # the columns of other tools: ``mutants.py``
    unknown = ["-"] * 3
    written = [
        [
            str(number),
            it.stack,
            it.name,
            "no" if it.unchanged else "yes",
            *peers.get(it.name, unknown),
            it.unchanged or "yes",
        ]
        for number, it in enumerate(MUTANTS, 1)
    ]
    if request.config.getoption("update_snapshots"):
        old, new = (["| " + " | ".join(columns) + " |" for columns in table] for table in (rows, written))
        PAGE.write_text(page.replace("\n".join(old), "\n".join(new)), encoding="utf-8")
        return
    assert rows == written, "run `make docs` and review the page"
    changing = sum(not it.unchanged for it in MUTANTS)
    assert f"- access proof: {changing} of {changing} that change access" in page


def test_excerpt_on_the_page_is_part_of_the_committed_report() -> None:
    excerpt = PAGE.with_name("README.md").read_text().partition("## Reading the text\n\n```\n")[2].partition("```")[0]
    assert excerpt in (Path(__file__).parent / "snapshots" / "app.access.snapshot").read_text()
    assert excerpt.count("\n") > 3


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.stack for mutant in MUTANTS} >= {S3, SECRETS}


@pytest.mark.parametrize(
    ("rule", "action", "resource"),
    [("WildcardOnKey", "kms:decrypt", "*"), ("WildcardOnKey", "KMS:D*", "*"), ("VoidGrant", "KMS:Encrypt", None)],
)
def test_case_of_an_action_hides_no_finding(
    rule: str, action: str, resource: str | None, template: Callable[..., Path]
) -> None:
    allow = asked.READ | {"Action": action} | ({"Resource": resource} if resource else {})
    path = template(
        Key=asked.key(asked.statement(asked.ROOT_ARN, "kms:DescribeKey", "kms:Decrypt")), Reader=asked.role(allow)
    )
    result = asked.access("report", path, "--fail-on", rule)
    assert (result.exit_code, f"{rule}: one/Reader" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "refused"),
    [("Admin*", True), ("Ops", False), ("aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_*", False)],
)
def test_administrator_may_have_a_name_that_a_pattern_allows(
    name: str, refused: bool, template: Callable[..., Path]
) -> None:
    condition = {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::*:role/{name}"}}
    path = template(Key=asked.key(asked.statement(asked.ROOT_ARN, "kms:Decrypt", Condition=condition)))
    with pytest.raises(AssertionError, match="kms:Decrypt") if refused else nullcontext():
        AccessMatrix.from_assembly(path).assert_administrator_cannot_use("Key")
    assert asked.access("report", path, "--fail-on", "AdministratorUsesKey").exit_code == refused


def test_role_of_an_account_that_may_be_that_of_the_stack_is_listed(template: Callable[..., Path]) -> None:
    condition = {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{asked.OTHER}:role/later"}}
    root = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}
    matrix = AccessMatrix.from_assembly(
        template(Key=asked.key(asked.statement(root, "kms:Decrypt", Condition=condition)))
    )
    assert {entry.principal for entry in matrix.entries} == {f"role/later if <account> is {asked.OTHER}"}


def on_parameter(tmp_path: Path, **resources: object) -> AccessMatrix:
    """Return who can do what where condition ``C`` is on a parameter without a default."""
    conditions = {"C": {"Fn::Equals": [{"Ref": "P"}, "x"]}}
    path = tmp_path / "one.json"
    path.write_text(
        json.dumps({"Parameters": {"P": {"Type": "String"}}, "Conditions": conditions, "Resources": resources})
    )
    return AccessMatrix.from_assembly(path)


NOTHING = {"Ref": "AWS::NoValue"}
S3_FULL, EVERYTHING = (f"arn:aws:iam::aws:policy/{name}" for name in ("AmazonS3FullAccess", "AdministratorAccess"))
INLINE = {"InlinePolicy": {"Statement": [asked.READ]}}
DELEGATED = asked.key(asked.statement(asked.ROOT_ARN, "kms:*"))


@pytest.mark.parametrize(
    "members",
    [
        INLINE | {"PermissionsBoundary": {"Fn::If": ["C", {"ManagedPolicyArn": S3_FULL}, NOTHING]}},
        INLINE | {"PermissionsBoundary": {"ManagedPolicyArn": {"Fn::If": ["C", S3_FULL, EVERYTHING]}}},
        {"CustomerManagedPolicyReferences": {"Fn::If": ["C", NOTHING, [{"Name": "x"}]]}},
    ],
)
def test_permission_set_that_one_way_of_a_condition_lets_in_is_listed(members: object, tmp_path: Path) -> None:
    found = on_parameter(tmp_path, Key=DELEGATED, Set={"Type": "AWS::SSO::PermissionSet", "Properties": members})
    assert "any with permission set one/Set" in {entry.principal for entry in found.entries}


@pytest.mark.parametrize(
    ("spec", "origin", "listed"),
    [
        ("HMAC_256", {"Fn::If": ["C", "AWS_KMS", "EXTERNAL"]}, True),
        ({"Fn::If": ["C", NOTHING, "HMAC_256"]}, "EXTERNAL", True),
        ({"Fn::If": ["C", NOTHING, "SYMMETRIC_DEFAULT"]}, "EXTERNAL", False),
        ("HMAC_256", {"Fn::If": ["C", "AWS_KMS", NOTHING]}, False),
    ],
)
def test_importer_of_material_that_may_be_portable_is_a_path(
    spec: object, origin: object, listed: bool, tmp_path: Path
) -> None:
    shared = {"Type": "AWS::KMS::Key", "Properties": DELEGATED["Properties"] | {"KeySpec": spec, "Origin": origin}}
    found = on_parameter(tmp_path, Key=shared, R=asked.role(asked.READ | {"Action": "kms:ImportKeyMaterial"}))
    assert ("one/R" in {path.principal for path in found.escalations}) is listed


@pytest.mark.parametrize("denied", ["NotResource", "Resource"])
@pytest.mark.parametrize(
    ("pattern", "sure"), [("k*key/*", False), ("kms:x:*/*", False), ("k*", True), ("kms:*:key/*", True)]
)
def test_star_inside_a_field_of_an_arn_limits_nothing_for_certain(
    pattern: str, denied: str, *, sure: bool, tmp_path: Path
) -> None:
    way = {"Effect": "Deny"} if denied == "Resource" else {}
    limit = {"Effect": "Allow", "Action": "kms:Decrypt", denied: f"arn:aws:{pattern}"} | way
    found = on_parameter(tmp_path, Key=DELEGATED, R=asked.role(*([asked.READ] if way else []), limit))
    assert ("one/R" in {entry.principal for entry in found.entries}) is not sure


def test_folder_of_templates_passes_over_nothing_unsaid(template: Callable[..., Path]) -> None:
    folder = template(Key=DELEGATED).parent / "all"
    (folder / "node_modules").mkdir(parents=True)
    (folder / "TWO.JSON").write_text((folder.parent / "one.json").read_text())
    (folder / "more").symlink_to(folder.parent)
    found = AccessMatrix.from_assembly(folder)
    assert found.stacks == ["TWO"]
    assert [(it.where, it.what) for it in found.unresolved] == [("TWO", "link more")]
    (folder / "gone.json").symlink_to("nothing")
    with pytest.raises(NotATemplate, match="cannot be read"):
        AccessMatrix.from_assembly(folder)


def test_who_may_read_a_version_reads_content(template: Callable[..., Path]) -> None:
    get = {"Effect": "Allow", "Action": "s3:GetObjectVersion", "Resource": "*"}
    path = template(
        Docs={"Type": "AWS::S3::Bucket"}, Old=asked.role(get), Both=asked.role(get, get | {"Action": "s3:GetObject"})
    )
    said = asked.access("readers", "Docs", path).output
    assert "role one/Old by version (s3:GetObjectVersion): always\n" in said
    assert "role one/Both: always\n" in said
    assert "role one/Both by version" not in said


def test_refusal_under_many_denies_is_explained_at_once(template: Callable[..., Path]) -> None:
    deny = {"PolicyDocument": {"Statement": [asked.READ | {"Effect": "Deny", "Resource": "*"}]}}
    policies = [deny | {"PolicyName": f"p{number}"} for number in range(24)]
    path = template(
        Key=asked.key(asked.statement(asked.ROOT_ARN, "kms:*")), Reader=asked.role(asked.READ, Policies=policies)
    )
    code, said = asked.explained(path)
    assert (code, said.count("no Deny in")) == (1, 2 * 24)  # two ways, each without all of them


def test_objects_that_are_all_cut_out_are_a_finding(template: Callable[..., Path]) -> None:
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::docs/part/*"}
    deny = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::docs/*"}
    docs = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "docs"}}
    code, said = asked.explained(
        template(Docs=docs, Reader=asked.role(get, deny)), action="s3:GetObject", resource="Docs"
    )
    assert (code, "cannot s3:GetObject" in said) == (1, True)


@pytest.mark.parametrize("member", ["BucketEncryption", "ServerSideEncryptionConfiguration", "rule", "SSEAlgorithm"])
def test_default_encryption_that_is_not_known_is_not_said_to_be_none(
    member: str, template: Callable[..., Path]
) -> None:
    unknown = {"Ref": "Wish"}
    default: Any = {"SSEAlgorithm": unknown}
    rules: Any = [unknown if member == "rule" else {"ServerSideEncryptionByDefault": default}]
    whole: Any = {"ServerSideEncryptionConfiguration": unknown if member.startswith("Server") else rules}
    properties = {"BucketEncryption": unknown if member == "BucketEncryption" else whole}
    path = template(Docs={"Type": "AWS::S3::Bucket", "Properties": properties})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Parameters": {"Wish": {"Type": "String"}}}))
    assert (
        "not under a KMS key" not in asked.access("report", path).output + asked.access("readers", "Docs", path).output
    )


def typed(spec: Any, usage: Any = None) -> dict[str, Any]:
    properties = {"KeySpec": spec} | ({} if usage is None else {"KeyUsage": usage})
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": asked.key()["Properties"]["KeyPolicy"], **properties}}


def test_a_quantum_computer_breaks_confidentiality_first_and_signatures_later(template: Callable[..., Path]) -> None:
    strict = {"Fn::If": ["Strict", "ML_KEM_768", "RSA_2048"]}
    usage = {"Fn::If": ["Strict", "ENCAPSULATE_DECAPSULATE", "ENCRYPT_DECRYPT"]}
    path = template(
        Old=typed("RSA_3072", "ENCRYPT_DECRYPT"),
        Agreed=typed("ECC_NIST_P384", "KEY_AGREEMENT"),
        Curve=typed("ECC_NIST_P256", {"Ref": "Usage"}),
        Signed=typed("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"),
        Either=typed(strict, usage),
        Asked=typed({"Ref": "Spec"}),
        New=typed("RSA_PQC_2030", "SIGN_VERIFY"),
        Dsa=typed("ML_DSA_65", "SIGN_VERIFY"),
        Mac=typed("HMAC_256", "GENERATE_VERIFY_MAC"),
        Plain=asked.key(asked.statement(asked.ROOT_ARN, "kms:GenerateDataKeyPair")),
        Maker=asked.role({"Effect": "Allow", "Action": "kms:GenerateDataKeyPair", "Resource": "*"}),
        Whole={"Type": "AWS::KMS::Key", "Properties": {"Fn::Transform": {"Name": "Foreign"}}},
        Copy={"Type": "AWS::KMS::ReplicaKey", "Properties": {"PrimaryKeyArn": "arn:aws:kms:us-east-1:1:key/mrk-1"}},
        Here={"Type": "AWS::KMS::ReplicaKey", "Properties": {"PrimaryKeyArn": {"Fn::GetAtt": ["Old", "Arn"]}}},
    )
    whole = json.loads(path.read_text()) | {
        "Parameters": {name: {"Type": "String"} for name in ("Spec", "Usage", "Wish")},
        "Conditions": {"Strict": {"Fn::Equals": [{"Ref": "Wish"}, "strict"]}},
    }
    path.write_text(json.dumps(whole))
    done = asked.access("report", str(path), "--crypto", "--format", "json")
    found = {item["key"].split("/")[-1]: item for item in json.loads(done.output)}
    assert {name: item["urgency"] for name, item in found.items()} == {
        **dict.fromkeys(("Old", "Agreed", "Curve", "Either", "Here"), 1),
        **dict.fromkeys(("Asked", "New", "Whole", "Copy"), 2),
        "Signed": 3,
        **dict.fromkeys(("Dsa", "Mac", "Plain"), 4),
    }
    assert found["Plain"]["makes_pairs"] == ["any other role", "one/Maker"]
    text = asked.access(str(path), "--crypto").output.splitlines()
    assert text[0] == "post-quantum readiness: 10 of 13 keys rest, or may rest, on RSA or elliptic curves"
    assert [line[0] for line in text[1:-1] if line[0] != " "] == ["1", "2", "3", "4"]
    path.write_text(json.dumps(whole | {"Transform": "AnyMacro"}))
    told = json.loads(asked.access("report", str(path), "--crypto", "--format", "json").output)
    assert {item["urgency"] for item in told} == {2}


@pytest.mark.parametrize("word", ["--stack=one", "--fail-on=all", "--format=html", "--action=kms:*"])
def test_the_readiness_report_takes_no_filter(template: Callable[..., Path], word: str) -> None:
    done = asked.access("report", str(template(Old=typed("RSA_3072"))), "--crypto", word)
    assert done.exit_code == 2
    assert "--crypto" in done.output
