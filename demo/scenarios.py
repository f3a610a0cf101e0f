"""Every scenario of the demo, in playing order."""

from dataclasses import replace

from demo.agreements import agreements
from demo.beyond import beyond
from demo.documents import denied, upload
from demo.envelope_files import envelope
from demo.envelope_formats import formats
from demo.key_pairs import pairs
from demo.macs import macs
from demo.moves import moves
from demo.public_key import publication
from demo.rsa_envelopes import rsa_envelopes
from demo.rsa_secrets import rsa_secrets
from demo.scenario import Scenario
from demo.secret_values import secrets
from demo.signatures import signing
from demo.signed_releases import releases
from demo.tokens import tokens

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
