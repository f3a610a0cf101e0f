"""IAM policies, evaluated as AWS documents it: pure functions that know neither KMS nor the emulator.

Whatever cannot be understood never allows and, in a Deny, always denies.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""
