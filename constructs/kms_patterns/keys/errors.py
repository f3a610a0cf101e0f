"""Errors of keys and grants, raised while the app is synthesized: before anything is deployed.

- ``ValueError``
    - ``KeyConfigurationError``
        - ``RegionUnsupported``
        - ``ArgumentRefused`` (also a ``GrantRefused`` and a ``TypeError``)
        - ``DeployerUnknown``
    - ``GrantRefused``
        - ``PolicyNotWritten``
"""


class KeyConfigurationError(ValueError):
    """A property of a key has a value that KMS would refuse at deployment."""


class RegionUnsupported(KeyConfigurationError):
    """The Region of a stack lacks what the stack needs."""


class DeployerUnknown(KeyConfigurationError):
    """The role that deploys a stack is not known, and a policy would have to name it."""


class GrantRefused(ValueError):
    """A grant that AWS would refuse at run time, that would have no effect, or that is wider than a grant may be."""


class PolicyNotWritten(GrantRefused):
    """No policy can be attached to the role or user, and its half of the grant would be missing."""


class ArgumentRefused(KeyConfigurationError, GrantRefused, TypeError):
    """An argument of a key or of a grant is not of its type, and would have been taken for something else."""
