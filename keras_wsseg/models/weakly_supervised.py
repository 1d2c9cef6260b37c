import keras
from keras import ops

from keras_wsseg import predictions, targets
from keras_wsseg.imaging.labels import UNLABELED
from keras_wsseg.losses.loss_sum import LossSum, weighted_terms
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.models.free_upsampling import free_upsampling
from keras_wsseg.models.model_output import read_output
from keras_wsseg.models.range_guard import RangeGuard, parse_value_range
from keras_wsseg.models.segmenter_shape import check_prediction, check_segmenter
from keras_wsseg.ops.backend import mean_images


@keras.saving.register_keras_serializable("keras_wsseg")
class WeaklySupervisedModel(keras.Model):
    """Trains any segmenter with losses that depend on the image as well as the labels.

    A Keras loss receives only `y_true` and `y_pred`. This model passes its losses `targets.Targets`: the
    labels together with the input image, scaled to [0, 1], so that input pipelines yield plain
    `(image, labels)` without duplicating the image; metrics receive the plain labels. For images with tags,
    `y` is the tags, `(batch, classes)`, or a dict of `tags` and of `labels` that mark what is outside the
    image.

    Each term of the loss is logged, unweighted, under its name. Annealed values of losses are part of the
    training state, so that they change between steps on every backend, compiled or not; they are not part of
    saved or exported segmenters.

    A segmenter that ends in a softmax, or in a one-channel sigmoid, is trained like one that ends in the
    logits before it: this is detected from its last layers, and its output is converted to what the losses
    and metrics of this library require by `from_logits`. The output of `predict` is unchanged. If the last
    layers do not determine it, as in a subclassed model, the losses' `from_logits` decides, on which they
    must then agree.

    Args:
        segmenter: any `keras.Model` from image, `(batch, height, width, channels)`, or a dict of such
            inputs, to logits or probabilities `(batch, h, w, classes)`; one channel is the second of two
            classes, as log-odds or probability. It includes its own input normalization.
        value_range: `(low, high)` of the images, scaled to [0, 1] for the guide; for a dict input, one
            range for `image`, or a dict by input name. An input without a range is used unscaled.
        name: name of the model.

    Raises:
        ValueError: at the first step (at the end of the epoch for later steps) if an image is outside
            `value_range`, or spans so little of it that it must be in another range, or contains NaN at
            pixels inside the image (not 254), or a label is not a class of the prediction, or presumed logits
            sum to 1 like probabilities; if `segmenter` or `value_range` is invalid, or `segmenter` ends in a
            sigmoid of several channels, in a softmax that is not over the classes, or in probabilities in
            half precision.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import losses
        >>> net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, padding="same")])
        >>> model = WeaklySupervisedModel(net)
        >>> model.compile("sgd", loss=losses.PartialCrossEntropy() + losses.GatedCRFLoss(radius=1))
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
        >>> history = model.fit(images, np.zeros((2, 8, 8)), verbose=0)
        >>> sorted(history.history)
        ['gated_crf', 'loss', 'partial_cross_entropy']

    In a dict input, the key `image` is the modality `rgb` of kernels; all other inputs of rank 4 keep their
    names.
    """

    def __init__(self, segmenter, value_range=(0, 255), name=None, **kwargs):
        if not isinstance(segmenter, keras.Model):
            raise ValueError(f"segmenter must be a keras.Model. Received: {type(segmenter).__name__}")
        check_segmenter(segmenter)
        # In half precision, 16-bit images would overflow before the segmenter normalizes them.
        super().__init__(name=name, autocast=False, **kwargs)
        self.segmenter = segmenter
        _read(segmenter)
        self.value_range = parse_value_range(value_range)
        self._training_state = _TrainingState()
        self._guard = RangeGuard(self.value_range)
        # Only the segmenter has to be built; BackupAndRestore reads this before the first step.
        self.built = segmenter.built

    def build(self, input_shape):
        if not self.segmenter.built:
            self.segmenter.build(input_shape)

    @property
    def yields_probabilities(self):
        """Whether `predict` returns probabilities: False for logits, None if undetermined."""
        found = _read(self.segmenter).probabilities
        asked = {term.from_logits for term in _taking_either(getattr(self, "loss", None))}
        return not asked.pop() if found is None and len(asked) == 1 else found

    def call(self, x, training=None):
        with free_upsampling(self.segmenter):
            return self.segmenter(x, training=training)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As in Keras; `loss` is a loss of this library or a sum of them.

        Raises:
            TypeError: if it is anything else, since other losses cannot read this model's `y_true`.
            ValueError: if `from_logits` of a loss is False for a segmenter that ends in logits, or losses
                disagree on it for a segmenter whose output is undetermined.
        """
        if loss is not None and not isinstance(loss, (SegmentationLoss, LossSum)):
            raise TypeError(f"loss must be a loss of keras_wsseg or a sum of them. Received: loss={loss!r}")
        _check_from_logits(loss, self.segmenter)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self._training_state = _TrainingState(
            variables=getattr(loss, "annealed_variables", []),
            metrics={id(term): keras.metrics.Mean(name) for term, name in _named(_terms(loss))},
        )

    def compile_from_config(self, config):
        # Keras leaves a loaded model uncompiled if compile() is overridden but this method is not.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        check_prediction(y_pred)
        if y is None:
            raise ValueError(
                "y must be labels (batch, height, width) or tags (batch, classes) of the images. "
                "Received: y=None"
            )
        if len(getattr(sample_weight, "shape", ())) > 1 and tuple(sample_weight.shape[1:]) != (1,):
            raise ValueError(
                "sample_weight must be one number per image; to exclude pixels, label them 255. "
                f"Received: shape {tuple(sample_weight.shape)}"
            )
        if self.loss is None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        # The output of a segmenter not built at `compile` is known only now.
        _check_from_logits(self.loss, self.segmenter)
        yields = self.yields_probabilities
        labels, tags = labels_and_tags(y, _first_image(x))
        seen = targets.Targets.of(labels, self._guide(x), tags)
        self._observe(x, seen.labels, y_pred)
        loss = self._total(seen, y_pred, yields, sample_weight)
        further = [self._aggregate_additional_loss(one) for one in self.losses]
        return sum(further, loss)

    def _total(self, seen, y_pred, yields, sample_weight):
        """The loss of a batch; also updates the logged value of each term."""
        total, images = 0.0, mean_images(seen.labels)
        for term, factor in weighted_terms(self.loss):
            energy = term.energy_of(seen, y_pred, yields)
            total = total + factor * term.tensor("weight") * energy
            metric = self._training_state.metrics[id(term)]
            metric.update_state(ops.mean(energy), sample_weight=images)
        return _Reduction(self.loss.reduction, dtype="float32")(total, total, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if y is not None:
            y, _ = labels_and_tags(y, _first_image(x))
        with predictions.holding(self.yields_probabilities):
            return super().compute_metrics(x, y, y_pred, sample_weight)

    def _guide(self, x):
        guide = {}
        for name, part in _images(x).items():
            part = ops.stop_gradient(ops.cast(ops.convert_to_tensor(part), "float32"))
            bounds = self._guard.bounds_of(name)
            if bounds is not None:
                part = (part - bounds[0]) / (bounds[1] - bounds[0])
            guide["rgb" if name == "image" else name] = part
        return guide

    def _observe(self, x, labels, y_pred):
        for name, part in _images(x).items():
            self._guard.observe(name, ops.cast(part, "float32"), labels)
        self._guard.observe_labels(labels, max(2, y_pred.shape[-1]))
        if _read(self.segmenter).probabilities is None and self.yields_probabilities is False:
            self._guard.observe_sums(y_pred)

    def fit(self, *args, callbacks=None, class_weight=None, **kwargs):
        """As in Keras, except that `class_weight` must be None, since it belongs to a loss.

        Raises:
            ValueError: if `class_weight` is given.
        """
        if class_weight is not None:
            raise ValueError(
                "class_weight must be None: pixels are weighted by PartialCrossEntropy(class_weights=...). "
                f"Received: class_weight={class_weight!r}"
            )
        return super().fit(*args, callbacks=self._guard.added_to(callbacks, self), **kwargs)

    def evaluate(self, *args, callbacks=None, **kwargs):
        """As in Keras."""
        return super().evaluate(*args, callbacks=self._guard.added_to(callbacks, self), **kwargs)

    def trains(self, target):
        """Whether a loss or kernel is part of the compiled loss."""
        compiled = {id(variable) for variable in self._training_state.variables}
        return all(id(variable) in compiled for variable in target.annealed_variables)

    @property
    def variables(self):
        # Read by the JAX trainer as its state: anything missing becomes a constant of the compiled step.
        # Saving uses `weights` and each layer's own lists, so none of this is written to a file.
        return super().variables + self._training_state.variables + self._guard.variables

    @property
    def metrics(self):
        return super().metrics + list(self._training_state.metrics.values())

    def get_config(self):
        return {
            "segmenter": keras.saving.serialize_keras_object(self.segmenter),
            "value_range": self.value_range,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        segmenter = keras.saving.deserialize_keras_object(config["segmenter"], custom_objects=custom_objects)
        return cls(**{**config, "segmenter": segmenter})


def _read(segmenter):
    """`ModelOutput` of a segmenter, whose probabilities must not be in half precision."""
    output = read_output(segmenter)
    if output.probabilities and output.dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"segmenter must output probabilities in float32, since {output.dtype} rounds them to 0 and 1: "
            f'set dtype="float32" in its last layer. Received: {output.layer!r} in {output.dtype}'
        )
    return output


def _terms(loss):
    return [loss] if isinstance(loss, SegmentationLoss) else getattr(loss, "terms", [])


def _taking_either(loss):
    """The terms with `from_logits`, which require either logits or probabilities."""
    return [term for term in _terms(loss) if hasattr(term, "from_logits")]


def _check_from_logits(loss, segmenter):
    asked = {True: [], False: []}
    for term in _taking_either(loss):
        asked[bool(term.from_logits)].append(term.name)
    output = _read(segmenter)
    if output.probabilities is False and asked[False]:
        raise ValueError(
            "loss must have from_logits=True for a segmenter that ends in logits, here those of "
            f"{output.layer!r}. Received: from_logits=False of {', '.join(asked[False])}"
        )
    if output.probabilities is None and asked[True] and asked[False]:
        raise ValueError(
            "loss must have the same from_logits in all terms if the segmenter's last layer does not "
            f"determine its output. Received: from_logits=True of {', '.join(asked[True])}, "
            f"from_logits=False of {', '.join(asked[False])}"
        )


def _images(x):
    """The inputs of rank 4 by name."""
    inputs = dict(x) if isinstance(x, dict) else {"image": x}
    inputs = {name: part for name, part in inputs.items() if len(getattr(part, "shape", ())) == 4}
    if not inputs:
        raise ValueError(
            "x must be an image (batch, height, width, channels), or a dict with at least one. "
            f"Received: {type(x).__name__}"
        )
    if targets.TAGS in inputs:
        raise ValueError(
            f"x must not have an input {targets.TAGS!r}: pass tags in y. Received: x of {sorted(inputs)}"
        )
    return inputs


def _first_image(x):
    return next(iter(_images(x).values()))


def labels_and_tags(y, image):
    """Label maps, 255 where unlabeled, and tags `(batch, classes)` or None."""
    if isinstance(y, dict):
        if not {targets.TAGS} <= set(y) <= {targets.TAGS, "labels"}:
            raise ValueError(f"y must contain tags, and optionally labels. Received: y of {sorted(y)}")
        tags, labels = y[targets.TAGS], y.get("labels")
    else:
        tags, labels = (y, None) if len(y.shape) == 2 else (None, y)
    if tags is not None:
        tags = ops.convert_to_tensor(tags)
    if labels is None:
        labels = ops.full(ops.shape(image)[:3], UNLABELED, "int32")
    return ops.convert_to_tensor(labels), tags


class _Reduction(keras.losses.Loss):
    """Reduces the values of the images as Keras does, including replicas and `sample_weight`."""

    def call(self, y_true, y_pred):
        return y_pred


class _TrainingState:
    """Variables and metrics of the compiled loss; a plain object, since Keras locks a built model's lists."""

    def __init__(self, variables=(), metrics=None):
        self.variables = list(variables)
        self.metrics = metrics or {}


def _named(terms):
    """Each term with a unique name for the logs."""
    seen, named = {}, []
    for term in terms:
        count = seen.get(term.name, 0)
        seen[term.name] = count + 1
        named.append((term, f"{term.name}_{count}" if count else term.name))
    return named
