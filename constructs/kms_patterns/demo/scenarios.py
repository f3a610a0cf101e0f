"""Every scenario of the demo, in playing order."""

from dataclasses import replace

from kms_patterns.demo.agreements import agreements
from kms_patterns.demo.beyond import beyond
from kms_patterns.demo.documents import denied, upload
from kms_patterns.demo.envelope_files import envelope
from kms_patterns.demo.envelope_formats import formats
from kms_patterns.demo.key_pairs import pairs
from kms_patterns.demo.macs import macs
from kms_patterns.demo.moves import moves
from kms_patterns.demo.public_key import publication
from kms_patterns.demo.rsa_envelopes import rsa_envelopes
from kms_patterns.demo.rsa_secrets import rsa_secrets
from kms_patterns.demo.scenario import Scenario
from kms_patterns.demo.secret_values import secrets
from kms_patterns.demo.signatures import signing
from kms_patterns.demo.signed_releases import releases
from kms_patterns.demo.tokens import tokens

GROUPS = (
    upload,
    denied,
    secrets,
    envelope,
    formats,
    publication,
    rsa_secrets,
    rsa_envelopes,
    signing,
    releases,
    pairs,
    agreements,
    moves,
    tokens,
    macs,
    beyond,
)
SCENARIOS: tuple[Scenario, ...] = tuple(
    replace(scenario, group=f"{number}. {group.title}")
    for number, group in enumerate(GROUPS, start=1)
    for scenario in group.scenarios
)
