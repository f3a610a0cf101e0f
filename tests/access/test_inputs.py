"""Inputs of every kind, and what of them is listed as not read."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.escalation.allowed_methods import concerns
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import compare
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import ALONE, Model
from kms_patterns.access.project import checked_out
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, NotAnAssembly, load_assembly
from kms_patterns.access.read.not_read import other_statements
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.read.template import Template
from kms_patterns.access.report.difference_text import difference_as_text
from kms_patterns.access.report.wording import in_words
from kms_patterns.access.sources import Sources
from kms_patterns.access.templates.reading import Given
from kms_patterns.access.templates.template_text import NotATemplate, template_of
from kms_patterns.toolchain import SIMULATOR, find_simulator

ROOT = Path(__file__).parents[2]
KEY = """
  Key:
    Type: AWS::KMS::Key
    Properties:
      KeyPolicy:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub 'arn:${AWS::Partition}:iam::${AWS::AccountId}:root'}
            Action: kms:*
            Resource: '*'
"""
ROLE = """
  Reader:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: sts:AssumeRole}]
      Policies:
        - PolicyName: read
          PolicyDocument:
            Version: 2012-10-17
            Statement: [{Effect: Allow, Action: kms:Decrypt, Resource: !GetAtt Key.Arn}]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to_file(text: str | Mapping[str, Any], name: str = "one.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    return to_file


def notes(model: Model) -> set[tuple[str, str, str]]:
    return {(item.where, item.what, item.why) for item in model.unresolved}


def readers(path: Path, given: Given | None = None) -> dict[str, list[str]]:
    """Which roles have which statements' actions."""
    roles = [who for who in read_model(path, given).principals if who.stack]
    return {
        who.id: sorted(
            {
                action
                for policy in who.identity
                for statement in _list(policy.document["Statement"])
                for action in _list(statement["Action"])
            }
        )
        for who in roles
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_yaml_with_short_tags_reads_as_the_same_template_in_json(write: Callable[..., Path]) -> None:
    path = write(f"Resources:{KEY}{ROLE}")
    plain = write(template_of(path), "two/one.json")
    assert template_of(path)["Resources"]["Reader"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0][
        "Resource"
    ] == {"Fn::GetAtt": ["Key", "Arn"]}
    matrices = [AccessMatrix.from_assembly(item, project=ROOT) for item in (path, plain)]
    assert matrices[0] == matrices[1]
    assert [entry.action for entry in matrices[0].of(principal="one/Reader", resource="one/Key")] == ["kms:Decrypt"]


def test_null_sections_and_properties_are_empty(write: Callable[..., Path]) -> None:
    path = write('{"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": null}}, "Outputs": null}', "one.json")
    assert [resource.id for resource in read_model(path).resources] == ["one/B"]


def test_folder_of_templates_is_read_together(write: Callable[..., Path], tmp_path: Path) -> None:
    exported = f"Resources:{KEY}Outputs: {{Arn: {{Value: !GetAtt Key.Arn, Export: {{Name: the-key}}}}}}"
    write(exported, "keys.yaml")
    write(f"Resources:{ROLE.replace('!GetAtt Key.Arn', '!ImportValue the-key')}", "roles.yml")
    write({"name": "not a template"}, "package.json")
    write({"Resources": {"B": {"Type": "AWS::S3::Bucket"}}}, "data/buckets.json")
    write({"Resources": {"B": {"Type": "AWS::S3::Bucket"}}}, ".cache/not-read.json")
    matrix = AccessMatrix.from_assembly(tmp_path, project=ROOT)
    assert matrix.stacks == ["buckets", "keys", "roles"]
    assert [entry.action for entry in matrix.of(principal="roles/Reader", resource="keys/Key")] == ["kms:Decrypt"]
    assert not matrix.unresolved


def test_templates_of_one_name_are_told_apart(write: Callable[..., Path]) -> None:
    paths = [write(f"Resources:{KEY}", f"{folder}/template.yaml") for folder in ("dev", "prod")]
    assert [stack.id for stack in load_assembly(paths)] == ["dev/template.yaml", "prod/template.yaml"]


def test_nested_template_is_found_by_its_path_and_read_once(write: Callable[..., Path], tmp_path: Path) -> None:
    write(f"Parameters: {{P: {{Type: String}}}}\nResources:{KEY}", "child.yaml")
    write("Resources: {C: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: child.yaml}}}", "parent.yaml")
    write("Resources: {S: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: itself.yaml}}}", "itself.yaml")
    assert [stack.id for stack in load_assembly(tmp_path)] == ["itself", "parent", "parent/C"]


SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters: {Key: {Type: String, Default: 1234}}
Globals: {Function: {Runtime: python3.13, CodeUri: src/}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Policies: [POLICY]}
"""


@pytest.mark.parametrize(
    ("policy", "actions"),
    [
        ("{KMSDecryptPolicy: {KeyId: !Ref Key}}", ["kms:Decrypt"]),
        ("{Statement: {Effect: Allow, Action: 'kms:Sign', Resource: '*'}}", ["kms:Sign"]),
        ("{S3ReadPolicy: {BucketName: b}}", ["s3:GetObject", "s3:ListBucket"]),
    ],
)
def test_sam_is_translated_offline(write: Callable[..., Path], policy: str, actions: list[str]) -> None:
    path = write(SAM.replace("POLICY", policy))
    assert set(actions) <= set(readers(path)["one/FRole"])
    found = notes(read_model(path))
    assert not [note for note in found if "transform" in note[1]]
    assumed = ("one", "Ref Key", "the parameter's default is assumed: 1234")
    assert (assumed in found) == ("Ref Key" in policy)


def test_refused_sam_names_file_and_resource(write: Callable[..., Path]) -> None:
    with pytest.raises(NotATemplate, match=r"one\.yaml: the SAM translator refuses it: Resource with id \[F\]"):
        load_assembly(write(SAM.replace("POLICY", "{KMSDecryptPolicy: {}}")))


LOOP = f"""
Transform: AWS::LanguageExtensions
Parameters: {{Names: {{Type: CommaDelimitedList, Default: 'a, b'}}, Unknown: {{Type: CommaDelimitedList}}}}
Mappings: {{M: {{Names: {{All: [a, b]}}}}}}
Resources:{KEY}  Fn::ForEach::Roles:
    - N
    - COLLECTION
    - R${{N}}:
        Type: AWS::IAM::Role
        Properties:
          Policies:
            - PolicyName: !Ref N
              PolicyDocument: {{Statement: [{{Effect: Allow, Action: 'kms:${{N}}', Resource: '*'}}]}}
"""


@pytest.mark.parametrize("collection", ["[a, b]", "!Ref Names", "!FindInMap [M, Names, All]", "!Split [',', 'a,b']"])
def test_loop_is_expanded(write: Callable[..., Path], collection: str) -> None:
    path = write(LOOP.replace("COLLECTION", collection))
    assert readers(path) == {"one/Ra": ["kms:a"], "one/Rb": ["kms:b"]}
    assert (("one", "Ref Names", "the parameter's default is assumed: ['a', 'b']") in notes(read_model(path))) is False
    assumed = [what for _, what, why in notes(read_model(path)) if "default is assumed" in why]
    assert assumed == (["Ref Names"] if "Ref" in collection else [])


def test_loop_whose_collection_is_not_known_is_said_at_its_place(write: Callable[..., Path]) -> None:
    path = write(LOOP.replace("COLLECTION", "!Ref Unknown"))
    assert readers(path) == {}
    why = "Ref Unknown is known after deployment only"
    assert ("one/Fn::ForEach::Roles", "resources of a loop", why) in notes(read_model(path))
    assert set(readers(path, Given({"Unknown": "x"}))) == {"one/Rx"}


def test_loops_nest_and_reach_properties_and_names(write: Callable[..., Path]) -> None:
    body = "{'&{N}${M}': {Type: 'Custom::T', Properties: {A: !GetAtt [!Sub 'K${N}', Arn]}}}"
    loops = f"{{'Fn::ForEach::Out': [N, [1, b-c], {{'Fn::ForEach::In': [M, [X, Y], {body}]}}]}}"
    path = write(f"Transform: AWS::LanguageExtensions\nResources: {loops}")
    found = load_assembly(path)[0].resources
    assert sorted(found) == ["1X", "1Y", "bcX", "bcY"]
    assert found["bcY"]["Properties"] == {"A": {"Fn::GetAtt": ["Kb-c", "Arn"]}}


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        ("[N, [a]]", "is not [identifier, collection, {key: value}]"),
        ("[N, [a, b], {R: {Type: X}}]", "makes R a second time: its name lacks ${N}"),
    ],
)
def test_malformed_loop_is_an_error(write: Callable[..., Path], loop: str, message: str) -> None:
    with pytest.raises(NotATemplate) as error:
        load_assembly(write(f"Transform: AWS::LanguageExtensions\nResources: {{'Fn::ForEach::L': {loop}}}"))
    assert message in str(error.value)


def test_unknown_macro_is_said_at_every_resource_it_may_change(write: Callable[..., Path]) -> None:
    inner = "  Include: {Type: AWS::IAM::Role, Properties: {'Fn::Transform': {Name: AWS::Include}}}\n"
    found = notes(read_model(write(f"Resources:{KEY}{inner}")))
    why = "made by a transform that is not read"
    assert {item for item in found if item[2] == why} == {("one/Include", "transform AWS::Include", why)}
    found = notes(read_model(write(f"Transform: [MyMacro]\nResources:{KEY}  Made: {{Type: Thing}}\n")))
    assert {item for item in found if item[2] == why} == {
        ("one/Key", "transform MyMacro", why),
        ("one/Made", "transform MyMacro", why),
    }


def test_parameter_is_given_for_all_or_for_one_stack(write: Callable[..., Path]) -> None:
    text = "Parameters: {A: {Type: String, Default: sign, AllowedValues: [sign, verify]}}\nResources:" + ROLE
    path = write(text.replace("kms:Decrypt", "!Sub 'kms:${A}'"))
    assert readers(path) == {"one/Reader": ["kms:sign"]}
    assert readers(path, Given({"A": "verify"})) == {"one/Reader": ["kms:verify"]}
    assert readers(path, Given({"A": "sign", "one:A": "verify"})) == {"one/Reader": ["kms:verify"]}
    with pytest.raises(NotATemplate, match=r"parameter A is 'other', the template allows \['sign', 'verify'\]"):
        load_assembly(path, Given({"A": "other"}))
    with pytest.raises(NotAnAssembly, match="no template declares the parameter B; declared: A, one:A"):
        load_assembly(path, Given({"B": "x"}))


def test_account_and_region_are_given_to_agnostic_stacks(write: Callable[..., Path]) -> None:
    key = read_model(write(f"Resources:{KEY}"), Given({}, "123456789012", "eu-west-1")).resources[0]
    assert key.arn.startswith("arn:aws:kms:eu-west-1:123456789012:key/")


@pytest.mark.parametrize(
    ("kind", "listed", "not_listed"),
    [
        ("AWS::Lambda::Function", {"Role": "P"}, {"Runtime": "Q", "Environment": "R"}),
        ("AWS::S3::Bucket", {"BucketName": "P"}, {"CorsConfiguration": "Q", "Tags": "R"}),
        ("AWS::IAM::Role", {"RoleName": "P"}, {"Description": "Q", "MaxSessionDuration": "R"}),
        ("AWS::KMS::Key", {"KeyPolicy": "P"}, {"Description": "Q", "PendingWindowInDays": "R"}),
    ],
)
def test_only_what_says_anything_of_access_is_resolved(
    kind: str, listed: dict[str, str], not_listed: dict[str, str], write: Callable[..., Path]
) -> None:
    properties = {name: {"Ref": parameter} for name, parameter in (listed | not_listed).items()}
    parameters = {name: {"Type": "String"} for name in "PQR"}
    path = write({"Parameters": parameters, "Resources": {"A": {"Type": kind, "Properties": properties}}}, "one.json")
    whats = {what for _, what, _ in notes(read_model(path))}
    assert any("P" in what for what in whats)
    assert not any(what in {"Ref Q", "Ref R", "parameter Q", "parameter R"} for what in whats)


DECRYPT = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
TRUSTED_BY_EC2 = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [TRUST]}}}
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "documents"}}
OPEN = {"Ref": "Open"}
SAME = ("account administrator", "any other role", "role without any policy")
"""Of this account: which may be the one that a policy names."""
ELSEWHERE = "arn:aws:iam::999999999999:role/x"
OPS = ("arn:aws:iam::<account>:role/x", "arn:aws:iam::<account>:role/x by this policy alone")

Build = Callable[..., AccessMatrix]


@pytest.fixture
def build(running: Simulator, tmp_path: Path) -> Build:
    def evaluate(**resources: Any) -> AccessMatrix:
        path = tmp_path / "Stack.template.json"
        document = {
            "Parameters": {"Open": {"Type": "String"}},
            "Conditions": {"Strict": {"Fn::Equals": [{"Ref": "Open"}, "x"]}},
            "Mappings": {"Calls": {"made": {"policy": PUT_KEY_POLICY}}},
        }
        path.write_text(json.dumps({**document, "Resources": resources}))
        return build_with(read_model(path), running)

    return evaluate


def key(*statements: Any) -> dict[str, Any]:
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": list(statements)}}}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def custom_call(name: str) -> dict[str, Any]:
    return resource("Custom::AWS", Create=json.dumps({"service": "KMS", "action": name}))


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (resource("AWS::S3::AccessPoint", Bucket="documents"), "AWS::S3::AccessPoint"),
        (resource("AWS::S3::AccessGrant"), "AWS::S3::AccessGrant"),
        (resource("AWS::Organizations::Policy"), "AWS::Organizations::Policy"),
        (resource("AWS::KMS::Grant"), "AWS::KMS::Grant"),
        (resource("AWS::Serverless::Function"), "AWS::Serverless::Function"),
        (resource("Company::IAM::Role::MODULE"), "Company::IAM::Role::MODULE"),
        (custom_call("createGrant"), "call of createGrant"),
        (custom_call("PutKeyPolicyCommand"), "call of putKeyPolicy"),
        (resource("AWS::IAM::User", Groups=["staff"]), "its group staff"),
        (resource("AWS::IAM::Policy", Groups=["staff"], PolicyDocument={"Statement": [DECRYPT]}), "its users"),
        (resource("AWS::S3::BucketPolicy", Bucket="others", PolicyDocument={}), "policy of bucket others"),
        (resource("AWS::Lambda::Permission", FunctionName="f", Principal="*", Action="*"), "permission of function f"),
        (resource("AWS::IAM::ManagedPolicy", PolicyDocument=OPEN), "its policy"),
        (resource("AWS::KMS::Key", KeyPolicy=OPEN), "its policy"),
        (key(DECRYPT | {"Principal": "*"}, OPEN), "a statement of its policy"),
        (key(DECRYPT | {"Principal": "*", "Condition": OPEN}), "Condition of a statement"),
        (key(DECRYPT | {"Principal": {"AWS": "AROAEXAMPLE"}}), "principal AWS AROAEXAMPLE"),
        (key(DECRYPT | {"Principal": {"CanonicalUser": "79a5"}}), "principal CanonicalUser 79a5"),
    ],
)
def test_what_is_not_evaluated_is_listed(found: dict[str, Any], what: str, build: Build) -> None:
    assert what in [item.what for item in build(Found=found, Key=key()).unresolved]


PUT_KEY_POLICY = json.dumps({"service": "KMS", "action": "putKeyPolicy", "parameters": {"KeyId": "x"}})
GRANTED = {"KeyId": {"Ref": "Key"}, "GranteePrincipal": "arn:aws:iam::999999999999:role/x", "Operations": ["Decrypt"]}


@pytest.mark.parametrize(
    ("custom", "who"),
    [
        (resource("Custom::AWS", Create={"Fn::If": ["Strict", "{}", PUT_KEY_POLICY]}), "anyone outside"),
        (resource("Custom::AWS", Create={"Fn::If": ["Strict", PUT_KEY_POLICY, "{}"]}), "anyone outside"),
        (resource("Custom::AWS", Update={"Fn::FindInMap": ["Calls", "made", OPEN]}), "anyone outside"),
        (resource("Custom::KmsGrant", Grant={"Fn::If": ["Strict", {}, GRANTED]}), GRANTED["GranteePrincipal"]),
        (resource("Custom::KmsGrant", Grant={"Fn::If": ["Strict", GRANTED, {}]}), GRANTED["GranteePrincipal"]),
    ],
)
def test_custom_resource_is_read_in_each_way_of_a_condition(custom: dict[str, Any], who: str, build: Build) -> None:
    found = build(Key=key(), Custom=custom)
    assert who in {entry.principal for entry in found.entries if entry.action == "kms:Decrypt"}


@pytest.mark.parametrize(
    ("provider", "noted"), [("AWS679f53fac002430cb0da5b7982bd22872D164C4C", []), ("Other", ["call of addPermission"])]
)
def test_call_that_is_read_in_full_is_not_listed(provider: str, noted: list[str], build: Build) -> None:
    parameters = {"FunctionName": "f:live", "Principal": "999999999999", "Action": "lambda:InvokeFunction"}
    made = json.dumps({"service": "Lambda", "action": "addPermission", "parameters": parameters})
    found = build(
        Function=resource("AWS::Lambda::Function", FunctionName="f"),
        Call=resource("Custom::AWS", Create=made, ServiceToken={"Fn::GetAtt": [provider, "Arn"]}),
    )
    assert [item.what for item in found.unresolved if item.what.startswith("call of")] == noted
    when = [in_words(item.condition) for item in found.entries if item.principal == "account 999999999999"]
    assert when == ([] if noted else ["version or alias live"])


ROLE_X = "arn:aws:iam::999999999999:role/x"
SESSION = "arn:aws:sts::999999999999:assumed-role/x/build"
NAMED_X = {**TRUSTED_BY_EC2, "Properties": {**TRUSTED_BY_EC2["Properties"], "RoleName": "x"}}


@pytest.mark.parametrize(
    ("session", "denied_unless", "others", "expected"),
    [
        (SESSION, {"ArnNotEquals": {"aws:PrincipalArn": ROLE_X}}, {}, {SESSION}),
        (SESSION, {"StringNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*/x"}}, {}, {SESSION}),
        (SESSION, {}, {"R": NAMED_X}, {SESSION, "Stack/R"}),
        (
            {"Fn::Sub": "arn:aws:sts::${AWS::AccountId}:assumed-role/${Open}/build"},
            {},
            {"R": NAMED_X},
            {"Stack/R", *(f"arn:aws:sts::<account>:assumed-role/<Open>/build{how}" for how in ("", f" {ALONE}"))},
        ),
    ],
)
def test_session_is_listed_and_its_role_where_it_may_be_one_of_these(
    session: object, denied_unless: dict[str, Any], others: dict[str, Any], expected: set[str], build: Build
) -> None:
    denied = DECRYPT | {"Effect": "Deny", "Principal": "*", "Condition": denied_unless}
    statements = [DECRYPT | {"Principal": {"AWS": session}}, *([denied] if denied_unless else [])]
    found = build(Key=key(*statements), **others)
    assert expected <= {entry.principal for entry in found.entries if entry.action == "kms:Decrypt"}


def test_resources_of_one_construct_path_are_told_apart(build: Build) -> None:
    outsider = DECRYPT | {"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}
    both = {"A": key(outsider), "B": key()}
    for name, path in (("A", "Stack/Key/Resource"), ("B", "Stack/Key")):
        both[name]["Metadata"] = {"aws:cdk:path": path}
    found = build(**both)
    assert [what.id for what in found.resources] == ["Stack/Key (A)", "Stack/Key (B)"]
    assert [item.resource for item in found.of(principal="account 999999999999")] == ["Stack/Key (A)"]


def test_path_of_a_nested_resource_is_not_taken_by_another(write: Callable[..., Path]) -> None:
    taken = {**key(), "Metadata": {"aws:cdk:path": "parent/C/Key"}}
    write({"Resources": {"Key": key()}}, "child.json")
    nested = resource("AWS::CloudFormation::Stack", TemplateURL="child.json")
    with pytest.raises(NotAnAssembly, match="parent/C/Key is the construct path of two resources"):
        load_assembly(write({"Resources": {"C": nested, "Other": taken}}, "parent.json"))


def test_loop_without_its_transform_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "Stack.template.json"
    loop = ["Name", ["a", "b"], {"Role${Name}": TRUSTED_BY_EC2}]
    path.write_text(json.dumps({"Resources": {"Key": key(), "Fn::ForEach::Roles": loop}}))
    assert {(item.where, item.why) for item in read_model(path).unresolved} == {
        ("Stack/Fn::ForEach::Roles", "made by a transform that is not read")
    }


def test_policy_as_json_text_is_read(build: Build) -> None:
    text = json.dumps({"Statement": [DECRYPT | {"Principal": "*"}]})
    found = build(Key=resource("AWS::KMS::Key", KeyPolicy=text))
    assert "anyone outside" in {entry.principal for entry in found.entries}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"StringEquals": {"kms:CallerAccount": "999999999999"}}, {"account 999999999999", *SAME}),
        (
            {"StringEquals": {"aws:PrincipalAccount": ["999999999999", "777777777777"]}},
            {"account 999999999999", "account 777777777777", *SAME},
        ),
        ({"StringLike": {"aws:PrincipalAccount": "9999*"}}, {"account 9999*", *SAME}),
        ({"StringEquals": {"aws:PrincipalServiceName": "backup.amazonaws.com"}}, {"backup.amazonaws.com"}),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, {"any-service.amazonaws.com"}),
        (
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/App*"}},
            {"role/App*", "role/App* by this policy alone", "arn:aws:iam::*:role/App*"},
        ),
        ({"ArnLike": {"aws:PrincipalArn": ELSEWHERE}}, {ELSEWHERE, "role/x if <account> is 999999999999"}),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/x"}}, set(OPS)),
        ({"StringNotEquals": {"kms:CallerAccount": UNKNOWN_ACCOUNT}}, {"anyone outside"}),
    ],
)
def test_everybody_whom_a_condition_lets_in_is_shown(condition: Any, expected: set[str], build: Build) -> None:
    found = build(Key=key(DECRYPT | {"Principal": "*", "Condition": condition}))
    assert {entry.principal for entry in found.entries if entry.action == "kms:Decrypt"} == expected


def test_provider_without_an_arn_assumes_its_role(build: Build) -> None:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity"}
    trust = {"Statement": [allow | {"Principal": {"Federated": "cognito-identity.amazonaws.com"}}]}
    found = build(Role=resource("AWS::IAM::Role", AssumeRolePolicyDocument=trust))
    assert "Federated cognito-identity.amazonaws.com" in {entry.principal for entry in found.entries}


ANYONE = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]}
EITHER = {"Fn::If": ["Strict", {"Ref": "AWS::NoValue"}, ANYONE["Statement"][0]]}
PUT = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}


@pytest.mark.parametrize(
    ("added", "place", "said"),
    [
        (resource("AWS::SQS::QueuePolicy", PolicyDocument=ANYONE), "Added for other services", "sqs:*"),
        (
            resource("AWS::SNS::TopicPolicy", PolicyDocument={"Statement": [EITHER]}),
            "Added for other services",
            "sqs:*",
        ),
        (resource("AWS::ECR::Repository", RepositoryPolicyText=ANYONE), "Added for other services", "sqs:*"),
        (resource("AWS::SSO::PermissionSet", InlinePolicy=json.dumps(ANYONE)), "Added for other services", "sqs:*"),
        (
            resource("AWS::IAM::Role", Policies=[{"PolicyName": "p", "PolicyDocument": {"Statement": [PUT]}}]),
            "Added for other services",
            "PutItem",
        ),
        (resource("AWS::IAM::Role", ManagedPolicyArns=["arn:aws:x"]), "Added attachments", "arn:aws:x"),
        (resource("AWS::IAM::Policy", PolicyDocument={}, Roles=["other"]), "Added attachments", "other"),
    ],
)
def test_statement_about_another_service_is_part_of_a_comparison(
    added: dict[str, Any], place: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "S.json"
    conditions = {"Strict": {"Fn::Equals": [{"Ref": "AWS::Region"}, "x"]}}
    path.write_text(json.dumps({"Conditions": conditions, "Resources": {"Added": added}}))
    template = Template(load_assembly(path))
    found = [(where, json.dumps(it)) for where, _, it in other_statements(template, [], concerns)]
    assert [said in text for where, text in found if where == f"S/{place}"] == [True]


def test_simulator_beside_the_tool_comes_before_that_of_a_branch(tmp_path: Path) -> None:
    planted, ours = (root / "node_modules" / SIMULATOR for root in (tmp_path, ROOT))
    planted.mkdir(parents=True)
    shutil.copy(ours / "package.json", planted)
    assert find_simulator(tmp_path) == ours


def test_revision_is_read_in_a_hook_and_the_index_of_its_commit_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        told = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-C", str(tmp_path), *words]
        return subprocess.run(told, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    for text in ("one", "two"):
        (tmp_path / "file").write_text(text)
        git("add", "file")
        git("commit", "-q", "-m", text)
    (tmp_path / "more").touch()
    git("add", "more")
    before = git("ls-files", "-s")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / ".git" / "index"))
    with checked_out("HEAD~1", tmp_path) as place:
        assert (place / "file").read_text() == "one"
    assert (git("ls-files", "-s"), git("symbolic-ref", "HEAD")) == (before, f"refs/heads/{git('branch').split()[-1]}\n")


def manifest(folder: Path, artifact: object, **beside: str) -> Path:
    """An assembly of one artifact in ``folder``, and what lies beside it."""
    for name, text in {"S.json": "Resources: {}", **beside}.items():
        (folder / name).write_text(text)
    (folder / "manifest.json").write_text(json.dumps({"artifacts": {"S": artifact}}))
    return folder


def stack_in(file: str) -> dict[str, Any]:
    environment, properties = "aws://111122223333/eu-west-1", {"templateFile": file}
    return {"type": "aws:cloudformation:stack", "environment": environment, "properties": properties}


@pytest.mark.parametrize("artifact", [
    stack_in("../secrets.yaml"), stack_in("/dev/zero"), stack_in("link.json"), stack_in("nested.yaml"),
    {**stack_in("S.json"), "additionalMetadataFile": "../secrets.yaml"},
    {"type": "cdk:cloud-assembly", "properties": {"directoryName": ".."}},
])  # fmt: skip
def test_assembly_reads_nothing_outside_its_folder(tmp_path: Path, artifact: object) -> None:
    outside = tmp_path / "secrets.yaml"
    outside.write_text("Resources: {}")
    assembly = tmp_path / "cdk.out"
    assembly.mkdir()
    (assembly / "link.json").symlink_to(outside)
    nested = "Resources: {N: {Type: AWS::CloudFormation::Stack, Metadata: {'aws:asset:path': ../secrets.yaml}}}"
    assert load_assembly(manifest(assembly, stack_in("S.json")))
    with pytest.raises(NotATemplate, match="leads out of"):
        load_assembly(manifest(assembly, artifact, **{"nested.yaml": nested}))


@pytest.mark.parametrize("artifact", [
    {}, "text", None, {**stack_in("S.json"), "environment": "nowhere"}, {**stack_in("S.json"), "metadata": {"/S": "x"}},
    {"type": "aws:cloudformation:stack"}, {**stack_in("S.json"), "additionalMetadataFile": "broken"},
])  # fmt: skip
def test_assembly_of_another_shape_is_an_error_of_one_line(tmp_path: Path, artifact: object) -> None:
    with pytest.raises(NotAnAssembly, match=r"\A[^\n]* is not as the CDK writes it: [^\n]*\Z"):
        load_assembly(manifest(tmp_path, artifact, broken="{"))


def test_error_quotes_nothing_of_a_file_that_is_not_a_template(write: Callable[..., Path]) -> None:
    for text in ("[default]\naws_secret_access_key = hidden", "token: 'hidden'\n  more: 1"):
        with pytest.raises(NotATemplate) as refused:
            template_of(write(text))
        assert "hidden" not in str(refused.value)
        assert "line " in str(refused.value)


@pytest.mark.parametrize(
    ("places", "paired"),
    [
        (("aws://111111111111/eu-west-1", "aws://222222222222/eu-west-1"), {}),
        (("aws://111111111111/eu-west-1", "aws://111111111111/us-east-1"), {}),
        (("aws://111111111111/eu-west-2", "aws://111111111111/eu-west-2"), {"Dev": "Prod"}),
    ],
)
def test_stacks_of_two_accounts_or_regions_are_not_one(places: Any, paired: Any, write: Callable[..., Path]) -> None:
    def side(folder: str, environment: str, name: str = "Dev") -> str:
        write({"Resources": {"K": key(), "R": resource("AWS::IAM::Role")}}, f"{folder}/S.json")
        of = {name: environment, "X": "aws://111111111111/eu-west-1"}
        artifacts = {
            stack: {"type": "aws:cloudformation:stack", "environment": where, "properties": {"templateFile": "S.json"}}
            for stack, where in of.items()
        }
        return str(write({"version": "38.0.0", "artifacts": artifacts}, f"{folder}/manifest.json").parent)

    old, new, moved = side("old", places[0]), side("new", places[1], "Prod"), side("moved", places[1])
    assert Sources(ROOT).pair(old, new)[1].paired == paired
    found = compare(*Sources(ROOT).pair(old, moved))
    assert found.widens is not bool(paired)
    assert ("to {1} of account {0}:".format(*places[1][6:].split("/")) in difference_as_text(found)) is not bool(paired)
