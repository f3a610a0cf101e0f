"""The access proof: a cloud assembly read as an answer to "who can do what, under which condition".

Nothing here reads a construct, only synthesized output. The decisions come from an independent policy simulator.
"""

from kms_patterns.access.access_matrix import AccessMatrix

__all__ = ["AccessMatrix"]
