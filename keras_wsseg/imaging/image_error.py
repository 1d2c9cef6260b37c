"""Errors for invalid image files."""


class ImageError(ValueError):
    """Raised for an invalid image file.

    Args:
        reason: what it must be and what was received, as the predicate of "The image".
        path: the file, or None if it has no name.

    Attributes:
        reason: the reason.

    Example:

    >>> str(ImageError("must be opaque. Received: transparent pixels", "a.png"))
    "The image 'a.png' must be opaque. Received: transparent pixels"
    """

    def __init__(self, reason, path=None):
        super().__init__(f"The image {reason}" if path is None else f"The image {str(path)!r} {reason}")
        self.reason = reason


class UnknownImageError(ImageError):
    """Raised for a file that no decoder recognizes."""
