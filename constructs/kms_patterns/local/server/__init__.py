"""The process of the embedded AWS: the emulator with our KMS in it. Only the parent package starts it.

``emulator``: The one seam to ministack: what is replaced in it, and how.
``requests``: What every request is checked for besides its own permission, and in whose words it is refused.
``authorization``: Who may do what: IAM policies evaluated as AWS documents it, and the callers and policies they
    are evaluated for. Whatever cannot be understood never allows and, in a Deny, always denies. AWS:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
``kms``: AWS KMS itself: requests, keys, grants, policies, and what each operation does.
``kms/operations``: What each operation of AWS KMS does, once it is authorized.
``kms/control_plane``: The control plane of KMS: what it checks, and the operations that the emulator does not
    execute as AWS does.
``s3``: Server-side encryption of S3 objects under KMS keys.
``services``: Services other than S3 that encrypt under KMS keys and ask for them as their caller.
``stacks``: CloudFormation: in whose name a stack works, which permissions its steps need, what the services refuse
    it.
"""
