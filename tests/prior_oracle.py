"""The adaptive prior in NumPy and SciPy, float64, written from its definition and from nothing of ours."""

import numpy as np
from scipy.optimize import minimize

# Shares that are missed by less count as reached, as in the documentation.
TOLERANCE = 1e-5


def aims(count, background=0.4, each=0.2):
    """c of the background and of the objects, scaled down where they sum to more than 1."""
    c = np.array([background] + [each] * (count - 1))
    return c / max(c.sum(), 1.0)


def labels(p, beta):
    """q_j(l) = p_j(l) beta_l / sum_l' p_j(l') beta_l'."""
    q = np.zeros(p.shape)
    for j, k in np.ndindex(p.shape):
        q[j, k] = p[j, k] * beta[k] / sum(a * b for a, b in zip(p[j], beta, strict=True))
    return q


def means(p, beta, weights=None):
    """mean_j q_j(l), by matrix products."""
    weights = np.full(len(p), 1 / len(p)) if weights is None else weights / weights.sum()
    return beta * ((weights / (p @ beta)) @ p)


def shortfall(p, c, beta, weights=None):
    """sum_l max(c_l - mean_j q_j(l), 0)."""
    return np.maximum(c - means(p, beta, weights), 0).sum()


def objective(beta):
    """sum beta log beta."""
    return float((beta * np.log(beta)).sum())


def on_grid(p, c, grid=99, weights=None):
    """beta of an image with one object: of the points that miss least, the one of least objective."""
    points = [np.array([1 - i / (grid + 1), i / (grid + 1)]) for i in range(1, grid + 1)]
    missed = [shortfall(p, c, beta, weights) for beta in points]
    reached = [beta for beta, short in zip(points, missed, strict=True) if short <= min(missed) + TOLERANCE]
    return min(reached, key=objective)


def by_scipy(p, c, least=0.01, starts=12, seed=0):
    """The best that SLSQP finds from several starts: `(shortfall, objective)`, the shares reached if it can.

    From each start first the shortfall is lowered, by slack variables, and from there and from the start the
    objective under the constraints.
    """
    n, rng = p.shape[1], np.random.default_rng(seed)
    points = [np.zeros(n)]
    points += [rng.normal(size=n) * rng.choice([0.5, 1, 2, 3]) for _ in range(starts - 1)]
    options = {"maxiter": 300, "ftol": 1e-13}
    first = {"type": "eq", "fun": lambda z: z[:n].sum() - 1}
    slack = {
        "type": "ineq",
        "fun": lambda z: means(p, z[:n]) + z[n:] - c,
        "jac": lambda z: np.c_[_jacobian(p, z[:n]), np.eye(n)],
    }
    strict = {"type": "ineq", "fun": lambda z: means(p, z) - c, "jac": lambda z: _jacobian(p, z)}
    missed, found = [], []
    for point in points:
        start = _bounded(np.exp(point) / np.exp(point).sum() * (1 - n * least) + least, least)
        lowered = minimize(
            lambda z: z[n:].sum(),
            np.r_[start, np.maximum(c - means(p, start), 0)],
            jac=lambda z: 1.0 * (np.arange(len(z)) >= n),
            bounds=[(least, 1)] * n + [(0, 1)] * n,
            constraints=[{**first, "jac": lambda z: 1.0 * (np.arange(len(z)) < n)}, slack],
            method="SLSQP",
            options=options,
        )
        lowered = _bounded(lowered.x[:n], least)
        missed.append((shortfall(p, c, lowered), objective(lowered)))
        for begin in (lowered, start):
            end = minimize(
                objective,
                begin,
                jac=lambda z: np.log(z) + 1,
                bounds=[(least, 1)] * n,
                constraints=[{**first, "jac": lambda z: np.ones(n)}, strict],
                method="SLSQP",
                options=options,
            )
            end = _bounded(end.x, least)
            found.append((shortfall(p, c, end), objective(end)))
    reached = [pair for pair in found + missed if pair[0] <= 1e-6]
    return min(reached, key=lambda pair: pair[1]) if reached else min(found + missed)


def _jacobian(p, beta):
    """d mean_j q_j(l) / d beta_k."""
    q = p * beta / (p @ beta)[:, None]
    return (np.diag(q.mean(0)) - q.T @ q / len(p)) / beta


def _bounded(beta, least):
    """The point moved to where the bounds and the sum hold exactly."""
    room = np.maximum(np.nan_to_num(beta) - least, 0) + 1e-15
    return least + (1 - len(beta) * least) * room / room.sum()


def image(kind, count, pixels=200, seed=0):
    """Probabilities `(pixels, count)` of a kind, each pixel's sum 1."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(pixels, count))
    if kind == "soft":
        z = z * rng.choice([0.3, 1, 2]) + rng.normal(size=count) * rng.choice([0, 1, 2])
    elif kind == "confident":
        z[np.arange(pixels), rng.choice(count, pixels, p=rng.dirichlet(np.ones(count)))] += rng.choice([3, 5])
    elif kind == "dominated":
        z[:, rng.integers(count)] += rng.choice([3, 5, 8])
    elif kind == "regions":
        z = rng.normal(size=(3, count))[rng.integers(3, size=pixels)] * 4 + 0.7 * z
    elif kind == "saturated":
        z = 10 * z
        z[:, rng.integers(count)] += 30
    else:
        raise ValueError(f"kind must be a kind of image. Received: kind={kind!r}")
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
