"""Keys of other owners: exact grants in IAM, the owner's statement in print; roles of other accounts: the reverse."""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions, aws_kms
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey, ImportedKey
from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError

ARN = "arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def notices(stack):
    found = assertions.Annotations.from_stack(stack).find_info("*", assertions.Match.any_value())
    return [entry.entry.data for entry in found]


def test_grant_on_a_key_of_another_account_names_its_exact_arn(stack, role, synth, role_statements):
    user = role("User", role_name="orders")

    ImportedKey.from_key_arn(stack, "Key", ARN).grant_operations(
        user, "kms:Decrypt", encryption_context={"tenant": "a"}, via_service="s3"
    )

    assert role_statements(synth(stack), stack, user) == [
        {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": ARN,
            "Condition": {
                "StringEquals": {
                    "kms:EncryptionContext:tenant": "a",
                    "kms:ViaService": "s3.us-east-1.amazonaws.com",
                }
            },
        }
    ]


def test_statement_for_the_owner_names_account_and_role(stack, role):
    key = ImportedKey.from_key_arn(stack, "Key", ARN)

    key.grant_decrypt(iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111122223333:role/orders"))

    (statement,) = key.owner_statements
    assert statement["Principal"]["AWS"]["Fn::Join"][1][-1] == ":iam::111122223333:root"
    assert statement["Action"] == ["kms:Decrypt"]
    assert statement["Condition"] == {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/orders"}}
    (notice,) = notices(stack)
    assert f"cannot change the policy of {ARN}. Its owner must add" in notice
    assert '"aws:PrincipalArn": "arn:aws:iam::111122223333:role/orders"' in notice


def test_key_by_alias_is_limited_to_keys_that_carry_it(stack, role, synth, role_statements):
    user = role("User")

    ImportedKey.from_alias(stack, "Key", "orders/data").grant_decrypt(user)

    (statement,) = role_statements(synth(stack), stack, user)
    assert statement["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/orders/data"}}
    assert str(statement["Resource"]).endswith(":kms:eu-west-1:111122223333:key/*']]}")


def test_looked_up_key_is_granted_by_its_arn(stack, role, synth, role_statements):
    user = role("User")

    key = ImportedKey.from_lookup(stack, "Key", alias_name="alias/orders")
    key.grant_generate_data_key(user)

    assert role_statements(synth(stack), stack, user)[0]["Resource"] == stack.resolve(key.key_arn)


@pytest.mark.parametrize(
    "bad", ["arn:aws:kms:us-east-1:444455556666:alias/orders", "alias/orders", "arn:aws:s3:::bucket"]
)
def test_arn_of_anything_but_a_key_is_refused(bad, stack):
    with pytest.raises(KeyConfigurationError, match="is not a KMS key ARN"):
        ImportedKey.from_key_arn(stack, "Key", bad)


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ([], "the grant lists no operation"),
        (["kms:PutKeyPolicy"], "it manages the key"),
        (["kms:CreateGrant"], "gives others use of the key"),
    ],
)
def test_grant_of_what_is_no_use_is_refused(operations, reason, stack, role):
    with pytest.raises(GrantRefused, match=reason):
        ImportedKey.from_key_arn(stack, "Key", ARN).grant_operations(role("User"), *operations)


def test_grantee_that_takes_no_policy_is_refused(stack):
    with pytest.raises(GrantRefused, match="a service has no role ARN"):
        ImportedKey.from_key_arn(stack, "Key", ARN).grant_decrypt(iam.ServicePrincipal("ec2.amazonaws.com"))


@pytest.mark.parametrize("made_here", [True, False])
def test_role_of_another_account_is_named_by_its_account_and_arn(made_here, app, stack, synth, key_statements):
    key = EncryptionKey(stack, "Key")
    if made_here:
        other = cdk.Stack(app, "Other", env=cdk.Environment(account="444455556666", region="eu-west-1"))
        role = iam.Role(other, "Role", role_name="orders", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    else:
        role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::444455556666:role/orders")

    key.grant_decrypt(role, encryption_context={"tenant": "a"})

    template = synth(stack)
    statement = key_statements(template)[1]
    assert str(statement["Principal"]["AWS"]).endswith(":iam::444455556666:root']]}")
    assert (
        str(statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]).rstrip("']}").endswith("444455556666:role/orders")
    )
    assert statement["Condition"]["StringEquals"] == {"kms:EncryptionContext:tenant": "a"}
    assert [item for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"] == []
    (notice,) = notices(stack)
    assert "is in another account: the key policy names it, its own policy must allow the same" in notice


def test_unnamed_role_of_another_account_is_refused(app, stack, role):
    other = cdk.Stack(app, "Other", env=cdk.Environment(account="444455556666", region="eu-west-1"))

    with pytest.raises(GrantRefused, match="Give it a fixed name"):
        EncryptionKey(stack, "Key").grant_decrypt(role("Role", other))


def test_role_of_another_region_gets_the_exact_arn_never_a_wildcard(app, role, synth, role_statements):
    env = {"account": "111122223333"}
    home = cdk.Stack(app, "Home", env=cdk.Environment(**env, region="eu-west-1"), cross_region_references=True)
    away = cdk.Stack(app, "Away", env=cdk.Environment(**env, region="us-east-1"), cross_region_references=True)
    user = role("User", away, role_name="orders")

    EncryptionKey(home, "Key").grant_decrypt(user)

    statements = [
        statement
        for item in synth(away)["Resources"].values()
        if item["Type"] == "AWS::IAM::Policy"
        for statement in item["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "kms:Decrypt"
    ]
    assert ["ExportsReader" in str(statement["Resource"]) for statement in statements] == [True]


@pytest.mark.parametrize("resource", ["key/*", "key/", "key/1234?"])
def test_arn_of_several_keys_or_none_is_refused(resource, stack):
    with pytest.raises(KeyConfigurationError, match="is not a KMS key ARN"):
        ImportedKey.from_key_arn(stack, "Key", f"arn:aws:kms:us-east-1:444455556666:{resource}")


def test_group_is_no_grantee_of_a_key_elsewhere(stack):
    with pytest.raises(GrantRefused, match="a group does not call AWS"):
        ImportedKey.from_key_arn(stack, "Key", ARN).grant_decrypt(iam.Group(stack, "Group"))


@pytest.mark.parametrize("imported", [True, False])
def test_role_that_drops_its_policies_is_refused_on_a_key_elsewhere(imported, stack, role):
    key = ImportedKey.from_key_arn(stack, "Key", ARN)
    here = "arn:aws:iam::111122223333:role/orders"
    user = iam.Role.from_role_arn(stack, "Role", here, mutable=False) if imported else role("User")

    with pytest.raises(GrantRefused, match=r"no policy can be attached to .*, so this grant would have no effect"):
        key.grant_decrypt(user if imported else user.without_policy_updates())


def test_role_of_another_account_and_key_elsewhere_both_halves_are_told(stack):
    key = ImportedKey.from_key_arn(stack, "Key", ARN)

    key.grant_decrypt(iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::999999999999:role/orders"))

    (statement,) = key.owner_statements
    assert str(statement["Principal"]).endswith(":iam::999999999999:root']]}}")
    identity, owner = sorted(notices(stack), key=lambda text: "Its owner must add" in text)
    assert "its own policy must allow the same" in identity
    assert f'"Resource": "{ARN}"' in identity
    assert '"aws:PrincipalArn": "arn:aws:iam::999999999999:role/orders"' in owner


def test_key_that_is_an_l1_construct_is_refused(stack):
    with pytest.raises(GrantRefused, match=r"Stack/Plain: EncryptionKey.from_cfn_key would give a key with the broad"):
        EncryptionKey.from_cfn_key(aws_kms.CfnKey(stack, "Plain"))
