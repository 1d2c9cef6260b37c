"""What a loss sees as `y_true`: labels, and behind them the guide image and tags, in one tensor.

A Keras loss receives `y_true` and `y_pred` only, and the structures of the two must match, so the image
that a CRF loss needs travels in the channels behind the labels. `WeaklySupervisedModel` packs by itself; a
plain `keras.Model` uses the same losses when its pipeline calls `pack`.
"""

import contextlib
import contextvars

from keras import ops

from keras_wsseg.imaging.labels import PADDING

TAGS = "tags"
"""The name of the tags among the modalities of a guide."""

_layout = contextvars.ContextVar("guide_layout", default=None)


def pack(labels, guide, tags=None):
    """Packs labels, guide image and tags into the one tensor that the losses read.

    Tags are repeated for every pixel. They are a modality of the guide: where there are any, packing and
    losses run within a `guide_layout` that names them, such as `guide_layout(rgb=3, tags=5)`.

    Args:
        labels: `(batch, height, width)` or `(batch, height, width, 1)`: 0 to classes - 1 a class, 255
            unlabeled, 254 outside the image.
        guide: `(batch, height, width, channels)`: the image in [0, 1]. What is not finite outside the image
            counts as 0.
        tags: None or `(batch, classes)`, 1 for the classes that occur in the image, else 0.

    Returns:
        `(batch, height, width, 1 + channels)`, with tags `(batch, height, width, 1 + channels + classes)`,
        float32.

    Raises:
        ValueError: if the sizes differ.

    Example:
        >>> import numpy as np
        >>> pack(np.zeros((2, 4, 6), "uint8"), np.zeros((2, 4, 6, 3), "float32")).shape
        TensorShape([2, 4, 6, 4])
    """
    if len(guide.shape) != 4:
        raise ValueError(
            f"guide must be (batch, height, width, channels). Received: shape {tuple(guide.shape)}"
        )
    labels = _labels_of(labels, "labels")
    for name, a, b in zip(("height", "width"), labels.shape[1:], guide.shape[1:3], strict=True):
        if a is not None and b is not None and a != b:
            raise ValueError(
                f"labels and guide must have the same {name}. Received: labels {tuple(labels.shape)}, "
                f"guide {tuple(guide.shape)}"
            )
    labels, guide = ops.cast(labels, "float32")[..., None], ops.cast(guide, "float32")
    # Zero times NaN is NaN: a closed gate would let it through.
    guide = ops.where(ops.logical_or(labels != PADDING, ops.isfinite(guide)), guide, 0.0)
    parts = [labels, guide]
    if tags is not None:
        if len(tags.shape) != 2:
            raise ValueError(f"tags must be (batch, classes). Received: shape {tuple(tags.shape)}")
        tags = ops.cast(tags, "float32")[:, None, None]
        parts.append(ops.broadcast_to(tags, (*ops.shape(guide)[:3], tags.shape[-1])))
    return ops.concatenate(parts, axis=-1)


def unpack(y_true):
    """Undoes `pack`; plain labels come back with a guide of no channels.

    Args:
        y_true: `(batch, height, width)` or `(batch, height, width, 1 + channels)`.

    Returns:
        Labels `(batch, height, width)`, int32, and guide `(batch, height, width, channels)`, float32, or None
        where there is none.
    """
    if len(y_true.shape) == 4 and y_true.shape[-1] != 1:
        labels, guide = y_true[..., 0], ops.cast(y_true[..., 1:], "float32")
    else:
        labels, guide = _labels_of(y_true, "y_true"), None
    return ops.cast(ops.round(ops.cast(labels, "float32")), "int32"), guide


@contextlib.contextmanager
def guide_layout(**channels):
    """Names the channels of the guides packed while it is active, in their order.

    Without it all channels are `rgb`. `WeaklySupervisedModel` enters it by itself when its input is a dict.

    Args:
        **channels: number of channels by modality, such as `rgb=3, depth=1`.

    Example:
        >>> with guide_layout(rgb=3, depth=1):
        ...     split_guide(np.zeros((1, 2, 2, 4)))["depth"].shape
        (1, 2, 2, 1)
    """
    token = _layout.set(dict(channels))
    try:
        yield
    finally:
        _layout.reset(token)


def split_guide(guide):
    """The guide's modalities by name: `{"rgb": ...}`, or as `guide_layout` names them."""
    if guide is None:
        return {}
    layout = _layout.get() or {"rgb": guide.shape[-1]}
    if sum(layout.values()) != guide.shape[-1]:
        raise ValueError(
            f"guide must have the {sum(layout.values())} channels of its layout {layout}. "
            f"Received: {guide.shape[-1]} channels"
        )
    parts, start = {}, 0
    for name, count in layout.items():
        parts[name] = guide[..., start : start + count]
        start += count
    return parts


def read_tags(y_true, num_classes):
    """Which classes occur in each image: its tags, or without tags the classes of its label map.

    Args:
        y_true: as `pack` gives it, or plain labels.
        num_classes: number of classes, of which class 0 is the background and occurs in every image.

    Returns:
        `(batch, num_classes)`, float32, 1 for those that occur, else 0.

    Raises:
        ValueError: if there are tags for another number of classes.

    Example:
        >>> import numpy as np
        >>> np.array(read_tags(np.array([[[255, 2]], [[255, 254]]]), num_classes=3)).tolist()
        [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    labels, guide = unpack(y_true)
    tags = split_guide(guide).get(TAGS) if _layout.get() else None
    if tags is None:
        found = [ops.any(labels == number, axis=(1, 2)) for number in range(num_classes)]
        tags = ops.cast(ops.stack(found, axis=-1), "float32")
    elif tags.shape[-1] != num_classes:
        raise ValueError(
            f"tags must tell of the {num_classes} classes of the prediction, the background included. "
            f"Received: tags of {tags.shape[-1]} classes"
        )
    else:
        tags = ops.cast(tags[:, 0, 0] > 0.5, "float32")
    return ops.maximum(tags, ops.one_hot(ops.zeros((1,), "int32"), num_classes))


def _labels_of(labels, name):
    if len(labels.shape) == 4 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if len(labels.shape) != 3:
        raise ValueError(
            f"{name} must be (batch, height, width) labels, with or without a last axis of 1. "
            f"Received: shape {tuple(labels.shape)}"
        )
    return labels
