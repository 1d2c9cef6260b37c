"""Notices wrong ranges of images, labels that are no class and a softmax too many, in compiled steps."""

import math

import keras
from keras import ops

from keras_wsseg.arguments import check_value_range
from keras_wsseg.imaging.labels import PADDING

# Half precision sums no closer; logits do not come so near to a sum of 1 at every pixel of a batch.
_SUM_TOLERANCE = 0.01


class RangeGuard:
    """Keeps the extremes of what passes through a compiled step, and judges them outside of it.

    A wrong range makes a silently wrong kernel, a label beyond the classes teaches nothing, the softmax of a
    softmax cannot be sure of anything, and a compiled step cannot raise.
    """

    def __init__(self, value_range):
        self._bounds = value_range if isinstance(value_range, dict) else {"image": value_range}
        self._extremes = {
            name: [
                _extreme(f"{name}_minimum", math.inf),
                _extreme(f"{name}_maximum", -math.inf),
                _extreme(f"{name}_fraction", 0.0),
            ]
            for name in self._bounds
        }
        self._labels = [_extreme("label_minimum", 0.0), _extreme("label_maximum", -1.0)]
        # How far predictions that are taken for logits are from non-negative numbers that sum to 1.
        self._off_sums = _extreme("off_sums", -1.0)
        # The number in `_names` of the last input that was not finite, counted from 1.
        self._infinite = _extreme("not_finite", 0.0)
        self._names, self._classes = [], None

    @property
    def variables(self):
        """The extremes, as training state."""
        extremes = [variable for each in self._extremes.values() for variable in each]
        return [*extremes, *self._labels, self._off_sums, self._infinite]

    def bounds_of(self, name):
        """`(low, high)` of an input, or None where none was declared."""
        return self._bounds.get(name)

    def observe(self, name, image, labels):
        """Takes a batch into the extremes, but for what lies outside the image.

        Args:
            name: of the input.
            image: `(batch, height, width, channels)`, float32.
            labels: `(batch, height, width)`, of which 254 is outside.
        """
        if name not in self._names:
            self._names.append(name)
        inside = (labels != PADDING)[..., None]
        finite = ops.isfinite(image)
        found = ops.any(ops.logical_and(inside, ops.logical_not(finite)))
        number = ops.where(found, float(1 + self._names.index(name)), 0.0)
        self._infinite.assign(ops.maximum(self._infinite.value, number))
        if name not in self._bounds:
            return
        low, high, fraction = self._extremes[name]
        seen = ops.logical_and(inside, finite)
        low.assign(ops.minimum(low.value, ops.min(ops.where(seen, image, math.inf))))
        high.assign(ops.maximum(high.value, ops.max(ops.where(seen, image, -math.inf))))
        # Dark images of whole numbers also lie within 0 and 1; scaled ones have fractions.
        off = ops.where(seen, ops.abs(image - ops.round(image)), 0.0)
        fraction.assign(ops.maximum(fraction.value, ops.max(off)))

    def observe_labels(self, labels, classes):
        """Takes the labels of a batch, `(batch, height, width)`, and the number of classes into account."""
        self._classes = classes
        low, high = self._labels
        labels = ops.cast(labels, "float32")
        low.assign(ops.minimum(low.value, ops.min(labels)))
        high.assign(ops.maximum(high.value, ops.max(ops.where(labels < PADDING, labels, -1.0))))

    def observe_sums(self, logits):
        """Takes predictions that may be probabilities, `(batch, h, w, classes)`, into account."""
        if logits.shape[-1] > 1:
            logits = ops.cast(logits, "float32")
            off = ops.max(ops.abs(ops.sum(logits, axis=-1) - 1.0))
            self._off_sums.assign(ops.maximum(self._off_sums.value, ops.maximum(off, -ops.min(logits))))

    def check(self):
        """Raises ValueError if anything was not as it must be; then starts anew."""
        self._check_labels()
        if 0 <= _taken(self._off_sums, -1.0) <= _SUM_TOLERANCE:
            raise ValueError(
                "losses must have from_logits=False where the segmenter gives probabilities. Received: "
                "from_logits=True, and a prediction of numbers from 0 to 1 that sum to 1 at every pixel"
            )
        infinite = int(_taken(self._infinite, 0.0))
        if infinite:
            raise ValueError(
                f"{self._names[infinite - 1]} must be finite wherever labels are not 254. Received: NaN or "
                "infinite values"
            )
        for name, (low, high) in self._bounds.items():
            variables = self._extremes[name]
            starts = (math.inf, -math.inf, 0.0)
            least, most, fraction = (_taken(*pair) for pair in zip(variables, starts, strict=True))
            slack = 1e-3 * (high - low)
            if least == math.inf:
                continue
            if not (least >= low - slack and most <= high + slack):
                raise ValueError(
                    f"{name} must lie within value_range=({low:g}, {high:g}). "
                    f"Received: values from {least:g} to {most:g}"
                )
            if low == 0 and high >= 255 and most <= 1 and fraction > 0:
                raise ValueError(
                    f"{name} spans almost nothing of value_range=({low:g}, {high:g}); say value_range=(0, 1) "
                    f"if that is what it holds. Received: values from {least:g} to {most:g}"
                )

    def _check_labels(self):
        least, most = (_taken(*pair) for pair in zip(self._labels, (0.0, -1.0), strict=True))
        if self._classes is not None and not (least >= 0 and most < self._classes):
            wrong = least if least < 0 else most
            raise ValueError(
                f"labels must be 0 to {self._classes - 1}, the {self._classes} classes of the prediction, "
                f"254 or 255. Received: {wrong:g}"
            )

    def added_to(self, callbacks, model):
        """The callbacks of a fit or evaluate with the one that checks in front."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return callbacks
        callbacks = [] if callbacks is None else callbacks
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        return [_CheckRange(self, model), *callbacks]


class _CheckRange(keras.callbacks.Callback):
    """Checks after the first batch and at each end, where the training state can be read cheaply."""

    def __init__(self, guard, trained):
        super().__init__()
        self._guard, self._trained, self._first = guard, trained, True

    def on_train_batch_end(self, batch, logs=None):
        if self._first:
            self._check()

    def on_epoch_end(self, epoch, logs=None):
        self._check()

    def on_test_end(self, logs=None):
        self._check()

    def _check(self):
        self._first = False
        if keras.backend.backend() == "jax":
            self._trained.jax_state_sync()
        self._guard.check()


def parse_value_range(value_range):
    """Returns `(low, high)` as floats, or a dict of such pairs, or says what is wrong."""
    if isinstance(value_range, dict):
        return {name: parse_value_range(pair) for name, pair in value_range.items()}
    low, high = check_value_range(value_range)
    return float(low), float(high)


def _taken(variable, start):
    """The number in a variable, which begins anew."""
    value = float(variable.numpy())
    variable.assign(start)
    return value


def _extreme(name, start):
    return keras.Variable(
        start, trainable=False, dtype="float32", autocast=False, aggregation="only_first_replica", name=name
    )
