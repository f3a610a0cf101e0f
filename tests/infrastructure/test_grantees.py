"""Who may be granted, who is refused, and grants whose other half is written elsewhere."""

import json

import aws_cdk as cdk
import pytest
from aws_cdk import assertions, pipelines
from aws_cdk import aws_bedrockagentcore as bedrockagentcore
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_codepipeline_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match

from kms_patterns import EncryptedBucket, EncryptionKey, ImportedKey, KeyAccess, SigningKey
from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError

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
        (iam.ServicePrincipal("lambda.amazonaws.com"), "a service has no role ARN"),
        (iam.AccountPrincipal("111122223333"), "every role and user of the account"),
        (iam.AccountRootPrincipal(), "every role and user of the account"),
        (iam.AnyPrincipal(), "everyone in every account"),
        (iam.ArnPrincipal("arn:aws:iam::111122223333:role/x"), r"iam.Role.from_role_arn .*key_policy_only=True"),
        (kms.ViaServicePrincipal("s3.eu-west-1.amazonaws.com"), "or call allow_use_through"),
        (
            iam.FederatedPrincipal("arn:aws:iam::111122223333:saml-provider/x", {}),
            "grant the role that its users assume",
        ),
        (iam.OrganizationPrincipal("o-1234567890"), "every role and user of the organization"),
        (iam.CompositePrincipal(iam.AnyPrincipal(), iam.AnyPrincipal()), "grant each of them"),
        (iam.PrincipalWithConditions(iam.StarPrincipal(), {"Bool": {"aws:SecureTransport": "true"}}), "conditions={…}"),
        (iam.SessionTagsPrincipal(iam.StarPrincipal()), r"conditions=\{…\} on aws:PrincipalTag"),
    ],
)
def test_whoever_is_no_single_role_or_user_is_refused(principal, reason, key):
    with pytest.raises(GrantRefused, match=reason):
        key.grant_decrypt(principal)


@pytest.mark.parametrize(
    ("service", "source"),
    [
        ("sns", {"StringEquals": {"aws:SourceAccount": "111122223333"}}),
        (
            "logs.eu-west-1",
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "logs:eu-west-1:111122223333:log-group:*"}},
        ),
    ],
)
def test_service_that_uses_keys_itself_is_granted_in_the_key_policy_and_bound(service, source, key, synth):
    key.grant_encrypt_decrypt(iam.ServicePrincipal(f"{service}.amazonaws.com"))

    policy = synth(key.stack)["Resources"]["Key961B73FD"]["Properties"]["KeyPolicy"]["Statement"]
    (found,) = [it for it in policy if "Service" in it["Principal"]]
    assert found["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= {*found["Action"]}
    operator, demanded = next(iter(source.items()))
    assert [*found["Condition"]] == [operator]
    (name, value), (expected, end) = *found["Condition"][operator].items(), *demanded.items()
    assert name == expected
    assert end in json.dumps(value)


def test_filters_of_an_event_source_are_under_the_key(stack, key, synth):
    code = {"code": lambda_.Code.from_inline("x"), "handler": "i.h", "runtime": lambda_.Runtime.PYTHON_3_13}
    pattern = lambda_.FilterCriteria.filter({"body": ["x"]})
    queue = "arn:aws:sqs:eu-west-1:111122223333:orders"
    lambda_.Function(stack, "Function", **code).add_event_source_mapping(
        "Source", event_source_arn=queue, filters=[pattern], filter_encryption=key
    )

    policy = synth(stack)["Resources"]["Key961B73FD"]["Properties"]["KeyPolicy"]["Statement"]
    found = {it["Principal"]["Service"]: it for it in policy if "Service" in it["Principal"]}
    # The first is the CDK's, the second is the Region's, which AWS's page has.
    assert [*found] == ["lambda.amazonaws.com", "lambda.eu-west-1.amazonaws.com"]
    for it in found.values():
        assert it["Action"] == "kms:Decrypt"
        assert [*it["Condition"]["ArnLike"]] == ["kms:EncryptionContext:aws:lambda:FunctionArn"]


@pytest.mark.parametrize(
    ("who", "named"),
    [
        (iam.AccountPrincipal("444455556666"), ":iam::444455556666:root"),
        (iam.OrganizationPrincipal("o-1234567890"), "o-1234567890"),
        (iam.AnyPrincipal(), None),
    ],
)
def test_key_that_delegates_takes_accounts_and_organizations_as_the_cdk_does(who, named, stack, synth):
    key = EncryptionKey(stack, "Key", access=KeyAccess.DELEGATED)
    if named is None:
        with pytest.raises(GrantRefused, match="everyone"):
            key.grant_decrypt(who)
        return
    key.grant_decrypt(who)

    found = synth(stack)["Resources"]["Key961B73FD"]["Properties"]["KeyPolicy"]["Statement"][-1]
    assert found["Action"] == "kms:Decrypt"
    assert named in json.dumps([found["Principal"], found.get("Condition")])


def test_grants_that_a_construct_makes_for_a_service_hold_what_it_asks_for_beside_them(stack, key, role, synth):
    bedrockagentcore.Memory(stack, "Memory", memory_name="orders", kms_key=key, execution_role=role("Role"))

    policy = synth(stack)["Resources"]["Key961B73FD"]["Properties"]["KeyPolicy"]["Statement"]
    (making,) = [it for it in policy if it["Effect"] == "Allow" and it["Action"] == "kms:CreateGrant"]
    assert making["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    operations = making["Condition"]["ForAllValues:StringEquals"]["kms:GrantOperations"]
    assert {"Decrypt", "GenerateDataKey"} <= {*operations}
    assert "CreateGrant" not in operations


@pytest.mark.parametrize("kind", [EncryptedBucket, s3.Bucket])
def test_pipeline_that_deploys_to_its_own_account_names_the_role_of_the_bootstrap(kind, stack, key, synth):
    artifacts = kind(stack, "Artifacts", encryption_key=key)
    source = pipelines.CodePipelineSource.s3(s3.Bucket(stack, "Source", versioned=True), "it.zip")
    step = pipelines.ShellStep("Synth", input=source, commands=["x"])
    pipeline = pipelines.CodePipeline(stack, "Pipeline", artifact_bucket=artifacts, synth=step)
    stage = cdk.Stage(stack, "Prod", env=HERE)
    cdk.CfnOutput(cdk.Stack(stage, "It"), "Out", value="x")
    pipeline.add_stage(stage)

    assert "cdk-hnb659fds-deploy-role" in json.dumps(synth(stack)["Resources"]["Key961B73FD"])
    assert Annotations.from_stack(stack).find_info("*", Match.string_like_regexp("policy that is written elsewhere"))


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


def test_role_of_the_stack_around_a_nested_one_may_use_its_key_without_a_name(stack, role):
    nested, user = cdk.NestedStack(stack, "Nested"), role("User")
    EncryptionKey(nested, "Key").grant_decrypt(user)

    around, inner = assertions.Template.from_stack(stack), assertions.Template.from_stack(nested)
    (made,) = inner.find_resources("AWS::KMS::Key").values()
    (named,) = [
        it["Condition"]["ArnEquals"]["aws:PrincipalArn"]["Ref"]
        for it in made["Properties"]["KeyPolicy"]["Statement"]
        if it["Action"] == "kms:Decrypt"
    ]
    (given,) = around.find_resources("AWS::CloudFormation::Stack").values()
    assert given["Properties"]["Parameters"][named] == stack.resolve(user.role_arn)


@pytest.mark.parametrize("host", ["s3.amazonaws.com", "s3.eu-west-1.amazonaws.com"])
def test_host_name_instead_of_a_service_is_refused(host, key, role):
    with pytest.raises(GrantRefused, match="is a host name, so no request would match; use 's3'"):
        key.grant_decrypt(role("User"), via_service=host)


def test_role_of_a_known_account_needs_a_stack_of_a_known_account(app):
    stack = cdk.Stack(app, "Anywhere")
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::444455556666:role/orders")

    with pytest.raises(GrantRefused, match="give the stack its account"):
        EncryptionKey(stack, "Key").grant_decrypt(role)


ACCOUNT = "arn:aws:iam::111122223333:role"
AUTOSCALING = f"{ACCOUNT}/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
PERMISSION_SET = f"{ACCOUNT}/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Data_0123456789abcdef"
ANY_OF_THE_SET = f"{ACCOUNT}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Data_*"
OTHER_APP = f"{ACCOUNT}/orders"
IMPORTED = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def notices(stack):
    return lambda: [entry.entry.data for entry in Annotations.from_stack(stack).find_info("*", Match.any_value())]


def imported(stack, arn, **options):
    return iam.Role.from_role_arn(stack, "Role", arn, **options)


def policies(template):
    return [item for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"]


@pytest.mark.parametrize("arn", [PERMISSION_SET, ANY_OF_THE_SET, OTHER_APP])
@pytest.mark.parametrize("mutable", [True, False])
def test_key_policy_names_the_role_and_the_other_half_is_reported(
    arn, mutable, stack, key, synth, key_statements, named, notices
):
    role = imported(stack, arn, mutable=mutable)

    key.grant_decrypt(role, encryption_context={"tenant": "a"}, key_policy_only=True)

    template = synth(stack)
    context = {
        "StringEquals": {"kms:EncryptionContext:tenant": "a"},
        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"},
    }
    assert key_statements(template)[1:] == [named(role, ["kms:Decrypt"], context)]
    assert policies(template) == []
    (notice,) = notices()
    reported = json.loads(notice[notice.index("{") :])
    (logical_id,) = [name for name, item in template["Resources"].items() if item["Type"] == "AWS::KMS::Key"]
    assert reported == {
        "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": f"<{logical_id}.Arn>", "Condition": context,
    }  # fmt: skip


@pytest.mark.parametrize("mutable", [True, False])
def test_service_linked_role_is_the_principal_and_nothing_is_lacking_elsewhere(
    mutable, stack, key, synth, key_statements, notices
):
    key.allow_use_through("ebs", imported(stack, AUTOSCALING, mutable=mutable), create=True, key_policy_only=True)

    template = synth(stack)
    written = key_statements(template)[1:]
    assert {statement["Principal"]["AWS"] for statement in written} == {AUTOSCALING}
    assert [statement["Condition"].get("Bool") for statement in written] == [
        None, {"kms:GrantIsForAWSResource": "true"},
    ]  # fmt: skip
    assert policies(template) == []
    # Without the role KMS refuses the key policy: terraform-aws-modules/terraform-aws-eks#3013.
    (notice,) = notices()
    assert notice.startswith("Stack/Role is a service-linked role")
    assert "aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com" in notice


@pytest.mark.parametrize("arn", [AUTOSCALING, PERMISSION_SET, ANY_OF_THE_SET])
def test_role_whose_policy_iam_protects_is_refused_without_it(arn, stack, key):
    with pytest.raises(GrantRefused, match=r"UnmodifiableEntity.*key_policy_only=True"):
        key.grant_decrypt(imported(stack, arn))


@pytest.mark.parametrize("arn", [f"{ACCOUNT}/Reader*", f"{ACCOUNT}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_*"])
def test_wildcard_that_is_not_one_permission_set_is_refused(arn, stack, key):
    with pytest.raises(GrantRefused, match="exactly one role or user"):
        key.grant_decrypt(imported(stack, arn), key_policy_only=True)


def test_immutable_role_is_refused_with_the_way_out(stack, key):
    with pytest.raises(GrantRefused, match="key_policy_only=True"):
        key.grant_decrypt(imported(stack, OTHER_APP, mutable=False))


def test_precreated_role_is_named(key_statements):
    app = cdk.App()
    iam.Role.customize_roles(app, use_precreated_roles={"Stack/Made": "orders"})
    stack = cdk.Stack(app, "Stack")
    role = iam.Role(stack, "Made", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))

    EncryptionKey(stack, "Key").grant_decrypt(role, key_policy_only=True)

    (statement,) = key_statements(app.synth().get_stack_by_name("Stack").template)[1:]
    assert "role/orders" in str(statement["Condition"])


def test_every_key_type_takes_it(stack, synth, key_statements, named):
    role = imported(stack, OTHER_APP, mutable=False)

    SigningKey(stack, "Signing", key_spec=kms.KeySpec.ECC_NIST_P256).grant_sign(role, key_policy_only=True)

    (statement,) = key_statements(synth(stack))[1:]
    assert statement == named(role, ["kms:Sign"])


def test_delegated_key_leaves_it_to_iam(stack, synth, key_statements, notices):
    key = EncryptionKey(stack, "Delegated", access=KeyAccess.DELEGATED)

    key.grant_decrypt(imported(stack, OTHER_APP, mutable=False), key_policy_only=True)

    assert "Decrypt" not in str([it for it in key_statements(synth(stack)) if it.get("Condition")])
    assert len(notices()) == 1


def test_imported_key_reports_both_halves(stack, synth, notices):
    key = ImportedKey.from_key_arn(stack, "Imported", IMPORTED)

    key.grant_decrypt(imported(stack, OTHER_APP, mutable=False), key_policy_only=True)

    assert "AWS::IAM::Policy" not in str(synth(stack))
    assert len([text for text in notices() if "kms:Decrypt" in text]) == 2


@pytest.mark.parametrize("only_first", [True, False])
def test_what_is_written_here_and_elsewhere_stays_apart(only_first, stack, key, synth, key_statements):
    role = imported(stack, OTHER_APP)
    for only in (only_first, not only_first):
        (key.grant_encrypt if only else key.grant_decrypt)(role, key_policy_only=only)

    template = synth(stack)
    assert sorted(it["Action"] for it in key_statements(template)[1:]) == ["kms:Decrypt", "kms:Encrypt"]
    ((statement,),) = [it["Properties"]["PolicyDocument"]["Statement"] for it in policies(template)]
    assert statement["Action"] == "kms:Decrypt"


def test_deny_that_a_caller_makes_of_a_grant_is_not_shared(stack, key, synth):
    grants = [key.grant_decrypt(iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal())) for name in ("A", "B")]
    grants[1].resource_statements[0].effect = iam.Effect.DENY

    with pytest.raises(RuntimeError, match="Stack/B kms:Decrypt, which the key policy does not"):
        synth(stack)


def test_ids_are_bound_by_a_key_policy_that_names_roles_only(stack):
    with pytest.raises(KeyConfigurationError, match="names no role, so no id would be demanded"):
        EncryptionKey(stack, "Key", bind_role_ids=True, access=KeyAccess.DELEGATED)


def test_key_that_binds_role_ids_names_the_role_by_its_unique_id_in_its_own_policy(
    stack, other, role, synth, key_statements, role_statements
):
    key = EncryptionKey(stack, "Key", bind_role_ids=True)
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    reader = role("Reader")

    bucket.grant_download(reader)

    template = synth(stack)
    (statement,) = key_statements(template)[1:]
    assert statement["Condition"]["StringLike"]["aws:userid"] == stack.resolve(f"{reader.role_id}:*")
    assert statement["Condition"]["ArnEquals"] == {"aws:PrincipalArn": stack.resolve(reader.role_arn)}
    assert "userid" not in json.dumps(role_statements(template, stack, reader))
    for grantee in (
        iam.Role.from_role_arn(stack, "Imported", "arn:aws:iam::111122223333:role/x"),
        iam.Role(other, "Elsewhere", role_name="reader", assumed_by=iam.AccountRootPrincipal()),
        iam.User(stack, "User"),
    ):
        with pytest.raises(GrantRefused, match="only the unique id of a role that is made in the stack of the key"):
            key.grant_decrypt(grantee)


def cross_account_action(app, stack, artifacts):
    source = codepipeline.Artifact("source")
    read = actions.S3SourceAction(
        action_name="Read", bucket=s3.Bucket(stack, "Source", versioned=True), bucket_key="k.zip", output=source
    )
    deploy = actions.CloudFormationCreateUpdateStackAction(
        action_name="Deploy",
        stack_name="orders",
        admin_permissions=True,
        template_path=source.at_path("t.json"),
        account="444455556666",
    )
    stages = [
        codepipeline.StageProps(stage_name="Source", actions=[read]),
        codepipeline.StageProps(stage_name="Deploy", actions=[deploy]),
    ]
    kind = codepipeline.PipelineType.V2
    codepipeline.Pipeline(stack, "Pipeline", artifact_bucket=artifacts, pipeline_type=kind, stages=stages)


def cross_account_stage(app, stack, artifacts):
    source = pipelines.CodePipelineSource.s3(s3.Bucket(stack, "Source", versioned=True), "k.zip")
    synth = pipelines.ShellStep("Synth", input=source, commands=["cdk synth"])
    pipeline = pipelines.CodePipeline(stack, "Pipeline", artifact_bucket=artifacts, synth=synth)
    stage = cdk.Stage(app, "Production", env=cdk.Environment(account="444455556666", region="eu-west-1"))
    cdk.CfnOutput(cdk.Stack(stage, "Orders"), "Output", value="1")
    pipeline.add_stage(stage)


@pytest.mark.parametrize(
    ("make", "role"),
    [(cross_account_action, "-DeploymentRole"), (cross_account_stage, "role/cdk-hnb659fds-deploy-role-444455556666")],
)
def test_pipeline_deploys_to_another_account_from_artifacts_under_the_key(make, role, app, stack, key):
    make(app, stack, s3.Bucket(stack, "Artifacts", encryption_key=key, bucket_name="artifacts"))

    template = app.synth().get_stack_by_name(stack.stack_name).template
    (found,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    statements = found["Properties"]["KeyPolicy"]["Statement"]
    foreign = [it for it in statements if ":iam::444455556666:root" in json.dumps(it["Principal"])]
    named = json.dumps([it["Condition"]["ArnEquals"]["aws:PrincipalArn"] for it in foreign])
    assert foreign
    assert role.lower().lstrip("-")[:20] in named.lower()
    assert all("kms:Decrypt" in it["Action"] for it in foreign)
