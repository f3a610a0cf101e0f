"""The encryption context that a function works under: fixed by configuration, completed by the request."""

from collections.abc import Iterable, Mapping

from kms_runtime.errors import EncryptionContextInvalid, EncryptionContextMismatch, EncryptionContextRequired


def effective_context(given: Mapping[str, str], *, fixed: Mapping[str, str], required: Iterable[str]) -> dict[str, str]:
    """Return ``fixed`` and ``given`` together.

    Args:
        given: Pairs of the request.
        fixed: Pairs that apply to every request.
        required: Names that must be present in the result.

    Raises:
        EncryptionContextMismatch: The request gives a fixed name another value.
        EncryptionContextRequired: A required name is missing.
        EncryptionContextInvalid: Two names differ in case only.
    """
    contradicted = sorted(name for name, value in fixed.items() if given.get(name, value) != value)
    if contradicted:
        raise EncryptionContextMismatch(f"this function fixes the value of {', '.join(contradicted)}")
    context = {**given, **fixed}
    missing = sorted(set(required) - context.keys())
    if missing:
        raise EncryptionContextRequired(f"this function requires {', '.join(missing)} in the encryption context")
    return one_spelling(context)


def one_spelling(context: dict[str, str]) -> dict[str, str]:
    """Return ``context`` if no two names differ in case only.

    AWS KMS tells such names apart and a condition of a policy does not, so the one could stand in for the other.

    Raises:
        EncryptionContextInvalid: Two names do.

    See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html
    """
    folded = [name.lower() for name in context]
    if len(set(folded)) != len(folded):
        twins = sorted(name for name in context if folded.count(name.lower()) > 1)
        raise EncryptionContextInvalid(f"names of the encryption context differ in case only: {', '.join(twins)}")
    return context
