"""Where the embedded AWS answers for a Lambda function URL, whose host only AWS's name servers know."""

from urllib.parse import urlsplit


def local_address(url: str, endpoint_url: str) -> str:
    """Return the address on this machine that leads to the same function with the same path.

    Args:
        url: A function URL, ``https://<id>.lambda-url.<region>.on.aws/<path>``.
        endpoint_url: Endpoint of the embedded AWS, which has a certificate of the authority in its folder.

    Raises:
        ValueError: ``url`` is not a function URL.
    """
    parts = urlsplit(url)
    name, _, service = (parts.hostname or "").partition(".")
    if parts.scheme != "https" or not service.startswith("lambda-url."):
        raise ValueError(f"{url} is not a function URL (https://<id>.lambda-url.<region>.on.aws/)")
    query = f"?{parts.query}" if parts.query else ""
    return f"{endpoint_url}/_aws/lambda-url/{name}{parts.path or '/'}{query}"
