"""What may be chosen about the functions of a pattern, as one value."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from aws_cdk import Duration, Token, aws_ec2, aws_iam, aws_kms, aws_lambda, aws_logs, aws_sqs

_LONGEST_TIMEOUT: Final = 900
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
# What the interpreter, the loader, the TLS library or the AWS SDK reads: another endpoint, trust store or module would
# see plaintext. The SDK's two switches for endpoints of AWS are harmless.
_STEERING: Final = re.compile(r"AWS_|_|LAMBDA_|PYTHON|LD_|SSL|OPENSSL_|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|BOTO", re.I)
_HARMLESS: Final = frozenset({"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"})


@runtime_checkable
class KeyAtRest(Protocol):
    """A key whose policy names its users, such as an ``EncryptionKey``, as far as functions use it."""

    def allow_use_through(self, service: str, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow a role what the service does for it with the key."""


@dataclass(frozen=True, kw_only=True)
class FunctionOptions:
    """The options of a pattern's functions: every pattern takes this one value, and each of its functions has them.

    Attributes:
        memory_size: Memory in MiB, 128 to 10,240; one virtual CPU per 1,769. Defaults to what the pattern names.
        timeout: 1 second to 15 minutes. Defaults to what the pattern names.
        log_retention: How long the log groups keep an event. Defaults to one year.
        log_group_key: ``EncryptionKey`` that CloudWatch Logs encrypts the log groups with; its policy allows that
            service to use it for log groups of the account. Defaults to the encryption that every log group has.
        retry_attempts: How often Lambda repeats a failed asynchronous invocation, 0 to 2. Defaults to 2.
        tracing: X-Ray tracing. Other than ``DISABLED`` it adds ``xray:PutTraceSegments`` and
            ``xray:PutTelemetryRecords`` on every resource to the roles, because X-Ray has no resource to name.
        vpc: VPC whose network the functions use, which must reach KMS, by an interface endpoint or a NAT. The roles
            get the permissions on network interfaces that Lambda needs, denied to the code of the functions. Defaults
            to Lambda's own network.
        subnets: Subnets of ``vpc``. Defaults to its private ones.
        security_groups: Security groups of the functions, which must allow HTTPS out. Defaults to one group per
            function, which allows HTTPS out and nothing else.
        reserved_concurrency: How many invocations of each function may run at a time, taken from the account's.
            Defaults to as many as the account has.
        environment: Environment variables beyond the pattern's own, such as ``HTTPS_PROXY``; 4 KB together.
        dead_letter_queue: Standard, encrypted queue for the events of asynchronous invocations that failed for good,
            **which hold what the caller sent**. Defaults to one queue per function, kept for 14 days.
        dead_letter_key: ``EncryptionKey`` that SQS encrypts the functions' own queues with, such as the pattern's.
            Defaults to SSE-SQS.

    Raises:
        TypeError: ``log_group_key`` or ``dead_letter_key`` is not an ``EncryptionKey``.
        ValueError: A value that Lambda would refuse, that would have no effect, or that would weaken the function.

    See https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
    """

    memory_size: int | None = None
    timeout: Duration | None = None
    log_retention: aws_logs.RetentionDays = aws_logs.RetentionDays.ONE_YEAR
    log_group_key: aws_kms.IKey | None = None
    retry_attempts: int = 2
    tracing: aws_lambda.Tracing = aws_lambda.Tracing.DISABLED
    vpc: aws_ec2.IVpc | None = None
    subnets: aws_ec2.SubnetSelection | None = None
    security_groups: Sequence[aws_ec2.ISecurityGroup] = ()
    reserved_concurrency: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    dead_letter_queue: aws_sqs.IQueue | None = None
    dead_letter_key: aws_kms.IKey | None = None

    def __post_init__(self) -> None:
        """Check every value as soon as it is given."""
        seconds = None if self.timeout is None or self.timeout.is_unresolved() else self.timeout.to_seconds()
        _check_range("memory_size", self.memory_size, 128, 10_240, "MiB")
        _check_range("timeout", seconds, 1, _LONGEST_TIMEOUT, "seconds")
        _check_range("retry_attempts", self.retry_attempts, 0, 2, "attempts")
        if self.reserved_concurrency is not None and self.reserved_concurrency < 1:
            raise ValueError(
                f"reserved_concurrency is {self.reserved_concurrency}: Lambda would throttle every invocation "
                "(TooManyRequestsException); reserve at least 1, or leave it out"
            )
        if self.vpc is None and (self.subnets is not None or self.security_groups):
            raise ValueError(
                "subnets and security_groups have no effect without vpc, and the functions would run outside of it: "
                "give the vpc as well"
            )
        _check_key("log_group_key", self.log_group_key, "CloudWatch Logs")
        _check_key("dead_letter_key", self.dead_letter_key, "Amazon SQS")
        if self.dead_letter_key is not None and self.dead_letter_queue is not None:
            raise ValueError(
                "dead_letter_key is for the functions' own queues and has no effect with dead_letter_queue: give one"
            )
        for name in self.environment:
            _check_variable(name)
        if self.dead_letter_queue is not None:
            _check_dead_letter_queue(self.dead_letter_queue)

    def beside(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return ``environment`` with the variables of the pattern.

        Raises:
            ValueError: A variable of the pattern's own is in ``environment``, which would change what it enforces.
        """
        taken = sorted({name.upper() for name in self.environment} & {name.upper() for name in own})
        if taken:
            raise ValueError(
                f"environment sets {', '.join(taken)}, by which the pattern tells its functions what to enforce: "
                "choose another name"
            )
        return {**own, **self.environment}


def _check_range(name: str, value: float | None, least: int, most: int, unit: str) -> None:
    if value is not None and not Token.is_unresolved(value) and not least <= value <= most:
        raise ValueError(
            f"{name} is {value}: Lambda takes {least} to {most} {unit} (InvalidParameterValueException); "
            "give a value in that range"
        )


def _check_key(name: str, key: aws_kms.IKey | None, service: str) -> None:
    if key is not None and not isinstance(key, KeyAtRest):
        raise TypeError(
            f"{name} is a {type(key).__name__}: {service} needs a statement in the policy of a symmetric key (else "
            "AccessDeniedException); give an EncryptionKey"
        )


def _check_variable(name: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(
            f"environment variable {name!r} does not match [A-Za-z][A-Za-z0-9_]+ (ValidationException): rename it"
        )
    if _STEERING.match(name) and name not in _HARMLESS:
        raise ValueError(
            f"environment variable {name!r} steers the interpreter, the TLS library or the AWS SDK, which could send "
            "plaintext elsewhere: leave it out"
        )


def _check_dead_letter_queue(queue: aws_sqs.IQueue) -> None:
    if queue.fifo:
        raise ValueError(
            f"dead_letter_queue {queue.node.path} is a FIFO queue, to which Lambda cannot send: give a standard queue"
        )
    if queue.encryption_type is aws_sqs.QueueEncryption.UNENCRYPTED:
        raise ValueError(
            f"dead_letter_queue {queue.node.path} is not encrypted, and the events in it hold what callers sent: "
            "give a queue with encryption=SQS_MANAGED, or with an EncryptionKey"
        )
