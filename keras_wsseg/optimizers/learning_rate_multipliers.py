"""Per-layer learning rates within one optimizer."""

import collections.abc
import re

import keras
from keras import ops

from keras_wsseg.arguments import check_number

# Covers all Keras optimizers; Muon has a separate decay rate for the variables that it leaves to Adam.
_DECAYS = ("weight_decay", "adam_weight_decay")


@keras.saving.register_keras_serializable("keras_wsseg")
class LearningRateMultipliers(keras.optimizers.Optimizer):
    """Wraps any Keras optimizer and multiplies its learning rate layer by layer.

    Most published recipes use a smaller learning rate for pretrained layers than for new ones, for which
    Keras has no argument. Scaling the gradients is not equivalent: Adam normalizes by their magnitude.

    Every variable is trained exactly as by a separate optimizer with the rate `learning_rate * multiplier`,
    including weight decay; but the rate, its schedule and the step count are those of a single optimizer.
    Clipping by the global norm, gradient accumulation and moving averages are those of the inner optimizer,
    over all variables.

    Args:
        optimizer: any `keras.optimizers.Optimizer` that is not built yet, with its own settings. For float16
            use `LossScaleOptimizer(LearningRateMultipliers(…))`, which `compile` does automatically under
            the policy `mixed_float16`.
        multipliers: a dict from patterns to factors. A pattern is a regular expression that is searched
            anywhere in `variable.path`, which ends in the name of the layer and that of the variable,
            `"vgg16_block1_conv1/kernel"`. Names of enclosing models are not part of the path if these are
            functional, and otherwise are lost in a saved file: match layers by their own names. The first
            matching pattern applies; without a match the factor is 1. Factors are at least 0; a factor of 0
            freezes the variable, though its gradient still counts in `global_clipnorm`.
        name: name of the optimizer.

    Attributes:
        inner_optimizer: the wrapped optimizer. Its weight decay is read when training begins.
        multipliers: the given dict.
        learning_rate: that of the inner optimizer, before multiplication; can be set, as callbacks do.

    Raises:
        TypeError: if `optimizer` is not an optimizer that can be wrapped, or `multipliers` is not a dict.
        ValueError: if the optimizer is already built, a factor is negative or not finite, or a pattern is not
            a regular expression; when building, if a pattern applies to no variable; on PyTorch, where Keras
            optimizers update all variables at once.

    Example:

    >>> segmenter = keras.Sequential(
    ...     [keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1, name="old"), keras.layers.Conv2D(2, 1)]
    ... )
    >>> sgd = keras.optimizers.SGD(0.01, momentum=0.9)
    >>> segmenter.compile(LearningRateMultipliers(sgd, {"old": 0.1}), "mse")
    >>> old = segmenter.get_layer("old").kernel
    >>> segmenter.optimizer.build(segmenter.trainable_variables)
    >>> segmenter.optimizer.multiplier_of(old), segmenter.optimizer.multiplier_of(segmenter.weights[-1])
    (0.1, 1.0)
    """

    def __init__(self, optimizer, multipliers, name=None):
        _check_optimizer(optimizer)
        patterns = _checked_patterns(multipliers)
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = optimizer
        self._patterns = patterns
        self._factors = ()

    @property
    def multipliers(self):
        return dict(self._patterns)

    def multiplier_of(self, variable):
        """The factor of a variable of the model.

        >>> multiplied = LearningRateMultipliers(keras.optimizers.SGD(), {"kernel": 0.5})
        >>> weight = keras.Variable([1.0], name="kernel")
        >>> multiplied.build([weight])
        >>> multiplied.multiplier_of(weight)
        0.5
        """
        self._check_variables_are_known([variable])
        return self._factors[self._get_variable_index(variable)]

    def build(self, variables):
        if self.built:
            return
        if keras.backend.backend() == "torch":
            raise ValueError(
                "LearningRateMultipliers requires TensorFlow or JAX as the Keras backend. "
                "Received: backend='torch'"
            )
        variables = list(variables)
        self._factors = self._factors_of(variables)
        self.inner_optimizer.build(variables)
        super().build(variables)
        self._intercept()

    def apply(self, grads, trainable_variables=None):
        if not self.built and trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            self.build(trainable_variables)
        self.inner_optimizer.apply(grads, trainable_variables)

    def apply_gradients(self, grads_and_vars):
        super().apply_gradients(grads_and_vars)
        return self.iterations

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        return self.inner_optimizer.stateless_apply(optimizer_variables, grads, trainable_variables)

    @property
    def variables(self):
        return self.inner_optimizer.variables

    @property
    def iterations(self):
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self):
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def loss_scale_factor(self):
        return self.inner_optimizer.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor):
        # The base class sets its default before the inner optimizer exists, which keeps its own value.
        inner = getattr(self, "inner_optimizer", None)
        if inner is not None:
            inner.loss_scale_factor = factor

    def scale_loss(self, loss):
        return self.inner_optimizer.scale_loss(loss)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list):
        self.inner_optimizer.finalize_variable_values(var_list)

    def set_weights(self, weights):
        self.inner_optimizer.set_weights(weights)

    def save_own_variables(self, store):
        """Saves nothing: all state belongs to the inner optimizer, which Keras saves as a part of this."""

    def load_own_variables(self, store):
        """Loads nothing, see `save_own_variables`."""

    def get_config(self):
        return {
            "name": self.name,
            "optimizer": keras.saving.serialize_keras_object(self.inner_optimizer),
            # Pairs, since the order matters and not every JSON writer preserves that of a dict.
            "multipliers": [list(pair) for pair in self._patterns],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects)
        return cls(**{**config, "optimizer": optimizer, "multipliers": dict(config["multipliers"])})

    def _factors_of(self, variables):
        factors, deciding = [], set()
        for variable in variables:
            found = next((pair for pair in self._patterns if re.search(pair[0], variable.path)), (None, 1.0))
            deciding.add(found[0])
            factors.append(found[1])
        for pattern, _ in self._patterns:
            if pattern not in deciding:
                paths = [variable.path for variable in variables]
                shown = ", ".join(paths[:3] + ["…"] * (len(paths) > 6) + paths[3:][-3:])
                raise ValueError(
                    "each pattern of `multipliers` must be the first match for the path of some trained "
                    f"variable, among {shown}. Received: {pattern!r}"
                )
        return tuple(factors)

    def _intercept(self):
        """Applies the factors in the inner optimizer's update of a single variable.

        Everything else in a step remains with the inner optimizer: clipping, accumulation, moving averages,
        replicas, and state that some optimizers update once per step.
        """
        inner = self.inner_optimizer
        update, decay = inner.update_step, inner._apply_weight_decay
        # Read once: replicas run this in turn, and must not read a rate that another has set for a group.
        rates = {name: getattr(inner, name, None) for name in _DECAYS}
        rates = {name: rate for name, rate in rates.items() if rate is not None}

        def update_step(gradient, variable, learning_rate):
            factor = self.multiplier_of(variable)
            if factor:
                update(gradient, variable, ops.multiply(learning_rate, factor))

        def apply_weight_decay(variables):
            by_factor = {}
            for variable in variables:
                by_factor.setdefault(self.multiplier_of(variable), []).append(variable)
            try:
                for factor, group in by_factor.items():
                    for name, rate in rates.items():
                        setattr(inner, name, rate * factor)
                    decay(group)
            finally:
                for name, rate in rates.items():
                    setattr(inner, name, rate)

        inner.update_step = update_step
        inner._apply_weight_decay = apply_weight_decay


def _check_optimizer(optimizer):
    around = (LearningRateMultipliers, keras.optimizers.LossScaleOptimizer, keras.optimizers.MultiOptimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer) or isinstance(optimizer, around):
        raise TypeError(
            "`optimizer` must be a keras.optimizers.Optimizer that wraps no other; LossScaleOptimizer must "
            f"wrap LearningRateMultipliers instead. Received: optimizer={optimizer!r}"
        )
    if optimizer.built:
        raise ValueError(
            "`optimizer` must be a new one, not built for a model yet. "
            f"Received: a built optimizer={optimizer.name!r}"
        )


def _checked_patterns(multipliers):
    if not isinstance(multipliers, collections.abc.Mapping):
        raise TypeError(
            f"`multipliers` must be a dict from patterns to factors. Received: multipliers={multipliers!r}"
        )
    if not multipliers:
        raise ValueError("`multipliers` must contain at least one pattern. Received: multipliers={}")
    for pattern, factor in multipliers.items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(
                f"each pattern of `multipliers` must be a regular expression. Received: {pattern!r}"
            ) from error
        check_number(f"multipliers[{pattern!r}]", factor, low=0)
    return tuple((pattern, float(factor)) for pattern, factor in multipliers.items())
