"""Detects wrong image ranges, invalid labels and a doubly applied softmax in compiled steps."""

import math

import keras
from keras import ops

from keras_wsseg.arguments import check_value_range
from keras_wsseg.imaging.labels import PADDING

# The accuracy of a sum in half precision; logits do not sum to 1 so closely at every pixel of a batch.
_SUM_TOLERANCE = 0.01


class RangeGuard:
    """Records the extreme values seen in a compiled step, and validates them outside of it.

    A wrong range silently gives a wrong kernel, a label beyond the classes is silently ignored, and a softmax
    applied twice can never be confident; but a compiled step cannot raise.
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
        # How far predictions treated as logits are from non-negative numbers that sum to 1.
        self._off_sums = _extreme("off_sums", -1.0)
        # The 1-based index in `_names` of the last input that was not finite.
        self._infinite = _extreme("not_finite", 0.0)
        self._names, self._classes = [], None

    @property
    def variables(self):
        """The extremes, as training state."""
        extremes = [variable for each in self._extremes.values() for variable in each]
        return [*extremes, *self._labels, self._off_sums, self._infinite]

    def bounds_of(self, name):
        """`(low, high)` of an input, or None if none was declared."""
        return self._bounds.get(name)

    def observe(self, name, image, labels):
        """Updates the extremes with a batch, except for pixels outside the image.

        Args:
            name: name of the input.
            image: `(batch, height, width, channels)`, float32.
            labels: `(batch, height, width)`, with 254 outside the image.
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
        # Dark images of integers may also lie within 0 and 1; scaled images have fractions.
        off = ops.where(seen, ops.abs(image - ops.round(image)), 0.0)
        fraction.assign(ops.maximum(fraction.value, ops.max(off)))

    def observe_labels(self, labels, classes):
        """Records the labels of a batch, `(batch, height, width)`, and the number of classes."""
        self._classes = classes
        low, high = self._labels
        labels = ops.cast(labels, "float32")
        low.assign(ops.minimum(low.value, ops.min(labels)))
        high.assign(ops.maximum(high.value, ops.max(ops.where(labels < PADDING, labels, -1.0))))

    def observe_sums(self, logits):
        """Records predictions that may be probabilities, `(batch, h, w, classes)`."""
        if logits.shape[-1] > 1:
            logits = ops.cast(logits, "float32")
            off = ops.max(ops.abs(ops.sum(logits, axis=-1) - 1.0))
            self._off_sums.assign(ops.maximum(self._off_sums.value, ops.maximum(off, -ops.min(logits))))

    def check(self):
        """Raises ValueError if any recorded value is invalid, and resets the records."""
        self._check_labels()
        if 0 <= _read_and_reset(self._off_sums, -1.0) <= _SUM_TOLERANCE:
            raise ValueError(
                "losses must have from_logits=False if the segmenter outputs probabilities. Received: "
                "from_logits=True, and predictions from 0 to 1 that sum to 1 at every pixel"
            )
        infinite = int(_read_and_reset(self._infinite, 0.0))
        if infinite:
            raise ValueError(
                f"{self._names[infinite - 1]} must be finite wherever labels are not 254. Received: NaN or "
                "infinite values"
            )
        for name, (low, high) in self._bounds.items():
            variables = self._extremes[name]
            starts = (math.inf, -math.inf, 0.0)
            least, most, fraction = (_read_and_reset(*pair) for pair in zip(variables, starts, strict=True))
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
                    f"{name} must match value_range=({low:g}, {high:g}); pass value_range=(0, 1) if its "
                    f"values are in [0, 1]. Received: values from {least:g} to {most:g}"
                )

    def _check_labels(self):
        least, most = (_read_and_reset(*pair) for pair in zip(self._labels, (0.0, -1.0), strict=True))
        if self._classes is not None and not (least >= 0 and most < self._classes):
            wrong = least if least < 0 else most
            raise ValueError(
                f"labels must be 0 to {self._classes - 1}, the {self._classes} classes of the prediction, "
                f"254 or 255. Received: {wrong:g}"
            )

    def added_to(self, callbacks, model):
        """The callbacks of `fit` or `evaluate`, preceded by one that runs the check."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return callbacks
        callbacks = [] if callbacks is None else callbacks
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        return [_CheckRange(self, model), *callbacks]


class _CheckRange(keras.callbacks.Callback):
    """Runs the check after the first batch and at the end of epochs and tests, where reading is cheap."""

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
    """Validates the argument and returns `(low, high)` as floats, or a dict of such pairs."""
    if isinstance(value_range, dict):
        return {name: parse_value_range(pair) for name, pair in value_range.items()}
    low, high = check_value_range(value_range)
    return float(low), float(high)


def _read_and_reset(variable, start):
    """Reads the value of a variable and resets it."""
    value = float(variable.numpy())
    variable.assign(start)
    return value


def _extreme(name, start):
    return keras.Variable(
        start, trainable=False, dtype="float32", autocast=False, aggregation="only_first_replica", name=name
    )
