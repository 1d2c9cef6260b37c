"""The resource limits of a service."""

import dataclasses

from keras_wsseg.arguments import check_integer, check_number

# Pillow itself rejects images of more pixels than this.
MOST_PIXELS = 178_956_970


@dataclasses.dataclass(frozen=True)
class ServiceLimits:
    """The resource limits of a service, whatever its clients send.

    Args:
        workers: images that are processed concurrently, at least 1.
        queue: images that may wait for a worker, 0 or more; further ones are rejected immediately.
        max_bytes: size of the largest request body.
        max_pixels: width times height of the largest image that is decoded.
        timeout: seconds from a request's last byte to its response.
        read_timeout: seconds that a client may take to send a request, and to begin to read its response.
        grace: seconds that pending requests are given when the service is stopped, 0 or more.

    Raises:
        ValueError: if a count is not an integer, a time not a number, or one of them is out of range.

    Example:

    >>> ServiceLimits(workers=1, queue=4, max_bytes=1_000_000).max_held_bytes
    5000000
    """

    workers: int = 2
    queue: int = 16
    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 25_000_000
    timeout: float = 60.0
    read_timeout: float = 30.0
    grace: float = 30.0

    def __post_init__(self):
        for name, low, high in (
            ("workers", 1, 1024),
            ("queue", 0, 100_000),
            ("max_bytes", 1, 2**40),
            ("max_pixels", 1, MOST_PIXELS),
        ):
            check_integer(name, getattr(self, name), low, high)
        for name in ("timeout", "read_timeout"):
            check_number(name, getattr(self, name), above=0)
        check_number("grace", self.grace, low=0)

    @property
    def max_held_bytes(self):
        """Bytes of request bodies held at once: the maximum size for each worker and queue place."""
        return (self.workers + self.queue) * self.max_bytes
