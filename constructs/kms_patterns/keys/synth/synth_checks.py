"""Runs what needs the whole app, once per synthesis and for all keys together: an aspect adds, a validation reads.

One check finds roles that the key policy refers to and that, by an inline policy, refer back to the key.
"""

import json
import re
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import Final, cast

import jsii
from aws_cdk import (
    Aspects,
    CfnResource,
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    NestedStack,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
    Stack,
    Stage,
    Validations,
)
from aws_cdk import aws_iam as iam
from constructs import IConstruct, IValidation

from kms_patterns.keys.environment import once, path_of, stack_of
from kms_patterns.keys.grants.key_policy import KeyPolicy, settle
from kms_patterns.keys.grants.target import GrantTarget, KeyInApp
from kms_patterns.keys.synth.at_rest import AtRest
from kms_patterns.keys.synth.identity_statements import identity_statements
from kms_patterns.keys.synth.overrides import Overrides
from kms_patterns.keys.synth.template_checks import DEPLOYED_CONTEXT, policy_limits, template_checks
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.keys.synth.void_grants import Callers, on_aliases, void_grants
from kms_patterns.keys.synth.void_uses import uses_without_key

_REFERENCE: Final = re.compile(r'"(?:Ref": "|Fn::GetAtt": \[")([A-Za-z0-9]+)"')


def circular_roles(keys: Iterable[KeyInApp], view: TemplateView) -> Iterator[str]:
    """Yield one message per role whose own properties lead to a key that names it, or to something encrypted under it.

    CloudFormation would refuse the stack ("Circular dependency between resources"): the key policy names the role,
    and the role, which holds inline policies and managed policies as properties, names the key. A statement that is
    added to the role afterwards is a resource of its own, and a role with a fixed name is named without a reference:
    neither is a cycle.
    """
    holders = {view.name(item): item for item in view.every(iam.CfnRole, iam.CfnUser) if _holds_policies(view, item)}
    if not holders:
        return
    resources = {view.name(item): item for item in view.every(CfnResource)}
    for key in keys:
        # A nested stack depends on what is passed to it, and all that names a resource in it depends on the whole.
        around = [key.resource, *_nested_stacks_around(view.stack_of(key.resource))]
        goals = {view.name(item) for item in around}
        for name in dict.fromkeys(name for item in around for name in _references(view, item)):
            if name in holders and _reaches(view, resources, name, goals):
                yield _message(key, holders[name])


def _nested_stacks_around(stack: Stack) -> Iterator[CfnResource]:
    while isinstance(stack, NestedStack) and stack.nested_stack_parent is not None:
        yield cast("CfnResource", stack.nested_stack_resource)
        stack = stack.nested_stack_parent


def _message(key: KeyInApp, role: CfnResource) -> str:
    return (
        f"{key.node.path}: {role.node.path.removesuffix('/Resource')} has an inline or managed policy that names the "
        'key or a resource encrypted under it, while the key policy names the role ("Circular dependency between '
        'resources"): give the role a role_name, or add the statement with role.add_to_policy(…) instead of '
        "inline_policies= or managed_policies="
    )


def _holds_policies(view: TemplateView, item: CfnResource) -> bool:
    properties = view.properties(item)
    return bool(_REFERENCE.search(json.dumps([properties.get("policies"), properties.get("managedPolicyArns")])))


def _references(view: TemplateView, resource: CfnResource) -> list[str]:
    home = path_of(view.stack_of(resource))
    return [f"{home}#{logical_id}" for logical_id in _REFERENCE.findall(json.dumps(view.properties(resource)))]


def _reaches(view: TemplateView, resources: dict[str, CfnResource], start: str, goals: Set[str]) -> bool:
    seen, left = {start}, [start]
    while left:
        resource = resources.get(left.pop())
        found = _references(view, resource) if resource else []
        if not goals.isdisjoint(found):
            return True
        left += [name for name in found if name not in seen]
        seen.update(found)
    return False


def check_at_synth(key: KeyInApp) -> None:
    """Have the policy of ``key`` and all permissions on it checked when its app or stage is synthesized."""
    checks = _checks_of(stack_of(key))
    checks.keys.append(key)
    checks.at_rest.keys.add(key, path_of(key.resource))


def serve_at_synth(key: GrantTarget) -> None:
    """Have it reported, when its app or stage is synthesized, what resources under ``key`` need of its owner."""
    arn = stack_of(key).resolve(key.key_arn)
    _checks_of(stack_of(key)).at_rest.keys.add(key, arn if isinstance(arn, str) else json.dumps(arn, sort_keys=True))


def _checks_of_stage(stack: Stack) -> "SynthChecks":
    stage: IConstruct = Stage.of(stack) or stack.node.root
    aspects = Aspects.of(stage)
    found = next((aspect for aspect in aspects.all if isinstance(aspect, _AtRestWithChecks)), None)
    if found is None:
        found = _AtRestWithChecks(stage)
        aspects.add(found, priority=AtRest.PRIORITY)
        stage.node.add_validation(found.checks)
        Validations.of(stage).add_plugins(_Templates(found.checks))
    return found.checks


_checks_of = once(_checks_of_stage)[0]


@jsii.implements(IValidation)
class SynthChecks:
    """The checks of all keys of one app or stage."""

    def __init__(self, stage: IConstruct, at_rest: AtRest) -> None:
        self._stage, self.at_rest = stage, at_rest
        self.keys: list[KeyInApp] = []
        self.latest: tuple[TemplateView, References] | None = None
        self._settled: list[KeyPolicy] = []

    def read(self) -> tuple[TemplateView, References]:
        """Return the app as it is now."""
        view = TemplateView(self._stage.node.find_all())
        self.latest = view, References(view)
        return self.latest

    def validate(self) -> list[str]:
        """Return one message per unserved resource, void grant, exceeded limit and cycle; settle the key policies.

        Nothing changes them from here until the templates are written, for which the AWS CDK would ask twice.
        """
        view, references = self.read()
        callers = Callers(view, references)
        statements = list(identity_statements(view, references))
        messages = [text for texts in self.at_rest.refused.values() for text in texts]
        messages += [text for key in self.keys for text in void_grants(key, statements, view, references, callers)]
        messages += on_aliases(statements, next(iter(view.stacks)))
        messages += uses_without_key(self.at_rest.encrypted, statements, view, references, callers)
        messages += [text for key in self.keys for text in policy_limits(key, view)]
        stacks = {stack_of(key) for key in self.keys}
        deployed = {stack: stack.node.try_get_context(DEPLOYED_CONTEXT) for stack in stacks}
        messages += [text for key in self.keys for text in template_checks(key, view, deployed[stack_of(key)])]
        messages += circular_roles(self.keys, view)
        written = [it for it in (key.resource for key in self.keys) if path_of(it) in view.key_policies]
        self._settled = settle(
            [(view.key_policies[path_of(it)], it, view.properties(it)["keyPolicy"]) for it in written]
        )
        return messages

    def begin(self) -> None:
        """Have the key policies asked for again, which an earlier synthesis settled."""
        while self._settled:
            self._settled.pop().release()


class _AtRestWithChecks(AtRest):
    """The aspect of a stage, by which the checks of its keys are found again."""

    def __init__(self, stage: IConstruct) -> None:
        super().__init__()
        self.checks = SynthChecks(stage, self)

    def visit(self, node: IConstruct) -> None:
        """Allow what ``node`` needs, as before every synthesis."""
        self.checks.begin()
        super().visit(node)


@jsii.implements(IPolicyValidationPlugin)
class _Templates:
    """Compares the templates, once they are written, with what the checks saw of the app."""

    def __init__(self, checks: SynthChecks) -> None:
        self._checks = checks

    @property
    def name(self) -> str:
        """Name of the plugin in the CDK's report."""
        return "kms-patterns"

    @property
    def rule_ids(self) -> list[str] | None:
        """Names of the rules."""
        return ["Override"]

    @property
    def version(self) -> str | None:
        """None: the CDK sends it with its own statistics, and this library sends nothing."""
        return None

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Return one violation per override that changes a key, or what is under one."""
        folders = {Path(path).parent for path in context.template_paths}
        view, references = self._checks.latest or self._checks.read()
        found = list(Overrides(self._checks.keys, self._checks.at_rest, view, references).found(sorted(folders)))
        violations = [
            PolicyViolation(
                rule_name="Override",
                description=it.text,
                severity=it.severity,
                violating_resources=[
                    PolicyViolatingResource(
                        resource_logical_id=it.logical_id, template_path=it.template, locations=["Properties"]
                    )
                ],
            )
            for it in found
        ]
        failed = any(it.severity == "error" for it in found)
        return PolicyValidationPluginReport(success=not failed, violations=violations)
