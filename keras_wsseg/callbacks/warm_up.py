from keras_wsseg.arguments import check_integer
from keras_wsseg.callbacks.per_step import PerStep
from keras_wsseg.losses.segmentation_loss import SegmentationLoss


class WarmUp(PerStep):
    """Keeps a loss's weight at 0 for the first steps and then raises it linearly.

    A regularizer applied to a network that has not learned the classes yet collapses everything to one class,
    so training starts with the cross entropy on annotated pixels.

    `weight(step) = w * clip((step - delay_steps + 1) / (ramp_steps + 1), 0, 1)`, so step `delay_steps`
    (0-based) is the first with a weight above 0, and step `delay_steps + ramp_steps` the first with the full
    weight.

    Args:
        loss: the loss whose `weight` is set; must be the same object that was compiled.
        delay_steps: number of training steps at weight 0.
        ramp_steps: number of training steps over which the weight then rises.

    Raises:
        ValueError: if a count is negative.
        TypeError: if `loss` is not a loss of this library.

    Example:
        >>> from keras_wsseg import callbacks, losses
        >>> crf = losses.GatedCRFLoss(weight=0.1)
        >>> warm_up = callbacks.WarmUp(crf, delay_steps=100, ramp_steps=100)
        >>> [round(warm_up.weight_at(step), 3) for step in (99, 100, 150, 200)]
        [0.0, 0.001, 0.05, 0.1]

    Source: Obukhov et al. 2019, arXiv:1906.04651, section 4.3 (about 100 steps of partial cross entropy
    first). The ramp is an addition.
    """

    def __init__(self, loss, delay_steps, ramp_steps=0):
        super().__init__()
        if not isinstance(loss, SegmentationLoss):
            raise TypeError(f"loss must be a loss of keras_wsseg. Received: {loss!r}")
        self.loss = loss
        self.delay_steps = check_integer("delay_steps", delay_steps, low=0)
        self.ramp_steps = check_integer("ramp_steps", ramp_steps, low=0)
        self._applied = None

    def weight_at(self, step):
        """The weight at a 0-based step."""
        share = (step - self.delay_steps + 1) / (self.ramp_steps + 1)
        return self.loss.declared("weight") * min(1.0, max(0.0, share))

    def on_train_begin(self, logs=None):
        self.check_target(self.loss, "loss")
        self._applied = None

    def on_step(self, step):
        weight = self.weight_at(step)
        if weight != self._applied:
            self.sync()
            self.loss.anneal("weight", weight)
            self._applied = weight
