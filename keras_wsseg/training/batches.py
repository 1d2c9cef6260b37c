"""How long a training is, and the batches of each of its epochs."""

import dataclasses

_EPOCH_STEPS = 50


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a training is.

    Attributes:
        epochs: lines of the log.
        epoch_steps: training steps of each.
        negative_epoch: first epoch with images known not to hold the object; `epochs` where none has.
    """

    epochs: int
    epoch_steps: int
    negative_epoch: int

    @property
    def steps(self):
        """Training steps in all."""
        return self.epochs * self.epoch_steps


def training_length(config, data):
    """The `Length` of a training with these settings on these images."""
    if config.single_class:
        stages = config.stages["config"]
        epochs = stages["annealing_epochs"] + stages["normal_epochs"]
        negative_epochs = config.negative_epochs if data.negatives is not None else 0
        epoch_steps = config.steps_per_epoch or data.steps_per_epoch(config.batch_size)
        return Length(epochs + negative_epochs, epoch_steps, epochs)
    # Epochs of one length, so that the last step is the one at which the learning rate arrives at 0.
    epochs = -(-config.steps // (config.steps_per_epoch or _EPOCH_STEPS))
    return Length(epochs, -(-config.steps // epochs), epochs)


def training_batches(config, data, length, done):
    """Endless batches for the epochs behind `done`; those of a later stage follow on those before."""
    common = {"flip": config.flip, "seed": config.seed, "repeat": True, "mode": config.mode}
    common["color_jitter"] = config.color_jitter
    if config.mode == "crop":
        common["scale"] = config.scale
    if not config.single_class:
        unlabeled = None if data.unlabeled is None else config.unlabeled_batch
        passed = done * length.epoch_steps // data.steps_per_epoch(config.batch_size, unlabeled)
        return data.train(
            config.batch_size, config.image_size, first_epoch=passed, unlabeled_batch=unlabeled, **common
        )

    def stage(first, batch_size, negatives):
        passed = first * length.epoch_steps // data.steps_per_epoch(batch_size, negative_batch=negatives)
        return data.train(
            batch_size, config.image_size, first_epoch=passed, negative_batch=negatives, **common
        )

    negatives = config.negative_batch or config.batch_size
    if done >= length.negative_epoch:
        return stage(done, config.batch_size + negatives, negatives)
    batches = stage(done, config.batch_size, 0)
    if length.negative_epoch == length.epochs:
        return batches
    batches = batches.take((length.negative_epoch - done) * length.epoch_steps)
    return batches.concatenate(stage(length.negative_epoch, config.batch_size + negatives, negatives))
