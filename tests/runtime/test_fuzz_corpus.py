"""What fuzzing has found worth keeping: each input that reached new code is read without anything but a typed error."""

import runpy
from pathlib import Path

import pytest

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
check = runpy.run_path(str(Path(__file__).with_name("fuzz_reader.py")))["check"]


def test_corpus_is_there():
    assert len(CORPUS) > 40


@pytest.mark.parametrize("path", CORPUS, ids=[path.name[:8] for path in CORPUS])
def test_input_of_the_corpus_raises_nothing_but_a_typed_error(path):
    check(path.read_bytes())
