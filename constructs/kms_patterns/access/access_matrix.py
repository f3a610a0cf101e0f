"""The facade of the access proof: a matrix that reads assemblies and asserts what they give."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kms_patterns.access.assertions import check_administrator_cannot_use, check_nobody_else, check_only
from kms_patterns.access.evaluate.building import build
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.report.matrix_json import read, write


class AccessMatrix(Matrix):
    """Everything that is reachable in an assembly; what is not listed is denied."""

    @classmethod
    def _from(cls, matrix: Matrix) -> "AccessMatrix":
        return cls(**{item.name: getattr(matrix, item.name) for item in fields(matrix)})

    @classmethod
    def from_assembly(cls, path: str | Path, *, project: Path | None = None) -> "AccessMatrix":
        """Evaluate a cloud assembly.

        Args:
            path: ``cdk.out``, a template in JSON or YAML, or a folder of templates.
            project: Where the search for the simulator's ``node_modules`` starts. Defaults to the current folder.

        Raises:
            NotAnAssembly: ``path`` is none of these.
            NotATemplate: A template cannot be read.
            ToolMissing: Node or the simulator is not installed.
            SimulationFailed: The simulator could not evaluate a request.
        """
        return cls._from(build(Path(path), project=project))

    @classmethod
    def from_json(cls, text: str) -> "AccessMatrix":
        """Read what ``to_json`` wrote.

        Raises:
            NotAMatrix: ``text`` is something else, or of another version.
        """
        return cls._from(read(text))

    def to_json(self) -> str:
        """Return the matrix as JSON; ``schema/access-matrix-1.json`` describes it."""
        return write(self)

    def assert_only(
        self, principal: str, resource: str, expected: Mapping[str, Mapping[str, Mapping[str, Any]] | None]
    ) -> None:
        """Assert that a principal can do exactly ``expected`` to a resource, under exactly these conditions.

        Args:
            principal: Id, label or unique end of an id (``ReaderRole``).
            resource: Likewise (``Key``, ``Data/Bucket``).
            expected: By action the ``Condition`` of a policy statement, None for always; made-up names are written as
                in reports (``<Data/Bucket>``, ``<account>``, ``<region>``), a scope of objects follows the action after
                a space (``s3:GetObject shared/*``). Conditions are compared by what they allow, not by how they look.

        Raises:
            AssertionError: Anything more, less or different is reachable.
            KeyError: No principal or resource has that name.
        """
        check_only(self, principal, resource, expected)

    def assert_nobody_else(
        self, resource: str, allowed: Iterable[str] = (), *, actions: Iterable[str] | None = None
    ) -> None:
        """Assert that only the principals named in ``allowed`` can use a resource.

        Args:
            resource: Id, label or unique end of an id.
            allowed: Principals that may.
            actions: What counts as use. Defaults to: of a key every cryptographic operation and ``kms:CreateGrant``;
                of a bucket every action on objects, except by the account's administrators, whom only the key stops;
                of a role, assuming it.

        Raises:
            AssertionError: Another principal can.
            KeyError: No principal or resource has that name.
        """
        check_nobody_else(self, resource, allowed, actions)

    def assert_administrator_cannot_use(self, key: str) -> None:
        """Assert that neither an administrator with ``*:*`` nor another role with ``kms:*`` can use a key.

        Args:
            key: Id, label or unique end of an id.

        Raises:
            AssertionError: They can use it, or create a grant for it.
            KeyError: No key has that name.
        """
        check_administrator_cannot_use(self, key)
