"""The choices of a training pipeline, checked."""

import dataclasses

import numpy as np

from keras_wsseg.data.arguments import check_further_batches, positive_integer


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """What `SegmentationDataset.train` was asked for; see there for each.

    Args:
        batch_size, crop, scale, flip, seed, shuffle, repeat, cache, color_jitter, first_epoch,
            unlabelled_batch, whole, negative_batch: as there, `crop` being the pair.

    Raises:
        ValueError: a value is out of its range.

    Example:

    >>> TrainSettings(8, (64, 64)).scale
    (0.5, 2.0)
    """

    batch_size: int
    crop: tuple
    scale: tuple = (0.5, 2.0)
    flip: bool = True
    seed: int = 0
    shuffle: bool = True
    repeat: bool = False
    cache: bool = True
    color_jitter: float = 0.0
    first_epoch: int = 0
    unlabelled_batch: int = 0
    whole: bool = False
    negative_batch: int = 0

    def __post_init__(self):
        positive_integer("batch_size", self.batch_size)
        check_further_batches(
            self.batch_size, unlabelled_batch=self.unlabelled_batch, negative_batch=self.negative_batch
        )
        try:
            low, high = (float(value) for value in self.scale)
        except (TypeError, ValueError):
            low, high = 0.0, 0.0
        if not 0 < low <= high < float("inf"):
            raise ValueError(
                f"`scale` must be a pair (low, high) with 0 < low <= high. Received: scale={self.scale!r}"
            )
        if self.whole and (low, high) != type(self).scale:
            raise ValueError(
                f"`scale` must be left at {type(self).scale} where `whole=True`, which scales nothing at "
                f"random. Received: scale={self.scale!r}"
            )
        object.__setattr__(self, "scale", (low, high))
        if not 0 <= self.color_jitter < 1:
            raise ValueError(
                f"`color_jitter` must be at least 0 and below 1. Received: color_jitter={self.color_jitter!r}"
            )
        for name in ("seed", "first_epoch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                raise ValueError(f"`{name}` must be a non-negative integer. Received: {name}={value!r}")

    @property
    def own_batch(self):
        """How many pictures of each batch are of the data set itself."""
        return self.batch_size - self.unlabelled_batch - self.negative_batch

    def steps(self, count):
        """Batches that show `count` pictures of the data set itself once."""
        return -(-count // self.own_batch)
