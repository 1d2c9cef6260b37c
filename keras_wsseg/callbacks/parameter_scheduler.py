import keras

from keras_wsseg.callbacks.per_step import PerStep
from keras_wsseg.kernels.annealable import Annealable


class ParameterScheduler(PerStep):
    """Schedules a hyperparameter of a loss, or of one of its kernels, during training.

    Args:
        target: the loss or `GaussianKernel` with the parameter; must be the same object that was compiled.
        parameter: its name, such as `"weight"`, `"sigma_rgb"` or `"sigma_xy"`.
        schedule: any callable from the 0-based count to the value, such as a Keras learning-rate schedule.
        per: `"epoch"` or `"step"`: what is counted.

    The value is logged in each epoch as `<name of target>_<parameter>`.

    Raises:
        ValueError: if `target` has no such parameter, `per` is neither, or the schedule returns a value that
            is out of range for the parameter.
        TypeError: if `target` has nothing to anneal, or `schedule` is not callable.

    Example:
        >>> from keras_wsseg import callbacks, losses
        >>> kernel = losses.GaussianKernel(sigma_rgb=0.05)
        >>> rising = lambda epoch: 0.05 + 0.01 * (epoch + 1)
        >>> callbacks.ParameterScheduler(kernel, "sigma_rgb", rising).value_at(4)
        0.1
    """

    def __init__(self, target, parameter, schedule, per="epoch"):
        super().__init__()
        if not isinstance(target, Annealable):
            raise TypeError(f"target must be a loss or kernel of keras_wsseg. Received: {target!r}")
        if parameter not in target.annealable:
            raise ValueError(
                f"parameter must be one of {target.annealable} of {type(target).__name__}. "
                f"Received: parameter={parameter!r}"
            )
        if not callable(schedule):
            raise TypeError(f"schedule must be callable from a count to a value. Received: {schedule!r}")
        if per not in ("epoch", "step"):
            raise ValueError(f"per must be 'epoch' or 'step'. Received: per={per!r}")
        self.target, self.parameter, self.schedule, self.per = target, parameter, schedule, per
        self._applied = None

    @property
    def log_name(self):
        """The name of the value in the logs."""
        return f"{getattr(self.target, 'name', 'kernel')}_{self.parameter}"

    def value_at(self, count):
        """The value for a 0-based epoch or step."""
        return float(keras.ops.convert_to_numpy(self.schedule(count)))

    def on_train_begin(self, logs=None):
        self.check_target(self.target, "target")
        self._applied = None

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self.per == "epoch":
            self._apply(self.value_at(epoch))

    def on_train_batch_begin(self, batch, logs=None):
        if self.per == "step":
            super().on_train_batch_begin(batch, logs)

    def on_step(self, step):
        self._apply(self.value_at(step))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs[self.log_name] = self._applied

    def _apply(self, value):
        if value != self._applied:
            self.sync()
            self.target.anneal(self.parameter, value)
            self._applied = value
