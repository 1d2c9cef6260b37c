"""The ways in which a function is computed, on whichever backend Keras runs."""

import contextlib
import functools

import keras
import numpy as np

ON_JAX = keras.backend.backend() == "jax"
# JAX knows no graph that is not compiled.
WAYS = ("eager", "XLA") if ON_JAX else ("eager", "graph", "XLA")
# On JAX each operation that runs by itself is compiled by itself, which takes long where there are many.
QUICK_WAYS = ("XLA",) if ON_JAX else WAYS
# Where another test compares the graph and XLA of TensorFlow with what it does eagerly.
FIRST_WAYS = QUICK_WAYS[:1]
# The quick ways as arguments of `compile`.
QUICK_MODES = [{"jit_compile": True}] + [{"run_eagerly": True}, {"jit_compile": False}] * (not ON_JAX)


def compiled(function, *ways):
    """`function` as it is, as a graph or compiled by XLA: one for each way."""
    if ON_JAX:
        import jax

        made = {"eager": function, "XLA": jax.jit(function)}
    else:
        import tensorflow as tf

        graph = tf.function(function, autograph=False)
        # XLA compiles what was traced already.
        made = {
            "eager": function,
            "graph": graph,
            "XLA": tf.function(graph, jit_compile=True, autograph=False),
        }
    return [made[way] for way in ways]


def value_and_slopes(function, *inputs, ways=("eager",)):
    """What `function` gives for the inputs, one number, and its gradient to each: a pair for each way.

    A gradient that does not reach an input is zeros.
    """
    inputs = [keras.ops.convert_to_tensor(x, "float32") for x in inputs]
    if ON_JAX:
        import jax

        run = jax.value_and_grad(function, argnums=tuple(range(len(inputs))))
    else:
        import tensorflow as tf

        def run(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = function(*inputs)
            return value, tape.gradient(value, inputs, unconnected_gradients="zero")

    for run_so in compiled(run, *ways):
        value, slopes = run_so(*inputs)
        yield float(value), [np.asarray(slope) for slope in slopes]


def fingerprint(array, count=3):
    """The norm of an array and its parts along random directions: some numbers that tell two arrays apart."""
    flat = np.asarray(array, "float64").ravel()
    directions = np.random.default_rng(0).normal(size=(count, flat.size))
    return np.array([np.linalg.norm(flat), *(directions @ flat / np.linalg.norm(directions, axis=1))])


@contextlib.contextmanager
def two_devices():
    """Within it models are made, and with JAX trained, on two devices."""
    if ON_JAX:
        both = keras.distribution.list_devices()
        assert len(both) == 2, both
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=both))
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    else:
        with _mirrored().scope():
            yield


@functools.cache
def _mirrored():
    """One for all, since what the replicas of a second one exchange would be taken for the first one's."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
