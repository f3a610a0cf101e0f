"""Encapsulate and Decapsulate for a botocore that does not know them, such as the one that a Lambda runtime ships.

botocore merges a file named ``service-2.sdk-extras.json`` on its data path into its own model of a service. Ours holds
the two operations only: a botocore that has them (1.44.8 has) stays as it is.

See https://docs.aws.amazon.com/kms/latest/APIReference/API_Decapsulate.html
"""

from pathlib import Path
from typing import Any, Final

from botocore.loaders import Loader, create_loader
from botocore.session import Session

MODELS: Final = Path(__file__).parent / "models"
"""The data path with the additions, also for the environment variable ``AWS_DATA_PATH``."""


def kms_loader() -> Loader:
    """Return a loader of service models in which AWS KMS has ML-KEM."""
    return create_loader(str(MODELS))


def with_ml_kem(core: Any) -> Any:
    """Return the botocore session ``core``, whose clients of AWS KMS have the methods of ML-KEM from now on.

    Args:
        core: A ``botocore.session.Session`` from which no client was made yet.
    """
    core.register_component("data_loader", kms_loader())
    return core


def ml_kem_session() -> Session:
    """Return a botocore session of the environment with ML-KEM, for ``boto3.Session(botocore_session=…)``."""
    session: Session = with_ml_kem(Session())
    return session
