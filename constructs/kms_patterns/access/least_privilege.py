"""A validation plugin of the CDK: synthesis reports void grants, wildcards on keys, and keys that anybody can use."""

from pathlib import Path

import aws_cdk as cdk
import jsii

from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.findings import RULES, Violation, violations
from kms_patterns.access.model import Model
from kms_patterns.access.read.reader import read_model


@jsii.implements(cdk.IPolicyValidationPlugin)
class LeastPrivilege:
    """Checks the access that synthesized templates give to their KMS keys.

    ``Validations.of(app).add_plugins(LeastPrivilege())``. The rules are those of ``findings.RULES``.
    https://docs.aws.amazon.com/cdk/v2/guide/policy-validation-synthesis.html

    Args:
        project: Where the search for the simulator's ``node_modules`` starts; the current folder if left out.
    """

    def __init__(self, *, project: str | None = None) -> None:
        self._project = None if project is None else Path(project)

    @property
    def name(self) -> str:
        """The plugin's name in the validation report."""
        return "LeastPrivilege"

    @property
    def version(self) -> str | None:
        """The version of the rules."""
        return "1.0.0"

    @property
    def rule_ids(self) -> list[str] | None:
        """All rules."""
        return list(RULES)

    def validate(self, context: cdk.IPolicyValidationContext) -> cdk.PolicyValidationPluginReport:
        """Evaluate the templates and report what least privilege objects to.

        Raises:
            ToolMissing: Node or the policy simulator is not installed.
        """
        found: list[cdk.PolicyViolation] = []
        for folder in sorted({Path(path).parent for path in context.template_paths}):
            model = read_model(folder)
            with simulator(self._project) as running:
                found += [_report(item, model) for item in violations(model, evaluate(model, running))]
        return cdk.PolicyValidationPluginReport(success=not found, violations=found)


def _report(item: Violation, model: Model) -> cdk.PolicyViolation:
    wrong, remedy = RULES[item.rule]
    return cdk.PolicyViolation(
        rule_name=item.rule,
        description=f"{wrong}: {item.detail}",
        fix=remedy,
        severity="error",
        violating_resources=[
            cdk.PolicyViolatingResource(
                resource_logical_id=item.logical_id, template_path=str(model.files[item.stack]), locations=[]
            )
        ],
    )
