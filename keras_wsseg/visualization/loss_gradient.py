"""The gradient of a loss with respect to the prediction, overlaid on the image."""

import numpy as np

from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.labels import UNLABELED
from keras_wsseg.imaging.overlay import checked_labels
from keras_wsseg.imaging.rgb import checked_image, rgb_image, unit_values

SHOWN = ("gradient", "change")

_MORE, _LESS = (235, 40, 45), (255, 214, 10)
_BRIGHTNESS = 0.55
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_TOLERANCE = 1e-3
# Rounding leaves residues where a loss has no gradient; they must not affect the color scale.
_NEGLIGIBLE = 1e-6


def prediction_gradient(loss, y_true, y_pred):
    """∂R/∂S, the gradient of a loss with respect to the probabilities, not the logits.

    Training follows the gradient with respect to the logits, S_k (∂R/∂S_k − Σ_j S_j ∂R/∂S_j), which vanishes
    wherever a prediction is certain, however wrong. To show the effect of the loss itself, the gradient is
    computed here by a copy that takes probabilities, with each S_k a free variable. With a softmax, adding a
    constant to ∂R/∂S_k for all classes k of a pixel has no effect: only differences between the classes of a
    pixel are meaningful. Below 1e-7, where a cross entropy clips probabilities, the gradient is 0.

    Args:
        loss: a loss of this library or a sum of them, whatever its `from_logits`. The copy uses the declared
            hyperparameters, not their current values during annealing.
        y_true: any input of the loss: `targets.pack(labels, guide)`, or plain labels
            `(batch, height, width)`.
        y_pred: probabilities `(batch, h, w, classes)` that sum to 1.

    Returns:
        float32 `(batch, h, w, classes)`: the gradient of the mean over the batch.

    Raises:
        TypeError: if `loss` is not a `keras.losses.Loss`.
        ValueError: if `y_pred` is not probabilities, or the loss has no `from_logits`.

    Example:

    >>> from keras_wsseg import losses
    >>> y_pred = np.full((1, 1, 2, 2), 0.5, "float32")
    >>> found = prediction_gradient(losses.PartialCrossEntropy(), np.array([[[1, 255]]]), y_pred)
    >>> (found.round(4) + 0.0).tolist()  # without the signs of zeros
    [[[[0.0, -2.0], [0.0, 0.0]]]]
    """
    import keras
    from keras import ops

    if not isinstance(loss, keras.losses.Loss):
        raise TypeError(f"`loss` must be a keras.losses.Loss. Received: loss={loss!r}")
    if np.ndim(y_pred) != 4:
        raise ValueError(
            f"`y_pred` must have shape (batch, height, width, classes). Received: shape={np.shape(y_pred)}"
        )
    y_pred = _checked_probabilities(ops.convert_to_numpy(y_pred), "y_pred")
    y_true = ops.convert_to_tensor(y_true, "float32")
    on_probabilities = _taking_probabilities(loss)
    return _gradient(lambda s: ops.mean(on_probabilities.call(y_true, s)), y_pred)


def loss_gradient(
    loss,
    image,
    labels,
    prediction,
    class_id=None,
    from_logits=False,
    value_range=(0, 255),
    show="gradient",
    percentile=99.0,
    limit=None,
):
    """∂R/∂S_k overlaid on the image: red where the loss favors more of class k, yellow where less.

    It shows the effect of a regularizer and its sigmas on a prediction before training: with good settings it
    stops at object edges, and reduces the class between the boundary of a mask that is too large and the edge
    of the object, as far as the kernel reaches.

    Negative gradients are red and positive ones yellow, on the dimmed gray image. Only differences between
    the classes of a pixel are meaningful (see `prediction_gradient`), so the displayed values are

    - `show="gradient"`: `g_k = ∂R/∂S_k − mean_j ∂R/∂S_j`, whether or not the prediction already agrees;
    - `show="change"`: the remaining change, `d_k = ∂R/∂S_k − min_{j≠k} ∂R/∂S_j`, times the probability that
      class k can still gain, `1 − S_k`, where `d_k < 0`, and times that which it can lose, `S_k`, where
      `d_k > 0`. Pixels that already agree with the loss are gray.

    Args:
        loss: a loss of this library or a sum of them.
        image: `(height, width)`, `(height, width, 1)` or `(height, width, 3)`, within `value_range`.
        labels: integers `(height, width)`: classes, 255 unlabeled, 254 outside the image; None: all 255.
        prediction: `(h, w, classes)`, on the image's grid or, as is common for logits, a coarser one, on
            which the loss is then computed and whose pixels appear as blocks.
        class_id: k; None: all classes.
        from_logits: whether `prediction` holds logits; probabilities otherwise.
        value_range: the values of black and white.
        show: `"gradient"` or `"change"`.
        percentile: colors saturate at this percentile of the nonzero magnitudes, over all classes of the
            image, so that they are comparable; above 0, at most 100.
        limit: colors saturate at this gradient instead, to compare images or losses.

    Returns:
        uint8 `(height, width, 3)`; `(classes, height, width, 3)` if `class_id` is None.

    Raises:
        TypeError: if `loss` is not a loss, or `labels` is not of integers.
        ValueError: if sizes do not match, a value is out of range, there is no such class, or `show` is
            unknown.

    Example:

    >>> from keras_wsseg import losses
    >>> image, labels = np.zeros((1, 2), np.uint8), np.array([[1, 255]])
    >>> undecided = np.full((1, 2, 2), 0.5)
    >>> loss_gradient(losses.PartialCrossEntropy(), image, labels, undecided, class_id=1).tolist()
    [[[235, 40, 45], [0, 0, 0]]]

    Source: Tang et al. 2018, arXiv:1803.09569, figure 1; `show="change"` is not theirs.
    """
    values, limit = scaled_gradient(
        loss, image, labels, prediction, from_logits, value_range, show, percentile, limit
    )
    classes = values.shape[-1]
    if class_id is not None and class_id not in range(classes):
        raise ValueError(f"`class_id` must be 0 to {classes - 1}. Received: class_id={class_id!r}")
    if class_id is None:
        return np.stack([paint_gradient(image, values[..., k], limit, value_range) for k in range(classes)])
    return paint_gradient(image, values[..., class_id], limit, value_range)


def scaled_gradient(loss, image, labels, prediction, from_logits, value_range, show, percentile, limit):
    """The values displayed by `loss_gradient`, and the gradient at which colors saturate.

    Returns:
        `(values, limit)`: float32 `(h, w, classes)` on the prediction's grid, and a float above 0.
    """
    if show not in SHOWN:
        raise ValueError(f"`show` must be one of {SHOWN}. Received: show={show!r}")
    check_number("percentile", percentile, above=0, high=100)
    if limit is not None:
        check_number("limit", limit, above=0)
    probabilities = as_probabilities(prediction, from_logits)
    # Imported here, so that other visualizations do not load Keras.
    from keras_wsseg import targets

    guide = unit_values(checked_image(image), value_range)
    if labels is None:
        labels = np.full(guide.shape[:2], UNLABELED)
    labels = checked_labels(labels, guide.shape[:2])
    y_true = targets.pack(labels[None].astype(np.float32), guide[None])
    values = prediction_gradient(loss, y_true, probabilities[None])[0]
    if show == "gradient":
        values = values - values.mean(axis=-1, keepdims=True)
    else:
        values = values - _least_of_the_others(values)
        values *= np.where(values < 0, 1 - probabilities, probabilities)
    return values, float(_percentile(values, percentile) if limit is None else limit)


def paint_gradient(image, values, limit, value_range=(0, 255)):
    """Values `(h, w)` over the dimmed gray image: full red at −`limit`, full yellow at `limit`."""
    gray = rgb_image(image, value_range).astype(np.float32) @ _LUMA
    values = enlarged(values, gray.shape) / limit
    strength = np.minimum(np.abs(values), 1.0)[..., None]
    color = np.where(values[..., None] < 0, _MORE, _LESS)
    dimmed = _BRIGHTNESS * gray[..., None]
    return np.rint(dimmed + strength * (color - dimmed)).astype(np.uint8)


def enlarged(values, size):
    """`(h, w)` values enlarged to `size` in blocks, so that their original grid stays visible."""
    places = [
        ((np.arange(wanted) + 0.5) * given / wanted).astype(int)
        for wanted, given in zip(size[:2], values.shape, strict=True)
    ]
    return values[np.ix_(*places)]


def as_probabilities(prediction, from_logits):
    """`prediction` as float32 probabilities `(h, w, classes)`."""
    array = np.asarray(prediction, dtype=np.float32)
    if array.ndim != 3 or array.shape[-1] < 2 or not array.size:
        raise ValueError(
            "`prediction` must have shape (height, width, classes) with at least two classes. "
            f"Received: shape={array.shape}"
        )
    if not from_logits:
        return _checked_probabilities(array, "prediction")
    powers = np.exp(array - array.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _checked_probabilities(values, name):
    values = np.asarray(values, np.float32)
    # Negated so that NaN fails the comparisons too.
    inside = values.min(initial=0) >= -_TOLERANCE and values.max(initial=0) <= 1 + _TOLERANCE
    sums = values.sum(axis=-1)
    if not inside or not np.all(np.abs(sums - 1) <= _TOLERANCE):
        raise ValueError(
            f"`{name}` must be class probabilities that sum to 1, such as the softmax of logits. "
            f"Received: values from {values.min():g} to {values.max():g}, sums from {sums.min():g} to "
            f"{sums.max():g}"
        )
    return values


def _taking_probabilities(loss):
    """A copy of a loss that takes probabilities."""
    from keras_wsseg.losses.loss_sum import LossSum

    if isinstance(loss, LossSum):
        return LossSum([_taking_probabilities(term) for term in loss.terms], loss.factors)
    config = loss.get_config()
    if "from_logits" not in config:
        raise ValueError(f"`loss` must have from_logits, to accept probabilities. Received: loss={loss!r}")
    return type(loss).from_config({**config, "from_logits": False})


def _gradient(function, values):
    """The gradient of a scalar function of a tensor, as a NumPy array."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        variable = tf.convert_to_tensor(values)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            result = function(variable)
        found = tape.gradient(result, variable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return np.asarray(found, np.float32)
    if backend == "jax":
        import jax

        # Compiled as a whole: compiling the operations one by one would take longer than running them.
        return np.asarray(jax.jit(jax.grad(function))(jax.numpy.asarray(values)), np.float32)
    raise RuntimeError(
        f"The gradient of a loss requires Keras on TensorFlow or JAX. Received: KERAS_BACKEND={backend}"
    )


def _percentile(values, percentile):
    sizes = np.abs(values)
    sizes = sizes[sizes > _NEGLIGIBLE * sizes.max(initial=0)]
    return np.percentile(sizes, percentile) if sizes.size else 1.0


def _least_of_the_others(values):
    """For each entry of the last axis, the minimum of the other entries."""
    two = np.sort(values, axis=-1)[..., :2]
    first = np.argmin(values, axis=-1, keepdims=True)
    return np.where(np.arange(values.shape[-1]) == first, two[..., 1:], two[..., :1])
