"""Class weights with which every class that is present gets its share of an image."""

import numpy as np
from keras import ops

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.ops.backend import matmul_float32
from keras_wsseg.ops.prior_search import best, mean_labels, search_prior

# Images of more classes than this are searched separately, over all columns, so that the many classes of a
# data set cost nothing in images that contain few of them.
MOST_BY_ENUMERATION = 6


def adaptive_prior(probabilities, tags, min_fractions=(0.4, 0.2), mask=None, grid=99):
    r"""The class weights of an image with which every class that is present gets a share of the pixels.

    They turn tags into labels: the prediction of a network that is untrained, or predicts background
    everywhere, is corrected just as far as the tags of the image require. Per image, `beta` solves

    `min sum_l beta_l log beta_l` subject to `mean_j q_j(l) >= c_l`, `sum_l beta_l = 1`

    over the classes `l` that are present, with `q` from `estimated_labels` and `c` the minimum shares; if the
    shares of an image sum to more than 1, they are scaled down to sum to 1. With one object, the points of a
    grid are compared: among those that give both classes their share, the one of smallest
    `sum beta log beta`; if there are none, the one with the smallest shortfall
    `sum_l max(c_l - mean_j q_j(l), 0)`. With several objects, the same is found by Newton steps from several
    starts, on all images at once. No `beta` of a present class is below the smaller of the smallest value of
    the grid, `1 / (grid + 1)`, and half of `1 / number of present classes`, so that `beta` stays bounded for
    a network that is certain everywhere.

    Args:
        probabilities: `(batch, pixels, classes)`, not negative.
        tags: `(batch, classes)`, 1 for the classes that are present, else 0. The first class, the background,
            always is.
        min_fractions: the minimum shares of the background and of each object, from 0 to 1.
        mask: `(batch, pixels)`, 1 for the pixels inside the image, else 0. None: all are inside.
        grid: number of points between 0 and 1 for images with one object.

    Returns:
        `(batch, classes)`, float32: `beta`, 0 for absent classes. No gradient flows through it.

    Raises:
        ValueError: if an argument is out of range, or the shapes do not match.

    Example:
        >>> import numpy as np
        >>> nearly_all_background = np.tile(np.array([0.9, 0.05, 0.05], "float32"), (1, 16, 1))
        >>> beta = adaptive_prior(nearly_all_background, np.array([[1, 0, 1]]))
        >>> [round(float(b), 2) for b in beta[0]]
        [0.18, 0.0, 0.82]

    Source: Pandey & Dukkipati 2017, arXiv:1705.01262, for the problem, and the grid for one object; the
    search for several objects and the bound on `beta` are specific to this library.
    """
    check_prior(min_fractions, grid)
    p, tags, weights = _prepared(probabilities, tags, mask)
    background, each = (float(fraction) for fraction in min_fractions)
    target = tags * ops.one_hot(0, tags.shape[-1], dtype="float32") * (background - each) + tags * each
    target = target / ops.maximum(ops.sum(target, axis=-1, keepdims=True), 1.0)
    count = ops.sum(tags, axis=-1, keepdims=True)
    beta = ops.where(count == 2, _on_grid(p, tags, target, weights, grid), tags / count)
    if tags.shape[-1] > 2:
        beta = ops.where(count > 2, _for_several(p, tags, target, weights, grid), beta)
    return ops.stop_gradient(beta)


def estimated_labels(probabilities, tags, beta):
    r"""Soft pixel labels: a network's probabilities reweighted by the class weights.

    `q_j(l) = p_j(l) beta_l / sum_l' p_j(l') beta_l'` over the classes that are present, 0 for all others.

    Args:
        probabilities: `(batch, pixels, classes)`, not negative. If those of all present classes are 0 at a
            pixel, they are assumed equally likely.
        tags: `(batch, classes)`, as for `adaptive_prior`.
        beta: `(batch, classes)`, from `adaptive_prior`.

    Returns:
        `(batch, pixels, classes)`, float32, which sum to 1 at each pixel.

    Raises:
        ValueError: if the shapes do not match.

    Example:
        >>> import numpy as np
        >>> p = np.array([[[0.8, 0.1, 0.1], [0.5, 0.2, 0.3]]])
        >>> q = estimated_labels(p, np.array([[1, 0, 1]]), np.array([[0.2, 0.0, 0.8]]))
        >>> [[round(float(x), 2) for x in pixel] for pixel in q[0]]
        [[0.67, 0.0, 0.33], [0.29, 0.0, 0.71]]

    Source: Pandey & Dukkipati 2017, arXiv:1705.01262.
    """
    _check_shapes("probabilities", probabilities, tags, None)
    p = _among_tags(ops.cast(probabilities, "float32"), _with_background(tags))
    q = p * ops.cast(beta, "float32")[:, None]
    return q / ops.sum(q, axis=-1, keepdims=True)


def check_prior(min_fractions, grid):
    """Validates the settings that do not depend on the images."""
    if not isinstance(min_fractions, (tuple, list)) or len(min_fractions) != 2:
        raise ValueError(
            "`min_fractions` must be two numbers from 0 to 1, for the background and for each object. "
            f"Received: min_fractions={min_fractions!r}"
        )
    for fraction in min_fractions:
        check_number("min_fractions", fraction, low=0, high=1)
    check_integer("grid", grid, low=1)


def logits_among_tags(logits, tags):
    """Probabilities `(batch, pixels, classes)` from a softmax over the present classes only.

    They give the same labels as the softmax over all classes, and remain valid where that is 0 for all
    present classes.
    """
    _check_shapes("logits", logits, tags, None)
    here = _with_background(tags)[:, None] > 0
    return ops.softmax(ops.where(here, ops.cast(logits, "float32"), -1e30), axis=-1)


def _with_background(tags):
    tags = ops.cast(ops.cast(tags, "float32") > 0.5, "float32")
    return ops.maximum(tags, ops.one_hot(0, tags.shape[-1], dtype="float32"))


def _among_tags(p, tags):
    # The addend matters only where all present classes have probability 0.
    p = (p + 1e-30) * tags[:, None]
    return p / ops.sum(p, axis=-1, keepdims=True)


def _check_shapes(what, pixels, tags, mask):
    if len(pixels.shape) != 3 or pixels.shape[-1] < 2:
        raise ValueError(
            f"{what} must be (batch, pixels, classes) with at least two classes. "
            f"Received: shape {tuple(pixels.shape)}"
        )
    expected = [("tags", tags, (pixels.shape[0], pixels.shape[2]))]
    if mask is not None:
        expected.append(("mask", mask, tuple(pixels.shape[:2])))
    for name, value, shape in expected:
        pairs = zip(tuple(value.shape), shape, strict=False)
        if len(value.shape) != 2 or any(a is not None and b is not None and a != b for a, b in pairs):
            raise ValueError(
                f"{name} must have shape {shape} for {what} of shape {tuple(pixels.shape)}. "
                f"Received: shape {tuple(value.shape)}"
            )


def _prepared(probabilities, tags, mask):
    """Probabilities of the present classes, tags, and pixel weights that sum to 1, all float32."""
    _check_shapes("probabilities", probabilities, tags, mask)
    tags = ops.stop_gradient(_with_background(tags))
    p = ops.stop_gradient(_among_tags(ops.cast(probabilities, "float32"), tags))
    weights = ops.ones_like(p[..., 0]) if mask is None else ops.cast(mask, "float32")
    weights = ops.divide_no_nan(weights, ops.sum(weights, axis=1, keepdims=True))
    return p, tags, ops.stop_gradient(weights)


def _on_grid(p, tags, target, weights, grid):
    """`beta` of images with one object."""
    # One column for all objects: the relevant images have only one.
    split = np.zeros((p.shape[-1], 2), "float32")
    split[0, 0] = split[1:, 1] = 1
    pair = matmul_float32(p, ops.convert_to_tensor(split))
    aims = matmul_float32(target, ops.convert_to_tensor(split))
    points = np.arange(1, grid + 1) / (grid + 1)
    points = ops.convert_to_tensor(np.stack([1 - points, points], axis=-1).astype("float32"))
    beta = points[None] * ops.ones_like(aims)[:, None]
    chosen = best(aims[:, None], mean_labels(pair, weights, beta)[0], beta)
    return tags * matmul_float32(chosen, ops.convert_to_tensor(split.T))


def _for_several(p, tags, target, weights, grid):
    """`beta` of images with at least two objects; skipped if a batch has none."""
    classes = p.shape[-1]
    count = ops.sum(tags, axis=-1, keepdims=True)
    most = ops.max(count)

    def of_few():
        # The columns of the present classes come first, in order.
        numbers = ops.arange(classes, dtype="float32")
        order = ops.argsort(numbers + classes * (1.0 - tags), axis=-1)[:, :MOST_BY_ENUMERATION]
        chosen = ops.one_hot(order, classes, dtype="float32")
        columns = ops.transpose(chosen, (0, 2, 1))
        few_tags, few_target = (matmul_float32(x[:, None], columns)[:, 0] for x in (tags, target))
        # If there are more classes than columns, the result is not used, but must be finite.
        few = _among_tags(matmul_float32(p, columns), few_tags)
        beta = search_prior(few, few_tags, few_target, weights, grid)
        return matmul_float32(beta[:, None], chosen)[:, 0]

    def of_all():
        return search_prior(p, tags, target, weights, grid)

    if classes <= MOST_BY_ENUMERATION:
        return _compute_if(most > 2, of_all, tags)
    few = _compute_if(ops.any(ops.logical_and(count > 2, count <= MOST_BY_ENUMERATION)), of_few, tags)
    return ops.where(count > MOST_BY_ENUMERATION, _compute_if(most > MOST_BY_ENUMERATION, of_all, tags), few)


def _compute_if(needed, compute, otherwise):
    """`compute()` if needed, else `otherwise`."""
    return ops.cond(needed, compute, lambda: otherwise)
