"""Authentication codes of messages and tokens, which only KMS makes and only KMS verifies."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import KeyLifecycle, MacKey, MacTokenIssuer, MessageAuthenticator
from stacks import ReferenceStack, instance_role, outputs

ISSUER, AUDIENCE = "https://sessions.example.com", "console"


class MacStack(ReferenceStack):
    """One role has codes made and tokens issued, another has both verified; neither can do what the other does."""

    NAME = "KmsPatterns-Mac"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = MacKey(self, "Key", alias="messages", lifecycle=lifecycle)
        authenticator = MessageAuthenticator(self, "Authenticator", mac_key=key)
        session_key = MacKey(self, "SessionKey", alias="sessions", lifecycle=lifecycle)
        sessions = MacTokenIssuer(self, "Sessions", mac_key=session_key, issuer=ISSUER, audiences=[AUDIENCE])
        sender, receiver = instance_role(self, "Sender"), instance_role(self, "Receiver")
        authenticator.grant_generate(sender)
        authenticator.grant_verify(receiver)
        sessions.grant_issue(sender)
        sessions.grant_verify(receiver)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "SessionKeyArn": session_key.key_arn,
                "GenerateFunctionName": authenticator.generate_function.function_name,
                "VerifyFunctionName": authenticator.verify_function.function_name,
                "GenerateRoleArn": authenticator.generate_role.role_arn,
                "VerifyRoleArn": authenticator.verify_role.role_arn,
                "IssueFunctionName": sessions.issue_function.function_name,
                "VerifyTokenFunctionName": sessions.verify_function.function_name,
                "IssueRoleArn": sessions.issue_role.role_arn,
                "VerifyTokenRoleArn": sessions.verify_role.role_arn,
                "SenderRoleArn": sender.role_arn,
                "ReceiverRoleArn": receiver.role_arn,
            },
        )
