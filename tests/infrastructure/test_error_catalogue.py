"""Each error of the catalogue: raised, not raised by its neighbour, and gone when its check is taken away."""

import functools
import importlib
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "keys"


def module(name):
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


CATALOGUE = module("catalogue")
by_title = pytest.mark.parametrize("entry", CATALOGUE.ENTRIES, ids=lambda entry: entry.title)


CATALOGUE.outcome = functools.cache(CATALOGUE.outcome)


@by_title
def test_refused(entry):
    assert CATALOGUE.outcome(entry.refused) is not None


@by_title
def test_neighbour_is_accepted(entry):
    assert CATALOGUE.outcome(entry.accepted) is None


@by_title
def test_without_its_check_it_is_refused_no_more_or_otherwise(entry, monkeypatch):
    message = CATALOGUE.outcome(entry.refused)
    place, _, name = entry.check.rpartition(".")
    original = getattr(importlib.import_module(place), name)
    empty = original("alias/x") if name == "check_alias" else {} if name == "_constraints" else ()
    monkeypatch.setattr(f"{place}.{name}", (lambda given: given) if name == "check_alias" else lambda *_, **__: empty)

    assert CATALOGUE.outcome.__wrapped__(entry.refused) != message


def test_page_is_as_written():
    assert module("write_errors").page() == (DOCS / "errors.md").read_text(encoding="utf-8")
