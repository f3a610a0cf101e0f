"""Runs what needs the whole app, once per synthesis and for all keys together: an aspect adds, a validation reads."""

import json

import jsii
from aws_cdk import Aspects, Stage
from constructs import IConstruct, IValidation

from kms_patterns.keys.grants.target import GrantTarget, KeyInApp
from kms_patterns.keys.synth.at_rest import AtRest
from kms_patterns.keys.synth.cycles import circular_roles
from kms_patterns.keys.synth.references import References
from kms_patterns.keys.synth.template_checks import policy_limits, template_checks
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.keys.synth.void_grants import identity_statements, messages_without_key, void_grants


def check_at_synth(key: KeyInApp) -> None:
    """Have the policy of ``key`` and all permissions on it checked when its app or stage is synthesized."""
    checks = _checks_of(key)
    checks.keys.append(key)
    checks.at_rest.add(key, key.resource.node.path)


def serve_at_synth(key: GrantTarget) -> None:
    """Have it reported, when its app or stage is synthesized, what resources under ``key`` need of its owner."""
    arn = key.stack.resolve(key.key_arn)
    _checks_of(key).at_rest.add(key, arn if isinstance(arn, str) else json.dumps(arn, sort_keys=True))


def _checks_of(key: GrantTarget) -> "SynthChecks":
    stage: IConstruct = Stage.of(key) or key.node.root
    aspects = Aspects.of(stage)
    found = next((aspect for aspect in aspects.all if isinstance(aspect, _AtRestWithChecks)), None)
    if found is None:
        found = _AtRestWithChecks(stage)
        aspects.add(found, priority=AtRest.PRIORITY)
        stage.node.add_validation(found.checks)
    return found.checks


@jsii.implements(IValidation)
class SynthChecks:
    """The checks of all keys of one app or stage."""

    def __init__(self, stage: IConstruct, at_rest: AtRest) -> None:
        self._stage, self.at_rest = stage, at_rest
        self.keys: list[KeyInApp] = []

    def validate(self) -> list[str]:
        """Return one message per unserved resource, void grant, exceeded limit and cycle."""
        view = TemplateView(self._stage.node.find_all())
        references = References(view)
        statements = list(identity_statements(view, references))
        messages = [text for texts in self.at_rest.refused.values() for text in texts]
        messages += [text for key in self.keys for text in void_grants(key, statements, view, references)]
        messages += messages_without_key(self.at_rest.under, statements, view, references)
        messages += [text for key in self.keys for text in policy_limits(key, view)]
        messages += [text for key in self.keys for text in template_checks(key, view)]
        return [*messages, *circular_roles(self.keys, view)]


class _AtRestWithChecks(AtRest):
    """The aspect of a stage, by which the checks of its keys are found again."""

    def __init__(self, stage: IConstruct) -> None:
        super().__init__()
        self.checks = SynthChecks(stage, self)
