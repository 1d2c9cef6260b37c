"""Uncertainty of a prediction."""

import numpy as np

# Black through violet and orange to pale yellow: lightness rises evenly, so it is readable in grayscale too.
_RAMP = np.array(
    [(0, 0, 4), (50, 10, 94), (120, 28, 109), (187, 55, 84), (237, 105, 37), (251, 180, 26), (252, 255, 164)],
    dtype=np.float32,
)
_TOLERANCE = 1e-3


def uncertainty(probabilities):
    """Normalized entropy of the class probabilities, from 0 (certain) to 1 (uniform).

        U = − Σ_c p_c log p_c / log C

    Args:
        probabilities: `(..., classes)` within [0, 1].

    Returns:
        float32 `(...)` in [0, 1]; 0 everywhere if there is one class.

    Raises:
        ValueError: if a value is outside [0, 1], as for logits.

    Example:

    >>> uncertainty(np.array([[0.0, 1.0], [0.5, 0.5]])).round(3).tolist()
    [0.0, 1.0]
    """
    p = np.asarray(probabilities, dtype=np.float32)
    if p.ndim == 0 or not p.shape[-1]:
        raise ValueError(f"`probabilities` must have shape (..., classes). Received: shape={p.shape}")
    if p.size and not (p.min() >= -_TOLERANCE and p.max() <= 1 + _TOLERANCE):
        raise ValueError(
            "`probabilities` must lie within [0, 1], such as the softmax of logits. "
            f"Received: values from {p.min():g} to {p.max():g}"
        )
    if p.shape[-1] == 1:
        return np.zeros(p.shape[:-1], np.float32)
    p = np.clip(p, 0.0, 1.0)
    entropy = np.sum(p * -np.log(np.where(p > 0, p, 1.0)), axis=-1)
    return np.clip(entropy / np.float32(np.log(p.shape[-1])), 0.0, 1.0)


def uncertainty_image(probabilities):
    """Uncertainty as an image: black is certain, pale yellow is uniform.

    Args:
        probabilities: `(height, width, classes)` within [0, 1].

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: if the shape is another or a value lies outside [0, 1].

    Example:

    >>> uncertainty_image(np.array([[[1.0, 0.0], [0.5, 0.5]]])).tolist()
    [[[0, 0, 4], [252, 255, 164]]]
    """
    if np.ndim(probabilities) != 3:
        raise ValueError(
            "`probabilities` must have shape (height, width, classes). "
            f"Received: shape={np.shape(probabilities)}"
        )
    values = uncertainty(probabilities)
    stops = np.linspace(0.0, 1.0, len(_RAMP))
    channels = [np.interp(values, stops, _RAMP[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
