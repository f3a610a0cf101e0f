"""Who acts in the scenarios, roles of the reference app and roles that an account may also have; what they invoke."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

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


def invoke(lambda_client: Any, function_name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function and return its answer.

    Raises:
        ClientError: With the function's ``errorType`` as code, or Lambda's own refusal to invoke.
    """
    response = lambda_client.invoke(FunctionName=function_name, Payload=json.dumps(event).encode())
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        code, message = str(answer.get("errorType", "Unknown")), str(answer.get("errorMessage", ""))
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Invoke")
    return answer


def own_calls(stage: Stage, before: int, stack: str) -> str:
    """Return the KMS calls since the first ``before`` that S3 did not make, with the function of ``stack`` that did."""
    outputs = stage.outputs[f"KmsPatterns-{stack}"]
    verbs = [verb for verb in ("Encrypt", "Decrypt") if f"{verb}RoleArn" in outputs]
    roles = {_role_name(outputs[f"{verb}RoleArn"]): verb.lower() for verb in verbs}
    calls = [call for call in stage.aws.kms_calls()[before:] if not call["viaService"]]
    return ", ".join(
        f"{call['action'][4:]} of the {roles.get(_role_name(call['principal']), '?')} function" for call in calls
    )


def _role_name(arn: str) -> str:
    """Return the name of a role from its ARN or from the ARN of a session of it."""
    return arn.split("/")[1] if ":assumed-role/" in arn else arn.rsplit("/", 1)[-1]
