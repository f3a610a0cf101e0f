"""One function of the data plane: role, log group, dead-letter queue, and exactly what each option adds."""

import inspect
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2, aws_iam, aws_kms, aws_lambda, aws_logs, aws_s3, aws_sqs

import kms_patterns
from kms_patterns import EncryptionKey, EnvelopeCipher, FunctionOptions, SecretCipher
from kms_patterns.functions.data_plane_function import DataPlaneFunction

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]


def function(stack: cdk.Stack, **options: Any) -> DataPlaneFunction:
    chosen = {"log_retention": aws_logs.RetentionDays.ONE_WEEK, "retry_attempts": 1, **options}
    settings: dict[str, Any] = {
        "handler": "kms_runtime.handlers.secret_cipher.encrypt",
        "description": "Encrypts",
        "environment": {"NAME": "value"},
        "memory_size": 256,
        "timeout": cdk.Duration.seconds(10),
        "options": FunctionOptions(**chosen),
    }
    return DataPlaneFunction(stack, "Cipher", **settings)


def properties(template: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [item for item in template["Resources"].values() if item["Type"] == kind]
    return dict(found["Properties"])


def test_role_may_write_its_own_log_and_its_own_dead_letters_and_nothing_else(
    stack: cdk.Stack, synth: Synth, role_statements: Callable[..., Statements]
) -> None:
    made = function(stack)
    template = synth(stack)
    assert role_statements(template, stack, made.role) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(made.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(made.dead_letters.queue_arn)},
    ]
    role = properties(template, "AWS::IAM::Role")
    assert "ManagedPolicyArns" not in role
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    ]


def test_tracing_adds_the_two_x_ray_actions_and_nothing_else(
    stack: cdk.Stack, synth: Synth, role_statements: Callable[..., Statements]
) -> None:
    made = function(stack, tracing=aws_lambda.Tracing.ACTIVE)
    statements = role_statements(synth(stack), stack, made.role)
    assert [statement for statement in statements if statement["Resource"] == "*"] == [
        {"Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "Effect": "Allow", "Resource": "*"}
    ]
    assert len(statements) == 3


def test_function_logs_json_to_its_own_group_with_retention(stack: cdk.Stack, synth: Synth) -> None:
    made = function(stack)
    template = synth(stack)
    assert properties(template, "AWS::Lambda::Function")["LoggingConfig"] == {
        "ApplicationLogLevel": "INFO",
        "LogFormat": "JSON",
        "LogGroup": stack.resolve(made.log_group.log_group_name),
        "SystemLogLevel": "INFO",
    }
    assert properties(template, "AWS::Logs::LogGroup") == {"RetentionInDays": 7}


def test_memory_timeout_handler_and_environment_are_the_callers(stack: cdk.Stack, synth: Synth) -> None:
    function(stack)
    made = properties(synth(stack), "AWS::Lambda::Function")
    assert made["MemorySize"] == 256
    assert made["Timeout"] == 10
    assert made["Handler"] == "kms_runtime.handlers.secret_cipher.encrypt"
    assert made["Environment"] == {"Variables": {"NAME": "value"}}
    assert made["Architectures"] == ["arm64"]
    assert made["Runtime"] == "python3.14"


def test_failed_asynchronous_invocations_reach_an_encrypted_queue_over_tls_only(stack: cdk.Stack, synth: Synth) -> None:
    queue = stack.resolve(function(stack).dead_letters.queue_arn)
    template = synth(stack)
    assert properties(template, "AWS::Lambda::Function")["DeadLetterConfig"] == {"TargetArn": queue}
    assert properties(template, "AWS::Lambda::EventInvokeConfig")["MaximumRetryAttempts"] == 1
    assert properties(template, "AWS::SQS::Queue") == {"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": True}
    assert properties(template, "AWS::SQS::QueuePolicy")["PolicyDocument"]["Statement"] == [
        {
            "Action": "sqs:*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Resource": queue,
        }
    ]


def test_grant_invoke_names_the_function_alone(
    stack: cdk.Stack, synth: Synth, role_statements: Callable[..., Statements]
) -> None:
    made = function(stack)
    caller = aws_iam.Role(stack, "Caller", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    assert made.function.grant_invoke(caller).success
    assert role_statements(synth(stack), stack, caller) == [
        {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": stack.resolve(made.function.function_arn)}
    ]


def test_grant_invoke_by_a_construct_of_the_cdk_is_narrow_too(stack: cdk.Stack, synth: Synth) -> None:
    made = function(stack)
    caller = aws_iam.Role(stack, "Caller", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    plain = aws_lambda.Function(
        stack,
        "Plain",
        runtime=aws_lambda.Runtime.PYTHON_3_14,
        handler="index.handler",
        code=aws_lambda.Code.from_inline("x = 1"),
    )
    made.function.grant_invoke(caller)
    plain.grant_invoke(caller)
    (statement,) = [
        statement
        for item in synth(stack)["Resources"].values()
        if item["Type"] == "AWS::IAM::Policy" and "Caller" in str(item["Properties"]["Roles"])
        for statement in item["Properties"]["PolicyDocument"]["Statement"]
    ]
    qualified = [arn for arn in statement["Resource"] if "Fn::Join" in arn]
    assert len(statement["Resource"]) == 3
    assert "Plain" in str(qualified)
    assert len(qualified) == 1


def test_grant_invoke_to_a_role_of_another_account_is_a_permission_of_the_function(
    stack: cdk.Stack, synth: Synth
) -> None:
    made = function(stack)
    caller = "arn:aws:iam::999999999999:role/caller"
    assert made.function.grant_invoke(aws_iam.Role.from_role_arn(stack, "Caller", caller)).success
    assert properties(synth(stack), "AWS::Lambda::Permission") == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": stack.resolve(made.function.function_arn),
        "Principal": caller,
    }


def test_grant_invoke_to_a_service_is_a_permission_of_the_function(stack: cdk.Stack, synth: Synth) -> None:
    made = function(stack)
    made.function.grant_invoke(aws_iam.ServicePrincipal("scheduler.amazonaws.com"))
    permission = properties(synth(stack), "AWS::Lambda::Permission")
    assert permission["Principal"] == "scheduler.amazonaws.com"
    assert permission["Action"] == "lambda:InvokeFunction"


Template = dict[str, Any]
Synthesize = Callable[[cdk.Stack], Template]
PATTERNS = [
    name
    for name in kms_patterns.__all__
    if "options" in inspect.signature(getattr(kms_patterns, name).__init__).parameters
]
PASSED_THROUGH = {"memory_size", "timeout", "log_retention", "retry_attempts", "tracing", "vpc", "environment"}


def cipher(stack: cdk.Stack, **options: Any) -> SecretCipher:
    key = EncryptionKey(stack, "Key")
    return SecretCipher(
        stack, "Cipher", encryption_key=key, required_context=["tenant"], options=FunctionOptions(**options)
    )


def of_kind(template: Template, kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def test_every_pattern_with_functions_takes_the_options_as_one_value() -> None:
    assert len(PATTERNS) >= 12
    for name in set(kms_patterns.__all__) - {"FunctionOptions"}:
        signature = inspect.signature(getattr(kms_patterns, name).__init__)
        assert not PASSED_THROUGH & signature.parameters.keys(), name


def test_vpc_gives_lambda_the_network_interfaces_and_denies_them_to_the_code(
    stack: cdk.Stack, synth: Synthesize, role_statements: Callable[..., Statements]
) -> None:
    made = cipher(stack, vpc=aws_ec2.Vpc(stack, "Vpc", max_azs=1))
    template = synth(stack)
    interfaces = ["AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface"]
    manage = [f"ec2:{name}" for name in (*interfaces, "UnassignPrivateIpAddresses")]
    describe = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    regional = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":ec2:eu-west-1:111122223333:*/*"]]}
    found = role_statements(template, stack, made.encrypt_role)
    assert [statement for statement in found if "ec2:" in str(statement)] == [
        {"Sid": "ManageNetworkInterfaces", "Effect": "Allow", "Action": manage, "Resource": regional},
        {"Sid": "DescribeNetwork", "Effect": "Allow", "Action": describe, "Resource": "*"},
        {
            "Sid": "DenyNetworkToTheCode",
            "Effect": "Deny",
            "Action": sorted([*manage, *describe, "ec2:DetachNetworkInterface"]),
            "Resource": "*",
            "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
        },
    ]
    assert "ManagedPolicyArns" not in str(of_kind(template, "AWS::IAM::Role"))


def test_functions_in_a_vpc_reach_https_and_nothing_else(stack: cdk.Stack, synth: Synthesize) -> None:
    cipher(stack, vpc=aws_ec2.Vpc(stack, "Vpc", max_azs=1))
    template = synth(stack)
    groups = of_kind(template, "AWS::EC2::SecurityGroup")
    https = {"CidrIp": "0.0.0.0/0", "Description": "KMS and S3", "FromPort": 443, "IpProtocol": "tcp", "ToPort": 443}
    assert [group["SecurityGroupEgress"] for group in groups] == [[https]] * 2
    assert not any("SecurityGroupIngress" in group for group in groups)
    assert all(len(function["VpcConfig"]["SubnetIds"]) == 1 for function in of_kind(template, "AWS::Lambda::Function"))


def test_subnets_and_security_groups_are_those_given(stack: cdk.Stack, synth: Synthesize) -> None:
    vpc = aws_ec2.Vpc(stack, "Vpc", max_azs=2)
    group = aws_ec2.SecurityGroup(stack, "Group", vpc=vpc)
    cipher(stack, vpc=vpc, subnets=aws_ec2.SubnetSelection(subnets=vpc.private_subnets[:1]), security_groups=[group])
    expected = {
        "SubnetIds": [stack.resolve(vpc.private_subnets[0].subnet_id)],
        "SecurityGroupIds": [stack.resolve(group.security_group_id)],
    }
    functions = of_kind(synth(stack), "AWS::Lambda::Function")
    assert [{name: function["VpcConfig"][name] for name in expected} for function in functions] == [expected] * 2


def test_log_group_key_encrypts_the_log_groups_and_lets_cloudwatch_logs_use_it(
    stack: cdk.Stack, synth: Synthesize, key_statements: Callable[..., Statements]
) -> None:
    key = EncryptionKey(stack, "LogKey")
    cipher(stack, log_group_key=key)
    template = synth(stack)
    assert [group["KmsKeyId"] for group in of_kind(template, "AWS::Logs::LogGroup")] == [stack.resolve(key.key_arn)] * 2
    logical_id = stack.get_logical_id(key.node.default_child)  # type: ignore[arg-type]
    allowed = [item for item in key_statements(template, logical_id) if "logs.eu-west-1" in str(item)]
    assert [item["Condition"].keys() for item in allowed] == [{"ArnLike"}]


def test_reserved_concurrency_and_environment_reach_each_function(stack: cdk.Stack, synth: Synthesize) -> None:
    cipher(stack, reserved_concurrency=3, environment={"HTTPS_PROXY": "http://proxy.example:3128"})
    functions = of_kind(synth(stack), "AWS::Lambda::Function")
    assert [function["ReservedConcurrentExecutions"] for function in functions] == [3, 3]
    variables = [function["Environment"]["Variables"] for function in functions]
    assert all(found["HTTPS_PROXY"].startswith("http://proxy") and found["KEY_ARN"] for found in variables)


def test_dead_letter_queue_under_a_key_is_written_by_the_roles_through_sqs_only(
    stack: cdk.Stack, synth: Synthesize, role_statements: Callable[..., Statements]
) -> None:
    key = EncryptionKey(stack, "QueueKey")
    queue = aws_sqs.Queue(stack, "Dead", encryption_master_key=key)
    made = cipher(stack, dead_letter_queue=queue)
    template = synth(stack)
    assert len(of_kind(template, "AWS::SQS::Queue")) == 1
    arn = stack.resolve(queue.queue_arn)
    functions = of_kind(template, "AWS::Lambda::Function")
    assert [function["DeadLetterConfig"] for function in functions] == [{"TargetArn": arn}] * 2
    found = role_statements(template, stack, made.decrypt_role)
    assert {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": arn} in found
    assert {
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Effect": "Allow",
        "Resource": stack.resolve(key.key_arn),
        "Condition": {"StringEquals": {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"}},
    } in found


def test_own_dead_letter_queues_may_be_under_the_key_of_the_pattern(
    stack: cdk.Stack, synth: Synthesize, role_statements: Callable[..., Statements]
) -> None:
    key = EncryptionKey(stack, "Key")
    made = SecretCipher(
        stack, "Ours", encryption_key=key, required_context=["tenant"], options=FunctionOptions(dead_letter_key=key)
    )
    template = synth(stack)
    queues = of_kind(template, "AWS::SQS::Queue")
    assert [queue["KmsMasterKeyId"] for queue in queues] == [stack.resolve(key.key_arn)] * 2
    assert {
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Effect": "Allow",
        "Resource": stack.resolve(key.key_arn),
        "Condition": {"StringEquals": {"kms:ViaService": "sqs.eu-west-1.amazonaws.com"}},
    } in role_statements(template, stack, made.encrypt_role)
    with pytest.raises(ValueError, match="has no effect with dead_letter_queue"):
        FunctionOptions(dead_letter_key=key, dead_letter_queue=aws_sqs.Queue(stack, "Q"))
    with pytest.raises(TypeError, match="dead_letter_key is a Key: Amazon SQS needs"):
        FunctionOptions(dead_letter_key=aws_kms.Key(stack, "Plain"))


def envelopes(stack: cdk.Stack, queue: aws_sqs.IQueue) -> None:
    buckets = {name: aws_s3.Bucket(stack, name) for name in ("source", "destination", "restored")}
    EnvelopeCipher(
        stack,
        "Envelopes",
        encryption_key=EncryptionKey(stack, "Key"),
        encrypt_on_create=True,
        options=FunctionOptions(dead_letter_queue=queue),
        **buckets,
    )


def test_events_that_are_not_delivered_may_be_encrypted_under_the_key_of_the_dead_letter_queue(
    stack: cdk.Stack, synth: Synthesize, key_statements: Callable[..., Statements]
) -> None:
    key = EncryptionKey(stack, "QueueKey")
    envelopes(stack, aws_sqs.Queue(stack, "Dead", encryption_master_key=key))
    logical_id = stack.get_logical_id(key.node.default_child)  # type: ignore[arg-type]
    found = key_statements(synth(stack), logical_id)
    assert [item["Condition"] for item in found if item["Principal"] == {"Service": "events.amazonaws.com"}] == [
        {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    ]


def test_queue_that_eventbridge_cannot_write_is_refused(stack: cdk.Stack) -> None:
    queue = aws_sqs.Queue(stack, "Dead", encryption=aws_sqs.QueueEncryption.KMS_MANAGED)
    with pytest.raises(ValueError, match="does not allow EventBridge"):
        envelopes(stack, queue)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory_size": 64}, "memory_size is 64: Lambda takes 128 to 10240 MiB"),
    ({"memory_size": 20_000}, "memory_size is 20000"),
    ({"timeout": cdk.Duration.minutes(16)}, "timeout is 960"),
    ({"retry_attempts": -1}, "retry_attempts is -1: Lambda takes 0 to 2"),
    ({"retry_attempts": 3}, "retry_attempts is 3"),
    ({"reserved_concurrency": 0}, "throttle every invocation"),
    ({"subnets": aws_ec2.SubnetSelection()}, "no effect without vpc"),
    ({"environment": {"AWS_ENDPOINT_URL_KMS": "https://elsewhere.example"}}, "could send plaintext elsewhere"),
    ({"environment": {"PYTHONPATH": "/tmp"}}, "steers the interpreter"),
    ({"environment": {"ssl_cert_file": "/tmp/ca"}}, "the TLS library"),
    ({"environment": {"LD_PRELOAD": "x.so"}}, "steers the interpreter"),
    ({"environment": {"1": "x"}}, "does not match"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=range(len(REFUSED)))
def test_option_that_lambda_refuses_or_that_weakens_the_function_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FunctionOptions(**options)


def test_switches_of_the_sdk_for_endpoints_of_aws_are_allowed() -> None:
    assert FunctionOptions(environment={"AWS_USE_FIPS_ENDPOINT": "true"}).environment


@pytest.mark.parametrize("name", ["KEY_ARN", "REQUIRED_CONTEXT_KEYS", "encryption_context"])
def test_variable_by_which_the_pattern_enforces_is_refused(stack: cdk.Stack, name: str) -> None:
    with pytest.raises(ValueError, match=f"environment sets {name.upper()}, by which the pattern"):
        cipher(stack, environment={name: "[]"})


def test_fifo_or_unencrypted_dead_letter_queue_is_refused(stack: cdk.Stack) -> None:
    for name, queue, message in (
        ("Fifo", {"fifo": True}, "FIFO queue"),
        ("Plain", {"encryption": aws_sqs.QueueEncryption.UNENCRYPTED}, "is not encrypted"),
    ):
        with pytest.raises(ValueError, match=message):
            FunctionOptions(dead_letter_queue=aws_sqs.Queue(stack, name, **queue))


def test_key_whose_policy_is_not_ours_is_refused_for_logs(stack: cdk.Stack) -> None:
    with pytest.raises(TypeError, match="log_group_key is a Key"):
        FunctionOptions(log_group_key=aws_kms.Key(stack, "Plain"))


def test_dictionary_in_place_of_options_is_refused(stack: cdk.Stack) -> None:
    with pytest.raises(TypeError, match="options is a dict"):
        SecretCipher(
            stack,
            "Cipher",
            encryption_key=EncryptionKey(stack, "Key"),
            required_context=["tenant"],
            options={"tracing": aws_lambda.Tracing.ACTIVE},  # type: ignore[arg-type]
        )
