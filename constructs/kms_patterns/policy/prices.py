"""AWS's public prices of what the stacks use, in dollars, us-east-1; read in November 2026.

https://aws.amazon.com/kms/pricing/ https://aws.amazon.com/cloudwatch/pricing/ https://aws.amazon.com/lambda/pricing/
https://aws.amazon.com/s3/pricing/ https://aws.amazon.com/sqs/pricing/ https://aws.amazon.com/step-functions/pricing/ https://aws.amazon.com/dynamodb/pricing/
"""

from collections.abc import Mapping
from typing import Final

DOLLARS_A_KEY: Final = 1
"""A month, from the key's creation; nothing while it is pending deletion."""
PAID_ROTATIONS: Final = 2
"""The first and the second rotation each add the price of a key; later ones add nothing."""
DOLLARS_A_CALL: Final = 0.000_003
"""Symmetric, HMAC and RSA_2048 keys, and GenerateRandom."""
DOLLARS_AN_ASYMMETRIC_CALL: Final = 0.000_015
"""All other asymmetric keys."""
DOLLARS_A_DATA_KEY_PAIR: Final = {"ECC": 0.000_01, "RSA": 0.001_2}
DOLLARS_AN_ALARM: Final = 0.10
DOLLARS_A_DASHBOARD: Final = 3.00

TRANSITIONS_A_BATCH: Final = 3
"""Of a child execution of one task: its start, the task and its end."""
OF_A_BULK_RUN: Final[Mapping[str, float]] = {
    "call": DOLLARS_A_CALL,
    "put": 0.000_005,
    "get": 0.000_000_4,
    "child": TRANSITIONS_A_BATCH * 0.000_025,
    "gibSecond": 0.000_013_333_4,
    "invocation": 0.000_000_2,
}
"""A KMS call, a PUT and a GET of S3 Standard, a child execution, a GiB-second (Arm) and an invocation of Lambda."""
OF_A_BATCH_JOB: Final[Mapping[str, float]] = {"job": 0.25, "object": 0.000_001, "listed": 0.000_000_015}
"""S3 Batch Operations: a job, an object, and an object of the bucket where the manifest is generated."""
