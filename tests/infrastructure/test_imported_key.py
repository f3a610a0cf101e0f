"""Keys of other owners, by type: exact grants in IAM; what the owner must add is reported."""

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import assertions, aws_kms
from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

from kms_patterns import (
    EncryptionKey,
    HpkeReceiver,
    ImportedKey,
    KeyAgreement,
    KeyAgreementKey,
    KeyEncapsulationKey,
    KeyGrant,
    KeyWatch,
    MacKey,
    MacTokenIssuer,
    MessageAuthenticator,
    PublicKeyExport,
    ReEncryptor,
    ReplicaKey,
    RsaEncryptionKey,
    SecretCipher,
    Signer,
    SigningKey,
)
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
                },
                "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"},
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

    EncryptionKey(stack, "Key").grant_decrypt(role("Role", other))

    with pytest.raises(RuntimeError, match=r"Other/Role.*the resource's physical name must be explicit set"):
        app.synth()


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


ARN_OF_A_TYPE = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DEPLOYER = "arn:${AWS::Partition}:iam::111122223333:role/cdk-hnb659fds-cfn-exec-role-111122223333-eu-west-1"

TYPES = {
    EncryptionKey: ("grant_encrypt", "kms:Encrypt", "kms:Sign"),
    RsaEncryptionKey: ("grant_decrypt", "kms:Decrypt", "kms:GenerateDataKey"),
    SigningKey: ("grant_sign", "kms:Sign", "kms:Decrypt"),
    MacKey: ("grant_generate_mac", "kms:GenerateMac", "kms:GetPublicKey"),
    KeyAgreementKey: ("grant_derive_shared_secret", "kms:DeriveSharedSecret", "kms:Sign"),
    KeyEncapsulationKey: ("grant_decapsulate", "kms:Decapsulate", "kms:Decrypt"),
}


def actions(statement):
    return statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
class TestEveryType:
    def test_grant_is_exact_and_tells_the_owner(self, kind, stack, role, synth, role_statements):
        grant, action, _ = TYPES[kind]
        user, key = role("User", role_name="orders"), kind.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

        getattr(key, grant)(user)

        assert role_statements(synth(stack), stack, user) == [
            {"Effect": "Allow", "Action": action, "Resource": ARN_OF_A_TYPE}
        ]
        assert [actions(it) for it in key.owner_statements] == [[action]]
        assert [f"cannot change the policy of {ARN_OF_A_TYPE}. Its owner must add" in it for it in notices(stack)] == [
            True
        ]

    def test_operation_of_another_type_is_refused(self, kind, stack, role):
        _, _, foreign = TYPES[kind]
        with pytest.raises(GrantRefused, match=f"{foreign} refused: a key of this type cannot do it"):
            kind.from_key_arn(stack, "Key", ARN_OF_A_TYPE).grant_operations(role("User"), foreign)

    def test_alias_limits_the_grant_to_keys_that_carry_it(self, kind, stack, role, synth, role_statements):
        grant, action, _ = TYPES[kind]
        user = role("User")

        getattr(kind.from_alias(stack, "Key", "orders"), grant)(user)

        (statement,) = role_statements(synth(stack), stack, user)
        assert statement["Action"] == action
        assert statement["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/orders"}}
        assert str(statement["Resource"]).endswith(":kms:eu-west-1:111122223333:key/*']]}")

    def test_look_up_asks_at_synth_and_grants_what_it_found(self, kind, app, stack, role, synth, role_statements):
        grant, action, _ = TYPES[kind]
        user = role("User")

        key = kind.from_lookup(stack, "Key", alias_name="orders", return_dummy_key_on_missing=True)
        getattr(key, grant)(user)

        (statement,) = role_statements(synth(stack), stack, user)
        assert (statement["Action"], statement["Resource"]) == (action, stack.resolve(key.key_arn))
        manifest = json.loads((Path(app.synth().directory) / "manifest.json").read_text())
        assert [it["props"]["aliasName"] for it in manifest["missing"]] == ["alias/orders"]

    def test_arn_of_an_alias_is_refused(self, kind, stack):
        with pytest.raises(KeyConfigurationError, match="is not a KMS key ARN"):
            kind.from_key_arn(stack, "Key", ARN_OF_A_TYPE.replace("key/", "alias/"))


def test_replica_of_another_app_is_of_a_type_that_is_not_said(stack, role):
    key = ReplicaKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

    key.grant_operations(role("User"), "kms:Sign")

    assert isinstance(key, ImportedKey)


def test_conditions_and_pins_stand_in_both_halves(stack, role, synth, role_statements):
    user = role("User")
    key = SigningKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

    key.grant_sign(user, algorithms=["ECDSA_SHA_256"], message_types=["DIGEST"], via_service="lambda")

    expected = {
        "kms:MessageType": "DIGEST",
        "kms:SigningAlgorithm": "ECDSA_SHA_256",
        "kms:ViaService": "lambda.eu-west-1.amazonaws.com",
    }
    assert role_statements(synth(stack), stack, user)[0]["Condition"] == {"StringEquals": expected}
    assert key.owner_statements[0]["Condition"]["StringEquals"] == expected


@pytest.mark.parametrize("unknown", ["SYMMETRIC_DEFAULT", "ECDSA_SHA_256"])
def test_algorithm_that_no_key_of_the_usage_knows_is_refused(unknown, stack, role):
    with pytest.raises(GrantRefused, match="so no request would match"):
        RsaEncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE).grant_decrypt(role("User"), algorithms=[unknown])


def test_demand_for_a_context_that_the_type_has_not_is_refused(stack, role):
    with pytest.raises(GrantRefused, match="only symmetric encryption keys have one"):
        MacKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE).grant_operations(
            role("User"), "kms:GenerateMac", encryption_context={"a": "b"}
        )


def test_same_statement_is_told_once_and_another_gets_an_id_of_its_own(stack, role):
    key, user = EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE), role("User")

    for tenant in ("a", "a", "b"):
        key.grant_decrypt(user, encryption_context={"tenant": tenant})

    assert len({it["Sid"] for it in key.owner_statements}) == len(key.owner_statements) == 2


def test_bucket_under_an_imported_key_grants_exactly_and_tells_the_owner(stack, role, synth, role_statements):
    user, key = role("User", role_name="orders"), EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)
    bucket.grant_read_write(user)

    template = synth(stack)
    (made,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::S3::Bucket"]
    (rule,) = made["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "KMSMasterKeyID": ARN_OF_A_TYPE,
        "SSEAlgorithm": "aws:kms",
    }
    (on_key,) = [it for it in role_statements(template, stack, user) if it["Resource"] == ARN_OF_A_TYPE]
    assert actions(on_key) == ["kms:Decrypt", "kms:GenerateDataKey"]
    (told,) = key.owner_statements
    assert [assertion for assertion in notices(stack) if "cannot change the policy" in assertion]
    assert actions(told) == actions(on_key)
    assert told["Condition"] == {"ArnEquals": {"aws:PrincipalArn": stack.resolve(user.role_arn)}}


def test_secret_under_an_imported_key_is_read_through_secrets_manager(stack, role, synth, role_statements):
    user, key = role("User"), EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

    secretsmanager.Secret(stack, "Secret", encryption_key=key).grant_read(user)

    via = {"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}}
    (on_key,) = [it for it in role_statements(synth(stack), stack, user) if it["Resource"] == ARN_OF_A_TYPE]
    assert (on_key["Action"], on_key["Condition"]) == ("kms:Decrypt", via)
    reader, deployer = key.owner_statements
    assert deployer["Condition"] == {"ArnEquals": {"aws:PrincipalArn": {"Fn::Sub": DEPLOYER}}, **via}
    assert (reader["Action"], reader["Condition"]["StringEquals"]) == (["kms:Decrypt"], via["StringEquals"])


def test_table_under_an_imported_key_grants_exactly(stack, role, synth, role_statements):
    user, key = role("User"), EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)
    partition = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)

    dynamodb.Table(stack, "Table", partition_key=partition, encryption_key=key).grant_read_data(user)

    (on_key,) = [it for it in role_statements(synth(stack), stack, user) if it["Resource"] == ARN_OF_A_TYPE]
    assert actions(on_key) == ["kms:Decrypt"]
    via = {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"}
    deployer, minting = key.owner_statements[-2:]
    assert deployer["Condition"]["StringEquals"] == minting["Condition"]["StringEquals"] == via
    assert actions(minting) == ["kms:CreateGrant"]


def test_resource_without_a_grant_tells_what_its_creation_needs_as_a_notice(stack):
    key = EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

    backup.BackupVault(stack, "Vault", encryption_key=key)

    (creation, minting) = notices(stack)
    assert ("kms:RetireGrant" in creation, "kms:GrantIsForAWSResource" in minting) == (True, True)
    assert "cdk-hnb659fds-cfn-exec-role" in creation


def test_resource_under_an_imported_key_of_another_type_is_refused(stack, synth):
    backup.BackupVault(stack, "Vault", encryption_key=MacKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE))

    with pytest.raises(RuntimeError, match="takes symmetric keys only"):
        synth(stack)


def test_service_that_acts_for_itself_is_told_with_its_source(stack, synth):
    key = EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)
    queue = sqs.Queue(stack, "Queue", encryption_master_key=key)

    s3.Bucket(stack, "Bucket").add_event_notification(s3.EventType.OBJECT_CREATED, notifications.SqsDestination(queue))

    synth(stack)
    assert key.owner_statements
    for told in key.owner_statements:
        assert told["Principal"] == {"Service": "s3.amazonaws.com"}
        assert sorted(actions(told)) == ["kms:Decrypt", "kms:GenerateDataKey"]
        assert "aws:Source" in str(told["Condition"])


def test_other_type_under_a_service_is_refused(stack, role):
    queue = sqs.Queue(stack, "Queue", encryption_master_key=SigningKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE))

    with pytest.raises(Exception, match="a key of this type cannot do it"):
        queue.grant_send_messages(role("User"))


def test_statement_of_the_app_is_told_if_it_is_exact(stack):
    key = EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE)
    exact = {"principals": [iam.ServicePrincipal("sns.amazonaws.com")], "resources": ["*"]}
    source = {"StringEquals": {"aws:SourceAccount": "111122223333"}}

    added = key.add_to_resource_policy(iam.PolicyStatement(actions=["kms:Decrypt"], conditions=source, **exact))

    assert (added.statement_added, [actions(it) for it in key.owner_statements]) == (False, [["kms:Decrypt"]])
    with pytest.raises(GrantRefused, match="allows more than anyone can list"):
        key.add_to_resource_policy(iam.PolicyStatement(actions=["kms:*"], **exact))


def test_constructs_see_account_region_and_id_of_the_key(stack, synth):
    key = EncryptionKey.from_key_arn(stack, "Key", ARN_OF_A_TYPE.replace("eu-west-1", "us-east-1"))

    assert (key.env.account, key.env.region, key.key_id) == (
        "444455556666",
        "us-east-1",
        ARN_OF_A_TYPE.rpartition("/")[2],
    )
    cdk.CfnOutput(stack, "Id", value=key.key_id)
    key.add_alias("orders")
    (alias,) = [it for it in synth(stack)["Resources"].values() if it["Type"] == "AWS::KMS::Alias"]
    assert alias["Properties"]["AliasName"] == "alias/Stack/orders"


def test_plain_look_up_of_the_cdk_is_what_ours_replace():
    """The non-compliant twin: a key by ``kms.Key`` drops what it cannot write, and says nothing."""
    stack = cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    user = iam.Role(stack, "User", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    key = kms.Key.from_key_arn(stack, "Key", ARN_OF_A_TYPE)

    secretsmanager.Secret(stack, "Secret", encryption_key=key).grant_read(user)

    template = assertions.Template.from_stack(stack).to_json()
    assert "kms:Decrypt" not in str(template)
    assert notices(stack) == []


@pytest.mark.parametrize(("kind", "pattern"), [
    (EncryptionKey, lambda scope, key: KeyWatch(scope, "P", keys=[key], encryption_key=key)),
    (EncryptionKey, lambda scope, key: KeyGrant(scope, "P", key=key, operations=["Decrypt"],
                                                grantee=iam.User.from_user_name(scope, "U", "u"))),
    (KeyEncapsulationKey, lambda scope, key: HpkeReceiver(scope, "P", encapsulation_key=key, purpose="orders")),
    (KeyAgreementKey, lambda scope, key: KeyAgreement(scope, "P", agreement_key=key, purpose="orders")),
    (MacKey, lambda scope, key: MessageAuthenticator(scope, "P", mac_key=key)),
    (MacKey, lambda scope, key: MacTokenIssuer(scope, "P", mac_key=key, issuer="https://a", audiences=["b"])),
    (SigningKey, lambda scope, key: Signer(scope, "P", signing_key=key)),
    (SigningKey, lambda scope, key: PublicKeyExport(scope, "P", keys={"k": key})),
    (RsaEncryptionKey, lambda scope, key: SecretCipher(scope, "P", encryption_key=key)),
    (RsaEncryptionKey, lambda scope, key: ReEncryptor(scope, "P", source_key=key, any_source_context=True,
                                                      destination_key=EncryptionKey(scope, "D"),
                                                      required_destination_context=["tenant"])),
])  # fmt: skip
def test_pattern_that_needs_a_key_of_the_app_refuses_an_imported_one(kind, pattern, stack):
    key = kind.from_key_arn(stack, "Key", ARN)

    with pytest.raises(GrantRefused, match="give a key that this app makes") as refusal:
        pattern(stack, key)

    assert isinstance(refusal.value, KeyConfigurationError)


def test_alias_of_an_aws_managed_key_is_refused_since_its_policy_is_not_the_accounts(stack):
    """aws-cdk#5953"""
    with pytest.raises(KeyConfigurationError, match=r"AWS managed key.*no grant can be written.*from_alias_name"):
        EncryptionKey.from_alias(stack, "Key", "alias/aws/s3")


@pytest.mark.parametrize("literal", [False, True])
def test_resource_under_a_key_by_its_alias_tells_the_owner_what_its_creation_needs(literal):
    app = cdk.App(context={"@aws-cdk/core:enablePartitionLiterals": literal})
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account="111122223333", region="eu-west-1"))

    backup.BackupVault(stack, "Vault", encryption_key=EncryptionKey.from_alias(stack, "Key", "orders"))

    assert any("kms:RetireGrant" in text for text in notices(stack))
