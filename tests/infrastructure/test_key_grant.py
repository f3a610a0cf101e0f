"""KMS grants as resources: exact operations, one grantee, revoked with the stack, made by nobody else."""

import json
from collections import defaultdict

import aws_cdk as cdk
import pytest
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk import custom_resources as cr

from kms_patterns import EncryptionKey, KeyAccess, KeyGrant, SigningKey
from kms_patterns.keys.errors import GrantRefused
from tests.infrastructure.test_deliveries import statements_of


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def partner(stack):
    return iam.Role.from_role_arn(stack, "Partner", "arn:aws:iam::444455556666:role/partner")


def of_type(template, kind):
    return [item for item in template["Resources"].values() if item["Type"] == kind]


def test_grant_is_a_custom_resource_with_the_request_of_create_grant(stack, key, partner, synth):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt", "DescribeKey"],
             encryption_context_subset={"tenant": "a"}, retiring_principal=partner, name="partner")  # fmt: skip

    (grant,) = of_type(synth(stack), "Custom::KmsGrant")
    assert grant["Properties"]["Grant"] == {
        "KeyId": stack.resolve(key.key_arn),
        "GranteePrincipal": "arn:aws:iam::444455556666:role/partner",
        "Operations": ["Decrypt", "DescribeKey"],
        "Name": "partner",
        "Constraints": {"EncryptionContextSubset": {"tenant": "a"}},
        "RetiringPrincipal": "arn:aws:iam::444455556666:role/partner",
    }


def test_only_the_maker_may_create_grants_and_only_this_one(stack, key, partner, synth, key_statements):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"])

    template = synth(stack)
    (minting,) = [it for it in key_statements(template) if it["Action"] == "kms:CreateGrant"]
    maker = minting["Condition"]["ArnEquals"]["aws:PrincipalArn"]
    assert minting["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": maker},
        "ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]},
        "StringEquals": {"kms:GranteePrincipal": "arn:aws:iam::444455556666:role/partner"},
    }
    (found,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    denial = next(
        it for it in found["Properties"]["KeyPolicy"]["Statement"] if it["Sid"] == "DenyCreateGrantExceptForAwsServices"
    )
    assert denial["Condition"]["ArnNotEquals"] == {"aws:PrincipalArn": [maker]}
    assert "GrantMakerRole" in str(maker)


def made_grants(template):
    """Return key, operations and grantee of every statement by which the maker's role may create grants."""
    return [
        (statement["Resource"], *[next(iter(block.values())) for block in statement["Condition"].values()])
        for policy in of_type(template, "AWS::IAM::Policy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "kms:CreateGrant"
    ]


def test_grants_of_one_stack_share_a_maker_and_each_is_allowed_exactly(stack, key, partner, synth):
    other, role = EncryptionKey(stack, "Other"), iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal())
    KeyGrant(stack, "One", key=key, grantee=partner, operations=["Decrypt"])
    KeyGrant(stack, "Two", key=key, grantee=role, operations=["Encrypt"])
    KeyGrant(stack, "Three", key=other, grantee=role, operations=["Decrypt"])

    template = synth(stack)
    (function,) = of_type(template, "AWS::Lambda::Function")
    assert len({str(grant["Properties"]["ServiceToken"]) for grant in of_type(template, "Custom::KmsGrant")}) == 1
    partner_arn, role_arn = "arn:aws:iam::444455556666:role/partner", stack.resolve(role.role_arn)
    assert made_grants(template) == [
        (stack.resolve(key.key_arn), ["Decrypt"], partner_arn),
        (stack.resolve(key.key_arn), ["Encrypt"], role_arn),
        (stack.resolve(other.key_arn), ["Decrypt"], role_arn),
    ]
    for found in of_type(template, "AWS::KMS::Key"):
        denial = found["Properties"]["KeyPolicy"]["Statement"][1]
        assert denial["Condition"]["ArnNotEquals"] == {"aws:PrincipalArn": [function["Properties"]["Role"]]}


@pytest.mark.parametrize("grant_first", [True, False])
def test_custom_resource_of_the_app_keeps_its_own_role(grant_first, stack, key, partner, synth):
    def own():
        call = cr.AwsSdkCall(service="S3", action="listBuckets", physical_resource_id=cr.PhysicalResourceId.of("x"))
        statement = iam.PolicyStatement(actions=["s3:ListAllMyBuckets"], resources=["*"])
        policy = cr.AwsCustomResourcePolicy.from_statements([statement])
        cr.AwsCustomResource(stack, "Own", on_update=call, policy=policy)

    if not grant_first:
        own()
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"])
    if grant_first:
        own()

    template = synth(stack)
    assert len({str(found["Properties"]["Role"]) for found in of_type(template, "AWS::Lambda::Function")}) == 2
    allowed = defaultdict(set)
    for policy in of_type(template, "AWS::IAM::Policy"):
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            names = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            allowed[str(policy["Properties"]["Roles"])] |= {name for name in names if not name.startswith("logs:")}
    assert sorted(allowed.values(), key=len) == [{"s3:ListAllMyBuckets"}, {"kms:CreateGrant", "kms:RevokeGrant"}]


def test_permission_to_revoke_outlives_its_grant(stack, key, partner, synth):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"])

    template = synth(stack)
    (grant,) = of_type(template, "Custom::KmsGrant")
    revoking = {
        logical_id
        for logical_id, item in template["Resources"].items()
        if item["Type"] == "AWS::IAM::Policy" and "kms:RevokeGrant" in str(item)
    }
    assert len(revoking) == 1
    assert "kms:CreateGrant" not in str(template["Resources"][next(iter(revoking))])
    assert revoking <= set(grant["DependsOn"])


def test_no_wildcard_in_what_the_maker_may_do(stack, key, partner, synth):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"])

    statements = [
        statement
        for item in synth(stack)["Resources"].values()
        if item["Type"] == "AWS::IAM::Policy"
        for statement in item["Properties"]["PolicyDocument"]["Statement"]
    ]
    (logs,) = [statement for statement in statements if "logs:" in str(statement["Action"])]
    grants = [statement for statement in statements if statement is not logs]
    assert logs["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert "KmsPatternsGrantMakerLogs" in str(logs["Resource"])
    assert sorted(statement["Action"] for statement in grants) == ["kms:CreateGrant", "kms:RevokeGrant"]
    assert all(statement["Resource"] == stack.resolve(key.key_arn) for statement in grants)


@pytest.mark.parametrize("operations", [[], ["Sign"], ["Decrypt", "CreateGrant"], ["kms:Decrypt"]])
def test_operations_that_a_grant_on_this_key_cannot_hold_are_refused(operations, stack, key, partner):
    with pytest.raises(GrantRefused, match="may hold Decrypt, DescribeKey, Encrypt"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=operations)


def test_two_kinds_of_constraint_are_refused(stack, key, partner):
    with pytest.raises(GrantRefused, match="not both"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"],
                 encryption_context_subset={"a": "b"}, encryption_context_equals={"a": "b"})  # fmt: skip


def test_constraint_on_a_key_without_encryption_context_is_refused(stack, partner):
    with pytest.raises(GrantRefused, match="only symmetric keys have an encryption context"):
        KeyGrant(stack, "Grant", key=SigningKey(stack, "Key"), grantee=partner, operations=["Sign"],
                 encryption_context_subset={"a": "b"})  # fmt: skip


@pytest.mark.parametrize("name", ["", "with space", "x" * 257])
def test_name_that_kms_would_refuse_is_refused(name, stack, key, partner):
    with pytest.raises(GrantRefused, match="KMS takes 1 to 256 letters"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"], name=name)


@pytest.mark.parametrize("other", ["bus", "queue"])
def test_event_bus_is_served_beside_what_else_events_reach(other, stack):
    key = EncryptionKey(stack, "Key")
    if other == "bus":
        events.EventBus(stack, "Other", event_bus_name="others", kms_key=key)
    else:
        queue = sqs.Queue(stack, "Queue", encryption_master_key=key)
        every_hour = events.Schedule.rate(cdk.Duration.hours(1))
        events.Rule(stack, "Rule", schedule=every_hour, targets=[targets.SqsQueue(queue)])
    events.CfnEventBus(stack, "Bus", name="orders", kms_key_identifier=key.key_arn)

    found = statements_of(stack, "events.amazonaws.com")
    assert ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"] in [
        it["Action"] for it in found if "aws:SourceArn" not in json.dumps(it["Condition"])
    ]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("perimeter", "grantee"),
    [
        ("111122223333", iam.AccountPrincipal("444455556666")),
        ("o-a1b2c3d4e5", iam.OrganizationPrincipal("o-b1b2c3d4e5")),
    ],
)
def test_account_or_organization_outside_of_the_perimeter_is_refused(perimeter, grantee, stack):
    key = EncryptionKey(stack, "Key", perimeter=perimeter, access=KeyAccess.DELEGATED)

    with pytest.raises(GrantRefused, match="outside of the key's perimeter"):
        key.grant_decrypt(grantee)


def test_grantee_outside_of_the_perimeter_or_with_a_wildcard_is_refused(stack):
    elsewhere = iam.Role.from_role_arn(stack, "Elsewhere", "arn:aws:iam::444455556666:role/orders")
    several = iam.Role.from_role_arn(stack, "Several", "arn:aws:iam::111122223333:role/*")
    key = EncryptionKey(stack, "Key", perimeter="111122223333")

    with pytest.raises(GrantRefused, match="outside of the key's perimeter"):
        KeyGrant(stack, "Outside", key=key, grantee=elsewhere, operations=["Decrypt"])
    with pytest.raises(GrantRefused, match="exactly one role or user"):
        KeyGrant(stack, "Wide", key=key, grantee=several, operations=["Decrypt"])


def test_grant_of_another_stack_is_made_by_the_function_of_the_keys_stack(app, stack, key, role, synth):
    other = cdk.Stack(app, "Other", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    KeyGrant(other, "Grant", key=key, grantee=role("Orders", other, role_name="orders"), operations=["Decrypt"])

    template = synth(other)
    (grant,) = of_type(template, "Custom::KmsGrant")
    (revoking,) = of_type(template, "AWS::IAM::Policy")
    assert of_type(template, "AWS::Lambda::Function") == []
    assert "GrantMakerFunction" in str(grant["Properties"]["ServiceToken"])
    assert "GrantMakerRole" in str(revoking["Properties"]["Roles"])
    home = synth(stack)
    assert len(of_type(home, "AWS::Lambda::Function")) == 1
    assert ":role/orders" in str(made_grants(home)[0][2])
    assert "Fn::ImportValue" not in str(home)


def test_grantee_that_the_stack_of_the_key_cannot_name_is_refused_with_the_way_out(app, key, role):
    other = cdk.Stack(app, "Other", env=cdk.Environment(account="111122223333", region="eu-west-1"))

    with pytest.raises(GrantRefused, match=r"Other/Orders is in another stack than the key.* Give it a fixed name"):
        KeyGrant(other, "Grant", key=key, grantee=role("Orders", other), operations=["Decrypt"])


@pytest.mark.parametrize(("account", "region", "what"), [
    ("444455556666", "eu-west-1", "account 444455556666 of Other/Grant is not 111122223333"),
    ("111122223333", "us-east-1", "Region us-east-1 of Other/Grant is not eu-west-1"),
])  # fmt: skip
def test_grant_in_another_environment_than_the_key_is_refused(account, region, what, app, key, partner):
    other = cdk.Stack(app, "Other", env=cdk.Environment(account=account, region=region))

    with pytest.raises(GrantRefused, match=f"{what}.*create the KeyGrant in a stack of the key's environment"):
        KeyGrant(other, "Grant", key=key, grantee=partner, operations=["Decrypt"])


def test_grant_of_another_key_is_another_resource_and_leaves_the_old_one_its_revocation(synth):
    def logical_ids(grant_on):
        app = cdk.App()
        stack = cdk.Stack(app, "Stack", env=cdk.Environment(account="111122223333", region="eu-west-1"))
        keys = {key_id: EncryptionKey(stack, key_id) for key_id in ("First", "Second")}
        grantee = iam.Role.from_role_arn(stack, "Partner", "arn:aws:iam::444455556666:role/partner")
        KeyGrant(stack, "Grant", key=keys[grant_on], grantee=grantee, operations=["Decrypt"])
        return {found for found in synth(stack)["Resources"] if found.startswith("Grant")}

    one, two = logical_ids("First"), logical_ids("Second")
    assert len(one) == len(two) == 2
    assert one.isdisjoint(two)


def test_name_of_another_grant_of_the_key_is_refused(stack, key, partner):
    KeyGrant(stack, "One", key=key, grantee=partner, operations=["Decrypt"], name="partner")
    KeyGrant(stack, "Other", key=EncryptionKey(stack, "OtherKey"), grantee=partner, operations=["Decrypt"],
             name="partner")  # fmt: skip

    with pytest.raises(GrantRefused, match="to delete either would revoke both; give another name, or none"):
        KeyGrant(stack, "Two", key=key, grantee=partner, operations=["Decrypt"], name="partner")


def test_service_is_granted_for_one_resource_and_the_maker_for_that_alone(stack, key, partner, synth, key_statements):
    source = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"
    service = iam.ServicePrincipal("dynamodb.amazonaws.com")
    KeyGrant(stack, "Grant", key=key, grantee=service, operations=["Decrypt"], source_arn=source,
             retiring_principal=service, name="orders")  # fmt: skip

    template = synth(stack)
    (grant,) = of_type(template, "Custom::KmsGrant")
    assert grant["Properties"]["Grant"] == {
        "KeyId": stack.resolve(key.key_arn),
        "GranteeServicePrincipal": "dynamodb.amazonaws.com",
        "Operations": ["Decrypt"],
        "Name": "orders",
        "Constraints": {"SourceArn": source},
        "RetiringServicePrincipal": "dynamodb.amazonaws.com",
    }
    (minting,) = [it for it in key_statements(template) if it["Action"] == "kms:CreateGrant"]
    assert minting["Condition"]["StringEquals"] == {
        "kms:GranteeServicePrincipal": "dynamodb.amazonaws.com",
        "kms:GrantConstraintSourceArn": source,
    }


@pytest.mark.parametrize("given", [
    {"source_arn": "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"},
    {"retiring_principal": iam.ServicePrincipal("dynamodb.amazonaws.com")},
])  # fmt: skip
def test_grant_to_a_service_without_source_or_retiring_principal_is_refused(given, stack, key):
    with pytest.raises(GrantRefused, match=r"takes a source_arn, .* and a retiring_principal"):
        KeyGrant(stack, "Grant", key=key, grantee=iam.ServicePrincipal("dynamodb.amazonaws.com"),
                 operations=["Decrypt"], **given)  # fmt: skip


@pytest.mark.parametrize("source", ["*", "orders", "arn:aws:s3:::orders", "arn:aws:sns:eu-west-1:*:orders"])
def test_source_that_kms_would_refuse_is_refused(source, stack, key):
    service = iam.ServicePrincipal("dynamodb.amazonaws.com")
    with pytest.raises(GrantRefused, match=r"KMS takes the ARN of one resource with its account \(ValidationExc"):
        KeyGrant(stack, "Grant", key=key, grantee=service, operations=["Decrypt"], source_arn=source,
                 retiring_principal=service)  # fmt: skip


def test_source_known_at_deployment_only_is_taken(stack, key):
    service = iam.ServicePrincipal("dynamodb.amazonaws.com")
    assert KeyGrant(stack, "Grant", key=key, grantee=service, operations=["Decrypt"],
                    source_arn=cdk.Fn.import_value("Table"), retiring_principal=service).grant_id  # fmt: skip


def test_source_of_a_role_is_refused(stack, key, partner):
    with pytest.raises(GrantRefused, match="no request of a role or user would match; omit it"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"], source_arn="arn:aws:s3:::a")


def test_resource_of_another_library_by_the_same_type_is_not_a_kms_grant(stack, key, synth):
    user = iam.User(stack, "User")
    cdk.CfnResource(stack, "Other", type="Custom::KmsGrant", properties={"ServiceToken": "x"})
    queue = sqs.Queue(stack, "Queue", encryption_master_key=key)
    user.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn]))

    with pytest.raises(RuntimeError, match="no policy allows it kms:GenerateDataKey"):
        synth(stack)
