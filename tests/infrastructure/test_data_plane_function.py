"""One function of the data plane: its role, its log group, its dead-letter queue."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam, aws_lambda, aws_logs

from kms_patterns import FunctionOptions
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
