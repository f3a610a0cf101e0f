"""Notifications, alarms and a dashboard of a key, without a role of their own."""

import aws_cdk as cdk
from constructs import Construct

from kms_patterns import EncryptionKey, KeyLifecycle, KeyWatch
from stacks import ReferenceStack, instance_role, outputs


class KeyWatchStack(ReferenceStack):
    """One key is watched; one role may read who called it, and may not use it."""

    NAME = "KmsPatterns-KeyWatch"

    def __init__(self, scope: Construct, *, lifecycle: KeyLifecycle, env: cdk.Environment) -> None:
        super().__init__(scope, lifecycle=lifecycle, env=env)
        key = EncryptionKey(self, "Key", alias="watched", lifecycle=lifecycle)
        user, responder = instance_role(self, "User"), instance_role(self, "Responder")
        key.grant_encrypt(user)
        notices = EncryptionKey(self, "NoticeKey", alias="notices", lifecycle=lifecycle)
        watch = KeyWatch(self, "Watch", keys=[key], encryption_key=notices, refusals=3)
        watch.grant_read_calls(responder)
        outputs(
            self,
            {
                "KeyArn": key.key_arn,
                "TopicArn": watch.topic.topic_arn,
                "CallsLogGroupName": watch.calls.log_group_name,
                "DashboardName": watch.dashboard.dashboard_name,
                "UserRoleArn": user.role_arn,
                "ResponderRoleArn": responder.role_arn,
            },
        )
