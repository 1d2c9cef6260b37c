"""The validated settings of a training pipeline."""

import dataclasses

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.data.arguments import check_further_batches

MODES = ("crop", "resize")


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """The arguments of `SegmentationDataset.train`, which documents each.

    Args:
        batch_size, image_size, scale, flip, seed, shuffle, repeat, cache, color_jitter, first_epoch,
            unlabeled_batch, mode, negative_batch: as there, `image_size` being the pair.

    Raises:
        ValueError: a value is out of its range.

    Example:

    >>> TrainSettings(8, (64, 64)).scale
    (0.5, 2.0)
    """

    batch_size: int
    image_size: tuple
    scale: tuple = (0.5, 2.0)
    flip: bool = True
    seed: int = 0
    shuffle: bool = True
    repeat: bool = False
    cache: bool = True
    color_jitter: float = 0.0
    first_epoch: int = 0
    unlabeled_batch: int = 0
    mode: str = "crop"
    negative_batch: int = 0

    def __post_init__(self):
        check_integer("batch_size", self.batch_size, low=1)
        check_further_batches(
            self.batch_size, unlabeled_batch=self.unlabeled_batch, negative_batch=self.negative_batch
        )
        try:
            low, high = (float(value) for value in self.scale)
        except (TypeError, ValueError):
            low, high = 0.0, 0.0
        if not 0 < low <= high < float("inf"):
            raise ValueError(
                f"`scale` must be a pair (low, high) with 0 < low <= high. Received: scale={self.scale!r}"
            )
        if self.mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: mode={self.mode!r}")
        if self.mode == "resize" and (low, high) != type(self).scale:
            raise ValueError(
                f'`scale` must be left at {type(self).scale} with `mode="resize"`, which scales nothing at '
                f"random. Received: scale={self.scale!r}"
            )
        object.__setattr__(self, "scale", (low, high))
        check_number("color_jitter", self.color_jitter, low=0, below=1)
        for name in ("seed", "first_epoch"):
            check_integer(name, getattr(self, name), low=0)

    @property
    def own_batch(self):
        """Number of images of the data set itself in each batch."""
        return self.batch_size - self.unlabeled_batch - self.negative_batch

    def steps(self, count):
        """Number of batches that show `count` images of the data set itself once."""
        return -(-count // self.own_batch)
