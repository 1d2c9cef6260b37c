"""Test-time augmentation inside an exported file: which views of an image are averaged."""

import math

from keras_wsseg.arguments import check_number

SMALLEST, LARGEST = 0.25, 4.0


def read_augmentation(tta):
    """Parses the argument `tta` of the exports.

    Args:
        tta: None, or a dict of `flip`, a bool, and `scales`, multiples of 0.01.

    Returns:
        `(flip, scales)`.

    Raises:
        ValueError: if it is neither, or has no effect.
    """
    if tta is None:
        return False, (1.0,)
    known = isinstance(tta, dict) and tta and not set(tta) - {"flip", "scales"}
    flip, scales = (tta.get("flip", False), tta.get("scales", (1.0,))) if known else (None, None)
    if not known or not isinstance(flip, bool) or not _are_scales(scales):
        raise ValueError(
            "`tta` must be None or a dict such as {'flip': True, 'scales': (0.75, 1, 1.25)}, each scale a "
            f"different multiple of 0.01 from {SMALLEST:g} to {LARGEST:g}. Received: tta={tta}"
        )
    scales = tuple(float(scale) for scale in scales)
    if not flip and scales == (1.0,):
        raise ValueError(f"`tta` must flip or scale, or be None. Received: tta={tta}")
    return flip, scales


def describe_augmentation(flip, scales):
    """A description for the metadata."""
    each = ", each mirrored too" if flip else ""
    return f"mean probability at scales {', '.join(f'{scale:g}' for scale in scales)}{each}"


def _are_scales(scales):
    if not isinstance(scales, list | tuple) or not scales or len(set(scales)) != len(scales):
        return False
    try:
        for scale in scales:
            check_number("tta", scale, low=SMALLEST, high=LARGEST)
    except ValueError:
        return False
    return all(math.isclose(scale * 100, round(scale * 100), abs_tol=1e-6) for scale in scales)
