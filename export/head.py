"""From a segmenter's logits to one logit for each class and pixel, the same in Keras and in the graph."""

from keras import ops

from keras_wsseg.ops.resize import resize_bilinear


def class_logits(logits, size):
    """Logits in float32, one channel for each class, at the size of the picture.

    A single channel is the log-odds of the second of two classes: a softmax over `(0, z)` is
    `(1 - sigmoid(z), sigmoid(z))`.

    Args:
        logits: `(batch, height, width, classes)`.
        size: `(height, width)` to bring them to, or None to leave them as they are.

    Returns:
        `(batch, *size, max(classes, 2))` float32.
    """
    logits = ops.cast(logits, "float32")
    if size is not None:
        logits = resize_bilinear(logits, size)
    if logits.shape[-1] == 1:
        logits = ops.concatenate([ops.zeros_like(logits), logits], axis=-1)
    return logits
