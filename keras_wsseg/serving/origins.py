"""The web origins whose pages may call the service."""

import re

# As browsers write it: lower case, and no path.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_USUAL_PORTS = {"http": ":80", "https": ":443"}


def check_origins(origins):
    """Rejects origins that no browser would send.

    Args:
        origins: strings such as `"https://example.org"`, or `"*"` for any.

    Raises:
        ValueError: if one of them is neither.

    Example:

    >>> check_origins(["*", "http://localhost:8080"])
    """
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise ValueError(
                "`allow_origin` must be '*', or scheme://host or scheme://host:port as browsers send it: "
                "lower case, ASCII, no path, no default port of the scheme. "
                f"Received: allow_origin={origin!r}"
            )


def _is_origin(text):
    if not _ORIGIN.fullmatch(text):
        return False
    usual = _USUAL_PORTS.get(text.partition("://")[0])
    return usual is None or not text.endswith(usual)
