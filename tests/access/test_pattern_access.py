"""Over all KMS actions: each role of the reference app has what it is named for, and no other role has any of it.

What that is stands in ``ACCESS`` of the stack's module in ``minimality/patterns``.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kms_patterns.access import AccessMatrix
from kms_patterns.policy.actions import S3_CONFIGURATION

sys.path.insert(0, str(Path(__file__).parent))

from minimality.scenarios import STACKS, access_of

sys.path.pop(0)

KEYS = [(stack, key) for stack in STACKS for key in access_of(stack)]
PUBLISHING = [stack for stack in STACKS if any("Export/Publish/Role" in roles for roles in access_of(stack).values())]


@pytest.fixture
def reference(matrix: Callable[[str], AccessMatrix]) -> AccessMatrix:
    return matrix("app")


@pytest.mark.parametrize(("stack", "key"), KEYS)
def test_roles_have_exactly_this_and_nobody_else_uses_the_key(stack: str, key: str, reference: AccessMatrix) -> None:
    roles = access_of(stack)[key]
    for role, expected in roles.items():
        reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", expected)
    # GetPublicKey does not count as a use of the key; the first check sees that it is all that its readers do.
    users = [f"{stack}/{role}" for role, expected in roles.items() if expected.keys() - {"kms:GetPublicKey"}]
    reference.assert_nobody_else(f"{stack}/{key}", users)
    reference.assert_administrator_cannot_use(f"{stack}/{key}")
    for missing in users:
        with pytest.raises(AssertionError, match=f"{missing}: kms:"):
            reference.assert_nobody_else(f"{stack}/{key}", [user for user in users if user != missing])


@pytest.mark.parametrize(("stack", "key"), KEYS)
def test_role_of_another_key_has_nothing_here(stack: str, key: str, reference: AccessMatrix) -> None:
    roles = {role for others in access_of(stack).values() for role in others} - access_of(stack)[key].keys()
    for role in roles:
        reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", {})


@pytest.mark.parametrize("stack", STACKS)
def test_weaker_condition_would_be_found(stack: str, reference: AccessMatrix) -> None:
    for key, roles in access_of(stack).items():
        conditional = [(role, action) for role, found in roles.items() for action, when in found.items() if when]
        for role, action in conditional[:1]:
            unconditional = dict.fromkeys(roles[role])
            with pytest.raises(AssertionError, match=f"{action}: expected always, reachable when"):
                reference.assert_only(f"{stack}/{role}", f"{stack}/{key}", unconditional)


@pytest.mark.parametrize("stack", PUBLISHING)
def test_only_the_publishing_role_writes_what_is_published(stack: str, reference: AccessMatrix) -> None:
    writes = ["s3:PutObject", "s3:ReplicateObject"]
    publisher = [f"{stack}/Export/Publish/Role"]
    reference.assert_nobody_else(f"{stack}/Export/Bucket", publisher, actions=writes)
    with pytest.raises(AssertionError, match="s3:PutObject"):
        reference.assert_nobody_else(f"{stack}/Export/Bucket", [], actions=writes)


@pytest.mark.parametrize("bucket", ["KmsPatterns-S3/Bucket", "KmsPatterns-Envelope/Vault"])
def test_no_principal_of_the_account_but_the_deployment_configures_a_bucket(
    bucket: str, reference: AccessMatrix
) -> None:
    reference.assert_nobody_else(bucket, [], actions=list(S3_CONFIGURATION))
    with pytest.raises(AssertionError, match="s3:PutBucketVersioning"):
        reference.assert_nobody_else(bucket, [], actions=["s3:PutBucketVersioning"])
