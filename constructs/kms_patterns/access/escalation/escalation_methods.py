"""How a principal becomes another one, or changes what it may do: one row per method, with its source.

Rhino: https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/
Pathfinding: https://pathfinding.cloud/paths/
Passing roles: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
Actions that take a role: https://docs.aws.amazon.com/service-authorization/latest/reference/ (dependent actions)
"""

from collections.abc import Mapping, Sequence
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
        needs: What of the target must be there to change: ``boundaries``, or ``tags`` that a policy asks for.
        source: Where the method is described.
    """

    on_target: Sequence[str]
    besides: Sequence[str] = ()
    effect: Effect = Effect.BECOME
    service: str | None = None
    kinds: Sequence[str] = ("role",)
    needs: str = ""
    source: str = "https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/"

    @property
    def name(self) -> str:
        """The method as reports print it."""
        return " and ".join([*self.on_target, *self.besides])


_API = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_"
_PATHS = "https://pathfinding.cloud/paths/"
_PASSING = "https://docs.aws.amazon.com/service-authorization/latest/reference/"
_CHANGE = Effect.CHANGE


_PASSED = {
    "airflow-env": "airflow:CreateEnvironment",
    "amplify": "amplify:CreateApp",
    "apigateway": "apigateway:PUT",
    "apprunner": "apprunner:CreateService",
    "appstream": "appstream:CreateFleet appstream:CreateImageBuilder",
    "appsync": "appsync:CreateDataSource appsync:UpdateDataSource",
    "backup": "backup:StartRestoreJob",
    "batch": "batch:SubmitJob",
    "batchoperations.s3": "s3:CreateJob",
    "bedrock": "bedrock:CreateAgent bedrock:CreateFlow bedrock:UpdateAgent",
    "bedrock-agentcore": "bedrock-agentcore:CreateAgentRuntime bedrock-agentcore:CreateBrowser"
    " bedrock-agentcore:CreateCodeInterpreter bedrock-agentcore:CreateGateway bedrock-agentcore:UpdateAgentRuntime",
    "braket": "braket:CreateJob",
    "cloudformation": "cloudformation:CreateChangeSet+cloudformation:ExecuteChangeSet cloudformation:CreateResource"
    " cloudformation:CreateStack cloudformation:CreateStackSet cloudformation:UpdateStack"
    " cloudformation:UpdateStackSet",
    "codebuild": "codebuild:CreateProject codebuild:UpdateProject",
    "codedeploy": "codedeploy:CreateDeploymentGroup",
    "codepipeline": "codepipeline:CreatePipeline codepipeline:UpdatePipeline",
    "cognito-identity": "cognito-identity:SetIdentityPoolRoles",
    "comprehend": "comprehend:StartEntitiesDetectionJob",
    "credentials.iot": "iot:CreateRoleAlias iot:UpdateRoleAlias",
    "databrew": "databrew:CreateRecipeJob",
    "datapipeline": "datapipeline:CreatePipeline+datapipeline:PutPipelineDefinition",
    "datasync": "datasync:CreateLocationS3",
    "dms": "dms:CreateEndpoint dms:CreateReplicationTask",
    "ec2": "autoscaling:CreateAutoScalingGroup autoscaling:CreateLaunchConfiguration ec2:AssociateIamInstanceProfile"
    " ec2:CreateFleet ec2:CreateLaunchTemplateVersion ec2:ReplaceIamInstanceProfileAssociation"
    " ec2:RequestSpotInstances ec2:RunInstances elasticbeanstalk:CreateEnvironment elasticmapreduce:RunJobFlow"
    " iam:AddRoleToInstanceProfile imagebuilder:CreateInfrastructureConfiguration",
    "ecs-tasks": "batch:RegisterJobDefinition ecs:CreateService ecs:RegisterTaskDefinition ecs:RunTask ecs:StartTask"
    " ecs:UpdateService",
    "elasticbeanstalk": "elasticbeanstalk:CreateEnvironment",
    "elasticmapreduce": "elasticmapreduce:RunJobFlow",
    "emr-serverless": "emr-serverless:StartJobRun",
    "events": "events:PutTargets",
    "firehose": "firehose:CreateDeliveryStream firehose:UpdateDestination",
    "fis": "fis:CreateExperimentTemplate",
    "gamelift": "gamelift:CreateFleet",
    "glue": "glue:CreateDevEndpoint glue:CreateJob glue:CreateSession glue:UpdateJob",
    "imagebuilder": "imagebuilder:CreateImage",
    "iot": "iot:CreateTopicRule iot:ReplaceTopicRule",
    "kinesisanalytics": "kinesisanalytics:CreateApplication",
    "lambda": "lambda:CreateFunction lambda:UpdateFunctionConfiguration",
    "mediaconvert": "mediaconvert:CreateJob",
    "omics": "omics:StartRun",
    "pipes": "pipes:CreatePipe pipes:UpdatePipe",
    "pods.eks": "eks:CreatePodIdentityAssociation eks:UpdatePodIdentityAssociation",
    "rds": "rds:AddRoleToDBCluster",
    "redshift": "redshift:ModifyClusterIamRoles",
    "rolesanywhere": "rolesanywhere:CreateProfile",
    "s3": "s3:PutReplicationConfiguration",
    "sagemaker": "sagemaker:CreateAutoMLJob sagemaker:CreateDomain sagemaker:CreateModel"
    " sagemaker:CreateNotebookInstance sagemaker:CreatePipeline sagemaker:CreateProcessingJob"
    " sagemaker:CreateTrainingJob sagemaker:CreateUserProfile",
    "scheduler": "scheduler:CreateSchedule scheduler:UpdateSchedule",
    "servicecatalog": "servicecatalog:CreateConstraint",
    "ssm": "ssm:RegisterTaskWithMaintenanceWindow ssm:StartAutomationExecution",
    "states": "states:CreateStateMachine states:TestState states:UpdateStateMachine",
    "tasks.apprunner": "apprunner:CreateService",
    "transcribe": "transcribe:StartTranscriptionJob",
    "transfer": "transfer:CreateAccess transfer:CreateUser transfer:UpdateUser",
}
"""What makes a service act as a role that is passed to it, by the service that the role trusts; + joins actions."""

_RUNNING = {
    "airflow-env": "airflow:CreateCliToken airflow:CreateWebLoginToken",
    "apprunner": "apprunner:UpdateService",
    "bedrock-agentcore": "bedrock-agentcore:InvokeCodeInterpreter",
    "cloudformation": "cloudformation:CreateChangeSet+cloudformation:ExecuteChangeSet cloudformation:UpdateStack",
    "codebuild": "codebuild:StartBuild codebuild:StartBuildBatch",
    "ec2": "ec2-instance-connect:SendSSHPublicKey ec2-instance-connect:SendSerialConsoleSSHPublicKey"
    " ec2:CreateLaunchTemplateVersion+ec2:ModifyLaunchTemplate ec2:ModifyInstanceAttribute+ec2:StartInstances"
    " elasticbeanstalk:UpdateEnvironment"
    " elasticmapreduce:AddJobFlowSteps ssm:CreateAssociation ssm:ResumeSession ssm:SendCommand ssm:StartSession"
    " ssm:UpdateAssociation",
    "ecs-tasks": "ecs:ExecuteCommand",
    "glue": "glue:RunStatement glue:UpdateDevEndpoint",
    "kinesisanalytics": "kinesisanalytics:UpdateApplication",
    "pods.eks": "eks:CreateAccessEntry",
    "rolesanywhere": "rolesanywhere:CreateTrustAnchor",
    "sagemaker": "sagemaker:CreatePresignedDomainUrl sagemaker:CreatePresignedNotebookInstanceUrl"
    " sagemaker:UpdateNotebookInstance",
    "saml-provider": "iam:UpdateSAMLProvider",
    "states": "states:UpdateStateMachine+states:StartExecution",
    "tasks.apprunner": "apprunner:UpdateService",
}
"""What acts as a role by what runs as it already, by the service or kind of provider that the role trusts."""


def _through_services(table: Mapping[str, str], *on_target: str, source: str) -> list[Method]:
    return [
        Method(on_target, actions.split("+"), service=f"{service}.amazonaws.com", source=source)
        for service, said in table.items()
        for actions in said.split()
    ]


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
    Method(
        ("iam:ResetServiceSpecificCredential",), kinds=("user",), source=f"{_API}ResetServiceSpecificCredential.html"
    ),
    *(
        Method(
            (f"iam:{verb}{kind.title()}{what}",),
            effect=_CHANGE,
            kinds=(kind,),
            needs=needs,
            source=f"{_API}{verb}{kind.title()}{what}.html",
        )
        for kind in ("role", "user")
        for verb, what, needs in (
            ("Delete", "PermissionsBoundary", "boundaries"),
            ("Put", "PermissionsBoundary", "boundaries"),
            ("Tag", "", "tags"),
            ("Untag", "", "tags"),
        )
    ),
    *(
        Method((), (f"iam:{name}",), effect=_CHANGE, kinds=("user",), source=f"{_API}{name}.html")
        for name in ("AddUserToGroup", "AttachGroupPolicy", "PutGroupPolicy")
    ),
    Method(("iam:DeactivateMFADevice",), ("iam:UpdateLoginProfile",), kinds=("user",), source=_PATHS),
    *_through_services(_PASSED, "iam:PassRole", source=_PASSING),
    *_through_services(_RUNNING, source=_PATHS),
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
    *(
        Method((), ("iam:CreateUser", f"iam:{gives}UserPolicy", f"iam:Create{key}"), source=_PATHS)
        for gives in ("Attach", "Put")
        for key in ("AccessKey", "LoginProfile")
    ),
    *(
        Method(
            (), (f"sso:{name}",), source=f"https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_{name}.html"
        )
        for name in (
            "AttachCustomerManagedPolicyReferenceToPermissionSet",
            "AttachManagedPolicyToPermissionSet",
            "CreateAccountAssignment",
            "PutInlinePolicyToPermissionSet",
        )
    ),
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
    Method(
        (), ("kms:ReplicateKey",), source="https://docs.aws.amazon.com/kms/latest/APIReference/API_ReplicateKey.html"
    ),
)
"""Methods on a key, by which one gives oneself its use."""
