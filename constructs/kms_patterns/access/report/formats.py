"""The forms of a report, by name."""

import json

from kms_patterns.access.evaluate.comparison import Difference
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.report.difference_text import difference_as_markdown, difference_as_text, difference_document
from kms_patterns.access.report.html import difference_as_html, matrix_as_html
from kms_patterns.access.report.markdown import as_markdown
from kms_patterns.access.report.matrix_json import write
from kms_patterns.access.report.text import as_text
from kms_patterns.access.report.visible import visible_json


def render(matrix: Matrix, form: str) -> str:
    """Return the report as ``text``, ``markdown``, ``json`` or ``html``."""
    forms = {"text": as_text, "markdown": as_markdown, "json": write, "html": matrix_as_html}
    return forms[form](matrix)


def render_difference(difference: Difference, form: str, *, link: str = "") -> str:
    """Return the comparison as ``text``, ``markdown`` (with a ``link`` to the whole report), ``json`` or ``html``."""
    if form == "markdown":
        return difference_as_markdown(difference, link=link)
    if form == "json":
        return visible_json(json.dumps(difference_document(difference), indent=1, ensure_ascii=False)) + "\n"
    forms = {"text": difference_as_text, "html": difference_as_html}
    return forms[form](difference)
