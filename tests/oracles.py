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
    """Energy Psi and kernel mass of one image: equations 3 to 6 as four nested loops."""
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
    """sum_{b in window(a), b != a} K_ab v_b for one image."""
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


def dense_affinity(features):
    """W_pq = exp(-|f_p - f_q|^2 / 2) for all pixels of one image, W_pp = 1 (Tang et al., section 2)."""
    features = np.asarray(features, "float64")
    return np.array([[np.exp(-0.5 * np.sum((p - q) ** 2)) for q in features] for p in features])


def dense_crf(s, affinity):
    """R = sum_k S_k^T W (1 - S_k), as the double sum over ordered pairs (Tang et al., equation 5)."""
    total = 0.0
    for p, q in np.ndindex(affinity.shape):
        total += affinity[p, q] * sum(s[p, k] * (1 - s[q, k]) for k in range(s.shape[1]))
    return total


def normalized_cut(s, affinity):
    """R = sum_k S_k^T W (1 - S_k) / (d^T S_k), d = W 1 (Tang et al., equation 6)."""
    degree = affinity.sum(axis=1)
    return sum(
        s[:, k] @ affinity @ (1 - s[:, k]) / (degree @ s[:, k]) for k in range(s.shape[1]) if s[:, k].any()
    )


def adm_proposal(s, affinity, labels, coupling, iterations):
    """Mean-field steps X ~ S exp(2 lambda W X), labeled pixels clamped (Tang et al., section 3.3).

    `labels` holds a class id a pixel, or -1; lambda is `coupling` over the mean of W 1.
    """
    factor = 2 * coupling / affinity.sum(axis=1).mean()
    x = s.copy()
    for step in range(iterations + 1):
        if step:
            x = s * np.exp(factor * affinity @ x)
            x /= x.sum(axis=1, keepdims=True)
        for p, label in enumerate(labels):
            if label >= 0:
                x[p] = np.eye(s.shape[1])[label]
    return x


def mean_field(
    logits, features, sigmas_xy, weights, radius, compatibility, iterations, normalization, include_self
):
    """log Q of one image after mean-field steps with N x N matrices (Krahenbuhl & Koltun, equation 4)."""
    height, width, classes = logits.shape
    places = np.array(list(np.ndindex(height, width)), "float64")
    offsets = places[:, None] - places[None]
    neighbors = np.ones(offsets.shape[:2])
    if radius is not None:
        neighbors = (np.abs(offsets).max(axis=-1) <= radius).astype("float64")
    if not include_self:
        np.fill_diagonal(neighbors, 0.0)
    total = np.zeros_like(neighbors)
    for feature, xy, weight in zip(features, sigmas_xy, weights, strict=True):
        kernel = neighbors.copy()
        if xy is not None:
            kernel *= np.exp(-np.sum(offsets**2, axis=-1) / (2 * xy**2))
        if feature is not None:
            colors = feature.reshape(height * width, -1).astype("float64")
            kernel *= np.exp(-0.5 * np.sum((colors[:, None] - colors[None]) ** 2, axis=-1))
        mass = kernel.sum(axis=1)
        if normalization == "row":
            kernel /= mass[:, None]
        elif normalization == "symmetric":
            kernel /= np.sqrt(np.outer(mass, mass))
        total += weight * kernel
    mu = 1.0 - np.eye(classes) if compatibility is None else np.asarray(compatibility, "float64")
    unary = -np.log(softmax(np.asarray(logits, "float64").reshape(-1, classes)))
    q = np.exp(-unary)
    for _ in range(iterations):
        q = softmax(-unary - (total @ q) @ mu.T)
    return np.log(q).reshape(logits.shape)


def sparse_crf(x, image, sigma_rgb, inside=None):
    """Mean over vertical pairs, and over horizontal ones, of w_pq |x_p - x_q|, the two averaged (Veksler).

    A pair takes part where both of its pixels are inside; without any pair of a direction the other remains.
    """
    height, width = x.shape
    means = []
    for down, right in ((1, 0), (0, 1)):
        costs = []
        for row, column in np.ndindex(height - down, width - right):
            p, q = (row, column), (row + down, column + right)
            if inside is None or (inside[p] and inside[q]):
                difference = image[p].astype("float64") - image[q].astype("float64")
                costs.append(np.exp(-np.sum(difference**2) / (2 * sigma_rgb**2)) * abs(x[p] - x[q]))
        if costs:
            means.append(np.mean(costs))
    return np.mean(means) if means else 0.0


def mean_where(x, chosen):
    """Mean of x over the chosen pixels, or None without any."""
    values = [x[p] for p in np.ndindex(x.shape) if chosen[p]]
    return np.mean(values) if values else None


def volumetric(fractions, target=0.5, smallest=0.15, factor=5.0, reduce=sum):
    """(mean_i x_i - target)^2 + factor sum_i [x_i < smallest] (x_i - smallest)^2, or `reduce` (Veksler)."""
    small = [(fraction - smallest) ** 2 if fraction < smallest else 0.0 for fraction in fractions]
    return (np.mean(fractions) - target) ** 2 + factor * reduce(small)


def positional(x, border=3, center=3, inside=None):
    """(mean over the frame)^2 + (mean over the middle square - 1)^2 of one image (Veksler)."""
    height, width = x.shape
    frame, middle = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    above, left = (height - center) // 2, (width - center) // 2
    for row, column in np.ndindex(x.shape):
        frame[row, column] = min(row, column, height - 1 - row, width - 1 - column) < border
        middle[row, column] = above <= row < above + center and left <= column < left + center
    if inside is not None:
        frame, middle = frame & inside, middle & inside
    outer, inner = mean_where(x, frame), mean_where(x, middle)
    return (0.0 if outer is None else outer**2) + (0.0 if inner is None else (inner - 1) ** 2)
