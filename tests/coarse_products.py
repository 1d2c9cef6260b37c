"""A device that multiplies in TF32, emulated on the processor, and what to run on it."""

import contextlib

import keras
import numpy as np
from keras import ops as keras_ops

from keras_wsseg import ops
from keras_wsseg.ops import backend

BATCH, HEIGHT, WIDTH, CLASSES = 2, 9, 11, 3
PIXELS = (BATCH, HEIGHT * WIDTH)


def _random(*shape, seed=0, low=0.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype("float32")


def _probabilities():
    y = np.exp(_random(BATCH, HEIGHT, WIDTH, CLASSES, high=3.0))
    return (y / y.sum(-1, keepdims=True)).astype("float32")


Y, GUIDE = _probabilities(), _random(BATCH, HEIGHT, WIDTH, 3, seed=1, high=3.0)
FLAT, FLAT_GUIDE = Y.reshape(*PIXELS, CLASSES), GUIDE.reshape(*PIXELS, 3)
SOURCE, DESTINATION = (_random(BATCH, HEIGHT, WIDTH, seed=seed) for seed in (2, 3))
MU = np.array([[0, 1, 0.37], [1, 0, 0.71], [0.37, 0.71, 0]], "float32")
LABELS = np.random.default_rng(4).integers(0, CLASSES, (BATCH, HEIGHT, WIDTH))
TAGS = np.array([[1, 1, 1], [1, 0, 1]], "float32")
ONES = np.ones((*PIXELS, 1), "float32")
GATES = {"source_mask": SOURCE, "destination_mask": DESTINATION, "compatibility": MU}
XY = {"sigmas_xy": [2.0, 3.0], "kernel_weights": [0.7, 0.4]}
SCORES = [_random(BATCH, 4, 5, CLASSES - 1, seed=5), _random(BATCH, 7, 6, CLASSES - 1, seed=6)]
BETA = np.array([[0.5, 0.2, 0.3], [0.4, 0.0, 0.6]], "float32")

# Name of the public function, way through it, function of the tensor that gradients flow to, that tensor.
CASES = [
    ("adaptive_prior", "", lambda y: ops.adaptive_prior(y, TAGS, (0.4, 0.2)), FLAT),
    ("agreeing_labels", "", lambda y: ops.agreeing_labels(LABELS, LABELS[::-1]), Y),
    (
        "class_activation_maps",
        "",
        lambda x: ops.class_activation_maps([x, SCORES[1]], TAGS, (HEIGHT, WIDTH)),
        SCORES[0],
    ),
    ("click_frequency_weights", "", lambda y: ops.click_frequency_weights(LABELS, CLASSES), Y),
    ("confident_labels", "", lambda y: ops.confident_labels(y), Y),
    ("dense_crf_energy", "", lambda y: ops.dense_crf_energy(y, FLAT_GUIDE), FLAT),
    (
        "dense_energy",
        "",
        lambda y: ops.dense_energy(ops.dense_gaussian_kernel(FLAT_GUIDE), y, FLAT[..., :1], ONES),
        FLAT,
    ),
    *(
        (
            "dense_gaussian_filter",
            way,
            lambda y, way=way: ops.dense_gaussian_filter(FLAT_GUIDE, y, way, 16),
            FLAT,
        )
        for way in ("exact", "nystrom", "permutohedral")
    ),
    *(
        ("dense_gaussian_kernel", way, lambda y, way=way: _diagonal(y, way), FLAT)
        for way in ("exact", "nystrom", "permutohedral")
    ),
    ("estimated_labels", "", lambda y: ops.estimated_labels(y, TAGS, BETA), FLAT),
    *(
        (
            "gated_crf_energy",
            way,
            lambda y, way=way: ops.gated_crf_energy(y, GUIDE, 2, **GATES, filter_method=way),
            Y,
        )
        for way in ("tiles", "patches")
    ),
    *(
        (
            "local_gaussian_filter",
            way,
            lambda y, way=way: ops.local_gaussian_filter(y, GUIDE, 2, filter_method=way),
            Y,
        )
        for way in ("tiles", "patches")
    ),
    *(
        (
            "mean_field",
            f"radius {radius}",
            lambda y, radius=radius: ops.mean_field(
                3 * y, [GUIDE, None], **XY, radius=radius, compatibility=MU, iterations=2
            ),
            Y,
        )
        for radius in (2, None)
    ),
    *(
        (
            "neighborhood_distribution",
            f"radius {radius}",
            lambda y, radius=radius: ops.neighborhood_distribution(y, [GUIDE, None], **XY, radius=radius),
            Y,
        )
        for radius in (2, None)
    ),
    ("neighbor_weights", "", lambda x: ops.neighbor_weights(x, 0.5), GUIDE),
    ("normalized_cut_energy", "", lambda y: ops.normalized_cut_energy(y, FLAT_GUIDE), FLAT),
    ("object_fraction", "", ops.object_fraction, SOURCE),
    ("partial_cross_entropy", "", lambda y: ops.partial_cross_entropy(keras_ops.log(y), LABELS, BETA[0]), Y),
    ("positional_energy", "", ops.positional_energy, SOURCE),
    ("resize_antialiased", "", lambda x: ops.resize_antialiased(x, (5, 7)), GUIDE),
    ("resize_area", "", lambda x: ops.resize_area(x, (4, 5)), GUIDE),
    ("resize_bilinear", "", lambda x: ops.resize_bilinear(x, (17, 20)), GUIDE),
    ("smallness_energy", "", lambda x: ops.smallness_energy(0.1 * x), BETA[0]),
    ("sparse_crf_energy", "", lambda x: ops.sparse_crf_energy(x, GUIDE, 0.5), SOURCE),
    ("volumetric_energy", "", ops.volumetric_energy, BETA[0]),
]


def _diagonal(y, way):
    kernel = ops.dense_gaussian_kernel(FLAT_GUIDE, way, 16)
    return kernel.diagonal() * kernel.apply(y)


def scalar(function):
    """The outputs of a function, each number weighted by a random one, as one number."""

    def weighted(x):
        outputs = [keras_ops.cast(part, "float32") for part in keras.tree.flatten(function(x))]
        return sum(keras_ops.sum(_random(*part.shape, seed=9) * part) for part in outputs)

    return weighted


def outputs_and_gradient(function, x):
    """What a function gives and the gradient of its random sum, as NumPy arrays."""
    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(scalar(function))(jax.numpy.asarray(x))
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            x = tf.constant(x)
            tape.watch(x)
            value = scalar(function)(x)
        gradient = tape.gradient(value, x, unconnected_gradients="zero")
    outputs = [np.asarray(part).astype("float32") for part in keras.tree.flatten(function(x))]
    return [*outputs, np.asarray(gradient)]


@contextlib.contextmanager
def coarse_device(monkeypatch):
    """Lets products round their operands to TF32 unless full float32 is asked for."""
    with monkeypatch.context() as patch:
        patch.setattr(backend, "has_coarse_matmul", lambda: True)
        if keras.backend.backend() == "jax":
            import jax

            for primitive in (jax.lax.dot_general_p, jax.lax.conv_general_dilated_p):
                patch.setattr(primitive, "bind", _coarse_bind(primitive.bind))
            # What is compiled already, or is traced but once, would pass by.
            with jax.disable_jit():
                yield
            return
        for name in ("matmul", "einsum", "tensordot", "dot", "conv"):
            patch.setattr(keras_ops, name, _coarse_tensorflow(name, getattr(keras_ops, name)))
        yield


def precisions(function, x):
    """The precision of every product of floats, and the product, in value and gradient. JAX only."""
    import jax

    traced = jax.make_jaxpr(jax.value_and_grad(scalar(function)))(jax.numpy.asarray(x))
    return list(_products(traced.jaxpr))


def _products(jaxpr):
    import jax

    for equation in jaxpr.eqns:
        if equation.primitive in (jax.lax.dot_general_p, jax.lax.conv_general_dilated_p):
            if jax.numpy.issubdtype(equation.invars[0].aval.dtype, jax.numpy.floating):
                yield equation.params["precision"], str(equation)
        for inner in jax.tree_util.tree_leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _products(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value):
    return hasattr(value, "eqns")


def _coarse_bind(bind):
    import jax

    def round_off(x):
        # What is traced comes here once more with its numbers, on the way there or back.
        return x if isinstance(x, jax.core.Tracer) or x.dtype != jax.numpy.float32 else _rounded_jax(x)

    def coarse(a, b, *rest, precision, **options):
        highest = jax.lax.Precision.HIGHEST
        if precision != (highest, highest) and precision != highest:
            a, b = round_off(a), round_off(b)
        return bind(a, b, *rest, precision=precision, **options)

    return coarse


def _rounded_jax(x):
    import jax

    bits = jax.lax.bitcast_convert_type(x, jax.numpy.int32) + 0x1000
    return jax.lax.bitcast_convert_type(bits & ~0x1FFF, jax.numpy.float32)


def _coarse_tensorflow(name, product):
    import tensorflow as tf

    def rounded(x):
        return tf.bitcast((tf.bitcast(x, tf.int32) + 0x1000) & ~0x1FFF, tf.float32)

    def coarse(*operands, **options):
        # `einsum` takes its formula first; the way back is made of products of the same kind.
        texts = operands[:1] if name == "einsum" else ()

        @tf.custom_gradient
        def run(*tensors):
            tensors = [rounded(tensor) for tensor in tensors]
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                out = product(*texts, *tensors, **options)

            def gradient(upstream):
                return tape.gradient(out, tensors, rounded(upstream))

            return out, gradient

        tensors = [tf.convert_to_tensor(x) for x in operands[len(texts) :]]
        if any(tensor.dtype != tf.float32 for tensor in tensors):
            return product(*texts, *tensors, **options)
        return run(*tensors)

    return coarse
