"""How a principal becomes another one, or changes what it may do: one row per method, with its source.

Rhino: https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/
Pathfinding: https://pathfinding.cloud/paths/
Passing roles: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What a method makes of the principal that uses it."""

    BECOME = "become"
    """It acts as the target."""
    CHANGE = "change"
    """It decides what the target may do."""


@dataclass(frozen=True)
class Method:
    """One way to become a principal, or to change what it may do.

    Attributes:
        on_target: Actions that must be allowed on the target role or user itself.
        besides: Actions that must be allowed on some resource, besides.
        effect: What it makes of the principal that uses it.
        service: The service that the target must trust, None if any target will do.
        kinds: Kinds of target: ``role``, ``user``.
        source: Where the method is described.
    """

    on_target: Sequence[str]
    besides: Sequence[str] = ()
    effect: Effect = Effect.BECOME
    service: str | None = None
    kinds: Sequence[str] = ("role",)
    source: str = "https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/"

    @property
    def name(self) -> str:
        """The method as reports print it."""
        return " and ".join([*self.on_target, *self.besides])


_API = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_"
_PATHS = "https://pathfinding.cloud/paths/"
_CHANGE = Effect.CHANGE


def _passed(service: str, *besides: str, source: str = _PATHS) -> Method:
    return Method(("iam:PassRole",), besides, service=f"{service}.amazonaws.com", source=source)


ON_PRINCIPALS: Sequence[Method] = (
    Method(("iam:UpdateAssumeRolePolicy",), source=f"{_API}UpdateAssumeRolePolicy.html"),
    Method(("iam:PutRolePolicy",), effect=_CHANGE, source=f"{_API}PutRolePolicy.html"),
    Method(("iam:AttachRolePolicy",), effect=_CHANGE, source=f"{_API}AttachRolePolicy.html"),
    Method(("iam:PutUserPolicy",), effect=_CHANGE, kinds=("user",), source=f"{_API}PutUserPolicy.html"),
    Method(("iam:AttachUserPolicy",), effect=_CHANGE, kinds=("user",), source=f"{_API}AttachUserPolicy.html"),
    Method(("iam:CreateAccessKey",), kinds=("user",), source=f"{_API}CreateAccessKey.html"),
    Method(("iam:CreateLoginProfile",), kinds=("user",), source=f"{_API}CreateLoginProfile.html"),
    Method(("iam:UpdateLoginProfile",), kinds=("user",), source=f"{_API}UpdateLoginProfile.html"),
    Method(
        ("iam:CreateServiceSpecificCredential",), kinds=("user",), source=f"{_API}CreateServiceSpecificCredential.html"
    ),
    Method(("iam:DeactivateMFADevice",), ("iam:UpdateLoginProfile",), kinds=("user",), source=_PATHS),
    _passed("lambda", "lambda:CreateFunction"),
    _passed("lambda", "lambda:UpdateFunctionConfiguration"),
    _passed("ec2", "ec2:RunInstances"),
    _passed("ec2", "ec2:AssociateIamInstanceProfile"),
    _passed("ec2", "ec2:ReplaceIamInstanceProfileAssociation"),
    _passed("ec2", "ec2:RequestSpotInstances"),
    _passed("ec2", "autoscaling:CreateLaunchConfiguration"),
    _passed("cloudformation", "cloudformation:CreateStack"),
    _passed("cloudformation", "cloudformation:UpdateStack"),
    _passed("cloudformation", "cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"),
    _passed("cloudformation", "cloudformation:CreateStackSet"),
    _passed("cloudformation", "cloudformation:UpdateStackSet"),
    _passed("glue", "glue:CreateDevEndpoint"),
    _passed("glue", "glue:CreateJob"),
    _passed("glue", "glue:UpdateJob"),
    _passed("glue", "glue:CreateSession"),
    _passed("datapipeline", "datapipeline:CreatePipeline", "datapipeline:PutPipelineDefinition"),
    _passed("sagemaker", "sagemaker:CreateNotebookInstance"),
    _passed("sagemaker", "sagemaker:CreateTrainingJob"),
    _passed("sagemaker", "sagemaker:CreateProcessingJob"),
    _passed("sagemaker", "sagemaker:CreateUserProfile"),
    _passed("codebuild", "codebuild:CreateProject"),
    _passed("codebuild", "codebuild:UpdateProject"),
    _passed("codepipeline", "codepipeline:CreatePipeline"),
    _passed("codepipeline", "codepipeline:UpdatePipeline"),
    _passed("ecs-tasks", "ecs:RunTask"),
    _passed("ecs-tasks", "ecs:StartTask"),
    _passed("ecs-tasks", "ecs:RegisterTaskDefinition"),
    _passed("ecs-tasks", "ecs:CreateService"),
    _passed("batch", "batch:SubmitJob"),
    _passed("ecs-tasks", "batch:RegisterJobDefinition"),
    _passed("states", "states:CreateStateMachine"),
    _passed("states", "states:UpdateStateMachine"),
    _passed("ssm", "ssm:StartAutomationExecution"),
    _passed("scheduler", "scheduler:CreateSchedule"),
    _passed("events", "events:PutTargets"),
    _passed("apprunner", "apprunner:CreateService"),
    _passed("tasks.apprunner", "apprunner:CreateService"),
    _passed("bedrock-agentcore", "bedrock-agentcore:CreateCodeInterpreter"),
    _passed("bedrock", "bedrock:CreateAgent"),
    _passed("elasticmapreduce", "elasticmapreduce:RunJobFlow"),
    _passed("emr-serverless", "emr-serverless:StartJobRun"),
    _passed("elasticbeanstalk", "elasticbeanstalk:CreateEnvironment"),
    _passed("pods.eks", "eks:CreatePodIdentityAssociation"),
    _passed("gamelift", "gamelift:CreateFleet"),
    _passed("kinesisanalytics", "kinesisanalytics:CreateApplication"),
    _passed("amplify", "amplify:CreateApp"),
    _passed("imagebuilder", "imagebuilder:CreateImage"),
    _passed("dms", "dms:CreateReplicationTask"),
    _passed("iot", "iot:CreateTopicRule"),
    _passed("credentials.iot", "iot:CreateRoleAlias"),
    _passed("transfer", "transfer:CreateUser"),
    _passed("firehose", "firehose:CreateDeliveryStream"),
    _passed("backup", "backup:StartRestoreJob"),
    _passed("s3", "s3:PutReplicationConfiguration"),
    _passed("batchoperations.s3", "s3:CreateJob"),
    Method((), ("ssm:SendCommand",), service="ec2.amazonaws.com", source=_PATHS),
    Method((), ("ssm:StartSession",), service="ec2.amazonaws.com", source=_PATHS),
    Method((), ("ec2-instance-connect:SendSSHPublicKey",), service="ec2.amazonaws.com", source=_PATHS),
    Method((), ("ec2:ModifyInstanceAttribute", "ec2:StartInstances"), service="ec2.amazonaws.com", source=_PATHS),
    Method((), ("cloudformation:UpdateStack",), service="cloudformation.amazonaws.com", source=_PATHS),
    Method(
        (),
        ("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"),
        service="cloudformation.amazonaws.com",
        source=_PATHS,
    ),
    Method((), ("glue:UpdateDevEndpoint",), service="glue.amazonaws.com"),
    Method((), ("codebuild:StartBuild",), service="codebuild.amazonaws.com", source=_PATHS),
    Method((), ("ecs:ExecuteCommand",), service="ecs-tasks.amazonaws.com", source=_PATHS),
    Method((), ("sagemaker:CreatePresignedNotebookInstanceUrl",), service="sagemaker.amazonaws.com"),
    Method((), ("states:UpdateStateMachine", "states:StartExecution"), service="states.amazonaws.com", source=_PATHS),
)
"""Methods on a role or user. Without ``on_target`` they act on what runs as the role already."""

ON_FUNCTIONS: Sequence[Method] = (
    Method((), ("lambda:UpdateFunctionCode",)),
    Method((), ("lambda:UpdateFunctionConfiguration",), source=_PATHS),
)
"""Methods on a function, by which one becomes its role: its code, or the layers and variables that its code reads."""

TO_ADMINISTRATOR: Sequence[Method] = (
    Method((), ("iam:CreatePolicyVersion",)),
    Method((), ("iam:SetDefaultPolicyVersion",)),
    Method((), ("iam:PutGroupPolicy",), kinds=("user",)),
    Method((), ("iam:AttachGroupPolicy",), kinds=("user",)),
    Method((), ("iam:AddUserToGroup",), kinds=("user",)),
    Method((), ("iam:CreateRole", "iam:PutRolePolicy"), source=_PATHS),
    Method((), ("iam:CreateRole", "iam:AttachRolePolicy"), source=_PATHS),
    Method((), ("cloudformation:UpdateStack",), source=_PATHS),
    Method((), ("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"), source=_PATHS),
)
"""Methods that give any permission: by a policy of its own, or by the service role that a stack has already.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
"""

ON_KEYS: Sequence[Method] = (
    Method(
        (), ("kms:PutKeyPolicy",), source="https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html"
    ),
    Method((), ("kms:CreateGrant",), source="https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html"),
)
"""Methods on a key, by which one gives oneself its use."""
