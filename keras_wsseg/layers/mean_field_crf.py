"""Mean-field inference as a layer."""

import keras
import numpy as np
from keras import ops

from keras_wsseg.arguments import check_value_range
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.ops.dense_gaussian import check_dense
from keras_wsseg.ops.mean_field import check_same_grid, check_settings, mean_field

COMPATIBILITIES = ("potts", "trainable")


@keras.saving.register_keras_serializable("keras_wsseg")
class MeanFieldCRF(keras.layers.Layer):
    r"""Mean-field inference of a conditional random field that encourages similar pixels to share a class.

    It aligns the boundaries of a prediction with the edges of the image: as post-processing of logits, as
    the last layer of a segmenter that is trained through it, or inside an exported segmenter. It returns
    logits, so its output works wherever logits do: losses with `from_logits=True`, softmax, argmax, and
    `export.to_onnx`. Starting from `Q = softmax(logits)`, each step computes

    `Q_i(l) ~ exp(-u_i(l) - sum_l' mu(l, l') sum_m w_m sum_{j != i} k_m(i, j) Q_j(l'))`,
    `u = -log softmax(logits)`, `K_m(i, j) = exp(-|Dxy|^2 / 2 xy_m^2 - |Drgb|^2 / 2 rgb_m^2)`,

    with `k_m` the kernel `K_m`, normalized by default, which makes the weights `w_m` independent of window,
    size and image. Computation is in float32 whatever the policy. Gradients flow through all steps to logits,
    kernel weights and compatibility, but not to the image.

    With large weights, rounding in the last digit can flip the label of some pixels, at random on white noise
    and rarely on photographs: compare two runs on photographs.

    Args:
        radius: neighbors of a pixel are the `(2 radius + 1)^2` pixels around it. This is fast, exact, and
            exports to ONNX for images of any size; the kernels of an image take about `4 (8 + 2 radius)^2`
            bytes per pixel. None: all pixels of the image are neighbors, as published; with color kernels
            such a layer uses operations that ONNX lacks and runs in Keras only.
        kernels: `GaussianKernel` or a list of them with `sigma_xy` and `sigma_rgb`, copied with their current
            values: later annealing does not affect the layer. By default the published pair,
            `GaussianKernel(weight=3, sigma_xy=3)` and
            `GaussianKernel(weight=10, sigma_xy=80, sigma_rgb=13 / 255)`.
        compatibility: the cost `mu` of two similar pixels having classes `l` and `l'`: `"potts"`, 1 where
            they differ; a matrix `(classes, classes)`; or `"trainable"`, a weight of the layer initialized
            to Potts.
        iterations: steps, at least 1.
        normalization: `"symmetric"`, `k_ij = K_ij / sqrt(D_i D_j)` with `D_i` the sum of row `i`, as in the
            published code; `"row"`, `K_ij / D_i`; or `"none"`.
        train_kernel_weights: whether the `w_m` are trained. They stay non-negative: after each optimizer
            step, negative ones are set to zero (`keras.constraints.NonNeg`).
        include_self: whether a pixel is its own neighbor, in the sum and in `D`. None: False with a radius,
            as in the equation; True if `radius` is None, as in the published code, since approximate kernels
            cannot separate a pixel's own contribution. False without a radius requires the exact method.
        value_range: the values of black and white in the image.
        from_logits: whether the first input holds logits; probabilities otherwise.
        filter_method: how fully connected color kernels are summed: `"auto"`, `"exact"`, `"nystrom"` or
            `"permutohedral"`, see `ops.dense_gaussian_kernel`. Kernels of position only are always exact.
        landmarks: number of landmarks of `"nystrom"`: more are more accurate and slower.
        seed: seed of the approximations; the same seed gives the same result.
        **kwargs: passed to `keras.layers.Layer`.

    Call arguments:
        inputs: a pair `[logits, image]`: `(batch, height, width, classes)` and
            `(batch, height, width, channels)` in `value_range`, gray or color, of the same size. Logits of
            one channel are the log-odds (the probability if `from_logits` is False) of the second of two
            classes.

    Returns:
        `log Q`, `(batch, height, width, classes)`: logits of the refined prediction; log-odds for one
        channel.

    Raises:
        ValueError: if an argument is out of range, or the two inputs differ in size.

    Example:

    >>> import numpy as np
    >>> image = np.array([0, 0, 0, 255], "float32").reshape(1, 1, 4, 1)
    >>> logits = np.array([[3, 0], [0, 1], [3, 0], [0, 3]], "float32").reshape(1, 1, 4, 2)
    >>> refined = MeanFieldCRF(radius=2)([logits, image])  # the second pixel looks like its neighbors
    >>> np.array(refined).argmax(-1).tolist()
    [[[0, 0, 0, 1]]]

    Source: Krähenbühl & Koltun 2011, arXiv:1210.5644, equation 4 and algorithm 1; as a trainable layer, Zheng
    et al. 2015, arXiv:1502.03240; in a window, Teichmann & Cipolla 2018, arXiv:1805.04777.
    """

    def __init__(
        self,
        radius=None,
        kernels=None,
        compatibility="potts",
        iterations=5,
        normalization="symmetric",
        train_kernel_weights=False,
        include_self=None,
        value_range=(0, 255),
        from_logits=True,
        filter_method="auto",
        landmarks=512,
        seed=0,
        **kwargs,
    ):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        check_dense(filter_method, landmarks, seed)
        check_settings(radius, iterations, normalization, include_self, filter_method)
        self.radius = radius
        self.kernels = _copies(kernels)
        self.compatibility = _checked(compatibility)
        self.iterations = iterations
        self.normalization = normalization
        self.train_kernel_weights = bool(train_kernel_weights)
        self.include_self = include_self
        self.value_range = check_value_range(value_range)
        self.from_logits = bool(from_logits)
        self.filter_method, self.landmarks, self.seed = filter_method, landmarks, seed

    def build(self, input_shape):
        if len(input_shape) != 2 or any(shape is None or isinstance(shape, int) for shape in input_shape):
            raise ValueError(f"inputs must be a pair [logits, image]. Received: shape={input_shape}")
        # One channel stands for two classes.
        classes = max(input_shape[0][-1], 2)
        self._matrix = self._kernel_weights = None
        if isinstance(self.compatibility, list) and len(self.compatibility) != classes:
            raise ValueError(
                f"compatibility must be a matrix of shape ({classes}, {classes}) for logits of {classes} "
                f"classes. Received: {len(self.compatibility)} rows"
            )
        if self.compatibility == "trainable":
            potts = keras.initializers.Constant(1.0 - np.eye(classes, dtype="float32"))
            self._matrix = self.add_weight(
                (classes, classes), potts, dtype="float32", autocast=False, name="compatibility"
            )
        if self.train_kernel_weights:
            declared = np.array([kernel.weight for kernel in self.kernels], "float32")
            self._kernel_weights = self.add_weight(
                declared.shape,
                initializer=keras.initializers.Constant(declared),
                constraint=keras.constraints.NonNeg(),
                dtype="float32",
                autocast=False,
                name="kernel_weights",
            )

    def call(self, inputs):
        logits, image = (ops.cast(x, "float32") for x in inputs)
        check_same_grid("image", image.shape, logits.shape)
        classes = logits.shape[-1]
        # Concatenation fails if sizes that are known only at run time differ.
        both = ops.concatenate([logits, image], axis=-1)
        logits, image = both[..., :classes], both[..., classes:]
        if classes == 1:
            other = ops.zeros_like(logits) if self.from_logits else 1.0 - logits
            logits = ops.concatenate([other, logits], axis=-1)
        if not self.from_logits:
            logits = ops.log(ops.maximum(logits, keras.config.epsilon()))
        low, high = self.value_range
        image = (image - low) / (high - low)
        sigmas = [kernel.get_config() for kernel in self.kernels]
        refined = mean_field(
            logits,
            [image / sigma["sigma_rgb"] if "sigma_rgb" in sigma else None for sigma in sigmas],
            [sigma.get("sigma_xy") for sigma in sigmas],
            self._weights(),
            self.radius,
            self._compatibility_matrix(),
            self.iterations,
            self.normalization,
            self.include_self,
            self.filter_method,
            self.landmarks,
            self.seed,
        )
        if classes == 1:
            refined = refined[..., 1:] - refined[..., :1]
        return ops.cast(refined, self.compute_dtype)

    def _weights(self):
        if self._kernel_weights is None:
            return [kernel.weight for kernel in self.kernels]
        weights = ops.convert_to_tensor(self._kernel_weights)
        return [weights[index] for index in range(len(self.kernels))]

    def _compatibility_matrix(self):
        if self._matrix is not None:
            return ops.convert_to_tensor(self._matrix)
        return None if self.compatibility == "potts" else np.array(self.compatibility, "float32")

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        config = {
            "radius": self.radius,
            "kernels": [keras.saving.serialize_keras_object(kernel) for kernel in self.kernels],
            "compatibility": self.compatibility,
            "iterations": self.iterations,
            "normalization": self.normalization,
            "train_kernel_weights": self.train_kernel_weights,
            "include_self": self.include_self,
            "value_range": self.value_range,
            "from_logits": self.from_logits,
            "filter_method": self.filter_method,
            "landmarks": self.landmarks,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


def _copies(kernels):
    if kernels is None:
        return (
            GaussianKernel(weight=3.0, sigma_xy=3.0),
            GaussianKernel(weight=10.0, sigma_xy=80.0, sigma_rgb=13 / 255),
        )
    kernels = [kernels] if isinstance(kernels, GaussianKernel | dict) else list(kernels)
    kernels = [keras.saving.deserialize_keras_object(k) if isinstance(k, dict) else k for k in kernels]
    known = {"xy", "rgb"}
    if not kernels or not all(isinstance(k, GaussianKernel) and known >= set(k.modalities) for k in kernels):
        raise ValueError(
            "kernels must be a GaussianKernel of sigma_xy and sigma_rgb, or a non-empty list of these. "
            f"Received: kernels={kernels!r}"
        )
    return tuple(
        GaussianKernel(**{name: getattr(kernel, name) for name in kernel.annealable}) for kernel in kernels
    )


def _checked(compatibility):
    """The word, or the matrix as nested lists."""
    if isinstance(compatibility, str):
        if compatibility in COMPATIBILITIES:
            return compatibility
    else:
        matrix = np.asarray(compatibility, "float32")
        if matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and np.isfinite(matrix).all():
            return matrix.tolist()
    raise ValueError(
        f"compatibility must be one of {COMPATIBILITIES} or a square matrix of finite numbers. "
        f"Received: compatibility={compatibility!r}"
    )
