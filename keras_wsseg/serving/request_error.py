"""Errors that reject a request."""


class RequestError(Exception):
    """Ends a request with a status and an error message.

    Args:
        status: HTTP status, 400 to 599.
        message: error message for the client.
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
    """The error of a service without free capacity."""
    return RequestError(503, message, {"Retry-After": "1"})
