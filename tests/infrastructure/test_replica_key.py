"""Replicas of multi-Region keys: one per Region, used and granted like their primary, with a policy of their own."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptedBucket, EncryptionKey, MacKey, ReplicaKey, SigningKey
from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError
from kms_patterns.keys.synth.deployment_role import deployment_role_arn


@pytest.fixture
def home(app):
    env = cdk.Environment(account="111122223333", region="eu-west-1")
    return cdk.Stack(app, "Home", env=env, cross_region_references=True)


@pytest.fixture
def away(app):
    env = cdk.Environment(account="111122223333", region="us-east-1")
    return cdk.Stack(app, "Away", env=env, cross_region_references=True)


def replica_of(template):
    (found,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::ReplicaKey"]
    return found


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey, MacKey])
def test_replica_has_the_properties_of_a_replica_only_and_the_type_of_its_primary(kind, home, away, synth):
    replica = ReplicaKey(away, "Key", primary_key=kind(home, "Key", multi_region=True), description="of orders")

    properties = replica_of(synth(away))["Properties"]
    assert isinstance(replica, kind)
    assert isinstance(replica, ReplicaKey)
    assert sorted(properties) == ["Description", "Enabled", "KeyPolicy", "PrimaryKeyArn"]
    assert "ExportsReader" in str(properties["PrimaryKeyArn"])


def test_primary_is_multi_region_and_may_be_replicated_by_administrators(home, synth):
    EncryptionKey(home, "Key", multi_region=True)

    (key,) = synth(home)["Resources"].values()
    assert key["Properties"]["MultiRegion"] is True
    assert {"kms:ReplicateKey", "kms:UpdatePrimaryRegion"} <= set(
        key["Properties"]["KeyPolicy"]["Statement"][0]["Action"]
    )


def replication_denied(template):
    (key,) = [it for it in template["Resources"].values() if it["Type"] in {"AWS::KMS::Key", "AWS::KMS::ReplicaKey"}]
    denials = [it for it in key["Properties"]["KeyPolicy"]["Statement"] if it["Action"] == "kms:ReplicateKey"]
    return [(it["Effect"], it["Principal"], it["Condition"]) for it in denials]


def beyond(regions, roles):
    return [
        ("Deny", {"AWS": "*"}, {"StringNotEquals": {"kms:ReplicaRegion": regions}}),
        ("Deny", {"AWS": "*"}, {"ArnNotEquals": {"aws:PrincipalArn": roles}}),
    ]


@pytest.mark.parametrize("order", [("us-east-1", "ap-south-1"), ("ap-south-1", "us-east-1")])
def test_only_those_who_deploy_may_replicate_and_only_to_declared_regions(order, app, home, synth):
    primary = EncryptionKey(home, "Key", multi_region=True)
    stacks = {}
    for region in order:
        env = cdk.Environment(account="111122223333", region=region)
        stacks[region] = cdk.Stack(app, region, env=env, cross_region_references=True)
        ReplicaKey(stacks[region], "Key", primary_key=primary)

    regions = ["eu-west-1", "ap-south-1", "us-east-1"]
    roles = [home.resolve(deployment_role_arn(stack)) for stack in (home, stacks["ap-south-1"], stacks["us-east-1"])]
    assert replication_denied(synth(home)) == beyond(regions, roles)


def test_primary_without_replicas_is_replicated_nowhere(home, synth):
    EncryptionKey(home, "Key", multi_region=True)

    assert replication_denied(synth(home)) == beyond(["eu-west-1"], [home.resolve(deployment_role_arn(home))])


def test_replica_is_replicated_nowhere(home, away, synth):
    ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))

    assert replication_denied(synth(away)) == beyond(["us-east-1"], [away.resolve(deployment_role_arn(away))])


def test_replica_whose_region_the_primary_cannot_name_is_refused(app, home):
    anywhere = cdk.Stack(app, "Anywhere")

    with pytest.raises(KeyConfigurationError, match="the policy of its primary names the Regions"):
        ReplicaKey(anywhere, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))


def test_grant_on_the_replica_is_two_halves_of_its_own(home, away, role, synth, role_statements):
    replica = ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))
    user = role("User", away)

    replica.grant_decrypt(user, encryption_context={"tenant": "a"}, via_service="s3")

    template = synth(away)
    statement = replica_of(template)["Properties"]["KeyPolicy"]["Statement"][-1]
    assert statement["Condition"]["StringEquals"] == {
        "kms:EncryptionContext:tenant": "a",
        "kms:ViaService": "s3.us-east-1.amazonaws.com",
    }
    assert [it["Resource"] for it in role_statements(template, away, user)] == [away.resolve(replica.key_arn)]


def test_replica_encrypts_a_bucket(home, away, synth):
    EncryptedBucket(
        away,
        "Bucket",
        encryption_key=ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True)),
    )

    assert replica_of(synth(away))


def test_replica_refuses_what_its_primary_cannot_do(home, away, role):
    replica = ReplicaKey(away, "Key", primary_key=SigningKey(home, "Key", multi_region=True))

    with pytest.raises(GrantRefused, match="InvalidKeyUsageException"):
        replica.grant_decrypt(role("User", away))


def test_void_grant_on_a_replica_is_found(home, away, role):
    replica = ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))
    kms.KeyGrants.from_key(replica).decrypt(role("User", away))

    with pytest.raises(RuntimeError, match="AccessDeniedException"):
        away.node.root.synth()


def test_replica_of_a_single_region_key_is_refused(home, away):
    with pytest.raises(KeyConfigurationError, match="make it with multi_region=True"):
        ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key"))


def test_replica_of_a_replica_is_refused(home, away):
    replica = ReplicaKey(away, "Key", primary_key=EncryptionKey(home, "Key", multi_region=True))

    with pytest.raises(KeyConfigurationError, match="not a multi-Region primary"):
        ReplicaKey(home, "Second", primary_key=replica)


def test_replica_in_the_region_of_its_primary_is_refused(app, home):
    with pytest.raises(KeyConfigurationError, match="in eu-west-1, as its primary"):
        ReplicaKey(home, "Replica", primary_key=EncryptionKey(home, "Key", multi_region=True))


def test_replica_in_another_account_is_refused(app, home):
    other = cdk.Stack(app, "Other", env=cdk.Environment(account="444455556666", region="us-east-1"))

    with pytest.raises(KeyConfigurationError, match="KMS replicates within one account"):
        ReplicaKey(other, "Replica", primary_key=EncryptionKey(home, "Key", multi_region=True))


@pytest.mark.parametrize("same_stack", [True, False])
def test_replica_in_a_region_that_is_not_known_to_be_another_is_refused(same_stack, app):
    home = cdk.Stack(app, "Anywhere")
    primary = EncryptionKey(home, "Key", multi_region=True)
    away = home if same_stack else cdk.Stack(app, "Elsewhere")

    with pytest.raises(KeyConfigurationError, match=r"Region of its primary, whichever that is \(InvalidArn"):
        ReplicaKey(away, "Replica", primary_key=primary)
