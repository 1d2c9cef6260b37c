"""An image file that is not what it should be."""


class ImageError(ValueError):
    """Says what is wrong with an image file.

    Args:
        reason: what it must be and what was received, to follow the words "The image".
        path: the file, or None where it has no name.

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
    """Says that no decoder knows what a file is."""
