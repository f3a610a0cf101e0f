"""One function of the data plane with its own role, log group and dead-letter queue."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration, Stack, aws_ec2, aws_iam, aws_lambda, aws_logs, aws_sqs
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge, wildcard
from kms_patterns.functions.bundling import runtime_code
from kms_patterns.functions.function_code import lambda_platform
from kms_patterns.functions.function_options import FunctionOptions, KeyAtRest
from kms_patterns.policy.actions import DECRYPT, GENERATE_DATA_KEY


class ExactFunction(aws_lambda.Function):
    """A function whose ``grant_invoke`` names the function alone, not all its versions and aliases."""

    @property
    def resource_arns_for_grant_invoke(self) -> list[str]:
        """The unqualified function's ARN; the CDK reads this for every grant, in whatever way it is written.

        See https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
        """
        return [self.function_arn]


class DataPlaneFunction(Construct):
    """A Lambda function that runs a handler of ``kms_runtime``.

    It may write to its own log group and send to its dead-letter queue; the pattern that creates it grants the rest. It
    logs JSON. An asynchronous invocation that failed for good is kept in the dead-letter queue for 14 days **with its
    event**: any principal that may read that queue sees what the caller sent.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        handler: Handler string, such as ``kms_runtime.handlers.secret_cipher.encrypt``.
        description: What the function does; shown in the Lambda console, at most 256 characters.
        environment: Environment variables of the pattern; at most 4 KB together.
        memory_size: Memory in MiB, unless ``options`` says otherwise.
        timeout: At most 15 minutes, unless ``options`` says otherwise.
        options: What the user of the pattern chose.

    Raises:
        TypeError: ``options`` is not a ``FunctionOptions``.
        ValueError: ``options`` sets a variable of ``environment``.

    See https://docs.aws.amazon.com/lambda/latest/dg/lambda-functions.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: str,
        description: str,
        environment: Mapping[str, str],
        memory_size: int,
        timeout: Duration,
        options: FunctionOptions,
    ) -> None:
        super().__init__(scope, construct_id)
        if not isinstance(options, FunctionOptions):
            raise TypeError(f"options is a {type(options).__name__}: give FunctionOptions(memory_size=512, ...)")
        self._options = options
        self.role = aws_iam.Role(
            self, "Role", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"), description=description
        )
        self.dead_letters = options.dead_letter_queue or self._own_dead_letters()
        self.log_group = aws_logs.LogGroup(
            self, "Logs", retention=options.log_retention, encryption_key=options.log_group_key
        )
        self.log_group.grant_write(self.role)
        platform = lambda_platform(self)
        self.function = ExactFunction(
            self,
            "Function",
            architecture=platform.architecture,
            runtime=platform.runtime,
            code=runtime_code(self),
            handler=handler,
            description=description,
            environment=options.beside(environment),
            memory_size=options.memory_size or memory_size,
            timeout=options.timeout or timeout,
            role=self.role,
            log_group=self.log_group,
            logging_format=aws_lambda.LoggingFormat.JSON,
            application_log_level_v2=aws_lambda.ApplicationLogLevel.INFO,
            system_log_level_v2=aws_lambda.SystemLogLevel.INFO,
            dead_letter_queue=self.dead_letters,
            retry_attempts=options.retry_attempts,
            tracing=options.tracing,
            reserved_concurrent_executions=options.reserved_concurrency,
            vpc=options.vpc,
            vpc_subnets=options.subnets,
            security_groups=self._security_groups(options),
        )
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        key = self.dead_letters.encryption_master_key
        if isinstance(key, KeyAtRest):
            key.allow_use_through("sqs", self.role).assert_success()
        elif key is not None:
            key.grant(self.role, GENERATE_DATA_KEY, DECRYPT).assert_success()
        if options.vpc is not None:
            self._grant_network_interfaces()
        _accept(self.role, "NIST.800.53.R5-IAMNoInlinePolicy")
        for finding, given in (
            ("NIST.800.53.R5-LambdaConcurrency", options.reserved_concurrency),
            ("NIST.800.53.R5-LambdaInsideVPC", options.vpc),
            ("Serverless-LambdaTracing", options.tracing is not aws_lambda.Tracing.DISABLED),
            ("Serverless-LambdaAsyncFailureDestination", None),
        ):
            if not given:
                _accept(self.function, finding)
        if options.log_group_key is None:
            _accept(self.log_group, "NIST.800.53.R5-CloudWatchLogGroupEncrypted")

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set further variables of the pattern, as in the constructor."""
        self._options.beside(environment)
        for name, value in environment.items():
            self.function.add_environment(name, value)

    def _own_dead_letters(self) -> aws_sqs.Queue:
        key = self._options.dead_letter_key
        queue = aws_sqs.Queue(
            self,
            "DeadLetters",
            encryption=aws_sqs.QueueEncryption.KMS if key else aws_sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        _accept(queue, "Serverless-SQSRedrivePolicy")
        return queue

    def _security_groups(self, options: FunctionOptions) -> list[aws_ec2.ISecurityGroup] | None:
        if options.vpc is None or options.security_groups:
            return list(options.security_groups) or None
        group = aws_ec2.SecurityGroup(
            self, "SecurityGroup", vpc=options.vpc, allow_all_outbound=False, description="HTTPS out, to AWS services"
        )
        group.add_egress_rule(aws_ec2.Peer.any_ipv4(), aws_ec2.Port.HTTPS, "KMS and S3")
        return [group]

    def _grant_network_interfaces(self) -> None:
        """Let Lambda, and not the function's code, manage network interfaces with this role.

        See https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
        """
        # Lambda checks DeleteNetworkInterface against this form of an ARN, and describes every interface.
        regional = Stack.of(self).format_arn(service="ec2", resource="*", resource_name="*")
        for sid, effect, actions, resource, conditions in (
            ("ManageNetworkInterfaces", aws_iam.Effect.ALLOW, _MANAGE_INTERFACES, regional, {}),
            ("DescribeNetwork", aws_iam.Effect.ALLOW, _DESCRIBE_NETWORK, "*", {}),
            ("DenyNetworkToTheCode", aws_iam.Effect.DENY, _INTERFACES, "*", _FROM_CODE),
        ):
            self.role.add_to_policy(
                aws_iam.PolicyStatement(
                    sid=sid, effect=effect, actions=list(actions), resources=[resource], conditions=conditions
                )
            )
        finding = Stack.of(self).resolve(regional)
        acknowledge(self.role, {wildcard(resource): _NETWORK_REASON for resource in (finding, "*")})


_MANAGE_INTERFACES: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
)
_DESCRIBE_NETWORK: Final = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
_INTERFACES: Final = (*_MANAGE_INTERFACES, *_DESCRIBE_NETWORK, "ec2:DetachNetworkInterface")
# Only calls that the code of a function makes have this key:
# https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
_FROM_CODE: Final = {"Null": {"lambda:SourceFunctionArn": "false"}}
_NETWORK_REASON: Final = "Lambda manages the network interfaces of the function; its code is denied these actions."
_REASONS: Final = {
    "NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to this function's role alone and goes with it.",
    "Serverless-SQSRedrivePolicy": "This queue is itself the dead-letter queue.",
    "NIST.800.53.R5-CloudWatchLogGroupEncrypted": (
        "CloudWatch Logs encrypts every log group; the handlers log neither plaintext, ciphertext nor data keys."
    ),
    "NIST.800.53.R5-LambdaConcurrency": (
        "A reservation takes capacity from the whole account, so it is the deployment's decision, not the library's."
    ),
    "NIST.800.53.R5-LambdaInsideVPC": (
        "The function calls KMS and S3 only, under exact permissions, and has no private resource to reach."
    ),
    "Serverless-LambdaTracing": "X-Ray needs permissions on every resource; the option `tracing` switches it on.",
    "Serverless-LambdaAsyncFailureDestination": "A failed asynchronous invocation is kept in the dead-letter queue.",
}


def _accept(construct: Construct, finding: str) -> None:
    acknowledge(construct, {finding: _REASONS[finding]})
