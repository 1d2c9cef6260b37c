"""A picture file that is not what it should be."""


class PictureError(ValueError):
    """Says what is wrong with a picture file.

    Args:
        reason: what it must be and what was received, to follow the words "The picture".
        path: the file, or None where it has no name.

    Attributes:
        reason: the reason.

    Example:

    >>> str(PictureError("must be opaque. Received: transparent pixels", "a.png"))
    "The picture 'a.png' must be opaque. Received: transparent pixels"
    """

    def __init__(self, reason, path=None):
        super().__init__(f"The picture {reason}" if path is None else f"The picture {str(path)!r} {reason}")
        self.reason = reason


class UnknownPictureError(PictureError):
    """Says that no decoder knows what a file is."""
