"""What fuzzing has found worth keeping: each input that reached new code is read without anything but a typed error."""

import runpy
from pathlib import Path
from zipfile import ZipFile

import pytest

with ZipFile(Path(__file__).with_name("corpus.zip")) as packed:
    CORPUS = {name[:8]: packed.read(name) for name in sorted(packed.namelist())}
check = runpy.run_path(str(Path(__file__).with_name("fuzz_reader.py")))["check"]


def test_corpus_is_there():
    assert len(CORPUS) > 40


@pytest.mark.parametrize("data", CORPUS.values(), ids=CORPUS)
def test_input_of_the_corpus_raises_nothing_but_a_typed_error(data):
    check(data)
