"""All backend-specific code: operations that `keras.ops` does not provide uniformly on every backend."""

import keras
from keras import ops


def extract_patches(images, size):
    """All `size` x `size` windows with stride 1, zero outside the image.

    Args:
        images: `(batch, height, width, channels)`.
        size: side of the window in pixels, odd.

    Returns:
        `(batch, height, width, size * size * channels)`, offsets row by row, channels fastest.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        ones = [1, 1, 1, 1]
        return tf.image.extract_patches(images, [1, size, size, 1], ones, ones, "SAME")
    if keras.backend.backend() == "jax":
        import jax

        # Keras extracts them by a convolution with ones and zeros, which would round the pixels on JAX.
        with jax.default_matmul_precision("highest"):
            return ops.image.extract_patches(images, size, strides=1, padding="same")
    return ops.image.extract_patches(images, size, strides=1, padding="same")


def has_coarse_matmul():
    """Whether float32 matrix products have reduced precision on this device by default (TF32, bfloat16)."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        exact = not tf.config.experimental.tensor_float_32_execution_enabled()
        return not exact and bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() != "cpu"
    return False


def on_cpu():
    """Whether computations run on the CPU, with no accelerator available."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if backend == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_physical_devices("GPU")
    return True


def kernel_budget():
    """The number of kernel matrix entries that a tiled filter holds at a time.

    On a CPU 5 MB fit in the cache, which keeps the time per pixel constant; an accelerator requires more to
    be fully utilized.
    """
    return 1_350_000 if on_cpu() else 170_000_000


def matmul_float32(a, b):
    """`a @ b` in full float32, even on devices that multiply in TF32 or bfloat16 by default.

    The gradient is in full float32 too. Use it for every product that a value depends on.

    Args:
        a: `(..., n, m)`, float32.
        b: `(..., m, k)`, float32.

    Returns:
        `(..., n, k)`.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.numpy.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    return _split_both_ways(a, b) if has_coarse_matmul() else ops.matmul(a, b)


def _split_both_ways(a, b):
    """`split_matmul` with a gradient of the same precision."""
    import tensorflow as tf

    @tf.custom_gradient
    def product(a, b):
        def gradient(upstream):
            to_a = matmul_float32(upstream, tf.linalg.matrix_transpose(b))
            to_b = matmul_float32(tf.linalg.matrix_transpose(a), upstream)
            return _summed_to(to_a, a), _summed_to(to_b, b)

        return split_matmul(a, b), gradient

    return product(tf.convert_to_tensor(a), tf.convert_to_tensor(b))


def _summed_to(gradient, x):
    """The gradient of a factor that was broadcast along leading axes."""
    import tensorflow as tf

    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x)[:-2], s1=tf.shape(gradient)[:-2])
    return tf.reshape(tf.reduce_sum(gradient, axes), tf.shape(x))


def split_matmul(a, b):
    """`a @ b` as three products whose factors each have 11 bits of mantissa, which TF32 preserves.

    Each factor is split into a head that TF32 represents exactly and the remainder; the product of the two
    remainders is below float32's rounding error and is omitted. TensorFlow only: JAX accepts a precision.
    """
    a_head, a_tail = _split_mantissa(a)
    b_head, b_tail = _split_mantissa(b)
    tails = ops.add(ops.matmul(a_head, b_tail), ops.matmul(a_tail, b_head))
    return ops.add(ops.matmul(a_head, b_head), tails)


def _split_mantissa(x):
    import tensorflow as tf

    # Casting through a half type would lose the exponent's range; masking the 13 low bits preserves it. The
    # bitcast has no gradient, so all of it is assigned to the head.
    bits = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), -8192)
    head = x + tf.stop_gradient(tf.bitcast(bits, tf.float32) - x)
    return head, x - head


def key_words():
    """Dtype and number of the integers that form a long key: JAX has no 64-bit integers by default."""
    return ("int32", 2) if keras.backend.backend() == "jax" else ("int64", 1)


def argsort_words(words):
    """Sort order of keys of several words, the first word being the most significant; see `key_words`."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.numpy.lexsort(words[::-1])
    return ops.argsort(words[0])


def take_rows(x, rows):
    """`x[rows]` for row indices known to be valid, which avoids bounds checks."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(x, rows)
    if keras.backend.backend() == "jax":
        return x.at[rows].get(mode="promise_in_bounds")
    return ops.take(x, rows, axis=0)


def with_leading_rows(run, count, table, operands):
    """`run(rows, *operands)` with as few rows as possible, from `count` up to all of `table`'s.

    Avoids work on unused rows of a table. Where shapes must be static, `run` is compiled for a few sizes,
    from which the device selects one.

    Args:
        run: function of a number of rows, an integer or an integer tensor, and of the operands, whose result
            has the same shape for any number of rows.
        count: integer tensor, the number of rows in use.
        table: a tensor with the maximum number of rows.
        operands: tuple of all tensors, or lists of tensors, that `run` uses.

    Returns:
        The result of `run`.
    """
    total = ops.shape(table)[0]
    if isinstance(total, int) and total <= 4096:
        return run(total, *operands)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly():
            return run(int(count), *operands)
        # For a branch, XLA under TensorFlow constant-folds its operands on one core, element by element, for
        # minutes; it does not do so for loops.
        _, count, table, operands = tf.while_loop(
            lambda turn, *_: turn < 1,
            lambda turn, *rest: (turn + 1, *rest),
            (0, count, table, operands),
        )
    parts = (32, 8, 3, 1)

    def prepared(part):
        # The shape is read inside the branch: XLA treats sizes passed in from outside as unknown.
        return lambda: run(-(-ops.shape(table)[0] // part), *operands)

    too_small = [ops.cast(-(-total // part) < count, "int32") for part in parts[:-1]]
    return ops.switch(sum(too_small), [prepared(part) for part in parts])


def sum_over_replicas(values):
    """The sums of scalars over all replicas of a `tf.distribute` strategy, through which gradients flow.

    On JAX a compiled step already operates on the global batch. Keras also calls losses once outside of any
    replica, where the values are returned unchanged.

    Args:
        values: list of scalar tensors.

    Returns:
        List of scalar tensors.
    """
    if keras.backend.backend() != "tensorflow":
        return values
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, values))


def mean_over_replicas(values):
    """The divisor of a loss that is the ratio of two sums over the global batch.

    Keras averages over the images of a replica, then over the replicas, which may receive different numbers
    of images in the last batch: this divisor gives each image equal weight nevertheless.

    Args:
        values: `(batch,)`, the images of this replica. No gradient flows to them.

    Returns:
        Scalar: the sum over all replicas, divided by their number and by this one's number of images.
    """
    values = ops.stop_gradient(values)
    total, replicas = sum_over_replicas([ops.sum(values), ops.ones(())])
    return total / (replicas * ops.sum(ops.ones_like(values)))


def mean_images(batch):
    """The mean number of images per replica: the weight of one batch in a logged mean.

    Keras weights its own loss in this way. A weight that did not depend on the batch would be counted even
    when a dataset of unknown length turns out to be exhausted.

    Args:
        batch: tensor with as many rows as this replica has images.

    Returns:
        Scalar, float32.
    """
    total, replicas = sum_over_replicas([ops.cast(ops.shape(batch)[0], "float32"), ops.ones(())])
    return total / replicas
