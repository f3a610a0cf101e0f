"""Questions: explain, readers, filters, rules, and who can become a user of a key."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kms_patterns.access.baseline import Entry, judge, judgement_as_text
from kms_patterns.access.escalation.allowed_methods import ALL_METHODS, best_known
from kms_patterns.access.escalation.escalation_methods import ON_KEYS, ON_PRINCIPALS, takers, taking
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import Difference, compare
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.findings import RULES, Violation, violations
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.report.difference_text import difference_as_text
from kms_patterns.access.report.wording import escalation_text
from kms_patterns.access.templates.reading import Given
from kms_patterns.cli.main import main
from tests.access.test_identity import OWNER
from tests.access.test_identity import key as whole_key
from tests.access.test_identity import role as whole_role

ROOT = Path(__file__).parents[2]
ACCOUNT, OTHER = "111111111111", "222222222222"
ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
READ = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}


def statement(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions), "Resource": "*"} | more


def role(*statements: dict[str, Any], **more: Any) -> dict[str, Any]:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    policies = [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}]
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust, "Policies": policies if statements else [], **more},
    }


def key(*statements: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": list(statements)}},
    }


def access(*words: object) -> Result:
    return CliRunner().invoke(main, ["access", *map(str, words), "--account", ACCOUNT], catch_exceptions=False)


def explained(
    path: Path, principal: str = "Reader", action: str = "kms:Decrypt", resource: str = "Key"
) -> tuple[int, str]:
    result = access("explain", principal, action, resource, path)
    return result.exit_code, " ".join(result.output.split())


NOTHING = statement(ROOT_ARN, "kms:DescribeKey")
DENY = {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}
BOUNDARY = {
    "Type": "AWS::IAM::ManagedPolicy",
    "Properties": {
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
        }
    },
}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"Key": key(statement(ROOT_ARN, "kms:*")), "Reader": role(READ)},
            [
                "role one/Reader can kms:Decrypt on key one/Key",
                "one/Reader policy p: allows it, always",
                "key policy: allows it if the principal's own policies do",
            ],
        ),
        (
            {"Key": key(statement(ROOT_ARN, "kms:*")), "Reader": role()},
            [
                "cannot",
                "missing an Allow of kms:Decrypt in the principal's own policies or an Allow of kms:Decrypt for the",
            ],
        ),
        (
            {"Key": key(NOTHING), "Reader": role(READ)},
            [
                "cannot",
                "one/Key key policy: has no statement that allows it",
                "missing an Allow of kms:Decrypt for the principal in the key policy of one/Key",
            ],
        ),
        (
            {"Key": key(statement(ROOT_ARN, "kms:*"), DENY), "Reader": role(READ)},
            ["cannot", "one/Key key policy: denies it", "missing no Deny in one/Key key policy"],
        ),
        (
            {"Key": key(statement(ROOT_ARN, "kms:*")), "Reader": role(READ, READ | {"Effect": "Deny"})},
            ["cannot", "one/Reader policy p: denies it", "missing no Deny in one/Reader policy p"],
        ),
        (
            {
                "Key": key(statement(ROOT_ARN, "kms:*")),
                "B": BOUNDARY,
                "Reader": role(READ, PermissionsBoundary={"Ref": "B"}),
            },
            ["cannot", "one/B: has no statement that allows it", "missing an Allow in the permissions boundary"],
        ),
        (
            {"Key": key(NOTHING, DENY), "Reader": role(READ)},
            [
                "for the principal in the key policy of one/Key and no Deny in one/Key key policy",
            ],
        ),
        (
            {
                "Key": key(statement(ROOT_ARN, "kms:*", Condition={"Bool": {"aws:SecureTransport": "true"}})),
                "Reader": role(READ),
            },
            ["can kms:Decrypt on key one/Key when aws:SecureTransport = true policies", "p: allows it, always"],
        ),
    ],
)
def test_decision_is_explained_policy_by_policy(
    template: Callable[..., Path], resources: dict[str, Any], words: list[str]
) -> None:
    code, said = explained(template(**resources))
    assert code == ("cannot" in said)
    for text in words:
        assert text in said


def test_cross_account_refusal_names_both_sides(template: Callable[..., Path]) -> None:
    elsewhere = f"arn:aws:iam::{OTHER}:role/r"
    path = template(Key=key(statement(elsewhere, "kms:Decrypt")), Reader=role())
    code, said = explained(path, principal=elsewhere)
    assert (code, "one/Key key policy: allows it if the principal's own policies do" in said) == (0, True)
    code, said = explained(path, principal=elsewhere, action="kms:Encrypt")
    assert (code, "missing an Allow of kms:Encrypt for the principal in the key policy" in said) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Nobody", "kms:Decrypt", "Key"), "'Nobody' is not one of"),
        (("Reader", "kms:Decrypt", "Nothing"), "'Nothing' is not one of"),
        (("Reader", "kms:Decript", "Key"), "kms:Decript is not an action on a key"),
        (("Reader", "s3:GetObject", "Key"), "known: those of kms"),
    ],
)
def test_question_about_nothing_is_an_error(
    template: Callable[..., Path], words: tuple[str, ...], message: str
) -> None:
    result = access("explain", *words, template(Key=key(NOTHING), Reader=role(READ)))
    assert (result.exit_code, message in result.output) == (2, True)


@pytest.fixture
def shop(template: Callable[..., Path]) -> Path:
    """Two buckets, one under the key; a role with both halves, one without the key, one for some objects only."""
    objects = {"Fn::Sub": "${Docs.Arn}/*"}
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": objects}
    default = {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}}
    }
    encryption = {"BucketEncryption": {"ServerSideEncryptionConfiguration": [default]}}
    return template(
        Key=key(statement(ROOT_ARN, "kms:*")),
        Docs={"Type": "AWS::S3::Bucket", "Properties": encryption},
        Plain={"Type": "AWS::S3::Bucket"},
        Reader=role(get, READ | {"Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}}),
        Lister=role(get),
        Part=role(get | {"Resource": {"Fn::Sub": "${Docs.Arn}/part/*"}}, READ),
    )


def test_readers_of_content_need_bucket_and_key(shop: Path) -> None:
    said = access("readers", "Docs", shop).output
    assert "role one/Reader: when kms:ViaService = s3.us-east-1.amazonaws.com\n" in said
    assert "role one/Part: objects part/*: always\n" in said
    assert "Lister" not in said
    assert "account administrator (*:*): always" in said
    assert "its objects not under a KMS key by default" in access("readers", "Plain", shop).output
    assert access("readers", "Key", shop).exit_code == 2


def test_answers_are_read_by_programs_and_by_reviewers(shop: Path) -> None:
    found = json.loads(access("readers", "Docs", shop, "--format", "json").output)
    assert (found["bucket"], found["encryptedBy"]) == ("one/Docs", "one/Key")
    assert ("one/Part", "part/*", True) in {(it["principal"], it["scope"], it["keyAsked"]) for it in found["readers"]}
    rows = access("readers", "Docs", shop, "--format", "markdown").output
    assert "| `role one/Part` | objects `part/*`  | always |\n" in rows
    words = ("explain", "Lister", "kms:Decrypt", "Key", shop, "--format")
    asked = access(*words, "json")
    missing = "an Allow of kms:Decrypt in the principal's own policies"
    assert (asked.exit_code, json.loads(asked.output)["missing"][0]) == (1, [missing])
    said = access(*words, "markdown").output
    assert said.startswith("**`role one/Lister` cannot `kms:Decrypt` on `key one/Key`**\n")
    assert f"Missing, any of:\n\n- `{missing}`" in said


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"Fn::If": ["Strict", {"Ref": "Key"}, {"Ref": "Other"}]}, 'encrypted under "one/Key or one/Other"'),
        ({"Ref": "Wish"}, "encrypted under <Wish>"),
    ],
)
def test_readers_under_a_key_that_is_not_known_need_none(chosen: Any, said: str, template: Callable[..., Path]) -> None:
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    rule = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": chosen}}
    docs = {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}}
    path = template(
        Key=key(),
        Other=key(),
        Docs={"Type": "AWS::S3::Bucket", "Properties": docs},
        Reader=role(get, READ | {"Resource": {"Fn::GetAtt": ["Other", "Arn"]}}),
    )
    whole = json.loads(path.read_text()) | {
        "Parameters": {"Wish": {"Type": "String"}},
        "Conditions": {"Strict": {"Fn::Equals": [{"Ref": "Wish"}, "strict"]}},
    }
    path.write_text(json.dumps(whole))
    found = access("readers", "Docs", path).output
    assert said in found
    assert "role one/Reader: always\n" in found
    assert "who may use it was not asked" in found


def test_filters_leave_what_was_asked_for(shop: Path) -> None:
    said = access("report", shop, "--principal", "Reader", "--action", "KMS:dec*").output
    assert said.startswith("only --principal Reader --action KMS:dec*\n\nstack one\n\n  key Key\n    role Reader, when")
    assert "bucket" not in said.split("Decided by")[0]
    assert "roles, and who" not in said
    document = json.loads(
        access("report", shop, "--resource", "Docs", "--action", "s3:GetObject", "--format", "json").output
    )
    assert {item["id"] for item in document["resources"]} == {"one/Docs"}
    assert {item["action"] for item in document["access"]} == {"s3:GetObject"}
    assert access("report", shop, "--principal", "Typo").exit_code == 2
    for words in (("--principal", "Reader", "--principal", "Typo"), ("--action", "kms:Decrypt", "--action", "kms:Dec")):
        assert f"{words[2]} {words[3]} matches nothing" in access("report", shop, *words).output
    for form in ("markdown", "html", "json"):
        assert "--action kms:Decrypt" in access("report", shop, "--action", "kms:Decrypt", "--format", form).output


@pytest.mark.parametrize(
    ("rule", "code"), [("AdministratorUsesKey", 1), ("all", 1), ("OutsiderUsesKey", 0), ("VoidGrant", 0)]
)
def test_broken_rule_fails_if_it_was_asked_about(shop: Path, rule: str, code: int) -> None:
    result = access("report", shop, "--fail-on", rule)
    assert result.exit_code == code
    assert ("AdministratorUsesKey: one/Key:" in result.stderr) == bool(code)
    assert result.stdout.startswith("stack one\n")


def test_sarif_names_file_line_and_resource(shop: Path) -> None:
    run = json.loads(access("report", shop, "--format", "sarif").output)["runs"][0]
    found = {item["ruleId"]: item for item in run["results"]}
    assert set(found) == {"AdministratorUsesKey", "WildcardOnKey"}
    location = found["AdministratorUsesKey"]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == shop.resolve().as_uri()
    line = shop.read_text().splitlines()[location["physicalLocation"]["region"]["startLine"] - 1]
    assert line.strip() == '"Key": {'
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "one/Key"
    assert run["tool"]["driver"]["rules"][found["WildcardOnKey"]["ruleIndex"]]["id"] == "WildcardOnKey"


READER = {"AWS": {"Fn::GetAtt": ["Reader", "Arn"]}}
USE = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Principal": READER}
ONLY_READER = {"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*", "Principal": OWNER["Principal"]}
KEY = whole_key(ONLY_READER, USE)
ARN_PREFIX = "arn:aws:iam::${AWS::AccountId}:"

Build = Callable[[Mapping[str, Any]], Matrix]


def trusting(service: str, *statements: Any) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": f"{service}.amazonaws.com"}}
    return whole_role(*statements, AssumeRolePolicyDocument={"Statement": [allow]})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


@pytest.fixture
def build(running: Simulator, tmp_path: Path) -> Build:
    def matrix(resources: Mapping[str, Any]) -> Matrix:
        (tmp_path / "S.json").write_text(json.dumps({"Parameters": {"X": {"Type": "String"}}, "Resources": resources}))
        return build_with(read_model(tmp_path / "S.json"), running)

    return matrix


@pytest.fixture
def paths(build: Build) -> Callable[..., list[str]]:
    def of(*statements: Any, reader: Any = None, **more: Any) -> list[str]:
        resources = {"K": KEY, "Reader": reader or trusting("lambda"), "Dev": whole_role(*statements), **more}
        return [escalation_text(item) for item in build(resources).escalations if item.principal == "S/Dev"]

    return of


@pytest.mark.parametrize(
    ("actions", "method"),
    [
        (("iam:PassRole", "lambda:CreateFunction"), "iam:PassRole and lambda:CreateFunction"),
        (("iam:UpdateAssumeRolePolicy",), "iam:UpdateAssumeRolePolicy"),
        (("iam:Update*",), "iam:UpdateAssumeRolePolicy"),
    ],
)
def test_role_that_can_become_the_reader_is_listed(actions: Any, method: str, paths: Callable[..., list[str]]) -> None:
    found = [text for text in paths(allow(*actions)) if "become S/Reader" in text]
    assert found
    assert method in found[0]


def test_every_method_on_what_runs_reaches_a_role_of_its_service(build: Build) -> None:
    methods = [it for it in ON_PRINCIPALS if it.service and not it.service.endswith("-provider")][::7]
    template = {f"R{place}": trusting(str(it.service), allow("kms:Decrypt")) for place, it in enumerate(methods)}
    template |= {f"D{place}": whole_role(allow(*it.besides)) for place, it in enumerate(methods)}
    found = {(item.principal, item.user) for item in build({"K": whole_key(OWNER), **template}).escalations}
    assert not {(f"S/D{place}", f"S/R{place}") for place, _ in enumerate(methods)} - found


@pytest.mark.parametrize("service", ["ec2", "glue", "ecs-tasks", "pipes", "cloudformation", "codebuild", "states"])
def test_role_is_passed_to_the_service_that_it_trusts_only(service: str, paths: Callable[..., list[str]]) -> None:
    action = best_known(name for name in taking() if name.partition(":")[0] in takers(f"{service}.amazonaws.com"))
    passing = allow("iam:PassRole", Resource=READER["AWS"])
    assert [bool(paths(passing, allow(action), reader=trusting(it))) for it in (service, "logs")] == [True, False]
    other = {"StringEquals": {"iam:PassedToService": "logs.amazonaws.com"}}
    assert paths(passing | {"Condition": other}, allow(action), reader=trusting(service)) == []


def test_code_of_a_function_that_acts_as_the_reader(paths: Callable[..., list[str]]) -> None:
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Role": READER["AWS"]}}
    assert paths(allow("lambda:UpdateFunctionCode"), F=function) == [
        "can become S/Reader by lambda:UpdateFunctionCode of S/F"
    ]
    assert paths(allow("lambda:GetFunction"), F=function) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (allow("ssm:SendCommand"), "can become S/Deploy by ssm:SendCommand; then can become S/Reader by iam:PassRole"),
        (allow("sts:AssumeRole"), "can become S/Deploy by sts:AssumeRole; then can become S/Reader by iam:PassRole"),
    ],
)
def test_path_of_several_steps(statement: Any, expected: str, paths: Callable[..., list[str]]) -> None:
    trust = [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
        for principal in ({"Service": "ec2.amazonaws.com"}, OWNER["Principal"])
    ]
    deploy = whole_role(allow("iam:PassRole", "lambda:CreateFunction"), AssumeRolePolicyDocument={"Statement": trust})
    assert [text for text in paths(statement, Deploy=deploy) if text.startswith(expected)] != []


@pytest.mark.parametrize("actions", [("cloudformation:*",), ("iam:PutRolePolicy",), ("iam:CreatePolicyVersion",)])
def test_administrator_by_any_way_becomes_the_reader_of_a_key_that_names_it(
    actions: Any, paths: Callable[..., list[str]]
) -> None:
    found = paths(allow(*actions))
    assert any("account administrator" in text and "can become S/Reader" in text for text in found)


@pytest.mark.parametrize("action", ["kms:PutKeyPolicy", "kms:CreateGrant", "kms:ImportKeyMaterial"])
def test_who_may_change_the_key_can_use_it(action: str, build: Build) -> None:
    delegating = whole_key({**ONLY_READER, "Action": ["kms:DescribeKey", action]}, USE)
    delegating["Properties"] |= {"KeySpec": "RSA_2048", "Origin": "EXTERNAL"} if "Import" in action else {}
    resources = {"K": delegating, "Reader": trusting("lambda"), "Dev": whole_role(allow(action)), "Ops": whole_role()}
    found = {item.principal: escalation_text(item) for item in build(resources).escalations}
    assert found == {"S/Dev": f"can change what S/K allows, by {action}"}


def test_denied_or_bounded_method_is_no_path(paths: Callable[..., list[str]]) -> None:
    assert paths(allow("iam:*"), {**allow("iam:*"), "Effect": "Deny"}) == []
    assert paths(allow("iam:Update*"), allow("iam:Update*", Effect="Deny")) == []


def test_every_method_has_a_source_and_is_complete() -> None:
    assert all(page.startswith("https://docs.aws.amazon.com/") for page in taking().values())
    for method in (*ALL_METHODS, *ON_KEYS):
        assert method.source.startswith("https://")
        assert [*method.on_target, *method.besides]
        assert all(":" in name for name in (*method.on_target, *method.besides))


@pytest.fixture
def difference(build: Build) -> Callable[..., Difference]:
    return lambda old, new: compare(build(old), build(new))


def test_statement_of_an_unknown_account_that_says_more_is_a_gain(difference: Callable[..., Difference]) -> None:
    def account(action: str) -> dict[str, Any]:
        principal = {"AWS": {"Fn::Sub": "arn:aws:iam::${X}:root"}}
        return {"K": whole_key(OWNER, {**USE, "Action": action, "Principal": principal})}

    found = difference(account("kms:Decrypt"), account("kms:*"))
    assert found.widens
    assert {step.entry.principal for step in found.steps} == {"account <X>"}


@pytest.mark.parametrize("name", ["role/ci", "user/ann", "role/team/ci"])
def test_what_the_keys_policy_gives_is_compared_apart_from_iam(
    name: str, difference: Callable[..., Difference]
) -> None:
    def named(*actions: str) -> dict[str, Any]:
        statement = {**USE, "Action": list(actions), "Principal": {"AWS": {"Fn::Sub": f"{ARN_PREFIX}{name}"}}}
        return {"K": whole_key(OWNER, *([statement] if actions else []))}

    first = difference(named(), named("kms:Decrypt"))
    assert [step.entry.action for step in first.steps] == ["kms:Decrypt"]
    more = difference(named("kms:Decrypt"), named("kms:Decrypt", "kms:CreateGrant", "kms:PutKeyPolicy"))
    assert sorted(step.entry.action for step in more.steps) == ["kms:CreateGrant", "kms:PutKeyPolicy"]
    assert not difference(named("kms:Decrypt"), named()).widens


def test_new_path_fails_a_review(difference: Callable[..., Difference]) -> None:
    old = {"K": KEY, "Reader": trusting("lambda"), "Dev": whole_role()}
    new = {**old, "Dev": whole_role(allow("iam:UpdateAssumeRolePolicy"))}
    found = difference(old, new)
    assert found.widens
    assert "S/Dev on key S/K: can become S/Reader by iam:UpdateAssumeRolePolicy" in difference_as_text(found)
    assert not difference(new, old).widens
    assert "paths that are gone" in difference_as_text(difference(new, old))


def test_statement_that_changes_no_cell_is_said(difference: Callable[..., Difference]) -> None:
    old = {"K": whole_key(OWNER), "R": whole_role(allow("kms:*"))}
    direct = {**USE, "Principal": {"AWS": {"Fn::GetAtt": ["R", "Arn"]}}, "Action": "kms:Decrypt"}
    found = difference(old, {**old, "K": whole_key(OWNER, direct)})
    assert [step.entry.principal for step in found.steps] == []
    assert found.widens
    assert "statements changed, access shown here did not" in difference_as_text(found)
    renamed = {**old, "K": whole_key({**OWNER, "Sid": "Owner"})}
    assert difference_as_text(difference(old, renamed)) == "no access changed\n"


@pytest.mark.parametrize("before", ["kms:*", "iam:*"])
@pytest.mark.parametrize(("now", "widens"), [("dynamodb:*", True), ("kms:Decrypt", False), ("iam:list*", False)])
def test_loss_hides_no_gain(before: str, now: str, widens: bool, difference: Callable[..., Difference]) -> None:
    of = {"K": KEY, "Reader": trusting("lambda")}
    all_before = {**allow(before), "Action": [before, "kms:D*", "iam:L*"]}
    found = difference({**of, "R": whole_role(all_before)}, {**of, "R": whole_role(allow(now))})
    assert (found.widens, now in difference_as_text(found)) == (widens, widens)


def test_statement_is_said_though_another_principal_is_new_under_its_policy(
    difference: Callable[..., Difference],
) -> None:
    reader = {"ArnEquals": {"aws:PrincipalArn": {"Fn::GetAtt": ["R", "Arn"]}}}

    def keyed(condition: dict[str, Any]) -> dict[str, Any]:
        use = {**OWNER, "Action": "kms:Decrypt", "Condition": condition}
        return {
            "K": whole_key({**OWNER, "Action": "kms:DescribeKey"}, use),
            "R": whole_role(allow("kms:Decrypt") | MFA),
        }

    new = keyed(reader) | {"New": whole_role(allow("kms:DescribeKey"))}
    found = difference(keyed(reader | MFA["Condition"]), new)
    assert {step.entry.principal for step in found.steps} == {"S/New", "ec2.amazonaws.com"}
    assert [item.policy for item in found.unseen_statements] == ["S/K key policy"]


def test_access_that_only_another_entry_covers_now_is_compared(difference: Callable[..., Difference]) -> None:
    ci = {**USE, "Action": "kms:*", "Principal": {"AWS": {"Fn::Sub": f"{ARN_PREFIX}role/ci"}}}
    found = difference({"K": whole_key(OWNER, ci)}, {"K": whole_key({**OWNER, **MFA})})
    assert "condition narrowed" in difference_as_text(found)
    assert not found.widens


MFA = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
ALL_OF_KMS = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}


def known_app() -> dict[str, Any]:
    """Return resources that break each of the four rules."""
    partner = statement("*", "kms:Decrypt") | {"Condition": {"StringEquals": {"aws:PrincipalOrgID": ["o-1"]}}}
    managed = {
        "PolicyDocument": {"Version": "2012-10-17", "Statement": [ALL_OF_KMS | MFA]},
        "Roles": [{"Ref": "Reader"}],
    }
    return {
        "Key": key(statement(ROOT_ARN, "kms:*") | MFA),
        "Shared": key(statement(ROOT_ARN, "kms:DescribeKey"), partner),
        "Wide": {"Type": "AWS::IAM::ManagedPolicy", "Properties": managed},
        "Reader": role(),
        "Plain": key(statement(ROOT_ARN, "kms:DescribeKey")),
        "Void": role(READ | {"Resource": {"Fn::GetAtt": ["Plain", "Arn"]}}),
    }


def of_key(app: dict[str, Any], name: str = "Key") -> Any:
    return app[name]["Properties"]["KeyPolicy"]["Statement"]


def wide(app: dict[str, Any]) -> Any:
    return app["Wide"]["Properties"]["PolicyDocument"]["Statement"]


ANOTHER_FINDING: dict[str, Callable[[dict[str, Any]], object]] = {
    "administrators need no second factor": lambda app: of_key(app)[0].pop("Condition"),
    "administrators get a second statement": lambda app: of_key(app).append(statement(ROOT_ARN, "kms:Decrypt")),
    "another organization": lambda app: of_key(app, "Shared")[1].update(
        {"Condition": {"StringEquals": {"aws:PrincipalOrgID": ["o-1", "o-2"]}}}
    ),
    "the wildcard without its condition": lambda app: wide(app)[0].pop("Condition"),
    "the same wildcard once more": lambda app: wide(app).append(dict(ALL_OF_KMS)),
    "another role under the wildcard": lambda app: app["Wide"]["Properties"]["Roles"].append({"Ref": "Void"}),
    "another key under the wildcard": lambda app: app.update({"Third": key(statement(ROOT_ARN, "kms:DescribeKey"))}),
    "a void grant of another kind": lambda app: app["Void"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][
        0
    ].update(MFA),
}
NO_OTHER_FINDING: dict[str, Callable[[dict[str, Any]], object]] = {
    "another role": lambda app: app.update({"Other": role()}),
    "an action that is not a use": lambda app: of_key(app, "Shared")[0]["Action"].append("kms:ListGrants"),
}


def objections(write: Callable[..., Path], running: Simulator, app: dict[str, Any]) -> list[Violation]:
    model = read_model(write(**app), Given({}, ACCOUNT, "us-east-1"))
    return violations(model, evaluate(model, running))


def entries_of(found: list[Violation], **more: Any) -> list[Entry]:
    words = {"owner": "keys team", "reason": "agreed", "expires": date(2027, 1, 31)} | more
    return [Entry(it.rule, f"{it.stack}/{it.logical_id}", it.detail, it.fingerprint, **words) for it in found]


@pytest.mark.parametrize("change", [*ANOTHER_FINDING, *NO_OTHER_FINDING])
def test_entry_of_a_baseline_accepts_no_other_finding(
    change: str, template: Callable[..., Path], running: Simulator
) -> None:
    found = objections(template, running, known_app())
    assert {item.rule for item in found} == set(RULES)
    app = known_app()
    (ANOTHER_FINDING | NO_OTHER_FINDING)[change](app)
    changed = objections(template, running, app)
    judged = judge(changed, entries_of(found), date(2027, 1, 31))
    new = [item for item in changed if item not in judged.known]
    assert bool(new) == bool(judged.stale) == (change in ANOTHER_FINDING)
    assert {(item.rule, item.logical_id) for item in new} == {
        (entry.rule, entry.resource.removeprefix("one/")) for entry, _ in judged.stale
    }


def test_entry_of_a_baseline_ends_and_is_missed_when_its_finding_goes() -> None:
    item = Violation("VoidGrant", "one", "Key", "who", "evidence")
    other = Violation("VoidGrant", "one", "Bin", "who", "evidence")
    entries = entries_of([item])
    assert judge([item], entries, date(2027, 1, 31)).known == {item: entries[0]}
    late = judge([item], entries, date(2027, 2, 1))
    assert "expired on 2027-01-31 (keys team: agreed): VoidGrant: one/Key: who" in judgement_as_text(late)
    assert judge([], entries, date(2027, 1, 1)).stale == [(entries[0], "it is not found any more")]
    # An entry reads as the finding that it accepts.
    disguised = judge([item, other], [replace(entries[0], resource="one/Bin")], date(2027, 1, 1))
    assert "that of another finding, VoidGrant: one/Key: who" in judgement_as_text(disguised)


def test_baseline_is_written_completed_and_holds_until_a_policy_changes(shop: Path, tmp_path: Path) -> None:
    file, ask = (
        tmp_path / "baseline.toml",
        ("report", shop, "--fail-on", "all", "--baseline", tmp_path / "baseline.toml"),
    )
    file.write_text(access("report", shop, "--format", "baseline").output)
    blank = access(*ask)
    assert (blank.exit_code, "entry 1: owner '' is not a text" in blank.stderr) == (2, True)
    completed = file.read_text().replace('owner = ""', 'owner = "keys"').replace('reason = ""', 'reason = "agreed"')
    file.write_text(completed.replace('expires = ""', "expires = 9999-12-31"))
    result = access(*ask)
    assert (result.exit_code, result.stderr) == (0, "baseline: 2 known, the first until 9999-12-31\n")
    log = json.loads(access(*ask, "--format", "sarif").stdout)["runs"][0]["results"]
    assert [item["suppressions"][0]["justification"] for item in log] == ["agreed (keys, until 9999-12-31)"] * 2
    assert access(*ask, "--format", "baseline").stdout == file.read_text()
    shop.write_text(shop.read_text().replace('"kms:*"', '"kms:De*"'))
    changed = access(*ask)
    assert (changed.exit_code, changed.stderr.count("baseline: stale, ")) == (1, 2)
    assert "WildcardOnKey: one/Key" in changed.stderr
    assert "--baseline needs --fail-on" in access("report", shop, "--baseline", file).stderr
