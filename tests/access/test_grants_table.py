"""The committed table of what each grant allows is what the simulator counts, and nothing of ours is in excess."""

import importlib
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "keys"


def test_table_is_as_counted_and_no_grant_of_ours_allows_more_than_needed():
    sys.path.insert(0, str(DOCS))
    try:
        page = importlib.import_module("write_grants").page()
    finally:
        sys.path.remove(str(DOCS))

    assert page == (DOCS / "grants.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    assert {row[4].strip() for row in rows} == {"0"}
    assert len(rows) > 30
    assert re.search(r"may use the keys of this library by 0 of \d+ cryptographic actions", page)
