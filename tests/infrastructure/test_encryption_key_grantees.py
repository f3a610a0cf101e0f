"""Who may be granted, who is refused, and how roles of other stacks are named without a dependency cycle."""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_

from kms_patterns import EncryptedBucket, EncryptionKey
from kms_patterns.keys.errors import GrantRefused

HERE = cdk.Environment(account="111122223333", region="eu-west-1")


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def other(app):
    return cdk.Stack(app, "Other", env=HERE)


@pytest.mark.parametrize(
    ("principal", "reason"),
    [
        (iam.ServicePrincipal("ec2.amazonaws.com"), "a service has no role ARN"),
        (iam.AccountPrincipal("111122223333"), "every role and user of the account"),
        (iam.AccountRootPrincipal(), "every role and user of the account"),
        (iam.AnyPrincipal(), "everyone in every account"),
        (iam.ArnPrincipal("arn:aws:iam::111122223333:role/x"), "import the role with iam.Role.from_role_arn"),
        (kms.ViaServicePrincipal("s3.eu-west-1.amazonaws.com"), "or call allow_use_through"),
        (iam.FederatedPrincipal("arn:aws:iam::111122223333:saml-provider/x", {}), "it has no role or user ARN"),
    ],
)
def test_whoever_is_no_single_role_or_user_is_refused(principal, reason, key):
    with pytest.raises(GrantRefused, match=reason):
        key.grant_decrypt(principal)


def test_function_is_granted_by_its_role(stack, key, synth, key_statements, named):
    function = lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): ..."),
    )

    key.grant_decrypt(function)

    assert key_statements(synth(stack))[1:] == [named(function.role, ["kms:Decrypt"])]


def test_user_and_instance_profile_role_are_granted_by_their_arn(stack, key, role, synth, key_statements, named):
    user, instance = iam.User(stack, "Person"), role("Instance")
    profile = iam.InstanceProfile(stack, "Profile", role=instance)

    key.grant_encrypt(user)
    key.grant_encrypt(profile.role)

    both = named(user, ["kms:Encrypt"])
    both["Condition"]["ArnEquals"]["aws:PrincipalArn"] = stack.resolve([instance.role_arn, user.user_arn])
    (found,) = key_statements(synth(stack))[1:]
    assert found == {**both, "Sid": found["Sid"]}


def test_named_role_is_referred_to_by_name_with_its_path(stack, key, role, synth, key_statements):
    key.grant_decrypt(role("User", role_name="orders", path="/apps/"))

    statement = key_statements(synth(stack))[1]
    assert statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] == {
        "Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::111122223333:role/apps/orders"]]
    }


def test_group_is_refused(stack, key):
    with pytest.raises(GrantRefused, match="grant its users"):
        key.grant_decrypt(iam.Group(stack, "Group"))


def test_function_imported_without_its_role_is_refused(stack, key):
    function = lambda_.Function.from_function_arn(stack, "F", "arn:aws:lambda:eu-west-1:111122223333:function:f")

    with pytest.raises(GrantRefused, match="import it with its role"):
        key.grant_decrypt(function)


def test_imported_role_gets_both_halves(stack, key, synth, key_statements, named):
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111122223333:role/apps/orders")

    key.grant_decrypt(role)

    template = synth(stack)
    assert key_statements(template)[1:] == [named(role, ["kms:Decrypt"])]
    policies = [item["Properties"] for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"]
    assert [policy["Roles"] for policy in policies] == [["orders"]]


def test_role_imported_by_a_parameter_gets_both_halves(stack, key, synth, key_statements, named):
    arn = cdk.CfnParameter(stack, "RoleArn").value_as_string
    role = iam.Role.from_role_arn(stack, "Role", arn)

    key.grant_decrypt(role)

    assert key_statements(synth(stack))[1:] == [named(role, ["kms:Decrypt"])]


def test_immutable_role_is_refused_because_it_would_get_no_policy(stack, key, synth, key_statements):
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111122223333:role/orders", mutable=False)

    with pytest.raises(GrantRefused, match=r"no policy can be attached to.*mutable"):
        key.grant_decrypt(role)
    assert len(key_statements(synth(stack))) == 1


def test_role_without_policy_updates_is_refused(key, role):
    with pytest.raises(GrantRefused, match="no policy can be attached to"):
        key.grant_decrypt(role("Role").without_policy_updates())


def test_named_role_of_another_stack_is_named_without_a_reference(stack, other, key, role, synth, key_statements):
    key.grant_decrypt(role("Role", other, role_name="orders"))

    assert key_statements(synth(stack))[1]["Condition"] == {
        "ArnEquals": {
            "aws:PrincipalArn": {
                "Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::111122223333:role/orders"]]
            }
        }
    }


def test_unnamed_role_of_another_stack_is_refused_with_the_way_out(other, key, role):
    with pytest.raises(GrantRefused, match=r"Other/Role is in another stack.*role_name"):
        key.grant_decrypt(role("Role", other))


def test_role_of_a_nested_stack_needs_a_name_too(stack, key, role, synth):
    nested = cdk.NestedStack(stack, "Nested")

    with pytest.raises(GrantRefused, match="in another stack"):
        key.grant_decrypt(role("Unnamed", nested))
    key.grant_decrypt(role("Named", nested, role_name="nested-orders"))
    synth(stack)


def test_statement_added_to_a_role_makes_no_cycle(stack, key, role, synth):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    user = role("User")
    user.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects("*")]))

    bucket.grant_download(user)

    assert cycle(synth(stack)) is None


@pytest.mark.parametrize("names", ["key", "bucket"])
def test_inline_policy_of_an_unnamed_role_is_a_cycle_and_refused(names, stack, key, role, synth):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)

    bucket.grant_download(role("User", inline_policies={"Own": own_policy(key if names == "key" else bucket)}))

    with pytest.raises(RuntimeError, match=r"Stack/User has an inline or managed policy .* give the role a role_name"):
        synth(stack)


def test_managed_policy_in_the_properties_of_an_unnamed_role_is_a_cycle_and_refused(stack, key, role, synth):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    policy = iam.ManagedPolicy(stack, "Policy", document=own_policy(bucket))

    bucket.grant_download(role("User", managed_policies=[policy]))

    with pytest.raises(RuntimeError, match="Stack/User has an inline or managed policy"):
        synth(stack)


def test_inline_policy_of_a_named_role_makes_no_cycle(stack, key, role, synth):
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)

    bucket.grant_download(role("User", role_name="orders", inline_policies={"Own": own_policy(bucket)}))

    assert cycle(synth(stack)) is None


def own_policy(target):
    action, resource = (
        ("s3:GetObject", target.arn_for_objects("*"))
        if isinstance(target, EncryptedBucket)
        else ("kms:DescribeKey", target.key_arn)
    )
    return iam.PolicyDocument(statements=[iam.PolicyStatement(actions=[action], resources=[resource])])


def cycle(template):
    """What the assertions of the AWS CDK say of a circular template."""
    try:
        assertions.Template.from_json(template)
    except Exception as error:  # noqa: BLE001 -- jsii raises what it likes
        return str(error)
    return None


def test_inline_policy_of_an_unnamed_user_is_a_cycle_and_refused(stack, key, synth):
    user = iam.CfnUser(
        stack,
        "User",
        policies=[iam.CfnUser.PolicyProperty(policy_name="own", policy_document=own_policy(key))],
    )
    grantee = iam.User.from_user_arn(stack, "Imported", user.attr_arn)

    key.grant_decrypt(grantee)

    with pytest.raises(RuntimeError, match="Stack/User has an inline or managed policy"):
        synth(stack)


def test_one_required_name_given_as_text_is_refused(key, role):
    with pytest.raises(GrantRefused, match=r"each letter would be a name; give a list: \['tenant'\]"):
        key.grant_decrypt(role("User"), required_context="tenant")


@pytest.mark.parametrize("host", ["s3.amazonaws.com", "s3.eu-west-1.amazonaws.com"])
def test_host_name_instead_of_a_service_is_refused(host, key, role):
    with pytest.raises(GrantRefused, match="is a host name, so no request would match; use 's3'"):
        key.grant_decrypt(role("User"), via_service=host)


def test_role_of_a_known_account_needs_a_stack_of_a_known_account(app):
    stack = cdk.Stack(app, "Anywhere")
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::444455556666:role/orders")

    with pytest.raises(GrantRefused, match="give the stack its account"):
        EncryptionKey(stack, "Key").grant_decrypt(role)
