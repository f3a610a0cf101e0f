"""The encryption context that a function works under: fixed by configuration, completed by the request."""

from collections.abc import Iterable, Mapping

from kms_runtime.errors import EncryptionContextMismatch, EncryptionContextRequired


def effective_context(given: Mapping[str, str], *, fixed: Mapping[str, str], required: Iterable[str]) -> dict[str, str]:
    """Return ``fixed`` and ``given`` together.

    Args:
        given: Pairs of the request.
        fixed: Pairs that apply to every request.
        required: Names that must be present in the result.

    Raises:
        EncryptionContextMismatch: The request gives a fixed name another value.
        EncryptionContextRequired: A required name is missing.
    """
    contradicted = sorted(name for name, value in fixed.items() if given.get(name, value) != value)
    if contradicted:
        raise EncryptionContextMismatch(f"this function fixes the value of {', '.join(contradicted)}")
    context = {**given, **fixed}
    missing = sorted(set(required) - context.keys())
    if missing:
        raise EncryptionContextRequired(f"this function requires {', '.join(missing)} in the encryption context")
    return context
