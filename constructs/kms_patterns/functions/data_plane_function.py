"""One function of the data plane with its own role, log group and dead-letter queue."""

from collections.abc import Mapping

from aws_cdk import Duration, aws_iam, aws_lambda, aws_logs, aws_sqs
from constructs import Construct

from kms_patterns.functions.acknowledgements import acknowledge
from kms_patterns.functions.bundling import runtime_code
from kms_patterns.functions.lambda_platform import lambda_platform


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

    It may write to its own log group and send to its own dead-letter queue; the pattern that creates it grants the
    rest. It logs JSON. An asynchronous invocation that failed for good is kept in the dead-letter queue for 14 days
    **with its event**: whoever may read that queue sees what the caller sent.

    Args:
        scope: The pattern.
        construct_id: Id within the pattern.
        handler: Handler string, such as ``kms_runtime.handlers.secret_cipher.encrypt``.
        description: What the function does; shown in the Lambda console, at most 256 characters.
        environment: Environment variables; at most 4 KB together.
        memory_size: Memory in MiB, 128 to 10,240; one virtual CPU per 1,769.
        timeout: At most 15 minutes.
        log_retention: How long the log group keeps an event.
        retry_attempts: How often Lambda repeats a failed asynchronous invocation, 0 to 2.
        tracing: X-Ray tracing. Other than ``DISABLED`` it adds ``xray:PutTraceSegments`` and
            ``xray:PutTelemetryRecords`` on every resource to the role, because X-Ray has no resource to name.

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
        log_retention: aws_logs.RetentionDays,
        retry_attempts: int,
        tracing: aws_lambda.Tracing,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = aws_iam.Role(
            self, "Role", assumed_by=aws_iam.ServicePrincipal("lambda.amazonaws.com"), description=description
        )
        self.dead_letters = aws_sqs.Queue(
            self,
            "DeadLetters",
            encryption=aws_sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        self.log_group = aws_logs.LogGroup(self, "Logs", retention=log_retention)
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
            environment=environment,
            memory_size=memory_size,
            timeout=timeout,
            role=self.role,
            log_group=self.log_group,
            logging_format=aws_lambda.LoggingFormat.JSON,
            application_log_level_v2=aws_lambda.ApplicationLogLevel.INFO,
            system_log_level_v2=aws_lambda.SystemLogLevel.INFO,
            dead_letter_queue=self.dead_letters,
            retry_attempts=retry_attempts,
            tracing=tracing,
        )
        acknowledge(self.role, _ROLE_FINDINGS)
        acknowledge(self.dead_letters, _QUEUE_FINDINGS)
        acknowledge(self.log_group, _LOG_FINDINGS)
        acknowledge(self.function, _FUNCTION_FINDINGS)


_ROLE_FINDINGS = {
    "NIST.800.53.R5-IAMNoInlinePolicy": "The policy belongs to this function's role alone and goes with it.",
}
_QUEUE_FINDINGS = {
    "Serverless-SQSRedrivePolicy": "This queue is itself the dead-letter queue.",
}
_LOG_FINDINGS = {
    "NIST.800.53.R5-CloudWatchLogGroupEncrypted": (
        "CloudWatch Logs encrypts every log group; the handlers log neither plaintext, ciphertext nor data keys."
    ),
}
_FUNCTION_FINDINGS = {
    "NIST.800.53.R5-LambdaConcurrency": (
        "A reservation takes capacity from the whole account, so it is the deployment's decision, not the library's."
    ),
    "NIST.800.53.R5-LambdaInsideVPC": (
        "The function calls KMS and S3 only, under exact permissions, and has no private resource to reach."
    ),
    "Serverless-LambdaTracing": "X-Ray needs permissions on every resource; the parameter `tracing` switches it on.",
    "Serverless-LambdaAsyncFailureDestination": "A failed asynchronous invocation is kept in the dead-letter queue.",
}
