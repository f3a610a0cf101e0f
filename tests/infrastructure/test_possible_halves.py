"""The other half of a permission may be in a group, behind a condition of the template, or known at deployment only."""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey

DENIED = "the key policy does not: the call would end in AccessDeniedException"
NO_IDENTITY = "no policy of that role or user does"


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def statement(*actions, resource="*"):
    return iam.PolicyStatement(actions=list(actions), resources=[resource])


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
