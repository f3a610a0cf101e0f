"""A permission on one of our keys that lacks its other half, or that no request could meet, is an error.

The other half may be in a group, behind a condition of the template, or known at deployment only.
"""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

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


def test_logical_ids_that_the_app_overrides_are_followed(stack, key, role, synth):
    """CfnInclude overrides that of every resource of the template that it includes."""
    user, queue = role("User"), sqs.Queue(stack, "Queue", encryption_master_key=key)
    for construct in (key, user, queue):
        construct.node.default_child.override_logical_id(f"Own{construct.node.id}")
    user.add_to_policy(statement("sqs:SendMessage", resource=queue.queue_arn))
    with pytest.raises(RuntimeError, match=r"on Stack#OwnQueue, .* no policy allows it kms:GenerateDataKey"):
        synth(stack)

    queue.grant_send_messages(user)

    synth(stack)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("form", ["alias/orders", "arn:aws:kms:eu-west-1:111122223333:alias/orders"])
def test_key_that_a_queue_names_by_its_alias_is_found(form, elsewhere, app, stack, role, synth):
    region = "us-east-1" if elsewhere else "eu-west-1"
    home = cdk.Stack(app, "Home", env=cdk.Environment(account="111122223333", region=region))
    queue = sqs.CfnQueue(stack, "Queue", kms_master_key_id=form)
    EncryptionKey(home, "Key", alias="alias/orders")
    role("User").add_to_policy(statement("sqs:SendMessage", resource=queue.attr_arn))

    if elsewhere:
        synth(stack)  # there is another key of that name
        return
    with pytest.raises(RuntimeError, match="no policy allows it kms:GenerateDataKey"):
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


@pytest.mark.parametrize(
    "demanded",
    [
        CONTEXT,
        {"Null": {"kms:EncryptionContext:tenant": "false"}},
        {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}},
        {"ForAnyValue:StringLike": {"kms:encryptioncontextkeys": ["tenant"]}},
    ],
)
def test_encryption_context_among_the_conditions_of_a_key_without_one_is_refused(demanded, stack, role):
    key, imported = SigningKey(stack, "Key"), SigningKey.from_key_arn(stack, "Imported", ELSEWHERE)
    user = role("User")

    for grant in (key.grant_sign, imported.grant_sign):
        with pytest.raises(GrantRefused, match=r"encryption context \['tenant'\]: only symmetric"):
            grant(user, conditions=demanded)


@pytest.mark.parametrize(
    "met",
    [
        {"StringNotEquals": CONTEXT["StringEquals"]},
        {"Null": {"kms:EncryptionContext:tenant": "true"}},
        {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}},
        {"ForAllValues:StringEquals": CONTEXT["StringEquals"]},
        {"ForAnyValue:StringEqualsIfExists": {"kms:EncryptionContextKeys": "tenant"}},
    ],
)
def test_condition_that_a_request_without_a_context_meets_is_taken(met, stack, role, synth):
    SigningKey(stack, "Key").grant_sign(role("User"), conditions=met)

    synth(stack)


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


def named_in_key_policy(key, identity, *actions, **properties):
    """Write the key policy's half by hand, as apps do that came from ``kms.Key``."""
    arn = identity if isinstance(identity, str) else getattr(identity, "user_arn", None) or identity.role_arn
    key.add_to_resource_policy(
        iam.PolicyStatement(
            actions=list(actions),
            principals=[iam.AccountRootPrincipal()],
            resources=["*"],
            conditions={"ArnEquals": {"aws:PrincipalArn": arn}, **properties},
        )
    )


class TestThroughGroups:
    @pytest.fixture
    def group(self, stack, key):
        group = iam.Group(stack, "Group")
        group.add_to_policy(statement("kms:Decrypt", resource=key.key_arn))
        return group

    @pytest.fixture(params=["made", "made with a name", "imported"])
    def user(self, request, stack, group):
        if request.param == "imported":
            user = iam.User.from_user_name(stack, "User", "clerk")
        else:
            user = iam.User(stack, "User", user_name="clerk" if request.param == "made with a name" else None)
        user.add_to_group(group)
        return user

    def test_user_who_has_the_key_through_a_group_has_both_halves(self, user, stack, key, synth):
        named_in_key_policy(key, user, "kms:Decrypt")

        synth(stack)

    def test_statement_of_a_group_serves_a_member_whose_own_policy_is_elsewhere(self, user, stack, key, synth):
        key.grant_decrypt(user, key_policy_only=True)

        synth(stack)

    def test_statement_of_a_group_in_which_no_member_has_the_key_is_refused(self, user, stack, key, synth):
        assert user
        with pytest.raises(RuntimeError, match=rf"allows Stack/Group kms:Decrypt, which {DENIED}"):
            synth(stack)

    def test_action_that_the_group_does_not_have_is_refused(self, user, stack, key, synth):
        named_in_key_policy(key, user, "kms:Decrypt", "kms:Encrypt")

        with pytest.raises(RuntimeError, match=rf"kms:Encrypt, which {NO_IDENTITY}"):
            synth(stack)

    def test_role_is_in_no_group(self, stack, key, group, role, synth):
        assert group
        named_in_key_policy(key, role("User"), "kms:Decrypt")

        with pytest.raises(RuntimeError, match=rf"Stack/User kms:Decrypt, which {NO_IDENTITY}"):
            synth(stack)

    def test_user_of_another_group_has_no_half(self, stack, key, group, synth):
        assert group
        user = iam.User(stack, "User")
        user.add_to_group(iam.Group(stack, "Other"))
        named_in_key_policy(key, user, "kms:Decrypt")

        with pytest.raises(RuntimeError, match=rf"Stack/User kms:Decrypt, which {NO_IDENTITY}"):
            synth(stack)


NOTHING = {"Ref": "AWS::NoValue"}
DECRYPT = {"Effect": "Allow", "Action": "kms:Decrypt"}


class TestConditionsOfTheTemplate:
    """``Fn::If`` anywhere in an identity policy: what may be allowed counts, what no choice allows is refused."""

    @pytest.fixture
    def written(self, stack, key, role):
        """Write an identity policy of the role User as a template would, and return the role."""
        for name in ("Prod", "Test"):
            stage = cdk.Fn.condition_equals(cdk.Aws.STACK_NAME, name)
            cdk.CfnCondition(stack, name, expression=stage)
        user = role("User")

        def write(document, roles=None):
            iam.CfnPolicy(stack, "Policy", policy_name="own", policy_document=document, roles=roles or [user.role_name])
            return user

        return write

    @pytest.fixture
    def forms(self, key):
        arn = {"Resource": key.key_arn}
        return {
            "action": {
                "Statement": [{**DECRYPT, **arn, "Action": {"Fn::If": ["Prod", "kms:Decrypt", "sqs:SendMessage"]}}]
            },
            "actions": {"Statement": [{**DECRYPT, **arn, "Action": [{"Fn::If": ["Prod", ["kms:Decrypt"], NOTHING]}]}]},
            "resource": {"Statement": [{**DECRYPT, "Resource": {"Fn::If": ["Prod", key.key_arn, "arn:aws:s3:::it"]}}]},
            "effect": {"Statement": [{**DECRYPT, **arn, "Effect": {"Fn::If": ["Prod", "Allow", "Deny"]}}]},
            "statement": {"Statement": [{"Fn::If": ["Prod", {**DECRYPT, **arn}, NOTHING]}]},
            "statements": {"Statement": {"Fn::If": ["Prod", [{**DECRYPT, **arn}], []]}},
            "document": {"Fn::If": ["Prod", {"Statement": [{**DECRYPT, **arn}]}, {"Statement": []}]},
        }

    @pytest.mark.parametrize(
        "place", ["action", "actions", "resource", "effect", "statement", "statements", "document"]
    )
    def test_half_that_a_condition_chooses_counts(self, place, written, forms, stack, key, synth):
        named_in_key_policy(key, written(forms[place]), "kms:Decrypt")

        synth(stack)

    @pytest.mark.parametrize(
        "place", ["action", "actions", "resource", "effect", "statement", "statements", "document"]
    )
    def test_half_that_a_condition_chooses_needs_its_other_half(self, place, written, forms, stack, synth):
        written(forms[place])

        with pytest.raises(RuntimeError, match=rf"Stack/Policy allows Stack/User kms:Decrypt, which {DENIED}"):
            synth(stack)

    def test_form_that_no_deployment_may_have_is_not_refused(self, written, stack, key, synth):
        """Prod and Test exclude each other: the key is never named with kms:Encrypt."""
        statement = {
            "Effect": "Allow",
            "Action": {"Fn::If": ["Prod", "kms:Encrypt", "kms:Decrypt"]},
            "Resource": {"Fn::If": ["Test", key.key_arn, "arn:aws:kms:eu-west-1:111122223333:key/other"]},
        }
        named_in_key_policy(key, written({"Statement": [statement]}), "kms:Decrypt")

        synth(stack)

    def test_role_that_a_condition_chooses_counts(self, written, forms, stack, key, role, synth):
        other = role("Other")
        user = written(
            {"Statement": [{**DECRYPT, "Resource": key.key_arn}]},
            [cdk.Fn.condition_if("Prod", cdk.Aws.NO_VALUE, other.role_name).to_string()],
        )
        assert user
        named_in_key_policy(key, other, "kms:Decrypt")

        synth(stack)

    def test_key_policy_that_names_roles_by_a_condition_counts(self, stack, key, role, written, synth):
        user = written({"Statement": [{**DECRYPT, "Resource": key.key_arn}]})
        chosen = cdk.Fn.condition_if("Prod", user.role_arn, role("Other").role_arn).to_string()
        named_in_key_policy(key, chosen, "kms:Decrypt")

        with pytest.raises(RuntimeError, match=rf"allows Stack/Other kms:Decrypt, which {NO_IDENTITY}") as refused:
            synth(stack)
        assert "Stack/User" not in str(refused.value)


SERVICE_LINKED = (
    "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
)


def test_service_linked_role_as_principal_needs_no_other_half(stack, key, synth):
    key.add_to_resource_policy(
        iam.PolicyStatement(actions=["kms:Decrypt"], principals=[iam.ArnPrincipal(SERVICE_LINKED)], resources=["*"])
    )

    synth(stack)


def test_service_linked_role_by_condition_lacks_the_half_that_aws_writes(stack, key, synth):
    named_in_key_policy(key, SERVICE_LINKED, "kms:Decrypt")

    with pytest.raises(RuntimeError, match=rf"{NO_IDENTITY}.*key_policy_only=True"):
        synth(stack)


class TestUnknown:
    """What only the deployment knows may be the other half."""

    @pytest.mark.parametrize(
        "resource",
        [
            "arn:aws:kms:eu-west-1:111122223333:key/*",
            "arn:aws:kms:*:*:*",
            {"Fn::ImportValue": "KeyArn"},
            {"Fn::Sub": "arn:aws:kms:eu-west-1:111122223333:key/${Parameter}"},
            {"Ref": "Parameter"},
        ],
    )
    def test_statement_on_what_may_be_the_key_counts(self, resource, stack, key, role, synth):
        cdk.CfnParameter(stack, "Parameter")
        user = role("User")
        document = {"Statement": [{**DECRYPT, "Resource": resource}]}
        iam.CfnPolicy(stack, "Policy", policy_name="own", policy_document=document, roles=[user.role_name])
        named_in_key_policy(key, user, "kms:Decrypt")

        synth(stack)

    def test_statement_that_allows_all_but_some_actions_counts(self, stack, key, role, synth):
        user = role("User")
        user.add_to_policy(iam.PolicyStatement(not_actions=["iam:*"], resources=["*"]))
        named_in_key_policy(key, user, "kms:Decrypt")

        synth(stack)

    def test_statement_that_allows_all_but_kms_does_not_count(self, stack, key, role, synth):
        user = role("User")
        user.add_to_policy(iam.PolicyStatement(not_actions=["kms:*"], resources=["*"]))
        named_in_key_policy(key, user, "kms:Decrypt")

        with pytest.raises(RuntimeError, match=NO_IDENTITY):
            synth(stack)

    def test_unattached_policy_counts_since_it_may_be_attached_elsewhere(self, stack, key, role, synth):
        iam.ManagedPolicy(stack, "Policy", statements=[statement("kms:Decrypt", resource=key.key_arn)])
        named_in_key_policy(key, role("User"), "kms:Decrypt")

        synth(stack)

    def test_pattern_of_roles_in_the_key_policy_is_not_called_void(self, stack, key, synth):
        key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                principals=[iam.AccountRootPrincipal()],
                resources=["*"],
                conditions={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/app-*"}},
            )
        )

        synth(stack)

    def test_managed_policy_of_others_makes_it_a_warning(self, stack, key, role, synth):
        admin = iam.ManagedPolicy.from_aws_managed_policy_name("AdministratorAccess")
        named_in_key_policy(key, role("User", managed_policies=[admin]), "kms:Decrypt")

        synth(stack)
        assertions.Annotations.from_stack(stack).has_warning(
            "/Stack/Key", assertions.Match.string_like_regexp(NO_IDENTITY)
        )

    def test_managed_policy_without_kms_leaves_it_an_error(self, stack, key, role, synth):
        basic = iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSLambdaBasicExecutionRole")
        named_in_key_policy(key, role("User", managed_policies=[basic]), "kms:Decrypt")

        with pytest.raises(RuntimeError, match=NO_IDENTITY):
            synth(stack)
