"""What is fixed of a stack from its beginning, asked of the CDK's process once: each response costs it a message."""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from aws_cdk import Stack
from constructs import IConstruct


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


_homes: "WeakKeyDictionary[Stack, Home]" = WeakKeyDictionary()
_stacks: "WeakKeyDictionary[IConstruct, Stack]" = WeakKeyDictionary()


def home_of(stack: Stack) -> Home:
    """Return the environment of ``stack``."""
    if stack not in _homes:
        _homes[stack] = Home(stack.node.path, stack.account, stack.region, stack.partition)
    return _homes[stack]


def stack_of(scope: IConstruct) -> Stack:
    """Return the stack of ``scope``."""
    if scope not in _stacks:
        _stacks[scope] = Stack.of(scope)
    return _stacks[scope]


_paths: "WeakKeyDictionary[IConstruct, str]" = WeakKeyDictionary()


def path_of(construct: IConstruct) -> str:
    """Return the path of ``construct``."""
    if construct not in _paths:
        _paths[construct] = construct.node.path
    return _paths[construct]


_arns: "WeakKeyDictionary[Any, str]" = WeakKeyDictionary()


def arn_of(key: Any) -> str:
    """Return the ARN of ``key``."""
    if key not in _arns:
        _arns[key] = key.key_arn
    return _arns[key]


_ids: "WeakKeyDictionary[Any, str]" = WeakKeyDictionary()


def id_of(key: Any) -> str:
    """Return the id of ``key``."""
    if key not in _ids:
        _ids[key] = key.key_id
    return _ids[key]


def note_made(construct: IConstruct, construct_id: str, scope: IConstruct) -> None:
    """Note that ``construct`` was made in ``scope``, under this id."""
    _stacks[construct] = stack_of(scope)
    own, above = construct_id.replace("/", "--"), path_of(scope)
    _paths[construct] = f"{above}/{own}" if above and own else above or own


def note_path(construct: IConstruct, path: str) -> None:
    """Note the path of ``construct``."""
    _paths[construct] = path


def is_unresolved(text: str) -> bool:
    """Return what ``Token.is_unresolved`` says of a text."""
    return "${Token[" in text
