import keras

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.callbacks.parameter_scheduler import ParameterScheduler
from keras_wsseg.losses.single_class import SingleClassLoss


class SingleClassStages(keras.callbacks.Callback):
    r"""Leads a training without labels through its stages: annealing, normal, with negative images.

    Trained at full strength from the start, the net may settle for one label everywhere. Annealing begins
    with a small sigma, for which few neighbors look alike and the CRF asks for little, and a small weight;
    the object grows, and then the normal stage makes it follow the colors.

    In the annealing stage, epochs `i = 1 ... annealing_epochs` (Keras' epoch `i - 1`):
    `sigma_rgb = initial_sigma_rgb + (loss.crf.sigma_rgb - initial_sigma_rgb) i / annealing_epochs`, the CRF's
    weight `annealing_weight`. From then on sigma and weight are those that `loss.crf` was made with. The
    weight of `loss.negative` is 0 until both stages are over, and its own from `negative_epoch` on. By
    default these are the published numbers: sigma from 0.06 to 0.15 at weight 1, then 0.15 at weight 100, and
    after 15 + 50 epochs the negative images.

    Sigma and all weights of an epoch show in its logs: `sparse_crf_sigma_rgb`, `sparse_crf_weight`,
    `volumetric_weight`, `positional_weight` and `negative_weight`.

    Args:
        loss: the `SingleClassLoss` that was compiled.
        annealing_epochs: length of the annealing stage; 0 leaves it out, for a net that starts from the
            weights of another training.
        normal_epochs: length of the normal stage before negative images count.
        initial_sigma_rgb: where sigma starts from, in units of an image in [0, 1].
        annealing_weight: weight of the CRF in the annealing stage.
        reset_optimizer: make the optimizer forget its moments and count of steps wherever a stage begins, as
            a new one would. Schedules of learning rates by step then begin anew as well.

    Raises:
        TypeError: if `loss` is no `SingleClassLoss`.
        ValueError: if a number is out of its range.

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
        """Sigma and weights of a 0-based epoch, by their names in the logs."""
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
            self._forget()

    def on_epoch_end(self, epoch, logs=None):
        for part in self._parts:
            part.on_epoch_end(epoch, logs)

    def _forget(self):
        self._parts[0].sync()
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # Not all of them begin at zero, so a new one is asked.
        new = type(optimizer).from_config(optimizer.get_config())
        new.build(self.model.trainable_variables)
        kept = getattr(optimizer, "_learning_rate", None)
        for variable, begun in zip(optimizer.variables, new.variables, strict=True):
            if variable is not kept:
                variable.assign(keras.ops.convert_to_numpy(begun.value))
