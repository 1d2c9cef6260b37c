"""The `y_true` of the losses: labels together with the guide image and tags.

`WeaklySupervisedModel` passes its losses a `Targets`. A plain `keras.Model` passes a loss a single tensor, so
there the input pipeline uses `pack` to append the image required by CRF losses as channels after the labels.
A loss reads either form with `read`.
"""

import contextlib
import contextvars
import dataclasses

from keras import ops

from keras_wsseg.imaging.labels import PADDING

TAGS = "tags"
"""The name of the tags among the modalities of a guide."""

_layout = contextvars.ContextVar("guide_layout", default=None)


def pack(labels, guide, tags=None):
    """Packs labels, guide image and tags into a single tensor for the losses.

    Tags are repeated at every pixel. They are a modality of the guide: if there are tags, packing and losses
    must run within a `guide_layout` that names them, such as `guide_layout(rgb=3, tags=5)`.

    Args:
        labels: `(batch, height, width)` or `(batch, height, width, 1)`: 0 to classes - 1 for a class, 255
            for unlabeled pixels, 254 for pixels outside the image.
        guide: `(batch, height, width, channels)`: the image in [0, 1]. Non-finite values outside the image
            are replaced by 0.
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
    labels = _labels_of(labels, "labels")
    _check_sizes(labels, guide)
    labels, guide = ops.cast(labels, "float32")[..., None], ops.cast(guide, "float32")
    # Zero times NaN is NaN: it would pass through a closed gate.
    guide = ops.where(ops.logical_or(labels != PADDING, ops.isfinite(guide)), guide, 0.0)
    parts = [labels, guide]
    if tags is not None:
        if len(tags.shape) != 2:
            raise ValueError(f"tags must be (batch, classes). Received: shape {tuple(tags.shape)}")
        tags = ops.cast(tags, "float32")[:, None, None]
        parts.append(ops.broadcast_to(tags, (*ops.shape(guide)[:3], tags.shape[-1])))
    return ops.concatenate(parts, axis=-1)


@dataclasses.dataclass(frozen=True)
class Targets:
    """The targets of a batch, as passed to a loss.

    Attributes:
        labels: `(batch, height, width)`, int32: 0 to classes - 1 for a class, 255 for unlabeled pixels, 254
            for pixels outside the image.
        guide: dict from modality to `(batch, height, width, channels)`, float32: `rgb` is the image in
            [0, 1]. Always finite outside the image.
        tags: `(batch, classes)`, float32, 1 for the classes that occur in the image, else 0; or None.
    """

    labels: object
    guide: dict
    tags: object = None

    @classmethod
    def of(cls, labels, guide, tags=None):
        """Creates a `Targets` from tensors of any dtype; labels may be `(batch, height, width, 1)`.

        Raises:
            ValueError: if the sizes differ.
        """
        labels = _as_ids(_labels_of(labels, "labels"))
        parts = {}
        for name, part in guide.items():
            _check_sizes(labels, part)
            part = ops.cast(part, "float32")
            # Zero times NaN is NaN: it would pass through a closed gate.
            inside = ops.logical_or((labels != PADDING)[..., None], ops.isfinite(part))
            parts[name] = ops.where(inside, part, 0.0)
        return cls(labels, parts, None if tags is None else ops.cast(tags, "float32"))

    def present(self, num_classes):
        """Which classes occur in each image: its tags, or if there are none, the classes of its label map.

        Args:
            num_classes: number of classes; class 0 is the background and occurs in every image.

        Returns:
            `(batch, num_classes)`, float32, 1 for those that occur, else 0.

        Raises:
            ValueError: if the tags have a different number of classes.

        Example:
            >>> import numpy as np
            >>> labels = np.array([[[255, 2]], [[255, 254]]])
            >>> np.array(Targets.of(labels, {}).present(num_classes=3)).tolist()
            [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
        """
        if self.tags is None:
            found = [ops.any(self.labels == number, axis=(1, 2)) for number in range(num_classes)]
            tags = ops.cast(ops.stack(found, axis=-1), "float32")
        elif self.tags.shape[-1] != num_classes:
            raise ValueError(
                f"tags must cover the {num_classes} classes of the prediction, including the background. "
                f"Received: tags of {self.tags.shape[-1]} classes"
            )
        else:
            tags = ops.cast(self.tags > 0.5, "float32")
        return ops.maximum(tags, ops.one_hot(ops.zeros((1,), "int32"), num_classes))


def read(y_true):
    """Converts the `y_true` of a loss to `Targets`.

    Args:
        y_true: a `Targets`; what `pack` returns; or plain labels `(batch, height, width)`, with or without a
            last axis of 1.

    Raises:
        ValueError: if it is none of these, or its channels do not match the active `guide_layout`.

    Example:
        >>> import numpy as np
        >>> seen = read(pack(np.full((1, 2, 2), 255), np.zeros((1, 2, 2, 3), "float32")))
        >>> seen.labels.shape, seen.guide["rgb"].shape, seen.tags
        (TensorShape([1, 2, 2]), TensorShape([1, 2, 2, 3]), None)
    """
    if isinstance(y_true, Targets):
        return y_true
    if len(y_true.shape) != 4 or y_true.shape[-1] == 1:
        return Targets(_as_ids(_labels_of(y_true, "y_true")), {})
    guide = _split(ops.cast(y_true[..., 1:], "float32"))
    tags = guide.pop(TAGS, None)
    return Targets(_as_ids(y_true[..., 0]), guide, None if tags is None else tags[:, 0, 0])


@contextlib.contextmanager
def guide_layout(**channels):
    """Names the channels of packed guides, in order, while the context is active.

    Without it, all channels are `rgb`.

    Args:
        **channels: number of channels by modality, such as `rgb=3, depth=1`.

    Example:
        >>> with guide_layout(rgb=3, depth=1):
        ...     read(np.zeros((1, 2, 2, 5))).guide["depth"].shape
        TensorShape([1, 2, 2, 1])
    """
    token = _layout.set(dict(channels))
    try:
        yield
    finally:
        _layout.reset(token)


def _split(guide):
    """Splits the guide into the modalities of the active `guide_layout`; without it, all are `rgb`."""
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


def _as_ids(labels):
    return ops.cast(ops.round(ops.cast(labels, "float32")), "int32")


def _check_sizes(labels, guide):
    if len(guide.shape) != 4:
        raise ValueError(
            f"guide must be (batch, height, width, channels). Received: shape {tuple(guide.shape)}"
        )
    for name, a, b in zip(("height", "width"), labels.shape[1:], guide.shape[1:3], strict=True):
        if a is not None and b is not None and a != b:
            raise ValueError(
                f"labels and guide must have the same {name}. Received: labels {tuple(labels.shape)}, "
                f"guide {tuple(guide.shape)}"
            )


def _labels_of(labels, name):
    if len(labels.shape) == 4 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if len(labels.shape) != 3:
        raise ValueError(
            f"{name} must be (batch, height, width) labels, with or without a last axis of 1. "
            f"Received: shape {tuple(labels.shape)}"
        )
    return labels
