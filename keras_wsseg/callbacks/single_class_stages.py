import keras

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.callbacks.parameter_scheduler import ParameterScheduler
from keras_wsseg.losses.single_class import SingleClassLoss


class SingleClassStages(keras.callbacks.Callback):
    r"""Schedules the stages of training without labels: annealing, normal, with negative images.

    Trained at full strength from the start, the network may collapse to a single label. Annealing begins with
    a small weight and a small sigma, at which few neighbors are similar and the CRF is a weak constraint; the
    object grows, and the normal stage then aligns it with the colors.

    In the annealing stage, epochs `i = 1 ... annealing_epochs` (epoch `i - 1` in Keras),
    `sigma_rgb = initial_sigma_rgb + (loss.crf.sigma_rgb - initial_sigma_rgb) i / annealing_epochs`, and the
    CRF's weight is `annealing_weight`. Afterwards both have the values that `loss.crf` was created with. The
    weight of `loss.negative` is 0 until both stages are over, and its declared value from `negative_epoch`
    on. The defaults are the published values: sigma from 0.06 to 0.15 at weight 1, then 0.15 at weight 100,
    and negative images after 15 + 50 epochs.

    Sigma and all weights are logged in each epoch: `sparse_crf_sigma_rgb`, `sparse_crf_weight`,
    `volumetric_weight`, `positional_weight` and `negative_weight`.

    Args:
        loss: the `SingleClassLoss` that was compiled.
        annealing_epochs: length of the annealing stage in epochs; 0 skips it, for a network initialized with
            trained weights.
        normal_epochs: length of the normal stage, in epochs, before negative images count.
        initial_sigma_rgb: initial value of sigma, in units of an image in [0, 1].
        annealing_weight: weight of the CRF in the annealing stage.
        reset_optimizer: whether to reset the optimizer's moments and step count at the start of each stage.
            This also restarts learning-rate schedules by step.

    Raises:
        TypeError: if `loss` is not a `SingleClassLoss`.
        ValueError: if a number is out of range.

    Example:
        >>> from keras_wsseg import callbacks, losses
        >>> stages = callbacks.SingleClassStages(losses.SingleClassLoss())
        >>> [round(stages.values_at(epoch)["sparse_crf_sigma_rgb"], 4) for epoch in (0, 7, 14, 15)]
        [0.0567, 0.1033, 0.15, 0.15]
        >>> stages.values_at(14)["sparse_crf_weight"], stages.values_at(15)["sparse_crf_weight"]
        (1.0, 100.0)
        >>> stages.negative_epoch
        65

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", ECCV.
    """

    def __init__(
        self,
        loss,
        annealing_epochs=15,
        normal_epochs=50,
        initial_sigma_rgb=0.05,
        annealing_weight=1.0,
        reset_optimizer=False,
    ):
        super().__init__()
        if not isinstance(loss, SingleClassLoss):
            raise TypeError(f"loss must be a SingleClassLoss. Received: {type(loss).__name__}")
        for name, count in (("annealing_epochs", annealing_epochs), ("normal_epochs", normal_epochs)):
            check_integer(name, count, low=0)
        if annealing_epochs:
            check_number("initial_sigma_rgb", initial_sigma_rgb, above=0, high=loss.crf.declared("sigma_rgb"))
        check_number("annealing_weight", annealing_weight, low=0)
        self.loss, self.reset_optimizer = loss, reset_optimizer
        self.annealing_epochs, self.negative_epoch = annealing_epochs, annealing_epochs + normal_epochs
        self.initial_sigma_rgb, self.annealing_weight = float(initial_sigma_rgb), float(annealing_weight)
        self._parts = [
            ParameterScheduler(loss.crf, "sigma_rgb", self._sigma),
            ParameterScheduler(loss.crf, "weight", self._crf_weight),
            ParameterScheduler(loss.volumetric, "weight", lambda _: loss.volumetric.declared("weight")),
            ParameterScheduler(loss.positional, "weight", lambda _: loss.positional.declared("weight")),
            ParameterScheduler(loss.negative, "weight", self._negative_weight),
        ]

    def values_at(self, epoch):
        """Sigma and weights for a 0-based epoch, by their names in the logs."""
        return {part.log_name: part.value_at(epoch) for part in self._parts}

    def _sigma(self, epoch):
        share = min(1.0, (epoch + 1) / self.annealing_epochs) if self.annealing_epochs else 1.0
        return self.initial_sigma_rgb + (self.loss.crf.declared("sigma_rgb") - self.initial_sigma_rgb) * share

    def _crf_weight(self, epoch):
        annealing = epoch < self.annealing_epochs
        return self.annealing_weight if annealing else self.loss.crf.declared("weight")

    def _negative_weight(self, epoch):
        return self.loss.negative.declared("weight") if epoch >= self.negative_epoch else 0.0

    def set_model(self, model):
        super().set_model(model)
        for part in self._parts:
            part.set_model(model)

    def set_params(self, params):
        super().set_params(params)
        for part in self._parts:
            part.set_params(params)

    def on_train_begin(self, logs=None):
        for part in self._parts:
            part.on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        for part in self._parts:
            part.on_epoch_begin(epoch, logs)
        begins = epoch > 0 and epoch in (self.annealing_epochs, self.negative_epoch)
        if self.reset_optimizer and begins:
            self._reset_optimizer()

    def on_epoch_end(self, epoch, logs=None):
        for part in self._parts:
            part.on_epoch_end(epoch, logs)

    def _reset_optimizer(self):
        self._parts[0].sync()
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # Not all variables are initialized to zero, so the values are taken from a new optimizer.
        new = type(optimizer).from_config(optimizer.get_config())
        new.build(self.model.trainable_variables)
        kept = getattr(optimizer, "_learning_rate", None)
        for variable, begun in zip(optimizer.variables, new.variables, strict=True):
            if variable is not kept:
                variable.assign(keras.ops.convert_to_numpy(begun.value))
