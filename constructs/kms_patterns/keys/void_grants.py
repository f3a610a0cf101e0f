"""stub."""


def watch(key: object) -> None:
    """Stub."""
