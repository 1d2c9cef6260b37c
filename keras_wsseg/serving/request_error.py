"""An answer that says no."""


class RequestError(Exception):
    """Ends a request with a status and one sentence.

    Args:
        status: of HTTP, 400 to 599.
        message: what the client is told.
        headers: further headers by name.

    Example:

    >>> RequestError(404, "There is no such path.").status
    404
    """

    def __init__(self, status, message, headers=None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def busy(message):
    """The refusal of a service that has no room now."""
    return RequestError(503, message, {"Retry-After": "1"})
