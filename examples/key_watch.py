"""A key that is watched: what is done to it is published, what is done with it is on a dashboard."""

import aws_cdk as cdk
from aws_cdk import aws_sns_subscriptions as subscriptions

from kms_patterns import EncryptionKey, KeyWatch

app = cdk.App()
stack = cdk.Stack(app, "Watched")

key = EncryptionKey(stack, "Key", alias="orders")
watch = KeyWatch(stack, "Watch", keys=[key], encryption_key=EncryptionKey(stack, "NoticeKey"))
watch.topic.add_subscription(subscriptions.EmailSubscription("security@example.com"))

app.synth()
