"""A function with a public URL: reports say once that everybody may call it, and still list who may do more."""

from collections.abc import Callable

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.model import PrincipalKind, ResourceKind
from kms_patterns.access.report.sections import SYNTHETIC, Section, sections
from kms_patterns.access.report.text import as_text


def functions(matrix: AccessMatrix, stack: str) -> dict[str, Section]:
    found = [section for section in sections(matrix, stack) if section.what.kind is ResourceKind.FUNCTION]
    return {section.what.id.removeprefix(f"{stack}/"): section for section in found}


def test_roles_that_may_do_no_more_than_anyone_are_not_repeated(matrix: Callable[[str], AccessMatrix]) -> None:
    section = functions(matrix("examples/public_key"), "PublicKey")["Export/Serve/Function"]
    assert [block.who.kind for block in section.blocks] == list(SYNTHETIC)
    outsider = next(block for block in section.blocks if block.who.kind is PrincipalKind.OUTSIDER)
    assert outsider.alarming
    assert [row.actions for row in outsider.rows] == [["InvokeFunction"], ["InvokeFunctionUrl"]]
    line = "  ! anyone outside the account, and every role without a line of its own"
    assert line in as_text(matrix("examples/public_key")).splitlines()


def test_function_that_is_not_public_still_names_its_caller(matrix: Callable[[str], AccessMatrix]) -> None:
    section = functions(matrix("examples/public_key"), "PublicKey")["Cipher/Decrypt/Function"]
    assert section.blocks[0].who.id == "PublicKey/Reader"
    assert not any(block.everybody for block in section.blocks)
