"""Search for the adaptive prior of images with several objects, on all images of a batch at once."""

import numpy as np
from keras import ops

from keras_wsseg.ops.backend import matmul_float32

# Shares that fall short by less than this count as reached: the float32 mean over an image is no more
# accurate.
TOLERANCE = 1e-5

# The number of initial points, of chains of steps started at the best of them, of steps of these chains, of
# chains continued afterwards, and the last step.
STARTS, CHAINS, FIRST_STEPS, KEPT, STEPS = 128, 8, 44, 4, 64
# If the shares of an image are then almost but not quite met, which is rare, further steps are taken, this
# many at a time: how many are needed depends on the processor's rounding.
MORE_STEPS, TIMES, LITTLE = 16, 8, 2e-3
# The first steps use at most about this many pixels, spread evenly over the image; the last use all.
FIRST_PIXELS = 1024
# Dampings of a Newton step that are tried in parallel, relative to the last one chosen.
DAMPINGS = (10.0 ** np.linspace(-3, 2, 4)).astype("float32")


def mean_labels(p, weights, beta):
    """`mean_j q_j(l)` for several `beta` of each image, `(batch, count, classes)`, and the denominators."""
    total = matmul_float32(beta, ops.transpose(p, (0, 2, 1)))
    return beta * matmul_float32(weights[:, None] / total, p), total


def _shortfall(target, means):
    return ops.sum(ops.maximum(target - means, 0.0), axis=-1)


def _negative_entropy(beta):
    return ops.sum(beta * ops.log(ops.maximum(beta, 1e-30)), axis=-1)


def _pick(values, scores):
    """Selects, of rows `(..., count, columns)`, the one with the smallest score, `(..., count)`."""
    scores = ops.where(ops.isfinite(scores), scores, 1e30)
    chosen = ops.one_hot(ops.argmin(scores, axis=-1), scores.shape[-1], dtype="float32")
    return ops.sum(chosen[..., None] * values, axis=-2)


def best(target, means, beta):
    """Among the points with the smallest shortfall, the `beta` with the smallest `sum beta log beta`."""
    short = _shortfall(target, means)
    reached = short <= ops.min(short, axis=-1, keepdims=True) + TOLERANCE
    return _pick(beta, ops.where(reached, _negative_entropy(beta), 1e30))


def search_prior(p, tags, target, weights, grid):
    """`beta` by Newton steps from several starts.

    The steps minimize `eta sum beta log beta + sum_l mu softplus((c_l - m_l) / mu + shift_l)`, a smooth form
    of `eta sum beta log beta + sum_l max(c_l - m_l, 0)`. The shifts, multipliers on a logarithmic scale, are
    raised by the shortfall, so that `mu` need not be tiny for the shares to be met closely; `eta` falls as
    long as some are not met, so that only the shortfall counts if they cannot be met.
    """
    rough = _Problem(*_thinned(p, weights), tags, target, grid)
    problem = _Problem(p, weights, tags, target, grid)
    points = rough.starts()
    column = ops.zeros_like(points[..., :1])
    state = (points, ops.zeros_like(points), column + 0.01, column + 1.0)
    state = ops.fori_loop(0, FIRST_STEPS, rough.step, state)
    beta, means = problem.beta_and_means(state[0])
    # Chains are ranked by the shortfall, and by the entropy if there is hardly any shortfall.
    scores = 1000.0 * ops.maximum(_shortfall(target[:, None], means), 1e-3) + _negative_entropy(beta)
    kept = ops.one_hot(ops.argsort(scores, axis=-1)[:, :KEPT], CHAINS, dtype="float32")
    state = tuple(matmul_float32(kept, part) for part in state)
    state = ops.fori_loop(FIRST_STEPS, STEPS, problem.step, state)

    def almost_satisfied(turn, points, *_):
        short = ops.min(_shortfall(target[:, None], problem.beta_and_means(points)[1]), axis=-1)
        return ops.logical_and(turn < TIMES, ops.any(ops.logical_and(short > TOLERANCE, short < LITTLE)))

    def should_continue(turn, *state):
        begin = STEPS + MORE_STEPS * turn
        return (turn + 1, *ops.fori_loop(begin, begin + MORE_STEPS, problem.step, tuple(state)))

    _, points, *_ = ops.while_loop(almost_satisfied, should_continue, (ops.zeros((), "int32"), *state))
    beta, means = problem.beta_and_means(points)
    return best(target[:, None], means, beta)


def _thinned(p, weights):
    pixels = ops.shape(p)[1]
    if isinstance(pixels, int) and pixels <= FIRST_PIXELS:
        return p, weights
    rows = ops.arange(FIRST_PIXELS, dtype="int32") * pixels // FIRST_PIXELS
    weights = ops.take(weights, rows, axis=1)
    weights = ops.divide_no_nan(weights, ops.sum(weights, axis=1, keepdims=True))
    return ops.take(p, rows, axis=1), weights


class _Problem:
    """The images of a batch, and several `beta` of each, as `beta = least + (1 - n least) softmax(a)`."""

    def __init__(self, p, weights, tags, target, grid):
        self.p, self.weights = p, weights
        self.tags, self.target = tags[:, None], target[:, None]
        count = ops.sum(self.tags, axis=-1, keepdims=True)
        self.least = ops.minimum(1.0 / (grid + 1), 0.5 / count)
        self.room = 1.0 - count * self.least
        self.classes = p.shape[-1]
        self.eye = ops.eye(self.classes, dtype="float32")
        # With these, the mean of products of two columns is one matrix product for all pixel weights.
        products = p[..., :, None] * p[..., None, :]
        self.products = ops.reshape(products, (-1, ops.shape(p)[1], self.classes**2))

    def starts(self):
        """The best point for each chain, from random points at increasing distances from even weights."""
        table = np.random.default_rng(0).normal(size=(STARTS, self.classes))
        table = (table * np.linspace(0, 4, STARTS)[:, None]).astype("float32")
        points = ops.convert_to_tensor(table)[None] * self.tags
        beta, means = self.beta_and_means(points)
        scores = _shortfall(self.target, means) + 0.05 * _negative_entropy(beta)
        shape = (-1, STARTS // CHAINS, CHAINS)
        points = ops.transpose(ops.reshape(points, (*shape, self.classes)), (0, 2, 1, 3))
        return _pick(points, ops.transpose(ops.reshape(scores, shape), (0, 2, 1)))

    def beta(self, points):
        """`beta` and its softmax."""
        share = ops.softmax(ops.where(self.tags > 0, points, -1e30), axis=-1)
        return (self.least + self.room * share) * self.tags, share

    def beta_and_means(self, points):
        """`beta`, and the shares of the image that it gives."""
        beta, _ = self.beta(points)
        return beta, mean_labels(self.p, self.weights, beta)[0]

    def step(self, index, state):
        """One step of all chains, `(batch, chains, classes)`; dampings and `eta` have one column."""
        points, shift, damping, eta = state
        index = ops.cast(index, "float32")
        beta, share = self.beta(points)
        means, total = mean_labels(self.p, self.weights, beta)
        missing = self.target - means
        mu = ops.maximum(0.1 * ops.power(0.31, index), 3e-3)
        # For the first four steps by a fixed schedule; afterwards only while shares are not met.
        unmet = ops.sum(ops.maximum(missing, 0.0), axis=-1, keepdims=True) > 1e-4
        lower = ops.where(unmet, ops.maximum(eta / 1.5, 1e-6), eta)
        fallen = ops.where(index < 4, ops.zeros_like(eta) + 0.1 * ops.power(0.464, index), lower)
        # Larger increments would oscillate if the shares cannot be met.
        raised = shift + ops.clip(missing / mu, -1.0, 1.0) + ops.log(fallen / eta)
        shift = ops.where(index < 8, shift, ops.clip(raised, ops.log(fallen) - 5.0, 8.0))
        eta = fallen
        gradient, hessian = self._slopes(beta, share, means, total, missing / mu + shift, mu, eta)
        scale = ops.maximum(ops.max(ops.abs(hessian), axis=(-1, -2), keepdims=True), 1e-20)
        # Regularizes directions without effect: adding a constant to a point, and absent classes.
        tags = self.tags[:, 0]
        still = (tags[:, :, None] * tags[:, None] + (1.0 - tags)[:, :, None] * self.eye)[:, None]
        hessian = (hessian + still * scale)[:, :, None]
        dampings = damping * DAMPINGS
        hessian = hessian + (dampings[..., None, None] * scale[:, :, None]) * self.eye
        floor = 1e-7 * scale[:, :, None, 0]
        moves = -_solve(hessian, ops.broadcast_to(gradient[:, :, None], ops.shape(hessian)[:-1]), floor)
        moves = moves * self.tags[:, None]
        longest = ops.max(ops.abs(moves), axis=-1, keepdims=True)
        moves = moves * ops.minimum(1.0, 3.0 / ops.maximum(longest, 1e-12))
        tried = points[:, :, None] + ops.concatenate([ops.zeros_like(moves[:, :, :1]), moves], axis=2)
        scores = self._scores(tried, shift, mu, eta)
        points = _pick(tried, scores)
        points = points - ops.max(ops.where(self.tags > 0, points, -1e30), axis=-1, keepdims=True)
        points = ops.maximum(points, -30.0) * self.tags
        # If no step was an improvement, the next steps are shorter.
        options = ops.concatenate([damping * 10.0, dampings], axis=-1)
        damping = ops.clip(_pick(options[..., None], scores), 1e-7, 1e3)
        return points, shift, damping, eta

    def _scores(self, points, shift, mu, eta):
        chains, count = points.shape[1:3]
        flat = ops.reshape(points, (-1, chains * count, self.classes))
        beta, means = self.beta_and_means(flat)
        short = ops.reshape(self.target - means, (-1, chains, count, self.classes))
        penalty = mu * ops.softplus(short / mu + shift[:, :, None]) * self.tags[:, None]
        entropy = ops.reshape(_negative_entropy(beta), (-1, chains, count))
        return eta * entropy + ops.sum(penalty, axis=-1)

    def _slopes(self, beta, share, means, total, pressure, mu, eta):
        """Gradient and Hessian with respect to the points."""
        multipliers = ops.sigmoid(pressure) * self.tags
        eta = eta[..., None]
        # First with respect to log beta. The Hessian of m, weighted by the multipliers, consists of second
        # and third moments of q.
        second, third = self._moments(beta, total, multipliers)
        jacobian = means[..., None] * self.eye - second
        curvature = multipliers * means - ops.sum(multipliers[..., None] * second, axis=-2)
        curvature = curvature[..., None] * self.eye + 2.0 * third
        curvature = curvature - second * (multipliers[..., None] + multipliers[..., None, :])
        logs = ops.log(ops.maximum(beta, 1e-30))
        pull = beta * (logs - ops.sum(beta * logs, axis=-1, keepdims=True))
        bend = (pull + beta)[..., None] * self.eye - beta[..., None] * beta[..., None, :]
        bend = bend - beta[..., None] * pull[..., None, :] - pull[..., None] * beta[..., None, :]
        gradient = eta[..., 0] * pull - ops.sum(multipliers[..., None] * jacobian, axis=-2)
        stiffness = multipliers * (1.0 - multipliers) / mu
        hessian = matmul_float32(jacobian, stiffness[..., None] * jacobian) + eta * bend - curvature
        # Then by the chain rule to the points, whose softmax is within the bounds.
        slack = ops.divide_no_nan(self.room * share, beta) * self.tags
        spread = self.eye - share[..., None, :]
        chain = slack[..., None] * spread
        inner = (gradient * slack * (1.0 - slack))[..., None] * spread
        outer = ops.sum(gradient * slack, axis=-1)[..., None, None] * share[..., None] * spread
        hessian = matmul_float32(ops.transpose(chain, (0, 1, 3, 2)), matmul_float32(hessian, chain))
        hessian = hessian + matmul_float32(ops.transpose(spread, (0, 1, 3, 2)), inner) - outer
        return ops.sum(chain * gradient[..., None], axis=-2), hessian

    def _moments(self, beta, total, multipliers):
        """`mean_j q_j(k) q_j(l)`, and the same weighted by `sum_l t_l q_j(l)`, t the multipliers."""
        pairs = beta[..., None] * beta[..., None, :]
        weights = self.weights[:, None] / ops.square(total)
        expected = matmul_float32(multipliers * beta, ops.transpose(self.p, (0, 2, 1))) / total
        both = ops.concatenate([weights, weights * expected], axis=1)
        moments = matmul_float32(both, self.products)
        moments = ops.reshape(moments, (-1, 2, beta.shape[1], self.classes, self.classes))
        return moments[:, 0] * pairs, moments[:, 1] * pairs


def _solve(matrices, right, floor):
    """Solves symmetric systems `(..., n, n)` with each pivot replaced by `max(|pivot|, floor)`.

    So a step is a descent direction even if the matrix is not positive definite, and no matrix is singular.
    """
    size = matrices.shape[-1]

    def eliminate(k, table):
        here = ops.one_hot(k, size, dtype="float32")
        column = ops.sum(table * ops.one_hot(k, size + 1, dtype="float32"), axis=-1)
        pivot = ops.maximum(ops.abs(ops.sum(here * column, axis=-1, keepdims=True)), floor)
        row = ops.sum(here[:, None] * table, axis=-2) / pivot
        column = ops.where(here > 0, pivot - 1.0, column)
        return table - column[..., None] * row[..., None, :]

    # A loop rather than unrolled code, since the number of classes, and so the compiled code, may be large.
    table = ops.concatenate([matrices, right[..., None]], axis=-1)
    return ops.fori_loop(0, size, eliminate, table)[..., -1]
