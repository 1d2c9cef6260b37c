"""Numbers of a loss that may change while it trains, without a new compilation."""

import keras
from keras import ops

from keras_wsseg.arguments import check_number


class Annealable:
    """Keeps named numbers in variables, so that a compiled training step sees each new value.

    `owner.weight` reads the value of now; `owner.weight = 0.3` declares a new one, which `get_config` returns
    as well. `anneal` changes the value of now only: a training that is saved half-way through a warm-up still
    describes the weight that it warms up to.
    """

    def _declare(self, **values):
        """Creates one variable a name."""
        declared = {name: self._check(name, value) for name, value in values.items()}
        object.__setattr__(self, "_declared", declared)
        # The values of now once more: on JAX the variables are empty while their trainer runs.
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
        """Returns the value as a float, or says what is wrong with it."""
        return float(check_number(name, value, low=0))

    def __getattr__(self, name):
        # Reached only where ordinary lookup fails, also before __init__ has run (copy, pickle).
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
        """Sets the value of now and leaves the declared one alone.

        Args:
            name: one of `annealable`.
            value: finite, not negative.

        Raises:
            ValueError: if there is no such number, or the value is out of range.
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
        """Names of the numbers that can be annealed."""
        return tuple(self._annealed)

    def declared(self, name):
        """The value that was declared, whatever a callback has made of it since."""
        return self._declared[name]

    def tensor(self, name):
        """The value of now as it enters a computation."""
        return ops.convert_to_tensor(self._annealed[name].value)

    @property
    def annealed_variables(self):
        """The variables behind the numbers."""
        return list(self._annealed.values())
