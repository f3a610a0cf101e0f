"""AWS's public prices of what the stacks use, in dollars, us-east-1; read in November 2026.

https://aws.amazon.com/kms/pricing/ https://aws.amazon.com/cloudwatch/pricing/ https://aws.amazon.com/lambda/pricing/
https://aws.amazon.com/s3/pricing/ https://aws.amazon.com/sqs/pricing/ https://aws.amazon.com/dynamodb/pricing/
"""

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
