"""Who acts in the scenarios: roles of the reference app, and roles that an account may also have."""

import json
from collections.abc import Sequence
from typing import Any

from demo.scenario import Stage

_EC2_MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def client(stage: Stage, service: str, stack: str, role_output: str, *, trusted: str = "ec2.amazonaws.com") -> Any:
    """Return a boto3 client with the session credentials of a role that the reference app made."""
    return stage.aws.assume(stage.output(stack, role_output), service=trusted).client(service)


def function_client(stage: Stage, service: str, stack: str, role_output: str) -> Any:
    """Return a boto3 client with the credentials that Lambda hands to a function of the reference app."""
    return client(stage, service, stack, role_output, trusted="lambda.amazonaws.com")


def other_role(stage: Stage, service: str, name: str, allow: Sequence[tuple[str, str]]) -> Any:
    """Return a boto3 client of a role outside the app, whose IAM policy allows the ``(action, resource)`` pairs."""
    iam = stage.aws.session().client("iam")
    if name not in stage.notes:
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_EC2_MAY_ASSUME))
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allow]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="demo", PolicyDocument=policy)
        stage.notes[name] = role["Role"]["Arn"]
    return stage.aws.assume(stage.notes[name], service="ec2.amazonaws.com").client(service)


def administrator(stage: Stage, service: str) -> Any:
    """Return a boto3 client of an account administrator: every action on every resource."""
    return other_role(stage, service, "kms-patterns-demo-administrator", [("*", "*")])
