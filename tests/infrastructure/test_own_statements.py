"""Statements that an app adds to a key policy by itself: exact ones with their other half pass."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey, KeyAccess
from kms_patterns.keys.errors import GrantRefused

DENIED = "the key policy does not: the call would end in AccessDeniedException"
NO_IDENTITY = "no policy of that role or user does"
HERE = cdk.Environment(account="111122223333", region="eu-west-1")
INSECURE = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def statement(*actions, resource="*", **properties):
    return iam.PolicyStatement(actions=list(actions), resources=[resource], **properties)


def test_own_key_policy_statement_without_an_identity_statement_is_refused(stack, key, role, synth):
    key.add_to_resource_policy(statement("kms:Decrypt", principals=[role("User")]))

    with pytest.raises(RuntimeError, match=rf"allows Stack/User kms:Decrypt, which {NO_IDENTITY}"):
        synth(stack)


def test_own_key_policy_statement_for_a_bare_arn_is_refused(stack, key, synth):
    key.add_to_resource_policy(
        statement("kms:Decrypt", principals=[iam.ArnPrincipal("arn:aws:iam::111122223333:role/orders")])
    )

    with pytest.raises(RuntimeError, match=rf"allows role/orders kms:Decrypt, which {NO_IDENTITY}.*from_role_arn"):
        synth(stack)


@pytest.mark.parametrize("everywhere", [True, False])
def test_own_key_policy_statement_with_an_identity_statement_passes(everywhere, stack, key, role, synth):
    user = role("User")
    user.add_to_policy(statement("kms:Decrypt", resource="*" if everywhere else key.key_arn))

    key.add_to_resource_policy(statement("kms:Decrypt", principals=[user]))

    synth(stack)


@pytest.mark.parametrize("operator", ["ArnEquals", "StringEquals", "ArnLike", "StringLike"])
def test_own_key_policy_statement_by_principal_condition_is_matched_too(operator, stack, key, role, synth):
    user = role("User")
    key.add_to_resource_policy(
        statement(
            "kms:Decrypt",
            principals=[iam.AccountRootPrincipal()],
            conditions={operator: {"aws:PrincipalArn": user.role_arn}},
        )
    )

    with pytest.raises(RuntimeError, match=rf"allows Stack/User kms:Decrypt, which {NO_IDENTITY}"):
        synth(stack)


def test_own_key_policy_statement_for_a_service_passes(stack, key, synth):
    source = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    service = iam.ServicePrincipal("sns.amazonaws.com")

    key.add_to_resource_policy(statement("kms:Decrypt", principals=[service], conditions=source))

    synth(stack)


def test_own_key_policy_statement_for_a_service_without_a_source_is_refused(key):
    with pytest.raises(
        GrantRefused, match=r"sns.amazonaws.com without a condition on aws:SourceAccount.*allow_service"
    ):
        key.add_to_resource_policy(statement("kms:Decrypt", principals=[iam.ServicePrincipal("sns.amazonaws.com")]))


@pytest.mark.parametrize("wildcard", ["kms:*", "*", "kms:GenerateDataKey*"])
def test_own_key_policy_statement_with_a_wildcard_is_refused(wildcard, key, role):
    with pytest.raises(GrantRefused, match="name exact actions"):
        key.add_to_resource_policy(statement(wildcard, principals=[role("User")]))


def test_own_key_policy_statement_for_all_but_some_actions_is_refused(key, role):
    with pytest.raises(GrantRefused, match="NotAction"):
        key.add_to_resource_policy(
            iam.PolicyStatement(not_actions=["kms:Decrypt"], resources=["*"], principals=[role("User")])
        )


@pytest.mark.parametrize(
    "principal",
    [
        iam.AccountRootPrincipal(),
        iam.AccountPrincipal("999999999999"),
        iam.AnyPrincipal(),
        iam.StarPrincipal(),
        iam.ArnPrincipal("*"),
        iam.ArnPrincipal("999999999999"),
        iam.ArnPrincipal("arn:aws:iam::999999999999:root"),
        iam.OrganizationPrincipal("o-1234567890"),
    ],
)
@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"ArnLike": {"aws:PrincipalArn": "*"}},
        {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::999999999999:role/x"}},
        {"StringEqualsIfExists": {"aws:PrincipalArn": "arn:aws:iam::999999999999:role/x"}},
        {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
    ],
)
def test_own_key_policy_statement_for_use_by_a_whole_account_is_refused(principal, conditions, key):
    with pytest.raises(GrantRefused, match="undoes the two-key control"):
        key.add_to_resource_policy(statement("kms:Decrypt", principals=[principal], conditions=conditions))


@pytest.mark.parametrize(
    "conditions",
    [
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/aws-reserved/*"}},
        {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com", "kms:CallerAccount": "111122223333"}},
    ],
)
def test_own_key_policy_statement_that_names_its_callers_is_taken(conditions, key, key_statements, stack):
    key.add_to_resource_policy(statement("kms:Decrypt", principals=[iam.AccountRootPrincipal()], conditions=conditions))

    assert stack.resolve(key.node.default_child.key_policy)["Statement"][-1]["Condition"] == conditions


def test_own_deny_may_have_wildcards(stack, key, synth):
    key.add_to_resource_policy(
        statement("kms:*", effect=iam.Effect.DENY, principals=[iam.AnyPrincipal()], conditions=INSECURE)
    )

    synth(stack)


@pytest.mark.parametrize(
    "conditions",
    [
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"StringEquals": {"aws:SourceVpc": "vpc-1"}},
        {"StringNotEquals": {"aws:SourceAccount": "999999999999"}},
        {"StringEqualsIfExists": {"aws:SourceAccount": "111122223333"}},
        {"ForAllValues:StringEquals": {"aws:SourceAccount": "111122223333"}},
        {"Null": {"aws:SourceArn": "false"}},
        {"StringLike": {"aws:SourceArn": "*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:orders"}},
        {"ArnLike": {"aws:SourceArn": ["arn:aws:sns:eu-west-1:111122223333:orders", "arn:aws:sns:*"]}},
    ],
)
def test_condition_that_binds_a_service_to_nobody_is_no_source(conditions, key):
    with pytest.raises(GrantRefused, match=r"names an account or a resource"):
        key.add_to_resource_policy(
            statement("kms:Decrypt", principals=[iam.ServicePrincipal("sns.amazonaws.com")], conditions=conditions)
        )


@pytest.mark.parametrize(
    "conditions",
    [
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::orders"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}},
        {"ForAnyValue:StringLike": {"aws:SourceOrgPaths": "o-a1b2c3d4e5/r-ab12/*"}},
        {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-west-1:111122223333:log-group:*"}},
    ],
)
def test_condition_that_names_a_source_is_taken(conditions, stack, key, synth):
    service = iam.ServicePrincipal("sns.amazonaws.com")

    key.add_to_resource_policy(statement("kms:Decrypt", principals=[service], conditions=conditions))

    synth(stack)


def test_service_that_is_no_service_principal_of_the_cdk_needs_a_source_too(key):
    document = {
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Principal": {"Service": "sns.amazonaws.com"},
    }
    with pytest.raises(GrantRefused, match=r"sns.amazonaws.com without a condition"):
        key.add_to_resource_policy(iam.PolicyStatement.from_json(document))
    wrapped = iam.ServicePrincipal("sns.amazonaws.com").with_conditions({"Bool": {"aws:SecureTransport": "true"}})
    with pytest.raises(GrantRefused, match=r"sns.amazonaws.com without a condition"):
        key.add_to_resource_policy(statement("kms:Decrypt", principals=[wrapped]))


@pytest.mark.parametrize("access", [KeyAccess.NAMED, KeyAccess.DELEGATED])
@pytest.mark.parametrize("principal", [iam.AnyPrincipal(), iam.AccountPrincipal("999999999999")])
def test_administration_by_strangers_is_refused(principal, access, stack):
    key = EncryptionKey(stack, "Key", access=access)

    with pytest.raises(GrantRefused, match=r"kms:PutKeyPolicy for everyone or for another account"):
        key.add_to_resource_policy(statement("kms:PutKeyPolicy", "kms:DescribeKey", principals=[principal]))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("principal", [iam.AccountRootPrincipal(), iam.ArnPrincipal("111122223333")])
def test_administration_by_the_own_account_is_taken(principal, known, app, synth):
    stack = cdk.Stack(app, "Other", env=HERE if known else None)
    if not known and isinstance(principal, iam.ArnPrincipal) and not isinstance(principal, iam.AccountRootPrincipal):
        principal = iam.ArnPrincipal(stack.account)

    EncryptionKey(stack, "Key").add_to_resource_policy(
        statement("kms:ListKeyRotations", "kms:PutKeyPolicy", principals=[principal])
    )

    synth(stack)


def test_description_of_the_key_for_another_account_is_taken(stack, key, synth):
    key.add_to_resource_policy(statement("kms:DescribeKey", principals=[iam.AccountPrincipal("999999999999")]))

    synth(stack)
