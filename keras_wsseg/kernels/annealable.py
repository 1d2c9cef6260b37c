"""Hyperparameters of a loss that may change during training without recompilation."""

import keras
from keras import ops

from keras_wsseg.arguments import check_number


class Annealable:
    """Stores named hyperparameters in variables, so that a compiled training step uses each new value.

    `owner.weight` reads the current value; `owner.weight = 0.3` declares a new one, which `get_config` also
    returns. `anneal` changes only the current value: a model saved during a warm-up is still configured with
    the final weight.
    """

    def _declare(self, **values):
        """Creates one variable per name."""
        declared = {name: self._check(name, value) for name, value in values.items()}
        object.__setattr__(self, "_declared", declared)
        # A second copy of the current values: on JAX the variables are empty while the trainer runs.
        object.__setattr__(self, "_current", dict(declared))
        object.__setattr__(
            self,
            "_annealed",
            {
                name: keras.Variable(value, trainable=False, dtype="float32", autocast=False, name=name)
                for name, value in declared.items()
            },
        )

    def _check(self, name, value):
        """Validates the value and returns it as a float."""
        return float(check_number(name, value, low=0))

    def __getattr__(self, name):
        # Called only if ordinary lookup fails, possibly before __init__ has run (copy, pickle).
        current = self.__dict__.get("_current", {})
        if name in current:
            return current[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        if name in self.__dict__.get("_annealed", {}):
            self._declared[name] = self._check(name, value)
            self.anneal(name, value)
        else:
            object.__setattr__(self, name, value)

    def anneal(self, name, value):
        """Sets the current value and leaves the declared one unchanged.

        Args:
            name: one of `annealable`.
            value: finite, not negative.

        Raises:
            ValueError: if the name is not in `annealable`, or the value is out of range.
        """
        if name not in self.annealable:
            raise ValueError(
                f"attribute must be one of {self.annealable} of {type(self).__name__}. Received: {name!r}"
            )
        value = self._check(name, value)
        self._annealed[name].assign(value)
        self._current[name] = value

    @property
    def annealable(self):
        """Names of the attributes that can be annealed."""
        return tuple(self._annealed)

    def declared(self, name):
        """The declared value, regardless of annealing."""
        return self._declared[name]

    def tensor(self, name):
        """The current value as a tensor."""
        return ops.convert_to_tensor(self._annealed[name].value)

    @property
    def annealed_variables(self):
        """The variables that hold the current values."""
        return list(self._annealed.values())
