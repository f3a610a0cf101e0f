"""Writes errors.md: the message of every error at synth, as it is raised."""

import re
from pathlib import Path

import catalogue

PAGE = Path(__file__).with_name("errors.md")
HEAD = """# Errors at synth

Written by `docs/keys/write_errors.py` from `docs/keys/catalogue.py`; do not edit. Each is raised before anything is
deployed. `tests/infrastructure/test_public_surface.py` runs each app and its nearest neighbor, which is accepted, and
shows that this message is gone once its check is removed.

The checks read properties as the L1 constructs hold them. What `add_property_override` writes is merged into the
template after every check of the AWS CDK: set the property itself (`key.resource.key_spec = …`) and it is checked.

Whether an immutable property changed can be known where the deployed templates are at hand, such as the `cdk.out` of
the last deployment: `cdk synth -c kms-patterns:deployed=FOLDER` compares with them.
"""


def page() -> str:
    """Return the page's text."""
    return HEAD + "".join(f"\n## {entry.title}\n\n```\n{_message(entry)}\n```\n" for entry in catalogue.ENTRIES)


def _message(entry: object) -> str:
    message = catalogue.outcome(entry.refused) or "accepted"  # type: ignore[attr-defined]
    found = re.search(r"\[\S*\] (.*)", message, re.DOTALL) if "Validation failed" in message else None
    return (found[1] if found else message).strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
