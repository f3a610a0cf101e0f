"""Values that KMS would refuse at deployment are refused at synth; values at the limits are not."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.key_properties import check_pending_window, check_rotation_period


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
    assert (properties["KeySpec"], properties["KeyUsage"]) == ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")


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

    check_pending_window(unknown)
    check_rotation_period(unknown)


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
    for number in range(140):
        key.grant_decrypt(imported(stack, number), required_context=[f"order-{number}"])

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
