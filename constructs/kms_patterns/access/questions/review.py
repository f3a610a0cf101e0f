"""A matrix together with what least privilege objects to, from one evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kms_patterns.access.evaluate.building import matrix_of
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.findings import Violation, violations
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import Model


def reviewed(model: Model, project: Path | None = None) -> tuple[Matrix, Sequence[Violation], Mapping[str, Path]]:
    """Return the matrix, every objection, and the template file of each stack.

    Args:
        model: An assembly.
        project: Where the search for the simulator's ``node_modules`` starts; defaults to the current folder.

    Raises:
        ToolMissing: Node or the simulator is not installed.
    """
    with simulator(project) as running:
        evaluation = evaluate(model, running)
        matrix = matrix_of(model, evaluation, running)
    return matrix, violations(model, evaluation), model.files
