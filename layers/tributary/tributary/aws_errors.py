"""Messages for AWS services that cannot be reached, such as one without an endpoint in the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

# Codes of a service that is busy or has a problem of its own (common errors of AWS's APIs).
BUSY = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "InternalServiceException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def unreachable(service: str, error: BotoCoreError) -> str:
    """Return the message: which service, at which endpoint, and what to check."""
    url = error.kwargs.get("endpoint_url")
    at = f" at {url}" if url else ""
    return (
        f"{service} could not be reached{at} ({type(error).__name__}); if this continues, check that the "
        "functions' subnets have a route to it, or a VPC endpoint for it"
    )
