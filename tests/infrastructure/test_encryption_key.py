"""An EncryptionKey: the policies of it and of its users, and the values that are refused when they are given."""

import re

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns

from kms_patterns import EncryptionKey, ImportedKey, KeyAccess, KeyLifecycle, MacKey, ReplicaKey, SigningKey
from kms_patterns.keys.errors import ArgumentRefused, GrantRefused, KeyConfigurationError
from kms_patterns.keys.key_properties import PENDING_WINDOW_DAYS, ROTATION_DAYS, check_days

ROOT = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::111122223333:root"]]}
ADMINISTRATION = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
ACCOUNT_ADMINISTRATION = {
    "Sid": "AccountAdministration",
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": ADMINISTRATION,
    "Resource": "*",
}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def key_arn(stack, key):
    return stack.resolve(key.key_arn)


def test_without_grants_the_account_may_administer_and_nobody_may_use(stack, key, synth, key_statements):
    assert key_statements(synth(stack)) == [ACCOUNT_ADMINISTRATION]


@pytest.mark.parametrize(
    ("method", "actions"),
    [
        ("grant_encrypt", ["kms:Encrypt"]),
        ("grant_decrypt", ["kms:Decrypt"]),
        ("grant_encrypt_decrypt", ["kms:Decrypt", "kms:Encrypt"]),
        ("grant_generate_data_key", ["kms:GenerateDataKey"]),
        ("grant_generate_data_key_without_plaintext", ["kms:GenerateDataKeyWithoutPlaintext"]),
        ("grant_re_encrypt_from", ["kms:ReEncryptFrom"]),
        ("grant_re_encrypt_to", ["kms:ReEncryptTo"]),
        ("grant_admin", ADMINISTRATION),
    ],
)
def test_each_grant_writes_its_exact_actions_into_both_policies(
    method, actions, stack, key, role, synth, key_statements, role_statements, named
):
    user = role("User")

    grant = getattr(key, method)(user)

    template = synth(stack)
    written = actions if len(actions) > 1 else actions[0]
    assert grant.success
    assert key_statements(template) == [ACCOUNT_ADMINISTRATION, named(user, actions)]
    assert role_statements(template, stack, user) == [
        {"Effect": "Allow", "Action": written, "Resource": key_arn(stack, key)}
    ]


def test_every_condition_stands_in_both_policies(stack, key, role, synth, key_statements, role_statements, named):
    user = role("User")
    conditions = {
        "StringEquals": {
            "kms:EncryptionContext:tenant": "a",
            "kms:ViaService": "s3.eu-west-1.amazonaws.com",
            "aws:SourceVpc": "vpc-1",
        },
        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"},
        "ForAnyValue:StringLike": {"kms:EncryptionContextKeys": "purpose"},
    }

    key.grant_decrypt(
        user,
        encryption_context={"tenant": "a"},
        required_context=["purpose"],
        via_service="s3",
        conditions={"StringEquals": {"aws:SourceVpc": "vpc-1"}},
    )

    template = synth(stack)
    assert key_statements(template) == [ACCOUNT_ADMINISTRATION, named(user, ["kms:Decrypt"], conditions)]
    assert role_statements(template, stack, user) == [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key_arn(stack, key), "Condition": conditions}
    ]


def test_resource_can_wait_for_both_halves(stack, key, role, synth):
    topic = sns.Topic(stack, "Topic")

    key.grant_decrypt(role("User")).apply_before(topic)

    (waiting,) = [item for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::SNS::Topic"]
    assert sorted(re.sub(r"[0-9A-F]{8}$", "", name) for name in waiting["DependsOn"]) == ["Key", "UserDefaultPolicy"]


def test_conditions_that_no_request_can_meet_are_refused(key, role):
    with pytest.raises(GrantRefused, match="cannot be both 'a' and 'b'"):
        key.grant_decrypt(
            role("User"),
            encryption_context={"tenant": "a"},
            conditions={"StringEquals": {"kms:EncryptionContext:tenant": "b"}},
        )


def test_repeated_grants_extend_one_statement(stack, key, role, synth, key_statements, role_statements, named):
    user = role("User")

    key.grant_encrypt(user)
    key.grant_decrypt(user)
    key.grant_decrypt(user)

    template = synth(stack)
    assert key_statements(template)[1:] == [named(user, ["kms:Decrypt", "kms:Encrypt"])]
    assert [statement["Action"] for statement in role_statements(template, stack, user)] == [
        ["kms:Decrypt", "kms:Encrypt"]
    ]


def test_other_conditions_are_another_statement_so_that_none_widens_the_other(
    stack, key, role, synth, key_statements, named
):
    user = role("User")
    tenant = {
        "StringEquals": {"kms:EncryptionContext:tenant": "a"},
        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"},
    }

    key.grant_encrypt(user, encryption_context={"tenant": "a"})
    key.grant_decrypt(user)
    key.grant_decrypt(user, encryption_context={"tenant": "a"})

    assert key_statements(synth(stack))[1:] == [
        named(user, ["kms:Decrypt", "kms:Encrypt"], tenant),
        named(user, ["kms:Decrypt"], ordinal=2),
    ]


def test_a_grant_that_its_caller_narrowed_does_not_narrow_the_next(stack, key, role, synth, role_statements):
    user = role("User")
    source = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}

    key.grant_encrypt(user).principal_statement.add_conditions(source)
    key.grant_decrypt(user)

    assert [(it["Action"], it.get("Condition")) for it in role_statements(synth(stack), stack, user)] == [
        ("kms:Encrypt", source),
        ("kms:Decrypt", None),
    ]


def test_administrators_get_no_operation_of_users(stack, role, synth, key_statements, named):
    security = role("Security")

    EncryptionKey(stack, "Key", administrators=[security])

    granted = key_statements(synth(stack))
    assert granted == [ACCOUNT_ADMINISTRATION, named(security, ADMINISTRATION)]


def test_use_and_administration_by_one_role_stay_two_statements(stack, key, role, synth, key_statements, named):
    both = role("Both")

    key.grant_admin(both)
    key.grant_decrypt(both)

    assert key_statements(synth(stack))[1:] == [
        named(both, ADMINISTRATION),
        named(both, ["kms:Decrypt"], ordinal=2),
    ]


def test_a_delegated_key_keeps_the_default_policy_and_grants_in_iam_only(
    stack, role, synth, key_statements, role_statements
):
    user = role("User")
    key = EncryptionKey(stack, "Key", access=KeyAccess.DELEGATED)

    key.grant_decrypt(user)

    template = synth(stack)
    assert key_statements(template) == [
        {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    ]
    assert role_statements(template, stack, user) == [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key_arn(stack, key)}
    ]


def test_no_wildcard_action_and_no_wildcard_identity_resource(stack, key, role, synth, key_statements, role_statements):
    user = role("User")
    for method in dir(EncryptionKey):
        if method.startswith("grant_") and method not in {
            *(
                "grant_operations",
                "grant_pinned",
                "grant_create_grant",
                "grant_sign",
                "grant_verify",
                "grant_sign_verify",
            ),
            *("grant_generate_mac", "grant_verify_mac"),
        }:
            getattr(key, method)(user)

    template = synth(stack)
    in_key, in_role = key_statements(template), role_statements(template, stack, user)
    actions = [action for it in in_key + in_role for action in as_list(it["Action"])]
    assert [action for action in actions if "*" in action] == []
    assert [it for it in in_role if it["Resource"] == "*"] == []
    assert "kms:CreateGrant" not in actions


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_snapshot(stack, role, synth, snapshot_of):
    key = EncryptionKey(stack, "Key", alias="orders/data", administrators=[role("Security")])
    key.grant_encrypt(role("Writer"), required_context=["tenant"])
    key.grant_decrypt(role("Reader"), required_context=["tenant"])

    snapshot_of(synth(stack))


def only_key(template):
    return next(item["Properties"] for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key")


def aliases(template):
    return [
        item["Properties"]["AliasName"] for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Alias"
    ]


def test_rotation_is_on_by_default(stack, synth):
    EncryptionKey(stack, "Key")

    properties = only_key(synth(stack))
    assert properties["EnableKeyRotation"] is True
    assert {"KeySpec", "KeyUsage", "Enabled"}.isdisjoint(properties), "a migrated kms.Key has none of them"


@pytest.mark.parametrize("days", [90, 2560])
def test_rotation_period_within_the_limits_is_taken(days, stack, synth):
    EncryptionKey(stack, "Key", rotation_period=cdk.Duration.days(days))

    assert only_key(synth(stack))["RotationPeriodInDays"] == days


@pytest.mark.parametrize("days", [89, 2561])
def test_rotation_period_out_of_the_limits_is_refused(days, stack):
    with pytest.raises(KeyConfigurationError, match=rf"rotation_period is {days} days: .* 90 to 2560"):
        EncryptionKey(stack, "Key", rotation_period=cdk.Duration.days(days))


def test_rotation_period_of_part_days_is_refused(stack):
    with pytest.raises(KeyConfigurationError, match=r"rotation_period is 90\.5 days"):
        EncryptionKey(stack, "Key", rotation_period=cdk.Duration.hours(90 * 24 + 12))


@pytest.mark.parametrize("days", [7, 30])
def test_pending_window_within_the_limits_is_taken(days, stack, synth):
    EncryptionKey(stack, "Key", pending_window=cdk.Duration.days(days))

    assert only_key(synth(stack))["PendingWindowInDays"] == days


@pytest.mark.parametrize("days", [6, 31])
def test_pending_window_out_of_the_limits_is_refused(days, stack):
    with pytest.raises(KeyConfigurationError, match=rf"pending_window is {days} days: .* 7 to 30"):
        EncryptionKey(stack, "Key", pending_window=cdk.Duration.days(days))


def test_durations_known_only_at_deployment_are_not_judged():
    unknown = cdk.Duration.days(cdk.Token.as_number({"Ref": "Window"}))

    check_days("pending_window", unknown, PENDING_WINDOW_DAYS)
    check_days("rotation_period", unknown, ROTATION_DAYS)


@pytest.mark.parametrize(
    ("given", "made"),
    [("orders/data", "alias/Stack/orders/data"), ("alias/orders/data", "alias/orders/data")],
)
def test_alias_is_scoped_to_its_stack_unless_given_in_full(given, made, stack, synth):
    EncryptionKey(stack, "Key", alias=given)

    assert aliases(synth(stack)) == [made]


@pytest.mark.parametrize("bad", ["", "alias/", "orders data", "orders.data", "Größe", "a:b", "x" * 251])
def test_alias_with_other_characters_or_length_is_refused(bad, stack):
    with pytest.raises(KeyConfigurationError, match="InvalidAliasNameException"):
        EncryptionKey(stack, "Key", alias=bad)


@pytest.mark.parametrize("reserved", ["aws/s3", "alias/aws/s3", "AWS/s3"])
def test_reserved_alias_is_refused(reserved, stack):
    with pytest.raises(KeyConfigurationError, match="reserved for AWS managed keys"):
        EncryptionKey(stack, "Key", alias=reserved)


def test_longest_alias_is_taken(stack, synth):
    EncryptionKey(stack, "Key", alias="alias/" + "x" * 250)

    assert aliases(synth(stack)) == ["alias/" + "x" * 250]


def test_alias_that_is_too_long_with_its_stack_is_refused(stack):
    with pytest.raises(KeyConfigurationError, match="InvalidAliasNameException"):
        EncryptionKey(stack, "Key", alias="x" * 245)


def test_alias_known_only_at_deployment_is_not_judged(stack):
    EncryptionKey(stack, "Key", alias=f"alias/{cdk.Aws.STACK_NAME}")


def test_second_alias_is_checked_and_follows_the_key(stack, synth):
    key = EncryptionKey(stack, "Key", alias="one", aliases=["alias/two"])
    key.add_alias("three")

    with pytest.raises(KeyConfigurationError):
        key.add_alias("aws/four")
    assert aliases(synth(stack)) == ["alias/Stack/one", "alias/two", "alias/Stack/three"]


def test_key_policy_below_32_kib_is_taken(stack, synth):
    key = EncryptionKey(stack, "Key")
    for number in range(60):
        key.grant_decrypt(imported(stack, number), required_context=[f"order-{number}"])

    synth(stack)


def test_key_takes_300_roles_that_are_granted_the_same(stack, synth, key_statements):
    key = EncryptionKey(stack, "Key")
    for number in range(300):
        key.grant_decrypt(imported(stack, number))

    (grant,) = key_statements(synth(stack))[1:]

    assert len(set(grant["Condition"]["ArnEquals"]["aws:PrincipalArn"])) == 300


def test_key_policy_over_32_kib_is_refused(stack, synth):
    key = EncryptionKey(stack, "Key")
    for number in range(30):
        key.grant_decrypt(imported(stack, number), required_context=[f"order-{number:01000}"])

    with pytest.raises(RuntimeError, match=r"the key policy has about \d+ bytes, KMS takes 32768.* \(KeyGrant\)"):
        synth(stack)


def test_two_statements_with_one_sid_are_refused(stack, synth):
    key = EncryptionKey(stack, "Key")
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AccountAdministration",
            principals=[iam.ServicePrincipal("logs.eu-west-1.amazonaws.com")],
            actions=["kms:Decrypt"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": "111122223333"}},
        )
    )

    with pytest.raises(RuntimeError, match="Sid AccountAdministration occurs 2 times"):
        synth(stack)


def imported(stack, number):
    return iam.Role.from_role_arn(stack, f"Role{number}", f"arn:aws:iam::111122223333:role/role-{number}")


def test_key_for_imported_material_is_external_and_does_not_rotate(stack, synth):
    EncryptionKey(stack, "Key", imported_material=True)

    properties = only_key(synth(stack))
    assert properties["Origin"] == "EXTERNAL"
    assert "EnableKeyRotation" not in properties
    assert set(properties["KeyPolicy"]["Statement"][0]["Action"]) >= {
        "kms:DeleteImportedKeyMaterial",
        "kms:GetParametersForImport",
        "kms:ImportKeyMaterial",
    }


def test_rotation_on_demand_is_for_administrators_of_keys_that_ask_for_it(stack, synth):
    EncryptionKey(stack, "Key", on_demand_rotation=True)

    assert "kms:RotateKeyOnDemand" in only_key(synth(stack))["KeyPolicy"]["Statement"][0]["Action"]


def test_tags_are_those_given(stack, synth):
    EncryptionKey(stack, "Key", tags={"team": "orders"})

    assert only_key(synth(stack))["Tags"] == [{"Key": "team", "Value": "orders"}]


def test_description_and_state_are_the_given_ones(stack, synth):
    EncryptionKey(stack, "Key", description="Orders of the shop", enabled=False)

    (made,) = (item for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::KMS::Key")
    assert (made["Properties"]["Description"], made["Properties"]["Enabled"]) == ("Orders of the shop", False)


def test_key_of_a_nested_stack_has_several_aliases_below_its_name(stack, synth):
    nested = cdk.NestedStack(stack, "Nested")

    EncryptionKey(nested, "Key", alias="orders", aliases=["data", "alias/full"])

    assert [str(name).split("/")[-1].rstrip("]}'") for name in aliases(synth(nested))] == ["orders", "data", "full"]


def test_alias_given_twice_is_refused(stack):
    with pytest.raises(KeyConfigurationError, match=r"alias 'alias/Stack/orders' is given twice"):
        EncryptionKey(stack, "Key", alias="orders", aliases=["alias/Stack/orders"])


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"description": "x" * 8193}, "description has 8193 characters: KMS takes 8192"),
        ({"tags": {f"tag{one}": "" for one in range(51)}}, "tags 51: KMS takes 50"),
        ({"tags": {"aws:owner": "a", "owner": "b"}}, r"tags \['aws:owner'\]"),
        ({"tags": {"": "a", "x" * 129: "b", "long": "y" * 257}}, r"tags \['', 'x+', 'long'\]"),
    ],
)
def test_description_and_tags_out_of_the_limits_are_refused(properties, reason, stack):
    with pytest.raises(KeyConfigurationError, match=reason):
        EncryptionKey(stack, "Key", **properties)


def test_description_and_tags_at_the_limits_are_taken(stack, synth):
    tags = {f"tag{one}": "v" * 256 for one in range(49)} | {"x" * 128: ""}

    EncryptionKey(stack, "Key", description="x" * 8192, tags=tags)

    assert len(only_key(synth(stack))["Tags"]) == 50


ROLE_ARN = "arn:aws:iam::444455556666:role/orders"


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey, MacKey])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"access": "named"}, "access='named': give KeyAccess.NAMED"),
        ({"access": "DELEGATED"}, "access='DELEGATED': give KeyAccess.DELEGATED"),
        ({"access": None}, "give KeyAccess.NAMED or KeyAccess.DELEGATED"),
        ({"lifecycle": cdk.RemovalPolicy.DESTROY}, "give KeyLifecycle.RETAIN or KeyLifecycle.EPHEMERAL"),
        ({"lifecycle": "ephemeral"}, "give KeyLifecycle.EPHEMERAL"),
        ({"pending_window": 7}, r"pending_window=7: give a Duration, such as Duration.days\(7\)"),
        ({"alias": True}, "alias=True: give text, not bool"),
        ({"aliases": "orders"}, r"each letter would be a name; give a list: \['orders'\]"),
        ({"aliases": [1]}, "give a list of text: 1 is not one"),
        ({"administrators": ROLE_ARN}, r"give a list of roles or users \(iam.IGrantable\)"),
        ({"administrators": [ROLE_ARN]}, r"roles or users .*: 'arn:.*' is not one"),
        ({"tags": {"orders": 1}}, "give a mapping of text to text, not {'orders': 1}"),
        ({"tags": "orders"}, "give a mapping of text to text, not str"),
        ({"enabled": "false"}, "enabled='false': give True or False, not str"),
        ({"multi_region": "no"}, "multi_region='no': give True or False, not str"),
        ({"perimeter": 111122223333}, "perimeter=111122223333: give text, not int"),
    ],
)
def test_property_of_a_key(kind, options, message, stack):
    with pytest.raises(ArgumentRefused, match=message):
        kind(stack, "Key", **options)


def test_unknown_property_of_a_key(stack):
    with pytest.raises(TypeError, match=r"no argument acess; it has .*access"):
        EncryptionKey(stack, "Key", acess=KeyAccess.NAMED)


def test_property_of_one_type_of_key(stack):
    with pytest.raises(KeyConfigurationError, match=r"rotation_period='180': give a Duration, such as .*days\(180\)"):
        EncryptionKey(stack, "Key", rotation_period="180")
    with pytest.raises(ArgumentRefused, match=r"key_spec='ECC_NIST_P384': give KeySpec.ECC_NIST_P384$"):
        SigningKey(stack, "Signing", key_spec="ECC_NIST_P384")
    with pytest.raises(ArgumentRefused, match=r"primary_key=<.*Key object.*: give CustomerManagedKey, not Key"):
        ReplicaKey(stack, "Replica", primary_key=kms.Key(stack, "Theirs"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key, _: key.grant_decrypt(ROLE_ARN), "no policy can be attached to an iam.ArnPrincipal.*from_role_arn"),
        (lambda key, _: key.grant(ROLE_ARN, "kms:Decrypt"), "grant: grantee='arn.*from_role_arn"),
        (lambda key, _: key.grant_admin(ROLE_ARN), "grant_admin: grantee='arn.*from_role_arn"),
        (lambda key, role: key.grant_operations(role, ["kms:Decrypt"]), "give the values one by one"),
        (lambda key, role: key.grant_decrypt(role, encryption_context="a"), "encryption_context='a': give a mapping"),
        (lambda key, role: key.grant_decrypt(role, encryption_context={"a": 1}), "not {'a': 1}"),
        (lambda key, role: key.grant_decrypt(role, required_context="tenant"), r"each letter .*\['tenant'\]"),
        (lambda key, role: key.grant_decrypt(role, via_service=["s3"]), "give the values one by one"),
        (
            lambda key, role: key.grant_decrypt(role, conditions={"Bool": "true"}),
            "conditions=.*: give a mapping",
        ),
        (
            lambda key, role: key.grant_generate_data_key_pair(role, pair_specs="RSA_2048"),
            "pair_specs='RSA_.*list",
        ),
        (lambda key, role: key.grant_create_grant(role, operations="Decrypt"), r"operations='Decrypt'.*\['Decrypt'\]"),
        (lambda key, role: key.allow_use_through("s3", role, create="yes"), "create='yes': give True or False"),
        (lambda key, _: key.allow_service(iam.ServicePrincipal("s3.amazonaws.com")), "service=.*: give text"),
        (lambda key, _: key.add_alias(["orders"]), "give the values one by one"),
    ],
)
@pytest.mark.parametrize("access", KeyAccess)
def test_argument_of_a_grant(access, call, message, stack, role):
    with pytest.raises(GrantRefused, match=message):
        call(EncryptionKey(stack, "Key", access=access, lifecycle=KeyLifecycle.EPHEMERAL), role("User"))


def test_argument_of_a_grant_on_a_key_of_another_owner(stack, role):
    arn = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    with pytest.raises(ArgumentRefused, match="key_arn=1: give text, not int"):
        ImportedKey.from_key_arn(stack, "Number", 1)
    with pytest.raises(ArgumentRefused, match=r"algorithms='ECDSA_SHA_256'.*list"):
        SigningKey.from_key_arn(stack, "Key", arn).grant_sign(role("User"), algorithms="ECDSA_SHA_256")


def test_operation_without_its_prefix_is_named_with_it(stack, role):
    with pytest.raises(GrantRefused, match="Decrypt refused: it has no prefix; write 'kms:Decrypt'"):
        EncryptionKey(stack, "Key").grant_operations(role("User"), "Decrypt")


def test_tokens_are_what_they_stand_for(stack, role, synth):
    account, alias = cdk.CfnParameter(stack, "Account"), cdk.CfnParameter(stack, "Alias")

    key = EncryptionKey(stack, "Key", perimeter=account.value_as_string, description=alias.value_as_string)
    key.grant_decrypt(role("User"), encryption_context={"tenant": alias.value_as_string})

    synth(stack)


def test_names_of_the_context_count_as_they_are_spelt(stack, key, role, synth, key_statements):
    """Conditions on ``kms:EncryptionContext:`` are met by other cases of the name, which KMS tells apart."""
    key.grant_decrypt(
        role("User"), encryption_context={"tenant": "a", "*$": "b"}, required_context=["c", "tenant", "e", "g", "h"]
    )

    condition = key_statements(synth(stack))[1]["Condition"]
    assert {
        operator: it["kms:EncryptionContextKeys"] for operator, it in condition.items() if "ForAny" in operator
    } == {
        "ForAnyValue:StringEquals": "tenant",
        "ForAnyValue:StringLike": "${*}${$}",
        "ForAnyValue:StringEqualsIfExists": "c",
        "ForAnyValue:StringLikeIfExists": "e",
    }
    assert condition["Null"] == {"kms:EncryptionContext:g": "false", "kms:EncryptionContext:h": "false"}
