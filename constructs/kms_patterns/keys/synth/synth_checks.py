"""Runs the checks that need the whole app, once per synthesis and for all keys together."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import jsii
from aws_cdk import Stage
from constructs import IConstruct, IValidation

from kms_patterns.keys.synth.at_rest import serve_at_rest
from kms_patterns.keys.synth.cycles import circular_roles
from kms_patterns.keys.synth.identity_policies import identity_statements
from kms_patterns.keys.synth.policy_limits import policy_limits
from kms_patterns.keys.synth.references import References
from kms_patterns.keys.synth.template_checks import template_checks
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.keys.synth.void_grants import void_grants

if TYPE_CHECKING:
    from kms_patterns.keys.customer_managed_key import CustomerManagedKey
    from kms_patterns.keys.imported.imported_key import ImportedKeyBase

_checks: "WeakKeyDictionary[IConstruct, SynthChecks]" = WeakKeyDictionary()


def check_at_synth(key: "CustomerManagedKey") -> None:
    """Have the policy of ``key`` and all permissions on it checked when its app or stage is synthesized."""
    _checks_of(key).keys.append(key)


def serve_at_synth(key: "ImportedKeyBase") -> None:
    """Have the owner of ``key`` told, when its app or stage is synthesized, what resources under it need."""
    _checks_of(key).imported.append(key)


def _checks_of(key: "CustomerManagedKey | ImportedKeyBase") -> "SynthChecks":
    stage = _home(key)
    if stage not in _checks:
        _checks[stage] = SynthChecks()
        stage.node.add_validation(_checks[stage])
    return _checks[stage]


def _home(key: "CustomerManagedKey | ImportedKeyBase") -> IConstruct:
    return Stage.of(key) or key.node.root


@jsii.implements(IValidation)
class SynthChecks:
    """The checks of all keys of one app or stage."""

    def __init__(self) -> None:
        self.keys: list[CustomerManagedKey] = []
        self.imported: list[ImportedKeyBase] = []

    def validate(self) -> list[str]:
        """Let resources under the keys be created; return one message per void grant, exceeded limit and cycle."""
        view = TemplateView(_home(self.keys[0] if self.keys else self.imported[0]).node.find_all())
        references = References(view)
        names: dict[str, CustomerManagedKey | ImportedKeyBase] = {
            references.name(key.stack, key.stack.resolve(key.key_arn)): key for key in self.imported
        }
        names |= {view.name(key.resource): key for key in self.keys}
        unserved = list(serve_at_rest(names, view, references))
        statements = list(identity_statements(view, references))
        messages = [text for key in self.keys for text in void_grants(key, statements, view, references)]
        messages += [text for key in self.keys for text in policy_limits(key, view)]
        messages += [text for key in self.keys for text in template_checks(key, view)]
        return [*unserved, *messages, *circular_roles(self.keys, view)]
