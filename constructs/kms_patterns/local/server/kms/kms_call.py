"""A KMS operation as it is asked for: which, with what request, by which principal, through which service."""

from dataclasses import dataclass, field

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.members import Request


def via_service(service: str | None, region: str) -> str | None:
    """Return the value of kms:ViaService for a call that ``service`` (``s3``) makes for a caller."""
    return f"{service}.{region}.amazonaws.com" if service else None


def called_via(service: str | None) -> dict[str, str]:
    """Return the condition keys of a request that a service forwards for its caller.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return dict.fromkeys(("aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast"), service) if service else {}


@dataclass(frozen=True)
class KmsCall:
    """A KMS operation by a caller.

    ``via`` is the AWS service (``s3``) that makes it on the caller's behalf, ``called_via`` the service principal that
    forwards the caller's session.
    """

    operation: str
    request: Request
    caller: Caller
    via: str | None = None
    called_via: str | None = None
    region: str = field(default_factory=lambda: str(reach(RESPONSES, "get_region")()))

    @property
    def via_service(self) -> str | None:
        """The value of kms:ViaService."""
        return via_service(self.via, self.region)
