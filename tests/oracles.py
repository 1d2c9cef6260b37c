"""Slow loops in NumPy, float64, written from the equations of the papers and from nothing of ours."""

import numpy as np


def kernel(features, weights, a, b):
    """K_ab = sum_p w_p exp(-|f_a - f_b|^2 / 2), features divided by sigma (Obukhov et al., equation 5)."""
    total = 0.0
    for feature, weight in zip(features, weights, strict=True):
        difference = feature[a].astype("float64") - feature[b].astype("float64")
        total += weight * np.exp(-0.5 * np.sum(difference**2))
    return total


def window(a, radius, height, width):
    """The other pixels of the (2r + 1)^2 window around pixel a that lie in the image."""
    for y in range(max(0, a[0] - radius), min(height, a[0] + radius + 1)):
        for x in range(max(0, a[1] - radius), min(width, a[1] + radius + 1)):
            if (y, x) != a:
                yield (y, x)


def gated_crf(y, features, radius, weights, source, destination, compatibility=None):
    """Energy Psi and kernel mass of one picture: equations 3 to 6 as four nested loops."""
    height, width, classes = y.shape
    mu = 1.0 - np.eye(classes) if compatibility is None else np.asarray(compatibility, "float64")
    y = y.astype("float64")
    energy = mass = 0.0
    for a in np.ndindex(height, width):
        for b in window(a, radius, height, width):
            gk = destination[a] * source[b] * kernel(features, weights, a, b)
            mass += gk
            energy += gk * (y[a] @ mu @ y[b])
    return energy, mass


def gaussian_filter(values, features, radius, weights):
    """sum_{b in window(a), b != a} K_ab v_b for one picture."""
    height, width = values.shape[:2]
    out = np.zeros(values.shape, "float64")
    for a in np.ndindex(height, width):
        for b in window(a, radius, height, width):
            out[a] += kernel(features, weights, a, b) * values[b]
    return out


def partial_cross_entropy(probabilities, labels, class_weights=None):
    """Sum of w(y_a) (-log p_a(y_a)) over the annotated pixels of a batch, and sum of w(y_a) (equation 2)."""
    total = count = 0.0
    for a in np.ndindex(labels.shape):
        if labels[a] < probabilities.shape[-1]:
            weight = 1.0 if class_weights is None else class_weights[labels[a]]
            total -= weight * np.log(probabilities[a][labels[a]])
            count += weight
    return total, count


def softmax(logits):
    """Softmax over the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numeric_gradient(function, x, step=1e-5):
    """Central differences of a scalar function of a float64 array."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient
