"""Dense proposals from scribbles and clicks by GrabCut."""

import numpy as np
from scipy import ndimage

from keras_wsseg.arguments import check_integer, check_value_range
from keras_wsseg.imaging.label_map import check_label_map
from keras_wsseg.imaging.labels import PADDING, UNLABELED

# Number of parameters of OpenCV's mixture of five Gaussians in three colors.
_MODEL_SIZE = 65


def grabcut_proposals(image, labels, iterations=5, unclaimed=UNLABELED, seed=0, value_range=(0, 255)):
    """Expands scribbles or clicks to a dense label map by GrabCut, once, before training.

    The baseline of a regularized loss: train on the proposal as if it were ground truth, errors included. (In
    the source, 63.9 mIoU on PASCAL VOC with scribbles, against 72.9 for the loss.)

    Each class of the label map is segmented once: its own strokes are fixed foreground, those of all other
    classes fixed background, and all other pixels are initialized by their nearest stroke and may change. A
    class without a stroke is absent. If the image has strokes of one class only, the unlabeled pixels are
    initialized as background. A pixel claimed by several classes is assigned to that of the nearest stroke
    among them; annotated pixels keep their label. Pixels outside the image are excluded from the color
    models.

    Args:
        image: uint8, or numbers within `value_range`, `(height, width)`, `(height, width, 1)` or
            `(height, width, 3)`; gray is repeated to three channels.
        labels: integer array `(height, width)`; 255 unlabeled, 254 outside the image.
        iterations: rounds of fitting the color models and cutting, at least 1.
        unclaimed: label of pixels that no class claims: 255, or the id of a background class.
        seed: seed of the initial clustering of colors; the same seed gives the same proposal.
        value_range: the values of black and of white.

    Returns:
        uint8 array `(height, width)`: class ids, 254 where `labels` has it, or `unclaimed`.

    Raises:
        ImportError: OpenCV is missing; the extra `grabcut` installs it.
        TypeError, ValueError: an argument is not as above.

    Example:

    >>> image = np.repeat(np.repeat([[20, 30, 200, 210]], 4, axis=0), 3, axis=1)
    >>> labels = np.full((4, 12), 255)
    >>> labels[1, :4], labels[2, 8:] = 0, 1
    >>> np.unique(grabcut_proposals(image, labels), axis=0).tolist()
    [[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]

    Source: Rother et al. 2004, GrabCut; as a baseline in Tang et al. 2018, arXiv:1803.09569, table 2. How
    several classes are combined is not published.
    """
    labels = check_label_map(labels)
    colors = _colors(image, labels.shape, value_range)
    check_integer("iterations", iterations, low=1)
    if unclaimed not in range(PADDING) and unclaimed != UNLABELED:
        raise ValueError(f"`unclaimed` must be a class id or {UNLABELED}. Received: unclaimed={unclaimed!r}")
    check_integer("seed", seed, low=0, high=2**31 - 1)
    cv2 = _opencv()
    outside, drawn = labels == PADDING, labels < PADDING
    proposal = np.where(outside, PADDING, unclaimed).astype(np.uint8)
    classes = np.unique(labels[drawn])
    if outside.any() and drawn.any():
        # Padding of one color would attract the border of every cut.
        colors = colors[_nearest(~outside)]
    distances = [ndimage.distance_transform_edt(labels != class_id) for class_id in classes]
    nearest = np.argmin(distances, axis=0) if len(classes) else None
    best = np.full(labels.shape, np.inf)
    for number, class_id in enumerate(classes):
        own = labels == class_id
        begin = own if len(classes) == 1 else nearest == number
        claimed = _cut(cv2, colors, own, drawn & ~own, begin, ~outside, iterations, seed)
        taken = claimed & ~outside & (distances[number] < best)
        proposal[taken] = class_id
        best[taken] = distances[number][taken]
    proposal[drawn] = labels[drawn]
    return proposal


def _cut(cv2, colors, foreground, background, begin, inside, iterations, seed):
    """Runs one GrabCut and returns the foreground mask."""
    mask = np.where(begin, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[foreground], mask[background] = cv2.GC_FGD, cv2.GC_BGD
    models = np.zeros((1, _MODEL_SIZE)), np.zeros((1, _MODEL_SIZE))
    # The pixels of the image in a single row with fixed labels: only the color models are fitted to them.
    row = np.ascontiguousarray(colors[inside][None])
    cv2.setRNGSeed(int(seed))
    for iteration in range(iterations):
        fixed = np.where(mask[inside] & 1, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)[None]
        if fixed.min() == fixed.max():
            break
        how = cv2.GC_EVAL if iteration else cv2.GC_INIT_WITH_MASK
        cv2.grabCut(row, fixed, None, *models, 1, how)
        cv2.grabCut(colors, mask, None, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    return (mask & 1).astype(bool)


def _nearest(mask):
    """For every pixel the position of the nearest one in `mask`."""
    return tuple(ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True))


def _colors(image, size, value_range):
    array = np.asarray(image)
    flat = array[..., None] if array.ndim == 2 else array
    if flat.ndim != 3 or flat.shape[-1] not in (1, 3) or flat.dtype.kind not in "iuf":
        raise ValueError(
            "`image` must hold numbers of shape (height, width), (height, width, 1) or (height, width, 3). "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    if flat.shape[:2] != size:
        raise ValueError(
            f"`image` must have the height and width of the labels, {size}. Received: shape={array.shape}"
        )
    low, high = check_value_range(value_range)
    # The comparison is negated so that NaN fails it too.
    if not (flat.min() >= low and flat.max() <= high):
        raise ValueError(
            f"`image` must lie within value_range=({low:g}, {high:g}). "
            f"Received: values from {flat.min():g} to {flat.max():g}"
        )
    scaled = np.rint(255 * ((flat.astype(np.float64) - low) / (high - low))).astype(np.uint8)
    return np.array(np.broadcast_to(scaled, (*size, 3)))


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "GrabCut needs OpenCV: install keras-wsseg with its extra [grabcut]. Received: no module cv2",
            name="cv2",
        ) from error
    return cv2
