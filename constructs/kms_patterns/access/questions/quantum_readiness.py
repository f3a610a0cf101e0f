"""What of each key a quantum computer breaks, what to move to, and in which order.

Shor's algorithm breaks RSA and elliptic curves of every length, so their replacements are other key types: ML-KEM
(FIPS 203) for confidentiality, ML-DSA (FIPS 204) for signatures. What was encrypted can be recorded today and decrypted
later, so confidentiality comes first. NIST intends to disallow RSA and elliptic curves after 2035 (NIST IR 8547,
initial public draft, November 2024). Keys of AES-256 and HMAC stand: the best known quantum attack on them is a search
that halves their bits at most (NIST IR 8105, section 3).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum

from kms_patterns.access.evaluate.building import build_of
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.not_read import transforms_of
from kms_patterns.access.read.template import Template
from kms_patterns.access.report.wording import counted, mapped, visible_json
from kms_patterns.access.sources import Sources
from kms_patterns.access.templates.template_text import mapping, text
from kms_patterns.access.unknowns.symbols import is_symbolic, shown, symbol

_KEY, _REPLICA = "AWS::KMS::Key", "AWS::KMS::ReplicaKey"
_KEM = "a KeyEncapsulationKey (ML_KEM_768 or ML_KEM_1024): senders use HPKE, as HpkeReceiver takes it"
_AGREEMENT = "a KeyEncapsulationKey (ML_KEM_768 or ML_KEM_1024): encapsulate to the other party's key, not ECDH"
_DSA = "a SigningKey of ML_DSA_44, ML_DSA_65 or ML_DSA_87: what must be believed for years first, tokens last"
_PAIR_MAKERS = ("kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext")


class Urgency(IntEnum):
    """The order of replacement."""

    NOW = 1
    UNKNOWN = 2
    BEFORE_QUANTUM_COMPUTERS = 3
    NEVER = 4


@dataclass(frozen=True)
class KeyReadiness:
    """What a quantum computer does to one key.

    Attributes:
        key: The key's place, as in the access report.
        spec: Key spec, and key usage after a space; as far as known.
        urgency: When to replace it.
        breaks: What the quantum computer breaks, in words.
        move_to: What to use instead; empty if nothing needs to change.
        makes_pairs: Principals that can make RSA or elliptic-curve data key pairs under the key. What is encrypted for
            such a pair can be recorded as well, whatever the key's own spec is.
    """

    key: str
    spec: str
    urgency: Urgency
    breaks: str
    move_to: str
    makes_pairs: Sequence[str]


_WORDS = {
    Urgency.NOW: "replace now: what is encrypted today can be recorded, and decrypted by a later quantum computer",
    Urgency.UNKNOWN: "find out: the key spec is not known from here",
    Urgency.BEFORE_QUANTUM_COMPUTERS: "replace before quantum computers exist: signatures can be forged from then on",
    Urgency.NEVER: "nothing to replace",
}
_FOOTER = (
    "keys that these templates only name are not listed; RSA and ECC: disallowed after 2035 by NIST IR 8547 (draft of "
    "November 2024); ML-KEM: FIPS 203; ML-DSA: FIPS 204"
)


def readiness_report(sources: Sources, words: Sequence[str], form: str) -> str:
    """Return the report on a source as ``text`` or ``json`` (a list; ``urgency`` is 1, now, to 4, nothing to replace).

    Raises:
        NotATemplate: A source is a saved report, or see ``Sources.matrix``.
    """
    stacks = sources.stacks(words)
    found = quantum_readiness(stacks, build_of(stacks, project=sources.project))
    if form == "json":
        return visible_json(json.dumps([asdict(item) for item in found], indent=1, ensure_ascii=False)) + "\n"
    return _as_text(mapped(found))


def quantum_readiness(stacks: list[Stack], matrix: Matrix) -> list[KeyReadiness]:
    """Return every key of the stacks, the most urgent first.

    Args:
        stacks: The stacks of one assembly or account.
        matrix: The access matrix of the same stacks.
    """
    people = {who.id for who in matrix.principals if who.kind is not PrincipalKind.ADMINISTRATOR}
    found = []
    for where, specs in _specs(Template(stacks)).items():
        makers = {entry.principal for entry in matrix.by_resource.get(where, ()) if entry.action in _PAIR_MAKERS}
        urgency, spec = min((_urgency(spec), spec) for spec in specs)
        spelt = " or ".join(shown(each) for each in sorted(specs))
        found.append(KeyReadiness(where, spelt, urgency, *_advice(urgency, spec), sorted(makers & people)))
    return sorted(found, key=lambda item: (item.urgency, item.key))


def _as_text(found: Sequence[KeyReadiness]) -> str:
    exposed = sum(item.urgency is not Urgency.NEVER for item in found)
    number = f"{exposed} of {counted(len(found), 'key')}"
    verb = "rests, or may rest," if exposed == 1 else "rest, or may rest,"
    out = [f"post-quantum readiness: {number} {verb} on RSA or elliptic curves"]
    for urgency in Urgency:
        group = [item for item in found if item.urgency is urgency]
        out += [f"{urgency.value}. {_WORDS[urgency]}"] if group else []
        for item in group:
            out.append(f"  {item.key}  {item.spec}")
            out += [f"    breaks: {item.breaks}", f"    move to: {item.move_to}"] if item.move_to else []
            if item.makes_pairs:
                out.append(f"    data key pairs (RSA, ECC) can be made by: {', '.join(item.makes_pairs)}")
    return "\n".join([*out, _FOOTER, ""])


def _specs(template: Template) -> dict[str, set[str]]:
    """Return every spec and usage that a key may have, by the key's place."""
    found: dict[str, set[str]] = {}
    by_arn: dict[str, set[str]] = {}
    for stack, logical_id, _ in template.of_type(_KEY):
        where = template.where(stack, logical_id)
        raw = stack.resources[logical_id].get("Properties", {})
        if not isinstance(raw, Mapping) or transforms_of(stack.template, stack.resources[logical_id]):
            raw = {"KeySpec": symbol(f"properties of {logical_id}")}
        asked = {name: value for name, value in raw.items() if name in {"KeySpec", "KeyUsage"}}
        specs = {_spelt(mapping(way)) for _, way in template.ways(stack, asked, where)}
        found[where] = by_arn[template.arn(stack, logical_id)] = specs
    for stack, logical_id, properties in template.of_type(_REPLICA):
        primary = by_arn.get(text(properties.get("PrimaryKeyArn")), {symbol("spec of the primary key")})
        found[template.where(stack, logical_id)] = primary
    return found


def _spelt(properties: Mapping[str, object]) -> str:
    spec, usage = (
        text(properties.get(name, default))
        for name, default in (("KeySpec", "SYMMETRIC_DEFAULT"), ("KeyUsage", "ENCRYPT_DECRYPT"))
    )
    return f"{spec} {usage}"


def _urgency(spelt: str) -> Urgency:
    spec, _, usage = spelt.partition(" ")
    if is_symbolic(spec):
        return Urgency.UNKNOWN
    if re.fullmatch(r"SYMMETRIC_DEFAULT|HMAC_\d+|ML_KEM_\d+|ML_DSA_\d+", spec):
        return Urgency.NEVER
    if not re.fullmatch(r"RSA_\d+|ECC_\w+|SM2", spec):
        return Urgency.UNKNOWN
    # An unknown usage counts as the worst one.
    return Urgency.BEFORE_QUANTUM_COMPUTERS if usage == "SIGN_VERIFY" else Urgency.NOW


def _advice(urgency: Urgency, spelt: str) -> tuple[str, str]:
    if urgency is Urgency.NEVER:
        return "", ""
    if urgency is Urgency.UNKNOWN:
        return "not known", "what DescribeKey's KeySpec asks for: RSA and ECC for confidentiality now, signatures later"
    if urgency is Urgency.BEFORE_QUANTUM_COMPUTERS:
        return "signatures: anyone can sign as this key, with any date", _DSA
    if "KEY_AGREEMENT" in spelt:
        return "confidentiality: every secret that was agreed by it", _AGREEMENT
    return "confidentiality: everything that was encrypted for it", _KEM
