"""The one file that knows which backend runs: what `keras.ops` cannot say the same way everywhere."""

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

        # Keras cuts them by a convolution with ones and zeros, which would round the pixels there.
        with jax.default_matmul_precision("highest"):
            return ops.image.extract_patches(images, size, strides=1, padding="same")
    return ops.image.extract_patches(images, size, strides=1, padding="same")


def has_coarse_matmul():
    """Whether float32 matrix products lose digits on this device by default (TF32, bfloat16)."""
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
    """Whether the computations run on the processor, no accelerator being there."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if backend == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_physical_devices("GPU")
    return True


def kernel_budget():
    """How many numbers of a kernel matrix a tiled filter holds at a time.

    On a CPU 5 MB stay in the cache, which is what keeps the time per pixel flat; an accelerator wants all
    its units busy.
    """
    return 1_350_000 if on_cpu() else 170_000_000


def matmul_float32(a, b):
    """`a @ b` in full float32, also on devices whose default multiplies in TF32 or bfloat16.

    The gradient is full float32 too. Every product that a value depends on goes through here.

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
    """`split_matmul` whose gradient is split as well: what comes back is as long as what went in."""
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
    """The gradient of a factor that was repeated along leading axes."""
    import tensorflow as tf

    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x)[:-2], s1=tf.shape(gradient)[:-2])
    return tf.reshape(tf.reduce_sum(gradient, axes), tf.shape(x))


def split_matmul(a, b):
    """`a @ b` out of three products whose factors each hold in 11 bits of mantissa, which TF32 keeps whole.

    Each factor is split into a head that TF32 represents exactly and the remainder; the product of the two
    remainders lies below float32's own rounding and is left out. TensorFlow only: JAX takes a precision.
    """
    a_head, a_tail = _split_mantissa(a)
    b_head, b_tail = _split_mantissa(b)
    tails = ops.add(ops.matmul(a_head, b_tail), ops.matmul(a_tail, b_head))
    return ops.add(ops.matmul(a_head, b_head), tails)


def _split_mantissa(x):
    import tensorflow as tf

    # Casting through a half type would lose the exponent's range; masking the 13 low bits keeps it. The cast
    # of bits carries no gradient, so the head takes all of it.
    bits = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), -8192)
    head = x + tf.stop_gradient(tf.bitcast(bits, tf.float32) - x)
    return head, x - head


def key_words():
    """Type and number of the whole numbers that make up a long key: JAX has none of 64 bits by default."""
    return ("int32", 2) if keras.backend.backend() == "jax" else ("int64", 1)


def argsort_words(words):
    """Order of keys of several words, the first word counting most; see `key_words`."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.numpy.lexsort(words[::-1])
    return ops.argsort(words[0])


def take_rows(x, rows):
    """`x[rows]` for row numbers that are known to be there, which spares checking them for negative ones."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(x, rows)
    if keras.backend.backend() == "jax":
        return x.at[rows].get(mode="promise_in_bounds")
    return ops.take(x, rows, axis=0)


def with_leading_rows(run, count, table, operands):
    """`run(rows, *operands)` with a number of rows from `count` up to all of `table`'s, as few as can be.

    Spares the work on rows of a table that stay empty. Where shapes must be known before the count is,
    `run` is compiled for a few sizes of which the device picks one.

    Args:
        run: function of a number of rows, an integer or an integer tensor, and of the operands, whose result
            has the same shape whatever the rows.
        count: integer tensor, how many rows are in use.
        table: a tensor with as many rows as there could be.
        operands: tuple of all tensors that `run` works on, lists of them among it.

    Returns:
        What `run` returns.
    """
    total = ops.shape(table)[0]
    if isinstance(total, int) and total <= 4096:
        return run(total, *operands)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly():
            return run(int(count), *operands)
        # To prepare a branch, XLA under TensorFlow works out on one core, element by element, what can be
        # known of its operands at compile time, for minutes; it does not look into loops.
        _, count, table, operands = tf.while_loop(
            lambda turn, *_: turn < 1,
            lambda turn, *rest: (turn + 1, *rest),
            (0, count, table, operands),
        )
    parts = (32, 8, 3, 1)

    def prepared(part):
        # The shape is asked for inside the branch: XLA takes sizes handed in from outside for unknown.
        return lambda: run(-(-ops.shape(table)[0] // part), *operands)

    too_small = [ops.cast(-(-total // part) < count, "int32") for part in parts[:-1]]
    return ops.switch(sum(too_small), [prepared(part) for part in parts])


def sum_over_replicas(values):
    """The sums of scalars over all replicas of a `tf.distribute` strategy, through which gradients flow.

    On JAX a compiled step sees the global batch anyway. Keras also calls losses once outside of any replica,
    where there is nothing to add.

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
    """What a loss divides by where its value is the ratio of two sums over the global batch.

    Keras takes the mean over the images of a replica, then over the replicas, of which the last batch may
    give one more images than another: each image shall count the same for all that.

    Args:
        values: `(batch,)`, the images of this replica. No gradient flows to them.

    Returns:
        Scalar: the sum over all replicas, divided by their number and by this one's number of images.
    """
    values = ops.stop_gradient(values)
    total, replicas = sum_over_replicas([ops.sum(values), ops.ones(())])
    return total / (replicas * ops.sum(ops.ones_like(values)))


def mean_images(batch):
    """How many images a replica has, on the mean over all: what one batch of a logged mean weighs.

    Keras weighs its own loss so. A weight without the batch in it would be counted even where a dataset of
    unknown length turns out to be at its end.

    Args:
        batch: tensor with as many rows as this replica has images.

    Returns:
        Scalar, float32.
    """
    total, replicas = sum_over_replicas([ops.cast(ops.shape(batch)[0], "float32"), ops.ones(())])
    return total / replicas
