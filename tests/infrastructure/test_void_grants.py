"""A permission on one of our keys that lacks its other half, or that no request could meet, is an error."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager

from kms_patterns import EncryptionKey, ImportedKey, KeyAccess, SigningKey
from kms_patterns.keys.errors import GrantRefused

DENIED = "the key policy does not: the call would end in AccessDeniedException"
NO_IDENTITY = "no policy of that role or user does"

HERE = cdk.Environment(account="111122223333", region="eu-west-1")


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def statement(*actions, resource="*", **properties):
    return iam.PolicyStatement(actions=list(actions), resources=[resource], **properties)


def test_key_grants_go_past_the_key_and_are_refused(stack, key, role, synth):
    """aws-cdk#32286: with a custom key policy they write IAM only."""
    kms.KeyGrants.from_key(key).decrypt(role("User"))

    with pytest.raises(RuntimeError, match=rf"Stack/User/DefaultPolicy.* kms:Decrypt, which {DENIED}.*grant_decrypt"):
        synth(stack)


def test_grants_property_goes_past_the_key_and_is_refused(stack, key, role, synth):
    key.grants.encrypt(role("User"))

    with pytest.raises(RuntimeError, match=rf"allows Stack/User kms:Encrypt, kms:GenerateDataKey, .*{DENIED}"):
        synth(stack)


def test_handwritten_statement_on_the_key_is_refused(stack, key, role, synth):
    role("User").add_to_policy(statement("kms:Decrypt", resource=key.key_arn))

    with pytest.raises(RuntimeError, match=DENIED):
        synth(stack)


def test_handwritten_statement_on_an_arn_made_of_the_key_id_is_refused(stack, key, role, synth):
    arn = stack.format_arn(service="kms", resource="key", resource_name=key.key_id)
    role("User").add_to_policy(statement("kms:Decrypt", resource=arn))

    with pytest.raises(RuntimeError, match=DENIED):
        synth(stack)


def test_handwritten_wildcard_on_the_key_is_refused_with_every_action_that_is_void(stack, key, role, synth):
    role("User").add_to_policy(statement("kms:Generate*", resource=key.key_arn))

    with pytest.raises(
        RuntimeError,
        match="kms:GenerateDataKey, kms:GenerateDataKeyWithoutPlaintext, kms:GenerateDataKeyPair, "
        "kms:GenerateDataKeyPairWithoutPlaintext, kms:GenerateMac, which",
    ):
        synth(stack)


def test_handwritten_statement_that_a_grant_covers_passes(stack, key, role, synth):
    user = role("User")
    user.add_to_policy(statement("kms:Decrypt", resource=key.key_arn))

    key.grant_decrypt(user)

    synth(stack)


def test_handwritten_statement_of_another_role_than_the_granted_one_is_refused(stack, key, role, synth):
    key.grant_decrypt(role("User"))
    role("Other").add_to_policy(statement("kms:Decrypt", resource=key.key_arn))

    with pytest.raises(RuntimeError, match="allows Stack/Other kms:Decrypt"):
        synth(stack)


def test_handwritten_statement_under_a_contradicting_condition_is_refused(stack, key, role, synth):
    user = role("User")
    key.grant_decrypt(user, via_service="s3")
    other_service = {"StringEquals": {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"}}
    other = iam.ManagedPolicy(
        stack, "Other", statements=[statement("kms:Decrypt", resource=key.key_arn, conditions=other_service)]
    )
    other.attach_to_role(user)

    with pytest.raises(RuntimeError, match=rf"Stack/Other.*{DENIED}"):
        synth(stack)


def test_handwritten_administration_passes_because_the_account_may_administer(stack, key, role, synth):
    role("User").add_to_policy(statement("kms:DescribeKey", "kms:PutKeyPolicy", resource=key.key_arn))

    synth(stack)


@pytest.mark.parametrize("how", ["inline", "managed", "in properties", "attached to nobody", "group"])
def test_every_kind_of_policy_is_looked_at(how, stack, key, role, synth):
    void = statement("kms:Decrypt", resource=key.key_arn)
    if how == "inline":
        role("User", inline_policies={"Own": iam.PolicyDocument(statements=[void])})
    elif how == "group":
        iam.Group(stack, "Group").add_to_policy(void)
    else:
        policy = iam.ManagedPolicy(stack, "Policy", statements=[void])
        if how == "managed":
            policy.attach_to_role(role("User"))
        elif how == "in properties":
            role("User", managed_policies=[policy])

    with pytest.raises(RuntimeError, match=DENIED):
        synth(stack)


@pytest.mark.parametrize(
    ("kind", "holder"),
    [(iam.CfnRolePolicy, "role_name"), (iam.CfnUserPolicy, "user_name"), (iam.CfnGroupPolicy, "group_name")],
)
def test_policy_written_as_a_resource_of_its_holder_is_looked_at(kind, holder, stack, key, synth):
    document = iam.PolicyDocument(statements=[statement("kms:Decrypt", resource=key.key_arn)])
    kind(stack, "Policy", policy_name="own", policy_document=document, **{holder: "clerk"})

    with pytest.raises(RuntimeError, match=rf"Stack/Policy.*{DENIED}"):
        synth(stack)


@pytest.mark.parametrize(
    ("granted", "written"),
    [
        ({"Bool": {"aws:SecureTransport": "true"}}, {"Bool": {"aws:SecureTransport": "false"}}),
        ({"Null": {"aws:SourceVpc": "true"}}, {"Null": {"aws:SourceVpc": "false"}}),
        ({"ArnEquals": {"aws:SourceArn": "arn:a"}}, {"ArnEquals": {"aws:SourceArn": "arn:b"}}),
    ],
)
def test_conditions_that_no_request_meets_together_are_void(granted, written, stack, key, role, synth):
    user = role("User")
    key.grant_decrypt(user, conditions=granted)
    other = iam.ManagedPolicy(
        stack, "Other", statements=[statement("kms:Decrypt", resource=key.key_arn, conditions=written)]
    )
    other.attach_to_role(user)

    with pytest.raises(RuntimeError, match=rf"Stack/Other.*{DENIED}"):
        synth(stack)


def test_statement_in_a_nested_stack_is_looked_at(stack, key, role, synth):
    role("User", cdk.NestedStack(stack, "Nested")).add_to_policy(statement("kms:Decrypt", resource=key.key_arn))

    with pytest.raises(RuntimeError, match=rf"allows Stack/Nested/User kms:Decrypt, which {DENIED}"):
        synth(stack)


def test_managed_policy_in_the_properties_of_a_granted_role_passes(stack, key, role, synth):
    policy = iam.ManagedPolicy(stack, "Policy", statements=[statement("kms:Decrypt", resource=key.key_arn)])

    key.grant_decrypt(role("User", role_name="orders", managed_policies=[policy]))

    synth(stack)


class TestBetweenStacks:
    @pytest.fixture(params=["strong", "weak", "both"])
    def app(self, request):
        """An app that refers to other stacks by Fn::ImportValue, by Fn::GetStackOutput, or by both."""
        return cdk.App(context={"@aws-cdk/core:defaultCrossStackReferences": request.param})

    def test_statement_in_another_stack_is_looked_at(self, app, role):
        stack = cdk.Stack(app, "Keys", env=HERE)
        key = EncryptionKey(stack, "Key")
        other = cdk.Stack(app, "Other", env=HERE)
        role("User", other).add_to_policy(statement("kms:Decrypt", resource=key.key_arn))

        with pytest.raises(RuntimeError, match=rf"allows Other/User kms:Decrypt, which {DENIED}"):
            app.synth()

    def test_keys_and_roles_of_several_stacks_that_meet_pass(self, app, role):
        stack = cdk.Stack(app, "Keys", env=HERE)
        other = cdk.Stack(app, "Other", env=HERE)
        nested = cdk.NestedStack(stack, "Nested")
        pairs = [(stack, stack), (stack, other), (stack, nested), (other, other), (nested, nested), (nested, stack)]
        for number, (of_key, of_role) in enumerate(pairs):
            key = EncryptionKey(of_key, f"Key{number}")
            key.grant_decrypt(role(f"Role{number}", of_role, role_name=f"role-{number}"))

        app.synth()


def test_delegated_key_needs_no_key_policy_half(stack, role, synth):
    key = EncryptionKey(stack, "Delegated", access=KeyAccess.DELEGATED)

    kms.KeyGrants.from_key(key).decrypt(role("User"))

    synth(stack)


def test_key_of_a_stage_is_checked_with_the_stage(app, role):
    stage = cdk.Stage(app, "Stage")
    stack = cdk.Stack(stage, "Inner")
    kms.KeyGrants.from_key(EncryptionKey(stack, "Key")).decrypt(role("User", stack))

    with pytest.raises(RuntimeError, match=DENIED):
        app.synth()


INSECURE = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    "who",
    [
        iam.AccountPrincipal("444455556666"),
        iam.OrganizationPrincipal("o-abcdef1234"),
        iam.AccountRootPrincipal().with_conditions({"StringEquals": {"aws:PrincipalOrgID": "o-abcdef1234"}}),
    ],
)
def test_secret_shared_with_another_account_or_organization_is_refused(who, stack):
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=EncryptionKey(stack, "Key"))

    with pytest.raises(RuntimeError, match=r"every role of .* would use the key through secretsmanager"):
        secret.grant_read(who)


def test_secret_read_by_the_own_account_is_left_to_its_roles(stack):
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=EncryptionKey(stack, "Key"))

    secret.grant_read(iam.AccountPrincipal("111122223333"))


ACCOUNT = "111122223333"


@pytest.fixture(params=["strong", "weak"])
def two_regions(request):
    return cdk.App(context={"@aws-cdk/core:defaultCrossStackReferences": request.param})


@pytest.fixture
def home(two_regions):
    env = cdk.Environment(account=ACCOUNT, region="eu-west-1")
    return cdk.Stack(two_regions, "Home", env=env, cross_region_references=True)


@pytest.fixture
def away(two_regions):
    env = cdk.Environment(account=ACCOUNT, region="us-east-1")
    return cdk.Stack(two_regions, "Away", env=env, cross_region_references=True)


@pytest.fixture
def key_of_this_region(home):
    return EncryptionKey(home, "Key")


@pytest.fixture
def user(role, away):
    return role("Role", away, role_name="orders")


def own(action, key_of_this_region):
    return iam.PolicyStatement(actions=[action], resources=[key_of_this_region.key_arn])


def test_grant_writes_both_halves(two_regions, key_of_this_region, user):
    key_of_this_region.grant_decrypt(user)

    two_regions.synth()


def test_half_of_the_role_alone_is_found(two_regions, key_of_this_region, user):
    user.add_to_policy(own("kms:Encrypt", key_of_this_region))

    with pytest.raises(RuntimeError, match=r"Home/Key: Away/Role/\S+ allows role/orders kms:Encrypt, which the key"):
        two_regions.synth()


def test_half_of_the_role_beyond_its_grant_is_found(two_regions, key_of_this_region, user):
    key_of_this_region.grant_decrypt(user)
    user.add_to_policy(own("kms:GenerateDataKey", key_of_this_region))

    with pytest.raises(RuntimeError, match="allows role/orders kms:GenerateDataKey, which the key policy does not"):
        two_regions.synth()


def test_half_of_the_key_alone_is_found(two_regions, home, away, key_of_this_region, user):
    arn = cdk.Arn.format(
        cdk.ArnComponents(service="iam", region="", resource="role", resource_name="orders", account=ACCOUNT), home
    )
    statement = iam.PolicyStatement(
        actions=["kms:Decrypt"],
        principals=[iam.AccountRootPrincipal()],
        resources=["*"],
        conditions={"ArnEquals": {"aws:PrincipalArn": arn}},
    )
    key_of_this_region.add_to_resource_policy(statement)

    with pytest.raises(RuntimeError, match="which no policy of that role or user does"):
        two_regions.synth()


def test_stacks_of_one_name_in_two_regions_are_told_apart(two_regions, role):
    homes = [
        cdk.Stack(
            two_regions,
            f"Home{number}",
            stack_name="Home",
            env=cdk.Environment(account=ACCOUNT, region=region),
            cross_region_references=True,
        )
        for number, region in enumerate(["eu-west-1", "eu-west-2"])
    ]
    keys = [EncryptionKey(stack, "Key") for stack in homes]
    third = cdk.Stack(
        two_regions, "Third", env=cdk.Environment(account=ACCOUNT, region="us-east-1"), cross_region_references=True
    )
    user = role("Role", third, role_name="orders")
    keys[1].grant_decrypt(user)
    user.add_to_policy(own("kms:Encrypt", keys[1]))

    with pytest.raises(RuntimeError, match=r"Home1/Key: \S+ allows role/orders kms:Encrypt"):
        two_regions.synth()


ELSEWHERE = "arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CONTEXT = {"StringEquals": {"kms:EncryptionContext:tenant": "a"}}


@pytest.mark.parametrize(
    ("service", "advice"),
    [
        ("efs", "use 'elasticfilesystem'"),
        ("aurora", "use 'rds'"),
        ("ebs", "use 'ec2'"),
        ("S3", "small letters"),
        ("s3*", "a wildcard is read literally"),
        ("s3 ", "such as 's3'"),
    ],
)
def test_name_that_no_endpoint_has_is_refused(service, advice, stack, key, role):
    imported = ImportedKey.from_key_arn(stack, "Imported", ELSEWHERE)
    user = role("User")

    for grant in (key.grant_decrypt, imported.grant_decrypt):
        with pytest.raises(GrantRefused, match=f"no request would match; .*{advice}|{advice}.*no request would match"):
            grant(user, via_service=service)
    with pytest.raises(GrantRefused, match=advice):
        key.grant_create_grant(user, operations=["Decrypt"], via_service=service)


@pytest.mark.parametrize("service", ["s3", "elasticfilesystem", "api.sagemaker", "dynamodb"])
def test_name_of_an_endpoint_is_taken(service, stack, key, role, synth):
    key.grant_decrypt(role("User"), via_service=service)

    synth(stack)


def test_encryption_context_among_the_conditions_of_a_key_without_one_is_refused(stack, role):
    key, imported = SigningKey(stack, "Key"), SigningKey.from_key_arn(stack, "Imported", ELSEWHERE)
    user = role("User")

    for grant in (key.grant_sign, imported.grant_sign):
        with pytest.raises(GrantRefused, match=r"encryption context \['tenant'\]: only symmetric"):
            grant(user, conditions=CONTEXT)
        grant(user, conditions={"StringNotEquals": CONTEXT["StringEquals"]})


@pytest.mark.parametrize("operations", [[], ["kms:Decrypt"], ["Decryptt"], ["Decrypt", "Sign"]])
def test_operations_that_no_kms_grant_on_the_key_has_are_refused(operations, key, role):
    with pytest.raises(GrantRefused, match="a KMS grant on this key may hold CreateGrant, Decrypt, DescribeKey"):
        key.grant_create_grant(role("User"), operations=operations)


def test_operations_of_the_type_of_key_are_taken(stack, role, synth):
    SigningKey(stack, "Key").grant_create_grant(role("User"), operations=["Sign", "CreateGrant", "RetireGrant"])

    synth(stack)


def test_another_principal_among_the_conditions_is_refused(key, role):
    other = {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/other"}}

    with pytest.raises(GrantRefused, match="the grant names Stack/User by aws:PrincipalArn itself"):
        key.grant_decrypt(role("User"), conditions=other)
