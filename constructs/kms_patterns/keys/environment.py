"""What is fixed of a stack from its beginning, asked of the CDK's process once: each response costs it a message."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aws_cdk import Stack
from constructs import IConstruct

T = TypeVar("T")


@dataclass(frozen=True)
class Home:
    """The environment of a stack.

    Attributes:
        path: Construct path of the stack.
        account: Its account, or a token.
        region: Its Region, or a token.
        partition: Its partition, or a token.
    """

    path: str
    account: str
    region: str
    partition: str

    @property
    def root(self) -> str:
        """ARN of the root of the account."""
        return self.root_of(self.account)

    def root_of(self, account: str) -> str:
        """Return the ARN of the root of another account of the partition."""
        return f"arn:{self.partition}:iam::{account}:root"


def once(read: Callable[[Any], T]) -> tuple[Callable[[Any], T], dict[str, T]]:
    """Return ``read`` for one construct, asked once, and what it found."""
    # By its reference: of what JavaScript made, jsii makes a new object whenever it meets it, and it frees none.
    found: dict[str, T] = {}

    def get(construct: Any) -> T:
        reference = reference_of(construct)
        if reference not in found:
            found[reference] = read(construct)
        return found[reference]

    return get, found


def reference_of(construct: Any) -> str:
    """Return the name of a construct in the CDK's process."""
    return str(construct.__jsii_ref__.ref)


home_of = once(lambda stack: Home(stack.node.path, stack.account, stack.region, stack.partition))[0]
"""Return the environment of a stack."""
stack_of, _stacks = once(Stack.of)
"""Return the stack of a construct."""
path_of, _paths = once(lambda construct: str(construct.node.path))
"""Return the path of a construct."""
arn_of = once(lambda key: str(key.key_arn))[0]
"""Return the ARN of a key."""
id_of = once(lambda key: str(key.key_id))[0]
"""Return the id of a key."""


def note_made(construct: IConstruct, construct_id: str, scope: IConstruct) -> None:
    """Note that ``construct`` was made in ``scope``, under this id."""
    _stacks[reference_of(construct)] = stack_of(scope)
    own, above = construct_id.replace("/", "--"), path_of(scope)
    _paths[reference_of(construct)] = f"{above}/{own}" if above and own else above or own


def note_path(construct: IConstruct, path: str) -> None:
    """Note the path of ``construct``."""
    _paths[reference_of(construct)] = path


def is_unresolved(text: str) -> bool:
    """Return what ``Token.is_unresolved`` says of a text."""
    return "${Token[" in text
