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
    """Trains any segmenter with losses that look at the image as well as at the labels.

    A Keras loss sees `y_true` and `y_pred` only. This model hands its losses `targets.Targets`: the labels,
    and beside them the image that it was fed, scaled to [0, 1], so that pipelines yield plain
    `(image, labels)` and carry nothing twice; metrics see the plain labels. Where images have tags instead,
    `y` is the tags, `(batch, classes)`, or a dict of `tags` and of `labels` that tell what lies outside the
    image.

    Each term of the loss shows in the logs, unweighted, under its name. The numbers of losses that callbacks
    anneal are part of the training state, so that they change between steps on every backend, compiled or
    not; they do not travel in saved or exported segmenters.

    A segmenter that ends in a softmax, or in one channel of a sigmoid, is trained as one that ends in the
    logits before: its last layers say so, and what the losses and metrics here ask for by `from_logits` is
    made of what comes. What `predict` gives stays the segmenter's own. Where the last layers do not tell, as
    in a subclassed model, the losses' `from_logits` counts, on which they must agree then.

    Args:
        segmenter: any `keras.Model` from image, `(batch, height, width, channels)`, or a dict of such
            inputs, to logits or probabilities `(batch, h, w, classes)`; one channel is the second of two
            classes, by its log-odds or its probability. It normalizes inside itself.
        value_range: `(low, high)` of the images, scaled to [0, 1] for the guide; for a dict input, one
            range for `image`, or a dict by input name. An input that is named without a range is taken as is.
        name: name of the model.

    Raises:
        ValueError: at the first step (at the end of the epoch for later ones) if an image lies outside
            `value_range`, or spans so little of it that it must be in another range, or holds NaN where it is
            not outside the image (254), or a label is no class of the prediction, or what is taken for logits
            sums to 1 as probabilities do; if `segmenter` or `value_range` is not what it should be, or
            `segmenter` ends in a sigmoid of several channels, in a softmax that is not over the classes, or
            in probabilities in half precision.

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

    The layout of a dict input: the key `image` is the modality `rgb` of kernels, every other input of rank 4
    keeps its name.
    """

    def __init__(self, segmenter, value_range=(0, 255), name=None, **kwargs):
        if not isinstance(segmenter, keras.Model):
            raise ValueError(f"segmenter must be a keras.Model. Received: {type(segmenter).__name__}")
        check_segmenter(segmenter)
        # Half precision would overflow at 16-bit images before the segmenter normalizes them.
        super().__init__(name=name, autocast=False, **kwargs)
        self.segmenter = segmenter
        _read(segmenter)
        self.value_range = parse_value_range(value_range)
        self._training_state = _TrainingState()
        self._guard = RangeGuard(self.value_range)
        # There is nothing to build but the segmenter; BackupAndRestore asks before the first step.
        self.built = segmenter.built

    def build(self, input_shape):
        if not self.segmenter.built:
            self.segmenter.build(input_shape)

    @property
    def yields_probabilities(self):
        """Whether `predict` gives probabilities: False for logits, None where nothing tells."""
        found = _read(self.segmenter).probabilities
        asked = {term.from_logits for term in _taking_either(getattr(self, "loss", None))}
        return not asked.pop() if found is None and len(asked) == 1 else found

    def call(self, x, training=None):
        with free_upsampling(self.segmenter):
            return self.segmenter(x, training=training)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As in Keras; `loss` is a loss of this library or a sum of them.

        Raises:
            TypeError: if it is anything else, since other losses do not know what `y_true` holds.
            ValueError: if `from_logits` of a loss is False for a segmenter that ends in logits, or losses
                disagree on it for one that does not tell.
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
        # Keras leaves a loaded model uncompiled where compile() is overridden and this is not.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        check_prediction(y_pred)
        if y is None:
            raise ValueError(
                "y must be labels (batch, height, width) or tags (batch, classes) beside the images. "
                "Received: y=None"
            )
        if len(getattr(sample_weight, "shape", ())) > 1 and tuple(sample_weight.shape[1:]) != (1,):
            raise ValueError(
                "sample_weight must be one number an image; mark pixels as 255 instead. "
                f"Received: shape {tuple(sample_weight.shape)}"
            )
        if self.loss is None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        # A segmenter that was not built yet at `compile` tells only now.
        _check_from_logits(self.loss, self.segmenter)
        yields = self.yields_probabilities
        labels, tags = labels_and_tags(y, first_image(x))
        seen = targets.Targets.of(labels, self._guide(x), tags)
        self._observe(x, seen.labels, y_pred)
        loss = self._total(seen, y_pred, yields, sample_weight)
        further = [self._aggregate_additional_loss(one) for one in self.losses]
        return sum(further, loss)

    def _total(self, seen, y_pred, yields, sample_weight):
        """The loss of a batch, each of its terms noted for the logs."""
        total, images = 0.0, mean_images(seen.labels)
        for term, factor in weighted_terms(self.loss):
            energy = term.energy_of(seen, y_pred, yields)
            total = total + factor * term.tensor("weight") * energy
            metric = self._training_state.metrics[id(term)]
            metric.update_state(ops.mean(energy), sample_weight=images)
        return _Reduction(self.loss.reduction, dtype="float32")(total, total, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if y is not None:
            y, _ = labels_and_tags(y, first_image(x))
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
        """As in Keras, but for `class_weight`, which belongs to a loss.

        Raises:
            ValueError: if `class_weight` is given.
        """
        if class_weight is not None:
            raise ValueError(
                "class_weight must be None: pixels are weighed by PartialCrossEntropy(class_weights=...). "
                f"Received: class_weight={class_weight!r}"
            )
        return super().fit(*args, callbacks=self._guard.added_to(callbacks, self), **kwargs)

    def evaluate(self, *args, callbacks=None, **kwargs):
        """As in Keras."""
        return super().evaluate(*args, callbacks=self._guard.added_to(callbacks, self), **kwargs)

    def trains(self, target):
        """Whether the numbers of a loss or kernel are those of the compiled loss."""
        compiled = {id(variable) for variable in self._training_state.variables}
        return all(id(variable) in compiled for variable in target.annealed_variables)

    @property
    def variables(self):
        # Read by the JAX trainer as its state: what is missing here is baked into the compiled step. Saving
        # goes by `weights` and by each layer's own lists, so none of this reaches a file.
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
    """`ModelOutput` of a segmenter, which must not round its probabilities."""
    output = read_output(segmenter)
    if output.probabilities and output.dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"segmenter must end in float32 where it ends in probabilities, which {output.dtype} rounds to 0 "
            f'and 1: give its last layer dtype="float32". Received: {output.layer!r} in {output.dtype}'
        )
    return output


def _terms(loss):
    return [loss] if isinstance(loss, SegmentationLoss) else getattr(loss, "terms", [])


def _taking_either(loss):
    """The terms that say whether they take logits or probabilities."""
    return [term for term in _terms(loss) if hasattr(term, "from_logits")]


def _check_from_logits(loss, segmenter):
    asked = {True: [], False: []}
    for term in _taking_either(loss):
        asked[bool(term.from_logits)].append(term.name)
    output = _read(segmenter)
    if output.probabilities is False and asked[False]:
        raise ValueError(
            f"loss must have from_logits=True for a segmenter that ends in logits, as {output.layer!r} gives "
            f"them. Received: from_logits=False of {', '.join(asked[False])}"
        )
    if output.probabilities is None and asked[True] and asked[False]:
        raise ValueError(
            "loss must have one from_logits in all its terms where the segmenter's last layer does not tell "
            f"what it gives. Received: from_logits=True of {', '.join(asked[True])}, from_logits=False of "
            f"{', '.join(asked[False])}"
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
            f"x must not name an input {targets.TAGS!r}: tags belong into y. Received: x of {sorted(inputs)}"
        )
    return inputs


def first_image(x):
    return next(iter(_images(x).values()))


def labels_and_tags(y, image):
    """Label maps, 255 where nothing is known of a pixel, and tags `(batch, classes)` or None."""
    if isinstance(y, dict):
        if not {targets.TAGS} <= set(y) <= {targets.TAGS, "labels"}:
            raise ValueError(f"y must hold tags, and labels if any. Received: y of {sorted(y)}")
        tags, labels = y[targets.TAGS], y.get("labels")
    else:
        tags, labels = (y, None) if len(y.shape) == 2 else (None, y)
    if tags is not None:
        tags = ops.convert_to_tensor(tags)
    if labels is None:
        labels = ops.full(ops.shape(image)[:3], UNLABELED, "int32")
    return ops.convert_to_tensor(labels), tags


class _Reduction(keras.losses.Loss):
    """Brings the values of the images to one as Keras does, replicas and `sample_weight` included."""

    def call(self, y_true, y_pred):
        return y_pred


class _TrainingState:
    """Variables and metrics of the compiled loss; a plain object, since Keras locks a built model's lists."""

    def __init__(self, variables=(), metrics=None):
        self.variables = list(variables)
        self.metrics = metrics or {}


def _named(terms):
    """Each term with a name of its own in the logs."""
    seen, named = {}, []
    for term in terms:
        count = seen.get(term.name, 0)
        seen[term.name] = count + 1
        named.append((term, f"{term.name}_{count}" if count else term.name))
    return named
