"""Errors of keys and grants, raised while the app is synthesized: before anything is deployed."""


class KeyConfigurationError(ValueError):
    """A property of a key has a value that KMS would refuse at deployment."""


class GrantRefused(ValueError):
    """A grant that AWS would refuse at run time, that would have no effect, or that is wider than a grant may be."""
