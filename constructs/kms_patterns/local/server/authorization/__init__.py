"""Who may do what: IAM policies evaluated as AWS documents it, and the callers and policies they are evaluated for.

Whatever cannot be understood never allows and, in a Deny, always denies.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""
