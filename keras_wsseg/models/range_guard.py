"""Notices pictures outside their declared range, in compiled steps too."""

import math

import keras
from keras import ops

from keras_wsseg.arguments import check_value_range


class RangeGuard:
    """Keeps the extremes of the pictures that pass through a compiled step, and judges them outside of it.

    A wrong range makes a silently wrong kernel, and a compiled step cannot raise.
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

    @property
    def variables(self):
        """The extremes, as training state."""
        return [variable for each in self._extremes.values() for variable in each]

    def bounds_of(self, name):
        """`(low, high)` of an input, or None where none was declared."""
        return self._bounds.get(name)

    def observe(self, name, picture):
        """Takes a batch into the extremes."""
        low, high, fraction = self._extremes[name]
        low.assign(ops.minimum(low.value, ops.min(picture)))
        high.assign(ops.maximum(high.value, ops.max(picture)))
        # Dark pictures of whole numbers also lie within 0 and 1; scaled ones have fractions.
        off = ops.max(ops.abs(picture - ops.round(picture)))
        fraction.assign(ops.maximum(fraction.value, off))

    def check(self):
        """Raises ValueError if a picture was outside its range, or must be of another; then starts anew."""
        for name, (low, high) in self._bounds.items():
            variables = self._extremes[name]
            least, most, fraction = (float(variable.numpy()) for variable in variables)
            for variable, start in zip(variables, (math.inf, -math.inf, 0.0), strict=True):
                variable.assign(start)
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

    def joined_to(self, callbacks, model):
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


def _extreme(name, start):
    return keras.Variable(
        start, trainable=False, dtype="float32", autocast=False, aggregation="only_first_replica", name=name
    )
