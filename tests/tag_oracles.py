"""Slow loops in NumPy, float64: the losses for nets that learn from tags, written from their formulas."""

import numpy as np
import oracles


def neighbor_kernel(guide, kernels, steps=(1.0, 1.0), radius=None, inside=None):
    """k_ij = sum_m w_m exp(-|Drgb|^2 / 2 rgb^2 - |Dxy|^2 / 2 xy^2) over j != i of one image, N x N.

    `kernels` are triples (weight, xy, rgb), each sigma a number or None; `steps` how many pixels of the full
    image two rows, and two columns, of this grid lie apart.
    """
    height, width = guide.shape[:2]
    places = list(np.ndindex(height, width))
    matrix = np.zeros((len(places), len(places)))
    for i, j in np.ndindex(matrix.shape):
        a, b = places[i], places[j]
        if i == j or (inside is not None and not (inside[a] and inside[b])):
            continue
        if radius is not None and max(abs(a[0] - b[0]), abs(a[1] - b[1])) > radius:
            continue
        for weight, xy, rgb in kernels:
            exponent = 0.0
            if xy is not None:
                rows, columns = ((p - q) * step for p, q, step in zip(a, b, steps, strict=True))
                exponent += (rows**2 + columns**2) / (2 * xy**2)
            if rgb is not None:
                difference = guide[a].astype("float64") - guide[b].astype("float64")
                exponent += np.sum(difference**2) / (2 * rgb**2)
            matrix[i, j] += weight * np.exp(-exponent)
    return matrix


def neighbor_distribution(p, kernel, variant="exponentiated", sharpness=1.0, normalized=True):
    """p^neighb of one image, `(pixels, classes)`, NaN for pixels whose kernel is zero."""
    result = np.full(p.shape, np.nan)
    for i in range(len(p)):
        mass = sum(kernel[i])
        if mass == 0:
            continue
        total = np.zeros(p.shape[1])
        for j in range(len(p)):
            total += kernel[i, j] * p[j]
        if variant == "mean":
            result[i] = total / mass
        else:
            result[i] = oracles.softmax(sharpness * (total / mass if normalized else total))
    return result


def neighborhood(p, kernel, inside, received=None, **options):
    """Sum of KL(p_j || p_j^neighb) over the pixels inside that have neighbors; how many are inside.

    `received`: the probabilities that p^neighb is made of, `p` unless gradients stop there.
    """
    neighbors = neighbor_distribution(p if received is None else received, kernel, **options)
    total = 0.0
    for own, other, counts in zip(p, neighbors, inside, strict=True):
        if counts and not np.isnan(other).any():
            total += sum(a * (np.log(a) - np.log(b)) for a, b in zip(own, other, strict=True))
    return total, int(np.sum(inside))


def mean_field_fixed_point(kernel, start, steps=10_000):
    """q with q_i(l) ~ exp(sum_j k_ij q_j(l)), by iteration from `start`."""
    q = start
    for _ in range(steps):
        q, before = oracles.softmax(kernel @ q), q
        if np.abs(q - before).max() < 1e-14:
            return q
    raise RuntimeError("no fixed point found")


def dense_energy(p, gate, kernel):
    """sum_i S_i sum_{j != i} G_ij sum_c P_i(c) (1 - P_j(c)) of one image."""
    total = 0.0
    for i, j in np.ndindex(kernel.shape):
        if i != j:
            total += gate[i] * kernel[i, j] * sum(p[i, c] * (1 - p[j, c]) for c in range(p.shape[1]))
    return total


def balanced_cross_entropy(probabilities, labels):
    """Mean of -log p(y) over labeled background pixels, plus its mean over labeled foreground ones."""
    parts = [[], []]
    for a in np.ndindex(labels.shape):
        if labels[a] < probabilities.shape[-1]:
            parts[int(labels[a] > 0)].append(-np.log(probabilities[a][labels[a]]))
    return sum(np.mean(part) for part in parts if part)
